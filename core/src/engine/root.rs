//! The directories that a container's root file system is made of: the layers of its image, and where its changes go.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
    mount::MountAttrFlags,
};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::record::Record,
    digest::{Digest, ImageId},
    file,
    process::{
        file_systems::NETWORK_FILES,
        rootfs::{self, Durability},
    },
};

/// The directories of one root file system, held open: they are named by their descriptors.
#[derive(Debug)]
pub struct Root {
    layers: Vec<OwnedFd>,
    /// Has the directories `upper` and `work`.
    changes: OwnedFd,
}

impl Root {
    /// Of these layers, the top one first, with its changes in the directories `upper` and `work` of `changes`, which are
    /// made unless they are there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there are no layers; of the file system.
    pub(super) fn new(layers: Vec<OwnedFd>, changes: OwnedFd) -> Result<Root> {
        let top = layers.first().ok_or_else(|| Error::Corrupt("the image has no layers".into()))?;
        make_changes(&changes, top)?;
        Ok(Root { layers, changes })
    }

    /// The same with one more layer, below all others.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn standing_on(&self, lowest: Option<OwnedFd>) -> Result<Root> {
        let copy = |fd: &OwnedFd| fd.try_clone().context("duplicate", "directory");
        let mut layers = self.layers.iter().map(copy).collect::<Result<Vec<_>>>()?;
        layers.extend(lowest);
        Ok(Root { layers, changes: copy(&self.changes)? })
    }

    /// The same changes above these layers, the top one first, which show the same.
    pub(super) fn moved_onto(self, layers: Vec<OwnedFd>) -> Root {
        Root { layers, ..self }
    }

    /// What it holds open.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.layers.iter().chain([&self.changes]).map(AsFd::as_fd)
    }

    /// All of it as one tree, mounted nowhere.
    ///
    /// # Errors
    /// Of the kernel.
    pub(super) fn view(&self, durability: Durability) -> Result<OwnedFd> {
        rootfs::overlay(&self.lowers(), &self.changes("upper"), &self.changes("work"), durability)
    }

    /// All of it as one tree that can't be changed.
    ///
    /// # Errors
    /// Of the kernel.
    pub(super) fn seen(&self) -> Result<OwnedFd> {
        rootfs::stacked(&[&[self.changes("upper")], self.lowers().as_slice()].concat())
    }

    /// What lies below the changes, as one tree.
    ///
    /// # Errors
    /// Of the kernel.
    pub(super) fn lower(&self) -> Result<OwnedFd> {
        merged(&self.layers)
    }

    /// The directory with the changes.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn upper(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.changes, "upper", flags, Mode::empty()).context("open", "upper")
    }

    /// Paths of the layers, the top one first.
    pub fn lowers(&self) -> Vec<String> {
        self.layers.iter().map(path_of).collect()
    }

    /// Path of the directory `upper` or `work`.
    pub fn changes(&self, name: &str) -> String {
        format!("{}/{name}", path_of(&self.changes))
    }
}

/// What these directories (the top one first, at least one) show together, read-only.
///
/// # Errors
/// Of the kernel.
pub(super) fn merged(layers: &[OwnedFd]) -> Result<OwnedFd> {
    match layers {
        // An overlay of one directory is none.
        [one] => one.try_clone().context("duplicate", "layer"),
        several => rootfs::stacked(&several.iter().map(path_of).collect::<Vec<_>>()),
    }
}

/// How the kernel is told of a directory that only this process has open.
fn path_of(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

/// A directory for changes in memory, which goes with the value: overlayfs refuses an upper directory inside its lower
/// one, which for the host's own root is every directory of it.
///
/// # Errors
/// Of the kernel.
pub(super) fn changes_in_memory() -> Result<OwnedFd> {
    rootfs::tmpfs("mode=755", MountAttrFlags::empty()).context("mount", "tmpfs for changes")
}

impl Engine {
    /// Opens the root file system of a container, whose directory is given. The changes of one on the host's own root live
    /// as long as the value.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a part of the image is missing; of the file system.
    pub fn root(&self, record: &Record, directory: &OwnedFd) -> Result<Root> {
        let (layers, changes) = if record.image.is_empty() {
            let host = file::directory(file::CWD, "/").context("open", "/")?;
            let changes = match takes_detached_upper() {
                true => changes_in_memory()?,
                false => self.changes_in_run_root(&record.id)?,
            };
            (alloc::vec![host], changes)
        } else {
            let id = Digest::parse(&record.image).map(ImageId)?;
            let mut layers = self.store.image(&id)?.lower_dirs(&self.store)?;
            layers.push(self.foundation().context("prepare", FOUNDATION)?);
            (layers, directory.try_clone().context("duplicate", "directory")?)
        };
        Root::new(layers, changes)
    }

    /// What every image stands on, as its lowest layer: the places of the standard mounts, for images that lack them, so
    /// that making them is no change of the container's.
    pub(super) fn foundation(&self) -> Result<OwnedFd, Errno> {
        let made = |result| match result {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        };
        // The last of them is there: all are. Two who make them at once do no harm to each other.
        if file::directory(&self.data, format!("{FOUNDATION}/{}", DIRECTORIES[DIRECTORIES.len() - 1]))
            .is_err()
        {
            let before = rustix::process::umask(Mode::empty());
            let make = || -> Result<(), Errno> {
                let directory = file::subdirectory(&self.data, FOUNDATION, 0o755)?;
                let etc = file::subdirectory(&directory, "etc", 0o755)?;
                for name in NETWORK_FILES {
                    made(file::create(&etc, name, b"", 0o644).map(drop))?;
                }
                made(rustix::fs::symlinkat("/proc/mounts", &etc, "mtab"))?;
                DIRECTORIES.iter().try_for_each(|name| file::subdirectory(&directory, name, 0o755).map(drop))
            };
            let done = make();
            rustix::process::umask(before);
            done?;
        }
        file::directory(&self.data, FOUNDATION)
    }

    /// An empty directory for changes in the container's directory of the run root, which is a tmpfs nearly everywhere.
    fn changes_in_run_root(&self, id: &str) -> Result<OwnedFd> {
        let run = self.shelf.run_directory(id).context("open", id)?;
        let _ = file::remove_tree(&run, CHANGES);
        file::subdirectory(&run, CHANGES, 0o700).context("create directory", CHANGES)
    }
}

/// Makes the directories `upper` and `work` of an overlay above `top`, unless they are there.
///
/// # Errors
/// Of the file system.
fn make_changes(changes: &OwnedFd, top: &OwnedFd) -> Result<()> {
    // The upper directory is the root that the container sees.
    let stat = rustix::fs::fstat(top).context("stat", "the image's root")?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    for name in ["upper", "work"] {
        match rustix::fs::mkdirat(changes, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            other => other.context("create directory", name)?,
        }
        let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(changes.as_fd(), name, Some(uid), Some(gid), nofollow).context("chown", name)?;
        rustix::fs::chmodat(changes.as_fd(), name, mode, AtFlags::empty()).context("chmod", name)?;
    }
    Ok(())
}

/// The directory of the data root for [`Engine::foundation`].
const FOUNDATION: &str = "foundation";
/// The directories there that the standard file systems are mounted on.
const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];

/// The name of that directory.
const CHANGES: &str = "changes";

/// Whether overlayfs takes an upper directory on a file system that is mounted nowhere. It does since Linux 6.15.
pub(super) fn takes_detached_upper() -> bool {
    let uname = rustix::system::uname();
    is_at_least(uname.release().to_str().unwrap_or(""), (6, 15))
}

fn is_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn releases_compare_by_number() {
        assert!(
            is_at_least("6.15.0", (6, 15))
                && is_at_least("6.18.44-x", (6, 15))
                && is_at_least("7.0-rc1", (6, 15))
        );
        assert!(!is_at_least("6.1.0-40-cloud-amd64", (6, 15)) && !is_at_least("5.20", (6, 15)));
        assert!(!is_at_least("", (6, 15)));
    }
}

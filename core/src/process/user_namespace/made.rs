//! What the engine makes out here for a user namespace, in its ids: the root file system, terminals, memory, devices.

use alloc::{format, string::String, vec, vec::Vec};

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Gid, Uid, chownat, statat},
    io::Errno,
    mount::{MoveMountFlags, move_mount},
    thread::{capabilities, set_capabilities, set_keep_capabilities, set_thread_res_gid, set_thread_res_uid},
};
use skiff_syscalls::{
    clone::CloneFlags,
    mount::{MountAttributes, Propagation, Reach, map_ids, set_attributes},
    standard,
};

use super::{
    super::rootfs::{self, Durability, c_path, clone_mount},
    UserNamespace,
};
use crate::{
    Context, Error, Result,
    file::{self, CWD},
    fork::lend::lent,
};

/// The group of terminals.
const TTY: u32 = 5;

/// Whose ids the changes of a container have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// Those inside: they stay on a disk.
    Kept,
    /// Those on the host: they are in memory, and gone with the container.
    InMemory,
}

impl UserNamespace {
    /// A copy of the mount at a path of the host, with the ids of the namespace; not of what is mounted below it.
    ///
    /// # Errors
    /// Of the kernel; `shown` is named in them.
    pub(in crate::process) fn mapped(&self, at: impl AsFd, path: &str, shown: &str) -> Result<OwnedFd> {
        let mount = clone_mount(at, path, false).context("bind mount", shown)?;
        self.map(&mount, shown)?;
        Ok(mount)
    }

    /// Gives the ids of the namespace to a mount that is attached nowhere.
    ///
    /// # Errors
    /// Of the kernel; `shown` is named in them.
    pub(in crate::process) fn map(&self, mount: &OwnedFd, shown: &str) -> Result<()> {
        map_ids(mount.as_fd(), self.file.as_fd()).map_err(|errno| {
            let error = Error::os("map the ids of", shown, errno);
            match errno {
                Errno::INVAL => error.hint(
                    "user namespaces need a file system with id-mapped mounts: ext4, xfs, btrfs; tmpfs since Linux 6.3",
                ),
                _ => error,
            }
        })
    }

    /// As [`rootfs::overlay`], with the ids of the namespace. `cover` is some directory of the host that is covered in
    /// another mount namespace meanwhile: before Linux 6.15 overlayfs takes no layers that are mounted nowhere.
    ///
    /// # Errors
    /// Of the kernel.
    pub(in crate::process) fn overlay(
        &self,
        lowers: &[String],
        [upper, work]: [&str; 2],
        (changes, durability): (Changes, Durability),
        cover: &str,
    ) -> Result<OwnedFd> {
        let mut mounts = Vec::with_capacity(lowers.len() + 1);
        for lower in lowers {
            mounts.push(self.mapped(CWD, lower, "a layer of the image")?);
        }
        let both = format!("{upper}/..");
        mounts.push(match changes {
            Changes::Kept => self.mapped(CWD, &both, "the container's changes")?,
            Changes::InMemory => {
                self.own_changes(lowers, [upper, work])?;
                clone_mount(CWD, &both, false).context("bind mount", "the container's changes")?
            }
        });
        let keep: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
        let name = |path: &str| String::from(path.rsplit('/').next().unwrap_or_default());
        let (upper, work) = (name(upper), name(work));
        lent(CloneFlags::NEWNS, &keep, || {
            let none = MountAttributes::empty();
            set_attributes(CWD, c"/", Reach::Recursive, none, none, Propagation::Private)
                .context("make mounts private", "/")?;
            for mount in &mounts {
                move_mount(mount, c"", CWD, cover, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                    .context("mount on", cover)?;
            }
            let mut paths: Vec<String> =
                mounts.iter().map(|mount| format!("/proc/self/fd/{}", mount.as_raw_fd())).collect();
            let changes = paths.pop().unwrap_or_default();
            self.look_like_root().context("change identity", "")?;
            rootfs::overlay(&paths, &format!("{changes}/{upper}"), &format!("{changes}/{work}"), durability)
        })
    }

    /// Makes this process root inside by its numbers, but leaves it all its rights. Who mounts an overlay makes directories
    /// in it, and nobody else has an id that can be seen there.
    fn look_like_root(&self) -> Result<(), Errno> {
        let held = capabilities(None)?;
        let uid = Uid::from_raw(self.ids.users.host_or_root(0));
        let gid = Gid::from_raw(self.ids.groups.host_or_root(0));
        set_keep_capabilities(true)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_capabilities(None, held)
    }

    /// The root inside is whose it is in the top layer.
    fn own_changes(&self, lowers: &[String], changes: [&str; 2]) -> Result<()> {
        let top = lowers.first().map_or("/", String::as_str);
        let stat = rustix::fs::stat(top).context("stat", "the image's root")?;
        for path in changes {
            self.give(CWD, path, (stat.st_uid, stat.st_gid)).context("change owner of", path)?;
        }
        Ok(())
    }

    /// Gives everything in the tree of `root`, which this process has just made, to those inside who have the numbers of
    /// its owners out here.
    ///
    /// # Errors
    /// As chown(2).
    pub(in crate::process) fn own(&self, root: impl AsFd) -> Result<(), Errno> {
        let mut left = vec![file::directory(&root, ".")?];
        self.give(&root, ".", (0, 0))?;
        while let Some(directory) = left.pop() {
            for (name, kind) in file::entries(&directory, ".")? {
                let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                self.give(&directory, name.as_c_str(), (stat.st_uid, stat.st_gid))?;
                if kind == FileType::Directory {
                    left.push(file::directory(&directory, name)?);
                }
            }
        }
        Ok(())
    }

    /// Gives one file to those inside who have these numbers.
    ///
    /// # Errors
    /// As chown(2).
    pub(in crate::process) fn give(
        &self,
        at: impl AsFd,
        path: impl rustix::path::Arg,
        (uid, gid): (u32, u32),
    ) -> Result<(), Errno> {
        let uid = Uid::from_raw(self.ids.users.host_or_root(uid));
        let gid = Gid::from_raw(self.ids.groups.host_or_root(gid));
        chownat(at, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// A new instance of pseudo-terminals, which belong to the usual group inside.
    ///
    /// # Errors
    /// Of the kernel.
    pub(in crate::process) fn devpts(&self) -> Result<OwnedFd> {
        let group = c_path(&format!("{}", self.ids.groups.host_or_root(TTY)))?;
        let pts = standard::devpts(&group).context("mount devpts for", "/dev/pts")?;
        self.own(&pts).context("change owner of", "/dev/pts")?;
        Ok(pts)
    }

    /// The options of a tmpfs that belongs to root inside.
    pub(in crate::process) fn root_options(&self) -> String {
        format!("uid={},gid={}", self.ids.users.host_or_root(0), self.ids.groups.host_or_root(0))
    }

    /// The options of a tmpfs with ids of the inside, with those of the host.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id that the namespace doesn't have.
    pub(in crate::process) fn host_options(&self, options: &str) -> Result<String> {
        let mut all = self.root_options();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let map = match option.split_once('=') {
                Some(("uid", id)) => Some(("uid", id, &self.ids.users)),
                Some(("gid", id)) => Some(("gid", id, &self.ids.groups)),
                _ => None,
            };
            let Some((name, id, map)) = map else {
                all = format!("{all},{option}");
                continue;
            };
            let host = id.parse().ok().and_then(|id| map.host(id));
            let host = host.ok_or_else(|| {
                Error::Invalid(format!("tmpfs option {option}: the user namespace has no such id"))
            })?;
            all = format!("{all},{name}={host}");
        }
        Ok(all)
    }
}

//! `cp`: a path in a container -> what it is and its tar, and a tar -> into a directory of a container. No path is ever
//! resolved but by openat2 inside the container's root; magic links, of which /proc is full, are not followed.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat, StatVfsMountFlags, StatxFlags, statat},
    io::Errno,
};

use super::{Engine, view::View};
use crate::{
    Context, Error, Result,
    clock::Time,
    container::shelf::Container,
    file,
    layer::{
        pack::{Form, Pack, Sink},
        place::{self, Owner, Replace, Rules},
        unpack::Source,
    },
    process::{namespaces::Scope, user},
};

/// A path as a user wrote it: cleaned, and whether it asks for the directory behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// Components with slashes between them; empty for the root.
    path: Vec<u8>,
    /// What its last component is called in an archive.
    name: Vec<u8>,
    /// It ended in a slash or in `/.`: the last component is followed, and has to be a directory.
    directory: bool,
}

impl Wanted {
    fn parse(path: &[u8]) -> Result<Self> {
        if path.is_empty() {
            return Err(Error::Invalid("bad parameter: path cannot be empty".into()));
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                // As Docker: by name, not by what a link would lead to.
                b".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let dot = path.ends_with(b"/.") || path == b".";
        let name: &[u8] = match parts.last() {
            _ if dot => b".",
            Some(last) => last,
            None => b"/",
        };
        let directory = dot || path.ends_with(b"/") || parts.is_empty();
        Ok(Wanted { name: name.into(), path: parts.join(&b'/'), directory })
    }
}

/// What a path in a container is.
#[derive(Debug)]
pub struct Found {
    /// Its last component.
    pub name: Vec<u8>,
    /// Mode, size and times.
    pub stat: Stat,
    /// Where it leads if it is a link: an absolute path inside.
    pub link_target: Vec<u8>,
    container: Container,
    /// The directory that it is in, and its name there; none for a directory that is open itself.
    place: (OwnedFd, Option<Vec<u8>>),
    /// Keeps the file system.
    view: View,
}

/// How an archive goes into a container.
#[derive(Debug, Clone, Copy)]
pub struct Extract {
    /// What may take the place of what.
    pub replace: Replace,
    /// Everything belongs to the user that the container runs as.
    pub as_user: bool,
}

impl Engine {
    /// Finds a path in a container.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the container and for the path.
    pub fn find_path(&self, name: &str, path: &[u8]) -> Result<Found> {
        let container = self.shelf.find(name)?;
        let wanted = Wanted::parse(path)?;
        let view = self.look_into(&container, Scope::WithMounts)?;
        let failed = |errno| no_path(name, path, errno);
        let (place, stat, link_target) = if wanted.directory {
            let directory = open_directory(&view, &wanted.path).map_err(failed)?;
            let stat = rustix::fs::fstat(&directory).map_err(failed)?;
            ((directory, None), stat, Vec::new())
        } else {
            let slash = wanted.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let (parent, last) = wanted.path.split_at(slash);
            let parent = open_directory(&view, parent).map_err(failed)?;
            let stat = statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            let target = if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let target = file::follow(view.root(), &wanted.path, &mut |_| Ok(())).map_err(failed)?;
                [b"/", target.as_slice()].concat()
            } else {
                Vec::new()
            };
            ((parent, Some(last.to_vec())), stat, target)
        };
        Ok(Found { name: wanted.name, stat, link_target, container, place, view })
    }

    /// The tar of a path that was found: its entries begin with its last component.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn copy_out(&self, found: &Found, sink: &mut Sink<'_>) -> Result<()> {
        self.tell(&found.container.record, "archive-path", &[]);
        let (directory, name) = (found.place.0.as_fd(), &found.place.1);
        found.view.pack_within(&[directory], sink, &|sink| {
            let mut hand_on = |part: &[u8]| sink(part);
            let mut pack = Pack::new(&mut hand_on, Form::Copy);
            match name {
                Some(name) => pack.named(directory, name, &found.name)?,
                None => pack.directory(directory, &found.name)?,
            }
            pack.finish()
        })
    }

    /// Extracts a tar, compressed or not, in a directory of a container.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the container and for the directory; [`Error::Invalid`] where nothing may be written and for
    /// what may not be replaced; [`Error::Corrupt`] for the archive.
    pub fn copy_in(&self, name: &str, path: &[u8], how: Extract, source: &mut Source<'_>) -> Result<()> {
        let container = self.shelf.find(name)?;
        let wanted = Wanted::parse(path)?;
        let record = &container.record;
        let view = self.look_into(&container, Scope::WithMounts)?;
        let directory = match open_directory(&view, &wanted.path) {
            Err(Errno::NOTDIR) => return Err(Error::Invalid("extraction point is not a directory".into())),
            other => other.map_err(|errno| no_path(name, path, errno))?,
        };
        let in_root = mount_of(view.root())? == mount_of(&directory)?;
        let flags =
            rustix::fs::fstatvfs(&directory).context("stat file system of", path.escape_ascii())?.f_flag;
        if in_root && (record.host.readonly_rootfs || flags.contains(StatVfsMountFlags::RDONLY)) {
            return Err(Error::Invalid("container rootfs is marked read-only".into()));
        }
        if flags.contains(StatVfsMountFlags::RDONLY) {
            return Err(Error::Invalid("mounted volume is marked read-only".into()));
        }
        let owner = if how.as_user && !record.config.user.is_empty() {
            let user = user::look_up(view.root().as_fd(), &record.config.user, &[])?.identity;
            Owner::Given(user.uid().as_raw(), user.gid().as_raw())
        } else {
            Owner::Stated
        };
        let rules = Rules { replace: how.replace, owner, rename: None };
        view.place_within(&[view.root().as_fd()], source, &|source| {
            let root = view.root().try_clone().context("duplicate", "root")?;
            place::place(source, root, &wanted.path, &rules)
        })?;
        self.tell(record, "extract-to-dir", &[]);
        Ok(())
    }
}

fn open_directory(view: &View, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    file::in_root(view.root(), path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
}

/// Docker's words for what is not there.
fn no_path(name: &str, path: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::NOENT => {
            let path = String::from_utf8_lossy(path);
            Error::NotFound(format!("Could not find the file {path} in container {name}"))
        }
        errno => Error::os("lstat", path.escape_ascii().to_string(), errno),
    }
}

fn mount_of(directory: &OwnedFd) -> Result<u64> {
    let stat = rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    Ok(stat.context("stat mount of", "directory")?.stx_mnt_id)
}

/// A mode as Go's `os.FileMode`, which the API has.
pub fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bits = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    bits.iter().filter(|(bit, _)| mode & bit != 0).fold(kind | mode & 0o777, |all, (_, go)| all | go)
}

/// The time of the last change.
pub fn changed(stat: &Stat) -> Time {
    Time::from_unix(stat.st_mtime, stat.st_mtime_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whether_it_means_the_directory_behind_it() {
        for (text, path, name, directory) in [
            ("/a/b", "a/b", "b", false),
            ("a//./b/", "a/b", "b", true),
            ("/a/.", "a", ".", true),
            ("/", "", "/", true),
            ("/a/..", "", "/", true),
            ("../../a", "a", "a", false),
            (".", "", ".", true),
        ] {
            let expected = Wanted { path: path.into(), name: name.into(), directory };
            assert_eq!(Wanted::parse(text.as_bytes()), Ok(expected), "{text}");
        }
        assert_eq!(Wanted::parse(b"").unwrap_err().status(), 400);
    }

    #[test]
    fn modes_are_those_that_docker_answers() {
        for (mode, go) in [
            (0o100_644, 420),
            (0o120_777, 134_218_239),
            (0o040_755, 2_147_484_141),
            (0o010_644, 33_554_852),
            (0o020_644, 69_206_436),
            (0o041_777, 2_148_532_735),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }
}

//! What lies in an overlayfs upper directory and does not come into the layer of it: it goes once nothing stands on the
//! directory any more, so that what is left is what the layer would be unpacked to.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, Mode, OFlags, Stat, Timespec, Timestamps, fremovexattr, fstat, futimens, openat, unlinkat,
    },
    io::Errno,
};

use super::apply::OPAQUE;
use crate::{Context, Result};

/// One of them, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// Anything but a directory.
    Node(Vec<u8>),
    /// A directory. What was in it is left over too, and comes before it.
    Directory(Vec<u8>),
    /// That a directory hides what lies below it.
    Mark(Vec<u8>),
}

/// Removes them, in their order. The times of the directories that they are in stay.
///
/// # Errors
/// Of the file system.
pub fn remove(tree: BorrowedFd<'_>, leftovers: &[Leftover]) -> Result<()> {
    // Those of one directory come one after the other.
    let mut last: Option<(&[u8], OwnedFd)> = None;
    for leftover in leftovers {
        let (path, how) = match leftover {
            Leftover::Node(path) => (path, AtFlags::empty()),
            Leftover::Directory(path) => (path, AtFlags::REMOVEDIR),
            Leftover::Mark(path) => {
                let directory = open(tree, path).context("open", path.escape_ascii())?;
                fremovexattr(&directory, OPAQUE).context("unmark", path.escape_ascii())?;
                continue;
            }
        };
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = path.split_at(at);
        if last.as_ref().is_none_or(|(path, _)| *path != parent) {
            last = Some((parent, open(tree, parent).context("open", parent.escape_ascii())?));
        }
        let (_, directory) = last.as_ref().expect("it was just set");
        remove_one(directory.as_fd(), name, how).context("remove", path.escape_ascii())?;
    }
    Ok(())
}

fn remove_one(parent: BorrowedFd<'_>, name: &[u8], how: AtFlags) -> Result<(), Errno> {
    let Stat { st_atime, st_atime_nsec, st_mtime, st_mtime_nsec, .. } = fstat(parent)?;
    unlinkat(parent, name, how)?;
    let time = |tv_sec, nanos| Timespec { tv_sec, tv_nsec: nanos as _ };
    let last_access = time(st_atime, st_atime_nsec);
    futimens(parent, &Timestamps { last_access, last_modification: time(st_mtime, st_mtime_nsec) })
}

/// Opens a directory, name by name: its path may be longer than the kernel takes at once.
fn open(tree: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let top = openat(tree, ".", flags, Mode::empty())?;
    names.into_iter().try_fold(top, |directory, name| openat(&directory, name, flags, Mode::empty()))
}

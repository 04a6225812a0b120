//! Owner, mode, extended attributes and times of one node, given to it in the order in which they don't undo each other.

use alloc::vec::Vec;
use core::fmt::Display;

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{
        Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr,
        flistxattr_query, fsetxattr, futimens,
    },
    io::Errno,
    process::umask,
};

use super::{
    pax::{Moment, Xattr},
    tar::Entry,
};
use crate::{Context, Error, Result};

/// As long as the kernel lets a list of names or a value be.
const XATTR_BYTES: usize = 64 << 10;

/// What a node is to get besides its content.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// Permission bits, up to 07777.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Access and change; `None` leaves what the kernel set.
    pub times: Option<Timestamps>,
    /// Those that are kept.
    pub xattrs: Vec<Xattr>,
}

/// Who made the nodes: what a new node has anyway need not be set.
#[derive(Debug, Clone, Copy)]
pub struct Maker {
    uid: u32,
    gid: u32,
    mask: Mode,
}

impl Maker {
    /// This process, which does not change its mask any more.
    pub fn this() -> Self {
        let mask = umask(Mode::empty());
        umask(mask);
        Maker { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), mask }
    }

    /// Somebody else, or in a directory that gives its group to what is made in it: all has to be set.
    pub fn unknown() -> Self {
        Maker { uid: u32::MAX, gid: u32::MAX, mask: Mode::empty() }
    }

    /// The owner that has to be set, if any.
    pub fn change(&self, uid: u32, gid: u32) -> Option<(Uid, Gid)> {
        ((uid, gid) != (self.uid, self.gid)).then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }
}

impl Attributes {
    /// Those of an entry. From the outside only `security.capability` and `user.*` are taken, and nothing that overlayfs
    /// would read.
    pub fn of(entry: &Entry) -> Self {
        Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            times: Some(times(entry)),
            xattrs: entry.xattrs.iter().filter(|(name, _)| is_kept(name)).cloned().collect(),
        }
    }

    /// Those of a directory that nobody describes.
    pub fn of_missing_directory() -> Self {
        Attributes { mode: 0o755, uid: 0, gid: 0, times: None, xattrs: Vec::new() }
    }

    /// Gives all of them to a file or directory that this process has just made. Tells whether an attribute was left
    /// out because the file system has none.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn apply(&self, node: impl AsFd, maker: Maker, shown: impl Display) -> Result<Skipped> {
        self.give(node.as_fd(), None, maker, &shown)
    }

    /// As [`Attributes::apply`], for a file that was made with this mode in a directory without default access lists.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn complete(
        &self,
        file: impl AsFd,
        made: Mode,
        maker: Maker,
        shown: impl Display,
    ) -> Result<Skipped> {
        self.give(file.as_fd(), Some(made - maker.mask), maker, &shown)
    }

    /// Those that the node, whose mode is `present` if that is known, does not have.
    fn give(
        &self,
        node: BorrowedFd<'_>,
        present: Option<Mode>,
        maker: Maker,
        shown: &dyn Display,
    ) -> Result<Skipped> {
        // A change of owner clears capabilities and set-id bits, so it comes first.
        if let Some((uid, gid)) = maker.change(self.uid, self.gid) {
            fchown(node, Some(uid), Some(gid)).context("change owner of", shown)?;
        }
        let mut skipped = Skipped::None;
        for (name, value) in &self.xattrs {
            match fsetxattr(node, name.as_slice(), value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP) => skipped = Skipped::Xattrs,
                Err(errno) => {
                    return Err(Error::os("set extended attribute of", alloc::format!("{shown}"), errno));
                }
            }
        }
        // Set-id bits may have gone when the content was written.
        if present.is_none_or(|present| present.as_raw_mode() != self.mode) || self.mode > 0o777 {
            fchmod(node, Mode::from_raw_mode(self.mode)).context("change mode of", shown)?;
        }
        if let Some(times) = &self.times {
            futimens(node, times).context("set times of", shown)?;
        }
        Ok(skipped)
    }
}

fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// The extended attributes of a node that an image or a copy keeps, in order; `buffer` is any, to be used again. An
/// equals sign would end the name in an archive.
///
/// # Errors
/// As flistxattr(2) and fgetxattr(2).
pub fn kept(node: impl AsFd, buffer: &mut Vec<u8>) -> Result<Vec<Xattr>, Errno> {
    kept_of(&node, names(&node, buffer)?)
}

/// The names of a node's extended attributes, each with a zero at its end; `buffer` is any, to be used again.
///
/// # Errors
/// As flistxattr(2).
pub fn names(node: impl AsFd, buffer: &mut Vec<u8>) -> Result<&[u8], Errno> {
    // Most nodes have none.
    match flistxattr_query(&node) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(&[]),
        other => other?,
    };
    buffer.resize(XATTR_BYTES, 0);
    let count = flistxattr(&node, buffer.as_mut_slice())?;
    Ok(&buffer[..count])
}

/// As [`kept`], of a node whose attributes have these names.
///
/// # Errors
/// As fgetxattr(2).
pub fn kept_of(node: impl AsFd, names: &[u8]) -> Result<Vec<Xattr>, Errno> {
    let mut all: Vec<Xattr> = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        if is_kept(name) && !name.contains(&b'=') {
            let mut value = alloc::vec![0; XATTR_BYTES];
            match fgetxattr(&node, name, value.as_mut_slice()) {
                Ok(count) => {
                    value.truncate(count);
                    value.shrink_to_fit();
                }
                Err(Errno::NODATA) => continue,
                Err(errno) => return Err(errno),
            }
            all.push((name.to_vec(), value));
        }
    }
    // File systems give them in any order.
    crate::sort::by(&mut all, Ord::cmp);
    Ok(all)
}

/// Whether something could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// Nothing.
    None,
    /// Extended attributes, which the file system does not have.
    Xattrs,
}

/// An entry's times as the kernel takes them: none before 1970, none read before it was written.
pub fn times(entry: &Entry) -> Timestamps {
    let clamp = |moment: Moment| match moment.seconds {
        ..0 => Timespec { tv_sec: 0, tv_nsec: 0 },
        tv_sec => Timespec { tv_sec, tv_nsec: moment.nanos.into() },
    };
    let mtime = clamp(entry.mtime);
    let atime = entry.atime.map_or(mtime, clamp);
    Timestamps { last_access: atime.max(mtime), last_modification: mtime }
}

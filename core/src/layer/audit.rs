//! A layer's tar, which is proved, against its tree: each entry is there as the archive describes it, and nothing else is.
//! The content of files is not looked at: whoever gives the tar back from the tree has read it.
//!
//! Names are looked up in the tree as it is now. Where an entry took the place of an earlier one that can differ from what
//! they meant when they were written, so that nothing is said of such a layer: what is reported is certain. Here that is
//! seen if both have the same name; what took the place of a directory that no entry names, only who makes the tree sees.

use alloc::{format, string::String, vec, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fgetxattr, fstat, makedev, openat, readlinkat, statat},
    io::Errno,
};

use super::{
    apply::OPAQUE,
    attributes::Attributes,
    name::{Path, Purpose},
    tar::{Entry, Event, Kind, Reader},
};
use crate::{Context, Error, Result, digest::fnv1a, file};

/// The mark of [`OPAQUE`] directories where that one may not be set.
const USER_OPAQUE: &str = "user.overlay.opaque";

/// Whose the nodes of the tree should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Those that the archive says.
    Stated,
    /// Anybody: whoever wrote the tree could not give it away.
    Any,
}

/// Compares one layer.
pub struct Audit {
    root: OwnedFd,
    owners: Owners,
    reader: Reader,
    /// The directory that was used last: its path, itself, its inode.
    parent: Option<(Vec<u8>, OwnedFd, u64)>,
    /// Hashes of inode and name of all that entries have made.
    made: Vec<u64>,
    /// The same of what they have hidden.
    hidden: Vec<u64>,
    fault: Option<String>,
    /// The archive is one that this reader does not take: nothing can be said.
    unread: bool,
}

impl Audit {
    /// Of this tree.
    pub fn new(root: OwnedFd, owners: Owners) -> Self {
        Audit {
            root,
            owners,
            reader: Reader::new(),
            parent: None,
            made: Vec::new(),
            hidden: Vec::new(),
            fault: None,
            unread: false,
        }
    }

    /// Takes the archive's next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        let mut reader = core::mem::take(&mut self.reader);
        while !self.unread {
            match reader.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Event::Entry(entry))) => match self.entry(entry) {
                    Ok(None) => {}
                    Ok(Some(fault)) => self.fault = self.fault.take().or(Some(fault)),
                    Err(_) => self.unread = true,
                },
                Ok(Some(_)) => {}
                Err(_) => self.unread = true,
            }
        }
        self.reader = reader;
    }

    /// What is wrong with the tree, after the whole archive.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if something is; of the file system.
    pub fn finish(mut self) -> Result<()> {
        crate::sort::by(&mut self.made, Ord::cmp);
        if self.unread || self.made.windows(2).any(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        if self.fault.is_none() {
            let mut known = core::mem::take(&mut self.hidden);
            known.append(&mut self.made);
            crate::sort::by(&mut known, Ord::cmp);
            self.fault = self.stranger(&known)?;
        }
        self.fault.map_or(Ok(()), |fault| Err(Error::Corrupt(format!("read tree: {fault}"))))
    }

    /// What is wrong with what this entry has made.
    fn entry(&mut self, entry: &Entry) -> Result<Option<String>> {
        let path = Path::clean(&entry.path)?;
        let purpose = path.purpose()?;
        let Some((directory, name)) = path.split() else {
            let stat = fstat(&self.root).context("stat", "tree")?;
            return Ok(self.attributes(entry, &stat).map(|fault| format!("its root: {fault}")));
        };
        if purpose == Purpose::Ignore || purpose == Purpose::Opaque && directory.is_empty() {
            return Ok(None);
        }
        let shown = path.as_bytes().escape_ascii();
        let Some((at, inode)) = self.enter(directory)? else {
            return Ok(Some(format!("{shown}: it is missing")));
        };
        let fault = match purpose {
            Purpose::Opaque => (!is_opaque(&at)).then_some(NOT_OPAQUE),
            Purpose::Whiteout(name) => {
                let fault = hidden(&at, name)?;
                self.hidden.push(key(inode, name));
                fault
            }
            _ => {
                let fault = self.node(entry, &at, name)?;
                self.made.push(key(inode, name));
                fault
            }
        };
        self.parent = Some((directory.into(), at, inode));
        Ok(fault.map(|fault| format!("{shown}: {fault}")))
    }

    fn node(&self, entry: &Entry, at: &OwnedFd, name: &[u8]) -> Result<Option<&'static str>> {
        let stat = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Some("it is missing")),
            other => other.context("stat", name.escape_ascii())?,
        };
        if entry.kind == Kind::HardLink {
            return Ok((!self.is_linked(entry, &stat)?).then_some("it is not the link that it was"));
        }
        if let Some(fault) = self.attributes(entry, &stat) {
            return Ok(Some(fault));
        }
        Ok(match entry.kind {
            Kind::Symlink => {
                let target = readlinkat(at, name, Vec::new()).context("read link", name.escape_ascii())?;
                (target.to_bytes() != entry.link).then_some("it leads to something else than it did")
            }
            Kind::CharDevice | Kind::BlockDevice => (stat.st_rdev != makedev(entry.device.0, entry.device.1))
                .then_some("it is another device than it was"),
            Kind::File | Kind::Directory => lost_attribute(entry, at, name)?,
            _ => None,
        })
    }

    /// Kind, size, mode and owner.
    fn attributes(&self, entry: &Entry, stat: &Stat) -> Option<&'static str> {
        let kind = match entry.kind {
            Kind::File | Kind::HardLink => FileType::RegularFile,
            Kind::Symlink => FileType::Symlink,
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::Directory => FileType::Directory,
            Kind::Fifo => FileType::Fifo,
        };
        // Whoever could not give a file away lost its set-id bits, and a change of owner takes them from what is no file.
        let bits = match (entry.kind, self.owners) {
            (Kind::Symlink, _) => 0,
            (Kind::File | Kind::Directory, Owners::Stated) => 0o7777,
            _ => 0o777,
        };
        if FileType::from_raw_mode(stat.st_mode) != kind {
            Some("it is of another kind than it was")
        } else if entry.kind == Kind::File && !entry.sparse && stat.st_size as u64 != entry.size {
            Some("it has another length than it had")
        } else if (stat.st_mode ^ entry.mode) & bits != 0 {
            Some("it has another mode than it had")
        } else if self.owners == Owners::Stated && (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
            Some("it has another owner than it had")
        } else {
            None
        }
    }

    fn is_linked(&self, entry: &Entry, there: &Stat) -> Result<bool> {
        let target = Path::clean(&entry.link)?;
        let Some((directory, name)) = target.split() else { return Ok(false) };
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        Ok(self
            .open(directory)
            .and_then(|directory| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW))
            .is_ok_and(|target| identity(&target) == identity(there)))
    }

    /// Opens the directory with this path, and tells its inode; `None` if there is none.
    fn enter(&mut self, path: &[u8]) -> Result<Option<(OwnedFd, u64)>> {
        if let Some((present, directory, inode)) = self.parent.take()
            && present == path
        {
            return Ok(Some((directory, inode)));
        }
        let directory = match self.open(path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            other => other.context("open", path.escape_ascii())?,
        };
        let inode = fstat(&directory).context("stat", path.escape_ascii())?.st_ino;
        Ok(Some((directory, inode)))
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        file::in_root(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Something in the tree that is not among what is known. Directories may have come with what is in them.
    fn stranger(&self, known: &[u64]) -> Result<Option<String>> {
        let mut waiting: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            let directory = match self.open(&path) {
                // Longer than what one call can name.
                Err(Errno::NAMETOOLONG) => continue,
                other => other.context("open", path.escape_ascii())?,
            };
            let inode = fstat(&directory).context("stat", path.escape_ascii())?.st_ino;
            for (name, kind) in file::entries(&directory, ".").context("list", path.escape_ascii())? {
                let name = name.to_bytes();
                let below =
                    if path.is_empty() { name.to_vec() } else { [&path, b"/".as_slice(), name].concat() };
                if kind == FileType::Directory {
                    waiting.push(below);
                } else if known.binary_search(&key(inode, name)).is_err() {
                    return Ok(Some(format!("{}: it does not belong to the layer", below.escape_ascii())));
                }
            }
        }
        Ok(None)
    }
}

const NOT_OPAQUE: &str = "it does not hide what is below it any more";

/// What is wrong with what hides a name of the layers below.
fn hidden(at: &OwnedFd, name: &[u8]) -> Result<Option<&'static str>> {
    let stat = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Some("what hides it is missing")),
        other => other.context("stat", name.escape_ascii())?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(at, name, flags, Mode::empty()).context("open", name.escape_ascii())?;
    Ok((!is_opaque(&directory)).then_some(NOT_OPAQUE))
}

/// Whether a directory carries the mark; one that can't be asked is believed.
fn is_opaque(directory: &OwnedFd) -> bool {
    [OPAQUE, USER_OPAQUE].iter().any(|mark| {
        let mut value = [0; 2];
        match fgetxattr(directory, *mark, value.as_mut_slice()) {
            Ok(count) => &value[..count] == b"y",
            Err(Errno::NODATA) => false,
            Err(_) => true,
        }
    })
}

/// What is wrong with the extended attributes that the file or directory has got. They are rare.
fn lost_attribute(entry: &Entry, at: &OwnedFd, name: &[u8]) -> Result<Option<&'static str>> {
    let wanted = Attributes::of(entry).xattrs;
    if wanted.is_empty() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let node = openat(at, name, flags, Mode::empty()).context("open", name.escape_ascii())?;
    let mut value = vec![0; 64 << 10];
    for (name, content) in &wanted {
        let is_kept = match fgetxattr(&node, name.as_slice(), value.as_mut_slice()) {
            Ok(count) => value[..count] == content[..],
            // The file system has none.
            Err(Errno::OPNOTSUPP) => true,
            Err(_) => false,
        };
        if !is_kept {
            return Ok(Some("it has other extended attributes than it had"));
        }
    }
    Ok(None)
}

fn key(inode: u64, name: &[u8]) -> u64 {
    fnv1a(inode.to_le_bytes().into_iter().chain(name.iter().copied()))
}

#[cfg(test)]
mod tests;

//! Entries of a layer -> a directory tree below a root, in the form that overlayfs stacks. Runs in the process that
//! extracts; nobody else writes to the tree meanwhile.
//!
//! Every directory is reached by openat2 inside the root, and nothing that exists is ever opened for writing: it is
//! put away and made anew. What exists in the tree was made by this layer, so that a whiteout, which hides only what the
//! layers below have, never takes away what is there.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, XattrFlags, chownat, fsetxattr, linkat, makedev,
        mkdirat, mknodat, openat, renameat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    attributes::{Attributes, Maker, Skipped, times},
    directories::Directories,
    name::{Path, Purpose},
    tar::{Entry, Event, Kind},
};
use crate::{Context, Error, Result, file, store::LayerFacts};

pub(super) const OPAQUE: &str = "trusted.overlay.opaque";
/// Its presence makes the kernel leave whiteouts out of the listing of a directory that no other layer has.
const ORIGIN: &str = "trusted.overlay.origin";

/// Most entries of one layer.
const ENTRIES_LIMIT: u64 = 1 << 22;

/// Writes one layer.
pub struct Applier {
    root: OwnedFd,
    /// Where [`REPLACED`] is made.
    beside: OwnedFd,
    /// How many nodes are in it.
    replaced: u64,
    maker: Maker,
    /// The directory that was used last, and its path.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// The file whose content is coming.
    file: Option<(OwnedFd, Attributes, Vec<u8>)>,
    /// What directories get when everything is in them.
    directories: Directories,
    /// Entries of all kinds.
    seen: u64,
    applied: Applied,
}

/// The directory beside the tree that gets what entries have replaced, under numbers.
pub const REPLACED: &str = "replaced";

/// The directory and the name of what a hard link links to.
type Target = (OwnedFd, Vec<u8>);

/// What became of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// Its sizes, as far as they are known here.
    pub facts: LayerFacts,
    /// It hides all layers below it.
    pub is_base: bool,
    /// The file system could not keep some extended attributes.
    pub lost_xattrs: bool,
}

impl Applier {
    /// Into the empty directory `root`, which is this process's own and has no default access list. What one entry makes and a later one replaces is put into the directory
    /// [`REPLACED`] of `beside`, which is on the same file system.
    pub fn new(root: OwnedFd, beside: OwnedFd) -> Self {
        let mut directories = Directories::default();
        directories.put(b"", Attributes::of_missing_directory()).expect("there is room for one");
        Applier {
            root,
            beside,
            replaced: 0,
            maker: Maker::this(),
            parent: None,
            file: None,
            directories,
            seen: 0,
            applied: Applied::default(),
        }
    }

    /// Takes what the reader says next.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for entries that make no sense or would do harm; errors of the kernel.
    pub fn take(&mut self, event: &Event<'_, '_>) -> Result<()> {
        match event {
            Event::Entry(entry) => self.begin(entry),
            Event::Content(bytes) => match &self.file {
                Some((file, _, path)) => {
                    self.applied.facts.size_bytes += bytes.len() as u64;
                    file::write_all(file, bytes).context("write", path.escape_ascii())
                }
                None => Ok(()),
            },
            Event::Hole(bytes) => match &self.file {
                Some((file, _, path)) => {
                    let size = &mut self.applied.facts.size_bytes;
                    *size = size.saturating_add(*bytes);
                    hole(file, *bytes).context("write", path.escape_ascii())
                }
                None => Ok(()),
            },
            Event::Complete => match self.file.take() {
                Some((file, attributes, path)) => {
                    let made = made_with(attributes.mode);
                    let skipped = attributes.complete(&file, made, self.maker, path.escape_ascii())?;
                    self.note(skipped);
                    Ok(())
                }
                None => Ok(()),
            },
            Event::End => Ok(()),
        }
    }

    /// The file that the last entry has made and whose content comes, and its path.
    pub fn present_file(&self) -> Option<(&OwnedFd, &[u8])> {
        self.file.as_ref().map(|(file, _, path)| (file, path.as_slice()))
    }

    /// Whether anything was replaced.
    pub fn has_replaced(&self) -> bool {
        self.replaced > 0
    }

    /// Gives the directories their attributes: only now does nothing change them any more.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn finish(mut self) -> Result<Applied> {
        for (path, attributes) in core::mem::take(&mut self.directories).children_first() {
            match self.open_directory(&path) {
                Ok(directory) => self.describe(&directory, &attributes, &path)?,
                // Another entry took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(os("open", &path, errno)),
            }
        }
        Ok(self.applied)
    }

    fn describe(&mut self, node: &OwnedFd, attributes: &Attributes, path: &[u8]) -> Result<()> {
        let skipped = attributes.apply(node, self.maker, path.escape_ascii())?;
        self.note(skipped);
        Ok(())
    }

    fn note(&mut self, skipped: Skipped) {
        self.applied.lost_xattrs |= skipped == Skipped::Xattrs;
    }

    fn begin(&mut self, entry: &Entry) -> Result<()> {
        self.file = None;
        self.seen += 1;
        if self.seen > ENTRIES_LIMIT {
            return Err(Error::Corrupt(format!("read tar: more than {ENTRIES_LIMIT} entries")));
        }
        let path = Path::clean(&entry.path)?;
        let purpose = path.purpose()?;
        let Some((directory, name)) = path.split() else {
            if entry.kind != Kind::Directory {
                return Err(refused("the root is not a directory", &entry.path));
            }
            return self.directories.put(b"", Attributes::of(entry));
        };
        match purpose {
            Purpose::Ignore => Ok(()),
            Purpose::Opaque if directory.is_empty() => {
                self.applied.is_base = true;
                Ok(())
            }
            Purpose::Opaque => {
                self.enter(directory)?;
                self.mark(directory, OPAQUE, b"y")
            }
            Purpose::Whiteout(hidden) => self.hide(directory, hidden),
            Purpose::Make => {
                if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
                    return Err(refused("a device that the kernel takes for a whiteout", &entry.path));
                }
                self.applied.facts.entries += 1;
                self.enter(directory)?;
                self.make(entry, &path, name)
            }
        }
    }

    fn hide(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        self.enter(directory)?;
        let parent = self.parent();
        match mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) if directory.is_empty() => Ok(()),
            Ok(()) => self.mark(directory, ORIGIN, b""),
            Err(Errno::EXIST) => {
                let there = self.stat(name)?;
                let path = [directory, name].join(&b"/"[usize::from(directory.is_empty())..]);
                // A file that this layer made hides the other one anyway; a directory has to be told so.
                if is_directory(&there) { self.mark(&path, OPAQUE, b"y") } else { Ok(()) }
            }
            Err(errno) => Err(os("create whiteout", name, errno)),
        }
    }

    fn make(&mut self, entry: &Entry, path: &Path, name: &[u8]) -> Result<()> {
        let link = if entry.kind == Kind::HardLink { Some(self.link_target(entry)?) } else { None };
        let replaced = match self.create(entry, path, name, link.as_ref()) {
            Err(Errno::EXIST) => {
                if self.stays(entry, path, name, link.as_ref())? {
                    return Ok(());
                }
                self.clear(path, name)?;
                // What was put away can't be linked to any more.
                if link.is_some() && self.link_target(entry).is_err() {
                    return Err(refused("hard link to what it replaces", &entry.path));
                }
                self.create(entry, path, name, link.as_ref())
                    .map_err(|errno| os("create", path.as_bytes(), errno))?;
                true
            }
            other => {
                other.map_err(|errno| os("create", path.as_bytes(), errno))?;
                false
            }
        };
        match entry.kind {
            Kind::File | Kind::HardLink => {}
            Kind::Directory => {
                self.directories.put(path.as_bytes(), Attributes::of(entry))?;
                // A directory in the place of something else does not show what a lower one has.
                if replaced {
                    self.mark(path.as_bytes(), OPAQUE, b"y")?;
                }
            }
            Kind::Symlink | Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                let parent = self.parent();
                if let Some((uid, gid)) = self.maker.change(entry.uid, entry.gid) {
                    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|errno| os("change owner of", path.as_bytes(), errno))?;
                }
                utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| os("set times of", path.as_bytes(), errno))?;
            }
        }
        if replaced {
            // The way to the present directory may have led over what was replaced.
            self.parent = None;
        }
        Ok(())
    }

    /// Makes the node in the present directory; EEXIST if something is there.
    fn create(
        &mut self,
        entry: &Entry,
        path: &Path,
        name: &[u8],
        link: Option<&Target>,
    ) -> Result<(), Errno> {
        let parent = self.parent();
        match entry.kind {
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(parent, name, flags, made_with(entry.mode))?;
                self.file = Some((file, Attributes::of(entry), path.as_bytes().into()));
                Ok(())
            }
            Kind::Directory => mkdirat(parent, name, Mode::RWXU),
            Kind::Symlink => symlinkat(entry.link.as_slice(), parent, name),
            Kind::HardLink => {
                let (directory, target) = link.expect("looked up for every hard link");
                linkat(directory, target.as_slice(), parent, name, AtFlags::empty())
            }
            Kind::CharDevice => self.node(FileType::CharacterDevice, entry, name),
            Kind::BlockDevice => self.node(FileType::BlockDevice, entry, name),
            Kind::Fifo => self.node(FileType::Fifo, entry, name),
        }
    }

    /// A node that has no content. Its mode is given with it, since opening a device is not without effect and a change
    /// of mode by name could meet something else.
    fn node(&self, kind: FileType, entry: &Entry, name: &[u8]) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(entry.mode);
        let mask = rustix::process::umask(Mode::empty());
        let made = mknodat(self.parent(), name, kind, mode, makedev(entry.device.0, entry.device.1));
        rustix::process::umask(mask);
        made
    }

    /// The directory and the name of what a hard link links to.
    fn link_target(&self, entry: &Entry) -> Result<Target> {
        let gone = || refused("hard link to nothing in this layer", &entry.path);
        let target = Path::clean(&entry.link)?;
        if target.purpose()? != Purpose::Make {
            return Err(gone());
        }
        let (directory, name) = target.split().ok_or_else(gone)?;
        let directory = self.open_parent(directory).map_err(|_| gone())?;
        let there = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| gone())?;
        if is_whiteout(&there) {
            return Err(gone());
        }
        if is_directory(&there) {
            return Err(refused("hard link to a directory", &entry.path));
        }
        Ok((directory, name.into()))
    }

    /// Whether what is there is what the entry means: a directory, or the very node that a link links to.
    fn stays(&mut self, entry: &Entry, path: &Path, name: &[u8], link: Option<&Target>) -> Result<bool> {
        let there = self.stat(name)?;
        match (entry.kind, link) {
            (Kind::Directory, _) if is_directory(&there) => {
                self.directories.put(path.as_bytes(), Attributes::of(entry))?;
                Ok(true)
            }
            (_, Some((directory, target))) => {
                let target = statat(directory, target.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
                Ok(target.is_ok_and(|target| (target.st_dev, target.st_ino) == (there.st_dev, there.st_ino)))
            }
            _ => Ok(false),
        }
    }

    /// Puts away what has the name, with everything below it.
    fn clear(&mut self, path: &Path, name: &[u8]) -> Result<()> {
        let there = self.stat(name)?;
        let attic =
            file::subdirectory(&self.beside, REPLACED, 0o700).context("create directory", REPLACED)?;
        renameat(self.parent(), name, &attic, format!("{}", self.replaced))
            .map_err(|errno| os("replace", path.as_bytes(), errno))?;
        self.replaced += 1;
        if is_directory(&there) {
            self.directories.forget(path.as_bytes());
        }
        Ok(())
    }
}

/// Getting around in the tree.
impl Applier {
    /// Makes `path` the present directory; what is missing on the way is made.
    fn enter(&mut self, path: &[u8]) -> Result<()> {
        if let Some((present, _)) = &self.parent
            && present == path
        {
            return Ok(());
        }
        let directory = match self.open_parent(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_way(path)?,
            other => other.map_err(|errno| os("open", path, errno))?,
        };
        self.parent = Some((path.into(), directory));
        Ok(())
    }

    /// The present directory.
    fn parent(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd())
    }

    fn open_parent(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        file::in_root(&self.root, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens a directory for a change of itself; its last component is not followed.
    fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        file::in_root(&self.root, path, flags, Mode::empty())
    }

    /// Makes the missing directories of a path; a whiteout on the way becomes one that hides what is below.
    fn make_way(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let failed = |errno| os("create directory", path, errno);
        let mut here = self.open_parent(b"").map_err(failed)?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut begin = 0;
        for end in ends.chain([path.len()]) {
            let (done, name) = (&path[..end], &path[begin..end]);
            begin = end + 1;
            // Each step starts at the root again, so that links in the tree are followed as the tree means them.
            here = match self.open_parent(done) {
                Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => {
                    let mut hides = false;
                    if errno == Errno::NOTDIR {
                        let there = statat(&here, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                        if !is_whiteout(&there) {
                            return Err(refused("name below something that is no directory", path));
                        }
                        unlinkat(&here, name, AtFlags::empty()).map_err(failed)?;
                        hides = true;
                    }
                    match mkdirat(&here, name, Mode::RWXU) {
                        Err(Errno::EXIST) => return Err(refused("name below a link to nothing", path)),
                        other => other.map_err(failed)?,
                    }
                    self.directories.put(done, Attributes::of_missing_directory())?;
                    if hides {
                        self.mark(done, OPAQUE, b"y")?;
                    }
                    self.open_parent(done).map_err(failed)?
                }
                other => other.map_err(failed)?,
            };
        }
        Ok(here)
    }

    fn stat(&self, name: &[u8]) -> Result<Stat> {
        statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| os("stat", name, errno))
    }

    /// Notes something for overlayfs on a directory.
    fn mark(&self, path: &[u8], attribute: &str, value: &[u8]) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = file::in_root(&self.root, path, flags, Mode::empty());
        directory
            .and_then(|directory| fsetxattr(&directory, attribute, value, XattrFlags::empty()))
            .map_err(|errno| os("mark for overlayfs", path, errno))
    }
}

/// What a file is made with that is to have this mode: what it gets when all of it is there is not there before.
fn made_with(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

/// Leaves out so many bytes of a file.
pub(super) fn hole(file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
    let bytes = i64::try_from(bytes).map_err(|_| Errno::FBIG)?;
    let end = rustix::fs::seek(file, SeekFrom::Current(bytes)).map_err(|errno| match errno {
        Errno::INVAL | Errno::OVERFLOW => Errno::FBIG,
        other => other,
    })?;
    rustix::fs::ftruncate(file, end)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::os(operation, shown(path), errno)
}

fn refused(why: &str, path: &[u8]) -> Error {
    Error::Corrupt(format!("read tar: {why}: {:.200}", path.escape_ascii()))
}

fn shown(path: &[u8]) -> String {
    format!("{}", path.escape_ascii())
}

#[cfg(test)]
mod tests;

//! Entries of an archive -> nodes in a tree that exists and that others may be changing meanwhile, as `cp` means it: in a
//! container by the server child, on the host by the client. A whiteout's name is a name like any other here.
//!
//! Everything is reached by openat2 inside the root, whatever links there are or appear. Nothing that exists is opened for
//! writing: it is removed and made anew, so that no device, pipe or other file is written through a name.

use alloc::{format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, linkat, makedev, mkdirat, mknodat,
        openat, statat, symlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    apply::hole,
    attributes::{Attributes, Maker, times},
    directories::Directories,
    name::Path,
    plain::{Limits, plain},
    tar::{Entry, Event, Fault, Kind, Reader},
    unpack::Source,
};
use crate::{Context, Error, Result, file};

/// What may take the place of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Anything of anything.
    Anything,
    /// A directory only of a directory, and nothing else of one.
    SameKind,
}

/// Whose the nodes are afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the archive says.
    Stated,
    /// Whoever runs this.
    Maker,
    /// This user and this group.
    Given(u32, u32),
}

/// How an archive is placed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What may take the place of what.
    pub replace: Replace,
    /// Whose the nodes are.
    pub owner: Owner,
    /// What has or begins with the first name in the archive gets the second instead. An empty first name is before all.
    pub rename: Option<(Vec<u8>, Vec<u8>)>,
}

/// Places one archive.
struct Placer<'a> {
    root: OwnedFd,
    /// The directory below the root that names of the archive start at.
    at: &'a [u8],
    rules: &'a Rules,
    maker: Maker,
    /// The directory that was used last, and its path.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// The file whose content is coming.
    file: Option<(OwnedFd, Attributes, Vec<u8>)>,
    /// What directories get when everything is in them.
    directories: Directories,
}

/// Places an archive, compressed or not, in the directory `at` below `root`.
///
/// # Errors
/// [`Error::Invalid`] for what the rules forbid; [`Error::Corrupt`] for the archive; of the kernel.
pub fn place(source: &mut Source<'_>, root: OwnedFd, at: &[u8], rules: &Rules) -> Result<()> {
    let mut reader = Reader::new();
    let maker = Maker::this();
    let mut placer =
        Placer { root, at, rules, maker, parent: None, file: None, directories: Directories::default() };
    plain("archive", source, Limits::NONE, &mut |mut bytes| {
        while let Some(event) = reader.next(&mut bytes).map_err(Fault::error)? {
            placer.take(&event)?;
        }
        Ok(())
    })?;
    reader.finish().map_err(Fault::error)?;
    placer.finish()
}

impl Placer<'_> {
    fn take(&mut self, event: &Event<'_, '_>) -> Result<()> {
        match event {
            Event::Entry(entry) => self.begin(entry),
            Event::Content(bytes) => match &self.file {
                Some((file, _, path)) => {
                    file::write_all(file, bytes).map_err(|errno| os("write", path, errno))
                }
                None => Ok(()),
            },
            Event::Hole(bytes) => match &self.file {
                Some((file, _, path)) => hole(file, *bytes).map_err(|errno| os("write", path, errno)),
                None => Ok(()),
            },
            Event::Complete => match self.file.take() {
                Some((file, attributes, path)) => {
                    attributes.apply(&file, self.maker, path.escape_ascii()).map(drop)
                }
                None => Ok(()),
            },
            Event::End => Ok(()),
        }
    }

    /// Gives the directories their attributes, children before parents.
    fn finish(mut self) -> Result<()> {
        for (path, attributes) in core::mem::take(&mut self.directories).children_first() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            match file::in_root(&self.root, self.full(&path), flags, Mode::empty()) {
                Ok(directory) => attributes.apply(&directory, self.maker, path.escape_ascii()).map(drop)?,
                // Somebody has removed it, or another entry took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(os("open", &path, errno)),
            }
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry) -> Result<()> {
        self.file = None;
        let path = self.renamed(&entry.path)?;
        let Some((directory, name)) = path.split() else {
            // The directory that everything goes into stays as it is.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(Error::Invalid("copy: the archive's root is not a directory".into())),
            };
        };
        if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
            return Err(refused("a device that the kernel takes for a whiteout", &entry.path));
        }
        self.enter(directory)?;
        let mut attributes = Attributes::of(entry);
        match self.rules.owner {
            Owner::Stated => {}
            Owner::Maker => {
                attributes.uid = rustix::process::geteuid().as_raw();
                attributes.gid = rustix::process::getegid().as_raw();
            }
            Owner::Given(uid, gid) => (attributes.uid, attributes.gid) = (uid, gid),
        }
        let failed = |errno| os("create", path.as_bytes(), errno);
        match self.create(entry, &path, name, &attributes) {
            Err(Errno::EXIST) => {
                let there = match self.stat(name) {
                    Err(Errno::NOENT) => None,
                    other => Some(is_directory(&other.map_err(|errno| os("stat", path.as_bytes(), errno))?)),
                };
                match (there, entry.kind == Kind::Directory) {
                    (Some(true), true) => {}
                    (Some(true), false) if self.rules.replace == Replace::SameKind => {
                        return Err(self.forbidden(["directory", "non-directory"], &path));
                    }
                    (Some(false), true) if self.rules.replace == Replace::SameKind => {
                        return Err(self.forbidden(["non-directory", "directory"], &path));
                    }
                    _ => {
                        let parent = self.parent();
                        file::remove_tree(parent, name)
                            .map_err(|errno| os("remove", path.as_bytes(), errno))?;
                        self.create(entry, &path, name, &attributes).map_err(failed)?;
                    }
                }
            }
            other => other.map_err(failed)?,
        }
        if entry.kind == Kind::Directory {
            self.directories.put(path.as_bytes(), attributes)?;
        }
        Ok(())
    }

    /// Makes the node in the present directory; EEXIST if something is there.
    fn create(
        &mut self,
        entry: &Entry,
        path: &Path,
        name: &[u8],
        attributes: &Attributes,
    ) -> Result<(), Errno> {
        let kind = match entry.kind {
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(self.parent(), name, flags, Mode::RUSR | Mode::WUSR)?;
                self.file = Some((file, attributes.clone(), path.as_bytes().into()));
                return Ok(());
            }
            Kind::Directory => return mkdirat(self.parent(), name, Mode::RWXU),
            Kind::HardLink => return self.link(entry, name),
            Kind::Symlink => {
                symlinkat(entry.link.as_slice(), self.parent(), name)?;
                FileType::Symlink
            }
            Kind::CharDevice => self.special(FileType::CharacterDevice, entry, name)?,
            Kind::BlockDevice => self.special(FileType::BlockDevice, entry, name)?,
            Kind::Fifo => self.special(FileType::Fifo, entry, name)?,
        };
        if let Some((uid, gid)) = self.maker.change(attributes.uid, attributes.gid) {
            self.give(name, kind, uid, gid)?;
        }
        utimensat(self.parent(), name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn special(&self, kind: FileType, entry: &Entry, name: &[u8]) -> Result<FileType, Errno> {
        let mask = rustix::process::umask(Mode::empty());
        let device = makedev(entry.device.0, entry.device.1);
        let made = mknodat(self.parent(), name, kind, Mode::from_raw_mode(entry.mode), device);
        rustix::process::umask(mask);
        made.map(|()| kind)
    }

    /// Gives a node that was just made its owner, if it is still of its kind: it is held while it is looked at.
    fn give(&self, name: &[u8], kind: FileType, uid: Uid, gid: Gid) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = openat(self.parent(), name, flags, Mode::empty())?;
        let stat = fstat(&node)?;
        if FileType::from_raw_mode(stat.st_mode) == kind && stat.st_nlink == 1 {
            chownat(&node, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
        Ok(())
    }

    fn link(&self, entry: &Entry, name: &[u8]) -> Result<(), Errno> {
        let target = self.renamed(&entry.link).map_err(|_| Errno::NOENT)?;
        let (directory, target) = target.split().ok_or(Errno::NOENT)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = file::in_root(&self.root, self.full(directory), flags, Mode::empty())?;
        match linkat(&directory, target, self.parent(), name, AtFlags::empty()) {
            // Linking a name to itself changes nothing.
            Err(Errno::EXIST) => {
                let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
                let there = self.stat(name).map(identity)?;
                let wanted = statat(&directory, target, AtFlags::SYMLINK_NOFOLLOW).map(identity)?;
                if there == wanted { Ok(()) } else { Err(Errno::EXIST) }
            }
            other => other,
        }
    }

    fn renamed(&self, name: &[u8]) -> Result<Path> {
        let path = Path::clean(name)?;
        let Some((old, new)) = &self.rules.rename else { return Ok(path) };
        let rest = match path.as_bytes() {
            all if old.is_empty() => all,
            all => match all.strip_prefix(old.as_slice()) {
                Some(rest) if rest.is_empty() || rest[0] == b'/' => rest,
                _ => return Ok(path),
            },
        };
        Path::clean(&[new.as_slice(), b"/", rest].concat())
    }

    /// Makes `path` the present directory; what is missing on the way is made.
    fn enter(&mut self, path: &[u8]) -> Result<()> {
        if self.parent.as_ref().is_none_or(|(present, _)| present != path) {
            let directory = file::make_directories(&self.root, &self.full(path))
                .map_err(|errno| os("open directory", path, errno))?;
            self.parent = Some((path.into(), directory));
        }
        Ok(())
    }

    /// The present directory.
    fn parent(&self) -> rustix::fd::BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd())
    }

    /// A path of the archive as one below the root.
    fn full(&self, path: &[u8]) -> Vec<u8> {
        let mut full = vec![b'.', b'/'];
        full.extend_from_slice(self.at);
        full.push(b'/');
        full.extend_from_slice(path);
        full
    }

    fn stat(&self, name: &[u8]) -> Result<Stat, Errno> {
        statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn forbidden(&self, [old, new]: [&str; 2], path: &Path) -> Error {
        let path = path.as_bytes().escape_ascii();
        Error::Invalid(format!("cannot overwrite {old} \"{path}\" with {new}"))
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Err::<(), _>(errno).context(operation, path.escape_ascii()).expect_err("it is one")
}

fn refused(why: &str, path: &[u8]) -> Error {
    Error::Corrupt(format!("read tar: {why}: {:.200}", path.escape_ascii()))
}

#[cfg(test)]
mod tests;

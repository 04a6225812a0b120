//! The first filling of a volume: what the image has at the place where an empty volume is mounted is copied into it,
//! with owners, modes, attributes, links and times.
//!
//! Everything is done by directories that are open: names in the source are never followed, and names in the volume, in
//! which another container may be at work, never lead out of it.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, Timespec, Timestamps, chownat, fgetxattr,
        flistxattr, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat, utimensat,
    },
    io::Errno,
};

use super::publish::open_directory;
use crate::{
    Context, Error, Result, file,
    layer::attributes::{Attributes, Maker},
};

const BUFFER_BYTES: usize = 128 << 10;

/// What became of a filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The volume has what the source has.
    Now,
    /// There was something in it, so that it was left alone.
    Before,
}

/// Fills the volume whose directory (with `_data` in it) is `volume`, if nothing is in it, from the directory `source`.
/// Only one process fills at a time; one that is killed is made up for by the next.
///
/// # Errors
/// Of the file system.
pub fn fill(volume: BorrowedFd<'_>, source: BorrowedFd<'_>) -> Result<Filled> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = openat(volume, ".", flags, Mode::empty()).context("open", "volume")?;
    file::lock(&lock, FlockOperation::LockExclusive).context("lock", "volume")?;
    let data = open_directory(&lock, "_data").context("open", "_data")?;
    let is_new = match file::create(&lock, "filling", b"", 0o600) {
        Ok(_) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(Error::os("create", "filling", errno)),
    };
    let there = file::entries(&data, ".").context("list", "_data")?;
    let filled = if is_new && !there.is_empty() {
        Filled::Before
    } else {
        for (name, _) in &there {
            file::remove_tree(&data, name).context("remove", name.to_string_lossy())?;
        }
        copy(source, data.as_fd())?;
        Filled::Now
    };
    rustix::fs::unlinkat(&lock, "filling", AtFlags::empty()).context("remove", "filling")?;
    Ok(filled)
}

struct Copy<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    maker: Maker,
    /// Where the first name of a file with several names went: directory and name.
    links: BTreeMap<(u64, u64), (Vec<u8>, Vec<u8>)>,
    buffer: Vec<u8>,
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut copy =
        Copy { from, to, maker: Maker::this(), links: BTreeMap::new(), buffer: vec![0; BUFFER_BYTES] };
    // A list instead of recursion: no tree is too deep for it. Parents stand before their children.
    let mut directories: Vec<Vec<u8>> = vec![b".".to_vec()];
    let mut at = 0;
    while at < directories.len() {
        let deeper = copy.directory(&directories[at])?;
        directories.extend(deeper);
        at += 1;
    }
    for path in directories.iter().rev() {
        let failed = |errno| os("open", path, errno);
        let (from, to) = (copy.open(from, path).map_err(failed)?, copy.open(to, path).map_err(failed)?);
        let stat = rustix::fs::fstat(&from).map_err(failed)?;
        attributes(&from, &stat, path)?.apply(&to, copy.maker, path.escape_ascii())?;
    }
    Ok(())
}

impl Copy<'_> {
    fn open(&self, root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        file::beneath(root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Copies what is in a directory, and makes the directories in it, whose paths it gives.
    fn directory(&mut self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let failed = |errno| os("open", path, errno);
        let (from, to) =
            (self.open(self.from, path).map_err(failed)?, self.open(self.to, path).map_err(failed)?);
        let mut deeper = Vec::new();
        for (name, _) in file::entries(&from, ".").map_err(failed)? {
            let name = name.to_bytes();
            let full = [path, b"/", name].concat();
            let stat =
                statat(&from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| os("stat", &full, errno))?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            match kind {
                FileType::Directory => {
                    mkdirat(&to, name, Mode::RWXU).map_err(|errno| os("create directory", &full, errno))?;
                    deeper.push(full);
                }
                // Nobody listens on a copy of a socket, and a whiteout is not there.
                FileType::Socket => {}
                FileType::CharacterDevice if stat.st_rdev == 0 => {}
                _ => {
                    let known =
                        if stat.st_nlink > 1 { self.links.get(&(stat.st_dev, stat.st_ino)) } else { None };
                    if let Some((directory, first)) = known {
                        self.open(self.to, directory)
                            .and_then(|parent| linkat(parent, first.as_slice(), &to, name, AtFlags::empty()))
                            .map_err(|errno| os("link", &full, errno))?;
                        continue;
                    }
                    if kind == FileType::RegularFile {
                        self.file(&from, &to, name, &full)?;
                    } else {
                        self.special(&from, &to, name, &stat).map_err(|errno| os("create", &full, errno))?;
                    }
                    if stat.st_nlink > 1 {
                        self.links.insert((stat.st_dev, stat.st_ino), (path.into(), name.into()));
                    }
                }
            }
        }
        Ok(deeper)
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &[u8], full: &[u8]) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, name, flags, Mode::empty()).map_err(|errno| os("open", full, errno))?;
        let stat = rustix::fs::fstat(&source).map_err(|errno| os("stat", full, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::Conflict(format!("copy {}: it is being changed", full.escape_ascii())));
        }
        let target = file::create(to, name, b"", 0o600).map_err(|errno| os("create", full, errno))?;
        loop {
            match file::read_part(&source, &mut self.buffer).map_err(|errno| os("read", full, errno))? {
                0 => break,
                count => file::write_all(&target, &self.buffer[..count])
                    .map_err(|errno| os("write", full, errno))?,
            }
        }
        attributes(&source, &stat, full)?.apply(&target, self.maker, full.escape_ascii())?;
        Ok(())
    }

    /// A symbolic link, a pipe or a device.
    fn special(&self, from: &OwnedFd, to: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), Errno> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Symlink {
            symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
        } else {
            let mask = rustix::process::umask(Mode::empty());
            let made = mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode & 0o7777), stat.st_rdev);
            rustix::process::umask(mask);
            made?;
        }
        if let Some((uid, gid)) = self.maker.change(stat.st_uid, stat.st_gid) {
            chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn attributes(node: &OwnedFd, stat: &Stat, path: &[u8]) -> Result<Attributes> {
    let mut xattrs = Vec::new();
    let mut names = vec![0; 64 << 10];
    let listed = match flistxattr(node, names.as_mut_slice()) {
        Ok(count) => &names[..count],
        Err(Errno::OPNOTSUPP) => &[][..],
        Err(errno) => return Err(os("list extended attributes of", path, errno)),
    };
    for name in listed.split(|byte| *byte == 0) {
        let is_kept =
            matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
                || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        if is_kept {
            let mut value = vec![0; 64 << 10];
            let count = fgetxattr(node, name, value.as_mut_slice())
                .map_err(|errno| os("read extended attribute of", path, errno))?;
            value.truncate(count);
            xattrs.push((name.to_vec(), value));
        }
    }
    Ok(Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        times: Some(times(stat)),
        xattrs,
    })
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::os(operation, String::from_utf8_lossy(&path.escape_ascii().collect::<Vec<u8>>()), errno)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use rustix::fs::{XattrFlags, fchmod, fchown, fsetxattr};

    use super::*;
    use crate::{container::config::Map, store::tests::ScratchStore};

    struct Scratch {
        store: ScratchStore,
        source: OwnedFd,
        volume: OwnedFd,
    }

    impl Scratch {
        fn new(name: &str) -> Option<Self> {
            if !rustix::process::geteuid().is_root() {
                std::println!("skipped: not root");
                return None;
            }
            let store = ScratchStore::new(name);
            let source = file::subdirectory(store.store.root(), "source", 0o750).unwrap();
            store.store.create_volume(&store.store.share().unwrap(), "vol", &Map::new()).unwrap();
            let volume = store.store.open_volume("vol").unwrap();
            Some(Scratch { store, source, volume })
        }

        fn fill(&self) -> Result<Filled> {
            fill(self.volume.as_fd(), self.source.as_fd())
        }

        fn data(&self) -> OwnedFd {
            file::directory(&self.volume, "_data").unwrap()
        }

        fn stat(&self, path: &str) -> Stat {
            statat(self.data(), path, AtFlags::SYMLINK_NOFOLLOW).unwrap()
        }
    }

    #[test]
    fn an_empty_volume_gets_all_of_the_directory_and_a_full_one_nothing() {
        let Some(scratch) = Scratch::new("fill") else { return };
        let source = &scratch.source;
        let deep = file::make_directories(source, b"a/b/c").unwrap();
        let f = file::create(&deep, "f", &[b'x'; 300_000], 0o600).unwrap();
        fchown(&f, Some(rustix::fs::Uid::from_raw(7)), Some(rustix::fs::Gid::from_raw(8))).unwrap();
        fsetxattr(&f, "user.note", b"1", XattrFlags::empty()).unwrap();
        fchmod(&f, Mode::from_raw_mode(0o4711)).unwrap();
        rustix::fs::futimens(
            &f,
            &Timestamps {
                last_access: Timespec { tv_sec: 2, tv_nsec: 0 },
                last_modification: Timespec { tv_sec: 1, tv_nsec: 5 },
            },
        )
        .unwrap();
        linkat(&deep, "f", source, "\n\u{ff}", AtFlags::empty()).unwrap();
        symlinkat("/etc/passwd", source, "s").unwrap();
        mknodat(source, "p", FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        fchmod(
            file::beneath(source, "a", OFlags::RDONLY, Mode::empty()).unwrap(),
            Mode::from_raw_mode(0o1500),
        )
        .unwrap();
        assert_eq!(scratch.fill(), Ok(Filled::Now));
        let stat = scratch.stat("a/b/c/f");
        assert_eq!((stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_size), (0o4711, 7, 8, 300_000));
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec, stat.st_nlink), (1, 5, 2));
        assert_eq!(scratch.stat("\n\u{ff}").st_ino, stat.st_ino);
        assert_eq!((scratch.stat("a").st_mode & 0o7777, scratch.stat(".").st_mode & 0o7777), (0o1500, 0o750));
        assert_eq!(FileType::from_raw_mode(scratch.stat("p").st_mode), FileType::Fifo);
        assert_eq!(file::link_target(scratch.data(), "s").unwrap(), "/etc/passwd");
        let copied = file::beneath(scratch.data(), "a/b/c/f", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(fgetxattr(&copied, "user.note", &mut [0; 9]), Ok(1));
        file::create(source, "later", b"", 0o600).unwrap();
        assert_eq!(scratch.fill(), Ok(Filled::Before));
        assert_eq!(file::names(&scratch.volume, ".").unwrap().len(), 2);
        assert!(!file::names(scratch.data(), ".").unwrap().contains(&"later".to_string()));
    }

    #[test]
    fn an_interrupted_filling_is_begun_again() {
        let Some(scratch) = Scratch::new("interrupted") else { return };
        file::create(&scratch.source, "whole", b"1", 0o600).unwrap();
        file::create(&scratch.volume, "filling", b"", 0o600).unwrap();
        file::create(scratch.data(), "half", b"", 0o600).unwrap();
        assert_eq!(scratch.fill(), Ok(Filled::Now));
        assert_eq!(file::names(scratch.data(), ".").unwrap(), ["whole"]);
        assert!(!file::names(&scratch.volume, ".").unwrap().contains(&"filling".to_string()));
        drop(scratch.store);
    }
}

//! What must hold for any archive that becomes a tree on a real file system: nothing beside the tree changes, and what was
//! taken in comes back to the byte and describes the tree. And for any entry that is written: it reads as itself.

#![allow(dead_code)]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{CWD, Mode, OFlags, openat},
};
use skiff_core::layer::{
    audit::{Audit, Owners},
    emit,
    pax::Moment,
    skeleton::replay,
    tar::{Entry, Event, Kind, Reader},
    unpack::{SKELETON, extract},
};

/// A directory with a canary in it, removed at the end.
struct Cage(PathBuf);

impl Cage {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // In memory where that can be.
        let place = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let path = place.join(format!("skiff-cage-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("layer")).unwrap();
        fs::write(path.join("canary"), b"alive").unwrap();
        Cage(path)
    }

    /// Everything of the canary that an archive could change, and what lies beside it.
    fn state(&self) -> (Vec<u8>, Vec<i64>, Vec<String>) {
        let canary = self.0.join("canary");
        let stat = fs::symlink_metadata(&canary).unwrap();
        let numbers = [u64::from(stat.mode()), u64::from(stat.uid()), u64::from(stat.gid()), stat.nlink()];
        let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()];
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let numbers = numbers.iter().map(|number| *number as i64).chain(times).collect();
        (fs::read(&canary).unwrap(), numbers, names)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An archive becomes a tree, or is refused; either way nothing beside it changes. Of a tree and its skeleton the archive
/// comes back, and it finds no fault with the tree, unless its entries replace each other.
pub fn layer(data: &[u8]) {
    let [seed, archive @ ..] = data else { return };
    let cage = Cage::new();
    let before = cage.state();
    let open = |name: &str| -> OwnedFd {
        openat(CWD, cage.0.join(name).to_str().unwrap(), OFlags::RDONLY, Mode::empty()).unwrap()
    };
    let directory = open("layer");
    let step = usize::from(*seed) * 16 + 1;
    let mut rest = archive;
    let mut read = |buffer: &mut [u8]| {
        let count = rest.len().min(step).min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        Ok(count)
    };
    let extracted = extract(&mut read, directory.as_fd());
    assert_eq!(cage.state(), before);
    let Ok(applied) = extracted else { return };
    let tree = open(if applied.is_base { "layer/base" } else { "layer/tree" });
    let skeleton = open(&format!("layer/{SKELETON}"));
    assert_eq!(fs::read_dir(cage.0.join("layer")).unwrap().count(), 2);
    let mut back = Vec::new();
    let mut sink = |part: &[u8]| {
        back.extend_from_slice(part);
        Ok(())
    };
    replay(&skeleton, tree.as_fd(), &mut sink).unwrap();
    assert!(back == archive, "the archive comes back");
    if !applied.facts.replaced {
        let mut audit = Audit::new(tree, Owners::Stated);
        archive.chunks(step).for_each(|part| audit.take(part));
        audit.finish().unwrap();
    }
    assert_eq!(cage.state(), before);
}

/// Takes values from the front of some bytes.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn number(&mut self) -> u64 {
        let (value, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        let mut number = [0; 8];
        number[..value.len()].copy_from_slice(value);
        u64::from_le_bytes(number)
    }

    /// Not empty, without NUL; long ones repeat.
    fn name(&mut self) -> Vec<u8> {
        let control = self.number();
        let (part, rest) = self.0.split_at(self.0.len().min(control as usize % 40));
        self.0 = rest;
        let mut name: Vec<u8> = part.iter().map(|byte| (*byte).max(1)).collect();
        name.push(b'n');
        name.repeat((control >> 16) as usize % 12 + 1)
    }
}

/// What is written of an entry reads as the same entry.
pub fn emit(data: &[u8]) {
    let mut dice = Dice(data);
    let kinds = [
        Kind::File,
        Kind::HardLink,
        Kind::Symlink,
        Kind::CharDevice,
        Kind::BlockDevice,
        Kind::Directory,
        Kind::Fifo,
    ];
    let kind = kinds[dice.number() as usize % kinds.len()];
    let mut path = dice.name();
    if kind == Kind::Directory {
        path.push(b'/');
    }
    let is_link = matches!(kind, Kind::HardLink | Kind::Symlink);
    let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
    let owner = |number: u64| (number as u32).min(u32::MAX - 1);
    let mut xattrs = Vec::new();
    for number in 0..dice.number() % 4 {
        let name: Vec<u8> = dice.name().into_iter().filter(|byte| *byte != b'=').collect();
        let value = dice.0[..dice.0.len().min(50)].to_vec();
        xattrs.push(([format!("user.{number}").into_bytes(), name].concat(), value));
    }
    let entry = Entry {
        kind,
        path,
        link: if is_link { dice.name() } else { Vec::new() },
        mode: dice.number() as u32 & 0o7777,
        uid: owner(dice.number()),
        gid: owner(dice.number()),
        size: if kind == Kind::File { dice.number() >> 1 } else { 0 },
        mtime: Moment {
            seconds: (dice.number() as i64).max(1 - i64::MAX),
            nanos: dice.number() as u32 % 1_000_000_000,
        },
        device: if is_device {
            (dice.number() as u32 & 0xfff, dice.number() as u32 & 0xf_ffff)
        } else {
            (0, 0)
        },
        xattrs,
        ..Entry::default()
    };
    let mut archive = Vec::new();
    emit::header(&entry, &mut archive);
    assert_eq!(archive.len() % 512, 0);
    let (mut reader, mut rest) = (Reader::new(), archive.as_slice());
    assert_eq!(reader.next(&mut rest), Ok(Some(Event::Entry(&entry))));
    assert!(rest.is_empty());
}

//! Trees that are what their archive says, and trees of which something was taken, changed or added.

use alloc::string::ToString;

use rustix::{
    fd::AsFd,
    fs::{FileType, Gid, Uid, XattrFlags, chmodat, chownat, fsetxattr, mknodat, symlinkat, unlinkat},
};

use super::*;
use crate::{
    file::CWD,
    layer::{
        tar::tests::{Block, archive},
        unpack::extract,
    },
};

struct Scratch {
    path: String,
    directory: OwnedFd,
    archive: Vec<u8>,
}

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return None;
        }
        let path = format!("/tmp/skiff-audit-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Some(Scratch {
            directory: file::make_host_directories(&path, 0o700).unwrap(),
            path,
            archive: Vec::new(),
        })
    }

    fn extract(&mut self, blocks: &[Block]) {
        for name in file::names(&self.directory, ".").unwrap() {
            file::remove_tree(&self.directory, name.as_str()).unwrap();
        }
        self.archive = archive(blocks);
        let mut rest = self.archive.as_slice();
        let mut read = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        extract(&mut read, self.directory.as_fd()).unwrap();
    }

    fn tree(&self) -> OwnedFd {
        file::directory(&self.directory, "tree")
            .or_else(|_| file::directory(&self.directory, "base"))
            .unwrap()
    }

    /// What is wrong; empty if nothing is.
    fn fault(&self) -> String {
        let mut audit = Audit::new(self.tree(), Owners::Stated);
        self.archive.chunks(777).for_each(|part| audit.take(part));
        audit.finish().map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn open(&self, path: &str) -> OwnedFd {
        file::beneath(self.tree(), path, OFlags::RDONLY, Mode::empty()).unwrap()
    }

    fn remove(&self, path: &str) {
        file::remove_tree(self.tree(), path).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.path.as_str());
    }
}

fn blocks() -> Vec<Block> {
    let mut device = Block::new(b'3', b"d/null", b"").field(329, "0000001\0").field(337, "0000003\0");
    device = device.mode(0o666);
    vec![
        Block::directory("./").mode(0o751),
        Block::directory("d/"),
        Block::file("d/f", b"some content"),
        Block::file("d/empty", b""),
        Block::file("d/suid", b"x").mode(0o4755).field(108, "0000007"),
        Block::symlink("d/s", "../d/f"),
        Block::hard_link("d/h", "d/f"),
        Block::pax(&[("SCHILY.xattr.user.note", b"1")]),
        Block::file("d/noted", b"n"),
        device,
        Block::new(b'6', b"d/p", b""),
        Block::file("way/that/nobody/described", b""),
        Block::symlink("l", "d"),
        Block::file("l/through", b""),
        Block::file("d/.wh.gone", b""),
        Block::directory("o/"),
        Block::file("o/.wh..wh..opq", b""),
        Block::directory("w/"),
        Block::file(".wh.w", b""),
        Block::file(".wh..wh.plnk", b""),
    ]
}

#[test]
fn a_tree_that_is_what_its_archive_says_has_no_fault() {
    let Some(mut scratch) = Scratch::new("good") else { return };
    scratch.extract(&blocks());
    assert_eq!(scratch.fault(), "");
    scratch.extract(&[Block::file(".wh..wh..opq", b""), Block::file("x", b"")]);
    assert_eq!(scratch.fault(), "");
    scratch.extract(&[]);
    assert_eq!(scratch.fault(), "");
}

/// What is done to a tree, and what is then said of it.
type Case<'a> = (&'a dyn Fn(&Scratch), &'a str);

#[test]
fn whatever_is_taken_changed_or_added_is_told() {
    let Some(mut scratch) = Scratch::new("bad") else { return };
    let cases: [Case<'_>; 19] = [
        (&|s| s.remove("d/empty"), "d/empty: it is missing"),
        (&|s| s.remove("d/s"), "d/s: it is missing"),
        (&|s| s.remove("d"), "d: it is missing"),
        (&|s| s.remove("way"), "way/that/nobody/described: it is missing"),
        (&|s| s.remove("d/gone"), "d/.wh.gone: what hides it is missing"),
        (
            &|s| {
                s.remove("d/s");
                symlinkat("f", s.tree(), "d/s").unwrap();
            },
            "d/s: it leads to something else",
        ),
        (
            &|s| {
                s.remove("d/h");
                file::create(s.tree(), "d/h", b"some content", 0o644).unwrap();
            },
            "d/h: it is not the link that it was",
        ),
        (
            &|s| {
                s.remove("d/empty");
                mknodat(s.tree(), "d/empty", FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
            },
            "d/empty: it is of another kind",
        ),
        (
            &|s| {
                s.remove("d/null");
                let mode = Mode::from_raw_mode(0o666);
                mknodat(s.tree(), "d/null", FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
                chmodat(s.tree(), "d/null", mode, AtFlags::empty()).unwrap();
            },
            "d/null: it is another device",
        ),
        (
            &|s| {
                file::write_all(
                    file::beneath(s.tree(), "d/empty", OFlags::WRONLY, Mode::empty()).unwrap(),
                    b"x",
                )
                .unwrap()
            },
            "d/empty: it has another length",
        ),
        (
            &|s| chmodat(s.tree(), "d/suid", Mode::from_raw_mode(0o755), AtFlags::empty()).unwrap(),
            "d/suid: it has another mode",
        ),
        (
            &|s| chmodat(s.tree(), "d", Mode::from_raw_mode(0o700), AtFlags::empty()).unwrap(),
            "d: it has another mode",
        ),
        (
            &|s| {
                let (user, group) = (Uid::from_raw(8), Gid::from_raw(0));
                chownat(s.tree(), "d/s", Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW).unwrap();
            },
            "d/s: it has another owner",
        ),
        (
            &|s| fsetxattr(s.open("d/noted"), "user.note", b"2", XattrFlags::empty()).unwrap(),
            "d/noted: it has other extended attributes",
        ),
        (
            &|s| rustix::fs::fremovexattr(s.open("o"), OPAQUE).unwrap(),
            "o/.wh..wh..opq: it does not hide what is below it",
        ),
        (
            &|s| rustix::fs::fremovexattr(s.open("w"), OPAQUE).unwrap(),
            ".wh.w: it does not hide what is below it",
        ),
        (
            &|s| drop(file::create(s.open("way/that"), "stranger", b"", 0o644).unwrap()),
            "way/that/stranger: it does not belong to the layer",
        ),
        (
            &|s| mknodat(s.tree(), "d/more", FileType::CharacterDevice, Mode::empty(), 0).unwrap(),
            "d/more: it does not belong to the layer",
        ),
        (
            &|s| rustix::fs::fchmod(s.open("."), Mode::from_raw_mode(0o700)).unwrap(),
            "its root: it has another mode",
        ),
    ];
    for (damage, words) in cases {
        scratch.extract(&blocks());
        damage(&scratch);
        let fault = scratch.fault();
        assert!(fault.contains(words), "{words}: {fault}");
    }
}

#[test]
fn nothing_is_said_of_a_layer_whose_entries_replace_each_other() {
    let Some(mut scratch) = Scratch::new("replaced") else { return };
    scratch.extract(&[
        Block::symlink("a", "b"),
        Block::directory("b/"),
        Block::file("a/f", b""),
        Block::directory("a/"),
    ]);
    assert_eq!(scratch.fault(), "");
    scratch.extract(&[Block::file("x", b"1").mode(0o600), Block::file("x", b"22")]);
    assert_eq!(scratch.fault(), "");
    unlinkat(scratch.tree(), "x", AtFlags::empty()).unwrap();
    assert_eq!(scratch.fault(), "");
}

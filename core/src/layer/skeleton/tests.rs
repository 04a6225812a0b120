//! Tars that go through a tree and its skeleton and come back, and what happens when one of the two is not what it was.

use alloc::string::{String, ToString};

use rustix::fd::AsFd;

use super::*;
use crate::{
    file::CWD,
    layer::{
        tar::tests::{Block, archive},
        unpack::{SKELETON, extract},
    },
};

struct Scratch {
    path: String,
    directory: OwnedFd,
}

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return None;
        }
        let path = format!("/tmp/skiff-skeleton-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Some(Scratch { directory: file::make_host_directories(&path, 0o700).unwrap(), path })
    }

    fn extract(&self, archive: &[u8], step: usize) {
        for name in file::names(&self.directory, ".").unwrap() {
            file::remove_tree(&self.directory, name.as_str()).unwrap();
        }
        let mut rest = archive;
        let mut read = |buffer: &mut [u8]| {
            let count = rest.len().min(step).min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        extract(&mut read, self.directory.as_fd()).unwrap();
        assert!(!file::names(&self.directory, ".").unwrap().contains(&"replaced".into()));
    }

    fn replay(&self) -> Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let skeleton = rustix::fs::openat(&self.directory, SKELETON, flags, Mode::empty()).unwrap();
        let tree = file::directory(&self.directory, "tree");
        let tree = tree.or_else(|_| file::directory(&self.directory, "base")).unwrap();
        let mut all = Vec::new();
        replay(&skeleton, tree.as_fd(), &mut |part| {
            all.extend_from_slice(part);
            Ok(())
        })?;
        Ok(all)
    }

    fn comes_back(&self, archive: &[u8]) {
        for step in [1 << 20, 1000, 7] {
            self.extract(archive, step);
            assert!(self.replay().unwrap() == archive, "{step}");
        }
    }

    fn skeleton_bytes(&self) -> u64 {
        rustix::fs::statat(&self.directory, SKELETON, rustix::fs::AtFlags::empty()).unwrap().st_size as u64
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.path.as_str());
    }
}

/// Bytes that no compression makes less of.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn a_tar_comes_back_to_the_byte_and_content_is_kept_once() {
    let Some(scratch) = Scratch::new("whole") else { return };
    let content = noise(500_000);
    let mut whole = archive(&[
        Block::directory("./"),
        Block::directory("d/").mode(0o500),
        Block::file("d/f", &content),
        Block::file("d/empty", b""),
        Block::pax(&[("mtime", b"12.5"), ("SCHILY.xattr.user.x", b"1\n2"), ("comment", &[0xfe; 900])]),
        Block::file("//d/./g", &content[..700]).mode(0),
        Block::symlink("s", "d"),
        Block::file("s/through", b"a link"),
        Block::hard_link("h", "d/f"),
        Block::file(".wh.gone", &content[..3000]),
        Block::file("d/.wh..wh..opq", b""),
    ]);
    // Padding that is not zero, and something behind the end.
    let at = whole.len() - 1024;
    assert_eq!(whole[at..], [0; 1024]);
    whole.extend_from_slice(&content[..9000]);
    whole.resize(whole.len() + 8192, 0);
    scratch.comes_back(&whole);
    assert!(scratch.skeleton_bytes() < 14_000, "{}", scratch.skeleton_bytes());
    for end in [0, 512, 1024, at, at + 512] {
        if end == 0 || end >= at {
            scratch.comes_back(&whole[..end]);
        }
    }
    scratch.comes_back(&[0; 700]);
    let map = Block::pax(&[("GNU.sparse.size", b"9000"), ("GNU.sparse.map", b"4096,512,8000,500")]);
    scratch.comes_back(&archive(&[map, Block::file("sparse", &content[..1012]), Block::file("f", b"f")]));
    let tree = file::directory(&scratch.directory, "tree").unwrap();
    let expanded = file::read(&tree, "sparse", 9000).unwrap();
    assert!(expanded[4096..4608] == content[..512] && expanded[8000..8500] == content[512..1012]);
    assert!(expanded.len() == 9000 && expanded[..4096].iter().all(|byte| *byte == 0));
    scratch.comes_back(&archive(&[Block::file("a/x", b"1"), Block::file(".wh..wh..opq", b"")]));
}

#[test]
fn what_was_replaced_comes_back_too() {
    let Some(scratch) = Scratch::new("replaced") else { return };
    let (a, b, c) = (noise(70_000), noise(1000), noise(3));
    scratch.comes_back(&archive(&[
        // A file by a file, one of two names by a file, a directory with files in it by a file.
        Block::file("a", &a),
        Block::file("a", &b),
        Block::file("b", &a),
        Block::hard_link("b2", "b"),
        Block::file("b", &c),
        Block::file("c/d/e", &b),
        Block::file("c/f", &c),
        Block::file("c", &a),
        // A link that files were reached through by a directory.
        Block::file("real/f", &c),
        Block::symlink("l", "real"),
        Block::file("l/g", &b),
        Block::directory("l/"),
        Block::file("l/g", &a),
        // A directory moves away, and comes again.
        Block::file("m/n", &b),
        Block::symlink("m", "real"),
        Block::file("m/o", &c),
        Block::directory("m/"),
        Block::file("m/n", &c),
        Block::file("a", &c),
    ]));
    let tree = file::directory(&scratch.directory, "tree").unwrap();
    assert_eq!(file::read(&tree, "real/g", 2000).unwrap(), b);
    assert_eq!(file::read(&tree, "b2", 80_000).unwrap(), a);
}

#[test]
fn a_tree_or_a_skeleton_that_has_changed_is_noticed() {
    let Some(scratch) = Scratch::new("damage") else { return };
    let whole = archive(&[Block::file("d/f", &noise(1000)), Block::file("g", b"g")]);
    scratch.extract(&whole, 512);
    let open = |path: &str, flags| {
        file::in_root(&scratch.directory, path, flags | OFlags::WRONLY, Mode::empty()).unwrap()
    };
    file::write_all(open("tree/g", OFlags::APPEND), b"x").unwrap();
    assert!(scratch.replay().unwrap_err().to_string().contains("g: it has another length"));
    file::remove_tree(&scratch.directory, "tree/g").unwrap();
    assert!(scratch.replay().unwrap_err().to_string().contains("g: it is missing"));
    rustix::fs::symlinkat("/etc/passwd", &scratch.directory, "tree/g").unwrap();
    assert!(scratch.replay().is_err());
    // Any cut and any wrong byte of the skeleton.
    scratch.extract(&whole, 512);
    let bytes = file::read(&scratch.directory, SKELETON, 1 << 20).unwrap();
    for at in 0..bytes.len() {
        let put = |bytes: &[u8]| {
            file::write_all(open(SKELETON, OFlags::TRUNC), bytes).unwrap();
            scratch.replay()
        };
        assert!(put(&bytes[..at]).is_err(), "cut at {at}");
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x10;
        // Not every bit of a gzip header or of a table of codes means something.
        assert!(put(&wrong).map_or(true, |back| back == whole), "{at}");
    }
}

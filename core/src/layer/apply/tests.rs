//! What becomes of archives, good and hostile, on a real file system. Everything happens below a scratch directory beside
//! which a canary lies; nothing may touch that.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::fs::{fgetxattr, readlinkat};

use super::*;
use crate::layer::tar::{
    Fault, Reader,
    tests::{Block, archive},
};

struct Scratch {
    path: String,
    outer: OwnedFd,
}

impl Scratch {
    /// `None`, with a printed reason, where the tests can't make device nodes.
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return None;
        }
        let path = format!("/tmp/skiff-apply-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(file::CWD, path.as_str());
        let outer = file::make_host_directories(&path, 0o755).unwrap();
        file::create(&outer, "canary", b"alive", 0o644).unwrap();
        Some(Scratch { path, outer })
    }

    fn root(&self) -> OwnedFd {
        file::directory(&self.outer, "root").unwrap()
    }

    fn apply(&self, blocks: &[Block]) -> Result<Applied> {
        file::remove_tree(&self.outer, "root").unwrap();
        file::subdirectory(&self.outer, "root", 0o755).unwrap();
        let archive = archive(blocks);
        let (mut reader, mut applier) =
            (Reader::new(), Applier::new(self.root(), self.outer.try_clone().unwrap()));
        for mut slice in archive.chunks(1000) {
            while let Some(event) = reader.next(&mut slice).map_err(Fault::error)? {
                applier.take(&event)?;
            }
        }
        reader.finish().map_err(Fault::error)?;
        let applied = applier.finish();
        file::remove_tree(&self.outer, REPLACED).unwrap();
        assert_eq!(file::read(&self.outer, "canary", 100).unwrap(), b"alive");
        assert_eq!(mode(&file::CWD.as_fd(), &format!("{}/canary", self.path)), 0o100_644);
        applied
    }

    fn refused(&self, blocks: &[Block]) -> String {
        let error = self.apply(blocks).unwrap_err();
        file::remove_tree(&self.outer, REPLACED).unwrap();
        assert_eq!(file::read(&self.outer, "canary", 100).unwrap(), b"alive");
        assert_eq!(file::names(&self.outer, ".").unwrap().len(), 2);
        error.to_string()
    }

    /// Every path below the root with its type, sorted; links with what they say.
    fn tree(&self) -> Vec<String> {
        let mut all = Vec::new();
        walk(&self.root(), "", &mut all);
        all.sort();
        all
    }

    fn read(&self, path: &str) -> String {
        let open = file::in_root(self.root(), path, OFlags::RDONLY, Mode::empty()).unwrap();
        String::from_utf8(file::read_all(open, 1000).unwrap()).unwrap()
    }

    fn stat(&self, path: &str) -> Stat {
        statat(self.root(), path, AtFlags::SYMLINK_NOFOLLOW).unwrap()
    }

    fn xattr(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        let open = file::in_root(self.root(), path, OFlags::RDONLY, Mode::empty()).unwrap();
        let mut value = [0; 100];
        fgetxattr(&open, name, &mut value).ok().map(|count| value[..count].to_vec())
    }

    fn is_opaque(&self, path: &str) -> bool {
        self.xattr(path, OPAQUE).as_deref() == Some(b"y")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(file::CWD, self.path.as_str());
    }
}

fn walk(directory: &OwnedFd, prefix: &str, all: &mut Vec<String>) {
    for (name, kind) in file::entries(directory, ".").unwrap() {
        let path = format!("{prefix}{}", name.to_bytes().escape_ascii());
        match kind {
            FileType::Directory => {
                all.push(format!("{path}/"));
                walk(&file::directory(directory, &name).unwrap(), &format!("{path}/"), all);
            }
            FileType::Symlink => {
                let target = readlinkat(directory, &name, Vec::new()).unwrap();
                all.push(format!("{path} -> {}", target.to_bytes().escape_ascii()));
            }
            FileType::CharacterDevice => {
                let stat = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
                all.push(if stat.st_rdev == 0 { format!("{path} hidden") } else { format!("{path} device") });
            }
            FileType::Fifo => all.push(format!("{path} fifo")),
            _ => all.push(path),
        }
    }
}

fn mode(at: &BorrowedFd<'_>, path: &str) -> u32 {
    statat(at, path, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_mode
}

fn owned(block: Block, uid: u32, gid: u32) -> Block {
    block.field(108, &format!("{uid:07o}")).field(116, &format!("{gid:07o}"))
}

#[test]
fn a_tree_gets_content_owners_modes_attributes_and_times() {
    let Some(scratch) = Scratch::new("whole") else { return };
    // CAP_NET_RAW, effective, revision 2.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let times = || Block::pax(&[("mtime", b"1000000000.25"), ("atime", b"5")]);
    let applied = scratch
        .apply(&[
            owned(Block::directory("./").mode(0o711), 7, 8),
            times(),
            owned(Block::directory("d/").mode(0o555), 1, 2),
            times(),
            owned(Block::file("d/f", b"content").mode(0o6755), 3, 4),
            Block::pax(&[
                ("SCHILY.xattr.security.capability", &capability),
                ("SCHILY.xattr.user.x", b"\0\n"),
            ]),
            owned(Block::file("d/ping", b"").mode(0o755), 5, 5),
            times(),
            owned(Block::symlink("d/s", "/../../canary"), 9, 9),
            owned(
                Block::new(b'3', b"d/null", b"").field(329, "0000001").field(337, "0000003").mode(0o666),
                1,
                1,
            ),
            owned(Block::new(b'6', b"d/fifo", b"").mode(0o622), 1, 1),
            Block::hard_link("h", "./d/f"),
            Block::file("a\n\u{7f} -", b""),
        ])
        .unwrap();
    assert_eq!((applied.facts.size_bytes, applied.facts.entries), (7, 8));
    assert_eq!((applied.is_base, applied.lost_xattrs), (false, false));
    // Before anything is read: reading sets a time, too.
    let (root, d, f, s) = (scratch.stat("."), scratch.stat("d"), scratch.stat("d/f"), scratch.stat("d/s"));
    let tree =
        ["a\\n\\x7f -", "d/", "d/f", "d/fifo fifo", "d/null device", "d/ping", "d/s -> /../../canary", "h"];
    assert_eq!(scratch.tree(), tree);
    assert_eq!(scratch.read("h"), "content");
    assert_eq!((root.st_mode & 0o7777, root.st_uid, root.st_gid), (0o711, 7, 8));
    assert_eq!((d.st_mode & 0o7777, d.st_uid, d.st_gid), (0o555, 1, 2));
    assert_eq!((f.st_mode & 0o7777, f.st_uid, f.st_gid, f.st_nlink), (0o6755, 3, 4, 2));
    assert_eq!((s.st_uid, s.st_gid), (9, 9));
    for stat in [d, f, s] {
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (1_000_000_000, 250_000_000));
        assert_eq!((stat.st_atime, stat.st_atime_nsec), (1_000_000_000, 250_000_000));
    }
    assert_eq!(scratch.xattr("d/ping", "security.capability").as_deref(), Some(capability.as_slice()));
    assert_eq!(scratch.xattr("d/ping", "user.x").as_deref(), Some(&b"\0\n"[..]));
    assert_eq!(scratch.stat("d/null").st_rdev, makedev(1, 3));
    assert_eq!(
        (scratch.stat("d/null").st_mode & 0o7777, scratch.stat("d/fifo").st_mode & 0o7777),
        (0o666, 0o622)
    );
}

#[test]
fn attributes_that_overlayfs_or_a_security_module_reads_are_not_taken() {
    let Some(scratch) = Scratch::new("xattrs") else { return };
    let names = ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "trusted.x"];
    let keys: Vec<String> = names.iter().map(|name| format!("SCHILY.xattr.{name}")).collect();
    let pairs: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &b"y"[..])).collect();
    scratch.apply(&[Block::pax(&pairs), Block::directory("d/")]).unwrap();
    for name in names {
        assert_eq!(scratch.xattr("d", name), None, "{name}");
    }
}

#[test]
fn no_link_leads_out_of_the_root() {
    let Some(scratch) = Scratch::new("links") else { return };
    let outside = scratch.path.clone();
    for target in [&outside, "..", "/..", "../../../../../../../..", "/"] {
        let up = "l/canary";
        let result = scratch.apply(&[
            Block::symlink("l", target),
            Block::file(up, b"dead").mode(0o777),
            Block::directory("l/"),
        ]);
        // It either lands inside or leads nowhere.
        if result.is_ok() {
            assert!(scratch.tree().contains(&"canary".to_string()), "{target}: {:?}", scratch.tree());
        }
    }
    // A link to a link, a loop, a link over a directory that was just made.
    scratch
        .apply(&[
            Block::directory("real/"),
            Block::symlink("a", "/real"),
            Block::symlink("b", "a/../a"),
            Block::file("b/f", b"x"),
            Block::directory("real/"),
            Block::symlink("real/up", ".."),
            Block::file("real/up/g", b"y"),
        ])
        .unwrap();
    assert_eq!(scratch.tree(), ["a -> /real", "b -> a/../a", "g", "real/", "real/f", "real/up -> .."]);
    let looped =
        scratch.refused(&[Block::symlink("a", "b"), Block::symlink("b", "a"), Block::file("a/f", b"")]);
    assert!(looped.contains("ELOOP"), "{looped}");
    let nowhere = scratch.refused(&[Block::symlink("a", "gone"), Block::file("a/f", b"")]);
    assert!(nowhere.contains("link to nothing"), "{nowhere}");
}

#[test]
fn names_that_climb_or_change_the_root_are_refused() {
    let Some(scratch) = Scratch::new("climb") else { return };
    for (blocks, expected) in [
        (vec![Block::file("../canary", b"dead")], "name with .."),
        (vec![Block::file("d/../../canary", b"dead")], "name with .."),
        (vec![Block::hard_link("h", "../canary")], "name with .."),
        (vec![Block::symlink("/.", "/etc")], "the root is not a directory"),
        (vec![Block::file("./.", b"")], "the root is not a directory"),
        (vec![Block::hard_link("h", "/")], "hard link to nothing"),
        (vec![Block::hard_link("h", "gone")], "hard link to nothing"),
        (vec![Block::directory("d/"), Block::hard_link("h", "d")], "hard link to a directory"),
        (vec![Block::file("f", b""), Block::file("f/x", b"")], "below something that is no directory"),
        (vec![Block::new(b'3', b"zero", b"")], "takes for a whiteout"),
        (vec![Block::file(".wh.x", b""), Block::hard_link("h", "x")], "hard link to nothing"),
        (vec![Block::file(".wh.x", b""), Block::hard_link("h", ".wh.x")], "hard link to nothing"),
        (vec![Block::directory("dd/"), Block::file("dd/.wh..", b"")], "invalid whiteout"),
        (vec![Block::file(".wh.", b"")], "invalid whiteout"),
        (vec![Block::file("d/.wh...", b"")], "invalid whiteout"),
    ] {
        let text = scratch.refused(&blocks);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_hard_link_to_a_link_links_the_link() {
    let Some(scratch) = Scratch::new("linklink") else { return };
    let outside = format!("{}/canary", scratch.path);
    scratch
        .apply(&[
            Block::symlink("s", &outside),
            Block::hard_link("h", "s"),
            Block::file("h", b"new").mode(0o600),
        ])
        .unwrap();
    assert_eq!(scratch.tree(), ["h".to_string(), format!("s -> {outside}")]);
    assert_eq!(scratch.read("h"), "new");
}

#[test]
fn what_comes_later_replaces_and_never_writes_through() {
    let Some(scratch) = Scratch::new("replace") else { return };
    let outside = format!("{}/canary", scratch.path);
    scratch
        .apply(&[
            // A file over a symlink, over a hard link, over a fifo, over a directory with content.
            Block::symlink("a", &outside),
            Block::file("a", b"1"),
            Block::file("b", b"2"),
            Block::hard_link("c", "b"),
            Block::file("c", b"3"),
            Block::new(b'6', b"d", b""),
            Block::file("d", b"4"),
            Block::file("e/x/y", b""),
            Block::file("e", b"5"),
            // A directory over a file and over a link; a directory over itself.
            Block::file("f", b""),
            Block::directory("f/"),
            Block::symlink("g", "."),
            Block::directory("g/"),
            Block::file("i/x", b"6"),
            Block::directory("i/").mode(0o700),
            // A link to itself, and one to what it replaces.
            Block::hard_link("b", "b"),
        ])
        .unwrap();
    assert_eq!(scratch.tree(), ["a", "b", "c", "d", "e", "f/", "g/", "i/", "i/x"]);
    let content: Vec<String> =
        ["a", "b", "c", "d", "e", "i/x"].iter().map(|path| scratch.read(path)).collect();
    assert_eq!(content, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(scratch.stat("i").st_mode & 0o7777, 0o700);
    assert!(scratch.is_opaque("f") && scratch.is_opaque("g") && !scratch.is_opaque("i"));
    let text = scratch.refused(&[Block::file("d/f", b""), Block::hard_link("d", "d/f")]);
    assert!(text.contains("hard link to what it replaces"), "{text}");
}

#[test]
fn the_way_to_a_directory_is_found_anew_after_something_on_it_was_replaced() {
    let Some(scratch) = Scratch::new("cache") else { return };
    scratch
        .apply(&[
            Block::file("t/real/f", b""),
            Block::symlink("t/back", "/"),
            Block::file("t/back/x", b""),
            Block::file("t/back/t", b"replaces all of t"),
            Block::file("t", b""),
        ])
        .unwrap();
    assert_eq!(scratch.tree(), ["t", "x"]);
    let text = scratch.refused(&[
        Block::symlink("t/back", "/"),
        Block::file("t/back/x", b""),
        Block::file("t/back/t", b"replaces all of t"),
        Block::file("t/back/y", b""),
    ]);
    assert!(text.contains("below something that is no directory"), "{text}");
}

#[test]
fn whiteouts_hide_what_is_below_and_never_what_this_layer_has() {
    let Some(scratch) = Scratch::new("whiteouts") else { return };
    let applied = scratch
        .apply(&[
            Block::directory("d/"),
            Block::file("d/.wh.gone", b"content of no meaning"),
            Block::file("d/before", b"1"),
            Block::file("d/.wh.before", b""),
            Block::file("d/.wh.after", b""),
            Block::file("d/after", b"2"),
            Block::file(".wh.new", b""),
            Block::directory("new/"),
            Block::file("new/x", b""),
            Block::file(".wh.implied", b""),
            Block::file("implied/x", b""),
            Block::file("later/x", b""),
            Block::file(".wh.later", b""),
            Block::directory("opaque/"),
            Block::file("opaque/x", b""),
            Block::file("opaque/.wh..wh..opq", b""),
            Block::file("far/.wh.x", b""),
            Block::file(".wh..wh.plnk/1", b"x"),
            Block::file("d/.wh..wh.aufs", b"x"),
            Block::file(".wh.top", b""),
            Block::symlink("l", "/.."),
            Block::file("l/.wh.canary", b""),
        ])
        .unwrap();
    let tree = [
        "canary hidden",
        "d/",
        "d/after",
        "d/before",
        "d/gone hidden",
        "far/",
        "far/x hidden",
        "implied/",
        "implied/x",
        "l -> /..",
        "later/",
        "later/x",
        "new/",
        "new/x",
        "opaque/",
        "opaque/x",
        "top hidden",
    ];
    assert_eq!(scratch.tree(), tree);
    assert_eq!((scratch.read("d/before"), scratch.read("d/after")), ("1".into(), "2".into()));
    for path in ["new", "implied", "later", "opaque"] {
        assert!(scratch.is_opaque(path), "{path}");
    }
    assert!(!scratch.is_opaque("d") && !scratch.is_opaque("far") && !applied.is_base);
    assert_eq!((scratch.xattr("far", ORIGIN), scratch.xattr("opaque", ORIGIN)), (Some(vec![]), None));
    assert_eq!(applied.facts.size_bytes, 2);
    assert!(scratch.apply(&[Block::file("./.wh..wh..opq", b"")]).unwrap().is_base);
    assert!(scratch.tree().is_empty());
}

#[test]
fn missing_directories_are_made_whatever_the_umask_is() {
    let Some(scratch) = Scratch::new("missing") else { return };
    scratch.apply(&[Block::file("a/b/c", b"")]).unwrap();
    for path in [".", "a", "a/b"] {
        let stat = scratch.stat(path);
        assert_eq!((stat.st_mode & 0o7777, stat.st_uid), (0o755, 0), "{path}");
    }
}

#[test]
fn a_path_may_be_as_long_as_the_kernel_takes_and_no_longer() {
    let Some(scratch) = Scratch::new("deep") else { return };
    let long = |depth: usize| {
        let name = "a/".repeat(depth) + "f";
        [Block::pax(&[("path", name.as_bytes())]), Block::file("short", b"deep")]
    };
    scratch.apply(&long(2047)).unwrap();
    assert_eq!(scratch.read(&("a/".repeat(2047) + "f")), "deep");
    assert!(scratch.refused(&long(2048)).contains("name too long"));
}

#[test]
fn times_before_1970_and_beyond_the_file_system_are_clamped() {
    let Some(scratch) = Scratch::new("times") else { return };
    scratch
        .apply(&[
            Block::pax(&[("mtime", b"-5.5")]),
            Block::file("old", b""),
            Block::pax(&[("mtime", b"9223372036854775807")]),
            Block::file("new", b""),
        ])
        .unwrap();
    assert_eq!((scratch.stat("old").st_mtime, scratch.stat("old").st_mtime_nsec), (0, 0));
    assert!(scratch.stat("new").st_mtime > 4_000_000_000);
}

/// What is tried, how, and the tree if it is contained instead of refused.
type Attack<'a> = (&'a str, Vec<Block>, Option<&'a [&'a str]>);

/// What other programs fell for. Nothing of it may touch what lies beside the root, which `apply` checks, and what does no
/// harm inside the root has the result that is named here.
#[test]
fn attacks_that_succeeded_elsewhere_fail_here() {
    let Some(scratch) = Scratch::new("attacks") else { return };
    let outside = scratch.path.clone();
    let canary = format!("{outside}/canary");
    let loot = || Block::file("x", b"dead").mode(0o777);
    let attacks: Vec<Attack<'_>> = vec![
        // A file through a link that the archive has made (CVE-2014-6407, CVE-2018-20990, CVE-2020-10696, CVE-2026-46703).
        ("file over link", vec![Block::symlink("x", &canary), loot()], Some(&["x"])),
        ("file below link", vec![Block::symlink("l", &outside), Block::file("l/canary", b"dead")], None),
        (
            "file below relative link",
            vec![Block::symlink("l", ".."), Block::file("l/canary", b"dead")],
            Some(&["canary", "l -> .."]),
        ),
        (
            "link made twice",
            vec![
                Block::directory("d/"),
                Block::symlink("d", &outside),
                Block::directory("d/"),
                Block::symlink("d", &outside),
                Block::file("d/canary", b"dead"),
            ],
            None,
        ),
        // Mode, owner or times through a link (CVE-2021-32760, CVE-2026-33056).
        (
            "directory over link",
            vec![Block::symlink("x", &canary), owned(Block::directory("x/").mode(0o777), 7, 7)],
            Some(&["x/"]),
        ),
        (
            "mode of a directory that became a link",
            vec![
                owned(Block::directory("d/").mode(0o777), 7, 7),
                Block::symlink("d", "../canary").mode(0o777),
            ],
            Some(&["d -> ../canary"]),
        ),
        // Hard links out, also over links (CVE-2014-9357, CVE-2021-38511).
        ("hard link up", vec![Block::hard_link("h", "../canary"), Block::file("h", b"dead")], None),
        ("hard link by absolute name", vec![Block::hard_link("h", &canary)], None),
        (
            "hard link over link",
            vec![Block::symlink("l", ".."), Block::hard_link("h", "l/canary"), Block::file("h", b"dead")],
            None,
        ),
        (
            "hard link to a link, written through",
            vec![Block::symlink("l", "../canary"), Block::hard_link("x", "l"), loot()],
            Some(&["l -> ../canary", "x"]),
        ),
        // The root itself (CVE-2021-29136).
        ("root becomes a link", vec![Block::symlink("/.", &outside), Block::file("canary", b"dead")], None),
        ("root becomes a file", vec![Block::file("./", b"dead")], None),
        // Names that climb (CVE-2014-9358, CVE-2015-3629).
        ("climbing name", vec![Block::file("a/../../canary", b"dead")], None),
        (
            "climbing name from PAX",
            vec![Block::pax(&[("path", b"../canary")]), Block::file("f", b"dead")],
            None,
        ),
        (
            "climbing link from PAX",
            vec![Block::pax(&[("linkpath", b"../canary")]), Block::hard_link("h", "f")],
            None,
        ),
        // Whiteouts that delete or mark something else.
        (
            "whiteout over link",
            vec![Block::symlink("l", ".."), Block::file("l/.wh.canary", b"")],
            Some(&["canary hidden", "l -> .."]),
        ),
        ("opaque over link", vec![Block::symlink("l", &outside), Block::file("l/.wh..wh..opq", b"")], None),
        ("whiteout of the parent", vec![Block::file("d/.wh...", b"")], None),
        // Nodes that do something when they are opened.
        (
            "file over pipe and device",
            vec![
                Block::new(b'6', b"x", b""),
                loot(),
                Block::new(b'3', b"x", b"").field(329, "0000001").field(337, "0000003"),
                loot(),
            ],
            Some(&["x"]),
        ),
        ("owner that wraps to root", vec![Block::pax(&[("uid", b"4294967296")]), loot()], None),
        ("owner that means none", vec![Block::pax(&[("uid", b"4294967295")]), loot()], None),
    ];
    for (name, blocks, contained) in attacks {
        let result = scratch.apply(&blocks);
        file::remove_tree(&scratch.outer, REPLACED).unwrap();
        assert_eq!(file::names(&scratch.outer, ".").unwrap().len(), 2, "{name}");
        assert_eq!(file::read(&scratch.outer, "canary", 100).unwrap(), b"alive", "{name}");
        let canary = statat(&scratch.outer, "canary", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!((canary.st_mode, canary.st_uid, canary.st_nlink), (0o100_644, 0, 1), "{name}");
        assert!(canary.st_mtime > 1_000_000_000, "{name}");
        match contained {
            Some(tree) => {
                result.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(scratch.tree(), tree, "{name}");
            }
            None => assert!(matches!(result, Err(Error::Corrupt(_))), "{name}: {result:?}"),
        }
    }
    // More links on one way than the kernel follows.
    let mut chain: Vec<Block> =
        (0..50).map(|n| Block::symlink(&format!("l{n}"), &format!("l{}", n + 1))).collect();
    chain.push(Block::directory("l50/"));
    chain.push(Block::file("l0/f", b""));
    assert!(scratch.refused(&chain).contains("ELOOP"));
}

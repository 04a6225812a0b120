//! What an upper directory becomes. No overlayfs is mounted: its forms are made by hand.

use alloc::string::{String, ToString};

use rustix::fs::{Timespec, Timestamps, XattrFlags, fsetxattr, mkdirat, mknodat, symlinkat, utimensat};

use super::*;
use crate::{
    file::CWD,
    layer::{
        leftovers,
        tar::{Event, Reader},
    },
};

struct Scratch {
    path: String,
    upper: OwnedFd,
    lower: OwnedFd,
}

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return None;
        }
        let path = format!("/tmp/skiff-pack-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        let [upper, lower] = ["upper", "lower"]
            .map(|name| file::make_host_directories(&format!("{path}/{name}"), 0o755).unwrap());
        Some(Scratch { path, upper, lower })
    }

    fn layer(&self) -> Vec<u8> {
        self.layer_above(&self.lower, false)
    }

    fn layer_above(&self, lower: &OwnedFd, tidies: bool) -> Vec<u8> {
        let mut all = Vec::new();
        let mut sink = |part: &[u8]| {
            all.extend_from_slice(part);
            Ok(())
        };
        let mut left = Vec::new();
        let mut pack = Pack::new(&mut sink, Form::Layer(lower.try_clone().unwrap()));
        pack.note_leftovers(&mut left);
        pack.content(self.upper.as_fd()).unwrap();
        pack.finish().unwrap();
        if tidies {
            leftovers::remove(self.upper.as_fd(), &left).unwrap();
        }
        all
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.path.as_str());
    }
}

/// A file of this content, last changed at this second and half.
fn put(at: &OwnedFd, name: &str, content: &[u8], seconds: i64) {
    drop(file::create(at, name, content, 0o644).unwrap());
    set_time(at, name, seconds);
}

fn set_time(at: &OwnedFd, name: &str, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 500_000_000 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn entries(archive: &[u8]) -> Vec<Entry> {
    let (mut reader, mut rest, mut entries) = (Reader::new(), archive, Vec::new());
    while let Some(event) = reader.next(&mut rest).unwrap() {
        if let Event::Entry(entry) = event {
            entries.push(entry.clone());
        }
    }
    reader.finish().unwrap();
    entries
}

fn names(archive: &[u8]) -> Vec<String> {
    entries(archive).iter().map(|entry| String::from_utf8_lossy(&entry.path).to_string()).collect()
}

fn below(at: &OwnedFd, name: &str) -> OwnedFd {
    mkdirat(at, name, Mode::from_raw_mode(0o755)).unwrap();
    file::directory(at, name).unwrap()
}

#[test]
fn a_layer_has_what_has_changed_and_the_directories_on_the_way() {
    let Some(scratch) = Scratch::new("changed") else { return };
    let (upper, lower) = (&scratch.upper, &scratch.lower);
    for (root, content) in [(lower, b"old"), (upper, b"new")] {
        let d = below(root, "d");
        put(&d, "same", b"same", 1000);
        put(&d, "changed", content, 1000);
        put(&d, "touched", b"same", content[0].into());
        symlinkat("same", &d, "link").unwrap();
        set_time(&d, "link", 1000);
        symlinkat(if content == b"old" { "same" } else { "diff" }, &d, "other").unwrap();
        set_time(&d, "other", 1000);
        put(&below(&below(root, "deep"), "er"), "same", b"same", 1000);
        // A file that was in a directory that was emptied and filled again.
        put(&below(root, "opaque"), "same", b"same", 1000);
        below(root, "mode");
        put(root, "linked", b"same", 1000);
    }
    let opened = open(upper.as_fd(), b"opaque", OFlags::DIRECTORY).unwrap();
    fsetxattr(&opened, "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    let opened = open(upper.as_fd(), b"mode", OFlags::DIRECTORY).unwrap();
    fsetxattr(&opened, "user.a=b", b"1", XattrFlags::empty()).unwrap();
    rustix::fs::fchmod(&opened, Mode::from_raw_mode(0o700)).unwrap();
    rustix::fs::linkat(upper, "linked", upper, "linked too", AtFlags::empty()).unwrap();
    put(&below(upper, "new"), "f", b"f", 1000);
    mknodat(upper, "gone", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    let marked = file::create(upper, "marked", b"", 0o600).unwrap();
    fsetxattr(&marked, "trusted.overlay.whiteout", b"y", XattrFlags::empty()).unwrap();
    let layer = scratch.layer();
    let expected = [
        ".wh.gone",
        "d/",
        "d/changed",
        "d/other",
        "d/touched",
        "linked",
        "linked too",
        ".wh.marked",
        "mode/",
        "new/",
        "new/f",
        "opaque/",
        "opaque/.wh..wh..opq",
        "opaque/same",
    ];
    assert_eq!(names(&layer), expected);
    let all = entries(&layer);
    assert!(all.iter().all(|entry| entry.mtime.nanos == 0 && entry.xattrs.is_empty()));
    assert_eq!((all[0].mtime.seconds, all[8].mode), (0, 0o700));
    assert!(layer == scratch.layer());

    // A tidied directory has nothing else, times included.
    assert!(layer == scratch.layer_above(lower, true));
    rustix::net::bind(
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap(),
        &rustix::net::SocketAddrUnix::new(format!("{}/upper/socket", scratch.path)).unwrap(),
    )
    .unwrap();
    let empty = file::make_host_directories(&format!("{}/empty", scratch.path), 0o755).unwrap();
    let mut rest = entries(&scratch.layer_above(&empty, true));
    let marker = all.iter().position(|entry| entry.path.ends_with(b".opq")).unwrap();
    rest.insert(marker, all[marker].clone());
    assert_eq!(rest, all);
    let opaque = open(upper.as_fd(), b"opaque", OFlags::DIRECTORY).unwrap();
    assert!(!is_opaque(&opaque) && statat(upper, "socket", AtFlags::empty()).is_err());
}

#[test]
fn several_upper_directories_become_one_layer() {
    let Some(scratch) = Scratch::new("several") else { return };
    let (first, lower) = (&scratch.upper, &scratch.lower);
    let second = file::make_host_directories(&format!("{}/second", scratch.path), 0o755).unwrap();
    let gone = |at: &OwnedFd, name: &str| {
        mknodat(at, name, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    };
    let opaque = |at: &OwnedFd| {
        let opened = open(at.as_fd(), b".", OFlags::DIRECTORY).unwrap();
        fsetxattr(&opened, "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    };
    let (d, e, f) = (below(lower, "d"), below(lower, "e"), below(lower, "f"));
    for (at, name) in [(&d, "old"), (&d, "kept"), (&e, "old"), (&f, "old"), (lower, "back")] {
        put(at, name, b"old", 1000);
    }
    // Made and changed, made and removed, removed, and removed and made again.
    let d = below(first, "d");
    put(&d, "new", b"first", 1000);
    put(&d, "short-lived", b"first", 1000);
    gone(&d, "old");
    gone(first, "e");
    gone(first, "back");
    let f = below(first, "f");
    put(&f, "first", b"", 1000);
    let made = below(first, "made");
    put(&made, "first", b"first", 1000);
    rustix::fs::linkat(&made, "first", &made, "link", AtFlags::empty()).unwrap();
    let d = below(&second, "d");
    put(&d, "new", b"second", 1000);
    gone(&d, "short-lived");
    let e = below(&second, "e");
    opaque(&e);
    put(&e, "new", b"", 1000);
    let f = below(&second, "f");
    opaque(&f);
    put(&second, "back", b"old", 1000);
    put(&below(&second, "made"), "second", b"", 1000);
    let mut all = Vec::new();
    let mut sink = |part: &[u8]| {
        all.extend_from_slice(part);
        Ok(())
    };
    let mut pack = Pack::new(&mut sink, Form::Layer(lower.try_clone().unwrap()));
    pack.merged(vec![second, first.try_clone().unwrap()]).unwrap();
    pack.finish().unwrap();
    let expected = [
        "d/",
        "d/.wh.old",
        "d/new",
        "e/",
        "e/.wh..wh..opq",
        "e/new",
        "f/",
        "f/.wh..wh..opq",
        "made/",
        "made/first",
        "made/link",
        "made/second",
    ];
    assert_eq!(names(&all), expected);
    assert!(all.windows(6).any(|part| part == b"second") && !all.windows(4).any(|part| part == b"\0old"));
    let entries = entries(&all);
    assert_eq!((entries[10].kind, entries[10].link.as_slice()), (Kind::HardLink, &b"made/first"[..]));
}

#[test]
fn an_upper_directory_in_which_nothing_has_changed_is_an_empty_layer() {
    let Some(scratch) = Scratch::new("nothing") else { return };
    for root in [&scratch.upper, &scratch.lower] {
        put(&below(&below(root, "a"), "b"), "same", b"same", 1000);
    }
    assert_eq!(scratch.layer(), [0; 1024]);
}

#[test]
fn what_overlayfs_keeps_elsewhere_is_not_left_out_in_silence() {
    let Some(scratch) = Scratch::new("redirect") else { return };
    let opened = below(&scratch.upper, "d");
    let opened = open(opened.as_fd(), b".", OFlags::DIRECTORY).unwrap();
    fsetxattr(&opened, "trusted.overlay.redirect", b"other", XattrFlags::empty()).unwrap();
    let mut sink = |_: &[u8]| Ok(());
    let mut pack = Pack::new(&mut sink, Form::Layer(scratch.lower.try_clone().unwrap()));
    let error = pack.content(scratch.upper.as_fd()).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}

#[test]
fn no_time_is_later_than_the_one_that_was_given() {
    let Some(scratch) = Scratch::new("clamp") else { return };
    put(&scratch.upper, "early", b"", 1000);
    put(&scratch.upper, "late", b"", 3000);
    let mut all = Vec::new();
    let mut sink = |part: &[u8]| {
        all.extend_from_slice(part);
        Ok(())
    };
    let mut pack = Pack::new(&mut sink, Form::Copy);
    pack.clamp_times(2000);
    pack.content(scratch.upper.as_fd()).unwrap();
    pack.finish().unwrap();
    let times: Vec<_> = entries(&all).iter().map(|entry| entry.mtime).collect();
    let moment = |seconds, nanos| Moment { seconds, nanos };
    assert_eq!(times, [moment(1000, 500_000_000), moment(2000, 0)]);
}

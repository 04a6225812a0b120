use alloc::string::String;

use super::*;
use crate::{
    file::CWD,
    layer::{
        emit,
        pack::{Form, Pack},
    },
};

struct Scratch(OwnedFd, String);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/skiff-place-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Scratch(file::make_host_directories(&path, 0o700).unwrap(), path)
    }

    fn place(&self, archive: &[u8], at: &str, rules: &Rules) -> Result<()> {
        let mut rest = archive;
        let mut source = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len()).min(1000);
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        place(&mut source, self.0.try_clone().unwrap(), at.as_bytes(), rules)
    }

    fn packed(&self, path: &str, top: &str) -> Vec<u8> {
        let mut all = Vec::new();
        let mut sink = |part: &[u8]| {
            all.extend_from_slice(part);
            Ok(())
        };
        let mut pack = Pack::new(&mut sink, Form::Copy);
        pack.named(self.0.as_fd(), path.as_bytes(), top.as_bytes()).unwrap();
        pack.finish().unwrap();
        all
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.1.as_str());
    }
}

const RULES: Rules = Rules { replace: Replace::SameKind, owner: Owner::Stated, rename: None };

fn archive(entries: &[(Kind, &str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, path, text) in entries {
        let mut entry =
            Entry { kind: *kind, path: path.as_bytes().to_vec(), mode: 0o755, ..Entry::default() };
        entry.uid = rustix::process::geteuid().as_raw();
        entry.gid = rustix::process::getegid().as_raw();
        if *kind == Kind::File {
            entry.size = text.len() as u64;
        } else {
            entry.link = text.as_bytes().to_vec();
        }
        emit::header(&entry, &mut out);
        if *kind == Kind::File {
            out.extend_from_slice(text.as_bytes());
            emit::pad(text.len() as u64, &mut out);
        }
    }
    emit::end(&mut out);
    out
}

#[test]
fn links_of_the_tree_are_followed_inside_the_root_only() {
    let scratch = Scratch::new("inside");
    let outside = file::subdirectory(&scratch.0, "outside", 0o755).unwrap();
    let root = file::make_directories(&scratch.0, b"root/real").unwrap();
    drop(root);
    let root = file::directory(&scratch.0, "root").unwrap();
    for (target, name) in [("/real", "absolute"), ("../../../../real", "climbing"), ("/outside", "gone")] {
        rustix::fs::symlinkat(target, &root, name).unwrap();
    }
    let inner = Scratch(root, String::from("/nonexistent"));
    for (name, at) in [("absolute/a", ""), ("climbing/b", "real/.."), ("c", "absolute/../climbing")] {
        inner.place(&archive(&[(Kind::File, name, "x")]), at, &RULES).unwrap();
    }
    let mut names = file::names(&inner.0, "real").unwrap();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(inner.place(&archive(&[(Kind::File, "gone/x", "x")]), "", &RULES).is_err());
    assert!(inner.place(&archive(&[(Kind::File, "../x", "x")]), "", &RULES).is_err());
    // A link that comes with the archive is one that is there.
    let own = archive(&[(Kind::Symlink, "l", "/outside"), (Kind::File, "l/x", "x")]);
    assert!(inner.place(&own, "", &RULES).is_err());
    assert!(file::names(&outside, ".").unwrap().is_empty());
}

#[test]
fn nothing_that_exists_is_written_through() {
    let scratch = Scratch::new("through");
    file::create(&scratch.0, "kept", b"old", 0o600).unwrap();
    rustix::fs::symlinkat("kept", &scratch.0, "link").unwrap();
    linkat(&scratch.0, "kept", &scratch.0, "hard", AtFlags::empty()).unwrap();
    mknodat(&scratch.0, "pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
    let new = [(Kind::File, "link", "1"), (Kind::File, "hard", "2"), (Kind::File, "pipe", "3")];
    scratch.place(&archive(&new), "", &RULES).unwrap();
    assert_eq!(file::read(&scratch.0, "kept", 9).unwrap(), b"old");
    for (_, name, text) in new {
        assert_eq!(file::read(&scratch.0, name, 9).unwrap(), text.as_bytes());
    }
}

#[test]
fn a_directory_and_something_else_take_each_others_place_only_if_they_may() {
    let scratch = Scratch::new("kinds");
    let (file, directory) = ([(Kind::File, "x", "1")], [(Kind::Directory, "x", "")]);
    scratch.place(&archive(&directory), "", &RULES).unwrap();
    let error = scratch.place(&archive(&file), "", &RULES).unwrap_err();
    assert_eq!(error, Error::Invalid("cannot overwrite directory \"x\" with non-directory".into()));
    let any = Rules { replace: Replace::Anything, ..RULES };
    scratch.place(&archive(&file), "", &any).unwrap();
    let error = scratch.place(&archive(&directory), "", &RULES).unwrap_err();
    assert_eq!(error, Error::Invalid("cannot overwrite non-directory \"x\" with directory".into()));
    scratch.place(&archive(&directory), "", &any).unwrap();
}

#[test]
fn names_of_whiteouts_are_ordinary_and_the_first_name_can_be_another() {
    let scratch = Scratch::new("names");
    let all = [
        (Kind::Directory, "d/", ""),
        (Kind::File, "d/.wh.x", "1"),
        (Kind::File, "d/.wh..wh..opq", "2"),
        (Kind::HardLink, "d/h", "d/.wh.x"),
        (Kind::File, "dd", "3"),
    ];
    let rename = |old: &[u8], new: &[u8]| Rules { rename: Some((old.into(), new.into())), ..RULES };
    scratch.place(&archive(&all), "", &rename(b"d", b"e")).unwrap();
    assert_eq!(file::read(&scratch.0, "e/h", 9).unwrap(), b"1");
    assert_eq!(file::names(&scratch.0, "e").unwrap().len(), 3);
    assert!(file::read(&scratch.0, "dd", 9).is_ok());
    scratch
        .place(&archive(&[(Kind::Directory, "./", ""), (Kind::File, "./f", "4")]), "", &rename(b"", b"n"))
        .unwrap();
    assert_eq!(file::read(&scratch.0, "n/f", 9).unwrap(), b"4");
}

#[test]
fn what_is_packed_is_placed_as_it_was() {
    let scratch = Scratch::new("round");
    let deep = file::make_directories(&scratch.0, b"from/a/b").unwrap();
    let f = file::create(&deep, "f", &vec![b'x'; 300_000], 0o600).unwrap();
    rustix::fs::fchmod(&f, Mode::from_raw_mode(0o4711)).unwrap();
    rustix::fs::fsetxattr(&f, "user.note", b"a\0b\n", rustix::fs::XattrFlags::empty()).unwrap();
    linkat(&deep, "f", &deep, "\n\u{ff}", AtFlags::empty()).unwrap();
    rustix::fs::symlinkat("/etc/passwd", &deep, "s").unwrap();
    mknodat(&deep, "p", FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    file::subdirectory(&scratch.0, "to", 0o755).unwrap();
    let first = scratch.packed("from", "copy");
    scratch.place(&first, "to", &RULES).unwrap();
    let inner = Scratch(file::directory(&scratch.0, "to").unwrap(), String::from("/nonexistent"));
    assert!(inner.packed("copy", "copy") == first);
    let stat = statat(&inner.0, "copy/a/b/f", AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!((stat.st_mode & 0o7777, stat.st_nlink, stat.st_size), (0o4711, 2, 300_000));
    let copied = file::beneath(&inner.0, "copy/a/b/f", OFlags::RDONLY, Mode::empty()).unwrap();
    assert_eq!(rustix::fs::fgetxattr(&copied, "user.note", &mut [0_u8; 9]), Ok(4));
    // Placed over itself it stays the same.
    scratch.place(&first, "to", &RULES).unwrap();
    assert!(inner.packed("copy", "copy") == first);
}

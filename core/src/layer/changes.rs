//! overlayfs's upper directory and what lies below it -> what was added, changed and deleted, as Docker lists it: a
//! directory is changed if something in it is, what is in a deleted one is not listed.

use alloc::{collections::BTreeSet, ffi::CString, format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fgetxattr, openat, statat},
    io::Errno,
};

use crate::{Context, Error, Result, file};

/// What happened to a path; the numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was there before, and is different.
    Modified = 0,
    /// It is new.
    Added = 1,
    /// It is gone.
    Deleted = 2,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute.
    pub path: Vec<u8>,
    /// What happened.
    pub kind: Kind,
}

struct Frame {
    path: Vec<u8>,
    upper: OwnedFd,
    lower: Option<OwnedFd>,
    /// What is still to come, the next one last.
    names: Vec<CString>,
    /// Where its own line would stand, if it has none yet.
    unlisted: Option<usize>,
}

/// Lists the differences, sorted by name, directories before what is in them.
///
/// # Errors
/// Of the kernel.
pub fn changes(upper: OwnedFd, lower: OwnedFd) -> Result<Vec<Change>> {
    let mut all = Vec::new();
    let mut stack = vec![frame(Vec::new(), upper, Some(lower), None)?];
    while let Some(top) = stack.last_mut() {
        let Some(name) = top.names.pop() else {
            if let Some(Frame { path, unlisted: Some(at), .. }) = stack.pop()
                && all.len() > at
            {
                all.insert(at, Change { path, kind: Kind::Modified });
            }
            continue;
        };
        let path = [top.path.as_slice(), b"/", name.to_bytes()].concat();
        let failed = |errno| os("stat", &path, errno);
        let look = |at: &OwnedFd| match statat(at, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_whiteout(&stat) => Ok(None),
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(failed(errno)),
        };
        let new = look(&top.upper)?;
        let old = top.lower.as_ref().map_or(Ok(None), look)?;
        let kind = match (&new, &old) {
            (None, None) => continue,
            (None, Some(_)) => Some(Kind::Deleted),
            (Some(_), None) => Some(Kind::Added),
            (Some(new), Some(old)) => is_modified(new, old).then_some(Kind::Modified),
        };
        let at = all.len();
        if let Some(kind) = kind {
            all.push(Change { path: path.clone(), kind });
        }
        if new.is_some_and(|stat| is_directory(&stat)) {
            let open = |at: &OwnedFd, flags| {
                let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(at, &name, flags, Mode::empty())
            };
            let upper = match open(&top.upper, OFlags::RDONLY) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(|errno| os("open", &path, errno))?,
            };
            let lower = match (&top.lower, old.is_some_and(|stat| is_directory(&stat))) {
                (Some(lower), true) => {
                    Some(open(lower, OFlags::RDONLY).map_err(|errno| os("open", &path, errno))?)
                }
                _ => None,
            };
            let unlisted = if kind.is_none() { Some(at) } else { None };
            stack.push(frame(path, upper, lower, unlisted)?);
        }
    }
    Ok(all)
}

fn frame(path: Vec<u8>, upper: OwnedFd, lower: Option<OwnedFd>, unlisted: Option<usize>) -> Result<Frame> {
    let list = |at: &OwnedFd| file::entries(at, ".").map_err(|errno| os("list", &path, errno));
    let mut names = BTreeSet::new();
    names.extend(list(&upper)?.into_iter().map(|(name, _)| name));
    // Of the directory below nothing shows but what is here.
    if let Some(lower) = lower.as_ref().filter(|_| is_opaque(&upper)) {
        names.extend(list(lower)?.into_iter().map(|(name, _)| name));
    }
    Ok(Frame { path, upper, lower, names: names.into_iter().rev().collect(), unlisted })
}

fn is_modified(new: &Stat, old: &Stat) -> bool {
    if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev)
        != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev)
    {
        return true;
    }
    if is_directory(new) {
        return false;
    }
    // What was kept in an archive in whole seconds is not different for that.
    let (a, b) = (new.st_mtime_nsec, old.st_mtime_nsec);
    new.st_size != old.st_size || new.st_mtime != old.st_mtime || (a != b && a != 0 && b != 0)
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 1];
    matches!(fgetxattr(directory.as_fd(), "trusted.overlay.opaque", &mut value), Ok(1) if &value == b"y")
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Err::<(), _>(errno).context(operation, path.escape_ascii()).expect_err("it is one")
}

impl core::fmt::Display for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let letter = ["C", "A", "D"][self.kind as usize];
        f.write_str(&format!("{letter} {}", self.path.escape_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use rustix::fs::{XattrFlags, fsetxattr};

    use super::*;
    use crate::file::CWD;

    #[test]
    fn changes_are_listed_as_docker_lists_them() {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return;
        }
        let path = format!("/tmp/skiff-changes-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        let scratch = file::make_host_directories(&path, 0o700).unwrap();
        let make = |path: &str, text: &[u8]| {
            let (directory, name) = path.rsplit_once('/').unwrap();
            let directory = file::make_directories(&scratch, directory.as_bytes()).unwrap();
            file::create(directory, name, text, 0o644).unwrap()
        };
        let time = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
        let same = rustix::fs::Timestamps { last_access: time, last_modification: time };
        for name in ["d/gone", "d/same", "d/other", "deep/a/f", "o/x/y", "o/kept", "t/f", "untouched/f"] {
            rustix::fs::futimens(make(&format!("lower/{name}"), b"old"), &same).unwrap();
        }
        let open = |path: &str| {
            file::beneath(&scratch, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
        };
        rustix::fs::futimens(make("upper/d/same", b"old"), &same).unwrap();
        rustix::fs::futimens(make("upper/d/other", b"longer"), &same).unwrap();
        make("upper/deep/a/new", b"");
        make("upper/o/kept", b"new");
        make("upper/t", b"a directory before");
        make("upper/untouched/g/h", b"");
        rustix::fs::unlinkat(open("upper/untouched/g"), "h", AtFlags::empty()).unwrap();
        rustix::fs::unlinkat(open("upper/untouched"), "g", AtFlags::REMOVEDIR).unwrap();
        rustix::fs::mknodat(open("upper/d"), "gone", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        rustix::fs::mknodat(open("upper/d"), "never", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        fsetxattr(open("upper/o"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        let all = changes(open("upper"), open("lower")).unwrap();
        let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
        file::remove_tree(CWD, path.as_str()).unwrap();
        let expected = [
            "C /d",
            "D /d/gone",
            "C /d/other",
            "C /deep",
            "C /deep/a",
            "A /deep/a/new",
            "C /o",
            "C /o/kept",
            "D /o/x",
            "C /t",
        ];
        assert_eq!(shown, expected);
    }
}

//! Who a container's process is: `user[:group]` of the settings, looked up in the container's own passwd and group files.
//!
//! Those files come from the image. They are opened beneath the root without following a last link, must be regular,
//! and only so much of them is read. Digits are a number, never a name.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{FileType, Mode, OFlags},
    io::Errno,
    process::{Gid, Uid},
};

use super::rights::Identity;
use crate::{Context, Error, Result, file};

/// Most bytes of passwd or group that are looked at.
const FILE_LIMIT: u64 = 1 << 20;
/// Longest line that is looked at.
const LINE_LIMIT: usize = 4096;

/// A user as the container knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Numbers.
    pub identity: Identity,
    /// Home directory; `/` if the files don't say.
    pub home: String,
}

/// Finds out who `wanted` (`user`, `uid`, `user:group`, ...; empty for root) is, with the groups of `extra` added.
///
/// # Errors
/// [`Error::Invalid`] for a name that the container doesn't know or a number beyond 2^31 - 1.
pub fn look_up(root: BorrowedFd<'_>, wanted: &str, extra: &[String]) -> Result<User> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let passwd = read(root, "etc/passwd");
    let groups = read(root, "etc/group");

    let number = number(user)?;
    let entry = lines(&passwd).map(Fields).find(|entry| match number {
        Some(uid) => entry.number(2) == Some(uid),
        None => entry.text(0) == user.as_bytes(),
    });
    let uid = match (&entry, number) {
        (_, Some(uid)) => uid,
        (Some(entry), None) => entry.number(2).ok_or_else(|| unknown("user", user))?,
        (None, None) => return Err(unknown("user", user)),
    };
    let name = entry.as_ref().map_or(&b""[..], |entry| entry.text(0));
    let gid = match group {
        Some(group) => group_number(&groups, group)?,
        None => entry.as_ref().and_then(|entry| entry.number(3)).unwrap_or(0),
    };

    let mut others = Vec::new();
    // As Docker: memberships count unless a group is named.
    if group.is_none() && !name.is_empty() {
        for entry in lines(&groups).map(Fields) {
            if entry.text(3).split(|&byte| byte == b',').any(|member| member == name)
                && let Some(gid) = entry.number(2)
            {
                others.push(Gid::from_raw(gid));
            }
        }
    }
    for group in extra {
        others.push(Gid::from_raw(group_number(&groups, group)?));
    }
    let home = entry.as_ref().and_then(|entry| core::str::from_utf8(entry.text(5)).ok()).unwrap_or("");
    Ok(User {
        identity: Identity::new(Uid::from_raw(uid), Gid::from_raw(gid), &others),
        home: String::from(if home.is_empty() { "/" } else { home }),
    })
}

/// The number of a group of this host's.
///
/// # Errors
/// [`Error::Invalid`] for a name that the host does not know or a number beyond 2^31 - 1.
pub fn host_group(wanted: &str) -> Result<Gid> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(file::CWD, "/", flags, Mode::empty()).context("open", "/")?;
    group_number(&read(root.as_fd(), "etc/group"), wanted).map(Gid::from_raw)
}

fn group_number(groups: &[u8], wanted: &str) -> Result<u32> {
    if let Some(gid) = number(wanted)? {
        return Ok(gid);
    }
    lines(groups)
        .map(Fields)
        .find(|entry| entry.text(0) == wanted.as_bytes())
        .and_then(|entry| entry.number(2))
        .ok_or_else(|| unknown("group", wanted))
}

/// The number if `text` is digits; an error if it is digits and no id.
fn number(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(number) if number <= i32::MAX as u32 => Ok(Some(number)),
        _ => Err(Error::Invalid(format!("user or group id {text} is not in the range 0 to 2147483647"))),
    }
}

fn unknown(kind: &str, name: &str) -> Error {
    Error::Invalid(format!(
        "unable to find {kind} {name}: no matching entries in {kind_file} file",
        kind_file = if kind == "user" { "passwd" } else { "group" }
    ))
}

/// The file's beginning, or nothing if it is missing or no regular file.
fn read(root: BorrowedFd<'_>, path: &str) -> Vec<u8> {
    let open = || -> Result<Vec<u8>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = file::in_root(root, path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&opened)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > FILE_LIMIT {
            return Err(Errno::INVAL);
        }
        file::read_all(opened, FILE_LIMIT as usize)
    };
    open().unwrap_or_default()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line.len() <= LINE_LIMIT)
}

/// A line's fields, by colons.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn text(&self, index: usize) -> &'a [u8] {
        self.0.split(|&byte| byte == b':').nth(index).unwrap_or_default()
    }

    fn number(&self, index: usize) -> Option<u32> {
        let text = core::str::from_utf8(self.text(index)).ok()?;
        number(text).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;

    use super::*;
    use crate::file::{CWD, create, make_host_directories, remove_tree};

    fn with_files(name: &str, test: impl FnOnce(BorrowedFd<'_>)) {
        let path = format!("/tmp/skiff-user-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let root = make_host_directories(&path, 0o755).unwrap();
        let etc = file::make_directories(&root, b"etc").unwrap();
        let passwd = b"root:x:0:0::/root:/bin/sh\nann:x:1000:100:Ann:/home/ann:/bin/sh\n12:x:7:7::/:\nbig:x:4294967296:0::/:\n";
        create(&etc, "passwd", passwd, 0o644).unwrap();
        create(&etc, "group", b"root:x:0:\nusers:x:100:\naudio:x:29:bob,ann\n", 0o644).unwrap();
        test(root.as_fd());
        remove_tree(CWD, path.as_str()).unwrap();
    }

    fn numbers(user: &User) -> (u32, u32, Vec<u32>) {
        let groups = user.identity.groups().iter().map(|gid| gid.as_raw()).collect();
        (user.identity.uid().as_raw(), user.identity.gid().as_raw(), groups)
    }

    #[test]
    fn names_and_numbers_are_looked_up_as_docker_does() {
        with_files("lookup", |root| {
            let found = |wanted: &str| look_up(root, wanted, &[]).map(|user| (numbers(&user), user.home));
            assert_eq!(found("").unwrap(), ((0, 0, [0].into()), "/root".into()));
            assert_eq!(found("ann").unwrap(), ((1000, 100, [100, 29].into()), "/home/ann".into()));
            assert_eq!(found("1000").unwrap(), ((1000, 100, [100, 29].into()), "/home/ann".into()));
            assert_eq!(found("ann:29").unwrap(), ((1000, 29, [29].into()), "/home/ann".into()));
            assert_eq!(found("5:6").unwrap(), ((5, 6, [6].into()), "/".into()));
            assert_eq!(found("5").unwrap(), ((5, 0, [0].into()), "/".into()));
            // Digits are never a name, and a number that overflows is nobody.
            assert_eq!(found("12").unwrap().0.0, 12);
            assert!(found("big").is_err());
            assert!(found("4294967296").is_err());
            assert!(found("nobody").is_err());
            assert!(found("ann:nogroup").is_err());
        });
    }

    #[test]
    fn a_fifo_instead_of_passwd_does_not_hang() {
        with_files("fifo", |root| {
            rustix::fs::unlinkat(root, "etc/passwd", rustix::fs::AtFlags::empty()).unwrap();
            rustix::fs::mknodat(root, "etc/passwd", FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
            assert_eq!(numbers(&look_up(root, "7", &[]).unwrap()).0, 7);
            assert!(look_up(root, "ann", &[]).is_err());
        });
    }
}

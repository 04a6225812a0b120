//! Files, always relative to a directory that is already open. Paths that come from outside go through [`beneath`] or
//! [`in_root`]; nothing is resolved as a string. Whole files are replaced by writing a temporary one and renaming it.

mod follow;
mod whole;

use alloc::{
    ffi::CString,
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, RawDir, ResolveFlags, Uid, chownat},
    io::{Errno, retry_on_intr},
    path::Arg,
};

use crate::{Context, Error, Result};

/// Of each of two files that are compared.
const COMPARE_BYTES: usize = 64 << 10;

/// The working directory, for paths of this process's own user.
pub use rustix::fs::CWD;

pub use self::{follow::follow, whole::Whole};

/// Opens a directory for use as a starting point.
///
/// # Errors
/// As openat(2).
pub fn directory(at: impl AsFd, path: impl Arg) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens `path` below `root` without ever leaving it: `..` beyond the root, absolute links and magic links fail.
///
/// # Kernel
/// openat2 with RESOLVE_BENEATH, 5.6.
///
/// # Errors
/// EXDEV for a path that leads out, otherwise as openat2(2).
pub fn beneath(root: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, mode, ResolveFlags::BENEATH)
}

/// Opens `path` as a process whose root directory is `root` would: `..` and absolute links stay inside.
///
/// # Kernel
/// openat2 with RESOLVE_IN_ROOT, 5.6.
///
/// # Errors
/// As openat2(2).
pub fn in_root(root: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, mode, ResolveFlags::IN_ROOT)
}

/// Opens `path` below `root` if no component of it is a link of any kind.
///
/// # Kernel
/// openat2 with RESOLVE_NO_SYMLINKS, 5.6.
///
/// # Errors
/// ELOOP for a link, otherwise as openat2(2).
pub fn without_links(root: impl AsFd, path: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

fn resolve(
    root: impl AsFd,
    path: impl Arg,
    flags: OFlags,
    mode: Mode,
    how: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    path.into_with_c_str(|path| {
        loop {
            let resolve = how | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, mode, resolve) {
                // The kernel asks for another try when a rename elsewhere raced with the walk.
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
    })
}

/// Makes directory `path` in the tree of `root` with all its parents, a component at a time, and opens it.
///
/// # Errors
/// ENOTDIR if a component is something else.
pub fn make_directories(root: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    make_directories_of(root, path, None)
}

/// As [`make_directories`]; what is new belongs to this user and group.
///
/// # Errors
/// As [`make_directories`].
pub fn make_directories_of(
    root: impl AsFd,
    path: &[u8],
    owner: Option<(u32, u32)>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match in_root(&root, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut done: Vec<u8> = Vec::with_capacity(path.len());
    let mut here = in_root(&root, ".", flags, Mode::empty())?;
    for component in path.split(|&byte| byte == b'/').filter(|c| !c.is_empty() && *c != b".") {
        if !done.is_empty() {
            done.push(b'/');
        }
        done.extend_from_slice(component);
        // Each step starts at the root again, so that links inside the tree are followed as the tree means them.
        here = match in_root(&root, done.as_slice(), flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&here, component, Mode::from_raw_mode(0o755)) {
                    Ok(()) => {
                        if let Some((uid, gid)) = owner {
                            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                            chownat(&here, component, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                        }
                    }
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                in_root(&root, done.as_slice(), flags, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok(here)
}

/// Makes the directory `path` of this process's own user with all its parents, and opens it.
///
/// # Errors
/// The operation and the path that it failed on.
pub fn make_host_directories(path: &str, mode: u32) -> Result<OwnedFd> {
    match directory(CWD, path) {
        Err(Errno::NOENT) => {}
        other => return other.context("open", path),
    }
    for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        match rustix::fs::mkdirat(CWD, &path[..end], Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::os("create directory", &path[..end], errno)),
        }
    }
    directory(CWD, path).context("open", path)
}

/// Makes `name` in `at` unless it is there, and opens it.
///
/// # Errors
/// As mkdirat(2) and openat(2).
pub fn subdirectory(at: impl AsFd, name: &str, mode: u32) -> Result<OwnedFd, Errno> {
    match directory(&at, name) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    directory(&at, name)
}

/// Locks an open file as flock(2) does, again if a signal came between. The lock goes with the file's description.
///
/// # Errors
/// EAGAIN if somebody else has it and `how` does not wait, otherwise as flock(2).
pub fn lock(fd: impl AsFd, how: FlockOperation) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::flock(&fd, how))
}

/// Locks a directory, with a file description of its own: locks of one description are one lock, even across fork.
///
/// # Errors
/// As openat(2) and [`lock`].
pub fn lock_directory(at: impl AsFd, path: impl Arg, how: FlockOperation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = rustix::fs::openat(at, path, flags, Mode::empty())?;
    lock(&own, how)?;
    Ok(own)
}

/// What one read(2) gives, again if a signal came between: 0 at the end.
///
/// # Errors
/// As read(2).
pub fn read_part(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::read(&fd, &mut *buffer))
}

/// Appends what one read(2) gives to a buffer with room, again if a signal came between: 0 at the end.
///
/// # Errors
/// As read(2).
pub fn read_into(fd: impl AsFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::read(&fd, rustix::buffer::spare_capacity(buffer)))
}

/// Whether two files of this size have the same content; `buffer` is any, to be used again. Where they are read stays
/// where it is.
///
/// # Errors
/// As pread(2).
pub fn have_same_content(
    one: impl AsFd,
    other: impl AsFd,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<bool, Errno> {
    buffer.resize(2 * COMPARE_BYTES, 0);
    let (a, b) = buffer.split_at_mut(COMPARE_BYTES);
    let mut at = 0;
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(usize::MAX).min(COMPARE_BYTES);
        let mut filled = 0;
        let count = retry_on_intr(|| rustix::io::pread(&one, &mut a[..most], at))?;
        while filled < count {
            match retry_on_intr(|| rustix::io::pread(&other, &mut b[filled..count], at + filled as u64))? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if count == 0 || a[..count] != b[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// Everything that can be read from `fd`, at most `limit` bytes.
///
/// # Errors
/// EFBIG if there is more.
pub fn read_all(fd: impl AsFd, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::with_capacity(4096.min(limit + 1));
    loop {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len());
        }
        match rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > limit => return Err(Errno::FBIG),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The content of the file `name` in `at`, at most `limit` bytes; a link or a pipe of that name is not followed or
/// waited for.
///
/// # Errors
/// EFBIG if there is more, otherwise as openat(2) and read(2).
pub fn read(at: impl AsFd, name: impl Arg, limit: usize) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    read_all(rustix::fs::openat(at, name, flags, Mode::empty())?, limit)
}

/// As [`read`], for a regular file that nobody writes to in place: what does not fill the buffer is all there is.
///
/// # Errors
/// As [`read`].
pub fn read_still(at: impl AsFd, name: impl Arg, limit: usize) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, name, flags, Mode::empty())?;
    let mut bytes = Vec::with_capacity(8192.min(limit + 1));
    match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
        Ok(count) if count < bytes.capacity() => Ok(bytes),
        Ok(_) => {
            let rest = read_all(&file, limit.saturating_sub(bytes.len()))?;
            bytes.extend_from_slice(&rest);
            Ok(bytes)
        }
        Err(Errno::INTR) => read_all(&file, limit),
        Err(errno) => Err(errno),
    }
}

/// Writes all of `bytes`.
///
/// # Errors
/// As write(2).
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes the new file `name` in `at` with this content.
///
/// # Errors
/// EEXIST if it is there, otherwise as openat(2) and write(2).
pub fn create(at: impl AsFd, name: impl Arg, bytes: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(mode))?;
    write_all(&file, bytes)?;
    Ok(file)
}

/// Gives the file `name` in `at` a new content at once: a reader sees all of the old one or all of the new one. The
/// caller is the only writer of that name (it holds the lock that says so).
///
/// # Errors
/// As openat(2), write(2) and renameat(2).
pub fn replace(at: impl AsFd, name: &str, bytes: &[u8], mode: u32) -> Result<(), Errno> {
    let temporary = format!(".{name}.new");
    match create(&at, temporary.as_str(), bytes, mode) {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(&at, temporary.as_str(), AtFlags::empty())?;
            create(&at, temporary.as_str(), bytes, mode)?
        }
        other => other?,
    };
    rustix::fs::renameat(&at, temporary.as_str(), &at, name)
}

/// Names and kinds of what is in a directory, without `.` and `..`.
///
/// # Errors
/// As openat(2) and getdents64(2).
pub fn entries(at: impl AsFd, path: impl Arg) -> Result<Vec<(CString, FileType)>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    entries_of(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

fn entries_of(directory: impl AsFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut all = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            all.push((entry.file_name().into(), entry.file_type()));
        }
    }
    Ok(all)
}

/// Names of what is in a directory, as far as they are UTF-8.
///
/// # Errors
/// As [`entries`].
pub fn names(at: impl AsFd, path: impl Arg) -> Result<Vec<String>, Errno> {
    let listed = entries(at, path)?;
    Ok(listed.into_iter().filter_map(|(name, _)| name.into_string().ok()).collect())
}

/// Removes `name` in `at` with everything below it, and never anything else: links are removed, not followed, mounts
/// are not entered. A missing one is fine, also one that somebody else removes at the same time.
///
/// # Errors
/// As unlinkat(2) and openat(2).
pub fn remove_tree(at: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    name.into_with_c_str(|name| remove(at.as_fd(), name))
}

fn remove(at: BorrowedFd<'_>, name: &core::ffi::CStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    // Directories are emptied with a stack of open ones instead of recursion: a tree may be deeper than our stack.
    let open = |at: BorrowedFd<'_>, name: &core::ffi::CStr| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat2(at, name, flags, Mode::empty(), ResolveFlags::NO_XDEV)
    };
    match rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let top = match open(at, name) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let mut stack = alloc::vec![(top, CString::from(name), false)];
    while let Some((directory, _, emptied)) = stack.last_mut() {
        let mut deeper = None;
        if !*emptied {
            rustix::fs::seek(&*directory, rustix::fs::SeekFrom::Start(0))?;
            let children = match entries_of(&*directory) {
                Err(Errno::NOENT) => Vec::new(),
                other => other?,
            };
            for (child, _) in children {
                match rustix::fs::unlinkat(&*directory, &child, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    Err(Errno::ISDIR | Errno::PERM) => {}
                    Err(errno) => return Err(errno),
                }
                match rustix::fs::unlinkat(&*directory, &child, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::NOTEMPTY | Errno::EXIST) => match open(directory.as_fd(), &child) {
                        Err(Errno::NOENT) => {}
                        other => {
                            deeper = Some((other?, child, false));
                            break;
                        }
                    },
                    Err(errno) => return Err(errno),
                }
            }
            if deeper.is_none() {
                *emptied = true;
            }
        }
        if let Some(next) = deeper {
            stack.push(next);
            continue;
        }
        let (_, name, _) = stack.pop().expect("the loop's condition");
        let parent = stack.last().map_or(at, |(directory, ..)| directory.as_fd());
        match rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The path that a link in `at` names, if it is UTF-8.
///
/// # Errors
/// ENOENT, EINVAL if it is no link, ILSEQ if it is not UTF-8.
pub fn link_target(at: impl AsFd, name: impl Arg) -> Result<String, Errno> {
    let target = rustix::fs::readlinkat(at, name, Vec::new())?;
    Ok(target.to_str().map_err(|_| Errno::ILSEQ)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed again.
    struct Scratch(OwnedFd, String);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = format!("/tmp/skiff-file-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let _ = remove_tree(CWD, path.as_str());
            Scratch(make_host_directories(&path, 0o700).unwrap(), path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = remove_tree(CWD, self.1.as_str());
        }
    }

    #[test]
    fn a_deep_tree_is_removed_and_its_links_are_not_followed() {
        let scratch = Scratch::new("remove");
        let kept = make_directories(&scratch.0, b"kept").unwrap();
        create(&kept, "file", b"x", 0o600).unwrap();
        let deep = make_directories(&scratch.0, b"tree/a/b/c/d").unwrap();
        create(&deep, "file", b"x", 0o600).unwrap();
        rustix::fs::symlinkat("../../../../../kept", &deep, "link").unwrap();
        remove_tree(&scratch.0, "tree").unwrap();
        assert_eq!(names(&scratch.0, ".").unwrap(), ["kept"]);
        assert_eq!(read(&kept, "file", 10).unwrap(), b"x");
    }

    #[test]
    fn directories_are_made_inside_the_root_even_through_absolute_links() {
        let scratch = Scratch::new("inside");
        make_directories(&scratch.0, b"real").unwrap();
        rustix::fs::symlinkat("/real", &scratch.0, "link").unwrap();
        make_directories(&scratch.0, b"/link/../link/x/y").unwrap();
        assert!(in_root(&scratch.0, "real/x/y", OFlags::PATH, Mode::empty()).is_ok());
        assert_eq!(beneath(&scratch.0, "link", OFlags::RDONLY, Mode::empty()).unwrap_err(), Errno::XDEV);
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_a_cap_is_kept() {
        let scratch = Scratch::new("replace");
        create(&scratch.0, ".f.new", b"left by a crash", 0o600).unwrap();
        replace(&scratch.0, "f", b"new", 0o600).unwrap();
        assert_eq!(read(&scratch.0, "f", 3).unwrap(), b"new");
        assert_eq!(read(&scratch.0, "f", 2).unwrap_err(), Errno::FBIG);
    }
}

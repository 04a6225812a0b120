//! The directory that a build may copy from.

use alloc::{format, string::ToString, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

use crate::{Context as _, Error, Result, dockerfile::ignore::Patterns, file};

/// What says what is left out of any build.
const IGNORE: &[u8] = b".dockerignore";
/// Longest file of patterns.
const IGNORE_LIMIT: usize = 4 << 20;

/// A context: what is in the directory, but for what `.dockerignore` leaves out.
#[derive(Debug)]
pub struct Context {
    /// The directory.
    pub root: OwnedFd,
    /// What is left out.
    pub ignore: Patterns,
}

impl Context {
    /// A directory, with the patterns that are in it: those of this Dockerfile, `PATH.dockerignore`, if it has its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a pattern that can't be read; of the file system.
    pub fn open(root: OwnedFd, dockerfile: Option<&[u8]>) -> Result<Self> {
        let own = dockerfile.map(|path| [path, IGNORE].concat());
        for path in own.iter().map(Vec::as_slice).chain([IGNORE]) {
            if let Some(text) = read(&root, path)? {
                let ignore = Patterns::parse(&text).map_err(|error| match error {
                    Error::Invalid(why) => Error::Invalid(format!("{}: {why}", path.escape_ascii())),
                    other => other,
                })?;
                return Ok(Context { root, ignore });
            }
        }
        Ok(Context { root, ignore: Patterns::default() })
    }
}

/// The content of a regular file in a context, if there is one.
fn read(root: &OwnedFd, path: &[u8]) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = match file::in_root(root, path, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        other => other.context("open", path.escape_ascii())?,
    };
    let stat = rustix::fs::fstat(&opened).context("stat", path.escape_ascii())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            file::read_all(opened, IGNORE_LIMIT).context("read", path.escape_ascii()).map(Some)
        }
        FileType::Directory => Err(Error::os("read", path.escape_ascii().to_string(), Errno::ISDIR)),
        _ => Err(Error::Invalid(format!("{} is no regular file", path.escape_ascii()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfiles_own_patterns_come_before_those_of_all() {
        let path = format!("/tmp/skiff-context-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(file::CWD, path.as_str());
        let root = file::make_host_directories(&path, 0o700).unwrap();
        let open = |dockerfile: Option<&[u8]>| Context::open(root.try_clone().unwrap(), dockerfile);
        assert!(!open(None).unwrap().ignore.matches(b"a"));
        file::create(&root, ".dockerignore", b"a", 0o600).unwrap();
        file::make_directories(&root, b"d").unwrap();
        file::create(&root, "d/x.dockerignore", b"b", 0o600).unwrap();
        file::create(&root, "bad.dockerignore", b"!", 0o600).unwrap();
        for (dockerfile, left_out) in
            [(None, "a"), (Some(&b"Dockerfile"[..]), "a"), (Some(b"d/x"), "b"), (Some(b"/d/../../d/x"), "b")]
        {
            assert!(open(dockerfile).unwrap().ignore.matches(left_out.as_bytes()), "{dockerfile:?}");
        }
        let error = open(Some(b"bad")).unwrap_err().to_string();
        assert_eq!(error, "bad.dockerignore: illegal exclusion pattern: \"!\"");
        rustix::fs::mknodat(&root, "p.dockerignore", FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(open(Some(b"p")).is_err());
        file::remove_tree(file::CWD, path.as_str()).unwrap();
    }
}

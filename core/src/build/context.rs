//! The directory that a build may copy from.

use rustix::{fd::OwnedFd, io::Errno};

use crate::{Error, Result, dockerfile::ignore::Patterns, file};

/// Most bytes of a `.dockerignore`.
const IGNORE_BYTES_MAX: usize = 4 << 20;

/// A context: what is in the directory, but for what `.dockerignore` leaves out.
#[derive(Debug)]
pub struct Context {
    /// The directory.
    pub root: OwnedFd,
    /// What is left out.
    pub ignore: Patterns,
}

impl Context {
    /// A directory without what `.dockerignore` in it leaves out; `.dockerignore` behind the path of the Dockerfile, if
    /// that is in there, comes before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for patterns that are none; of the file system.
    pub fn open(root: OwnedFd, dockerfile: Option<&[u8]>) -> Result<Self> {
        let own = dockerfile.map(|path| [path, b".dockerignore"].concat());
        for name in own.into_iter().chain([b".dockerignore".to_vec()]) {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
            let read = file::in_root(&root, name.as_slice(), flags, rustix::fs::Mode::empty())
                .and_then(|file| file::read_all(file, IGNORE_BYTES_MAX));
            match read {
                Ok(text) => return Ok(Context { root, ignore: Patterns::parse(&text)? }),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => {
                    return Err(Error::os("read", alloc::format!("{}", name.escape_ascii()), errno));
                }
            }
        }
        Ok(Context { root, ignore: Patterns::default() })
    }
}

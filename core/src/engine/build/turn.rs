//! Who makes a step: of those who want the same one at the same time, in one build or in several, one makes it, and the
//! others find it in the cache.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{
    Context, Error, Result, clock,
    digest::{Digest, Hex},
    file,
};

/// The directory of the run root with a file for each step that is being made, locked by who makes it.
const DIRECTORY: &str = "steps";
/// Between two looks.
const PAUSE_NS: i64 = clock::SECOND / 100;

/// The right to make a step, as long as the value.
pub(super) struct Turn {
    directory: OwnedFd,
    name: Hex,
    _file: OwnedFd,
}

impl Turn {
    /// Waits for the right to make the step with this key. `idle` is called about once a second meanwhile.
    ///
    /// # Errors
    /// What `idle` gives; of the file system.
    pub fn wait(run: &OwnedFd, key: &Digest, idle: &mut dyn FnMut() -> Result<()>) -> Result<Turn> {
        let directory = file::subdirectory(run, DIRECTORY, 0o700).context("create", DIRECTORY)?;
        let name = key.hex();
        let mut told = clock::monotonic();
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, name.as_str(), flags, Mode::RUSR | Mode::WUSR)
                .context("open", name.as_str())?;
            match file::lock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Whoever had it may have taken the file away in the meantime.
                Ok(()) if rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink == 0) => {}
                Ok(()) => return Ok(Turn { directory, name, _file: file }),
                Err(Errno::AGAIN) => {
                    clock::sleep(PAUSE_NS);
                    if clock::monotonic() - told >= clock::SECOND {
                        idle()?;
                        told = clock::monotonic();
                    }
                }
                Err(errno) => return Err(Error::os("lock", name.as_str(), errno)),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.directory, self.name.as_str(), AtFlags::empty());
    }
}

//! Who makes a step: of those who want the same one at the same time, in one build or in several, one makes it, and the
//! others find it in the cache.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{
    Context, Result, clock,
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
    /// Waits for the right to make the step that this stands for. `idle` is called about once a second meanwhile.
    ///
    /// # Errors
    /// What `idle` gives; of the file system.
    pub fn wait(run: &OwnedFd, step: &Digest, idle: &mut dyn FnMut() -> Result<()>) -> Result<Turn> {
        let directory = file::subdirectory(run, DIRECTORY, 0o700).context("create", DIRECTORY)?;
        let name = step.hex();
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, name.as_str(), flags, Mode::RUSR | Mode::WUSR)
                .context("open", name.as_str())?;
            wait_for_lock(&file, FlockOperation::NonBlockingLockExclusive, idle)?;
            // Whoever had it may have taken the file away in the meantime.
            if rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink > 0) {
                return Ok(Turn { directory, name, _file: file });
            }
        }
    }
}

/// Waits for a lock of a kind that is refused at once if somebody has it. `idle` is called about once a second meanwhile.
///
/// # Errors
/// What `idle` gives; of the kernel.
pub(super) fn wait_for_lock(
    file: &OwnedFd,
    how: FlockOperation,
    idle: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let mut told = clock::monotonic();
    loop {
        match file::lock(file, how) {
            Err(Errno::AGAIN) => {}
            locked => return locked.context("wait for", "a lock"),
        }
        clock::sleep(PAUSE_NS);
        if clock::monotonic() - told >= clock::SECOND {
            idle()?;
            told = clock::monotonic();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.directory, self.name.as_str(), AtFlags::empty());
    }
}

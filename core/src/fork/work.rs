//! Work that a child does while this process goes on: what goes wrong there is told here.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    pipe::{PipeFlags, pipe_with},
};

use super::{Child, Ended, child, wait};
use crate::{Context, Error, Result, file};

/// Longest error.
const REPORT_MAX: usize = 64 << 10;

/// Work that goes on, or is done and waits to be heard.
#[derive(Debug)]
pub struct Work {
    child: Child,
    report: OwnedFd,
}

impl Work {
    /// Has a child that has the descriptors `keep` do it.
    ///
    /// # Errors
    /// What clone3 gives.
    pub fn begin(keep: &[BorrowedFd<'_>], work: impl FnOnce() -> Result<()>) -> Result<Work> {
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).context("create", "pipe")?;
        let all = [keep, &[reporter.as_fd()]].concat();
        let child = child(&all, || match work() {
            Ok(()) => 0,
            Err(error) => i32::from(file::write_all(&reporter, &error.to_bytes()).is_ok()),
        })?;
        Ok(Work { child, report })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The work's own; [`Error::Corrupt`] if the process was killed.
    pub fn end(self) -> Result<()> {
        let told = file::read_all(&self.report, REPORT_MAX).context("read", "report of a child process")?;
        let ended = wait(&self.child.pidfd).context("wait for", "a child process")?;
        match (Error::from_bytes(&told), ended) {
            (None, Ended::Exited(0)) => Ok(()),
            (Some(error), _) => Err(error),
            (None, ended) => Err(Error::Corrupt(alloc::format!("a child process ended early: {ended:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_and_a_kill_noticed() {
        let invalid = || Error::Invalid("no".into());
        assert_eq!(Work::begin(&[], || Ok(())).unwrap().end(), Ok(()));
        assert_eq!(Work::begin(&[], || Err(invalid())).unwrap().end(), Err(invalid()));
        let work = Work::begin(&[], || {
            crate::clock::sleep(60 * crate::clock::SECOND);
            Ok(())
        });
        let work = work.unwrap();
        rustix::process::pidfd_send_signal(&work.child.pidfd, rustix::process::Signal::KILL).unwrap();
        assert!(matches!(work.end(), Err(Error::Corrupt(_))));
    }
}

//! Work that a child does while this process goes on: what comes of it, or goes wrong there, is told here.

use core::marker::PhantomData;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    pipe::{PipeFlags, pipe_with},
    process::Signal,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Child, Ended, child, wait};
use crate::{Context, Error, Result, file};

/// Longest result or error.
const REPORT_MAX: usize = 64 << 10;

/// Work that goes on, or is done and waits to be heard.
#[derive(Debug)]
pub struct Work<T> {
    child: Child,
    report: OwnedFd,
    result: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Work<T> {
    /// Has a child that has the descriptors `keep` do it.
    ///
    /// # Errors
    /// What clone3 gives.
    pub fn begin(keep: &[BorrowedFd<'_>], work: impl FnOnce() -> Result<T>) -> Result<Work<T>> {
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).context("create", "pipe")?;
        let all = [keep, &[reporter.as_fd()]].concat();
        let child = child(&all, || {
            let (code, told) = match work() {
                Ok(result) => (0, serde_json::to_vec(&result).expect("plain values")),
                Err(error) => (1, error.to_bytes()),
            };
            if file::write_all(&reporter, &told).is_ok() { code } else { 2 }
        })?;
        Ok(Work { child, report, result: PhantomData })
    }

    /// Has something to read, or nobody at its other end, once the work is done.
    pub fn report(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The work's own; [`Error::Corrupt`] if the process was killed.
    pub fn end(self) -> Result<T> {
        let told = file::read_all(&self.report, REPORT_MAX).context("read", "report of a child process")?;
        let ended = wait(&self.child.pidfd).context("wait for", "a child process")?;
        let early = || Error::Corrupt(alloc::format!("a child process ended early: {ended:?}"));
        match ended {
            Ended::Exited(0) => crate::json::from_slice(&told).map_err(|_| early()),
            _ => Err(Error::from_bytes(&told).unwrap_or_else(early)),
        }
    }

    /// Nobody wants it any more.
    pub fn give_up(self) {
        let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        let _ = wait(&self.child.pidfd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_and_a_kill_noticed() {
        let invalid = || Error::Invalid("no".into());
        assert_eq!(Work::begin(&[], || Ok(())).unwrap().end(), Ok(()));
        assert_eq!(Work::begin(&[], || Ok(7)).unwrap().end(), Ok(7));
        assert_eq!(Work::<()>::begin(&[], || Err(invalid())).unwrap().end(), Err(invalid()));
        let work = Work::begin(&[], || {
            crate::clock::sleep(60 * crate::clock::SECOND);
            Ok(())
        });
        let work = work.unwrap();
        rustix::process::pidfd_send_signal(&work.child.pidfd, rustix::process::Signal::KILL).unwrap();
        assert!(matches!(work.end(), Err(Error::Corrupt(_))));
    }
}

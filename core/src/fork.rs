//! The one place where this process is copied. Work in parallel is more processes, each of one thread.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags},
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, waitid},
};
use skiff_syscalls::{
    clone::{self, CloneFlags, Fork},
    descriptor, exec,
    signal::{self, SignalSet},
};

use crate::{Context, Error, Result, file};

/// Longest report of a process in the background.
const REPORT_MAX: usize = 64 << 10;
/// What it reports when all is well.
const BEGUN: &[u8] = b"begun";

/// A process that was forked here.
#[derive(Debug)]
pub struct Child {
    /// Its number, for display.
    pub pid: Pid,
    /// Itself: readable when it has ended.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By exit, with this code.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

impl Ended {
    /// The code that a shell gives: the exit code itself, or 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Ended::Exited(code) => code,
            Ended::Killed(signal) => 128 | signal,
        }
    }
}

/// Runs `body` in a copy of this process, which exits with what it returns.
///
/// The child keeps `keep` and nothing else: descriptors 0, 1 and 2 too only if they are named there.
///
/// # Errors
/// What clone3 gives.
pub fn child(keep: &[BorrowedFd<'_>], body: impl FnOnce() -> i32) -> Result<Child> {
    heir(keep, |keep| keep.to_vec(), |_| body())
}

/// As [`child`], in these new namespaces.
///
/// # Errors
/// What clone3 gives.
pub fn child_in(
    namespaces: CloneFlags,
    keep: &[BorrowedFd<'_>],
    body: impl FnOnce() -> i32,
) -> Result<Child> {
    copy(namespaces, keep, |keep| keep.to_vec(), |_| body())
}

/// As [`child`], for a child that becomes the owner of `owned`, whose descriptors `keep` names. Here it is dropped.
///
/// # Errors
/// What clone3 gives.
pub fn heir<T>(
    owned: T,
    keep: impl FnOnce(&T) -> Vec<BorrowedFd<'_>>,
    body: impl FnOnce(T) -> i32,
) -> Result<Child> {
    copy(CloneFlags::empty(), owned, keep, body)
}

fn copy<T>(
    namespaces: CloneFlags,
    owned: T,
    keep: impl FnOnce(&T) -> Vec<BorrowedFd<'_>>,
    body: impl FnOnce(T) -> i32,
) -> Result<Child> {
    match clone::fork(namespaces, None).context("fork", "")? {
        Fork::Parent { pid, pidfd } => Ok(Child { pid, pidfd }),
        Fork::Child => {
            let _ = descriptor::close_all_but(&mut keep(&owned));
            exec::exit(body(owned))
        }
    }
}

/// The other end of [`background`].
#[derive(Debug)]
pub struct Reporter(Option<OwnedFd>);

impl Reporter {
    /// Lets the caller of [`background`] go on.
    pub fn succeed(&mut self) {
        self.report(BEGUN);
    }

    fn report(&mut self, bytes: &[u8]) {
        if let Some(pipe) = self.0.take() {
            // If whoever waits was killed, this goes on all the same.
            let _ = file::write_all(pipe, bytes);
        }
    }
}

/// Runs `body` in a process that belongs to no terminal and outlives this one, and becomes the owner of `owned`, whose
/// descriptors `keep` names. Returns when the body says that it has succeeded, or has failed.
///
/// # Errors
/// The body's; [`Error::Corrupt`] if the process was killed.
pub fn background<T>(
    owned: T,
    keep: impl FnOnce(&T) -> Vec<BorrowedFd<'_>>,
    body: impl FnOnce(T, &mut Reporter) -> Result<()>,
) -> Result<()> {
    let (report, reporter) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("create", "pipe")?;
    let child = heir(
        (owned, reporter),
        |(owned, reporter)| {
            let mut all = keep(owned);
            all.push(reporter.as_fd());
            all
        },
        |(owned, reporter)| {
            let mut reporter = Reporter(Some(reporter));
            let begin = || -> Result<()> {
                let _ = rustix::process::setsid();
                own_signals(SignalSet::EMPTY);
                null_streams()?;
                rustix::process::chdir("/").context("change directory to", "/")
            };
            match begin().and_then(|()| body(owned, &mut reporter)) {
                Ok(()) => 0,
                Err(error) => {
                    reporter.report(&error.to_bytes());
                    1
                }
            }
        },
    )?;
    let bytes = file::read_all(&report, REPORT_MAX).context("read from", "the background process")?;
    if bytes == BEGUN {
        return Ok(());
    }
    let _ = wait(&child.pidfd);
    Err(Error::from_bytes(&bytes)
        .unwrap_or_else(|| Error::Corrupt("the background process was killed".into())))
}

/// Puts /dev/null in the place of the three standard descriptors.
///
/// # Errors
/// Of the kernel.
pub fn null_streams() -> Result<()> {
    let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    // Above the three themselves, which may be free.
    let null = rustix::io::fcntl_dupfd_cloexec(&null.context("open", "/dev/null")?, 3);
    let null = null.context("duplicate", "/dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("set", "stdin")?;
    rustix::stdio::dup2_stdout(&null).context("set", "stdout")?;
    rustix::stdio::dup2_stderr(&null).context("set", "stderr")
}

/// What a child that serves somebody makes of its parent's signals: default actions and this mask. A pipe whose reader has
/// gone is an error for its writer, not the end of the process.
pub fn own_signals(mask: SignalSet) {
    signal::reset_all();
    let _ = signal::ignore(BROKEN_PIPE);
    signal::set_mask(mask);
}

/// What a program that is started by a process with [`own_signals`] expects: default actions, nothing blocked.
pub fn plain_signals() {
    let _ = signal::reset(BROKEN_PIPE);
    signal::set_mask(SignalSet::EMPTY);
}

/// The signal that the engine's processes ignore.
const BROKEN_PIPE: i32 = rustix::process::Signal::PIPE.as_raw();

/// Waits for a child to end and takes its status.
///
/// # Errors
/// ECHILD if it is not a child of this process.
pub fn wait(pidfd: impl AsFd) -> Result<Ended, Errno> {
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(ended(&status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Takes a child's status if it has ended.
///
/// # Errors
/// ECHILD if it is not a child of this process.
pub fn try_wait(pidfd: impl AsFd) -> Result<Option<Ended>, Errno> {
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
    Ok(status.map(|status| ended(&status)))
}

fn ended(status: &rustix::process::WaitIdStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code as u8),
        (None, signal) => Ended::Killed(signal.unwrap_or(0) as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_only_the_descriptors_that_it_keeps() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let child = child(&[writer.as_fd()], || {
            let gone = rustix::io::fcntl_getfd(&reader).is_err();
            let there = rustix::io::fcntl_getfd(&writer).is_ok();
            i32::from(gone && there)
        })
        .unwrap();
        assert_eq!(wait(&child.pidfd), Ok(Ended::Exited(1)));
    }
}

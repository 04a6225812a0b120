//! The one place where this process is copied. Work in parallel is more processes, each of one thread.

pub mod lend;
pub mod sum;
pub mod work;

use alloc::vec::Vec;

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags},
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, waitid},
};
use skiff_syscalls::{
    clone::{self, CloneFlags, Fork},
    descriptor, exec, processor,
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

/// What the [`heir`] of a descriptor keeps: that, and the standard ones, which must not be free for what it opens.
pub fn with_standard(owned: &OwnedFd) -> Vec<BorrowedFd<'_>> {
    [&descriptor::standard()[..], &[owned.as_fd()]].concat()
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

/// Which of these have something to be read, or nobody at the other end any more, after waiting for the first one, as long
/// as that at most.
///
/// # Errors
/// Of the kernel.
pub fn heard<'a>(
    sources: impl Iterator<Item = BorrowedFd<'a>>,
    patience: Option<&Timespec>,
) -> Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> =
        sources.map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN)).collect();
    match poll(&mut polled, patience) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Error::os("wait for", "processes", errno)),
    }
    Ok(polled.iter().map(|polled| !polled.revents().is_empty()).collect())
}

/// Does the same with each of many items, in as many processes as there are processors with nothing to do, with at least
/// `least` items for each of them. What comes of it comes back in no order.
///
/// # Errors
/// The first one of `each`; of the kernel; [`Error::Corrupt`] if a process was killed.
pub fn spread<T>(
    items: &[T],
    least: usize,
    each: &dyn Fn(&T) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<Vec<u8>>> {
    let worth = items.len() / least;
    spread_over(if worth > 1 { worth.min(free_processors()) } else { 1 }, items, each)
}

fn spread_over<T>(
    processes: usize,
    items: &[T],
    each: &dyn Fn(&T) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<Vec<u8>>> {
    let mut shares = items.chunks(items.len().div_ceil(processes).max(1));
    let own = shares.next().unwrap_or_default();
    let others = shares.map(|share| helper(share, each)).collect::<Result<Vec<_>>>()?;
    let mut results = Vec::with_capacity(items.len());
    for item in own {
        results.extend(each(item)?);
    }
    for (pipe, child) in others {
        let bytes = file::read_all(&pipe, usize::MAX - 1).context("read from", "a helper")?;
        let _ = wait(&child.pidfd);
        let killed = || Error::Corrupt("a helping process was killed".into());
        let mut rest = bytes.as_slice();
        loop {
            let (length, behind) = rest.split_first_chunk().ok_or_else(killed)?;
            match u32::from_le_bytes(*length) {
                LAST => break,
                FAILED => return Err(Error::from_bytes(behind).unwrap_or_else(killed)),
                length => {
                    let (result, behind) = behind.split_at_checked(length as usize).ok_or_else(killed)?;
                    results.push(result.into());
                    rest = behind;
                }
            }
        }
    }
    Ok(results)
}

/// How many processors there are for this process: its own, and those that nobody else uses at the moment.
fn free_processors() -> usize {
    let all = processor::count().unwrap_or(1);
    let running = || {
        let text = file::read(file::CWD, "/proc/loadavg", 128).ok()?;
        let (before, _) = core::str::from_utf8(&text).ok()?.split_once('/')?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    };
    // This process is one of those that run, and whoever asked it may not sleep yet.
    running().map_or(all, |running| (all + 2).saturating_sub(running).clamp(1, all))
}

/// A copy of this process that keeps all its descriptors, since it does a part of the same work.
fn twin(body: impl FnOnce() -> i32) -> Result<Child> {
    match clone::fork(CloneFlags::empty(), None).context("fork", "")? {
        Fork::Parent { pid, pidfd } => Ok(Child { pid, pidfd }),
        Fork::Child => exec::exit(body()),
    }
}

/// What stands instead of the length of a result: there are no more, or an error follows.
const LAST: u32 = u32::MAX;
const FAILED: u32 = u32::MAX - 1;
/// As much of the results as a helper can get rid of while nobody reads.
const RESULTS_PIPE: usize = 1 << 20;

/// A process that does its share and writes the results into a pipe.
fn helper<T>(share: &[T], each: &dyn Fn(&T) -> Result<Option<Vec<u8>>>) -> Result<(OwnedFd, Child)> {
    let (results, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("create", "pipe")?;
    // Fewer are slower.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, RESULTS_PIPE);
    let child = twin(|| {
        let mut all = Vec::with_capacity(share.len() * 1024);
        let mut done = || -> Result<()> {
            for item in share {
                if let Some(result) = each(item)? {
                    all.extend_from_slice(&(result.len() as u32).to_le_bytes());
                    all.extend_from_slice(&result);
                }
            }
            Ok(())
        };
        match done() {
            Ok(()) => all.extend_from_slice(&LAST.to_le_bytes()),
            Err(error) => {
                all.extend_from_slice(&FAILED.to_le_bytes());
                all.extend_from_slice(&error.to_bytes());
            }
        }
        i32::from(file::write_all(&writer, &all).is_err())
    })?;
    Ok((results, child))
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
    fn items_that_are_spread_over_processes_are_all_done_or_give_an_error() {
        let items: Vec<u8> = (0..=100).collect();
        let even = |item: &u8| Ok(item.is_multiple_of(2).then(|| alloc::vec![*item; 1000]));
        let mut done = spread_over(3, &items, &even).unwrap();
        done.sort_unstable();
        assert_eq!(done.len(), 51);
        assert!(done.iter().zip((0..=100).step_by(2)).all(|(one, item)| *one == [item; 1000]));
        for bad in [0, 100] {
            let fails = |item: &u8| if *item == bad { Err(Error::Unchanged) } else { Ok(None) };
            assert_eq!(spread_over(3, &items, &fails), Err(Error::Unchanged));
        }
        assert_eq!(spread_over(3, &[], &even), Ok(Vec::new()));
        assert_eq!(spread(&items, 10, &even).unwrap().len(), 51);
    }

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

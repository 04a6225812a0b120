//! Jobs side by side: as many at a time as there are processors, each in a process of its own.
//!
//! ```text
//! this process  <── pipe: "NUMBER\n"..., then "=" and the result ──  child
//! ```
//! A child whose pipe nobody reads any more ends by itself when it says how far it is.

use alloc::{format, vec::Vec};

use rustix::{
    event::Timespec,
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::{descriptor, processor};

use crate::{Context, Error, Result, file, fork};

/// Most processes at a time.
const LIMIT: usize = 8;
/// Longest silence towards whoever wants to hear.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const RESULT_LIMIT: usize = 64 << 10;

/// What is heard of the jobs.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Nothing new: a moment to see whether anybody still listens.
    Nothing,
    /// The job with this number is so far.
    Far(usize, u64),
    /// The job with this number is done, with this result.
    Done(usize, &'a [u8]),
}

/// Says how far a job is.
pub struct Reporter<'a>(&'a OwnedFd);

impl Reporter<'_> {
    /// So far.
    ///
    /// # Errors
    /// EPIPE if nobody listens any more.
    pub fn far(&mut self, number: u64) -> Result<()> {
        file::write_all(self.0, format!("{number}\n").as_bytes()).context("write", "report")
    }
}

struct Worker {
    number: usize,
    child: fork::Child,
    report: OwnedFd,
    heard: Vec<u8>,
}

/// Does `count` jobs. Each runs in a process that has `keep` open besides the standard descriptors, and gives its result.
/// After an error no process is left.
///
/// # Errors
/// What `hear` gives; [`Error::Corrupt`] if a process was killed; of the kernel.
pub fn side_by_side(
    count: usize,
    keep: &[BorrowedFd<'_>],
    work: &dyn Fn(usize, &mut Reporter<'_>) -> Vec<u8>,
    hear: &mut dyn FnMut(Heard<'_>) -> Result<()>,
) -> Result<()> {
    let most = processors();
    let mut running: Vec<Worker> = Vec::new();
    let mut waiting = 0..count;
    let ended = loop {
        let mut failed = None;
        while running.len() < most
            && let Some(number) = waiting.next()
        {
            match start(number, keep, work) {
                Ok(worker) => running.push(worker),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failed {
            break Err(error);
        }
        if running.is_empty() {
            break Ok(());
        }
        if let Err(error) = turn(&mut running, hear) {
            break Err(error);
        }
    };
    // Those who are still at work notice that nobody listens.
    let children: Vec<fork::Child> = running.into_iter().map(|worker| worker.child).collect();
    for child in children {
        let _ = fork::wait(&child.pidfd);
    }
    ended
}

fn start(
    number: usize,
    keep: &[BorrowedFd<'_>],
    work: &dyn Fn(usize, &mut Reporter<'_>) -> Vec<u8>,
) -> Result<Worker> {
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    let all = [&descriptor::standard(), keep, &[reporter.as_fd()]].concat();
    let child = fork::child(&all, || {
        let result = work(number, &mut Reporter(&reporter));
        i32::from(file::write_all(&reporter, &[b"=", result.as_slice()].concat()).is_err())
    })?;
    Ok(Worker { number, child, report, heard: Vec::new() })
}

/// Waits for whoever says something, and takes the results of those who are ready.
fn turn(running: &mut Vec<Worker>, hear: &mut dyn FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
    let ready = fork::heard(running.iter().map(|worker| worker.report.as_fd()), Some(&TICK))?;
    hear(Heard::Nothing)?;
    for at in (0..running.len()).rev().filter(|at| ready[*at]) {
        match running[at].listen()? {
            Some(far) => {
                if let Some(far) = far {
                    hear(Heard::Far(running[at].number, far))?;
                }
            }
            None => {
                let worker = running.swap_remove(at);
                let ended = fork::wait(&worker.child.pidfd).context("wait for", "a process")?;
                let result = worker.heard.strip_prefix(b"=").ok_or_else(|| {
                    Error::Corrupt(format!("a process of this command ended early: {ended:?}"))
                })?;
                hear(Heard::Done(worker.number, result))?;
            }
        }
    }
    Ok(())
}

impl Worker {
    /// Hears what there is: how far it is, if it says so; `None` when it is done.
    fn listen(&mut self) -> Result<Option<Option<u64>>> {
        let mut part = [0; 4096];
        let count = match rustix::io::read(&self.report, &mut part) {
            Err(Errno::INTR) => return Ok(Some(None)),
            other => other.context("read", "report of a process")?,
        };
        if count == 0 {
            return Ok(None);
        }
        self.heard.extend_from_slice(&part[..count]);
        if self.heard.len() > RESULT_LIMIT {
            return Err(Error::Corrupt("read report of a process: it is too long".into()));
        }
        let mut far = None;
        while self.heard.first().is_some_and(u8::is_ascii_digit)
            && let Some(end) = self.heard.iter().position(|byte| *byte == b'\n')
        {
            let number = core::str::from_utf8(&self.heard[..end]).ok().and_then(|text| text.parse().ok());
            far = number.or(far);
            self.heard.drain(..=end);
        }
        Ok(Some(far))
    }
}

fn processors() -> usize {
    processor::count().unwrap_or(1).clamp(1, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_tells_how_far_it_is() {
        let (mut done, mut far) = (Vec::new(), 0);
        let work = |number: usize, report: &mut Reporter<'_>| {
            report.far(number as u64).unwrap();
            alloc::vec![b'x'; number]
        };
        side_by_side(20, &[], &work, &mut |heard| {
            match heard {
                Heard::Nothing => {}
                Heard::Far(number, told) => {
                    assert_eq!(number as u64, told);
                    far += 1;
                }
                Heard::Done(number, result) => {
                    assert_eq!(result.len(), number);
                    done.push(number);
                }
            }
            Ok(())
        })
        .unwrap();
        done.sort_unstable();
        assert!(done.iter().copied().eq(0..20));
        assert!(far <= 20);
    }

    #[test]
    fn when_nobody_wants_to_hear_any_more_all_end() {
        let work = |_: usize, report: &mut Reporter<'_>| {
            fork::own_signals(skiff_syscalls::signal::SignalSet::EMPTY);
            while report.far(1).is_ok() {}
            Vec::new()
        };
        let refused = Error::Invalid("enough".into());
        let said = side_by_side(9, &[], &work, &mut |heard| match heard {
            Heard::Far(..) => Err(refused.clone()),
            _ => Ok(()),
        });
        assert_eq!(said, Err(refused));
    }

    #[test]
    fn a_process_that_ends_without_a_result_is_an_error() {
        let work = |_: usize, _: &mut Reporter<'_>| skiff_syscalls::exec::exit(3);
        let error = side_by_side(2, &[], &work, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
    }
}

//! Layers of an archive -> trees, as many at a time as there are processors, each in a process of its own.
//!
//! ```text
//! this process  <── pipe: "BYTES\n"..., then "=" and the result ──  child: read | inflate | hash  ──>  its child: write
//! ```
//! A child whose pipe nobody reads any more ends by itself, and its own child with it.

use alloc::{format, string::ToString, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::descriptor;

use super::Told;
use crate::{
    Context, Error, Result,
    digest::{BlobDigest, Hasher},
    file, fork,
    image::{archive::Part, contents::PackedLayer},
    layer::unpack::{Unpacked, unpack},
    store::{Scratch, Writeback},
};

/// Most processes at a time.
const WORKERS_LIMIT: u32 = 8;
/// After so many bytes more the parent hears of them.
const STEP_BYTES: u64 = 512 << 10;
/// Longest silence towards whoever wants to hear.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const RESULT_LIMIT: usize = 64 << 10;

/// A layer that is to be unpacked, and where.
pub(super) struct Job<'a> {
    pub(super) layer: &'a PackedLayer,
    pub(super) part: Part,
    pub(super) scratch: Scratch,
}

/// A job at work.
struct Worker {
    /// The job's number.
    number: usize,
    child: fork::Child,
    report: OwnedFd,
    heard: Vec<u8>,
    /// How many bytes it has read, as far as it was heard.
    far: u64,
}

/// Unpacks all of them. After an error no process is left, and no tree.
pub(super) fn unpack_all(
    jobs: Vec<Job<'_>>,
    mut writeback: Writeback,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<Vec<(Scratch, Unpacked)>> {
    let most = workers();
    let mut results: Vec<Option<Unpacked>> = jobs.iter().map(|_| None).collect();
    let mut running: Vec<Worker> = Vec::new();
    let mut waiting = 0..jobs.len();
    let ended = loop {
        while running.len() < most
            && let Some(number) = waiting.next()
        {
            match start(&jobs[number], number) {
                Ok(worker) => running.push(worker),
                Err(error) => {
                    stop(running);
                    return Err(error);
                }
            }
        }
        if running.is_empty() {
            break Ok(());
        }
        if let Err(error) = turn(&jobs, &mut running, &mut results, &mut writeback, tell) {
            break Err(error);
        }
    };
    stop(running);
    ended?;
    let done = jobs.into_iter().zip(results);
    done.map(|(job, result)| match result {
        Some(unpacked) => Ok((job.scratch, unpacked)),
        None => Err(Error::Corrupt(format!("extract {}: no result", job.layer.path))),
    })
    .collect()
}

/// Waits for whoever says something, and takes the results of those who are ready.
fn turn(
    jobs: &[Job<'_>],
    running: &mut Vec<Worker>,
    results: &mut [Option<Unpacked>],
    writeback: &mut Writeback,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<()> {
    let ready: Vec<bool> = {
        let mut polled: Vec<PollFd<'_>> =
            running.iter().map(|worker| PollFd::new(&worker.report, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os("wait for", "extracting processes", errno)),
        }
        polled.iter().map(|polled| !polled.revents().is_empty()).collect()
    };
    tell(Told::Nothing)?;
    for at in (0..running.len()).rev().filter(|at| ready[*at]) {
        let worker = &mut running[at];
        let job = &jobs[worker.number];
        if let Some(far) = worker.listen()? {
            let Some(current) = far else { continue };
            writeback.came(current.saturating_sub(worker.far));
            worker.far = current;
            let name = job.layer.layer.map_or_else(|| job.layer.path.clone(), |layer| layer.to_string());
            tell(Told::Layer { layer: &name, current, total: job.part.size })?;
            continue;
        }
        let worker = running.swap_remove(at);
        let unpacked = worker.result()?;
        if let Some(wanted) = job.layer.layer.filter(|wanted| *wanted != unpacked.layer) {
            return Err(Error::Corrupt(format!(
                "read layer {}: its content is {}, the config says {wanted}",
                job.layer.path, unpacked.layer
            )));
        }
        results[worker.number] = Some(unpacked);
    }
    Ok(())
}

impl Worker {
    /// Hears what there is: how far it is, if it says so; `None` when it is done.
    fn listen(&mut self) -> Result<Option<Option<u64>>> {
        let mut part = [0; 4096];
        let count = match rustix::io::read(&self.report, &mut part) {
            Err(Errno::INTR) => return Ok(Some(None)),
            other => other.context("read", "result of an extracting process")?,
        };
        if count == 0 {
            return Ok(None);
        }
        self.heard.extend_from_slice(&part[..count]);
        if self.heard.len() > RESULT_LIMIT {
            return Err(Error::Corrupt("extract layer: the result is too long".into()));
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

    fn result(&self) -> Result<Unpacked> {
        let ended = fork::wait(&self.child.pidfd).context("wait for", "an extracting process")?;
        let answer = self.heard.strip_prefix(b"=").unwrap_or_default();
        crate::json::from_slice(answer).map_err(|_| {
            Error::from_bytes(answer).unwrap_or_else(|| {
                Error::Corrupt(format!("extract layer: its process ended early: {ended:?}"))
            })
        })
    }
}

/// Lets those who are still at work notice that nobody listens, and waits for their end.
fn stop(running: Vec<Worker>) {
    let children: Vec<fork::Child> = running.into_iter().map(|worker| worker.child).collect();
    for child in children {
        let _ = fork::wait(&child.pidfd);
    }
}

fn start(job: &Job<'_>, number: usize) -> Result<Worker> {
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    // The standard descriptors stay, so that no file of the layer gets the number of one.
    let [stdin, stdout, stderr] = descriptor::standard();
    let directory = job.scratch.directory().as_fd();
    let keep = [stdin, stdout, stderr, job.part.file.as_fd(), directory, reporter.as_fd()];
    let child = fork::child(&keep, || {
        let answer = match work(job, &reporter) {
            Ok(unpacked) => serde_json::to_vec(&unpacked).expect("plain values"),
            Err(error) => error.to_bytes(),
        };
        i32::from(file::write_all(&reporter, &[b"=", answer.as_slice()].concat()).is_err())
    })?;
    Ok(Worker { number, child, report, heard: Vec::new(), far: 0 })
}

/// In the child.
fn work(job: &Job<'_>, reporter: &OwnedFd) -> Result<Unpacked> {
    let mut part = job.part.again()?;
    // A blob that is not compressed is verified by its DiffId.
    let wanted = job.layer.blob.filter(|blob| job.layer.layer.is_none_or(|layer| layer.0 != blob.0));
    let mut hash = wanted.is_some().then(Hasher::new);
    let (mut read, mut reported) = (0_u64, 0);
    let mut source = |buffer: &mut [u8]| {
        let count = part.read(buffer)?;
        read += count as u64;
        if read - reported >= STEP_BYTES || count == 0 {
            reported = read;
            file::write_all(reporter, format!("{read}\n").as_bytes()).context("write", "report")?;
        }
        if let Some(hashed) = &mut hash {
            hashed.update(&buffer[..count]);
            if count == 0 && hash.take().map(|hash| BlobDigest(hash.finish())) != wanted {
                let blob = wanted.map(|blob| blob.to_string()).unwrap_or_default();
                return Err(Error::Corrupt(format!("read layer: blob {blob} is not what its name says")));
            }
        }
        Ok(count)
    };
    unpack(&mut source, job.scratch.directory().as_fd())
}

fn workers() -> usize {
    let set = rustix::thread::sched_getaffinity(None);
    set.map_or(1, |set| set.count().clamp(1, WORKERS_LIMIT)) as usize
}

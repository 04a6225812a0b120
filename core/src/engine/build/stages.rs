//! The stages of a build: one that is ready alone is built here; several are built side by side, each in a process of its
//! own that tells this one what happens.
//!
//! ```text
//! this process  <── pipe: frames ──  child
//! frame:  length of the rest u32 | kind u8 | JSON of an event; last, JSON of what the stage has come to, or an error
//! ```

use alloc::{collections::BTreeMap, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::{descriptor, processor};

use super::{Build, Engine, Kept, Task, Tell, keep, layer::Bench, pending::Sequence, stage::Done};
use crate::{
    Context, Error, Result,
    build::{
        plan::{Base, Needed},
        progress::{Event, Number},
        state::State,
        transfer::Hashes,
    },
    clock,
    container::record::HOST_IMAGE,
    digest::Digest,
    file, fork,
    store::Writeback,
};

const EVENT: u8 = b'e';
const STATE: u8 = b's';
const ERROR: u8 = b'!';
/// Bytes before what a frame carries.
const HEAD: usize = 5;
/// Most bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Most bytes of a frame.
const FRAME_MAX: usize = 64 << 20;
/// Least and most stages at a time. More than processors, as a step may wait for the disk or the network.
const SIDE_BY_SIDE: (usize, usize) = (2, 16);

/// Who builds the stages.
struct Site<'a> {
    engine: &'a Engine,
    task: Task<'a>,
    tell: &'a mut Tell<'a>,
    hashes: Hashes,
    writeback: Writeback,
    kept: Kept,
    /// The stages that are finished.
    done: BTreeMap<usize, Done>,
    running: Vec<Worker>,
    /// The number of the next step.
    next: Number,
}

/// A process that builds a stage.
struct Worker {
    stage: usize,
    /// What it works on, if that is this machine's own root.
    host: Option<Bench>,
    child: fork::Child,
    report: OwnedFd,
    heard: Vec<u8>,
    /// The numbers of its steps in the build.
    steps: Vec<Number>,
}

impl Engine {
    /// Builds stages: what the target has come to. After an error no process is left.
    ///
    /// # Errors
    /// What goes wrong in a stage first.
    pub(super) fn build_stages<'a>(
        &'a self,
        task: Task<'a>,
        stages: BTreeMap<usize, Needed>,
        target: usize,
        tell: &'a mut Tell<'a>,
    ) -> Result<State> {
        let (hashes, writeback) = (Hashes::load(&self.data), self.store.writeback()?);
        let (kept, done, running) = (Kept::new(), BTreeMap::new(), Vec::new());
        let mut site = Site { engine: self, task, tell, hashes, writeback, kept, done, running, next: 0 };
        let built = site.build(stages);
        // Those who are still at work notice that nobody listens.
        let children: Vec<fork::Child> = site.running.drain(..).map(|worker| worker.child).collect();
        for child in children {
            let _ = fork::wait(&child.pidfd);
        }
        site.hashes.save();
        built?;
        let all: Vec<Digest> = site.done.values().flat_map(|done| done.state.steps.iter().copied()).collect();
        let mut state = site.done.remove(&target).expect("the plan has the target").state;
        let mut build = site.begin();
        for to in &task.options.cache_to {
            build.carry(to, if to.all_stages { &all } else { &state.steps })?;
        }
        if task.options.squash {
            build.squash(&mut state)?;
        }
        Ok(state)
    }
}

impl Site<'_> {
    fn build(&mut self, mut stages: BTreeMap<usize, Needed>) -> Result<()> {
        let (least, most) = SIDE_BY_SIDE;
        let room = match self.task.options.classic {
            true => 1,
            false => processor::count().unwrap_or(1).clamp(least, most),
        };
        loop {
            let is_ready = |needed: &Needed| needed.after.iter().all(|stage| self.done.contains_key(stage));
            let mut ready: Vec<usize> =
                stages.iter().filter(|(_, needed)| is_ready(needed)).map(|(stage, _)| *stage).collect();
            if ready.is_empty() && self.running.is_empty() {
                return Ok(());
            }
            let is_alone = self.running.is_empty() && (ready.len() == 1 || room == 1);
            ready.truncate(room - self.running.len());
            for stage in ready {
                let needed = stages.remove(&stage).expect("it is one of them");
                if is_alone { self.here(stage, &needed.base)? } else { self.apart(stage, &needed.base)? }
            }
            if !self.running.is_empty() {
                self.turn()?;
            }
        }
    }

    /// The beginning of work in this process.
    fn begin(&mut self) -> Build<'_> {
        let Site { engine, task, hashes, writeback, kept, tell, done, next, .. } = self;
        let sequence = Sequence::default();
        Build { engine, task: *task, hashes, writeback, kept, tell: &mut **tell, next: *next, done, sequence }
    }

    /// Builds a stage in this process.
    fn here(&mut self, stage: usize, base: &Base) -> Result<()> {
        let mut build = self.begin();
        let built = build.stage(stage, base, host(base)?)?;
        self.next = build.next;
        self.done.insert(stage, built);
        Ok(())
    }

    /// Has a stage built by another process.
    fn apart(&mut self, stage: usize, base: &Base) -> Result<()> {
        self.hashes.save();
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let host = host(base)?;
        let (engine, task, done) = (self.engine, self.task, &self.done);
        let benches = host.iter().chain(done.values().filter_map(|done| done.host.as_ref()));
        let mut keep: Vec<_> = benches.flat_map(Bench::descriptors).collect();
        keep.extend(descriptor::standard());
        keep.extend(task.contexts.values().chain([task.context]).map(|context| context.root.as_fd()));
        keep.push(reporter.as_fd());
        let build = |kept: &mut Kept| -> Result<State> {
            let engine = engine.again()?;
            let (mut hashes, mut writeback) = (Hashes::load(&engine.data), engine.store.writeback()?);
            let tell: &mut Tell<'_> = &mut |event| send(&reporter, EVENT, &json(&event));
            let (hashes, writeback) = (&mut hashes, &mut writeback);
            let sequence = Sequence::default();
            let mut build =
                Build { engine: &engine, task, hashes, writeback, kept, tell, next: 0, done, sequence };
            let built = build.stage(stage, base, host.as_ref().map(Bench::held_twice).transpose()?);
            build.hashes.save();
            built.map(|done| done.state)
        };
        let child = fork::child(&keep, || {
            let mut kept = Kept::new();
            let sent = match build(&mut kept) {
                Ok(state) => send(&reporter, STATE, &json(&state)),
                Err(error) => send(&reporter, ERROR, &error.to_bytes()),
            };
            wait_until_closed(&reporter);
            i32::from(sent.is_err())
        })?;
        drop(reporter);
        self.running.push(Worker { stage, host, child, report, heard: Vec::new(), steps: Vec::new() });
        Ok(())
    }

    /// Waits for whoever says something, and passes it on.
    fn turn(&mut self) -> Result<()> {
        let reports = self.running.iter().map(|worker| worker.report.as_fd());
        let ready = fork::heard(reports, Some(&clock::timespec(clock::SECOND)))?;
        if !ready.contains(&true) {
            (self.tell)(Event::Idle)?;
        }
        for at in (0..self.running.len()).rev().filter(|at| ready[*at]) {
            if let Some(state) = self.listen(at)? {
                let locked = self.engine.store.share()?;
                keep(&self.engine.store, &mut self.kept, &locked, &state.layers)?;
                let Worker { stage, host, child, report, .. } = self.running.swap_remove(at);
                drop(report);
                let _ = fork::wait(&child.pidfd);
                self.done.insert(stage, Done { state, host, is_fresh: false });
            }
        }
        Ok(())
    }

    /// Passes on what there is of a process: what its stage has come to, if that is there.
    fn listen(&mut self, at: usize) -> Result<Option<State>> {
        let worker = &mut self.running[at];
        let broken = || Error::Corrupt("a process of this build ended early".into());
        let old = worker.heard.len();
        worker.heard.resize(old + PIECE, 0);
        let count = file::read_part(&worker.report, &mut worker.heard[old..]);
        worker.heard.truncate(old + *count.as_ref().unwrap_or(&0));
        if count.context("read", "report of a process")? == 0 {
            return Err(broken());
        }
        let mut begin = 0;
        let state = loop {
            let Some((length, rest)) = worker.heard[begin..].split_first_chunk() else { break None };
            let length = u32::from_le_bytes(*length) as usize;
            if length == 0 || length > FRAME_MAX {
                return Err(broken());
            }
            let Some((&kind, content)) = rest.get(..length).and_then(<[u8]>::split_first) else { break None };
            match kind {
                EVENT => {
                    let mut event: Event = crate::json::from_slice(content).map_err(|_| broken())?;
                    if let Event::Begun { .. } = event {
                        worker.steps.push(self.next);
                        self.next += 1;
                    }
                    if let Some(step) = event.step_mut() {
                        *step = *worker.steps.get(*step as usize).ok_or_else(broken)?;
                    }
                    (self.tell)(event)?;
                }
                STATE => break Some(crate::json::from_slice(content).map_err(|_| broken())?),
                _ => return Err(Error::from_bytes(content).unwrap_or_else(broken)),
            }
            begin += HEAD - 1 + length;
        };
        worker.heard.drain(..begin);
        Ok(state)
    }
}

/// What a stage works on, if that is this machine's own root.
fn host(base: &Base) -> Result<Option<Bench>> {
    let is_host = matches!(base, Base::Image(image) if image == HOST_IMAGE);
    is_host.then(Bench::on_host).transpose()
}

/// Waits until nobody reads a pipe any more: who did holds the layers now.
fn wait_until_closed(pipe: &OwnedFd) {
    let mut polled = [PollFd::new(pipe, PollFlags::empty())];
    while let Ok(0) | Err(Errno::INTR) = poll(&mut polled, None) {}
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain values")
}

fn send(pipe: &OwnedFd, kind: u8, content: &[u8]) -> Result<()> {
    let length = (1 + content.len()) as u32;
    let frame = [&length.to_le_bytes()[..], &[kind], content].concat();
    file::write_all(pipe, &frame).context("write", "report")
}

//! What a command has changed, on its way to the shelf of layers: a process of its own finds out its name, while the next
//! command runs on it already.
//!
//! ```text
//! this process: the next command    child: tar | sha256, skeleton
//!               hold, closed when nothing stands on the tree  ──>  what is not in the layer goes
//!               answer                                        <──  the layer's name, or an error
//! ```

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    pipe::{PipeFlags, pipe_with},
    process::Signal,
};

use super::{Build, stage::Done, turn::Turn};
use crate::{
    Context, Error, Result,
    digest::Digest,
    file, fork,
    layer::{keep::keep, unpack::Unpacked},
    store::{Scratch, StepRecord},
};

/// Most bytes of an answer.
const ANSWER_LIMIT: usize = 64 << 10;

/// How the steps of a stage follow one another.
#[derive(Default)]
pub(super) struct Sequence {
    /// The last step and those before it, by what they are and not by what came of them.
    pub chain: Option<Digest>,
    /// Behind the present step comes a command, which can run while a name is found for what comes of this one.
    pub leads_on: bool,
    /// What the last step has changed, on its way.
    pub pending: Option<Pending>,
}

/// What a command has changed.
pub(super) struct Pending {
    /// Has it as `tree`.
    scratch: Scratch,
    /// Until it is on the shelf.
    naming: Option<Naming>,
    /// Of the step, and what is to be said of it there.
    key: Digest,
    record: StepRecord,
    turn: Option<Turn>,
    /// Its line of the stage's history.
    line: usize,
}

/// A process that finds out a layer's name.
struct Naming {
    child: fork::Child,
    answer: OwnedFd,
    hold: Option<OwnedFd>,
}

impl Pending {
    /// Of a step with this key that has left its changes in `tree`, above `lower`. The name of its layer is missing in the
    /// record; `line` is that of the history.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(
        (scratch, lower): (Scratch, OwnedFd),
        key: Digest,
        record: StepRecord,
        turn: Option<Turn>,
        line: usize,
    ) -> Result<Pending> {
        let naming = Some(Naming::begin(&scratch, lower)?);
        Ok(Pending { scratch, naming, key, record, turn, line })
    }

    /// The changes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn tree(&self) -> Result<OwnedFd> {
        file::directory(self.scratch.directory(), "tree").context("open", "tree")
    }

    /// Has something to read when the name is known and nobody has taken notice yet.
    pub fn answer(&self) -> Option<BorrowedFd<'_>> {
        self.naming.as_ref().map(|naming| naming.answer.as_fd())
    }
}

impl Naming {
    fn begin(scratch: &Scratch, lower: OwnedFd) -> Result<Naming> {
        let (answer, from_child) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let (held, hold) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let directory = scratch.directory().as_fd();
        let kept = [directory, lower.as_fd(), from_child.as_fd(), held.as_fd()];
        let child = fork::child(&kept, || {
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            let named = lower.try_clone().context("duplicate", "directory").and_then(|lower| {
                keep(directory, lower, || {
                    let _ = file::read_part(&held, &mut [0]);
                })
            });
            let answer = match named {
                Ok(unpacked) => serde_json::to_vec(&unpacked).expect("plain values"),
                Err(error) => error.to_bytes(),
            };
            i32::from(file::write_all(&from_child, &answer).is_err())
        })?;
        Ok(Naming { child, answer, hold: Some(hold) })
    }

    /// Waits for the name.
    fn end(mut self) -> Result<Unpacked> {
        self.hold = None;
        let answer = file::read_all(&self.answer, ANSWER_LIMIT).context("read", "name of a layer")?;
        crate::json::from_slice(&answer).map_err(|_| {
            let early = || Error::Corrupt("the process that names a layer ended early".into());
            Error::from_bytes(&answer).unwrap_or_else(early)
        })
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        let _ = fork::wait(&self.child.pidfd);
    }
}

impl Build<'_> {
    /// Puts what is pending on its shelf, for everybody. What stands on it may go on doing so.
    pub(super) fn publish_pending(&mut self) -> Result<()> {
        let Some(mut pending) = self.sequence.pending.take() else { return Ok(()) };
        if let Some(naming) = pending.naming.take() {
            let unpacked = naming.end()?;
            let Pending { scratch, key, record, .. } = &mut pending;
            self.shelve_made(&self.engine.store.share()?, key, record, (scratch, &unpacked))?;
            pending.turn = None;
        }
        self.sequence.pending = Some(pending);
        Ok(())
    }

    /// Puts what is pending on its shelf and on top of the stage's layers. Nothing stands on it any more but by its name.
    pub(super) fn settle(&mut self, done: &mut Done) -> Result<()> {
        self.publish_pending()?;
        if let Some(Pending { record, line, .. }) = self.sequence.pending.take() {
            done.state.layers.extend(record.layer);
            done.state.history[line].empty_layer = record.layer.is_none();
        }
        Ok(())
    }
}

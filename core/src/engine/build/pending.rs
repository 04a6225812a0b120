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
    Context, Result,
    digest::Digest,
    file,
    fork::work::Work,
    layer::{keep::keep, unpack::Unpacked},
    store::{Scratch, StepRecord},
};

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
    work: Option<Work<Unpacked>>,
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
        self.naming.as_ref()?.work.as_ref().map(Work::report)
    }
}

impl Naming {
    fn begin(scratch: &Scratch, lower: OwnedFd) -> Result<Naming> {
        let (held, hold) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let directory = scratch.directory().as_fd();
        let work = Work::begin(&[directory, lower.as_fd(), held.as_fd()], || {
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            let lower = lower.try_clone().context("duplicate", "directory")?;
            keep(directory, lower, || {
                let _ = file::read_part(&held, &mut [0]);
            })
        })?;
        Ok(Naming { work: Some(work), hold: Some(hold) })
    }

    /// Waits for the name.
    fn end(mut self) -> Result<Unpacked> {
        self.hold = None;
        self.work.take().expect("it ends once").end()
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.give_up();
        }
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

//! `rm` and `container prune`: taking containers off the shelf.

use alloc::{format, string::String, vec::Vec};

use super::{Engine, list::Which, prepare::end_group, wait::Condition};
use crate::{
    Error, Result,
    clock::{self, SECOND},
    container::{
        record::Record,
        shelf::Lock,
        state::{State, Status},
    },
    events::Kind,
};

/// How a removal treats a container that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// It is left alone, and the removal refused.
    Refuse,
    /// It is killed first.
    Kill,
}

impl Engine {
    /// Removes a container. Its name is free and it is out of sight when this returns.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it runs and is not to be killed.
    pub fn remove(&self, name: &str, running: Running) -> Result<Record> {
        self.bury_dead(&self.shelf.resolve(name)?);
        let waiter = self.waiter(name, Condition::NotRunning)?;
        let record = self.shelf.find(name)?.record;
        let id = &record.id;
        let status = self.shelf.state(id)?.status;
        if status.is_active() {
            if running == Running::Refuse {
                let first = if status == Status::Paused { "Unpause and then stop" } else { "Stop" };
                return Err(Error::Conflict(format!(
                    "You cannot remove a {} container {id}. {first} the container before attempting removal or \
                     force remove",
                    status.name()
                )));
            }
            self.end(&record, &waiter)?;
        }
        self.take_off(&record)?;
        Ok(record)
    }

    /// Discards a container that does not run, as soon as nobody else works on it.
    fn take_off(&self, record: &Record) -> Result<()> {
        // A monitor lets go of its lock shortly after it has written down the end; with --rm it removes for itself.
        let deadline = clock::monotonic() + 10 * SECOND;
        let lock = loop {
            match self.shelf.lock(&record.id) {
                Err(Error::Conflict(_)) if clock::monotonic() < deadline => clock::sleep(2_000_000),
                other => break other?,
            }
        };
        // A monitor that was killed before the container counted as started has left its group and its network.
        if let Ok(Some(group)) = self.group(record) {
            end_group(&group);
        }
        self.disconnect(&record.id, &lock.directory);
        // Nothing is lost if somebody else has removed it meanwhile: then only the run directory is left, which the
        // lock has made again.
        self.discard(record, &lock)?;
        self.shelf.clear(&record.id, lock);
        Ok(())
    }

    /// Takes a container off the shelf, and tells it.
    pub(super) fn discard(&self, record: &Record, lock: &Lock) -> Result<()> {
        if self.shelf.discard(record, lock)? {
            self.tell(record, "destroy", &[]);
            self.release_image(&record.image);
        }
        Ok(())
    }

    /// Removes the containers that have ended (or never began) and that `wanted` holds for: their ids, and how many
    /// bytes they had written.
    ///
    /// # Errors
    /// Of the file system.
    pub fn prune(&self, mut wanted: impl FnMut(&Record) -> bool) -> Result<(Vec<String>, u64)> {
        self.sweep();
        let (mut removed, mut bytes) = (Vec::new(), 0_u64);
        for (record, State { status, .. }) in self.containers(Which::All)? {
            if status.is_active() || !wanted(&record) {
                continue;
            }
            let [written, _] = self.container_size(&record);
            match self.remove(&record.id, Running::Refuse) {
                Ok(_) => {
                    bytes = bytes.saturating_add(written);
                    removed.push(record.id);
                }
                // Started or removed by somebody else meanwhile.
                Err(Error::Conflict(_) | Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.tell_prune(Kind::Container, bytes);
        Ok((removed, bytes))
    }
}

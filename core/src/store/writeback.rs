//! What is being put into the store, on its way to the disk while more of it comes: so little is left for the one syncfs
//! that everybody has to wait for before it is published. A process of its own waits for the disk.

use rustix::fd::{AsFd, OwnedFd};

use super::{Store, publish::open_directory};
use crate::{Context, Result, fork};

/// So many bytes of input are worth a turn of the disk.
const STEP_BYTES: u64 = 2 << 20;

/// Sends to the disk what was written so far, again and again.
#[derive(Debug)]
pub struct Writeback {
    root: OwnedFd,
    /// Bytes that came since the last turn began.
    waiting: u64,
    busy: Option<fork::Child>,
}

impl Store {
    /// For something large that is about to be written below the data root.
    ///
    /// # Errors
    /// Of the file system.
    pub fn writeback(&self) -> Result<Writeback> {
        let root = open_directory(&self.root, ".").context("open", "data root")?;
        Ok(Writeback { root, waiting: 0, busy: None })
    }
}

impl Writeback {
    /// So many bytes more have come in. Never waits; whatever fails here, the syncfs at the end says it.
    pub fn came(&mut self, bytes: u64) {
        self.waiting += bytes;
        if self.waiting >= STEP_BYTES {
            self.turn();
        }
    }

    /// All of something has come in: what has become of it is almost all there.
    pub fn ended(&mut self) {
        if self.waiting >= STEP_BYTES / 8 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        if self.is_busy() {
            return;
        }
        self.waiting = 0;
        let root = self.root.as_fd();
        self.busy = fork::child(&[root], || i32::from(rustix::fs::syncfs(root).is_err())).ok();
    }

    fn is_busy(&mut self) -> bool {
        let is_busy =
            self.busy.as_ref().is_some_and(|child| matches!(fork::try_wait(&child.pidfd), Ok(None)));
        if !is_busy {
            self.busy = None;
        }
        is_busy
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        if let Some(child) = &self.busy {
            let _ = fork::wait(&child.pidfd);
        }
    }
}

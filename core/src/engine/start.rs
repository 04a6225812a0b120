//! `start` and `restart`: a container that exists gets a monitor of its own, which starts its process and stays.

use alloc::vec;

use rustix::{fd::AsFd, fs::OFlags};

use super::{Engine, supervise::START_FAILED};
use crate::{
    Error, Result,
    clock::{self, SECOND},
    container::{
        shelf::{Container, Lock, Shelf},
        state::{State, Status},
    },
    fork,
};

/// How long another command that works on the container may take.
const PATIENCE_NS: i64 = 10 * SECOND;

impl Engine {
    /// Starts a container in the background. It runs when this returns.
    ///
    /// # Errors
    /// [`Error::Unchanged`] if it runs; [`Error::Start`] and others if it can't be started, which its state says, too.
    pub fn start(&self, name: &str) -> Result<()> {
        let id = self.shelf.resolve(name)?;
        self.bury_dead(&id);
        let lock = self.lock_to_start(&id)?;
        let container = match self.shelf.find(&id) {
            Ok(container) => container,
            Err(error) => {
                // It was removed meanwhile, and the lock has made its run directory again.
                self.shelf.forget_run_directory(&id, lock);
                return Err(error);
            }
        };
        let (data_path, run_path) = (self.data_path.as_str(), self.run_path.as_str());
        fork::background(
            (container, lock),
            |(container, lock)| vec![container.directory.as_fd(), lock.file.as_fd(), lock.directory.as_fd()],
            |(container, lock), reporter| {
                let engine = Engine::open(data_path, run_path)?;
                let prepared = engine.prepare(&container.record);
                match prepared.and_then(|prepared| engine.begin(&container, &lock, prepared)) {
                    Ok(begun) => {
                        reporter.succeed();
                        engine.supervise(container, lock, begun)
                    }
                    Err(error) => {
                        engine.give_up(&container, lock, &error);
                        Err(error)
                    }
                }
            },
        )
    }

    /// Ends a container if it runs, and starts it.
    ///
    /// # Errors
    /// As [`Engine::stop`] and [`Engine::start`].
    pub fn restart(&self, name: &str, signal: Option<&str>, grace_seconds: Option<i64>) -> Result<()> {
        let id = self.shelf.resolve(name)?;
        match self.stop(&id, signal, grace_seconds) {
            Ok(()) | Err(Error::Unchanged) => {}
            Err(error) => return Err(error),
        }
        match self.start(&id) {
            // Somebody else was faster.
            Ok(()) | Err(Error::Unchanged) => {}
            Err(error) => return Err(error),
        }
        if let Some(record) = self.shelf.load(&id)? {
            self.tell(&record, "restart", &[]);
        }
        Ok(())
    }

    /// The lock of a container that does not run, as soon as nobody else works on it.
    fn lock_to_start(&self, id: &str) -> Result<Lock> {
        let deadline = clock::monotonic() + PATIENCE_NS;
        loop {
            match self.shelf.state(id)?.status {
                Status::Paused => {
                    return Err(Error::Conflict(
                        "cannot start a paused container, try unpause instead".into(),
                    ));
                }
                status if status.is_active() => return Err(Error::Unchanged),
                _ => {}
            }
            match self.shelf.lock(id) {
                Err(Error::Conflict(_)) if clock::monotonic() < deadline => clock::sleep(2_000_000),
                other => return other,
            }
        }
    }

    /// Writes down why a container could not be started; one that would go at its end goes now.
    pub fn give_up(&self, container: &Container, lock: Lock, error: &Error) {
        if container.record.host.auto_remove {
            return self.take_back(container, lock);
        }
        let Ok(file) = Shelf::state_file(container, OFlags::RDWR) else { return };
        let Ok(mut state) = State::read(&file) else { return };
        (state.status, state.pid, state.monitor) = match state.started_ns {
            0 => (Status::Created, 0, 0),
            _ => (Status::Exited, 0, 0),
        };
        state.exit_code = match error {
            Error::Start { exit_code, .. } => i32::from(*exit_code),
            _ => START_FAILED,
        };
        state.error = alloc::format!("{error}");
        let _ = state.write(&file);
    }

    /// Takes a container off the shelf whose lock the caller holds.
    pub(super) fn take_back(&self, container: &Container, lock: Lock) {
        if self.discard(&container.record, &lock).is_ok() {
            self.shelf.clear(&container.record.id, lock);
            let _ = self.remove_anonymous_volumes(&container.record);
        }
    }
}

//! `kill` and `stop`: signals to a container's first process, and the patience until it has ended.

use alloc::format;

use super::{
    Engine,
    wait::{Condition, Waiter},
};
use crate::{
    Error, Result,
    clock::{self, SECOND},
    container::{record::Record, signals, state::Status},
    process::control::{self, Question},
};

/// How long a container that was killed may take to end before whoever killed it goes on.
const KILL_PATIENCE_NS: i64 = 10 * SECOND;
/// Seconds between the stop signal and SIGKILL unless a container says otherwise.
const GRACE_SECONDS: i64 = 10;

impl Engine {
    /// Sends a signal to a running container; without a name it is SIGKILL. SIGKILL and the container's own stop signal
    /// end it for good: the restart policy does not apply.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it does not run.
    pub fn kill(&self, name: &str, signal: Option<&str>) -> Result<()> {
        let signal = signal.map_or(Ok(signals::KILL), signals::parse)?;
        let record = self.shelf.find(name)?.record;
        let for_good = signal == signals::KILL || signals::parse(stop_signal(&record)) == Ok(signal);
        let not_running = || {
            Error::Conflict(format!("Cannot kill container: {name}: container {} is not running", record.id))
        };
        // One that is being started hears of it as soon as it runs.
        if !self.shelf.state(&record.id)?.status.is_active() && !self.shelf.is_monitored(&record.id) {
            return Err(not_running());
        }
        let waiter =
            (signal == signals::KILL).then(|| self.waiter(&record.id, Condition::NotRunning)).transpose()?;
        self.send(&record, signal, for_good)?.ok_or_else(not_running)?;
        match waiter {
            // What can't be refused has its end in a moment; one that hangs in the kernel is not waited for.
            Some(waiter) => waiter.wait(None, Some(clock::monotonic() + KILL_PATIENCE_NS)).map(drop),
            None => Ok(()),
        }
    }

    /// Ends a container: its stop signal, and SIGKILL when the grace is over. Negative seconds are patience without end.
    ///
    /// # Errors
    /// [`Error::Unchanged`] if it does not run.
    pub fn stop(&self, name: &str, signal: Option<&str>, grace_seconds: Option<i64>) -> Result<()> {
        let signal = signal.map(signals::parse).transpose()?;
        let waiter = self.waiter(name, Condition::NotRunning)?;
        let record = self.shelf.find(name)?.record;
        let state = self.shelf.state(&record.id)?;
        if !state.status.is_active() {
            return Err(Error::Unchanged);
        }
        let signal = match signal {
            Some(signal) => signal,
            None => signals::parse(stop_signal(&record))?,
        };
        let grace = grace_seconds.or(record.config.stop_timeout).unwrap_or(GRACE_SECONDS);
        let gone = self.send(&record, signal, true)?.is_none();
        // A frozen process would take the signal only when it is thawed.
        if state.status == Status::Paused && !gone {
            let _ = self.ask(&record, &Question::Unpause);
        }
        let deadline = (grace >= 0).then(|| clock::monotonic().saturating_add(grace.saturating_mul(SECOND)));
        if waiter.wait(None, deadline)?.is_none() {
            self.end(&record, &waiter)?;
        }
        self.tell(&record, "stop", &[]);
        Ok(())
    }

    /// Ends a container at once, and waits for its end.
    pub(super) fn end(&self, record: &Record, waiter: &Waiter<'_>) -> Result<()> {
        self.send(record, signals::KILL, true)?;
        match waiter.wait(None, Some(clock::monotonic() + 30 * SECOND))? {
            Some(_) => Ok(()),
            None => Err(Error::Corrupt(format!("container {}: it does not end after SIGKILL", record.id))),
        }
    }

    /// Sends a signal to a container; `None` if it has no monitor.
    fn send(&self, record: &Record, signal: i32, for_good: bool) -> Result<Option<()>> {
        self.ask(record, &Question::Signal { signal, for_good })
    }

    /// Asks the monitor of a container; `None` if it has none.
    pub(super) fn ask(&self, record: &Record, question: &Question) -> Result<Option<()>> {
        match self.shelf.run_directory(&record.id) {
            Ok(directory) => control::ask(&directory, question, None),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::os("open", format!("containers/{}", record.id), errno)),
        }
    }
}

/// The signal that asks the container's process to end.
pub fn stop_signal(record: &Record) -> &str {
    if record.config.stop_signal.is_empty() { "TERM" } else { &record.config.stop_signal }
}

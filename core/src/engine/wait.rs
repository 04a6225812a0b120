//! Waiting for a container: until it does not run, until it ends next, until it is removed.
//!
//! A waiter holds the state file open, so it sees every change, even after the removal, and watches three things: the
//! file (inotify), the monitor (pidfd, in case it is killed) and the client (who may stop waiting).

use alloc::format;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{OFlags, inotify},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::{
        shelf::Shelf,
        state::{State, Status},
    },
};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// That it does not run; holds at once for one that was never started.
    NotRunning,
    /// That it does not run now, or ends after now even if it is started again at once.
    Ended,
    /// That it ends after now.
    NextExit,
    /// That it is removed.
    Removed,
}

impl Condition {
    /// Reads the API's word.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another.
    pub fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "" | "not-running" => Condition::Ended,
            "next-exit" => Condition::NextExit,
            "removed" => Condition::Removed,
            _ => {
                return Err(Error::Invalid(format!(
                    "invalid condition: {word}: it is not-running, next-exit or removed"
                )));
            }
        })
    }
}

/// A wait that has begun: what happens from its making on is not missed.
#[derive(Debug)]
pub struct Waiter<'e> {
    engine: &'e Engine,
    id: alloc::string::String,
    condition: Condition,
    /// The open state file.
    file: OwnedFd,
    changes: OwnedFd,
    /// The state when the wait began, as far as it is true.
    first: State,
}

impl Engine {
    /// Begins to wait for a container.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn waiter(&self, name: &str, condition: Condition) -> Result<Waiter<'_>> {
        let container = self.shelf.find(name)?;
        let file = Shelf::state_file(&container, OFlags::RDONLY)?;
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .context("open", "inotify")?;
        let id = container.record.id;
        let path = format!("{}/containers/{id}/state", self.data_path);
        match inotify::add_watch(&changes, path.as_str(), inotify::WatchFlags::MODIFY) {
            Ok(_) => {}
            // It was removed just now, and no change of it will be seen.
            Err(Errno::NOENT) => return Err(Error::NotFound(format!("No such container: {name}"))),
            Err(errno) => return Err(errno).context("watch", path),
        }
        let first = self.true_state(&id, &file)?;
        Ok(Waiter { engine: self, id, condition, file, changes, first })
    }

    /// What the open state file says, corrected if the monitor that wrote it is gone.
    fn true_state(&self, id: &str, file: &OwnedFd) -> Result<State> {
        let mut state = State::read(file)?;
        if state.status.is_active() && !self.shelf.is_monitored(id) {
            state = State::read(file)?;
            if state.status.is_active() {
                state.orphaned();
                // An end that no monitor counted.
                state.exits += 1;
            }
        }
        Ok(state)
    }
}

impl Waiter<'_> {
    /// Readable when the state has changed.
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// What the container is doing now; what was readable is not any more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the state can't be read.
    pub(super) fn now(&self) -> Result<State> {
        drain(&self.changes);
        self.engine.true_state(&self.id, &self.file)
    }

    /// Waits, and gives the state that ended the wait; `None` if the client has gone or the time is over first.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn wait(&self, client: Option<BorrowedFd<'_>>, deadline: Option<i64>) -> Result<Option<State>> {
        let mut state = self.engine.true_state(&self.id, &self.file)?;
        loop {
            let over = match self.condition {
                Condition::NotRunning => !state.status.is_active(),
                Condition::Ended => !state.status.is_active() || state.exits != self.first.exits,
                Condition::NextExit => state.exits != self.first.exits || state.status == Status::Removed,
                Condition::Removed => state.status == Status::Removed,
            };
            if over {
                return Ok(Some(state));
            }
            let monitor = if state.status.is_active() { monitor(&state) } else { None };
            let mut sources = alloc::vec![PollFd::new(&self.changes, PollFlags::IN)];
            if let Some(client) = client {
                sources.push(PollFd::from_borrowed_fd(client, PollFlags::RDHUP));
            }
            if let Some(monitor) = &monitor {
                sources.push(PollFd::new(monitor, PollFlags::IN));
            } else if state.status.is_active() {
                // It died between the two looks.
                state = self.engine.true_state(&self.id, &self.file)?;
                continue;
            }
            let left = deadline.map(crate::clock::timeout_until);
            match poll(&mut sources, left.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for", &self.id),
            }
            if client.is_some() && !sources[1].revents().is_empty() {
                return Ok(None);
            }
            drop(sources);
            drain(&self.changes);
            state = self.engine.true_state(&self.id, &self.file)?;
        }
    }
}

/// The monitor's pidfd; `None` if it is gone.
pub(super) fn monitor(state: &State) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(state.monitor)?, PidfdFlags::empty()).ok()
}

/// Throws waiting notifications away: that there are some is all that they say.
fn drain(changes: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    while rustix::io::read(changes.as_fd(), &mut buffer).is_ok_and(|length| length > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        container::record::Record,
        file::{self, CWD},
    };

    struct Scratch(alloc::string::String);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = format!("/tmp/skiff-wait-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let _ = file::remove_tree(CWD, path.as_str());
            Scratch(path)
        }

        fn engine(&self) -> Engine {
            Engine::open(&format!("{}/data", self.0), &format!("{}/run", self.0)).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = file::remove_tree(CWD, self.0.as_str());
        }
    }

    fn record(digit: char) -> Record {
        Record {
            id: core::iter::repeat_n(digit, 64).collect(),
            name: format!("c{digit}"),
            ..Record::default()
        }
    }

    #[test]
    fn a_container_that_was_never_started_is_not_running_and_has_no_exit() {
        let scratch = Scratch::new("never");
        let engine = scratch.engine();
        engine.shelf.add(&record('a')).unwrap();
        let state = engine.waiter("ca", Condition::NotRunning).unwrap().wait(None, None).unwrap();
        assert_eq!(state.unwrap().exit_code, 0);
        let soon = clock::monotonic() + clock::SECOND / 50;
        assert_eq!(engine.waiter("ca", Condition::NextExit).unwrap().wait(None, Some(soon)), Ok(None));
        assert_eq!(engine.waiter("cb", Condition::NextExit).unwrap_err().status(), 404);
    }

    #[test]
    fn an_exit_between_the_beginning_and_the_wait_is_not_missed() {
        let scratch = Scratch::new("fast");
        let engine = scratch.engine();
        let container = engine.shelf.add(&record('a')).unwrap();
        let waiter = engine.waiter("ca", Condition::NextExit).unwrap();
        let ended = State { status: Status::Exited, exit_code: 3, exits: 1, ..State::default() };
        ended.write(Shelf::state_file(&container, OFlags::RDWR).unwrap()).unwrap();
        assert_eq!(waiter.wait(None, None).unwrap().unwrap().exit_code, 3);
        let soon = clock::monotonic() + clock::SECOND / 50;
        assert_eq!(engine.waiter("ca", Condition::NextExit).unwrap().wait(None, Some(soon)), Ok(None));
    }

    #[test]
    fn a_waiter_sees_the_removal() {
        let scratch = Scratch::new("removed");
        let engine = scratch.engine();
        let container = engine.shelf.add(&record('a')).unwrap();
        let waiter = engine.waiter("ca", Condition::Removed).unwrap();
        let other = scratch.engine();
        let remover = std::thread::spawn(move || {
            let pause = clock::timespec(20_000_000);
            let _ = poll(&mut [], Some(&pause));
            let lock = other.shelf.lock(&container.record.id).unwrap();
            other.shelf.discard(&container.record, &lock).unwrap();
        });
        assert_eq!(waiter.wait(None, None).unwrap().unwrap().status, Status::Removed);
        remover.join().unwrap();
    }

    #[test]
    fn a_client_that_goes_ends_the_wait() {
        let scratch = Scratch::new("client");
        let engine = scratch.engine();
        engine.shelf.add(&record('a')).unwrap();
        let (near, far) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        drop(far);
        let waiter = engine.waiter("ca", Condition::Removed).unwrap();
        assert_eq!(waiter.wait(Some(near.as_fd()), None), Ok(None));
    }
}

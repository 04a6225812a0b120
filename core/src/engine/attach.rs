//! `attach` and `resize`: a client's connection goes to the container's monitor, now or at the start that it waits for.

use alloc::format;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::BorrowedFd,
    io::Errno,
};

use super::{
    Engine,
    wait::{Condition, Waiter},
};
use crate::{
    Context, Error, Result,
    container::{record::Record, shelf::Shelf, state::Status},
    process::control::{self, Attach, Offer, Question},
};

/// How often a client that gets the log first reads on before it is attached with a gap.
const TRIES_MAX: u32 = 100;

/// A container to attach to, checked, with what happens to it from now on not missed.
#[derive(Debug)]
pub struct Attachable<'e> {
    engine: &'e Engine,
    /// Its record.
    pub record: Record,
    waiter: Waiter<'e>,
    offer: Offer,
}

impl Engine {
    /// Prepares to attach a client. Once this has returned the client may be answered, and the container be started.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is frozen or restarting.
    pub fn attachable(&self, name: &str) -> Result<Attachable<'_>> {
        let waiter = self.waiter(name, Condition::Removed)?;
        let record = self.shelf.find(name)?.record;
        let id = &record.id;
        match self.shelf.state(id)?.status {
            Status::Paused => {
                return Err(Error::Conflict(format!(
                    "Container {id} is paused, unpause the container before attach"
                )));
            }
            Status::Restarting => {
                return Err(Error::Conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            _ => {}
        }
        let offer = Offer::new(self.shelf.make_run_directory(id)?)?;
        self.tell(&record, "attach", &[]);
        Ok(Attachable { engine: self, record, waiter, offer })
    }

    /// Gives the terminal of a container another size.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it does not run.
    pub fn resize(&self, name: &str, height: u16, width: u16) -> Result<()> {
        let record = self.shelf.find(name)?.record;
        self.ask(&record, &Question::Resize { height, width })?
            .ok_or_else(|| Error::Conflict(format!("Container {} is not running", record.id)))?;
        let size = [("height", &*format!("{height}")), ("width", &*format!("{width}"))];
        self.tell(&record, "resize", &size);
        Ok(())
    }
}

impl Attachable<'_> {
    /// Hands the client's connection to the monitor, waiting for the start if it has to. Returns when the monitor has
    /// it, the client has gone or the container is removed. `read_on` sends the client what has come to the log since
    /// it was asked last, for one that gets the log first.
    ///
    /// # Errors
    /// Of the kernel, and what `read_on` gives.
    pub fn attach(
        &self,
        mut attach: Attach,
        client: BorrowedFd<'_>,
        read_on: &mut dyn FnMut(&mut Attach) -> Result<()>,
    ) -> Result<()> {
        let mut tries = 0;
        loop {
            // A monitor that is about to start the process has asked for the connection by now; one that runs has to
            // be asked to take it.
            if self.offer.hand_over(attach.clone(), client)? {
                return Ok(());
            }
            let status = self.waiter.now()?.status;
            if status == Status::Removed {
                return Ok(());
            }
            if status.is_active() {
                match self.give(&attach, client) {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    // More has come to the log than the monitor wants to read for one client.
                    Err(Error::Unchanged) if tries < TRIES_MAX => {
                        tries += 1;
                        read_on(&mut attach)?;
                        continue;
                    }
                    Err(Error::Unchanged) => {
                        attach.after = None;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            let mut sources = [
                PollFd::from_borrowed_fd(self.offer.socket(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.waiter.changes(), PollFlags::IN),
                PollFd::from_borrowed_fd(client, PollFlags::empty()),
            ];
            match poll(&mut sources, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for the start of", &self.record.id),
            }
            if !sources[2].revents().is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives the connection to the monitor that runs; false if it is gone.
    fn give(&self, attach: &Attach, client: BorrowedFd<'_>) -> Result<bool> {
        match self.engine.shelf.run_directory(&self.record.id) {
            Ok(directory) => {
                let question = Question::Attach(attach.clone());
                Ok(control::ask(&directory, &question, Some(client))?.is_some())
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).context("open", &self.record.id),
        }
    }
}

impl Shelf {
    /// The directory of a container in the run root, made if it is missing.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn make_run_directory(&self, id: &str) -> Result<rustix::fd::OwnedFd> {
        match self.run_directory(id) {
            Err(Errno::NOENT) => {}
            other => return other.context("open", id),
        }
        // The lock makes it; one that is held by another has made it, too.
        match self.lock(id) {
            Ok(lock) => Ok(lock.directory),
            Err(Error::Conflict(_)) => self.run_directory(id).context("open", id),
            Err(error) => Err(error),
        }
    }
}

//! `logs`: what a container wrote, from its log files, to their end or to the container's.

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};

use super::{Engine, wait};
use crate::{
    Error, Result,
    container::{
        log::{Entry, Query, Reader, Settings},
        shelf::Container,
    },
    journal::Position,
};

/// The log of a container, opened.
#[derive(Debug)]
pub struct Logs<'e> {
    engine: &'e Engine,
    container: Container,
    reader: Reader,
}

/// Takes entries; nothing at all means that no more will come soon.
pub type Sink<'a> = &'a mut dyn FnMut(Option<&Entry<'_>>) -> Result<()>;

impl Engine {
    /// Opens the part of a container's log that was asked for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it keeps none.
    pub fn logs(&self, name: &str, query: Query) -> Result<Logs<'_>> {
        let container = self.shelf.find(name)?;
        if Settings::new(&container.record.host.log_config)? == Settings::Nothing {
            return Err(Error::Unsupported("configured logging driver does not support reading".into()));
        }
        let reader = Reader::open(container.directory.as_fd(), query)?;
        Ok(Logs { engine: self, container, reader })
    }
}

impl Logs<'_> {
    /// Whether the output is that of a terminal.
    pub fn tty(&self) -> bool {
        self.container.record.config.tty
    }

    /// Behind what was handed out.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// Hands out what is there now.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn read(&mut self, sink: Sink<'_>) -> Result<()> {
        while let Some(entry) = self.reader.next_entry()? {
            sink(Some(&entry))?;
        }
        sink(None)
    }

    /// Hands out what is there and what comes, until the container has ended and everything is told, or the client
    /// says something or goes.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn follow(&mut self, client: BorrowedFd<'_>, sink: Sink<'_>) -> Result<()> {
        let (shelf, id) = (&self.engine.shelf, self.container.record.id.as_str());
        // Its end is the end, even if somebody starts the container again at once.
        let monitor: Option<OwnedFd> = match shelf.state(id) {
            Ok(state) => wait::monitor(&state),
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let others = [Some(client), monitor.as_ref().map(AsFd::as_fd)];
        let others: alloc::vec::Vec<BorrowedFd<'_>> = others.into_iter().flatten().collect();
        let mut stopped = || {
            if monitor.is_none() || others.iter().any(|fd| is_ready(*fd)) {
                return Ok(true);
            }
            match shelf.state(id) {
                Ok(state) => Ok(!state.status.is_active()),
                Err(Error::NotFound(_)) => Ok(true),
                Err(error) => Err(error),
            }
        };
        let directory = self.container.directory.as_fd();
        let followed = self.reader.follow(directory, &others, &mut stopped, &mut *sink);
        match followed {
            // The container was removed, and its files with it: this is the end, too.
            Err(Error::Os { errno: Errno::NOENT, .. })
                if matches!(shelf.written_state(id), Err(Error::NotFound(_))) =>
            {
                sink(None)
            }
            other => other,
        }
    }
}

/// Whether something can be read or has ended, now.
pub(super) fn is_ready(fd: BorrowedFd<'_>) -> bool {
    let mut source = [PollFd::from_borrowed_fd(fd, PollFlags::IN | PollFlags::RDHUP)];
    poll(&mut source, Some(&crate::clock::timespec(0))).is_ok_and(|count| count > 0)
}

//! A container's log files -> lines of output, for `logs`. A server child runs it.

use alloc::vec::Vec;

use rustix::fd::BorrowedFd;

use super::{FILE_NAME, Stream, line};
use crate::{
    Result,
    clock::{self, Time},
    journal::{Lines, Position, Start, Watch},
};

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// So many lines before the end, of both streams together and whatever their time; `None`: all.
    pub tail: Option<u64>,
    /// Nothing older.
    pub since: Option<Time>,
    /// Nothing newer.
    pub until: Option<Time>,
    /// Lines of standard output.
    pub stdout: bool,
    /// Lines of standard error.
    pub stderr: bool,
}

impl Default for Query {
    fn default() -> Self {
        Query { tail: None, since: None, until: None, stdout: true, stderr: true }
    }
}

/// One line, or part of a line, of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it came out.
    pub stream: Stream,
    /// When.
    pub time: Time,
    /// What, with its line break unless it is a part.
    pub text: &'a [u8],
}

/// Reads a container's log.
#[derive(Debug)]
pub struct Reader {
    lines: Lines,
    query: Query,
    text: Vec<u8>,
    ended: bool,
}

impl Reader {
    /// Opens the log in the container's `directory`. A container that wrote nothing yet has an empty log.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(directory: BorrowedFd<'_>, query: Query) -> Result<Reader> {
        let lines = Lines::open(directory, FILE_NAME, query.tail.map_or(Start::Oldest, Start::Last))?;
        Ok(Reader { lines, query, text: Vec::new(), ended: false })
    }

    /// Behind the last line that was looked at.
    pub fn position(&self) -> Position {
        self.lines.position()
    }

    /// The next line that was asked for, or `None` if there is no more for now.
    ///
    /// # Errors
    /// Of the file system. Damaged lines are left out.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>> {
        while !self.ended
            && let Some(json) = self.lines.next_line()?
        {
            let Some((stream, time)) = line::parse(json, &mut self.text) else { continue };
            if self.query.until.is_some_and(|until| time > until) {
                self.ended = true;
                break;
            }
            let selected = match stream {
                Stream::Stdout => self.query.stdout,
                Stream::Stderr => self.query.stderr,
            };
            if selected && self.query.since.is_none_or(|since| time >= since) {
                return Ok(Some(Entry { stream, time, text: &self.text }));
            }
        }
        Ok(None)
    }

    /// Hands everything there is to `sink`, and goes on with what is written from now on until `stopped` says that
    /// nothing more will be, or the query's `until` is past. Before each wait `sink` gets `None`: time to send what it
    /// has gathered.
    ///
    /// `directory` is the container's. `stopped` is asked after each change in it (the state file is there too) and
    /// each time one of `others` is readable or hung up; it has to be true for good before such a descriptor stays
    /// so, or this would not sleep.
    ///
    /// # Errors
    /// Of the file system, and what `sink` and `stopped` give.
    pub fn follow(
        &mut self,
        directory: BorrowedFd<'_>,
        others: &[BorrowedFd<'_>],
        stopped: &mut dyn FnMut() -> Result<bool>,
        sink: &mut dyn FnMut(Option<&Entry<'_>>) -> Result<()>,
    ) -> Result<()> {
        // Everything is watched before it is looked at, so that no change falls in between.
        let watch = Watch::new(directory)?;
        loop {
            let last = stopped()? || self.query.until.is_some_and(|until| Time::now() > until);
            while let Some(entry) = self.next_entry()? {
                sink(Some(&entry))?;
            }
            sink(None)?;
            if last || self.ended {
                return Ok(());
            }
            let left = self.query.until.map(|until| until.since(Time::now()).max(0));
            watch.wait(others, left.map(|left| clock::monotonic().saturating_add(left)))?;
        }
    }
}

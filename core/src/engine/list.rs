//! Containers with their states, for `ps`, `info` and `prune`.

use alloc::{format, string::String, vec::Vec};

use serde::de::DeserializeOwned;

use super::Engine;
use crate::{
    Error, Result,
    container::{
        record::{Listed, Record},
        state::{State, Status},
    },
};

/// Which containers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that a monitor looks after.
    Active,
    /// All.
    All,
}

impl Engine {
    /// Containers, the newest first. One whose record can't be read is listed by its id, with the reason as its error.
    ///
    /// # Errors
    /// Of the file system.
    pub fn containers(&self, which: Which) -> Result<Vec<(Record, State)>> {
        self.gather(which, |id| Record { id, ..Record::default() }, |record| record.created_ns)
    }

    /// As [`Engine::containers`], as far as lists show them.
    ///
    /// # Errors
    /// Of the file system.
    pub fn listed(&self, which: Which) -> Result<Vec<(Listed, State)>> {
        self.gather(which, |id| Listed { id, ..Listed::default() }, |record| record.created_ns)
    }

    fn gather<T: DeserializeOwned>(
        &self,
        which: Which,
        unknown: fn(String) -> T,
        created_ns: fn(&T) -> i64,
    ) -> Result<Vec<(T, State)>> {
        let mut found = Vec::new();
        for id in self.shelf.ids()? {
            let state = match self.shelf.state(&id) {
                Ok(state) => state,
                // Removed since the directory was listed.
                Err(Error::NotFound(_)) => continue,
                Err(error) => unreadable(&error),
            };
            if state.status == Status::Removed || which == Which::Active && !state.status.is_active() {
                continue;
            }
            match self.shelf.load::<T>(&id) {
                Ok(Some(record)) => found.push((record, state)),
                Ok(None) => {}
                Err(error) => found.push((unknown(id), unreadable(&error))),
            }
        }
        found.sort_by_key(|(record, _)| core::cmp::Reverse(created_ns(record)));
        Ok(found)
    }

    /// How many containers there are: running, paused, stopped.
    ///
    /// # Errors
    /// Of the file system.
    pub fn container_counts(&self) -> Result<[usize; 3]> {
        let mut counts = [0; 3];
        for id in self.shelf.ids()? {
            let kind = match self.shelf.state(&id).map(|state| state.status) {
                Ok(Status::Running | Status::Restarting) => 0,
                Ok(Status::Paused) => 1,
                Err(Error::NotFound(_)) | Ok(Status::Removed) => continue,
                _ => 2,
            };
            counts[kind] += 1;
        }
        Ok(counts)
    }
}

fn unreadable(error: &Error) -> State {
    State { status: Status::Exited, error: format!("{error}"), ..State::default() }
}

/// The command line in one string, as Docker shows it: words with blanks in single quotes.
pub fn command_line(record: &Listed) -> String {
    let mut line = String::new();
    for (at, word) in record.arguments().enumerate() {
        if at > 0 {
            line.push(' ');
        }
        if at > 0 && word.contains(' ') {
            line.push('\'');
            line.push_str(word);
            line.push('\'');
        } else {
            line.push_str(word);
        }
    }
    line
}

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

    /// The container `id` as far as lists show it, if it is one of these.
    ///
    /// # Errors
    /// Of the file system.
    pub fn listed(&self, id: &str, which: Which) -> Result<Option<(Listed, State)>> {
        self.look(id, which, |id| Listed { id, ..Listed::default() })
    }

    /// All containers as far as lists show them, the newest first.
    ///
    /// # Errors
    /// Of the file system.
    pub fn all_listed(&self) -> Result<Vec<(Listed, State)>> {
        self.gather(Which::All, |id| Listed { id, ..Listed::default() }, |record| record.created_ns)
    }

    fn gather<T: DeserializeOwned>(
        &self,
        which: Which,
        unknown: fn(String) -> T,
        created_ns: fn(&T) -> i64,
    ) -> Result<Vec<(T, State)>> {
        let mut found = Vec::new();
        for id in self.shelf.ids()? {
            found.extend(self.look(&id, which, unknown)?);
        }
        crate::sort::by_key(&mut found, |(record, _)| core::cmp::Reverse(created_ns(record)));
        Ok(found)
    }

    fn look<T: DeserializeOwned>(
        &self,
        id: &str,
        which: Which,
        unknown: fn(String) -> T,
    ) -> Result<Option<(T, State)>> {
        let state = match self.shelf.state(id) {
            Ok(state) => state,
            // Removed since the directory was listed.
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => unreadable(&error),
        };
        if state.status == Status::Removed || which == Which::Active && !state.status.is_active() {
            return Ok(None);
        }
        Ok(match self.shelf.load::<T>(id) {
            Ok(record) => record.map(|record| (record, state)),
            Err(error) => Some((unknown(id.into()), unreadable(&error))),
        })
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

//! `pause` and `unpause`: freezing all processes of a container.

use alloc::format;

use super::Engine;
use crate::{Error, Result, container::state::Status, process::control::Question};

impl Engine {
    /// Freezes a running container.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it does not run or is frozen already.
    pub fn pause(&self, name: &str) -> Result<()> {
        self.freeze(name, Question::Pause)
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is not frozen.
    pub fn unpause(&self, name: &str) -> Result<()> {
        self.freeze(name, Question::Unpause)
    }

    fn freeze(&self, name: &str, question: Question) -> Result<()> {
        let record = self.shelf.find(name)?.record;
        let id = &record.id;
        let conflict = match (self.shelf.state(id)?.status, question == Question::Pause) {
            (Status::Running, true) | (Status::Paused, false) => None,
            (Status::Paused, true) => Some(format!("Container {id} is already paused")),
            (Status::Restarting, true) => {
                Some(format!("Container {id} is restarting, wait until the container is running"))
            }
            (Status::Running | Status::Restarting, false) => Some(format!("Container {id} is not paused")),
            _ => Some(format!("Container {id} is not running")),
        };
        match conflict {
            Some(message) => Err(Error::Conflict(message)),
            None => {
                self.ask(&record, &question)?
                    .ok_or_else(|| Error::Conflict(format!("Container {id} is not running")))?;
                self.tell(&record, if question == Question::Pause { "pause" } else { "unpause" }, &[]);
                Ok(())
            }
        }
    }
}

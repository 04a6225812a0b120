//! `rename`: another name for a container.

use alloc::format;

use super::Engine;
use crate::{Error, Result, container::names, process::control::Question};

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the name is taken, [`Error::Invalid`] if it is none.
    pub fn rename(&self, name: &str, new: &str) -> Result<()> {
        let mut container = self.shelf.find(name)?;
        if new.is_empty() {
            return Err(Error::Invalid("Neither old nor new names may be empty".into()));
        }
        let new = names::parse(new)?;
        if new == container.record.name {
            return Err(Error::Invalid(format!(
                "Renaming a container with the same name as its current name: {new}"
            )));
        }
        let old = self.shelf.rename(&mut container, new)?;
        self.tell(&container.record, "rename", &[("oldName", &format!("/{old}"))]);
        self.rename_on_networks(&container.record)?;
        // The monitor discards the container under its name in the end.
        self.ask(&container.record, &Question::Update).map(drop)
    }
}

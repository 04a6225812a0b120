//! `diff`: what a container has added, changed and deleted.

use alloc::{format, vec::Vec};

use rustix::fd::OwnedFd;

use super::Engine;
use crate::{
    Error, Result,
    container::{record::Record, shelf::Container},
    layer::changes::{Change, changes},
};

impl Engine {
    /// The differences between a container and its image.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] for one on the host's own root, whose changes are nowhere but in memory.
    pub fn changes(&self, name: &str) -> Result<Vec<Change>> {
        let container = self.shelf.find(name)?;
        let (upper, lower) = self.changed_directories(&container)?;
        changes(upper, lower)
    }

    /// What a container has written, and what lies below that.
    pub(super) fn changed_directories(&self, container: &Container) -> Result<(OwnedFd, OwnedFd)> {
        check_has_image(&container.record)?;
        let root = self.root(&container.record, &container.directory)?;
        Ok((root.upper()?, root.lower()?))
    }
}

/// # Errors
/// [`Error::Conflict`] for a container on the host's own root.
fn check_has_image(record: &Record) -> Result<()> {
    if record.image.is_empty() {
        return Err(Error::Conflict(format!(
            "container {} has no image: what it changes of the host's own root is kept in memory, and lost with it",
            record.id
        ))
        .hint("skiff export and skiff cp read from it while it runs"));
    }
    Ok(())
}

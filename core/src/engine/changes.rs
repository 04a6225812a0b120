//! `diff`: what a container has added, changed and deleted.

use alloc::{format, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::{record::Record, shelf::Container},
    file::{self, CWD},
    layer::changes::{Change, changes},
    process::rootfs,
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::openat(CWD, root.changes("upper"), flags, Mode::empty());
        let upper = upper.context("open", "upper directory")?;
        let lowers = root.lowers();
        let lower = match lowers.as_slice() {
            [one] => file::directory(CWD, one.as_str()).context("open", "the image's layer")?,
            several => rootfs::stacked(several)?,
        };
        Ok((upper, lower))
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

//! `stats`: what a container uses, read from its control group.

use super::Engine;
use crate::{
    Result,
    container::record::Record,
    process::cgroup::{Group, Host, stats::Stats},
};

impl Engine {
    /// The control group of a container; `None` if it has none, as one that does not run.
    ///
    /// # Errors
    /// If there is no cgroup2 tree.
    pub fn group(&self, record: &Record) -> Result<Option<Group>> {
        Group::open(&Host::find()?, &record.host.cgroup_parent, &record.id)
    }

    /// A reading of what a container uses; `None` if it does not run.
    ///
    /// # Errors
    /// Of the file system.
    pub fn stats(&self, record: &Record) -> Result<Option<Stats>> {
        if !self.shelf.state(&record.id)?.status.is_active() {
            return Ok(None);
        }
        self.group(record)?.map(|group| Stats::read(&group)).transpose()
    }
}

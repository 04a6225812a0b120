//! `stats`: what a container uses, read from its control group.

use alloc::{format, vec::Vec};

use super::Engine;
use crate::{
    Result,
    container::record::Record,
    file::{self, CWD},
    net::counters::Counters,
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

    /// What has gone through the interfaces of a container that runs in a network of its own.
    pub fn traffic(&self, record: &Record) -> Vec<Counters> {
        let pid = match self.shelf.state(&record.id) {
            Ok(state) if !self.endpoints(&record.id).is_empty() && state.status.is_active() => state.pid,
            _ => return Vec::new(),
        };
        let text = file::read(CWD, format!("/proc/{pid}/net/dev"), 1 << 16).unwrap_or_default();
        Counters::parse(core::str::from_utf8(&text).unwrap_or_default())
    }
}

//! `update`: other limits and another restart policy for a container, one that runs too.

use alloc::format;

use serde::Deserialize;

use super::{Engine, prepare::device_numbers};
use crate::{
    Error, Result,
    container::{
        config::{RestartPolicy, nullable},
        restart::Policy,
    },
    process::{
        cgroup::{Controllers, Group, Host, Resources, limits, resources::Machine},
        control::Question,
    },
};

/// What else the body of an update says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rest {
    #[serde(deserialize_with = "nullable")]
    restart_policy: RestartPolicy,
}

impl Engine {
    /// Changes what the body of an update request names, and leaves the rest as it was.
    ///
    /// # Errors
    /// [`Error::Invalid`] for limits that make no sense, [`Error::Unsupported`] for those that this machine can't
    /// enforce, [`Error::Conflict`] for a restart policy of a container that removes itself. Nothing is changed then.
    pub fn update(&self, name: &str, body: &[u8]) -> Result<()> {
        let (limits, rest) = (super::create::parse::<Resources>(body)?, super::create::parse::<Rest>(body)?);
        let mut container = self.shelf.find(name)?;
        let id = container.record.id.clone();
        self.shelf.change(&mut container, &mut |record| {
            let policy = &rest.restart_policy;
            if !policy.name.is_empty() {
                if Policy::new(policy, false)? != Policy::No && record.host.auto_remove {
                    return Err(Error::Conflict(format!(
                        "Cannot update container {id}: Restart policy cannot be updated because AutoRemove is enabled \
                         for the container"
                    )));
                }
                record.host.restart_policy = policy.clone();
            }
            let after = record.resources.updated(&limits)?;
            if after != record.resources {
                after.check(&mut Machine::read)?;
                self.limit(&record.resources, &after, &record.host.cgroup_parent, &id)?;
                record.resources = after;
            }
            Ok(())
        })?;
        self.tell(&container.record, "update", &[]);
        // Its monitor goes by the new policy, and starts it again with the new limits.
        self.ask(&container.record, &Question::Update).map(drop)
    }

    /// Puts other limits in force for a container that runs. If one of them can't be, the old ones are.
    fn limit(&self, before: &Resources, after: &Resources, parent: &str, id: &str) -> Result<()> {
        let host = Host::find()?;
        let (before, after) =
            (limits::plan(before, &mut device_numbers)?, limits::plan(after, &mut device_numbers)?);
        let change = limits::difference(&before, &after);
        host.can_enforce(&change)?;
        let Some(group) = Group::open(&host, parent, id)? else { return Ok(()) };
        let needs =
            change.iter().map(|write| write.controller).fold(Controllers::empty(), |all, one| all | one);
        group.require(&host, parent, needs)?;
        group.apply(&change).inspect_err(|_| {
            let _ = group.apply(&limits::difference(&after, &before));
        })
    }
}

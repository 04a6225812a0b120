//! The devices of the host that a container gets: the settings -> the nodes of its /dev and the rules of its control
//! group. Each device is looked at once, so that the rules speak about the nodes that are made.

use alloc::{format, vec::Vec};

use rustix::fs::{FileType, major, minor};

use crate::{
    Error, Result,
    container::record::Record,
    process::{
        cgroup::devices::{Access, DEFAULT, Effect, Kind, Rule},
        rootfs::{self, Node},
    },
};

/// What a container may use.
#[derive(Debug)]
pub(super) struct Devices {
    /// What appears inside, beside the standard nodes.
    pub nodes: Vec<Node>,
    /// What may be used: the standard rules, then those of `--device`, then those of `--device-cgroup-rule`. None: all.
    pub rules: Option<Vec<Rule>>,
}

impl Devices {
    /// Looks at the devices.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no device.
    pub fn of(record: &Record) -> Result<Devices> {
        let host = &record.host;
        let mut nodes = if host.privileged { rootfs::all_host_nodes()? } else { Vec::new() };
        let mut rules = DEFAULT.to_vec();
        for device in &host.devices {
            let access = access(&device.cgroup_permissions)?;
            for node in rootfs::host_nodes(device)? {
                rules.push(Rule {
                    effect: Effect::Allow,
                    kind: if node.kind == FileType::BlockDevice { Kind::Block } else { Kind::Char },
                    major: Some(major(node.number)),
                    minor: Some(minor(node.number)),
                    access,
                });
                nodes.push(node);
            }
        }
        for rule in &host.device_cgroup_rules {
            rules.push(Rule::parse(rule)?);
        }
        Ok(Devices { nodes, rules: (!host.privileged).then_some(rules) })
    }
}

/// What `--device PATH:PATH:ACCESS` allows.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn access(text: &str) -> Result<Access> {
    let wanted = if text.is_empty() { "rwm" } else { text };
    Access::parse(wanted)
        .ok_or_else(|| Error::Invalid(format!("invalid device access {wanted:?}: want some of r, w and m")))
}

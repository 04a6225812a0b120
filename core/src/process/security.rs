//! What the processes of a container may do: the settings about privileges -> [`Rights`].

use alloc::{format, vec::Vec};

use super::{
    capability::CapabilitySet,
    rights::Rights,
    seccomp::{self, KernelVersion},
};
use crate::{Context, Error, Result, container::config::HostConfig};

/// What a process of a container with these settings may do.
///
/// # Errors
/// [`Error::Invalid`] for unknown options.
pub fn rights(host: &HostConfig) -> Result<Rights> {
    let wanted = CapabilitySet::requested(host.privileged, &host.cap_add, &host.cap_drop)?;
    let capabilities = wanted.bounded().context("read bounding set of", "the engine")?;
    let mut no_new_privs = false;
    let mut filter = None;
    let mut filter_flags = seccomp::STANDARD_FLAGS;
    for option in &host.security_opt {
        match option.split_once(['=', ':']).unwrap_or((option, "")) {
            ("no-new-privileges", "" | "true" | "1") => no_new_privs = true,
            ("no-new-privileges", "false" | "0") => no_new_privs = false,
            ("seccomp", "unconfined") => filter = Some(Vec::new().into()),
            ("seccomp", "builtin") => filter = None,
            ("seccomp", json) => {
                let own = seccomp::from_json(json.as_bytes(), capabilities, KernelVersion::running())?;
                filter_flags = own.flags;
                filter = Some(own.instructions.into());
            }
            ("systempaths" | "apparmor", "unconfined") | ("label", "disable") | ("disable", "") => {}
            _ => return Err(Error::Invalid(format!("invalid --security-opt {option:?}"))),
        }
    }
    let filter = match filter {
        Some(filter) => filter,
        None if host.privileged => Vec::new().into(),
        None => seccomp::default_program(capabilities),
    };
    Ok(Rights { capabilities, no_new_privs, filter, filter_flags })
}

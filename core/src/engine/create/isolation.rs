//! What of the settings about isolation makes no sense, or can't be had: told when the container is made.

use alloc::format;

use crate::{
    Error, Result,
    container::config::{Config, HostConfig},
    engine::devices,
    process::{cgroup::devices::Rule, program, security, sysctl, time_namespace::Offsets, user_namespace},
};

/// Checks that the options of a request don't exclude each other. What the image says does not count.
///
/// # Errors
/// [`Error::Invalid`], in Docker's words.
pub(super) fn check_conflicts(config: &Config, host: &HostConfig) -> Result<()> {
    let joins = host.network_mode.starts_with("container:");
    let conflicts = [
        (joins && !config.hostname.is_empty(), "hostname and the network mode"),
        (
            joins && !host.links.is_empty(),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (joins && !host.dns.is_empty(), "dns and the network mode"),
        (joins && !host.extra_hosts.is_empty(), "custom host-to-IP mapping and the network mode"),
        (
            joins && (!host.port_bindings.is_empty() || host.publish_all_ports),
            "port publishing and the container type network mode",
        ),
        (joins && !config.exposed_ports.is_empty(), "port exposing and the container type network mode"),
        (host.uts_mode == "host" && !config.hostname.is_empty(), "hostname and the UTS mode"),
    ];
    match conflicts.iter().find(|(both, _)| *both) {
        Some((_, what)) => Err(Error::Invalid(format!("conflicting options: {what}"))),
        None => Ok(()),
    }
}

/// Checks the rest.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::Unsupported`] for user namespaces on an old kernel.
pub(super) fn check(host: &HostConfig) -> Result<()> {
    for (mode, known, what) in [
        (&host.ipc_mode, &["host", "private", "shareable", "none"][..], "IPC"),
        (&host.pid_mode, &["host"], "PID"),
        (&host.uts_mode, &["host"], "UTS"),
        (&host.cgroupns_mode, &["host", "private"], "cgroup namespace"),
    ] {
        let joins = mode.starts_with("container:") && matches!(what, "IPC" | "PID");
        if !(mode.is_empty() || joins || known.contains(&mode.as_str())) {
            return Err(Error::Invalid(format!("invalid {what} mode: {mode}")));
        }
    }
    check_user_namespace(host)?;
    Offsets::parse(&host.timens_mode)?;
    if host.shm_size < 0 {
        return Err(Error::Invalid("SHM size can not be less than 0".into()));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::Invalid(format!(
            "invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    security::rights(host)?;
    sysctl::check(host)?;
    host.ulimits.iter().try_for_each(program::check_limit)?;
    for rule in &host.device_cgroup_rules {
        Rule::parse(rule)?;
    }
    for device in &host.devices {
        devices::access(&device.cgroup_permissions)?;
    }
    Ok(())
}

/// What Docker refuses with user namespaces, in its words, and what they can't have here.
fn check_user_namespace(host: &HostConfig) -> Result<()> {
    if !matches!(host.userns_mode.as_str(), "" | "host" | "auto" | "private") {
        return Err(Error::Invalid(format!("invalid USER mode: {}", host.userns_mode))
            .hint("--userns auto (or private) is a user namespace, host is none"));
    }
    if !host.has_user_namespace() {
        return Ok(());
    }
    let refused = [
        (
            host.privileged,
            "privileged mode is incompatible with user namespaces.  You must run the container in the host \
             namespace when running privileged mode",
        ),
        (
            host.network_mode == "host",
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (host.pid_mode == "host", "cannot share the host PID namespace when user namespaces are enabled"),
    ];
    if let Some((_, why)) = refused.iter().find(|(asked, _)| *asked) {
        return Err(Error::Invalid((*why).into()));
    }
    for device in &host.devices {
        let inside =
            [&device.path_in_container, &device.path_on_host].into_iter().find(|path| !path.is_empty());
        if let Some(path) = inside.filter(|path| !path.starts_with("/dev/")) {
            return Err(Error::Invalid(format!(
                "device {path}: with a user namespace devices can be made below /dev only"
            )));
        }
    }
    user_namespace::check_host()
}

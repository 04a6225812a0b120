//! Kernel settings of a container: the name as a user writes it -> the path below /proc/sys, if it is a setting of the
//! container's own namespaces.

use alloc::{format, string::String};

use crate::{Error, Result, container::config::HostConfig};

/// Settings of an ipc namespace, besides all of fs.mqueue.
const OF_IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// The namespace that a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The network namespace.
    Network,
    /// The ipc namespace.
    Ipc,
    /// The uts namespace.
    Uts,
}

/// The path below /proc/sys: `net.ipv4.ip_forward`, or with slashes where a part has dots in it.
///
/// # Errors
/// [`Error::Invalid`] for what is no name.
pub fn path(name: &str) -> Result<String> {
    let slashes = name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/');
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if slashes { name.into() } else { name.chars().map(swap).collect() };
    if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::Invalid(format!("invalid sysctl name {name:?}")));
    }
    Ok(path)
}

/// The namespace that the setting at a [`path`] belongs to; none: it is the whole machine's.
pub fn owner(path: &str) -> Option<Owner> {
    match path {
        _ if path.starts_with("net/") => Some(Owner::Network),
        _ if path.starts_with("fs/mqueue/") || OF_IPC.contains(&path) => Some(Owner::Ipc),
        "kernel/domainname" => Some(Owner::Uts),
        _ => None,
    }
}

/// The first setting of a container that belongs to a kind of namespace.
pub fn first_of(host: &HostConfig, wanted: Owner) -> Option<&str> {
    let mut names = host.sysctls.keys().map(String::as_str);
    names.find(|name| path(name).is_ok_and(|path| owner(&path) == Some(wanted)))
}

/// Checks that all settings are of namespaces that the container does not share with the host.
///
/// # Errors
/// [`Error::Invalid`], in runc's words.
pub fn check(host: &HostConfig) -> Result<()> {
    for name in host.sysctls.keys() {
        let refuse = |why: &str| Err(Error::Invalid(format!("sysctl \"{name}\" {why}")));
        let path = path(name)?;
        match owner(&path) {
            Some(Owner::Network) if host.network_mode == "host" => {
                return refuse("not allowed in host network namespace");
            }
            Some(Owner::Ipc) if host.ipc_mode == "host" => {
                return refuse("is not allowed in the hosts ipc namespace");
            }
            Some(Owner::Uts) if host.uts_mode == "host" => {
                return refuse("is not in a separate kernel namespace");
            }
            Some(_) => {}
            None if path == "kernel/hostname" => return refuse("is not allowed: that is --hostname"),
            None => return refuse("is not in a separate kernel namespace"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_in_either_notation_and_leads_nowhere_else() {
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding").unwrap(), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding").unwrap(), "net/ipv4/conf/eth0.1/forwarding");
        for wrong in ["", ".", "net", "net..x", "net/../kernel/core_pattern", "net.//.kernel", "net/", "a\0b"]
        {
            assert!(path(wrong).is_err() || owner(&path(wrong).unwrap()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_settings_of_own_namespaces_are_allowed() {
        let asks = |name: &str, change: &dyn Fn(&mut HostConfig)| {
            let mut host = HostConfig::default();
            host.sysctls.insert(name.into(), "1".into());
            change(&mut host);
            check(&host).is_ok()
        };
        for (name, allowed) in [
            ("net.ipv4.ip_forward", true),
            ("kernel.shmmax", true),
            ("fs.mqueue.msg_max", true),
            ("kernel.domainname", true),
            ("kernel.hostname", false),
            ("kernel.core_pattern", false),
            ("vm.swappiness", false),
            ("fs.mqueue", false),
            ("network.x", false),
        ] {
            assert_eq!(asks(name, &|_| {}), allowed, "{name}");
        }
        assert!(!asks("net.ipv4.ip_forward", &|host| host.network_mode = "host".into()));
        assert!(!asks("kernel.shmmax", &|host| host.ipc_mode = "host".into()));
        assert!(!asks("kernel.domainname", &|host| host.uts_mode = "host".into()));
    }
}

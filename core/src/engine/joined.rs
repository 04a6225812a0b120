//! `--network`, `--ipc` and `--pid container:X`: the other container is found when this one is made, and has to run when
//! it starts.

use alloc::{format, string::String};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};
use skiff_syscalls::clone::CloneFlags;

use super::{Engine, top::proc};
use crate::{
    Context, Error, Result,
    container::{
        config::{Config, HostConfig},
        record::Record,
        shelf::Lock,
        state::{State, Status},
    },
    file,
    fork::lend::lent,
    process::{
        exec::hold,
        file_systems::NETWORK_FILES,
        namespaces::{self, Joined},
        sysctl,
    },
};

impl Engine {
    /// Checks which namespaces are joined, and names the containers that they are of by their ids.
    ///
    /// # Errors
    /// [`Error::Invalid`] without such a container, or for one that shares nothing.
    pub(super) fn resolve_joined(&self, config: &mut Config, host: &mut HostConfig) -> Result<()> {
        let user = host.has_user_namespace();
        if let Some(other) = self.named_in(&mut host.network_mode, user)? {
            config.hostname = other.hostname().into();
            config.domainname = other.config.domainname;
        } else if host.network_mode == "host" && config.hostname.is_empty() {
            config.hostname = rustix::system::uname().nodename().to_string_lossy().into();
        }
        if let Some(other) = self.named_in(&mut host.ipc_mode, user)? {
            check_shareable(&other)?;
        }
        self.named_in(&mut host.pid_mode, user)?;
        Ok(())
    }

    /// The container that a mode names, whose id stands there afterwards. Who has a `user` namespace can join nothing that
    /// is not in one.
    fn named_in(&self, mode: &mut String, user: bool) -> Result<Option<Record>> {
        let Some(name) = mode.strip_prefix("container:") else { return Ok(None) };
        let record = match self.shelf.find(name) {
            Ok(container) => container.record,
            // "Not found" is what clients take for a missing image.
            Err(Error::NotFound(why)) => return Err(Error::Invalid(why)),
            Err(error) => return Err(error),
        };
        if user && !record.host.has_user_namespace() {
            return Err(Error::Invalid(format!(
                "can't join container {}: it has no user namespace",
                record.id
            ))
            .hint("start it with --userns auto, too, or this one without"));
        }
        *mode = format!("container:{}", record.id);
        Ok(Some(record))
    }

    /// Takes hold of the processes whose namespaces a container joins.
    ///
    /// # Errors
    /// [`Error::Conflict`] if one of them does not run; [`Error::Invalid`] for kernel settings that would be the host's.
    pub(super) fn joined(&self, record: &Record) -> Result<Joined> {
        let host = &record.host;
        let net = self.process_of(&host.network_mode, "network")?;
        let ipc = self.process_of(&host.ipc_mode, "IPC")?;
        let pid = self.process_of(&host.pid_mode, "PID")?;
        for (other, file, owner) in [(&net, "net", sysctl::Owner::Network), (&ipc, "ipc", sysctl::Owner::Ipc)]
        {
            if let Some(other) = other
                && let Some(name) = sysctl::first_of(host, owner)
                && other.is_in_our(file)?
            {
                return Err(Error::Invalid(format!(
                    "sysctl \"{name}\" is not allowed: the {file} namespace of container {} is the host's",
                    other.record.id
                )));
            }
        }
        let user = match host.has_user_namespace() {
            true => owner_of([(&net, "net"), (&ipc, "ipc"), (&pid, "pid")])?,
            false => None,
        };
        let shm = match &ipc {
            Some(other) => {
                check_shareable(&other.record)?;
                Some(shared_memory(&other.process)?)
            }
            None => None,
        };
        let process = |other: Option<Other>| other.map(|other| other.process);
        Ok(Joined { net: process(net), ipc: process(ipc), pid: process(pid), user, shm })
    }

    fn process_of(&self, mode: &str, what: &str) -> Result<Option<Other>> {
        let Some(id) = mode.strip_prefix("container:") else { return Ok(None) };
        let stopped = || Error::Conflict(format!("cannot join {what} of a non running container: {id}"));
        let record = self.shelf.find(id)?.record;
        let state = self.shelf.state(&record.id)?;
        match state.status {
            Status::Running | Status::Paused => {}
            Status::Restarting => {
                return Err(Error::Conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            _ => return Err(stopped()),
        }
        let process = self.hold(&record.id, &state).map_err(|_| stopped())?;
        Ok(Some(Other { record, process, pid: state.pid }))
    }

    /// Takes hold of the first process of a container that runs.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it has ended.
    pub(super) fn hold(&self, id: &str, state: &State) -> Result<OwnedFd> {
        hold(state.pid, || {
            // Only its monitor has children that are the container's, and it holds the lock as long as it lives.
            proc::parent(state.pid) == Some(state.monitor)
                && self.shelf.is_monitored(id)
                && self.shelf.state(id).is_ok_and(|now| now.pid == state.pid)
        })
    }

    /// With the network of another container come its names for hosts.
    pub(super) fn copy_network_files(&self, record: &Record, lock: &Lock) -> Result<bool> {
        let Some(id) = record.host.network_mode.strip_prefix("container:") else { return Ok(false) };
        let other = self.shelf.run_directory(id).context("open", id)?;
        for name in NETWORK_FILES {
            let text = file::read(&other, name, 1 << 20).context("read", name)?;
            file::replace(&lock.directory, name, &text, 0o644).context("write", name)?;
        }
        Ok(true)
    }
}

/// A container whose namespace is joined.
struct Other {
    record: Record,
    process: OwnedFd,
    pid: i32,
}

impl Other {
    /// Whether it lives in the same namespace as this process, which is the host's.
    fn is_in_our(&self, kind: &str) -> Result<bool> {
        Ok(namespace_of(&format!("{}", self.pid), kind)? == namespace_of("self", kind)?)
    }
}

/// What tells a namespace of a process from others.
fn namespace_of(process: &str, kind: &str) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/ns/{kind}");
    let stat = rustix::fs::stat(path.as_str()).context("stat", path)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The process whose user namespace owns everything that is joined, if something is.
fn owner_of(joined: [(&Option<Other>, &str); 3]) -> Result<Option<OwnedFd>> {
    let mut found: Option<(&Other, (u64, u64))> = None;
    for (other, kind) in joined.iter().filter_map(|(other, kind)| Some((other.as_ref()?, kind))) {
        let id = &other.record.id;
        if other.is_in_our(kind)? {
            return Err(Error::Invalid(format!(
                "can't join container {id}: its {kind} namespace is the host's, and not of its user namespace"
            )));
        }
        let owner = namespace_of(&format!("{}", other.pid), "user")?;
        match found {
            Some((first, same)) if same != owner => {
                return Err(Error::Invalid(format!(
                    "can't join containers {} and {id}: they have different user namespaces",
                    first.record.id
                )));
            }
            _ => found = Some((other, owner)),
        }
    }
    found.map(|(other, _)| other.process.try_clone().context("copy", "pidfd")).transpose()
}

fn check_shareable(other: &Record) -> Result<()> {
    let mode = other.host.ipc_mode.as_str();
    if matches!(mode, "shareable" | "host") || mode.starts_with("container:") {
        return Ok(());
    }
    Err(Error::Invalid(format!("can't join IPC of container {}: non-shareable IPC", other.id))
        .hint("use IpcMode:shareable for the donor container: --ipc shareable"))
}

/// A copy of the mount that is the process's /dev/shm.
fn shared_memory(process: &OwnedFd) -> Result<OwnedFd> {
    from_within(process, &namespaces::clone_shared_memory, "/dev/shm of the container that is joined")
}

/// What `open` gives in a process that may join the mount namespace of `process`: a child of this one.
pub(super) fn from_within(
    process: &OwnedFd,
    open: &dyn Fn(&OwnedFd) -> Result<OwnedFd, Errno>,
    what: &str,
) -> Result<OwnedFd> {
    lent(CloneFlags::empty(), &[process.as_fd()], || open(process).context("open", what))
}

//! `--network`, `--ipc` and `--pid container:X`: the other container is found when this one is made, and has to run when
//! it starts.

use alloc::{format, string::String};

use rustix::fd::{AsFd, AsRawFd, OwnedFd};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::{
        config::{Config, HostConfig},
        record::Record,
        shelf::Lock,
        state::Status,
    },
    file, fork,
    process::{
        exec::hold,
        namespaces::{self, Joined},
    },
};

impl Engine {
    /// Checks which namespaces are joined, and names the containers that they are of by their ids.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a container; [`Error::Invalid`] for settings that exclude each other.
    pub(super) fn resolve_joined(&self, config: &mut Config, host: &mut HostConfig) -> Result<()> {
        if let Some(other) = self.named_in(&mut host.network_mode)? {
            let conflict =
                |what: &str| Err(Error::Invalid(format!("conflicting options: {what} and the network mode")));
            match () {
                () if !config.hostname.is_empty() => return conflict("hostname"),
                () if !host.links.is_empty() => return conflict("links"),
                () if !(host.dns.is_empty() && host.dns_search.is_empty()) => return conflict("dns"),
                () if !host.extra_hosts.is_empty() => return conflict("custom host-to-IP mapping"),
                () => {}
            }
            config.hostname = other.hostname().into();
            config.domainname = other.config.domainname;
        }
        if let Some(other) = self.named_in(&mut host.ipc_mode)? {
            check_shareable(&other)?;
        }
        self.named_in(&mut host.pid_mode)?;
        Ok(())
    }

    /// The container that a mode names, whose id stands there afterwards.
    fn named_in(&self, mode: &mut String) -> Result<Option<Record>> {
        let Some(name) = mode.strip_prefix("container:") else { return Ok(None) };
        let record = self.shelf.find(name)?.record;
        *mode = format!("container:{}", record.id);
        Ok(Some(record))
    }

    /// Takes hold of the processes whose namespaces a container joins.
    ///
    /// # Errors
    /// [`Error::Conflict`] if one of them does not run.
    pub(super) fn joined(&self, record: &Record) -> Result<Joined> {
        let host = &record.host;
        let ipc = self.process_of(&host.ipc_mode, "IPC")?;
        let shm = ipc.as_ref().map(|(other, process)| {
            check_shareable(other)?;
            shared_memory(process)
        });
        Ok(Joined {
            net: self.process_of(&host.network_mode, "network")?.map(|(_, process)| process),
            ipc: ipc.map(|(_, process)| process),
            shm: shm.transpose()?,
            pid: self.process_of(&host.pid_mode, "PID")?.map(|(_, process)| process),
        })
    }

    fn process_of(&self, mode: &str, what: &str) -> Result<Option<(Record, OwnedFd)>> {
        let Some(id) = mode.strip_prefix("container:") else { return Ok(None) };
        let stopped = |_| Error::Conflict(format!("cannot join {what} of a non running container: {id}"));
        let record = self.shelf.find(id)?.record;
        let state = self.shelf.state(&record.id)?;
        if !matches!(state.status, Status::Running | Status::Paused) {
            return Err(stopped(()));
        }
        let process = hold(state.pid, || {
            self.shelf.is_monitored(&record.id)
                && self.shelf.state(&record.id).is_ok_and(|now| now.pid == state.pid)
        });
        Ok(Some((record, process.map_err(|_| stopped(()))?)))
    }

    /// With the network of another container come its names for hosts.
    pub(super) fn copy_network_files(&self, record: &Record, lock: &Lock) -> Result<bool> {
        let Some(id) = record.host.network_mode.strip_prefix("container:") else { return Ok(false) };
        let other = self.shelf.run_directory(id).context("open", id)?;
        for name in ["hosts", "resolv.conf", "hostname"] {
            let text = file::read(&other, name, 1 << 20).context("read", name)?;
            file::replace(&lock.directory, name, &text, 0o644).context("write", name)?;
        }
        Ok(true)
    }
}

fn check_shareable(other: &Record) -> Result<()> {
    if matches!(other.host.ipc_mode.as_str(), "shareable" | "host") {
        return Ok(());
    }
    Err(Error::Conflict(format!("can't join IPC of container {}: non-shareable IPC", other.id))
        .hint("run that one with --ipc shareable"))
}

/// A copy of the mount that is the process's /dev/shm. Only a process in that mount namespace can make it.
fn shared_memory(process: &OwnedFd) -> Result<OwnedFd> {
    let (report, reporter) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("create", "pipe")?;
    let child = fork::child(&[process.as_fd(), reporter.as_fd()], || {
        let made = namespaces::clone_shared_memory(process);
        let number = made.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let _ = file::write_all(&reporter, &number.to_ne_bytes());
        // It is taken from here; the taker ends this process.
        loop {
            crate::clock::sleep(crate::clock::SECOND * 60);
        }
    })?;
    drop(reporter);
    let mut number = [0; 4];
    let taken = match rustix::io::read(&report, &mut number) {
        Ok(4) if i32::from_ne_bytes(number) >= 0 => rustix::process::pidfd_getfd(
            &child.pidfd,
            i32::from_ne_bytes(number),
            rustix::process::PidfdGetfdFlags::empty(),
        ),
        _ => Err(rustix::io::Errno::NOENT),
    };
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = fork::wait(&child.pidfd);
    taken.context("open", "/dev/shm of the container that is joined")
}

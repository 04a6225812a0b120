//! The namespaces of a container: made with the process, or those of another container or of the host.

use alloc::{format, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    thread::ThreadNameSpaceType,
};
use skiff_syscalls::clone::CloneFlags;

use super::step::Step;
use crate::{
    Context, Error, Result,
    container::config::HostConfig,
    file::{self, CWD},
};

/// Processes whose namespaces are joined.
#[derive(Debug, Default)]
pub struct Joined {
    /// For `--network container:`.
    pub net: Option<OwnedFd>,
    /// For `--ipc container:`.
    pub ipc: Option<OwnedFd>,
    /// The shared memory that comes with that: a mount of its /dev/shm.
    pub shm: Option<OwnedFd>,
    /// For `--pid container:`.
    pub pid: Option<OwnedFd>,
}

/// The namespaces to make and the steps that join others.
///
/// # Errors
/// [`Error::Unsupported`] for what can't be made.
pub(super) fn namespaces(host: &HostConfig, joined: Joined) -> Result<(CloneFlags, Vec<Step>)> {
    let mut flags = CloneFlags::NEWNS;
    let mut steps = Vec::new();
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(Error::Unsupported(format!(
            "user namespace mode {:?} is not there yet",
            host.userns_mode
        )));
    }
    if host.pid_mode != "host" && joined.pid.is_none() {
        flags |= CloneFlags::NEWPID;
    }
    if host.uts_mode != "host" {
        flags |= CloneFlags::NEWUTS;
    }
    if host.ipc_mode != "host" && joined.ipc.is_none() {
        flags |= CloneFlags::NEWIPC;
    }
    if host.network_mode != "host" && joined.net.is_none() {
        flags |= CloneFlags::NEWNET;
    }
    if let Some(process) = &joined.pid {
        // Children of this process are born there; it does not go there itself.
        rustix::thread::move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::PROCESS_ID)
            .context("join", "the pid namespace")?;
    }
    if let Some(process) = joined.ipc {
        steps.push(Step::Join(process, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION));
    }
    if let Some(process) = joined.net {
        steps.push(Step::Join(process, ThreadNameSpaceType::NETWORK));
    }
    if host.cgroupns_mode != "host" {
        steps.push(Step::NewCgroupNamespace);
    }
    if flags.contains(CloneFlags::NEWNET) {
        steps.push(Step::Loopback);
    }
    Ok((flags, steps))
}

/// A copy of the mount of /dev/shm in the mount namespace of another process, which this process joins for good.
///
/// # Errors
/// Of the kernel.
pub fn clone_shared_memory(process: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::thread::move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::MOUNT)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let place = file::in_root(CWD, "dev/shm", flags, Mode::empty())?;
    super::rootfs::clone_mount(&place, "", false)
}

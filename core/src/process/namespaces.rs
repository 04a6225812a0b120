//! The namespaces of a container: made with the process, or those of another container or of the host.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    process::PidfdFlags,
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use skiff_syscalls::{
    clone::CloneFlags,
    mount::{MountAttributes, Propagation, Reach, set_attributes},
};

use super::step::Step;
use crate::{
    Context, Result,
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

/// While it lives, the children of this process are born in another pid namespace.
#[derive(Debug)]
pub(super) struct PidNamespace(OwnedFd);

impl PidNamespace {
    /// Lets them be born where `process` lives.
    ///
    /// # Errors
    /// ESRCH if it has ended.
    pub fn enter(process: &OwnedFd) -> Result<PidNamespace> {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
            .context("open pidfd of", "the monitor")?;
        move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::PROCESS_ID)
            .context("join", "the pid namespace")?;
        Ok(PidNamespace(own))
    }
}

impl Drop for PidNamespace {
    fn drop(&mut self) {
        // It is the one that this process lives in itself, which is always allowed.
        let back = move_into_thread_name_spaces(self.0.as_fd(), ThreadNameSpaceType::PROCESS_ID);
        debug_assert!(back.is_ok());
    }
}

/// The namespaces to make and the steps that join others, but for the pid namespace, which is [`PidNamespace`]'s.
pub(super) fn namespaces(host: &HostConfig, joined: Joined, joins_pid: bool) -> (CloneFlags, Vec<Step>) {
    let mut flags = CloneFlags::NEWNS;
    let mut steps = Vec::new();
    if host.pid_mode != "host" && !joins_pid {
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
    (flags, steps)
}

/// A copy of the mount of /dev/shm in the mount namespace of another process, which this process joins for good.
///
/// # Errors
/// Of the kernel.
pub fn clone_shared_memory(process: &OwnedFd) -> Result<OwnedFd, Errno> {
    move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::MOUNT)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let place = file::in_root(CWD, "dev/shm", flags, Mode::empty())?;
    let mount = super::rootfs::clone_mount(&place, "", false)?;
    // Whatever that container has made of it.
    let set = MountAttributes::NOSUID | MountAttributes::NODEV | MountAttributes::NOEXEC;
    set_attributes(mount.as_fd(), c"", Reach::One, set, MountAttributes::empty(), Propagation::Private)?;
    Ok(mount)
}

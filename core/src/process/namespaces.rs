//! The namespaces of a container: made with the process, or those of another container or of the host.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use skiff_syscalls::{
    clone::{CloneFlags, birth::Place},
    mount::{MountAttributes, Propagation, Reach, set_attributes},
};

use super::step::Step;
use crate::{
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
    /// The one whose user namespace owns those above, for a container that has one itself.
    pub user: Option<OwnedFd>,
}

/// The namespaces to make: all that are neither the host's nor another container's.
pub(super) fn namespaces(host: &HostConfig, joined: &Joined) -> CloneFlags {
    let mut flags = CloneFlags::NEWNS;
    flags.set(CloneFlags::NEWUSER, host.has_user_namespace() && joined.user.is_none());
    flags.set(CloneFlags::NEWTIME, host.has_time_namespace());
    flags.set(CloneFlags::NEWPID, host.pid_mode != "host" && joined.pid.is_none());
    flags.set(CloneFlags::NEWUTS, host.uts_mode != "host");
    flags.set(CloneFlags::NEWIPC, host.ipc_mode != "host" && joined.ipc.is_none());
    flags.set(CloneFlags::NEWNET, host.network_mode != "host" && joined.net.is_none());
    flags
}

/// Whether the process is in all its namespaces from its birth, but for that of its control group, and root in them.
pub(super) fn place(host: &HostConfig, joined: &Joined) -> Place {
    let joins = joined.net.is_some() || joined.ipc.is_some() || joined.pid.is_some();
    if joins || host.cgroupns_mode == "host" || host.has_user_namespace() {
        Place::Shared
    } else {
        Place::Own
    }
}

/// The steps into the namespaces that are joined; the pid namespace is joined at birth.
pub(super) fn steps(joined: Joined) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(process) = joined.ipc {
        steps.push(Step::Join(process, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION));
    }
    if let Some(process) = joined.net {
        steps.push(Step::Join(process, ThreadNameSpaceType::NETWORK));
    }
    steps
}

/// How much of a container's file system is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// With everything that is mounted there.
    WithMounts,
    /// The root file system alone, and what mounts hide of it.
    RootAlone,
}

/// The root of the mount namespace of another process, which this process joins for good.
///
/// # Errors
/// Of the kernel.
pub fn open_root(process: &OwnedFd, scope: Scope) -> Result<OwnedFd, Errno> {
    move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::MOUNT)?;
    let root = file::directory(CWD, "/")?;
    match scope {
        Scope::WithMounts => Ok(root),
        Scope::RootAlone => super::rootfs::clone_mount(&root, "", false),
    }
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

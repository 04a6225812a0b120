//! The user namespace of a container: its ids, and what is made for it in its ids.
//!
//! Files keep the ids of the inside on disk: layers, changes and volumes are seen through id-mapped mounts. So the range
//! of ids on the host may be another one at each start, an image is shared by all, and a new layer is made of the changes
//! as they are. The overlay and /dev are made out here, where devices may be made and layers be mounted.

mod made;

use alloc::format;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, ResolveFlags, Uid},
    io::Errno,
    mount::MountAttrFlags,
    process::{Pid, Rlimit},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use skiff_syscalls::{clone::CloneFlags, mount};

pub use made::Changes;

use super::{
    ids::{Ids, Map},
    program::{limit_of, resource},
    rights::Identity,
    seccomp::KernelVersion,
    step::{PROC_ROOT_INODE, write_proc},
};
use crate::{
    Context, Error, Result,
    container::config::HostConfig,
    file,
    fork::{self, work::Work},
};

/// The first kernel whose overlayfs takes id-mapped layers.
const OVERLAY_ON_MAPPED: KernelVersion = KernelVersion { major: 5, minor: 19 };
/// As long as 340 ranges may be.
const MAP_MAX: usize = 64 << 10;

/// A user namespace and its ids.
#[derive(Debug)]
pub struct UserNamespace {
    ids: Ids,
    /// Itself.
    file: OwnedFd,
}

impl UserNamespace {
    /// Gives a process in a new user namespace, which waits for that, the ids that this host gives to containers. It may
    /// change its groups.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the kernel is too old; [`Error::Invalid`] for /etc/subuid; of the kernel.
    pub fn grant(pid: Pid) -> Result<UserNamespace> {
        check_kernel()?;
        let ids = Ids::configured()?;
        let proc = private_proc().context("mount", "proc")?;
        for (name, map) in [("gid_map", &ids.groups), ("uid_map", &ids.users)] {
            let path = format!("{}/{name}", pid.as_raw_nonzero());
            write_proc(proc.as_fd(), path.as_str(), map.to_kernel().as_bytes())
                .context("write /proc/", &path)?;
        }
        Ok(UserNamespace { ids, file: open(&proc, pid)? })
    }

    /// That of a process that can't end meanwhile, or whose end is noticed afterwards.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn of(pid: Pid) -> Result<UserNamespace> {
        let proc = private_proc().context("mount", "proc")?;
        let map = |name: &str| -> Result<Map> {
            let path = format!("{}/{name}", pid.as_raw_nonzero());
            let text = file::read(&proc, path.as_str(), MAP_MAX).context("read /proc/", &path)?;
            Map::from_kernel(&text).ok_or_else(|| Error::Corrupt(format!("read /proc/{path}: malformed")))
        };
        let ids = Ids { users: map("uid_map")?, groups: map("gid_map")? };
        Ok(UserNamespace { ids, file: open(&proc, pid)? })
    }

    /// A new one with nobody in it.
    ///
    /// # Errors
    /// As [`UserNamespace::grant`].
    pub fn empty() -> Result<UserNamespace> {
        let (end, ender) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("create", "pipe")?;
        let child = fork::child_in(CloneFlags::NEWUSER, &[end.as_fd()], || {
            i32::from(rustix::io::read(&end, &mut [0]).is_err())
        })?;
        let made = UserNamespace::grant(child.pid);
        drop(ender);
        let _ = fork::wait(&child.pidfd);
        made
    }

    /// Its ids.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// On the host, a user inside.
    pub fn host_user(&self, inside: Uid) -> Uid {
        Uid::from_raw(self.ids.users.host_or_root(inside.as_raw()))
    }

    /// Has a child that has the descriptors `keep` do this as root of the namespace, and nothing outside.
    ///
    /// # Errors
    /// What clone3 gives.
    pub fn begin_within(
        &self,
        keep: &[BorrowedFd<'_>],
        work: impl FnOnce() -> Result<()>,
    ) -> Result<Work<()>> {
        Work::begin(&[keep, &[self.file.as_fd()]].concat(), || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::User))
                .context("join", "the user namespace")?;
            Identity::root().apply().map_err(|failed| Error::os(failed.operation, "", failed.errno))?;
            work()
        })
    }
}

/// Checks that containers can have one.
///
/// # Errors
/// As [`UserNamespace::grant`].
pub fn check_host() -> Result<()> {
    check_kernel()?;
    Ids::configured().map(drop)
}

fn check_kernel() -> Result<()> {
    let running = KernelVersion::running();
    if (running.major, running.minor) >= (OVERLAY_ON_MAPPED.major, OVERLAY_ON_MAPPED.minor) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "user namespaces need overlayfs on id-mapped layers, Linux {}.{}; this is {}.{}",
        OVERLAY_ON_MAPPED.major, OVERLAY_ON_MAPPED.minor, running.major, running.minor
    )))
}

/// Gives a process in a user namespace what only the host's root may give: hard limits above its own, and the preference of
/// the out-of-memory killer.
///
/// # Errors
/// Of the kernel.
pub(super) fn raise(pid: Pid, host: &HostConfig) -> Result<()> {
    for limit in &host.ulimits {
        let resource = resource(&limit.name)?;
        let Rlimit { current, maximum } = rustix::process::getrlimit(resource);
        let wanted = limit_of(limit.soft, limit.hard).maximum;
        if maximum.is_some_and(|maximum| wanted.is_none_or(|wanted| wanted > maximum)) {
            // Without the right to it the process goes as far as it can.
            let _ = rustix::process::prlimit(Some(pid), resource, Rlimit { current, maximum: wanted });
        }
    }
    let proc = private_proc().context("mount", "proc")?;
    let path = format!("{}/oom_score_adj", pid.as_raw_nonzero());
    let _ = write_proc(proc.as_fd(), path.as_str(), format!("{}", host.oom_score_adj).as_bytes());
    Ok(())
}

/// A procfs of this process's own pid namespace that is mounted nowhere, so that nobody has put anything over its files.
pub(super) fn private_proc() -> Result<OwnedFd, Errno> {
    let proc = mount::new(c"proc", &[], MountAttrFlags::empty())?;
    if rustix::fs::fstat(&proc)?.st_ino == PROC_ROOT_INODE { Ok(proc) } else { Err(Errno::INVAL) }
}

fn open(proc: &OwnedFd, pid: Pid) -> Result<OwnedFd> {
    let path = format!("{}/ns", pid.as_raw_nonzero());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(proc, path.as_str(), flags, Mode::empty(), resolve)
        .and_then(|all| rustix::fs::openat(&all, "user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .context("open", "the user namespace")
}

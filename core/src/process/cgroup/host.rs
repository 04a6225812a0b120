//! Where cgroup2 is on this host, and what it can limit. Every start runs this: four system calls.

use alloc::{format, string::String};

use linux_raw_sys::general::CGROUP2_SUPER_MAGIC;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::Mode,
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

use skiff_syscalls::processor;

use super::{Controllers, cpuset, limits::Write, resources::Machine};
use crate::{Context, Error, Result, file};

/// How control groups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// cgroup2 alone.
    Pure,
    /// cgroup2 at /sys/fs/cgroup/unified, beside cgroup v1, which has some of the controllers.
    Hybrid,
    /// Nowhere: this process has a mount of its own that nobody else sees.
    Detached,
}

/// The cgroup2 tree.
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    layout: Layout,
    controllers: Controllers,
}

impl Host {
    /// Finds the tree at its two usual places, or else mounts it where only this process sees it.
    ///
    /// # Kernel
    /// openat, fstatfs; fsopen and fsmount, 5.2.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none and it can't be mounted.
    pub fn find() -> Result<Host> {
        let (root, layout) = if let Some(root) = cgroup2_at("/sys/fs/cgroup") {
            (root, Layout::Pure)
        } else if let Some(root) = cgroup2_at("/sys/fs/cgroup/unified") {
            (root, Layout::Hybrid)
        } else {
            let root = mounted().map_err(|errno| {
                let why = Error::os("mount", "", errno);
                Error::Unsupported(format!(
                    "control groups: cgroup2 is not mounted at /sys/fs/cgroup ({why})"
                ))
                .hint("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            })?;
            (root, Layout::Detached)
        };
        let list = file::read(&root, "cgroup.controllers", 4096).context("read", "cgroup.controllers")?;
        let controllers = Controllers::parse(core::str::from_utf8(&list).unwrap_or(""));
        Ok(Host { root, layout, controllers })
    }

    /// The root directory of the tree.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// How it is mounted.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What it can limit.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Refuses limits that this host can't enforce.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the limit and the controller.
    pub fn can_enforce(&self, plan: &[Write]) -> Result<()> {
        let Some(write) = plan.iter().find(|write| !self.controllers.contains(write.controller)) else {
            return Ok(());
        };
        let limit = write.limit;
        let Some(name) = write.controller.names().next() else {
            return Ok(());
        };
        let why = match self.layout {
            Layout::Pure => "it is not enabled in the tree's root",
            Layout::Hybrid if v1_has(name) => "hybrid hierarchy: it is mounted as cgroup v1",
            Layout::Hybrid => "hybrid hierarchy",
            Layout::Detached => "it is disabled or in use by cgroup v1",
        };
        Err(Error::Unsupported(format!(
            "{limit}: the {name} controller is not available in cgroup2 on this host ({why})"
        )))
    }
}

impl Machine {
    /// Asks the kernel.
    pub fn read() -> Machine {
        let list = |path: &str| {
            let bytes = file::read(file::CWD, path, 4096).unwrap_or_default();
            String::from_utf8(bytes)
                .ok()
                .map(|text| String::from(text.trim_ascii()))
                .filter(|text| !text.is_empty())
        };
        let cpus = list("/sys/devices/system/cpu/online").unwrap_or_else(|| "0".into());
        let online = || cpuset::parse(&cpus).map_or(1, |ranges| cpuset::count(&ranges));
        let cpu_count = processor::count().map_or_else(online, |count| count as u32);
        // A kernel without NUMA has one node and no list.
        let memory_nodes = list("/sys/devices/system/node/has_memory").unwrap_or_else(|| "0".into());
        Machine { cpu_count, cpus, memory_nodes }
    }
}

/// The directory, if it is the root of a mounted cgroup2.
fn cgroup2_at(path: &str) -> Option<OwnedFd> {
    let root = file::directory(file::CWD, path).ok()?;
    let magic = rustix::fs::fstatfs(&root).ok()?.f_type;
    (magic as u64 == u64::from(CGROUP2_SUPER_MAGIC)).then_some(root)
}

/// A mount of the tree that is attached nowhere and goes with its descriptor.
fn mounted() -> Result<OwnedFd, Errno> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// Whether a controller, by its name in cgroup2, is mounted as cgroup v1.
fn v1_has(name: &str) -> bool {
    let name = if name == "io" { "blkio" } else { name };
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(format!("/sys/fs/cgroup/{name}/cgroup.procs"), flags, Mode::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::cgroup::{Resources, limits};

    #[test]
    fn a_limit_that_the_host_cannot_enforce_is_refused_by_the_controllers_name() {
        let Ok(mut host) = Host::find() else {
            std::println!("skipped: no cgroup2");
            return;
        };
        let limited = Resources { memory: 64 << 20, ..Resources::default() };
        let plan = limits::plan(&limited, &mut |_| unreachable!()).unwrap();
        (host.controllers, host.layout) = (Controllers::HUGETLB, Layout::Pure);
        let refusal = host.can_enforce(&plan).unwrap_err();
        assert_eq!(
            alloc::string::ToString::to_string(&refusal),
            "memory limit: the memory controller is not available in cgroup2 on this host \
             (it is not enabled in the tree's root)"
        );
        host.controllers = Controllers::MEMORY;
        assert_eq!(host.can_enforce(&plan), Ok(()));
    }

    #[test]
    fn a_mount_of_ones_own_is_the_same_tree() {
        let (Ok(host), Ok(own)) = (Host::find(), mounted()) else {
            std::println!("skipped: no right to mount cgroup2");
            return;
        };
        let inode = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(host.root()), inode(own.as_fd()));
    }
}

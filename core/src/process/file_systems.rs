//! What is mounted below a container's root, and what of it is hidden: settings -> steps.

use alloc::{
    ffi::CString,
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::AtFlags,
    mount::MountAttrFlags,
};

use skiff_syscalls::{
    mount::{self, Reach},
    standard,
};

use super::{
    init,
    mount_point::mount_point,
    rootfs::{self, Node, c_path},
    step::{Onto, Step, set_read_only},
    sysctl,
    user_namespace::UserNamespace,
};
use crate::{
    Context, Error, Result,
    container::{config::HostConfig, record::Record},
    file::CWD,
};

/// Bytes of shared memory unless told otherwise.
const STANDARD_SHM: i64 = 64 << 20;

/// The files of /etc that are the engine's; in the run directory they have the same names.
pub const NETWORK_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Hidden inside unless told otherwise.
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only inside unless told otherwise.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What was made for the container before.
pub(super) struct Parts<'a> {
    /// Where its hosts, hostname and resolv.conf are.
    pub run_directory: BorrowedFd<'a>,
    /// The host's devices that it gets.
    pub nodes: &'a [Node],
    /// Its terminals.
    pub pts: OwnedFd,
    /// What the child has made while it waited.
    pub made: Made,
    /// The one of them that is its console.
    pub terminal: Option<OwnedFd>,
    /// The shared memory of another container.
    pub shared_memory: Option<OwnedFd>,
    /// Whether its readiness to be killed for want of memory is another than that of this process.
    pub oom_score_differs: bool,
    /// Its user namespace, if that is not the host's.
    pub space: Option<&'a UserNamespace>,
}

/// File systems that the child has made ahead, as far as it has.
#[derive(Default)]
pub(super) struct Made {
    pub proc: Option<OwnedFd>,
    pub sys: Option<OwnedFd>,
    pub cgroup: Option<OwnedFd>,
    pub dev: Option<OwnedFd>,
    pub shm: Option<OwnedFd>,
    pub mqueue: Option<OwnedFd>,
}

impl Made {
    /// What belongs to namespaces of the host, for those who may not mount it in there.
    ///
    /// # Errors
    /// Of the kernel.
    pub(super) fn of_the_host(host: &HostConfig) -> Result<Made> {
        let strict = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NODEV;
        let made = |mode: &str, kind: &core::ffi::CStr, attributes| match mode {
            "host" => {
                let mount = mount::new(kind, &[], attributes);
                mount.context("mount", kind.to_string_lossy()).map(Some)
            }
            _ => Ok(None),
        };
        Ok(Made {
            mqueue: made(&host.ipc_mode, c"mqueue", strict)?,
            cgroup: made(&host.cgroupns_mode, c"cgroup2", strict | MountAttrFlags::MOUNT_ATTR_RDONLY)?,
            ..Made::default()
        })
    }
}

/// Everything that is mounted below the root, in order.
///
/// # Errors
/// Of the kernel, with the path.
pub(super) fn file_systems(
    steps: &mut Vec<Step>,
    record: &Record,
    root: BorrowedFd<'_>,
    parts: Parts<'_>,
) -> Result<()> {
    let host = &record.host;
    let nosuid = MountAttrFlags::MOUNT_ATTR_NOSUID;
    let strict = nosuid | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV;
    let read_only = if host.privileged { strict } else { strict | MountAttrFlags::MOUNT_ATTR_RDONLY };
    let mount = |kind, made, attributes, target: &core::ffi::CStr| Step::Mount {
        kind,
        made,
        attributes,
        target: target.into(),
    };
    let mut made = parts.made;
    if host.privileged {
        // The child has made them read-only.
        (made.sys, made.cgroup) = (None, None);
    }
    let attach = |mount, target: &str, onto| -> Result<Step> {
        Ok(Step::Attach { mount, target: c_path(target)?, onto, in_proc: false })
    };

    for node in parts.nodes.iter().filter(|node| !node.path.starts_with("/dev/")) {
        rootfs::make_node(root, &node.path, node).context("create device node", &node.path)?;
    }

    steps.push(mount(c"proc", made.proc, strict, c"proc"));
    let dev = match made.dev {
        Some(dev) => dev,
        None => standard::devices()
            .map_err(|(name, errno)| Error::os("create /dev/", name.to_string_lossy(), errno))?,
    };
    rootfs::complete_devices(dev.as_fd(), parts.nodes, parts.terminal.is_some())?;
    let space = parts.space;
    if let Some(space) = space {
        space.own(&dev).context("change owner of", "/dev")?;
    }
    if host.ipc_mode == "none" {
        rustix::fs::unlinkat(&dev, "shm", AtFlags::REMOVEDIR).context("remove directory", "/dev/shm")?;
    }
    steps.push(attach(dev, "dev", Onto::Ordinary)?);
    steps.push(attach(parts.pts, "dev/pts", Onto::Ordinary)?);
    if host.ipc_mode != "none" {
        let shm = match parts.shared_memory {
            Some(shared) => Ok(shared),
            None if host.ipc_mode == "host" => rootfs::clone_mount(CWD, "/dev/shm", false),
            None if matches!(host.shm_size, 0 | STANDARD_SHM) && made.shm.is_some() => {
                Ok(made.shm.take().expect("it was just seen"))
            }
            None => {
                let size = if host.shm_size > 0 { host.shm_size } else { STANDARD_SHM };
                let owner = space.map_or(String::new(), |space| format!(",{}", space.root_options()));
                rootfs::tmpfs(&format!("source=shm,mode=1777,size={size}{owner}"), strict)
            }
        };
        steps.push(attach(shm.context("mount", "/dev/shm")?, "dev/shm", Onto::Ordinary)?);
    }
    steps.push(mount(c"mqueue", made.mqueue, strict, c"dev/mqueue"));
    steps.push(mount(c"sysfs", made.sys, read_only, c"sys"));
    steps.push(mount(c"cgroup2", made.cgroup, read_only, c"sys/fs/cgroup"));
    steps.extend(parts.terminal.map(Step::Console));
    for name in NETWORK_FILES {
        let target = format!("/etc/{name}");
        if record.mounts.iter().all(|mount| mount.destination != target) {
            if let Some(space) = space {
                space.give(parts.run_directory, name, (0, 0)).context("change owner of", &target)?;
            }
            let file = rootfs::clone_mount(parts.run_directory, name, false).context("open", name)?;
            if host.readonly_rootfs {
                set_read_only(file.as_fd(), Reach::One).context("make read-only", &target)?;
            }
            steps.push(attach(file, &target, Onto::File)?);
        }
    }
    for point in &record.mounts {
        steps.push(mount_point(point, root, space)?);
    }
    if host.init == Some(true) {
        steps.push(attach(init::mount()?, init::PATH, Onto::File)?);
    }

    let last_group = space.map_or(i32::MAX as u32, |space| space.ids().groups.last());
    for (name, value) in sysctls(host, &format!("0 {last_group}")) {
        let path = c_path(&format!("sys/{}", sysctl::path(name)?))?;
        let required = host.sysctls.contains_key(name);
        steps.push(Step::Proc { path, value: value.as_bytes().into(), required });
    }
    if parts.oom_score_differs {
        let score = host.oom_score_adj.to_string().into_bytes();
        steps.push(Step::Proc { path: c"self/oom_score_adj".into(), value: score, required: false });
    }

    let unconfined =
        host.privileged || host.security_opt.iter().any(|option| option == "systempaths=unconfined");
    let paths = |own: &Option<Vec<String>>, standard: &[&str]| -> Result<Vec<CString>> {
        match own {
            Some(paths) => paths.iter().map(|path| c_path(path)).collect(),
            None if unconfined => Ok(Vec::new()),
            None => standard.iter().map(|path| c_path(path)).collect(),
        }
    };
    steps.extend(paths(&host.masked_paths, &MASKED)?.into_iter().map(Step::Mask));
    if host.masked_paths.is_none() && !unconfined {
        for number in 0.. {
            let path = format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle");
            if rustix::fs::stat(path.as_str()).is_err() {
                break;
            }
            steps.push(Step::Mask(c_path(&path)?));
        }
    }
    steps.extend(paths(&host.readonly_paths, &READ_ONLY)?.into_iter().map(Step::ReadOnly));
    if host.readonly_rootfs {
        steps.push(Step::ReadOnlyRoot);
    }
    Ok(())
}

/// The sysctls to write: the standard ones of an own network namespace, in which `groups` may ping, and those that were
/// asked for.
fn sysctls<'a>(host: &'a HostConfig, groups: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut all = Vec::new();
    if host.network_mode != "host" && !host.network_mode.starts_with("container:") {
        all.push(("net.ipv4.ip_unprivileged_port_start", "0"));
        all.push(("net.ipv4.ping_group_range", groups));
        all.retain(|(name, _)| !host.sysctls.contains_key(*name));
    }
    all.extend(host.sysctls.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all
}

//! The file systems that every container has, mounted nowhere yet. Made by the container's process itself while it waits
//! in the memory of another ([`birth`](crate::clone::birth)), which nothing that allocates may be: hence here.

use core::ffi::CStr;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FileType, Mode, makedev, mkdirat, mknodat, symlinkat},
    io::Errno,
    mount::MountAttrFlags,
    process::umask,
};

use crate::{mount, namespace};

/// One of each.
#[derive(Debug)]
pub struct Standard {
    /// /proc of the pid namespace.
    pub proc: OwnedFd,
    /// /sys of the network namespace, read-only.
    pub sys: OwnedFd,
    /// /sys/fs/cgroup of the control group namespace, read-only.
    pub cgroup: OwnedFd,
    /// /dev, with what is in every one.
    pub dev: OwnedFd,
    /// /dev/pts, an instance of its own.
    pub pts: OwnedFd,
    /// /dev/shm, 64 MiB.
    pub shm: OwnedFd,
    /// /dev/mqueue of the ipc namespace.
    pub mqueue: OwnedFd,
}

/// How many file systems those are.
pub(crate) const COUNT: usize = 7;

/// Flags of all of them but /dev and /dev/pts.
const STRICT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// The nodes of every container: name, major and minor number.
const NODES: [(&CStr, u32, u32); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];

/// The links of every container.
const LINKS: [(&CStr, &CStr); 6] = [
    (c"ptmx", c"pts/ptmx"),
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"core", c"/proc/kcore"),
];

impl Standard {
    /// Makes them for the namespaces of the calling process, which gets a control group namespace of its own first.
    ///
    /// # Errors
    /// Of the kernel.
    pub(crate) fn make() -> Result<Standard, Errno> {
        namespace::unshare_cgroup()?;
        let read_only = STRICT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let before = umask(Mode::empty());
        let dev = devices();
        umask(before);
        Ok(Standard {
            dev: dev.map_err(|(_, errno)| errno)?,
            proc: mount::new(c"proc", &[], STRICT)?,
            sys: mount::new(c"sysfs", &[], read_only)?,
            cgroup: mount::new(c"cgroup2", &[], read_only)?,
            pts: devpts(TTY)?,
            shm: mount::new(
                c"tmpfs",
                &[(c"source", c"shm"), (c"mode", c"1777"), (c"size", c"67108864")],
                STRICT,
            )?,
            mqueue: mount::new(c"mqueue", &[], STRICT)?,
        })
    }

    /// In the order of [`Standard::from_array`].
    pub(crate) fn into_array(self) -> [OwnedFd; COUNT] {
        let Standard { proc, sys, cgroup, dev, pts, shm, mqueue } = self;
        [proc, sys, cgroup, dev, pts, shm, mqueue]
    }

    /// What [`Standard::into_array`] gave.
    pub(crate) fn from_array([proc, sys, cgroup, dev, pts, shm, mqueue]: [OwnedFd; COUNT]) -> Standard {
        Standard { proc, sys, cgroup, dev, pts, shm, mqueue }
    }
}

/// A tmpfs with what every /dev has. Modes are subject to the umask.
///
/// # Errors
/// What could not be made, and why: EPERM if this process may not make nodes.
pub fn devices() -> Result<OwnedFd, (&'static CStr, Errno)> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let dev = mount::new(c"tmpfs", &[(c"mode", c"755"), (c"size", c"65536k")], attributes)
        .map_err(|errno| (c"", errno))?;
    for (name, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(dev.as_fd(), name, FileType::CharacterDevice, mode, makedev(major, minor))
            .map_err(|errno| (name, errno))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev.as_fd(), name).map_err(|errno| (name, errno))?;
    }
    for name in [c"pts", c"shm", c"mqueue"] {
        mkdirat(dev.as_fd(), name, Mode::from_raw_mode(0o755)).map_err(|errno| (name, errno))?;
    }
    Ok(dev)
}

/// The group of terminals.
pub const TTY: &CStr = c"5";

/// A new instance of pseudo-terminals, which belong to this group.
///
/// # Errors
/// ENODEV if the kernel has none.
pub fn devpts(group: &CStr) -> Result<OwnedFd, Errno> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let options = [(c"newinstance", c""), (c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", group)];
    mount::new(c"devpts", &options, attributes)
}

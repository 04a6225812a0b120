//! New mounts that are not attached anywhere, and mount_setattr: change a mount's flags, propagation and ids.

use core::{ffi::CStr, mem::size_of};

use linux_raw_sys::general::{__NR_mount_setattr, AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_IDMAP, mount_attr};
use rustix::{
    fd::{AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen,
    },
};

use crate::raw;

bitflags::bitflags! {
    /// `MOUNT_ATTR_*` flags.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct MountAttributes: u64 {
        /// Read-only.
        const RDONLY = linux_raw_sys::general::MOUNT_ATTR_RDONLY as u64;
        /// Set-user-ID bits and file capabilities have no effect.
        const NOSUID = linux_raw_sys::general::MOUNT_ATTR_NOSUID as u64;
        /// Device nodes can't be opened.
        const NODEV = linux_raw_sys::general::MOUNT_ATTR_NODEV as u64;
        /// Programs can't be executed.
        const NOEXEC = linux_raw_sys::general::MOUNT_ATTR_NOEXEC as u64;
        /// Symlinks are not followed.
        const NOSYMFOLLOW = linux_raw_sys::general::MOUNT_ATTR_NOSYMFOLLOW as u64;
    }
}

/// How mounts below a mount travel to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// As it is.
    Unchanged,
    /// Nothing goes in or out.
    Private,
    /// What happens at the source is seen, nothing goes back.
    Slave,
    /// Both ways.
    Shared,
}

/// Whether the mounts below take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount alone.
    One,
    /// With all mounts below it.
    Recursive,
}

/// Sets `set`, clears `clear`, and changes the propagation of the mount at `path` (which may be empty: the mount of
/// `directory` itself).
///
/// # Kernel
/// mount_setattr, 5.12.
///
/// # Errors
/// EINVAL if `path` is no mount, EPERM for a locked flag.
pub fn set_attributes(
    directory: BorrowedFd<'_>,
    path: &CStr,
    reach: Reach,
    set: MountAttributes,
    clear: MountAttributes,
    propagation: Propagation,
) -> Result<(), Errno> {
    let attributes = attributes(set.bits(), clear.bits(), propagation, 0);
    set_attr(directory, path, if reach == Reach::Recursive { AT_RECURSIVE } else { 0 }, &attributes)
}

/// Has a mount that is attached nowhere show the ids on its files as the user namespace `ids` maps them: what is id 0 there
/// is owned by id 0 of that namespace.
///
/// # Kernel
/// mount_setattr with MOUNT_ATTR_IDMAP, 5.12; each file system since a version of its own (ext4 5.12, xfs 5.14, btrfs 5.15,
/// tmpfs 6.3).
///
/// # Errors
/// EINVAL if the file system can't, EPERM if the mount has such a map or is attached.
pub fn map_ids(mount: BorrowedFd<'_>, ids: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = attributes(MOUNT_ATTR_IDMAP.into(), 0, Propagation::Unchanged, ids.as_raw_fd() as u64);
    set_attr(mount, c"", 0, &attributes)
}

fn attributes(attr_set: u64, attr_clr: u64, propagation: Propagation, userns_fd: u64) -> mount_attr {
    // MS_* of sys/mount.h, which mount_setattr takes as they are.
    const MS_PRIVATE: u64 = 1 << 18;
    const MS_SLAVE: u64 = 1 << 19;
    const MS_SHARED: u64 = 1 << 20;
    mount_attr {
        attr_set,
        attr_clr,
        propagation: match propagation {
            Propagation::Unchanged => 0,
            Propagation::Private => MS_PRIVATE,
            Propagation::Slave => MS_SLAVE,
            Propagation::Shared => MS_SHARED,
        },
        userns_fd,
    }
}

fn set_attr(
    directory: BorrowedFd<'_>,
    path: &CStr,
    reach: u32,
    attributes: &mount_attr,
) -> Result<(), Errno> {
    const { assert!(size_of::<mount_attr>() == 32) };
    let flags = AT_EMPTY_PATH | reach;
    // SAFETY: the kernel reads the path up to its zero byte and 32 bytes of attributes; nothing is written.
    unsafe {
        raw::syscall5(
            __NR_mount_setattr,
            directory.as_raw_fd() as usize,
            path.as_ptr() as usize,
            flags as usize,
            core::ptr::from_ref(attributes) as usize,
            size_of::<mount_attr>(),
        )
    }
    .map(drop)
}

/// A new mount of a file system, not attached anywhere. An option with an empty value is a flag. Nothing is allocated.
///
/// # Kernel
/// fsopen, fsconfig, fsmount, 5.2.
///
/// # Errors
/// ENODEV if the kernel doesn't have the file system, EINVAL for an option.
pub fn new(kind: &CStr, options: &[(&CStr, &CStr)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // What /proc/mounts, and with it df, calls it.
    if options.iter().all(|(key, _)| *key != c"source") {
        fsconfig_set_string(&context, c"source", kind)?;
    }
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(&context, *key)?;
        } else {
            fsconfig_set_string(&context, *key, *value)?;
        }
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

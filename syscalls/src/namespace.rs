//! Namespaces: of another process, opened through its pidfd, and of this one, left for a new one.

use linux_raw_sys::general::__NR_ioctl;
use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    io::Errno,
};

use crate::raw;

/// Opens the mount namespace of the process behind `pidfd`; while the descriptor lives, so do the mounts.
///
/// # Kernel
/// ioctl PIDFD_GET_MNT_NAMESPACE, 6.11.
///
/// # Errors
/// ENOTTY or EINVAL before 6.11, ESRCH after the process has been reaped.
pub fn mount_namespace(pidfd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // _IO(0xff, 3) of linux/pidfd.h.
    const PIDFD_GET_MNT_NAMESPACE: usize = 0xff03;
    // SAFETY: the ioctl takes no argument; the descriptor that comes back is ours alone.
    unsafe {
        let fd = raw::syscall3(__NR_ioctl, pidfd.as_raw_fd() as usize, PIDFD_GET_MNT_NAMESPACE, 0)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Leaves the control group namespace for a new one, whose root is the group that this process is in.
///
/// # Kernel
/// unshare(CLONE_NEWCGROUP), 4.6.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn unshare_cgroup() -> Result<(), Errno> {
    // SAFETY: only CLONE_FILES makes unshare unsafe.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }
}

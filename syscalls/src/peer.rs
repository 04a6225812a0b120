//! The other end of a unix socket: who it is, beyond what SO_PEERCRED tells, and whether it reads.

use linux_raw_sys::general::{__NR_getsockopt, __NR_ioctl};
use rustix::{
    fd::{AsFd, AsRawFd},
    io::Errno,
};

use crate::raw;

/// Most supplementary groups of a peer that are looked at.
const GROUPS_MAX: usize = 1024;

/// Whether whoever connected had this group among its supplementary ones then. One with more than 1024 of them has not.
///
/// # Kernel
/// SO_PEERGROUPS, 4.13.
pub fn is_member(socket: impl AsFd, group: u32) -> bool {
    // asm-generic/socket.h
    const SOL_SOCKET: usize = 1;
    const SO_PEERGROUPS: usize = 59;
    let mut groups = [0_u32; GROUPS_MAX];
    let mut bytes = size_of_val(&groups) as u32;
    // SAFETY: the kernel writes at most `bytes` bytes to `groups`, and how many they are to `bytes`.
    let asked = unsafe {
        raw::syscall5(
            __NR_getsockopt,
            socket.as_fd().as_raw_fd() as usize,
            SOL_SOCKET,
            SO_PEERGROUPS,
            groups.as_mut_ptr() as usize,
            &raw mut bytes as usize,
        )
    };
    asked.is_ok() && groups.iter().take(bytes as usize / size_of::<u32>()).any(|one| *one == group)
}

/// Whether the other end has not read everything that was sent to it.
///
/// # Errors
/// EINVAL for what is no such socket.
pub fn has_unread(socket: impl AsFd) -> Result<bool, Errno> {
    // linux/sockios.h
    const SIOCOUTQ: usize = 0x5411;
    let mut bytes = 0_i32;
    // SAFETY: the kernel writes one int.
    unsafe {
        raw::syscall3(__NR_ioctl, socket.as_fd().as_raw_fd() as usize, SIOCOUTQ, &raw mut bytes as usize)
    }?;
    Ok(bytes > 0)
}

//! The loopback interface of the calling process's network namespace, and netlink(7) sockets.

use linux_raw_sys::general::{__NR_ioctl, __NR_setsockopt};
use rustix::{
    fd::{AsRawFd, BorrowedFd},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use crate::raw;

/// `struct ifreq` of linux/if.h, as far as flags go.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceFlags>() == 40);

/// Brings `lo` up, which gives it 127.0.0.1 and ::1.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over the namespace.
pub fn loopback_up() -> Result<(), Errno> {
    // linux/sockios.h, linux/if.h
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: i16 = 1;
    const IFF_RUNNING: i16 = 0x40;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = InterfaceFlags { name: [0; 16], flags: IFF_UP | IFF_RUNNING, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: the kernel reads one struct ifreq of 40 bytes.
    unsafe {
        raw::syscall3(__NR_ioctl, socket.as_raw_fd() as usize, SIOCSIFFLAGS, &raw const request as usize)
    }
    .map(drop)
}

/// Has the kernel look at all of a question that is asked on a netlink socket, and so answer for one interface if one is
/// named there.
///
/// # Kernel
/// NETLINK_GET_STRICT_CHK, 4.20.
///
/// # Errors
/// ENOPROTOOPT for kernels before that.
pub fn answer_strictly(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // linux/socket.h, linux/netlink.h
    const SOL_NETLINK: usize = 270;
    const NETLINK_GET_STRICT_CHK: usize = 12;
    let on = 1_i32;
    // SAFETY: the kernel reads an int.
    unsafe {
        raw::syscall5(
            __NR_setsockopt,
            socket.as_raw_fd() as usize,
            SOL_NETLINK,
            NETLINK_GET_STRICT_CHK,
            &raw const on as usize,
            size_of::<i32>(),
        )
    }
    .map(drop)
}

//! File descriptors as a whole: closing ranges of them, and locks that belong to an open file.

use linux_raw_sys::general::{
    __NR_close_range, __NR_fcntl, F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, flock,
};
use rustix::{
    fd::{AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
};

use crate::raw;

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Kernel
/// close_range with CLOSE_RANGE_CLOEXEC, 5.11.
///
/// # Errors
/// ENOMEM.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // linux/close_range.h
    const CLOSE_RANGE_CLOEXEC: usize = 1 << 2;
    close_range(first, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor that is not in `keep`, which is sorted in place. For a process that has just been forked.
///
/// # Errors
/// ENOMEM.
pub fn close_all_but(keep: &mut [BorrowedFd<'_>]) -> Result<(), Errno> {
    keep.sort_unstable_by_key(BorrowedFd::as_raw_fd);
    let mut next = 0_u32;
    for fd in keep {
        let fd = fd.as_raw_fd() as u32;
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = next.max(fd + 1);
    }
    close_range(next, u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: usize) -> Result<(), Errno> {
    // SAFETY: no memory is touched. Descriptors are closed behind the back of their owners: the two callers above
    // leave them open until exec, or are documented for a process that goes on with the kept ones only and never
    // drops the others.
    unsafe { raw::syscall3(__NR_close_range, first as usize, last as usize, flags) }.map(drop)
}

/// A copy of a descriptor that whoever executed this program has left open for it.
///
/// # Errors
/// EBADF if it is not open.
pub fn inherited(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: it is borrowed for the one call, which gives a descriptor of its own or, if it is not open, EBADF.
    rustix::io::fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(number) }, 3)
}

/// Standard input, output and error of this process.
pub fn standard() -> [BorrowedFd<'static>; 3] {
    // SAFETY: the three are open from the first lines of the program (which opens /dev/null for the missing ones, where
    // there is one) and nothing in the project ever owns, and so closes, one of them.
    unsafe { [BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1), BorrowedFd::borrow_raw(2)] }
}

/// Locks the whole file for writing on behalf of the open file, without waiting. Every copy of the descriptor shares
/// the lock; the kernel drops it with the last one.
///
/// # Errors
/// EAGAIN if somebody else holds it.
pub fn lock(file: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut request = whole_file(F_WRLCK);
    fcntl_lock(file, F_OFD_SETLK, &mut request)
}

/// Whether another open file holds a lock on this one. Takes no lock itself.
///
/// # Errors
/// EBADF.
pub fn is_locked(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut request = whole_file(F_RDLCK);
    fcntl_lock(file, F_OFD_GETLK, &mut request)?;
    Ok(request.l_type as u32 != F_UNLCK)
}

fn whole_file(kind: u32) -> flock {
    // SAFETY: flock is plain integers; zero start and length mean the whole file.
    let mut request: flock = unsafe { core::mem::zeroed() };
    request.l_type = kind as _;
    request
}

fn fcntl_lock(file: BorrowedFd<'_>, command: u32, request: &mut flock) -> Result<(), Errno> {
    // SAFETY: the kernel reads and writes one struct flock, which lives during the call.
    unsafe {
        raw::syscall3(
            __NR_fcntl,
            file.as_raw_fd() as usize,
            command as usize,
            core::ptr::from_mut(request) as usize,
        )
    }
    .map(drop)
}

/// Descriptor 0.
pub fn stdin() -> BorrowedFd<'static> {
    // SAFETY: no owner of descriptor 0 exists in this project, so nobody closes it; if it was closed when the program
    // was executed, a call on it gives EBADF.
    unsafe { rustix::stdio::stdin() }
}

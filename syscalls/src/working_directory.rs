//! The working directory of the calling process.

use linux_raw_sys::general::__NR_getcwd;
use rustix::io::Errno;

use crate::raw;

/// Checks that the working directory is below the root directory: that its path does not begin with `(unreachable)`.
///
/// # Errors
/// EXDEV if it is somewhere else, ENOENT if it was removed, ENAMETOOLONG if its path is longer than 4095 bytes.
pub fn check_reachable() -> Result<(), Errno> {
    let mut path = [0_u8; 4096];
    // SAFETY: the kernel writes at most as many bytes as it is told that there are.
    unsafe { raw::syscall2(__NR_getcwd, (&raw mut path).cast::<u8>() as usize, path.len()) }?;
    if path[0] == b'/' { Ok(()) } else { Err(Errno::XDEV) }
}

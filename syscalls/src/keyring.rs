//! The session keyring of the calling process.

use linux_raw_sys::general::__NR_keyctl;
use rustix::io::Errno;

use crate::raw;

/// Leaves the caller's session keyring for a new, anonymous one.
///
/// # Kernel
/// keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL).
///
/// # Errors
/// EDQUOT, ENOMEM; ENOSYS on a kernel without keys.
pub fn join_new_session() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    unsafe { raw::syscall2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) }.map(drop)
}

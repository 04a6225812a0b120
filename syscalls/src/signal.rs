//! Signals of the calling process: dispositions, mask, and reading them from a descriptor.

use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_pidfd_send_signal, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_signalfd4, O_CLOEXEC, O_NONBLOCK,
    SIG_BLOCK, SIG_SETMASK, kernel_sigaction, kernel_sigset_t,
};
use rustix::{
    fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    io::Errno,
};

use crate::raw;

/// Number of signals of this kernel's ABI.
const SIGNALS: usize = 64;

/// A set of signals by number, 1 to 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// Every signal.
    pub const ALL: SignalSet = SignalSet(u64::MAX);

    /// The set with `signal` in it as well; numbers outside 1 to 64 change nothing.
    #[must_use]
    pub const fn with(self, signal: i32) -> Self {
        if signal >= 1 && signal <= SIGNALS as i32 { SignalSet(self.0 | 1 << (signal - 1)) } else { self }
    }
}

fn action(signal: i32, handler: usize) -> Result<(), Errno> {
    // SAFETY: zero is SIG_DFL without flags; the struct is plain data.
    let mut action: kernel_sigaction = unsafe { core::mem::zeroed() };
    const { assert!(size_of::<kernel_sigset_t>() == 8) };
    // SAFETY: the handler is 0 (SIG_DFL) or 1 (SIG_IGN), which the kernel never calls; a transmute between a word and
    // an optional function pointer of the same size.
    action.sa_handler_kernel =
        unsafe { core::mem::transmute::<usize, Option<unsafe extern "C" fn(i32)>>(handler) };
    // SAFETY: the kernel reads one kernel_sigaction; the old one is not asked for.
    unsafe {
        raw::syscall4(
            __NR_rt_sigaction,
            signal as usize,
            &raw const action as usize,
            0,
            size_of::<kernel_sigset_t>(),
        )
    }
    .map(drop)
}

/// Gives every signal its default action: what a program expects of its parent.
pub fn reset_all() {
    for signal in 1..=SIGNALS as i32 {
        // SIGKILL and SIGSTOP refuse, and need nothing.
        let _ = action(signal, 0);
    }
}

/// Gives `signal` its default action.
///
/// # Errors
/// As [`ignore`].
pub fn reset(signal: i32) -> Result<(), Errno> {
    action(signal, 0)
}

/// Ignores `signal` from here on.
///
/// # Errors
/// EINVAL for SIGKILL, SIGSTOP and numbers that are no signals.
pub fn ignore(signal: i32) -> Result<(), Errno> {
    action(signal, 1)
}

fn mask(how: u32, set: SignalSet) -> SignalSet {
    let mut old = 0_u64;
    // SAFETY: the kernel reads 8 bytes of the set and writes 8 bytes of the old mask.
    let result = unsafe {
        raw::syscall4(
            __NR_rt_sigprocmask,
            how as usize,
            &raw const set.0 as usize,
            &raw mut old as usize,
            size_of::<u64>(),
        )
    };
    debug_assert!(result.is_ok());
    SignalSet(old)
}

/// Replaces the set of blocked signals and gives the old one.
pub fn set_mask(set: SignalSet) -> SignalSet {
    mask(SIG_SETMASK, set)
}

/// Blocks the signals of `set` as well and gives the old mask.
pub fn block(set: SignalSet) -> SignalSet {
    mask(SIG_BLOCK, set)
}

/// Sends a signal, real-time ones included, to a process by its pidfd.
///
/// # Kernel
/// pidfd_send_signal, 5.1.
///
/// # Errors
/// ESRCH if it has ended, EINVAL for what is no signal, EPERM.
pub fn send(process: impl AsFd, signal: i32) -> Result<(), Errno> {
    let pidfd = process.as_fd().as_raw_fd();
    // SAFETY: no memory is passed; without information about the sender the kernel fills that in.
    unsafe { raw::syscall4(__NR_pidfd_send_signal, pidfd as usize, signal as usize, 0, 0) }.map(drop)
}

/// A descriptor (close-on-exec, non-blocking: SFD_* are the O_* flags) that reads the signals of `set`, which the caller has blocked.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn signalfd(set: SignalSet) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel reads 8 bytes of the set; the descriptor that comes back is ours alone.
    unsafe {
        let fd = raw::syscall4(
            __NR_signalfd4,
            usize::MAX,
            &raw const set.0 as usize,
            size_of::<u64>(),
            (O_CLOEXEC | O_NONBLOCK) as usize,
        )?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// The next signal that is waiting in a [`signalfd`], and the process that sent it; `None` when there is none.
///
/// # Errors
/// What read(2) gives, but EAGAIN.
pub fn next_signal(signals: impl AsFd) -> Result<Option<(i32, u32)>, Errno> {
    // struct signalfd_siginfo of linux/signalfd.h: 128 bytes, ssi_signo the first word, ssi_pid the fourth.
    let mut bytes = [0_u8; 128];
    match rustix::io::read(signals, &mut bytes) {
        Ok(count) if count == bytes.len() => {
            let word =
                |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            Ok(Some((word(0) as i32, word(12))))
        }
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

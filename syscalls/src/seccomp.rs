//! seccomp: put a finished filter program on the calling thread, and ask what actions the kernel knows.

use core::mem::{offset_of, size_of};

use linux_raw_sys::{
    general::__NR_seccomp,
    ptrace::{sock_filter, sock_fprog},
};
use rustix::io::Errno;

use crate::raw;

/// One instruction of a classic BPF program, as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does: `BPF_LD | BPF_W | BPF_ABS` and so on.
    pub code: u16,
    /// How many instructions a conditional jump skips when its condition holds.
    pub if_true: u8,
    /// And how many when it doesn't.
    pub if_false: u8,
    /// The constant, the offset into the data, or the distance of an unconditional jump.
    pub operand: u32,
}

const _: () = {
    assert!(
        size_of::<Instruction>() == size_of::<sock_filter>()
            && align_of::<Instruction>() == align_of::<sock_filter>()
    );
    assert!(offset_of!(Instruction, code) == offset_of!(sock_filter, code));
    assert!(offset_of!(Instruction, if_true) == offset_of!(sock_filter, jt));
    assert!(offset_of!(Instruction, if_false) == offset_of!(sock_filter, jf));
    assert!(offset_of!(Instruction, operand) == offset_of!(sock_filter, k));
};

bitflags::bitflags! {
    /// `SECCOMP_FILTER_FLAG_*`: how a filter is put on.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct FilterFlags: u32 {
        /// Every action but "allow" is logged.
        const LOG = 1 << 1;
        /// The filter does not switch speculative store bypass off (older kernels tie the two together).
        const SPEC_ALLOW = 1 << 2;
    }
}

/// Puts a filter on the calling thread, for good; children and executed programs inherit it.
///
/// # Kernel
/// seccomp(SECCOMP_SET_MODE_FILTER), 3.17. The caller has CAP_SYS_ADMIN or no_new_privs.
///
/// # Errors
/// EINVAL for a program that is empty, longer than 4096 instructions or not valid, EACCES without the right, ENOMEM when
/// all filters of the process together are too long.
pub fn install(program: &[Instruction], flags: FilterFlags) -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let Ok(len) = u16::try_from(program.len()) else { return Err(Errno::INVAL) };
    let described = sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies `described` and `len` instructions out of `program` during the call and writes to
    // neither; the layout of an instruction is checked above. No descriptor comes back without NEW_LISTENER, which the
    // flag type doesn't have.
    let done = unsafe {
        raw::syscall3(
            __NR_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags.bits() as usize,
            core::ptr::from_ref(&described) as usize,
        )
    };
    done.map(drop)
}

/// Tells whether the kernel knows an action (`SECCOMP_RET_*` without its data).
///
/// # Kernel
/// seccomp(SECCOMP_GET_ACTION_AVAIL), 4.14.
///
/// # Errors
/// ENOSYS or EINVAL on a kernel without seccomp filters.
pub fn action_is_available(action: u32) -> Result<bool, Errno> {
    const SECCOMP_GET_ACTION_AVAIL: usize = 2;
    // SAFETY: the kernel reads the four bytes of `action` during the call.
    match unsafe {
        raw::syscall3(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, core::ptr::from_ref(&action) as usize)
    } {
        Ok(_) => Ok(true),
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_errno_and_not_what_does_not_exist() {
        assert_eq!(action_is_available(0x0005_0000), Ok(true));
        assert_eq!(action_is_available(0x1234_0000), Ok(false));
    }

    #[test]
    fn an_empty_or_huge_program_is_refused() {
        assert_eq!(install(&[], FilterFlags::empty()), Err(Errno::INVAL));
        let nothing = Instruction { code: 6, if_true: 0, if_false: 0, operand: 0x7fff_0000 };
        assert_eq!(install(&[nothing; 4097], FilterFlags::empty()), Err(Errno::INVAL));
        assert_eq!(install(&std::vec![nothing; 65537], FilterFlags::empty()), Err(Errno::INVAL));
    }
}

//! The door to the kernel for the calls that rustix lacks: a number and up to six words in, a word or an errno out.
//! Every other file of this crate goes through here; any process runs it.

use rustix::io::Errno;

#[cfg_attr(target_arch = "x86_64", path = "raw/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "raw/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "raw/riscv64.rs")]
mod instruction;

/// One function for each number of arguments, so that no register is loaded that the call doesn't read.
macro_rules! syscalls {
    ($($name:ident($($argument:ident),*);)*) => {$(
        /// System call `number` with its arguments, as the kernel takes them (`linux_raw_sys::general::__NR_*`).
        ///
        /// # Safety
        /// Every argument that the call takes for an address is valid for what the kernel reads or writes there, for
        /// as long as the kernel uses it; file descriptors are open and not closed behind their owner's back; and the
        /// call leaves this process in a state that Rust allows (a call that returns twice in one address space, or on
        /// another stack, cannot be made through here).
        ///
        /// # Errors
        /// What the kernel answers, when it is in -4095..=-1.
        #[allow(dead_code, reason = "the set is complete, whichever calls need it today")]
        #[inline(always)]
        pub(crate) unsafe fn $name(number: u32, $($argument: usize),*) -> Result<usize, Errno> {
            // SAFETY: the caller's promise is that of the instruction.
            decode(unsafe { instruction::$name(number as usize, $($argument),*) })
        }
    )*};
}

syscalls! {
    syscall0();
    syscall1(a0);
    syscall2(a0, a1);
    syscall3(a0, a1, a2);
    syscall4(a0, a1, a2, a3);
    syscall5(a0, a1, a2, a3, a4);
    syscall6(a0, a1, a2, a3, a4, a5);
}

/// The kernel's return word: the last page of the address space holds errno values, everything else is a result.
#[inline(always)]
pub(crate) fn decode(word: usize) -> Result<usize, Errno> {
    if word > usize::MAX - 4095 {
        Err(Errno::from_raw_os_error((word as isize).wrapping_neg() as i32))
    } else {
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{__NR_close, __NR_getpid, __NR_mmap, __NR_munmap, __NR_openat};

    #[test]
    fn a_result_word_is_passed_through() {
        // SAFETY: getpid takes nothing and touches nothing.
        let pid = unsafe { syscall0(__NR_getpid) };
        assert_eq!(pid, Ok(rustix::process::getpid().as_raw_nonzero().get() as usize));
        assert_eq!(decode(usize::MAX - 4095), Ok(usize::MAX - 4095));
    }

    #[test]
    fn the_last_4095_words_are_errors() {
        // SAFETY: no descriptor has this number, so nothing is closed.
        assert_eq!(unsafe { syscall1(__NR_close, usize::MAX) }, Err(Errno::BADF));
        // SAFETY: the kernel copies the path from address 8, which is never mapped, and fails.
        assert_eq!(unsafe { syscall4(__NR_openat, usize::MAX, 8, 0, 0) }, Err(Errno::FAULT));
        assert_eq!(decode(usize::MAX - 4094), Err(Errno::from_raw_os_error(4095)));
    }

    #[test]
    fn all_six_arguments_arrive() {
        // mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, offset): a crooked offset is refused, 0 is not.
        // SAFETY: a new private mapping that nobody else knows.
        let crooked = unsafe { syscall6(__NR_mmap, 0, 4096, 1, 0x22, usize::MAX, 1) };
        assert_eq!(crooked, Err(Errno::INVAL));
        // SAFETY: as above.
        let address =
            unsafe { syscall6(__NR_mmap, 0, 4096, 1, 0x22, usize::MAX, 0) }.expect("a page is there");
        assert_eq!(address % 4096, 0);
        // SAFETY: the mapping from above, which holds no object.
        assert_eq!(unsafe { syscall2(__NR_munmap, address, 4096) }, Ok(0));
    }
}

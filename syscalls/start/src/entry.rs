//! The entry point: the kernel's stack -> arguments and environment -> the program's exit code -> exit_group.
//!
//! ```text
//! stack pointer -> argc, argv[0] .. argv[argc - 1], 0, envp[0] .. , 0, auxiliary vector
//! ```

use core::ffi::{CStr, c_char};

#[cfg_attr(target_arch = "x86_64", path = "entry/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "entry/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "entry/riscv64.rs")]
#[cfg(not(test))]
mod instruction;

/// Arguments or environment, as the kernel laid them out. They stay as long as the process.
#[derive(Debug, Clone, Copy)]
pub struct Strings(*const *const c_char);

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: the list ends with a null pointer, behind which this never goes.
        let string = unsafe { *self.0 };
        if string.is_null() {
            return None;
        }
        // SAFETY: the string before was no null, so there is one more slot.
        self.0 = unsafe { self.0.add(1) };
        // SAFETY: the kernel ends each string with a zero byte, above the stack, where nothing of this process writes.
        Some(unsafe { CStr::from_ptr(string) })
    }
}

/// Where the entry point goes on, with a stack that is aligned as calls expect it.
///
/// # Safety
/// `stack` is the stack pointer as the kernel set it at execve.
#[cfg(not(test))]
unsafe extern "C" fn begin(stack: *const usize) -> ! {
    unsafe extern "Rust" {
        /// What [`crate::program!`] defines.
        safe fn skiff_program(arguments: Strings, environment: Strings) -> u8;
    }
    // SAFETY: by the caller: a count, as many pointers, a null, and the list of the environment.
    let (arguments, environment) = unsafe { (stack.add(1), stack.add(*stack + 2)) };
    let code = skiff_program(Strings(arguments.cast()), Strings(environment.cast()));
    skiff_syscalls::exec::exit(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn strings_end_at_the_null() {
        let list = [c"a".as_ptr(), c"".as_ptr(), core::ptr::null(), c"b".as_ptr()];
        assert_eq!(Strings(list.as_ptr()).collect::<Vec<_>>(), [c"a", c""]);
        assert_eq!(Strings(&raw const list[2]).count(), 0);
    }
}

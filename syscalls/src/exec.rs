//! The two ways for a process to become something else: another program, or nothing.

use core::{
    convert::Infallible,
    ffi::{CStr, c_char},
    marker::PhantomData,
    ptr,
};

use linux_raw_sys::general::{__NR_execve, __NR_exit_group};
use rustix::io::Errno;

use crate::raw;

/// A null-terminated list of C strings, as execve takes its arguments and its environment.
#[derive(Debug)]
pub struct Strings<'a> {
    pointers: &'a [*const c_char],
    strings: PhantomData<&'a CStr>,
}

impl<'a> Strings<'a> {
    /// How many slots the buffer for a list of `count` strings must have.
    pub const fn slots(count: usize) -> usize {
        count + 1
    }

    /// Lays the list out in `buffer`, one pointer a slot and a null behind them; strings beyond the buffer are left out.
    pub fn new(buffer: &'a mut [*const c_char], strings: impl IntoIterator<Item = &'a CStr>) -> Self {
        let (last, slots) = buffer.split_last_mut().expect("a list has room for its terminator");
        *last = ptr::null();
        let mut strings = strings.into_iter();
        for slot in slots {
            *slot = strings.next().map_or(ptr::null(), CStr::as_ptr);
        }
        Strings { pointers: buffer, strings: PhantomData }
    }
}

/// Replaces this process's program. Returns only the reason why it could not.
pub fn execve(path: &CStr, arguments: &Strings<'_>, environment: &Strings<'_>) -> Errno {
    // SAFETY: the path and both lists are null-terminated and live during the call (the lists by construction).
    let result = unsafe {
        raw::syscall3(
            __NR_execve,
            path.as_ptr() as usize,
            arguments.pointers.as_ptr() as usize,
            environment.pointers.as_ptr() as usize,
        )
    };
    result.err().unwrap_or(Errno::INVAL)
}

/// Ends this process at once: no destructors, no buffers flushed.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group touches no memory and does not return.
        let _: Result<usize, Errno> = unsafe { raw::syscall1(__NR_exit_group, code as usize) };
    }
}

/// [`exit`] where a value that cannot exist is asked for.
pub fn exit_infallible(code: i32) -> Infallible {
    exit(code)
}

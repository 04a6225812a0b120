//! What is below the first line of the program, in place of a libc and of Rust's std: the kernel's jump to the entry
//! point, the heap, the end after a panic, and the functions that the compiler calls on its own.
//!
//! Only the real binary names this crate, by [`program!`]; whatever the test runner builds has std for all of it.
//!
//! | module | what it gives |
//! |---|---|
//! | `entry` | the entry point, arguments and environment |
//! | `heap` | Rust's allocator, and the C names of it that zlib-rs calls |
//! | `memory` | memcpy, memmove, memset, memcmp, bcmp, strlen |
//! | `panic` | one line to stderr, then the end |
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg_attr(test, allow(dead_code, reason = "the tests' own std has these"))]
mod entry;
#[cfg_attr(test, allow(dead_code, reason = "the tests' own std has these"))]
mod heap;
mod memory;
#[cfg(not(test))]
mod panic;

pub use entry::Strings;

/// Makes `function`, a `fn(Strings, Strings) -> u8`, the program: it gets the arguments and the environment, and its
/// result is the exit code.
#[macro_export]
macro_rules! program {
    ($function:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn skiff_program(arguments: $crate::Strings, environment: $crate::Strings) -> u8 {
            $function(arguments, environment)
        }
    };
}

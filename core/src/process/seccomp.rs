//! Seccomp filters: capabilities or a profile come in, a finished program goes out. Run by the server child; the program
//! is put on by [`super::rights`].

mod calls;
#[cfg(test)]
mod interpreter;
mod profile;
mod program;
mod standard;

use skiff_syscalls::seccomp::FilterFlags;

pub use profile::{Filter, KernelVersion, from_json};
pub use standard::default_program;

/// How a filter is put on unless a profile says otherwise.
pub const STANDARD_FLAGS: FilterFlags = FilterFlags::SPEC_ALLOW;

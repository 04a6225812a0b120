//! The directory that a build may copy from.

use rustix::fd::OwnedFd;

use crate::dockerfile::ignore::Patterns;

/// A context: what is in the directory, but for what `.dockerignore` leaves out.
#[derive(Debug)]
pub struct Context {
    /// The directory.
    pub root: OwnedFd,
    /// What is left out.
    pub ignore: Patterns,
}

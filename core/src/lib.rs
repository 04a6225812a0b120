//! The engine. Data flows in the order of this list; imports point backwards along it.
//!
//! | module | what comes in -> what goes out |
//! |---|---|
//! | [`container`] | requests and files -> a container's settings, record and state |
//! | [`api`] | the Docker Engine API: HTTP codec, routes, one file per resource |
//! | [`engine`] | the verbs: the only place that strings the stages together |
//! | [`process`] | settings -> a process with its rights, and its end |
//! | [`error`] [`file`] [`fork`] [`digest`] [`clock`] | tools that know nothing of containers: the one error type, fd-relative files, the one fork, names of content, times |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod api;
pub mod clock;
pub mod container;
pub mod digest;
pub mod engine;
pub mod error;
pub mod file;
pub mod fork;
pub mod process;

pub use error::{Context, Error, Result};

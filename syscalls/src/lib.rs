//! The system calls that rustix lacks, one file each. The only unsafe code of the project but for `start/`, which is what a
//! libc would bring.
#![no_std]

#[cfg(test)]
extern crate std;

pub(crate) mod raw;

pub mod bpf;
pub mod clone;
pub mod descriptor;
pub mod exec;
pub mod keyring;
pub mod lane;
pub mod last_words;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod once;
pub mod peer;
pub mod processor;
pub mod seccomp;
pub mod signal;
pub mod standard;
pub mod text;
pub mod working_directory;

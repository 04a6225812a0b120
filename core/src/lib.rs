//! The engine. Data flows in the order of this list; imports point backwards along it.
//!
//! | module | what comes in -> what goes out |
//! |---|---|
//! | [`layer`] | the bytes of a tar -> a directory tree |
//! | [`image`] | bytes -> names, configs |
//! | [`dockerfile`] | the text of a Dockerfile -> typed instructions |
//! | [`store`] | the shelves: layers, blobs, images, names |
//! | [`net`] | interfaces, addresses, rules -> netlink messages; what answers for names and asks for them, what carries ports |
//! | [`container`] | requests and files -> a container's settings, record and state |
//! | [`build`] | a Dockerfile and a context -> steps, their keys, the files that they copy |
//! | [`process`] | settings -> a process with its rights, and its end |
//! | [`events`] | what happens to containers, images, volumes -> the event log |
//! | [`engine`] | the verbs: the only place that strings the stages together |
//! | [`api`] | the Docker Engine API: HTTP codec, routes, one file per resource; the daemon that serves it |
//! | [`error`] [`file`] [`fork`] [`crew`] [`frame`] [`journal`] [`clock`] [`digest`] [`base64`] [`json`] [`sort`] [`nearest`] [`units`] [`glob`] | tools that know nothing of containers: the one error type, fd-relative files, the one fork, jobs side by side, framed streams, files of lines that rotate, times, names of content, bytes as text, JSON, order, misspelt words, amounts, patterns of names |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod api;
pub mod base64;
pub mod build;
pub mod clock;
pub mod container;
pub mod crew;
pub mod digest;
pub mod dockerfile;
pub mod engine;
pub mod error;
pub mod events;
pub mod file;
pub mod fork;
pub mod frame;
pub mod glob;
pub mod image;
pub mod journal;
pub mod json;
pub mod layer;
pub mod nearest;
pub mod net;
pub mod process;
pub mod sort;
pub mod store;
pub mod units;

pub use error::{Context, Error, Result};

//! What a container is, on disk and in requests: its settings, its record, its state.

pub mod config;
pub mod endpoint;
pub mod health;
pub mod keys;
pub mod log;
mod merge;
pub mod names;
pub mod record;
pub mod restart;
pub mod shelf;
pub mod signals;
pub mod state;

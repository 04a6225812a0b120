//! What an image is: its names as people write them, and its config.

pub mod config;
pub mod reference;

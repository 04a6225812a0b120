//! What an image is: its names as people write them, its config, the documents and archives that carry it from machine to
//! machine.

pub mod annotations;
pub mod archive;
pub mod config;
pub mod contents;
pub mod manifest;
pub mod pack;
pub mod reference;

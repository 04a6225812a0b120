//! Layers: from the bytes of a tar to a directory tree in the form that overlayfs stacks, and back.

pub mod apply;
pub mod attributes;
pub mod audit;
pub mod changes;
mod directories;
pub mod emit;
pub mod header;
pub mod inflate;
pub mod keep;
pub mod leftovers;
pub mod name;
pub mod pack;
pub mod pax;
pub mod place;
pub mod plain;
pub mod skeleton;
pub mod sparse;
pub mod tar;
pub mod unpack;
pub mod zstd;

//! Layers: from the bytes of a tar to a directory tree in the form that overlayfs stacks.

pub mod apply;
pub mod attributes;
pub mod header;
pub mod inflate;
pub mod name;
pub mod pax;
pub mod plain;
pub mod tar;
pub mod unpack;
pub mod zstd;

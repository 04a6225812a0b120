//! Layers: from the bytes of a tar to a directory tree in the form that overlayfs stacks.

pub mod header;
pub mod pax;
pub mod tar;

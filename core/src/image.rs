//! What an image is: its names as people write them, its config, the documents and archives that
//! carry it from machine to machine, the changes to it that `import` and `commit` take, and
//! patterns of names.

pub mod archive;
pub mod change;
pub mod config;
pub mod contents;
pub mod manifest;
pub mod pack;
pub mod reference;

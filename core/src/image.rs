//! What an image is: its names as people write them, its config, and the changes to it that `import` and `commit` take.

pub mod change;
pub mod config;
pub mod reference;

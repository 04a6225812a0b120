//! Files of the person who types: named from the working directory, links followed, nothing beneath a root.

use alloc::{string::String, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
};
use skiff_core::file::{self, CWD};

/// Opens a file for reading.
///
/// # Errors
/// As openat(2).
pub fn open(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

/// A file's content.
///
/// # Errors
/// As openat(2) and read(2).
pub fn read(path: &str) -> Result<Vec<u8>, Errno> {
    file::read_all(open(path)?, isize::MAX as usize)
}

/// The path of the working directory.
///
/// # Errors
/// As getcwd(2), and EILSEQ if it is not UTF-8 text.
pub fn working_directory() -> Result<String, Errno> {
    rustix::process::getcwd(Vec::new())?.into_string().map_err(|_| Errno::ILSEQ)
}

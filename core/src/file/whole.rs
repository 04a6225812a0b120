//! A file that appears whole or not at all. It is written without a name where the file system can do that, so that
//! nothing is left of it however its writer ends.

use alloc::{format, string::String};

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, renameat, unlinkat},
    io::Errno,
};

use super::{create, directory};

/// A file in the making.
#[derive(Debug)]
pub struct Whole {
    directory: OwnedFd,
    file: OwnedFd,
    /// What it is called until it is whole.
    temporary: String,
    /// Whether that name is there.
    named: bool,
}

impl Whole {
    /// Begins a file in the directory at this path of the caller's.
    ///
    /// # Kernel
    /// O_TMPFILE; a file with a name of its own where that is not supported.
    ///
    /// # Errors
    /// As openat(2).
    pub fn new(path: &str, mode: u32) -> Result<Whole, Errno> {
        let directory = directory(CWD, path)?;
        let temporary = format!(".skiff-{}", rustix::process::getpid().as_raw_nonzero());
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, named) = match openat(&directory, ".", flags, Mode::from_raw_mode(mode)) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
                // Left by one that was killed and had our number.
                let _ = unlinkat(&directory, temporary.as_str(), AtFlags::empty());
                (create(&directory, temporary.as_str(), b"", mode)?, true)
            }
            other => (other?, false),
        };
        Ok(Whole { directory, file, temporary, named })
    }

    /// To write to.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives it its name; a file that had it is gone.
    ///
    /// # Errors
    /// As linkat(2) and renameat(2).
    pub fn appear(mut self, name: &str) -> Result<(), Errno> {
        if !self.named {
            let _ = unlinkat(&self.directory, self.temporary.as_str(), AtFlags::empty());
            self.link()?;
            self.named = true;
        }
        renameat(&self.directory, self.temporary.as_str(), &self.directory, name)?;
        self.named = false;
        Ok(())
    }

    fn link(&self) -> Result<(), Errno> {
        let name = self.temporary.as_str();
        match linkat(&self.file, "", &self.directory, name, AtFlags::EMPTY_PATH) {
            // Asks for a capability, on older kernels.
            Err(Errno::NOENT) => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, own, &self.directory, name, AtFlags::SYMLINK_FOLLOW)
            }
            other => other,
        }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.named {
            let _ = unlinkat(&self.directory, self.temporary.as_str(), AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{make_host_directories, names, read, remove_tree, write_all};

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let path = format!("/tmp/skiff-whole-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = remove_tree(CWD, path.as_str());
        let at = make_host_directories(&path, 0o700).unwrap();
        let write = |text: &[u8]| {
            let whole = Whole::new(&path, 0o600).unwrap();
            write_all(whole.file(), text).unwrap();
            whole
        };
        drop(write(b"1"));
        assert!(names(&at, ".").unwrap().is_empty());
        for text in [b"2", b"3"] {
            let whole = write(text);
            whole.appear("f").unwrap();
            assert_eq!(names(&at, ".").unwrap(), ["f"]);
            assert_eq!(read(&at, "f", 9).unwrap(), text);
        }
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        assert_eq!(write(b"4").appear("d"), Err(Errno::ISDIR));
        assert_eq!(names(&at, ".").unwrap().len(), 2);
        remove_tree(CWD, path.as_str()).unwrap();
    }
}

//! The shelves of images: what is written here is whole, verified and durable, or it is not there.
//!
//! ```text
//! <data root>/
//!   version                  format number, checked when the store is opened
//!   tmp/<random>             something in the making, or taken away and not deleted yet; nothing refers to it
//!   layers/<diffid>/tree     one extracted layer, in the form that overlayfs stacks
//!                  /base     the same for a layer that hides all layers below it (an opaque root directory)
//!                  /skeleton     everything else of its tar: see `layer::skeleton`
//!                  /layer.json   its sizes
//!   blobs/sha256/<hex>       configs; later manifests too
//!   images/<id>              an image exists: what only this store knows of it
//!   names/<sha256 of name>   two lines: the full name, the image's id
//!   volumes/<name>/          see `volumes`
//!   networks/<name>          see `networks`
//! ```
//! A directory's lock (flock on the data root) says who may do what: whoever adds to the shelves or makes something that
//! refers to them holds it shared, for a moment and never while waiting for input; whoever takes something away holds it
//! alone, and then everything in `tmp/` that nobody has locked is left over from a killed process. A layer that somebody
//! reads for long has a lock of its own: see `held`.

mod blobs;
pub mod check;
mod collect;
mod fill;
mod held;
mod images;
mod layers;
mod names;
pub mod networks;
mod publish;
mod steps;
pub mod volumes;
mod writeback;

use alloc::format;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::FlockOperation,
    io::Errno,
};

pub use self::{
    collect::Removed,
    fill::{Filled, fill},
    held::HeldLayer,
    images::{Image, ImageRecord},
    layers::{LayerFacts, Scratch},
    names::Name,
    publish::Publication,
    steps::{CachedStep, StepFile, StepRecord},
    writeback::Writeback,
};
use crate::{Context, Error, Result, file};

/// What `version` says.
const FORMAT: &[u8] = b"1\n";

/// The images, layers and names below one data root.
#[derive(Debug)]
pub struct Store {
    root: OwnedFd,
}

/// The right to add to the shelves ([`Store::share`]) or also to take away ([`Store::alone`]).
#[derive(Debug)]
pub struct Locked {
    _file: OwnedFd,
}

impl Store {
    /// Opens the store below the data root; a new one is marked with the format's number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if another version of skiff made it in another format.
    pub fn open(data: impl AsFd) -> Result<Store> {
        let root = data.as_fd().try_clone_to_owned().context("duplicate", "data root")?;
        let store = Store { root };
        match file::read(&store.root, "version", 64) {
            Ok(found) if found == FORMAT => {}
            Ok(found) => {
                let found = alloc::string::String::from_utf8_lossy(&found);
                return Err(Error::Unsupported(format!(
                    "open data root: its format is {:?}, this skiff reads \"1\"",
                    found.trim_end()
                )));
            }
            Err(Errno::NOENT) => {
                let locked = store.share()?;
                store.publication(&locked)?.file("version", FORMAT)?.commit()?;
            }
            Err(errno) => return Err(Error::os("read", "version", errno)),
        }
        Ok(store)
    }

    /// The data root.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Waits for the right to add; many may have it at a time.
    ///
    /// # Errors
    /// Of the file system.
    pub fn share(&self) -> Result<Locked> {
        self.lock(FlockOperation::LockShared)
    }

    /// Waits for the right to take away; nobody else may then add or take away.
    ///
    /// # Errors
    /// Of the file system.
    pub fn alone(&self) -> Result<Locked> {
        self.lock(FlockOperation::LockExclusive)
    }

    fn lock(&self, how: FlockOperation) -> Result<Locked> {
        let file = file::lock_directory(&self.root, ".", how).context("lock", "data root")?;
        Ok(Locked { _file: file })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::string::String;

    use rustix::fs::{Mode, OFlags};

    use super::*;

    /// A data root in a scratch directory, removed at the end.
    pub struct ScratchStore {
        pub store: Store,
        pub path: String,
    }

    impl ScratchStore {
        pub fn new(name: &str) -> Self {
            let path = format!("/tmp/skiff-store-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let _ = file::remove_tree(file::CWD, path.as_str());
            let root = file::make_host_directories(&path, 0o700).unwrap();
            ScratchStore { store: Store::open(root).unwrap(), path }
        }
    }

    impl Drop for ScratchStore {
        fn drop(&mut self) {
            let _ = file::remove_tree(file::CWD, self.path.as_str());
        }
    }

    #[test]
    fn a_store_of_another_format_is_refused() {
        let scratch = ScratchStore::new("format");
        assert!(Store::open(scratch.store.root()).is_ok());
        file::replace(scratch.store.root(), "version", b"2\n", 0o600).unwrap();
        let error = Store::open(scratch.store.root()).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }

    #[test]
    fn many_may_add_while_nobody_takes_away() {
        let scratch = ScratchStore::new("locks");
        let (a, b) = (scratch.store.share().unwrap(), scratch.store.share().unwrap());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let other = rustix::fs::openat(scratch.store.root(), ".", flags, Mode::empty()).unwrap();
        let alone = || rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(alone(), Err(Errno::AGAIN));
        drop((a, b));
        assert_eq!(alone(), Ok(()));
    }
}

//! The tree that a step works on, and the layer that comes of it.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{
    super::{
        Engine,
        commit::layer_of,
        root::{self, Root},
    },
    pending::Pending,
};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::DiffId,
    file,
    layer::{keep::keep, unpack::Unpacked},
    process::rootfs::Durability,
    store::Scratch,
};

/// What a step works on: layers, and a directory above them for changes.
pub(super) struct Bench {
    ground: Root,
    /// Has the directory for changes, to become a layer. Without it they are in memory, to be looked at and forgotten.
    scratch: Option<Scratch>,
}

impl Bench {
    /// Above this machine's own root. What comes there stays as long as the value.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before Linux 6.15; of the kernel.
    pub fn on_host() -> Result<Bench> {
        if !root::takes_detached_upper() {
            return Err(Error::Unsupported("a stage FROM host needs Linux 6.15".into()));
        }
        let host = file::directory(file::CWD, "/").context("open", "/")?;
        Ok(Bench { ground: Root::new(alloc::vec![host], root::changes_in_memory()?)?, scratch: None })
    }

    /// The same one on this machine's own root, for two to hold.
    ///
    /// # Errors
    /// EMFILE.
    pub fn held_twice(&self) -> Result<Bench> {
        Ok(Bench { ground: self.ground.standing_on(None)?, scratch: None })
    }

    /// What it holds open on this machine's own root.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ground.descriptors()
    }

    /// Whether it becomes no layer.
    pub fn is_on_host(&self) -> bool {
        self.scratch.is_none()
    }

    /// Above these layers, the lowest first, and above them what is pending.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if one is missing; of the file system.
    pub fn new(engine: &Engine, layers: &[DiffId], pending: Option<&Pending>) -> Result<Bench> {
        let locked = engine.store.share()?;
        let scratch = engine.store.scratch(&locked)?;
        let mut layers = engine.store.open_layers(layers)?;
        if let Some(pending) = pending {
            layers.insert(0, pending.tree()?);
        }
        if layers.is_empty() {
            layers.push(file::subdirectory(scratch.directory(), "empty", 0o755).context("create", "empty")?);
        }
        let changes = scratch.directory().try_clone().context("duplicate", "directory")?;
        Ok(Bench { ground: Root::new(layers, changes)?, scratch: Some(scratch) })
    }

    /// All of it as one tree, mounted nowhere.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn view(&self) -> Result<OwnedFd> {
        // One that is thrown away can be mounted only once.
        self.ground.view(if self.is_on_host() { Durability::Kept } else { Durability::ThrownAway })
    }

    /// As [`Root::seen`].
    ///
    /// # Errors
    /// Of the kernel.
    pub fn seen(&self) -> Result<OwnedFd> {
        self.ground.seen()
    }

    /// As [`Root::lower`].
    ///
    /// # Errors
    /// Of the kernel.
    pub fn lower(&self) -> Result<OwnedFd> {
        self.ground.lower()
    }

    /// As [`Root::upper`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn upper(&self) -> Result<OwnedFd> {
        self.ground.upper()
    }

    /// The root file system of a container that runs on it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn root(&self, engine: &Engine) -> Result<Root> {
        let foundation = match self.is_on_host() {
            true => None,
            false => Some(engine.foundation().context("prepare", "foundation")?),
        };
        self.ground.standing_on(foundation)
    }

    /// Makes a layer of the changes. The times in it are clamped to `epoch` if one is said.
    ///
    /// # Errors
    /// As [`Bench::tree`].
    pub fn layer(self, engine: &Engine, epoch: Option<Time>) -> Result<(Scratch, Unpacked)> {
        if epoch.is_some() {
            return layer_of(&engine.store, alloc::vec![self.upper()?], self.lower()?, epoch);
        }
        let (scratch, lower) = self.tree()?;
        let unpacked = keep(scratch.directory().as_fd(), lower, || ())?;
        Ok((scratch, unpacked))
    }

    /// Ends the work: the changes stay where they were written, as `tree` in a directory; and what lies below them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on this machine's own root; of the file system.
    pub fn tree(self) -> Result<(Scratch, OwnedFd)> {
        let lower = self.lower()?;
        let Some(scratch) = self.scratch else {
            return Err(Error::Unsupported("what comes on this machine's own root becomes no layer".into()));
        };
        let directory = scratch.directory();
        for name in ["work", "empty"] {
            let _ = file::remove_tree(directory, name);
        }
        rustix::fs::renameat(directory, "upper", directory, "tree").context("rename", "upper")?;
        Ok((scratch, lower))
    }

    /// The same changes, above these layers and nothing else: what it stands on has come to the shelf meanwhile.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub fn moved_onto(self, engine: &Engine, layers: &[DiffId]) -> Result<Bench> {
        let ground = self.ground.moved_onto(engine.store.open_layers(layers)?);
        Ok(Bench { ground, ..self })
    }
}

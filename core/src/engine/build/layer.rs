//! The tree that a step works on, and the layer that comes of it.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{Mode, OFlags},
};

use super::super::{
    Engine,
    commit::layer_of,
    root::{self, Root},
};
use crate::{
    Context, Result,
    clock::Time,
    digest::{DiffId, Digest},
    file,
    layer::{keep::keep, unpack::Unpacked},
    process::rootfs::{self, Durability},
    store::Scratch,
};

/// The layers of a stage below a directory for changes.
pub(super) struct Bench {
    scratch: Scratch,
    layers: Vec<OwnedFd>,
}

impl Bench {
    /// Above these layers, the lowest first.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if one is missing; of the file system.
    pub fn new(engine: &Engine, layers: &[DiffId]) -> Result<Bench> {
        let locked = engine.store.share()?;
        let scratch = engine.store.scratch(&locked)?;
        let mut layers = engine.store.open_layers(layers)?;
        if layers.is_empty() {
            layers.push(file::subdirectory(scratch.directory(), "empty", 0o755).context("create", "empty")?);
        }
        root::make_changes(scratch.directory(), &layers[0])?;
        Ok(Bench { scratch, layers })
    }

    fn lowers(&self) -> Vec<String> {
        self.layers.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect()
    }

    /// All of it as one tree, mounted nowhere.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn view(&self) -> Result<OwnedFd> {
        let changes = |name| format!("/proc/self/fd/{}/{name}", self.scratch.directory().as_raw_fd());
        rootfs::overlay(&self.lowers(), &changes("upper"), &changes("work"), Durability::ThrownAway)
    }

    /// What lies below the changes, as one tree.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn lower(&self) -> Result<OwnedFd> {
        match self.layers.as_slice() {
            [one] => one.try_clone().context("duplicate", "layer"),
            _ => rootfs::stacked(&self.lowers()),
        }
    }

    /// The root file system of a container that runs on it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn root(&self, engine: &Engine) -> Result<Root> {
        let copy = |fd: &OwnedFd| fd.try_clone().context("duplicate", "directory");
        let mut layers = self.layers.iter().map(copy).collect::<Result<Vec<_>>>()?;
        layers.push(engine.foundation().context("prepare", "foundation")?);
        Ok(Root::new(layers, copy(self.scratch.directory())?))
    }

    /// The directory with the changes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn upper(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(self.scratch.directory(), "upper", flags, Mode::empty()).context("open", "upper")
    }

    /// Makes a layer of the changes; `None` if there are none. The times in it are clamped to `epoch` if one is said.
    ///
    /// # Errors
    /// Of the file system.
    pub fn layer(self, engine: &Engine, epoch: Option<Time>) -> Result<Option<(Scratch, Unpacked)>> {
        let lower = self.lower()?;
        let (scratch, unpacked) = match epoch {
            Some(_) => layer_of(&engine.store, (self.upper()?, lower), epoch)?,
            // What was written stays where it is.
            None => {
                let scratch = self.scratch;
                for name in ["work", "empty"] {
                    let _ = file::remove_tree(scratch.directory(), name);
                }
                let directory = scratch.directory();
                rustix::fs::renameat(directory, "upper", directory, "tree").context("rename", "upper")?;
                let unpacked = keep(directory.as_fd(), lower)?;
                (scratch, unpacked)
            }
        };
        let is_empty = unpacked.layer == DiffId(Digest::of(&[0; 1024]));
        Ok((!is_empty).then_some((scratch, unpacked)))
    }
}

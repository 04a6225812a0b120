//! The tree that a step works on, and the layer that comes of it.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{Mode, OFlags},
    mount::MountAttrFlags,
};

use super::super::{
    Engine,
    commit::layer_of,
    root::{self, Root},
};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::{DiffId, Digest},
    file,
    layer::{keep::keep, unpack::Unpacked},
    process::rootfs::{self, Durability},
    store::Scratch,
};

/// What a step works on: directories, and one above them for changes.
pub(super) struct Bench {
    changes: Changes,
    layers: Vec<OwnedFd>,
}

/// Where changes go.
enum Changes {
    /// Into a directory of the store, to become a layer.
    Scratch(Scratch),
    /// Into memory, to be looked at and forgotten.
    Memory(OwnedFd),
}

impl Changes {
    fn directory(&self) -> &OwnedFd {
        match self {
            Changes::Scratch(scratch) => scratch.directory(),
            Changes::Memory(directory) => directory,
        }
    }
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
        let changes =
            rootfs::tmpfs("mode=755", MountAttrFlags::empty()).context("mount", "tmpfs for changes")?;
        root::make_changes(&changes, &host)?;
        Ok(Bench { changes: Changes::Memory(changes), layers: alloc::vec![host] })
    }

    /// Whether it becomes no layer.
    pub fn is_on_host(&self) -> bool {
        matches!(self.changes, Changes::Memory(_))
    }

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
        Ok(Bench { changes: Changes::Scratch(scratch), layers })
    }

    fn lowers(&self) -> Vec<String> {
        self.layers.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect()
    }

    /// All of it as one tree, mounted nowhere.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn view(&self) -> Result<OwnedFd> {
        let changes = |name| format!("/proc/self/fd/{}/{name}", self.changes.directory().as_raw_fd());
        // One that is thrown away can be mounted only once.
        let durability = if self.is_on_host() { Durability::Kept } else { Durability::ThrownAway };
        rootfs::overlay(&self.lowers(), &changes("upper"), &changes("work"), durability)
    }

    /// All of it as one tree that can't be changed.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn seen(&self) -> Result<OwnedFd> {
        let upper = format!("/proc/self/fd/{}/upper", self.changes.directory().as_raw_fd());
        rootfs::stacked(&[&[upper], self.lowers().as_slice()].concat())
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
        if !self.is_on_host() {
            layers.push(engine.foundation().context("prepare", "foundation")?);
        }
        Ok(Root::new(layers, copy(self.changes.directory())?))
    }

    /// The directory with the changes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn upper(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(self.changes.directory(), "upper", flags, Mode::empty()).context("open", "upper")
    }

    /// Makes a layer of the changes; `None` if there are none. The times in it are clamped to `epoch` if one is said.
    ///
    /// # Errors
    /// Of the file system.
    pub fn layer(self, engine: &Engine, epoch: Option<Time>) -> Result<Option<(Scratch, Unpacked)>> {
        let lower = self.lower()?;
        let (scratch, unpacked) = match (epoch, self.changes) {
            (_, Changes::Memory(_)) => return Ok(None),
            (Some(_), Changes::Scratch(scratch)) => {
                let upper = file::directory(scratch.directory(), "upper").and_then(|upper| {
                    rustix::fs::openat(&upper, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                });
                layer_of(&engine.store, (upper.context("open", "upper")?, lower), epoch)?
            }
            // What was written stays where it is.
            (None, Changes::Scratch(scratch)) => {
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

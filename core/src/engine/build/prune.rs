//! The cache of builds: what is in it, and how it gets smaller.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{super::Engine, mounts::CACHES};
use crate::{
    Result,
    clock::Time,
    digest::DiffId,
    file,
    store::{CachedStep, Store},
};

/// A step in the cache.
#[derive(Debug)]
pub struct Entry {
    /// Itself.
    pub step: CachedStep,
    /// Its layer is also in an image.
    pub is_shared: bool,
}

/// Which entries are to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doomed {
    /// Also those whose layers are in an image, and the caches of `RUN --mount=type=cache`.
    pub all: bool,
    /// None that was of use later.
    pub until: Option<Time>,
}

impl Engine {
    /// Everything in the cache, in no order.
    ///
    /// # Errors
    /// Of the file system.
    pub fn build_cache(&self) -> Result<Vec<Entry>> {
        let in_images = layers_of_images(&self.store)?;
        let entry = |step: CachedStep| {
            let is_shared = step.record.layer.is_some_and(|layer| in_images.contains(&layer));
            Entry { step, is_shared }
        };
        Ok(self.store.steps()?.into_iter().map(entry).collect())
    }

    /// Takes entries out of the cache: their keys, and how many bytes of files that has made free.
    ///
    /// # Errors
    /// Of the file system.
    pub fn prune_build_cache(&self, doomed: Doomed) -> Result<(Vec<String>, u64)> {
        self.sweep_store();
        let mut gone = Vec::new();
        let bytes = {
            let alone = self.store.alone()?;
            let mut removed = self.store.removal(&alone)?;
            for Entry { step, is_shared } in self.build_cache()? {
                if doomed.until.is_some_and(|until| step.used > until) || is_shared && !doomed.all {
                    continue;
                }
                self.store.forget_step(&alone, &step.key, &mut removed)?;
                gone.push(step.key.hex().as_str().into());
            }
            if let Some(in_use) = self.image_users()?.images() {
                self.store.collect(&alone, &in_use, &mut removed)?;
                self.store.forget_lines(&alone)?;
            }
            removed.size_bytes
        };
        if doomed.all && doomed.until.is_none() {
            self.forget_caches(&mut gone);
        }
        Ok((gone, bytes))
    }

    /// Removes the directories of `--mount=type=cache` that nobody uses right now.
    fn forget_caches(&self, gone: &mut Vec<String>) {
        let Ok(caches) = file::directory(&self.data, CACHES) else { return };
        for name in file::names(&caches, ".").unwrap_or_default() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = rustix::fs::openat(&caches, name.as_str(), flags, Mode::empty());
            let locked = open
                .and_then(|open| file::lock(&open, FlockOperation::NonBlockingLockExclusive).map(|()| open));
            // Away at once, and then removed: nobody ever finds half of one.
            let moved = locked.is_ok()
                && self.store.share().and_then(|locked| self.store.scratch(&locked)).is_ok_and(|scratch| {
                    rustix::fs::renameat(&caches, name.as_str(), scratch.directory(), name.as_str()).is_ok()
                });
            if moved {
                gone.push(name);
            }
        }
    }
}

fn layers_of_images(store: &Store) -> Result<BTreeSet<DiffId>> {
    let mut layers = BTreeSet::new();
    for id in store.image_ids()? {
        if let Ok(image) = store.image(&id) {
            layers.extend(image.config.rootfs.diff_ids);
        }
    }
    Ok(layers)
}

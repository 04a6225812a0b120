//! Taking away what nobody needs: everything that the listed images and the containers' images reach is marked, the
//! rest is moved to `tmp/` at once and deleted when the store is unlocked again.
//!
//! What is in `tmp/` and was left by a killed process is also the note that something may be half done: images that were
//! taken off the list while their layers were not yet, layers that came before their image. So whoever finds it there
//! collects once more.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{FlockOperation, OFlags},
    io::Errno,
};

use super::{
    Locked, Store,
    blobs::blob_path,
    held,
    layers::{FRESH, LAYERS, boot},
    publish,
};
use crate::{
    Context, Error, Result,
    digest::{BlobDigest, DiffId, Digest, ImageId},
    file,
    image::config::ImageConfig,
};

/// What was taken off the shelves. Its files are deleted when this is dropped, which the caller does without the lock;
/// after a kill the next sweep does it. Nothing new is made for it, so that it works on a full disk, too.
#[derive(Debug)]
pub struct Removed {
    /// The layers.
    pub layers: Vec<DiffId>,
    /// Bytes of file content in them.
    pub size_bytes: u64,
    root: OwnedFd,
    paths: Vec<String>,
}

impl Removed {
    /// Moves what is at this path of the data root away. A missing one is fine.
    pub(super) fn take(&mut self, path: &str) -> Result<()> {
        let to = format!("tmp/{}", publish::random_name());
        match rustix::fs::renameat(&self.root, path, &self.root, to.as_str()) {
            Ok(()) => self.paths.push(to),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::os("remove", path, errno)),
        }
        Ok(())
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        // What somebody still reads is left to a later sweep.
        for path in self.paths.iter().filter(|path| !held::is_held(&self.root, path)) {
            let _ = file::remove_tree(&self.root, path.as_str());
        }
    }
}

impl Store {
    /// Nothing removed yet.
    ///
    /// # Errors
    /// Of the file system.
    pub fn removal(&self, _alone: &Locked) -> Result<Removed> {
        file::subdirectory(&self.root, "tmp", 0o700).context("create directory", "tmp")?;
        let root = self.root.try_clone().context("duplicate", "data root")?;
        Ok(Removed { layers: Vec::new(), size_bytes: 0, root, paths: Vec::new() })
    }

    /// Takes away all layers and blobs that neither a listed image nor one of `in_use` nor a build step needs, but for
    /// layers that are kept. While the config of one of these can't be read nothing is taken away, since it can't be known
    /// what it needs.
    ///
    /// # Errors
    /// Of the file system.
    pub fn collect(&self, _alone: &Locked, in_use: &[ImageId], removed: &mut Removed) -> Result<()> {
        let mut layers: BTreeSet<DiffId> = BTreeSet::new();
        let mut blobs: BTreeSet<BlobDigest> = BTreeSet::new();
        for id in self.image_ids()?.iter().chain(in_use) {
            match self.blob(&id.config_blob()).and_then(|json| ImageConfig::parse(&json)) {
                Ok(config) => layers.extend(config.rootfs.diff_ids),
                Err(Error::NotFound(_)) if in_use.contains(id) => {}
                Err(_) => return Ok(()),
            }
            blobs.insert(id.config_blob());
        }
        layers.extend(self.steps()?.iter().filter_map(|step| step.record.layer));
        for name in self.listed("blobs/sha256")? {
            if let Some(blob) = Digest::from_hex(&name).map(BlobDigest)
                && !blobs.contains(&blob)
            {
                removed.take(&blob_path(&blob))?;
            }
        }
        let boot = boot();
        // What another boot has left may be damaged.
        for name in self.listed(FRESH)?.into_iter().filter(|name| *name != boot) {
            removed.take(&format!("{FRESH}/{name}"))?;
        }
        let mut some_are_kept = false;
        for shelf in [format!("{FRESH}/{boot}"), LAYERS.into()] {
            for name in self.listed(&shelf)? {
                if let Some(layer) = Digest::from_hex(&name).map(DiffId)
                    && !layers.contains(&layer)
                {
                    let path = format!("{shelf}/{name}");
                    if held::is_kept(&self.root, &path) {
                        some_are_kept = true;
                        continue;
                    }
                    let size_bytes = self.layer_facts(&layer).map_or(0, |facts| facts.size_bytes);
                    removed.take(&path)?;
                    removed.layers.push(layer);
                    removed.size_bytes += size_bytes;
                }
            }
        }
        if some_are_kept {
            // The note to collect once more.
            let _ = file::subdirectory(&self.root, &format!("tmp/{}", publish::random_name()), 0o700);
        }
        Ok(())
    }

    /// Deletes what killed processes left, unless somebody is at work right now: what is in `tmp/`, and what nobody needs
    /// any more if it can be said which images the containers use. Failures are left to the next sweep.
    pub fn sweep(&self, in_use: &dyn Fn() -> Option<Vec<ImageId>>) {
        let Ok(names) = file::names(&self.root, "tmp") else { return };
        if names.is_empty() {
            return;
        }
        let (mut dead, mut removed) = (Vec::new(), None);
        if let Ok(alone) = self.lock(FlockOperation::NonBlockingLockExclusive) {
            for name in names {
                let path = format!("tmp/{name}");
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let open = file::beneath(&self.root, path.as_str(), flags, rustix::fs::Mode::empty());
                match open.and_then(|open| {
                    file::lock(&open, FlockOperation::NonBlockingLockExclusive).map(|()| open)
                }) {
                    // The lock is kept, so that no second sweep deletes the same.
                    Ok(open) => dead.push((path, Some(open))),
                    Err(Errno::AGAIN | Errno::NOENT) => {}
                    Err(_) => dead.push((path, None)),
                }
            }
            if !dead.is_empty()
                && let Some(in_use) = in_use()
                && let Ok(mut all) = self.removal(&alone)
            {
                let _ = self.collect(&alone, &in_use, &mut all);
                removed = Some(all);
            }
        }
        drop(removed);
        for (path, _open) in &dead {
            let _ = file::remove_tree(&self.root, path.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{
        image::config::RootFs,
        store::{ImageRecord, LayerFacts, tests::ScratchStore},
    };

    fn add(store: &Store, layers: &[&[u8]]) -> ImageId {
        let locked = store.share().unwrap();
        let mut scratches = Vec::new();
        let mut publication = store.publication(&locked).unwrap();
        let mut config = ImageConfig { os: "linux".into(), ..ImageConfig::default() };
        config.rootfs = RootFs { kind: "layers".into(), diff_ids: Vec::new() };
        for content in layers {
            let scratch = store.scratch(&locked).unwrap();
            file::subdirectory(scratch.directory(), "tree", 0o755).unwrap();
            let layer = DiffId(Digest::of(content));
            let facts = LayerFacts { size_bytes: 5, ..LayerFacts::default() };
            publication = publication.layer(&layer, &scratch, &facts).unwrap();
            config.rootfs.diff_ids.push(layer);
            scratches.push(scratch);
        }
        let (publication, id) = publication.image(&config.to_json(), &ImageRecord::default()).unwrap();
        publication.commit().unwrap();
        id
    }

    #[test]
    fn only_what_no_image_and_no_container_needs_is_taken_away() {
        let scratch = ScratchStore::new("collect");
        let store = &scratch.store;
        let (one, two) = (add(store, &[b"a", b"b"]), add(store, &[b"a", b"c"]));
        let alone = store.alone().unwrap();
        let mut removed = store.removal(&alone).unwrap();
        store.unlist(&alone, &one, &mut removed).unwrap();
        store.collect(&alone, &[one], &mut removed).unwrap();
        assert!(removed.layers.is_empty());
        assert!(store.image(&one).is_ok());
        store.collect(&alone, &[], &mut removed).unwrap();
        assert_eq!(
            (removed.layers.as_slice(), removed.size_bytes),
            ([DiffId(Digest::of(b"b"))].as_slice(), 5)
        );
        drop(removed);
        assert!(store.image(&one).is_err());
        assert!(store.has_layer(&DiffId(Digest::of(b"a"))) && !store.has_layer(&DiffId(Digest::of(b"b"))));
        assert_eq!(store.image(&two).unwrap().lower_dirs(store).unwrap().len(), 2);
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }

    #[test]
    fn nothing_is_taken_away_while_it_is_unknown_what_an_image_needs() {
        let scratch = ScratchStore::new("unknown");
        let store = &scratch.store;
        let (one, two) = (add(store, &[b"a"]), add(store, &[b"b"]));
        let path = blob_path(&two.config_blob());
        file::replace(store.root(), "blob", b"{}", 0o600).unwrap();
        rustix::fs::renameat(store.root(), "blob", store.root(), path.as_str()).unwrap();
        let alone = store.alone().unwrap();
        let mut removed = store.removal(&alone).unwrap();
        store.unlist(&alone, &one, &mut removed).unwrap();
        store.collect(&alone, &[], &mut removed).unwrap();
        assert!(removed.layers.is_empty());
    }

    #[test]
    fn a_sweep_deletes_what_the_dead_left_and_nothing_that_is_being_made() {
        let scratch = ScratchStore::new("sweep");
        let store = &scratch.store;
        let living = store.scratch(&store.share().unwrap()).unwrap();
        for name in ["dead", "dead/x", "dead/x/y"] {
            file::subdirectory(store.root(), &format!("tmp/{name}"), 0o700).unwrap();
        }
        file::create(store.root(), "tmp/file", b"x", 0o600).unwrap();
        {
            let _at_work = store.share().unwrap();
            store.sweep(&|| None);
            assert_eq!(file::names(store.root(), "tmp").unwrap().len(), 3);
        }
        store.sweep(&|| None);
        assert_eq!(file::names(store.root(), "tmp").unwrap(), [living.path["tmp/".len()..].to_string()]);
    }

    #[test]
    fn a_removal_or_a_load_that_was_killed_half_way_is_finished_by_the_next_sweep() {
        let scratch = ScratchStore::new("half-way");
        let store = &scratch.store;
        let (one, two) = (add(store, &[b"a", b"b"]), add(store, &[b"a", b"c"]));
        let mut removed = store.removal(&store.alone().unwrap()).unwrap();
        store.unlist(&store.alone().unwrap(), &one, &mut removed).unwrap();
        core::mem::forget(removed);
        // Nobody knows what the containers need: what is there stays.
        store.sweep(&|| None);
        assert!(store.has_layer(&DiffId(Digest::of(b"b"))));
        file::create(store.root(), "tmp/config-that-was-not-renamed", b"{}", 0o600).unwrap();
        store.sweep(&|| Some([one].into()));
        assert!(store.has_layer(&DiffId(Digest::of(b"b"))));
        file::create(store.root(), "tmp/config-that-was-not-renamed", b"{}", 0o600).unwrap();
        store.sweep(&|| Some(Vec::new()));
        assert!(!store.has_layer(&DiffId(Digest::of(b"b"))) && store.image(&one).is_err());
        assert_eq!(store.image(&two).unwrap().lower_dirs(store).unwrap().len(), 2);
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }
}

//! Layers that are read as the tars that they came as. A layer that is held stays on the disk until it is let go, whatever
//! is taken off the shelves meanwhile: its directory is locked, and what is locked in `tmp/` is not deleted. A layer that is
//! kept even stays on its shelf: its facts are locked, and a collection leaves it where it is.

use alloc::format;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{
    Locked, Store,
    layers::{layer_path, missing, open_at},
    publish,
};
use crate::{
    Context, Error, Result,
    digest::DiffId,
    file,
    fork::sum::Sum,
    layer::{skeleton::replay, unpack::SKELETON},
};

/// A layer that stays where it is.
#[derive(Debug)]
pub struct HeldLayer {
    layer: DiffId,
    directory: OwnedFd,
}

impl Store {
    /// Holds a layer, so that it can be read when the store is no longer locked.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the layer is missing; [`Error::Unsupported`] if it was put here before tars were kept; of the
    /// file system.
    pub fn hold_layer(&self, _locked: &Locked, layer: &DiffId) -> Result<HeldLayer> {
        self.open_layer(layer)
    }

    /// Keeps a layer on its shelf as long as the value lives.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the layer is missing; of the file system.
    pub fn keep_layer(&self, _locked: &Locked, layer: &DiffId) -> Result<OwnedFd> {
        let path = layer_path(layer);
        let facts = open_at(layer, &|place| open_facts(&self.root, place))
            .map_err(|errno| missing(layer, &path, errno))?;
        file::lock(&facts, FlockOperation::LockShared).context("lock", &path)?;
        Ok(facts)
    }

    /// As [`HeldLayer::read_tar`], of a layer that nobody takes away meanwhile.
    ///
    /// # Errors
    /// As [`Store::hold_layer`] and [`HeldLayer::read_tar`].
    pub fn read_tar(&self, layer: &DiffId, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.open_layer(layer)?.read_tar(to)
    }

    fn open_layer(&self, layer: &DiffId) -> Result<HeldLayer> {
        let path = layer_path(layer);
        let directory = open_at(layer, &|place| publish::open_directory(&self.root, place))
            .map_err(|errno| missing(layer, &path, errno))?;
        // Whoever has made it may still have it locked, for a moment.
        file::lock(&directory, FlockOperation::LockShared).context("lock", &path)?;
        match statat(&directory, SKELETON, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(HeldLayer { layer: *layer, directory }),
            Err(Errno::NOENT) => Err(Error::Unsupported(format!(
                "read layer {layer}: it was put here by a version of skiff that did not keep its archive"
            ))
            .hint("remove its images and load or import them again")),
            Err(errno) => Err(Error::os("stat", format!("{path}/{SKELETON}"), errno)),
        }
    }
}

impl HeldLayer {
    /// The layer's uncompressed tar as it came, in parts of some size, proved when the last one has been given.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the layer is damaged; of the file system; the sink's.
    pub fn read_tar(&self, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let layer = &self.layer;
        let named = |error| match error {
            Error::Corrupt(why) => Error::Corrupt(format!("layer {layer} is damaged: {why}")),
            other => other,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let skeleton = openat(&self.directory, SKELETON, flags, Mode::empty());
        let skeleton = skeleton.map_err(|errno| missing(layer, SKELETON, errno))?;
        let tree = match file::directory(&self.directory, "tree") {
            Err(Errno::NOENT) => file::directory(&self.directory, "base"),
            other => other,
        };
        let tree = tree.map_err(|errno| missing(layer, "tree", errno))?;
        let mut sum = Sum::Empty;
        // What the sink says is not about the layer.
        let mut refused = None;
        let replayed = replay(&skeleton, tree.as_fd(), &mut |part| {
            sum.update(part)?;
            to(part).inspect_err(|error| refused = Some(error.clone()))
        });
        if let Some(error) = refused {
            return Err(error);
        }
        replayed.map_err(named)?;
        match DiffId(sum.finish()?) {
            found if found == *layer => Ok(()),
            _ => Err(named(Error::Corrupt("its files are not what they were".into()))),
        }
    }
}

fn open_facts(root: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root, format!("{path}/layer.json"), flags, Mode::empty())
}

/// Whether somebody keeps the layer at this path.
pub(super) fn is_kept(root: &OwnedFd, path: &str) -> bool {
    open_facts(root, path)
        .is_ok_and(|open| file::lock(&open, FlockOperation::NonBlockingLockExclusive) == Err(Errno::AGAIN))
}

/// Whether somebody holds the layer that was moved to this path.
pub(super) fn is_held(root: &OwnedFd, path: &str) -> bool {
    publish::open_directory(root, path)
        .is_ok_and(|open| file::lock(&open, FlockOperation::NonBlockingLockExclusive) == Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec::Vec};

    use super::*;
    use crate::{
        layer::{
            tar::tests::{Block, archive},
            unpack::unpack,
        },
        store::tests::ScratchStore,
    };

    /// Unpacks a layer onto the shelf.
    fn add(store: &Store, archive: &[u8]) -> DiffId {
        let locked = store.share().unwrap();
        let made = store.scratch(&locked).unwrap();
        let mut rest = archive;
        let mut source = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        let unpacked = unpack(&mut source, made.directory().as_fd()).unwrap();
        let facts = unpacked.applied.facts;
        assert_eq!(facts.tar_bytes, archive.len() as u64);
        let publication = store.publication(&locked).unwrap();
        publication.layer(&unpacked.layer, &made, &facts).unwrap().commit().unwrap();
        unpacked.layer
    }

    #[test]
    fn a_tar_is_given_back_proved_or_with_an_error_that_names_the_layer() {
        let scratch = ScratchStore::new("read-tar");
        let store = &scratch.store;
        let archive = archive(&[Block::directory("d/"), Block::file("d/f", b"some content")]);
        let layer = add(store, &archive);
        let read = || {
            let mut back = Vec::new();
            store.read_tar(&layer, &mut |part| {
                back.extend_from_slice(part);
                Ok(())
            })?;
            Ok::<_, Error>(back)
        };
        assert_eq!(read().unwrap(), archive);
        // The reader's own error stays as it is.
        let full = Error::Corrupt("no room".into());
        assert_eq!(store.read_tar(&layer, &mut |_| Err(full.clone())), Err(full.clone()));
        let path = format!("{}/tree/d/f", layer_path(&layer));
        let open = file::beneath(store.root(), path.as_str(), OFlags::WRONLY, Mode::empty()).unwrap();
        file::write_all(&open, b"SOME").unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.starts_with(&format!("layer {layer} is damaged")), "{error}");
        rustix::fs::unlinkat(store.root(), path.as_str(), AtFlags::empty()).unwrap();
        assert!(read().unwrap_err().to_string().contains("d/f: it is missing"));
        rustix::fs::unlinkat(store.root(), format!("{}/{SKELETON}", layer_path(&layer)), AtFlags::empty())
            .unwrap();
        assert!(matches!(read(), Err(Error::Unsupported(_))));
        file::remove_tree(store.root(), layer_path(&layer)).unwrap();
        assert!(read().unwrap_err().to_string().ends_with("is missing from the data root"));
    }

    #[test]
    fn a_layer_that_is_kept_stays_until_it_is_let_go() {
        let scratch = ScratchStore::new("kept");
        let store = &scratch.store;
        let layer = add(store, &archive(&[Block::file("f", b"some content")]));
        let kept = store.keep_layer(&store.share().unwrap(), &layer).unwrap();
        let alone = store.alone().unwrap();
        let mut removed = store.removal(&alone).unwrap();
        store.collect(&alone, &[], &mut removed).unwrap();
        drop((alone, removed));
        assert!(store.has_layer(&layer));
        drop(kept);
        store.sweep(&|| Some(Vec::new()));
        assert!(!store.has_layer(&layer) && file::names(store.root(), "tmp").unwrap().is_empty());
        assert!(store.keep_layer(&store.share().unwrap(), &layer).is_err());
    }

    #[test]
    fn a_layer_that_is_held_can_be_read_after_it_was_taken_away() {
        let scratch = ScratchStore::new("held");
        let store = &scratch.store;
        let archive = archive(&[Block::file("f", b"some content")]);
        let layer = add(store, &archive);
        let held = store.hold_layer(&store.share().unwrap(), &layer).unwrap();
        let alone = store.alone().unwrap();
        let mut removed = store.removal(&alone).unwrap();
        store.collect(&alone, &[], &mut removed).unwrap();
        drop(alone);
        drop(removed);
        store.sweep(&|| None);
        assert!(store.hold_layer(&store.share().unwrap(), &layer).is_err());
        let mut back = Vec::new();
        held.read_tar(&mut |part| {
            back.extend_from_slice(part);
            Ok(())
        })
        .unwrap();
        assert_eq!(back, archive);
        drop(held);
        store.sweep(&|| None);
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }
}

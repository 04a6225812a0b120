//! Extracted layers, each under its DiffID and shared by all images that have it.
//!
//! Those of build steps come to a shelf of the present boot first, which a power cut may leave damaged and which is worth
//! nothing in the next boot. They move to the others when the first image with them is published, which syncs them.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{Locked, Publication, Store, publish};
use crate::{Context, Error, Result, digest::DiffId, file};

/// What is worth knowing of a layer without reading all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// Bytes of file content.
    pub size_bytes: u64,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Files, directories and everything else that it brings; whiteouts are not counted.
    pub entries: u64,
    /// Some of these took the place of others, so that its tree is not what each of them says.
    #[serde(default)]
    pub replaced: bool,
}

/// A directory in the making, locked by whoever makes it. It is removed unless it is published.
#[derive(Debug)]
pub struct Scratch {
    /// Below the data root.
    pub(super) path: String,
    directory: OwnedFd,
    parent: OwnedFd,
}

impl Scratch {
    /// The directory.
    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(&self.parent, self.path.as_str());
    }
}

impl Store {
    /// A new empty directory below `tmp/`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn scratch(&self, _locked: &Locked) -> Result<Scratch> {
        file::subdirectory(&self.root, "tmp", 0o700).context("create directory", "tmp")?;
        let path = format!("tmp/{}", publish::random_name());
        rustix::fs::mkdirat(&self.root, path.as_str(), Mode::from_raw_mode(0o700))
            .context("create directory", &path)?;
        let parent = self.root.try_clone().context("duplicate", "data root")?;
        let directory = publish::open_directory(&self.root, &path).context("open", &path)?;
        // Nobody else can hold it: only a sweep takes such locks, and none runs while the store is locked.
        file::lock(&directory, FlockOperation::NonBlockingLockExclusive).context("lock", &path)?;
        Ok(Scratch { path, directory, parent })
    }

    /// A new empty file without a name: it goes with whoever has it open.
    ///
    /// # Errors
    /// Of the file system.
    pub fn spool(&self, _locked: &Locked) -> Result<OwnedFd> {
        file::subdirectory(&self.root, "tmp", 0o700).context("create directory", "tmp")?;
        let path = format!("tmp/{}", publish::random_name());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let spool = rustix::fs::openat(&self.root, path.as_str(), flags, Mode::from_raw_mode(0o600))
            .context("create", &path)?;
        rustix::fs::unlinkat(&self.root, path.as_str(), AtFlags::empty()).context("remove", &path)?;
        Ok(spool)
    }

    /// Whether the layer is there.
    pub fn has_layer(&self, layer: &DiffId) -> bool {
        self.layer_place(layer).is_some()
    }

    /// Where the layer lies below the data root.
    fn layer_place(&self, layer: &DiffId) -> Option<String> {
        let exists =
            |path: &String| rustix::fs::statat(&self.root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
        PLACES.iter().map(|place| place(layer)).find(exists)
    }

    /// The layer's place, if it is only on the shelf of this boot.
    pub(super) fn fresh_place(&self, layer: &DiffId) -> Option<String> {
        self.layer_place(layer).filter(|place| *place != layer_path(layer))
    }

    /// The layer's sizes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the layer is missing or damaged.
    pub fn layer_facts(&self, layer: &DiffId) -> Result<LayerFacts> {
        let place = self.layer_place(layer).unwrap_or_else(|| layer_path(layer));
        let path = format!("{place}/layer.json");
        let bytes =
            file::read(&self.root, path.as_str(), 4096).map_err(|errno| missing(layer, &path, errno))?;
        crate::json::from_slice(&bytes).map_err(|error| Error::Corrupt(format!("read {path}: {error}")))
    }

    /// Opens the trees of these layers (lowest first) in overlay order: the uppermost first, and nothing below one
    /// that hides everything below it. One that is there twice is opened where it is uppermost: whatever it says below is
    /// said again there, and the kernel takes no directory twice.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if one is missing.
    pub fn open_layers(&self, layers: &[DiffId]) -> Result<Vec<OwnedFd>> {
        let tree = |place: &str| match file::directory(&self.root, format!("{place}/tree")) {
            Err(Errno::NOENT) => {
                file::directory(&self.root, format!("{place}/base")).map(|base| (base, true))
            }
            other => other.map(|tree| (tree, false)),
        };
        let mut open = Vec::with_capacity(layers.len());
        for (at, layer) in layers.iter().enumerate().rev() {
            if layers[at + 1..].contains(layer) {
                continue;
            }
            let (tree, hides) = open_at(layer, &tree)
                .map_err(|errno| missing(layer, &format!("{}/tree", layer_path(layer)), errno))?;
            open.push(tree);
            if hides {
                break;
            }
        }
        Ok(open)
    }
}

/// Where a layer may lie, the likeliest first. It may move from the second to the first meanwhile.
const PLACES: [fn(&DiffId) -> String; 3] = [layer_path, fresh_path, layer_path];

/// What `open` gives of the place where a layer lies. Nearly all are in the first one: nobody looks before.
pub(super) fn open_at<T>(layer: &DiffId, open: &dyn Fn(&str) -> Result<T, Errno>) -> Result<T, Errno> {
    let mut opened = PLACES.iter().map(|place| open(&place(layer)));
    opened.find(|opened| !matches!(opened, Err(Errno::NOENT))).unwrap_or(Err(Errno::NOENT))
}

pub(super) fn missing(layer: &DiffId, path: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT => Error::Corrupt(format!("layer {layer} is missing from the data root")),
        errno => Error::os("open", path.to_string(), errno),
    }
}

impl Publication<'_> {
    /// A layer that was extracted into `scratch` as `tree` or `base`, with its skeleton.
    ///
    /// # Errors
    /// Of the file system.
    pub fn layer(self, layer: &DiffId, scratch: &Scratch, facts: &LayerFacts) -> Result<Self> {
        self.layer_at(&layer_path(layer), scratch, facts)
    }

    /// As [`Publication::layer`], onto the shelf of this boot.
    ///
    /// # Errors
    /// Of the file system.
    pub fn fresh_layer(self, layer: &DiffId, scratch: &Scratch, facts: &LayerFacts) -> Result<Self> {
        self.layer_at(&fresh_path(layer), scratch, facts)
    }

    fn layer_at(self, place: &str, scratch: &Scratch, facts: &LayerFacts) -> Result<Self> {
        let json = serde_json::to_vec(facts).expect("plain numbers");
        file::create(&scratch.directory, "layer.json", &json, 0o600).context("write", "layer.json")?;
        Ok(self.directory(scratch, place))
    }
}

/// The directory of the data root with a shelf of each boot.
pub(super) const FRESH: &str = "fresh";

/// A name of the present boot.
pub(super) fn boot() -> String {
    let id = file::read(file::CWD, "/proc/sys/kernel/random/boot_id", 64).unwrap_or_default();
    let digits = id.into_iter().filter(u8::is_ascii_hexdigit).map(char::from);
    digits.collect()
}

/// Where a layer lies that was made in this boot.
fn fresh_path(layer: &DiffId) -> String {
    format!("{FRESH}/{}/{}", boot(), layer.0.hex().as_str())
}

/// The directory of the data root with the layers that are durable.
pub(super) const LAYERS: &str = "layers";

/// Where a layer lies below the data root.
pub(super) fn layer_path(layer: &DiffId) -> String {
    format!("{LAYERS}/{}", layer.0.hex().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, store::tests::ScratchStore};

    fn add(store: &Store, content: &[u8], tree: &str) -> DiffId {
        let locked = store.share().unwrap();
        let scratch = store.scratch(&locked).unwrap();
        rustix::fs::mkdirat(scratch.directory(), tree, Mode::RWXU).unwrap();
        let layer = DiffId(Digest::of(content));
        let facts = LayerFacts { size_bytes: 7, ..LayerFacts::default() };
        store.publication(&locked).unwrap().layer(&layer, &scratch, &facts).unwrap().commit().unwrap();
        layer
    }

    #[test]
    fn layers_are_opened_top_first_and_end_at_one_that_hides_the_rest() {
        let scratch = ScratchStore::new("layers");
        let store = &scratch.store;
        let layers = [
            add(store, b"0", "tree"),
            add(store, b"1", "base"),
            add(store, b"2", "tree"),
            add(store, b"3", "tree"),
        ];
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let open = store.open_layers(&layers).unwrap();
        let path = format!("{}/tree", layer_path(&layers[3]));
        assert_eq!(inode(&open[0]), inode(&file::directory(store.root(), path.as_str()).unwrap()));
        assert_eq!(open.len(), 3);
        let again = [layers[2], layers[3], layers[2]];
        let inodes =
            |layers: &[DiffId]| store.open_layers(layers).unwrap().iter().map(inode).collect::<Vec<_>>();
        assert_eq!(inodes(&again), inodes(&again[1..]));
        assert_eq!(store.layer_facts(&layers[0]).unwrap().size_bytes, 7);
        let absent = DiffId(Digest::of(b"4"));
        assert!(matches!(store.open_layers(&[absent]), Err(Error::Corrupt(_))));
    }

    #[test]
    fn a_layer_that_is_there_stays_when_it_comes_again() {
        let scratch = ScratchStore::new("layer-again");
        let store = &scratch.store;
        let layer = add(store, b"x", "tree");
        let before = store.open_layers(&[layer]).unwrap();
        add(store, b"x", "tree");
        let after = store.open_layers(&[layer]).unwrap();
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(&before[0]), inode(&after[0]));
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }
}

//! What is on the shelves against what its name says. Whoever reads here holds no lock: what is found damaged is looked
//! at again before it is dropped, since it may have been removed, or brought anew, meanwhile.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
};

use super::{Locked, Removed, Store, blobs::blob_path, layers::layer_path, names, publish};
use crate::{
    Context, Error, Result,
    digest::{BlobDigest, DiffId, Digest},
    file,
    layer::audit::{Audit, Owners},
};

/// Which one of the things that had a name one after the other.
pub type Identity = (u64, u64);

impl Store {
    /// All layers that are there, sorted.
    ///
    /// # Errors
    /// Of the file system.
    pub fn all_layers(&self) -> Result<Vec<DiffId>> {
        Ok(self.digests("layers")?.into_iter().map(DiffId).collect())
    }

    /// All blobs that are there, sorted.
    ///
    /// # Errors
    /// Of the file system.
    pub fn all_blobs(&self) -> Result<Vec<BlobDigest>> {
        Ok(self.digests("blobs/sha256")?.into_iter().map(BlobDigest).collect())
    }

    fn digests(&self, shelf: &str) -> Result<Vec<Digest>> {
        let mut all: Vec<Digest> =
            self.listed(shelf)?.iter().filter_map(|name| Digest::from_hex(name)).collect();
        crate::sort::by(&mut all, Ord::cmp);
        Ok(all)
    }

    /// Which layer has this name now; `None` if none has.
    pub fn layer_identity(&self, layer: &DiffId) -> Option<Identity> {
        let stat = statat(&self.root, layer_path(layer).as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// Reads all of a layer: its tar has to come out as its name says, and its tree has to be what the tar describes.
    /// `read` hears of every part how many bytes it has.
    ///
    /// # Errors
    /// As [`Store::read_tar`].
    pub fn check_layer(&self, layer: &DiffId, read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let facts = self.layer_facts(layer)?;
        let mut audit = if facts.replaced { None } else { self.audit(layer).ok() };
        self.read_tar(layer, &mut |part| {
            if let Some(audit) = &mut audit {
                audit.take(part);
            }
            read(part.len() as u64)
        })?;
        audit.map_or(Ok(()), Audit::finish).map_err(|error| match error {
            Error::Corrupt(why) => Error::Corrupt(format!("layer {layer} is damaged: {why}")),
            other => other,
        })
    }

    fn audit(&self, layer: &DiffId) -> Result<Audit, Errno> {
        let path = layer_path(layer);
        let directory = file::directory(&self.root, path.as_str())?;
        let tree = match file::directory(&directory, "tree") {
            Err(Errno::NOENT) => file::directory(&directory, "base"),
            other => other,
        }?;
        // Whoever has another number may not have been allowed to give files away.
        let maker = rustix::fs::fstat(&directory)?.st_uid;
        let owners =
            if maker == 0 && rustix::process::geteuid().is_root() { Owners::Stated } else { Owners::Any };
        Ok(Audit::new(tree, owners))
    }

    /// The names of images that can't be read: their files below `names/`, and why.
    ///
    /// # Errors
    /// Of the file system.
    pub fn damaged_names(&self) -> Result<Vec<(String, Error)>> {
        let mut damaged = Vec::new();
        for file in self.listed("names")? {
            let path = format!("names/{file}");
            match self.read_name(&path) {
                Ok(Some(name)) if names::name_path(&name.reference) != path => {
                    let why = format!("read {path}: it is the file of another name, {}", name.reference);
                    damaged.push((file, Error::Corrupt(why)));
                }
                Ok(_) => {}
                Err(error @ Error::Corrupt(_)) => damaged.push((file, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    /// Takes a layer away, whoever needs it. A missing one is fine.
    ///
    /// # Errors
    /// Of the file system.
    pub fn drop_layer(&self, _alone: &Locked, layer: &DiffId, removed: &mut Removed) -> Result<()> {
        removed.take(&layer_path(layer))
    }

    /// Takes a blob away, whoever needs it. A missing one is fine.
    ///
    /// # Errors
    /// Of the file system.
    pub fn drop_blob(&self, _alone: &Locked, blob: &BlobDigest, removed: &mut Removed) -> Result<()> {
        removed.take(&blob_path(blob))
    }

    /// Takes the file of a damaged name away. A missing one is fine.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what is no plain name; of the file system.
    pub fn drop_name_file(&self, alone: &Locked, file: &str) -> Result<()> {
        if file.contains('/') {
            return Err(Error::NotFound(format!("no such file of a name: {file}")));
        }
        publish::remove_file(self, alone, &format!("names/{file}"))
    }

    /// Makes it durable that layers and blobs were taken away.
    ///
    /// # Errors
    /// Of the file system.
    pub fn sync_shelves(&self, _alone: &Locked) -> Result<()> {
        for shelf in ["layers", "blobs/sha256"] {
            match publish::open_directory(&self.root, shelf) {
                Err(Errno::NOENT) => {}
                other => other.and_then(rustix::fs::fsync).context("sync", shelf)?,
            }
        }
        Ok(())
    }
}

/// Whether an error says that what was read is damaged, and not just that it can't be read now.
pub fn is_damage(error: &Error) -> bool {
    match error {
        Error::Corrupt(_) | Error::Unsupported(_) => true,
        // What a failing disk and a damaged file system give.
        Error::Os { errno, .. } => matches!(*errno, Errno::IO | Errno::BADMSG | Errno::UCLEAN),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::ScratchStore;

    #[test]
    fn names_that_are_not_their_files_are_told_and_dropped() {
        let scratch = ScratchStore::new("check-names");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        let (name, id) = (
            crate::image::reference::Reference::parse("a:1").unwrap(),
            crate::digest::ImageId(Digest::of(b"1")),
        );
        store.publication(&locked).unwrap().name(&name, &id).unwrap().commit().unwrap();
        assert!(store.damaged_names().unwrap().is_empty());
        let bytes = file::read(store.root(), names::name_path(&name).as_str(), 100).unwrap();
        for (file, content) in [("x", bytes.as_slice()), ("y", b"\n")] {
            let path = format!("names/{file}");
            store.publication(&locked).unwrap().file(&path, content).unwrap().commit().unwrap();
        }
        drop(locked);
        let mut damaged: Vec<String> =
            store.damaged_names().unwrap().into_iter().map(|(file, _)| file).collect();
        damaged.sort();
        assert_eq!(damaged, ["x", "y"]);
        let alone = store.alone().unwrap();
        assert!(store.drop_name_file(&alone, "../version").is_err());
        damaged.iter().for_each(|file| store.drop_name_file(&alone, file).unwrap());
        assert!(store.damaged_names().unwrap().is_empty());
        assert_eq!(store.named(&name), Ok(Some(id)));
    }

    #[test]
    fn a_full_disk_is_no_damage_and_a_failing_one_is() {
        let os = |errno| Error::os("read", "x", errno);
        assert!(is_damage(&os(Errno::IO)) && is_damage(&Error::Corrupt("x".into())));
        assert!(
            !is_damage(&os(Errno::NOSPC)) && !is_damage(&os(Errno::MFILE)) && !is_damage(&Error::Unchanged)
        );
    }
}

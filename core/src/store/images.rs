//! Images: finding one by what a user calls it, and what the store knows of it. `resolve` is on the way of every start:
//! for a name it opens three files and lists no directory.

use alloc::{format, string::String, vec::Vec};

use rustix::{fd::OwnedFd, io::Errno};
use serde::{Deserialize, Serialize};

use super::{Locked, Publication, Removed, Store, blobs::blob_path, layers::layer_path, publish};
use crate::{
    Error, Result,
    clock::Time,
    digest::{Digest, ImageId},
    file,
    image::{annotations::Annotations, config::ImageConfig, reference::Reference},
};

/// Most bytes of an image's record, almost all of which are its annotations.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// An image, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its config.
    pub config: ImageConfig,
}

impl Image {
    /// Opens the layers' trees in overlay order, the uppermost first.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a layer is missing.
    pub fn lower_dirs(&self, store: &Store) -> Result<Vec<OwnedFd>> {
        store.open_layers(&self.config.rootfs.diff_ids)
    }
}

/// What only this store knows of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Bytes of file content in all of its layers.
    pub size_bytes: u64,
    /// When it came here.
    pub added: Time,
    /// What whoever made or brought it last has noted of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The image that it was made of here, by a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ImageId>,
}

impl Store {
    /// The image that a user means: by name (`latest` if no tag is given), by id, or by the beginning of one id only.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] if several ids begin like this.
    pub fn resolve(&self, wanted: &str) -> Result<Image> {
        self.image(&self.resolve_id(wanted)?.0)
    }

    /// As [`Store::resolve`], the id alone, and the name if it was found by one.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn resolve_id(&self, wanted: &str) -> Result<(ImageId, Option<Reference>)> {
        let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let not_found = |name: &str| Error::NotFound(format!("No such image: {name}"));
        if let Some(digest) = Digest::from_hex(hex) {
            let id = ImageId(digest);
            return if self.has_image(&id)? { Ok((id, None)) } else { Err(not_found(wanted)) };
        }
        let reference = Reference::parse(wanted).map(Reference::or_latest);
        if let Ok(reference) = &reference
            && let Some(id) = self.named(reference)?
        {
            return Ok((id, Some(reference.clone())));
        }
        if !hex.is_empty() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let mut fit = self.image_ids()?.into_iter().filter(|id| id.0.hex().as_str().starts_with(hex));
            match (fit.next(), fit.next()) {
                (Some(id), None) => return Ok((id, None)),
                (Some(_), Some(_)) => {
                    return Err(Error::Invalid(format!("multiple IDs found with provided prefix: {wanted}")));
                }
                (None, _) => {}
            }
        }
        // `sha256:` and some digits can only have been meant as an id.
        if wanted.starts_with("sha256:") {
            Err(not_found(wanted))
        } else {
            Err(not_found(&reference?.familiar()))
        }
    }

    /// The image with this id, listed or only still in use.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`].
    pub fn image(&self, id: &ImageId) -> Result<Image> {
        let config = match self.blob(&id.config_blob()) {
            Err(Error::NotFound(_)) => return Err(Error::NotFound(format!("No such image: {id}"))),
            other => other?,
        };
        Ok(Image { id: *id, config: ImageConfig::parse(&config)? })
    }

    /// What the store knows of an image; `None` if it is not listed.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn image_record(&self, id: &ImageId) -> Result<Option<ImageRecord>> {
        let path = record_path(id);
        match file::read(&self.root, path.as_str(), RECORD_BYTES_MAX) {
            Ok(json) => crate::json::from_slice(&json)
                .map(Some)
                .map_err(|error| Error::Corrupt(format!("read {path}: {error}"))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::os("read", path, errno)),
        }
    }

    fn has_image(&self, id: &ImageId) -> Result<bool> {
        Ok(self.image_record(id)?.is_some())
    }

    /// The ids of all images, sorted.
    ///
    /// # Errors
    /// Of the file system.
    pub fn image_ids(&self) -> Result<Vec<ImageId>> {
        let names = self.listed("images")?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| Digest::from_hex(name)).map(ImageId).collect();
        crate::sort::by(&mut ids, Ord::cmp);
        Ok(ids)
    }

    /// Takes an image off the list.
    ///
    /// # Errors
    /// Of the file system.
    pub fn unlist(&self, _alone: &Locked, id: &ImageId, removed: &mut Removed) -> Result<()> {
        removed.take(&record_path(id))?;
        publish::sync_parent(self, &record_path(id))
    }
}

impl Publication<'_> {
    /// An image whose layers are there or come before it in this publication.
    ///
    /// # Errors
    /// Of the file system.
    pub fn image(self, config_json: &[u8], record: &ImageRecord) -> Result<(Self, ImageId)> {
        let id = ImageId(Digest::of(config_json));
        let json = serde_json::to_vec(record).expect("plain values");
        let layers = ImageConfig::parse(config_json).map(|config| config.rootfs.diff_ids).unwrap_or_default();
        let store = self.store;
        let fresh = layers.iter().filter_map(|layer| Some((store.fresh_place(layer)?, layer_path(layer))));
        let publication = fresh.fold(self, |publication, (from, to)| publication.moved(from, to));
        let publication =
            publication.file(&blob_path(&id.config_blob()), config_json)?.file(&record_path(&id), &json)?;
        Ok((publication, id))
    }
}

fn record_path(id: &ImageId) -> String {
    format!("images/{}", id.0.hex().as_str())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::store::tests::ScratchStore;

    fn add(store: &Store, comment: &str, name: &str) -> ImageId {
        let config = ImageConfig { comment: comment.into(), os: "linux".into(), ..ImageConfig::default() };
        let locked = store.share().unwrap();
        let publication = store.publication(&locked).unwrap();
        let (publication, id) = publication.image(&config.to_json(), &ImageRecord::default()).unwrap();
        let name = Reference::parse(name).unwrap().or_latest();
        publication.name(&name, &id).unwrap().commit().unwrap();
        id
    }

    #[test]
    fn an_image_is_found_by_every_name_that_people_use() {
        let scratch = ScratchStore::new("resolve");
        let store = &scratch.store;
        let id = add(store, "x", "busybox");
        let hex = id.0.hex();
        for wanted in [
            "busybox",
            "busybox:latest",
            "docker.io/library/busybox",
            "library/busybox:latest",
            &id.to_string(),
            hex.as_str(),
            hex.short(),
            &format!("sha256:{}", hex.short()),
        ] {
            assert_eq!(store.resolve(wanted).unwrap().id, id, "{wanted}");
        }
        assert_eq!(store.resolve("busybox").unwrap().config.comment, "x");
        for (wanted, text) in [
            ("nope", "No such image: nope:latest"),
            ("a/b:1", "No such image: a/b:1"),
            ("sha256:ffff0000ffff", "No such image: sha256:ffff0000ffff"),
        ] {
            assert_eq!(store.resolve(wanted).unwrap_err(), Error::NotFound(text.into()));
        }
        assert!(matches!(store.resolve("../x"), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_name_wins_over_the_beginning_of_an_id_and_an_ambiguous_one_is_refused() {
        let scratch = ScratchStore::new("prefix");
        let store = &scratch.store;
        let ids: Vec<_> = (0..17).map(|n| add(store, &n.to_string(), &format!("x:{n}"))).collect();
        let first = |id: &ImageId| id.0.hex().as_str()[..1].to_string();
        let twice =
            ids.iter().map(first).find(|a| ids.iter().filter(|b| first(b) == *a).count() > 1).unwrap();
        assert!(matches!(store.resolve(&twice), Err(Error::Invalid(_))));
        let id = add(store, "named", &twice);
        assert_eq!(store.resolve(&twice).unwrap().id, id);
    }
}

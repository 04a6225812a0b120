//! `image verify`: everything on the shelves is read and compared with what its name says. The small things are looked at
//! here, layers side by side in processes of their own. What is damaged can be dropped, with what needs it, so that a
//! later load brings it anew: see `repair`.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Serialize;

use super::{super::Engine, Removal, list::ListedImage};
use crate::{
    Error, Result, crew,
    digest::{BlobDigest, DiffId, ImageId},
    image::reference::Reference,
    store::check::{Identity, is_damage},
};

/// After so many bytes more of a layer it is told how far it is.
const STEP_BYTES: u64 = 4 << 20;

/// Something that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// `layer`, `blob`, `image` or `name`.
    pub kind: &'static str,
    /// Which one.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is wrong with it, or why it stays.
    pub reason: String,
    /// The images that need it: their names, or their ids if they have none.
    pub images: Vec<String>,
}

/// What is told meanwhile.
#[derive(Debug)]
pub enum Told<'a> {
    /// Nothing new: a moment to see whether anybody still listens.
    Nothing,
    /// So many bytes of so many were read.
    Far(u64, u64),
    /// This is damaged.
    Damaged(&'a Finding),
    /// This is damaged, and was not dropped.
    Kept(&'a Finding),
    /// This was damaged, and was dropped: kind and which one.
    Dropped(&'a str, &'a str),
    /// This went with what was dropped.
    Removed(&'a Removal),
}

/// Takes what is told.
pub type Tell<'a> = dyn FnMut(Told<'_>) -> Result<()> + 'a;

/// How many things were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Verified {
    /// Layers.
    pub layers: usize,
    /// Configs and other documents.
    pub blobs: usize,
    /// Images.
    pub images: usize,
    /// Names.
    pub names: usize,
    /// How many of all of them are damaged.
    pub damaged: usize,
}

/// What of it can be dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damaged {
    Layer(DiffId, Identity),
    Blob(BlobDigest),
    Image(ImageId),
    /// The file of a name.
    NameFile(String),
    /// A name of an image that is not there.
    Name(Reference),
}

/// One verification: what is to be looked at, and what was found.
struct Verification<'a> {
    engine: &'a Engine,
    images: Vec<ImageId>,
    blobs: Vec<BlobDigest>,
    layers: Vec<DiffId>,
    /// All that are listed, for who needs what.
    listed: Vec<ListedImage>,
    found: Vec<Damaged>,
}

impl Engine {
    /// Verifies these images, or everything if none are named; and drops what is damaged if that is wanted.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an image that is not there; what `tell` gives; of the file system. Damage is no error here.
    pub fn verify_images(&self, wanted: &[String], drop: bool, tell: &mut Tell<'_>) -> Result<Verified> {
        self.sweep_store();
        let mut verification = Verification {
            engine: self,
            images: self.store.image_ids()?,
            blobs: self.store.all_blobs()?,
            layers: self.store.all_layers()?,
            listed: self.listed_images()?,
            found: Vec::new(),
        };
        let mut names = 0;
        if wanted.is_empty() {
            names = verification.names(tell)?;
        } else {
            verification.narrow(wanted)?;
        }
        verification.images(tell)?;
        verification.blobs(tell)?;
        verification.layers(tell)?;
        let Verification { images, blobs, layers, found, .. } = verification;
        if drop && !found.is_empty() {
            self.repair(&found, tell)?;
        }
        Ok(Verified {
            layers: layers.len(),
            blobs: blobs.len(),
            images: images.len(),
            names,
            damaged: found.len(),
        })
    }

    /// What is wrong with a listed image besides the content of its parts.
    pub(super) fn image_fault(&self, id: &ImageId) -> Result<Option<Error>> {
        let fault = match self.store.image(id) {
            Ok(image) => {
                let mut layers = image.config.rootfs.diff_ids.iter();
                let missing = layers.find(|layer| !self.store.has_layer(layer));
                missing.map(|layer| Error::Corrupt(format!("layer {layer} is missing")))
            }
            Err(Error::NotFound(_)) => Some(Error::Corrupt("its config is missing".into())),
            Err(error) if is_damage(&error) => Some(error),
            Err(error) => return Err(error),
        };
        // Last, since it may have been removed meanwhile: it goes from the list before its parts do.
        match self.store.image_record(id) {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Ok(fault),
            Err(error) if is_damage(&error) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }
}

impl Verification<'_> {
    /// Leaves only these images and their parts.
    fn narrow(&mut self, wanted: &[String]) -> Result<()> {
        let store = &self.engine.store;
        let images: BTreeSet<ImageId> =
            wanted.iter().map(|name| Ok(store.resolve_id(name)?.0)).collect::<Result<_>>()?;
        self.images = images.into_iter().collect();
        self.blobs = self.images.iter().map(|id| id.config_blob()).collect();
        let configs = self.images.iter().filter_map(|id| store.image(id).ok());
        let layers: BTreeSet<DiffId> = configs.flat_map(|image| image.config.rootfs.diff_ids).collect();
        self.layers.retain(|layer| layers.contains(layer));
        Ok(())
    }

    /// Notes and tells what was found.
    fn report(
        &mut self,
        damaged: Damaged,
        kind: &'static str,
        id: String,
        error: &Error,
        tell: &mut Tell<'_>,
    ) -> Result<()> {
        let needs = |image: &&ListedImage| match &damaged {
            Damaged::Layer(layer, _) => image.config.rootfs.diff_ids.contains(layer),
            Damaged::Blob(blob) => image.id.config_blob() == *blob,
            Damaged::Image(id) => image.id == *id,
            Damaged::NameFile(_) | Damaged::Name(_) => false,
        };
        let mut images: Vec<String> = self.listed.iter().filter(needs).flat_map(shown).collect();
        crate::sort::by(&mut images, Ord::cmp);
        self.found.push(damaged);
        let text = error.to_string();
        // What it is stands in front of it already.
        let reason = text.strip_prefix(&format!("{kind} {id} is damaged: ")).unwrap_or(&text);
        let reason = reason.lines().next().unwrap_or("").into();
        tell(Told::Damaged(&Finding { kind, id, reason, images }))
    }

    /// Tells how many names there are.
    fn names(&mut self, tell: &mut Tell<'_>) -> Result<usize> {
        let store = &self.engine.store;
        let (names, damaged) = (store.all_names()?, store.damaged_names()?);
        let count = names.len() + damaged.len();
        for (file, error) in damaged {
            self.report(Damaged::NameFile(file.clone()), "name", file, &error, tell)?;
        }
        for name in names {
            let is_there = store.image_record(&name.image).map_or(true, |record| record.is_some());
            // A name goes before its image does.
            if !is_there && store.named(&name.reference) == Ok(Some(name.image)) {
                let error = Error::Corrupt(format!("image {} is not there", name.image));
                let familiar = name.reference.familiar();
                self.report(Damaged::Name(name.reference), "name", familiar, &error, tell)?;
            }
        }
        Ok(count)
    }

    fn images(&mut self, tell: &mut Tell<'_>) -> Result<()> {
        for id in self.images.clone() {
            if let Some(error) = self.engine.image_fault(&id)? {
                self.report(Damaged::Image(id), "image", id.to_string(), &error, tell)?;
            }
        }
        Ok(())
    }

    fn blobs(&mut self, tell: &mut Tell<'_>) -> Result<()> {
        for blob in self.blobs.clone() {
            match self.engine.store.blob(&blob) {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) if is_damage(&error) => {
                    self.report(Damaged::Blob(blob), "blob", blob.to_string(), &error, tell)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all layers, side by side.
    fn layers(&mut self, tell: &mut Tell<'_>) -> Result<()> {
        let store = &self.engine.store;
        let size = |layer: &DiffId| store.layer_facts(layer).map_or(0, |facts| facts.tar_bytes);
        let mut jobs: Vec<(u64, DiffId, Identity)> = self
            .layers
            .iter()
            .filter_map(|layer| Some((size(layer), *layer, store.layer_identity(layer)?)))
            .collect();
        // The largest first, so that none of them is alone at the end.
        crate::sort::by_key(&mut jobs, |(size, ..)| core::cmp::Reverse(*size));
        let total = jobs.iter().map(|(size, ..)| size).sum();
        let mut far: Vec<u64> = alloc::vec![0; jobs.len()];
        let work = |number: usize, report: &mut crew::Reporter<'_>| {
            let (mut read, mut told) = (0, 0);
            let checked = store.check_layer(&jobs[number].1, &mut |bytes| {
                read += bytes;
                if read - told >= STEP_BYTES {
                    told = read;
                    report.far(read)?;
                }
                Ok(())
            });
            checked.map_or_else(|error| error.to_bytes(), |()| Vec::new())
        };
        crew::side_by_side(jobs.len(), &[store.root()], &work, &mut |heard| match heard {
            crew::Heard::Nothing => tell(Told::Nothing),
            crew::Heard::Far(number, bytes) => {
                far[number] = bytes;
                tell(Told::Far(far.iter().sum(), total))
            }
            crew::Heard::Done(number, answer) => {
                let (size, layer, identity) = jobs[number];
                far[number] = size;
                tell(Told::Far(far.iter().sum(), total))?;
                if answer.is_empty() || store.layer_identity(&layer) != Some(identity) {
                    return Ok(());
                }
                match Error::from_bytes(answer) {
                    Some(error) if is_damage(&error) => {
                        self.report(Damaged::Layer(layer, identity), "layer", layer.to_string(), &error, tell)
                    }
                    Some(error) => Err(error),
                    None => Err(Error::Corrupt(format!("verify layer {layer}: no answer"))),
                }
            }
        })
    }
}

/// What an image is called, or its id.
pub(super) fn shown(image: &ListedImage) -> Vec<String> {
    let tags = image.tags();
    if tags.is_empty() { [image.id.to_string()].into() } else { tags }
}

//! `image verify`: everything on the shelves is read and compared with what its name says. The small things are looked at
//! here, layers side by side in processes of their own. What is damaged can be dropped, with what needs it, so that a
//! later load brings it anew: see `repair`.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::cell::Cell;

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

/// What is to be looked at.
struct Scope {
    images: Vec<ImageId>,
    blobs: Vec<BlobDigest>,
    layers: Vec<DiffId>,
    names: bool,
}

impl Engine {
    /// Verifies these images, or everything if none are named; and drops what is damaged if that is wanted.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an image that is not there; what `tell` gives; of the file system. Damage is no error here.
    pub fn verify_images(&self, wanted: &[String], drop: bool, tell: &mut Tell<'_>) -> Result<Verified> {
        self.sweep_store();
        let scope = self.scope(wanted)?;
        let listed = self.listed_images()?;
        let mut found = Vec::new();
        let mut verified = Verified {
            layers: scope.layers.len(),
            blobs: scope.blobs.len(),
            images: scope.images.len(),
            ..Verified::default()
        };
        let mut report = |damaged: Damaged, finding: Finding, tell: &mut Tell<'_>| {
            verified.damaged += 1;
            found.push(damaged);
            tell(Told::Damaged(&finding))
        };
        let needing = |needs: &dyn Fn(&ListedImage) -> bool| {
            let mut names: Vec<String> = listed.iter().filter(|image| needs(image)).flat_map(shown).collect();
            names.sort();
            names
        };
        if scope.names {
            let names = self.store.all_names()?;
            for (file, error) in self.store.damaged_names()? {
                let finding = finding("name", file.clone(), &error, Vec::new());
                report(Damaged::NameFile(file), finding, tell)?;
            }
            verified.names = names.len();
            for name in names {
                if self.store.image_record(&name.image).is_ok_and(|record| record.is_none()) {
                    let error = Error::Corrupt(format!("image {} is not there", name.image));
                    let finding = finding("name", name.reference.familiar(), &error, Vec::new());
                    report(Damaged::Name(name.reference), finding, tell)?;
                }
            }
        }
        for id in &scope.images {
            if let Some(error) = self.image_fault(id)? {
                let images = needing(&|image| image.id == *id);
                report(Damaged::Image(*id), finding("image", id.to_string(), &error, images), tell)?;
            }
        }
        for blob in &scope.blobs {
            match self.store.blob(blob) {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) if is_damage(&error) => {
                    let images = needing(&|image| image.id.config_blob() == *blob);
                    report(Damaged::Blob(*blob), finding("blob", blob.to_string(), &error, images), tell)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.verify_layers(&scope.layers, tell, &mut |layer, identity, error, tell| {
            let images = needing(&|image| image.config.rootfs.diff_ids.contains(&layer));
            report(Damaged::Layer(layer, identity), finding("layer", layer.to_string(), &error, images), tell)
        })?;
        if drop && !found.is_empty() {
            self.repair(&found, tell)?;
        }
        Ok(verified)
    }

    fn scope(&self, wanted: &[String]) -> Result<Scope> {
        if wanted.is_empty() {
            let (images, blobs) = (self.store.image_ids()?, self.store.all_blobs()?);
            return Ok(Scope { images, blobs, layers: self.store.all_layers()?, names: true });
        }
        let images: BTreeSet<ImageId> =
            wanted.iter().map(|name| Ok(self.store.resolve_id(name)?.0)).collect::<Result<_>>()?;
        let configs = images.iter().filter_map(|id| self.store.image(id).ok());
        let layers: BTreeSet<DiffId> = configs.flat_map(|image| image.config.rootfs.diff_ids).collect();
        Ok(Scope {
            blobs: images.iter().map(|id| id.config_blob()).collect(),
            images: images.into_iter().collect(),
            layers: layers.into_iter().filter(|layer| self.store.has_layer(layer)).collect(),
            names: false,
        })
    }

    /// What is wrong with a listed image besides the content of its parts.
    pub(super) fn image_fault(&self, id: &ImageId) -> Result<Option<Error>> {
        match self.store.image_record(id) {
            // Removed meanwhile.
            Ok(None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(error) if is_damage(&error) => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
        match self.store.image(id) {
            Ok(image) => Ok(image
                .config
                .rootfs
                .diff_ids
                .iter()
                .find(|layer| !self.store.has_layer(layer))
                .map(|layer| Error::Corrupt(format!("layer {layer} is missing")))),
            Err(Error::NotFound(_)) => Ok(Some(Error::Corrupt("its config is missing".into()))),
            Err(error) if is_damage(&error) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// Reads all these layers; `bad` hears of those that are damaged.
    fn verify_layers(
        &self,
        layers: &[DiffId],
        tell: &mut Tell<'_>,
        bad: &mut dyn FnMut(DiffId, Identity, Error, &mut Tell<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut jobs: Vec<(u64, DiffId, Identity)> = layers
            .iter()
            .filter_map(|layer| {
                let size = self.store.layer_facts(layer).map_or(0, |facts| facts.tar_bytes);
                Some((size, *layer, self.store.layer_identity(layer)?))
            })
            .collect();
        // The largest first, so that none of them is alone at the end.
        jobs.sort_by_key(|(size, ..)| core::cmp::Reverse(*size));
        let total = jobs.iter().map(|(size, ..)| size).sum();
        let mut far: Vec<u64> = alloc::vec![0; jobs.len()];
        let work = |number: usize, report: &mut crew::Reporter<'_>| {
            let (read, told) = (Cell::new(0), Cell::new(0));
            let checked = self.store.check_layer(&jobs[number].1, &mut |bytes| {
                read.set(read.get() + bytes);
                if read.get() - told.get() >= STEP_BYTES {
                    told.set(read.get());
                    report.far(read.get())?;
                }
                Ok(())
            });
            checked.map_or_else(|error| error.to_bytes(), |()| Vec::new())
        };
        crew::side_by_side(jobs.len(), &[self.store.root()], &work, &mut |heard| match heard {
            crew::Heard::Nothing => tell(Told::Nothing),
            crew::Heard::Far(number, bytes) => {
                far[number] = bytes;
                tell(Told::Far(far.iter().sum(), total))
            }
            crew::Heard::Done(number, answer) => {
                let (size, layer, identity) = jobs[number];
                far[number] = size;
                tell(Told::Far(far.iter().sum(), total))?;
                if answer.is_empty() || self.store.layer_identity(&layer) != Some(identity) {
                    return Ok(());
                }
                match Error::from_bytes(answer) {
                    Some(error) if is_damage(&error) => bad(layer, identity, error, tell),
                    Some(error) => Err(error),
                    None => Err(Error::Corrupt(format!("verify layer {layer}: no answer"))),
                }
            }
        })
    }
}

fn finding(kind: &'static str, id: String, error: &Error, images: Vec<String>) -> Finding {
    let text = error.to_string();
    // What it is stands in front of it already.
    let prefix = format!("{kind} {id} is damaged: ");
    let reason = text.strip_prefix(&prefix).unwrap_or(&text);
    Finding { kind, id, reason: reason.lines().next().unwrap_or("").into(), images }
}

/// What an image is called, or its id.
pub(super) fn shown(image: &ListedImage) -> Vec<String> {
    let tags = image.tags();
    if tags.is_empty() { [image.id.to_string()].into() } else { tags }
}

//! The second part of `image verify`: what was found damaged is dropped, with the images that need it, so that a later
//! load brings it anew. Nothing that a container runs on is touched.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    super::Engine,
    Removal,
    list::ListedImage,
    users::Users,
    verify::{Damaged, Finding, Tell, Told, shown},
};
use crate::{
    Error, Result,
    container::shelf::Lock,
    digest::{BlobDigest, DiffId, ImageId},
    store::{Locked, Removed},
};

/// A kind of thing and which one of them.
type Part = (&'static str, String);

/// What is to go, as it is under the lock.
#[derive(Default)]
struct Plan {
    layers: BTreeSet<DiffId>,
    blobs: BTreeSet<BlobDigest>,
    /// Layers and blobs that containers run on, and one of these containers.
    held: BTreeMap<Part, String>,
    /// Of containers that don't run, and are not to start meanwhile.
    locks: Vec<(String, Lock)>,
}

struct Repair<'a> {
    engine: &'a Engine,
    alone: Locked,
    found: &'a [Damaged],
    plan: Plan,
    listed: Vec<ListedImage>,
    removed: Removed,
    /// What became of images and names.
    done: Vec<Removal>,
    dropped: Vec<Part>,
}

impl Engine {
    /// Drops what was found, and tells it.
    pub(super) fn repair(&self, found: &[Damaged], tell: &mut Tell<'_>) -> Result<()> {
        let alone = self.store.alone()?;
        let users = self.image_users()?;
        let in_use = users.images().ok_or_else(|| {
            let why = "drop what is damaged: it can't be read which images the containers use";
            Error::Corrupt(why.into())
        })?;
        let mut repair = Repair {
            engine: self,
            found,
            plan: self.plan(found, &users),
            listed: self.listed_images()?,
            removed: self.store.removal(&alone)?,
            alone,
            done: Vec::new(),
            dropped: Vec::new(),
        };
        let worked = repair.drop_all(&in_use);
        for (id, lock) in repair.plan.locks.drain(..) {
            self.shelf.forget_run_directory(&id, lock);
        }
        let Repair { alone, removed, listed, plan, done, dropped, .. } = repair;
        drop(alone);
        drop(removed);
        worked?;
        dropped.iter().try_for_each(|(kind, id)| tell(Told::Dropped(kind, id)))?;
        done.iter().try_for_each(|removal| tell(Told::Removed(removal)))?;
        for ((kind, id), container) in plan.held {
            let images = listed.iter().filter(|image| is_part_of(&id, image)).flat_map(shown).collect();
            let reason = format!("container {container} runs on it");
            tell(Told::Kept(&Finding { kind, id, reason, images }))?;
        }
        Ok(())
    }

    /// Looks again at what was found: it may be gone, or somebody may be using it.
    fn plan(&self, found: &[Damaged], users: &Users) -> Plan {
        let mut plan = Plan::default();
        for one in found {
            match one {
                Damaged::Layer(layer, identity) if self.store.layer_identity(layer) == Some(*identity) => {
                    plan.layers.insert(*layer);
                }
                Damaged::Blob(blob) if self.store.has_blob(blob) && self.store.blob(blob).is_err() => {
                    plan.blobs.insert(*blob);
                }
                _ => {}
            }
        }
        for (image, user) in users.all() {
            let layers = self.layers_among(image, &plan.layers);
            let blob = Some(image.config_blob()).filter(|blob| plan.blobs.contains(blob));
            if layers.is_empty() && blob.is_none() {
                continue;
            }
            // Who has the lock runs it, or is about to start it.
            match self.shelf.lock(&user.id) {
                Ok(lock) => plan.locks.push((user.id.clone(), lock)),
                Err(_) => {
                    for layer in layers {
                        plan.layers.remove(&layer);
                        plan.held.insert(("layer", layer.to_string()), user.short_id().into());
                    }
                    if let Some(blob) = blob {
                        plan.blobs.remove(&blob);
                        plan.held.insert(("blob", blob.to_string()), user.short_id().into());
                    }
                }
            }
        }
        plan
    }

    /// Those of these layers that an image has; all of them if it can't be known.
    fn layers_among(&self, image: &ImageId, damaged: &BTreeSet<DiffId>) -> Vec<DiffId> {
        match self.store.image(image) {
            Ok(image) => {
                image.config.rootfs.diff_ids.into_iter().filter(|layer| damaged.contains(layer)).collect()
            }
            Err(_) => damaged.iter().copied().collect(),
        }
    }
}

impl Repair<'_> {
    fn drop_all(&mut self, in_use: &[ImageId]) -> Result<()> {
        let store = &self.engine.store;
        self.drop_images()?;
        for layer in &self.plan.layers {
            store.drop_layer(&self.alone, layer, &mut self.removed)?;
            self.dropped.push(("layer", layer.to_string()));
        }
        for blob in &self.plan.blobs {
            store.drop_blob(&self.alone, blob, &mut self.removed)?;
            self.dropped.push(("blob", blob.to_string()));
        }
        store.sync_shelves(&self.alone)?;
        self.drop_names()?;
        store.collect(&self.alone, in_use, &mut self.removed)
    }

    /// Takes the images off the list that need what goes, or are damaged themselves.
    fn drop_images(&mut self) -> Result<()> {
        for image in &self.listed {
            let blob = image.id.config_blob();
            let mut layers = image.config.rootfs.diff_ids.iter();
            let is_broken = self.plan.blobs.contains(&blob)
                || layers.any(|layer| self.plan.layers.contains(layer))
                || self.found.contains(&Damaged::Image(image.id))
                    && self.engine.image_fault(&image.id)?.is_some();
            if is_broken && !self.plan.held.contains_key(&("blob", blob.to_string())) {
                let (removed, done) = (&mut self.removed, &mut self.done);
                self.engine.unlist(&self.alone, &image.id, &image.names, removed, done)?;
            }
        }
        Ok(())
    }

    /// Takes away the names that are damaged or mean nothing.
    fn drop_names(&mut self) -> Result<()> {
        let store = &self.engine.store;
        let damaged = store.damaged_names()?;
        for one in self.found {
            match one {
                Damaged::NameFile(file) if damaged.iter().any(|(name, _)| name == file) => {
                    store.drop_name_file(&self.alone, file)?;
                    self.dropped.push(("name", file.clone()));
                }
                Damaged::Name(name) => {
                    if let Ok(Some(id)) = store.named(name)
                        && store.image_record(&id)?.is_none()
                    {
                        self.engine.untag(&self.alone, &id, name, &mut self.done)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_part_of(id: &str, image: &ListedImage) -> bool {
    image.id.to_string() == id || image.config.rootfs.diff_ids.iter().any(|layer| layer.to_string() == id)
}

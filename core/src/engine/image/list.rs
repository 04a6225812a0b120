//! The images that are there, with what they are called, for lists, `df` and prune.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::super::Engine;
use crate::{
    Error, Result,
    clock::Time,
    digest::{DiffId, ImageId},
    image::{config::ImageConfig, reference::Reference},
    store::{ImageRecord, check::is_damage},
};

/// An image as lists show it.
#[derive(Debug, Clone)]
pub struct ListedImage {
    /// Its id.
    pub id: ImageId,
    /// What only this store knows.
    pub record: ImageRecord,
    /// Its config; empty if that is damaged.
    pub config: ImageConfig,
    /// When it was made, as far as that is known.
    pub created: Option<Time>,
    /// What it is called, sorted.
    pub names: Vec<Reference>,
}

impl ListedImage {
    /// What it is called, as people see it.
    pub fn tags(&self) -> Vec<String> {
        self.names.iter().map(Reference::familiar).collect()
    }
}

/// How much room the layers of images take.
#[derive(Debug, Clone, Default)]
pub struct LayerUsage {
    /// Bytes of file content of each layer, and how many images have it.
    layers: BTreeMap<DiffId, (u64, usize)>,
}

impl LayerUsage {
    /// Bytes of all layers, each once.
    pub fn total_bytes(&self) -> u64 {
        self.layers.values().map(|(bytes, _)| bytes).sum()
    }

    /// Bytes of those layers of an image that other images have, too.
    pub fn shared_bytes(&self, image: &ListedImage) -> u64 {
        let own: BTreeSet<&DiffId> = image.config.rootfs.diff_ids.iter().collect();
        let usage = own.into_iter().filter_map(|layer| self.layers.get(layer));
        usage.filter(|(_, images)| *images > 1).map(|(bytes, _)| bytes).sum()
    }
}

impl Engine {
    /// All images, the newest first. One whose config is damaged is there, too: it can be removed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn listed_images(&self) -> Result<Vec<ListedImage>> {
        let mut names: BTreeMap<ImageId, Vec<Reference>> = BTreeMap::new();
        for name in self.store.all_names()? {
            names.entry(name.image).or_default().push(name.reference);
        }
        let mut found = Vec::new();
        for id in self.store.image_ids()? {
            let record = match self.store.image_record(&id) {
                Ok(Some(record)) => record,
                // Gone since the list was read.
                Ok(None) => continue,
                Err(error) if is_damage(&error) => ImageRecord::default(),
                Err(error) => return Err(error),
            };
            let config = match self.store.image(&id) {
                Ok(image) => image.config,
                Err(error) if is_damage(&error) || matches!(error, Error::NotFound(_)) => {
                    ImageConfig::default()
                }
                Err(error) => return Err(error),
            };
            let created = config.created.as_deref().and_then(|text| Time::parse(text).ok());
            let names = names.remove(&id).unwrap_or_default();
            found.push(ListedImage { id, record, config, created, names });
        }
        crate::sort::by_key(&mut found, |image| core::cmp::Reverse(image.created));
        Ok(found)
    }

    /// What the layers of these images take.
    pub fn layer_usage(&self, images: &[ListedImage]) -> LayerUsage {
        let mut usage = LayerUsage::default();
        for image in images {
            let own: BTreeSet<&DiffId> = image.config.rootfs.diff_ids.iter().collect();
            for layer in own {
                let entry = usage.layers.entry(*layer).or_insert_with(|| {
                    (self.store.layer_facts(layer).map_or(0, |facts| facts.size_bytes), 0)
                });
                entry.1 += 1;
            }
        }
        usage
    }
}

//! `image prune`: images that nobody needs go, all at once.

use alloc::{string::String, vec::Vec};

use serde::Serialize;

use super::{super::Engine, Removal, removed_chains};
use crate::{
    Result, api::filters::Filters, clock::Time, digest::DiffId, events::Kind, image::reference::Reference,
};

/// The filters of `image prune`.
pub const FILTERS: [&str; 4] = ["dangling", "until", "label", "label!"];

/// What a prune removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrunedImages {
    /// Names, images and chains of layers; absent if there are none.
    pub images_deleted: Option<Vec<Removal>>,
    /// Bytes of file content in the layers that are gone.
    pub space_reclaimed: u64,
}

impl Engine {
    /// Removes the images that no container uses: those without a name, or with `dangling` false any.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a filter's value; of the file system.
    pub fn prune_images(&self, filters: &Filters) -> Result<PrunedImages> {
        let dangling_only = filters.flag("dangling")?.unwrap_or(true);
        let until = filters.until(Time::now())?;
        self.sweep_store();
        let alone = self.store.alone()?;
        let users = self.image_users()?;
        let mut removed = self.store.removal(&alone)?;
        let mut gone: Vec<(Vec<Removal>, Vec<DiffId>)> = Vec::new();
        for image in self.listed_images()? {
            let names: Vec<Reference> = image.names;
            if dangling_only && !names.is_empty()
                || users.of(&image.id).next().is_some()
                || until.is_some_and(|until| image.created.is_none_or(|created| created > until))
                || !filters.allows_labels(|key| image.config.config.labels.get(key).map(String::as_str))
            {
                continue;
            }
            let mut done = Vec::new();
            self.unlist(&alone, &image.id, &names, &mut removed, &mut done)?;
            gone.push((done, image.config.rootfs.diff_ids));
        }
        if let Some(in_use) = users.images() {
            self.store.collect(&alone, &in_use, &mut removed)?;
        }
        drop(alone);
        let mut layers = removed.layers.iter().collect();
        let mut all = Vec::new();
        for (done, of_image) in gone {
            all.extend(done);
            all.extend(removed_chains(&of_image, &mut layers));
        }
        let bytes = removed.size_bytes;
        self.tell_prune(Kind::Image, bytes);
        Ok(PrunedImages { images_deleted: (!all.is_empty()).then_some(all), space_reclaimed: bytes })
    }
}

//! `tag` and `rmi`: giving names and taking them away, and what nobody needs afterwards with them.

pub mod list;
pub mod prune;
mod repair;
mod users;
pub mod verify;

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use serde::Serialize;

use super::{Engine, import::new_name};
use crate::{
    Error, Result,
    digest::{DiffId, Digest, ImageId, chain_id},
    image::reference::Reference,
    store::{Locked, Removed},
};

/// One thing that a removal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Removal {
    /// This name is gone.
    Untagged(String),
    /// This image, or this chain of layers, is gone.
    Deleted(String),
}

/// Whether a removal minds that the image has other names or is used by a container that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It does.
    No,
    /// It doesn't. A running container still counts.
    Yes,
}

impl Engine {
    /// Gives an image one more name; an image that had it loses it.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the image, [`Error::Invalid`] for a malformed name.
    pub fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(ImageId, Reference)> {
        let name = new_name(repository, tag)?;
        self.sweep_store();
        let locked = self.store.share()?;
        let (id, _) = self.store.resolve_id(image)?;
        self.store.publication(&locked)?.name(&name, &id)?.commit()?;
        self.tell_image(&id, "tag", &name.familiar());
        Ok((id, name))
    }

    /// Takes a name away, and the image if that was its last one; or the image by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] while containers use it or it has other names, in Docker's words.
    pub fn remove_image(&self, wanted: &str, force: Force) -> Result<Vec<Removal>> {
        self.sweep_store();
        let mut done = Vec::new();
        let alone = self.store.alone()?;
        let (id, reference) = self.store.resolve_id(wanted)?;
        let users = self.image_users()?;
        let mut names = self.names_of(&id)?;
        let short = String::from(id.0.hex().short());
        let running = users.of(&id).find(|user| user.is_active);
        match reference {
            Some(reference) => {
                if let Some(user) = users.of(&id).next()
                    && names.len() == 1
                    && force == Force::No
                {
                    return Err(Error::Conflict(format!(
                        "conflict: unable to remove repository reference {wanted:?} (must force) - container {} is \
                         using its referenced image {short}",
                        user.short_id()
                    )));
                }
                self.untag(&alone, &id, &reference, &mut done)?;
                names.retain(|name| *name != reference);
                if !names.is_empty() || running.is_some() {
                    return Ok(done);
                }
            }
            None => {
                let stopped = users.of(&id).find(|user| !user.is_active).filter(|_| force == Force::No);
                let (why, hard) = match (running, stopped) {
                    (Some(user), _) => {
                        (format!("image is being used by running container {}", user.short_id()), true)
                    }
                    (None, _) if names.len() > 1 && force == Force::No => {
                        ("image is referenced in multiple repositories".into(), false)
                    }
                    (None, Some(user)) => {
                        (format!("image is being used by stopped container {}", user.short_id()), false)
                    }
                    (None, None) => (String::new(), false),
                };
                if !why.is_empty() {
                    let force = if hard { "cannot be forced" } else { "must be forced" };
                    return Err(Error::Conflict(format!(
                        "conflict: unable to delete {short} ({force}) - {why}"
                    )));
                }
            }
        }
        // Read before it is gone, for the names of its layers. A damaged image can be removed, too.
        let layers = self.store.image(&id).map_or(Vec::new(), |image| image.config.rootfs.diff_ids);
        let mut removed = self.store.removal(&alone)?;
        self.unlist(&alone, &id, &names, &mut removed, &mut done)?;
        if let Some(in_use) = users.images() {
            self.store.collect(&alone, &in_use, &mut removed)?;
        }
        done.extend(removed_chains(&layers, &mut removed.layers.iter().collect()));
        // What is removed is deleted without the lock.
        drop(alone);
        drop(removed);
        Ok(done)
    }

    /// Deletes what killed processes have left in the store: what they were making, and what nothing refers to any more.
    pub fn sweep_store(&self) {
        self.store.sweep(&|| self.image_users().ok()?.images());
    }

    /// A container of this image is gone. If the image is on the list no more, it may have been the last one that needed
    /// the layers. What goes wrong is left to the next prune.
    pub(super) fn release_image(&self, image: &str) {
        let Ok(id) = Digest::parse(image).map(ImageId) else { return };
        if !matches!(self.store.image_record(&id), Ok(None)) {
            return;
        }
        let collect = || -> Result<Removed> {
            let alone = self.store.alone()?;
            let mut removed = self.store.removal(&alone)?;
            if let Some(in_use) = self.image_users()?.images() {
                self.store.collect(&alone, &in_use, &mut removed)?;
            }
            Ok(removed)
        };
        drop(collect());
    }

    /// Takes an image with all its names off the list. Its parts stay until they are collected.
    fn unlist(
        &self,
        alone: &Locked,
        id: &ImageId,
        names: &[Reference],
        removed: &mut Removed,
        done: &mut Vec<Removal>,
    ) -> Result<()> {
        for name in names {
            self.untag(alone, id, name, done)?;
        }
        self.store.unlist(alone, id, removed)?;
        self.tell_image(id, "delete", &format!("{id}"));
        done.push(Removal::Deleted(format!("{id}")));
        Ok(())
    }

    fn untag(&self, alone: &Locked, id: &ImageId, name: &Reference, done: &mut Vec<Removal>) -> Result<()> {
        self.store.unname(alone, name)?;
        self.tell_image(id, "untag", &format!("{id}"));
        done.push(Removal::Untagged(name.familiar()));
        Ok(())
    }

    fn names_of(&self, id: &ImageId) -> Result<Vec<Reference>> {
        let names = self.store.all_names()?.into_iter().filter(|name| name.image == *id);
        Ok(names.map(|name| name.reference).collect())
    }
}

/// The chains of layers that end in a layer that is gone, the uppermost first. Each layer is told once.
fn removed_chains(layers: &[DiffId], gone: &mut BTreeSet<&DiffId>) -> Vec<Removal> {
    let mut chains = Vec::new();
    let mut below: Option<Digest> = None;
    for layer in layers {
        let chain = chain_id(below.as_ref(), layer);
        if gone.remove(layer) {
            chains.push(Removal::Deleted(format!("{chain}")));
        }
        below = Some(chain);
    }
    chains.reverse();
    chains
}

#[cfg(test)]
mod tests;

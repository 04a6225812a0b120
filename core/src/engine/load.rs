//! `load`: an archive of images becomes images: their layers unpacked side by side, their configs kept to the byte.
//!
//! Documents are read and checked before anything is unpacked; what an archive brings appears when all of it is there
//! and proved, or not at all (very large archives: some images at a time).

mod layers;

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, FileType, Mode, OFlags},
};

use self::layers::{Job, unpack_all};
use super::{Engine, import::new_name};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::{DiffId, ImageId},
    file,
    image::{
        archive::Archive,
        contents::{Packed, PackedLayer, images},
        reference::Reference,
    },
    layer::{
        inflate::{Format, MAGIC_BYTES},
        unpack::{Source, Unpacked},
    },
    store::{ImageRecord, Publication, Scratch},
};

/// Most layers that are unpacked before some are published: each keeps two files open.
const LAYERS_AT_ONCE: usize = 250;

/// What is told while an archive is loaded.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many bytes of a layer of so many were read.
    Layer {
        /// The layer's name, or its path where it is not known yet.
        layer: &'a str,
        /// How many were read.
        current: u64,
        /// Of how many.
        total: u64,
    },
    /// Nothing new: a moment to see whether anybody still listens.
    Nothing,
    /// A name meant this image until now.
    Replaced {
        /// The name.
        name: &'a str,
        /// The image that has lost it.
        old: &'a ImageId,
    },
    /// An image is there.
    Image {
        /// Its id.
        id: &'a ImageId,
        /// Its new name, if it has one.
        name: Option<&'a str>,
    },
}

/// What of a layer tells it from the others: what it is, or where it is.
type Key = (Option<DiffId>, String);

fn key(layer: &PackedLayer) -> Key {
    (layer.layer, if layer.layer.is_some() { String::new() } else { layer.path.clone() })
}

struct Image {
    packed: Packed,
    names: Vec<Reference>,
}

impl Engine {
    /// Takes in an archive that comes as a stream.
    ///
    /// # Errors
    /// As [`Archive::spool`].
    pub fn receive_archive(&self, source: &mut Source<'_>) -> Result<Archive> {
        self.sweep_store();
        let spool = self.store.spool(&self.store.share()?)?;
        Archive::spool(source, spool)
    }

    /// Opens an archive at a path of the caller's: a file, or a directory with an OCI layout.
    ///
    /// # Errors
    /// As [`Archive::index`] and [`Archive::spool`].
    pub fn open_archive(&self, path: &str) -> Result<Archive> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).context("open", path)?;
        let stat = rustix::fs::fstat(&file).context("stat", path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Archive::directory(file)),
            FileType::RegularFile => {
                let mut first = [0; MAGIC_BYTES];
                let count = rustix::io::pread(&file, &mut first, 0).context("read", path)?;
                match Format::detect(&first[..count]) {
                    Format::Plain => Archive::index(file),
                    _ => self.receive_archive(&mut |buffer| read(&file, buffer, path)),
                }
            }
            _ => self.receive_archive(&mut |buffer| read(&file, buffer, path)),
        }
    }

    /// Loads all images of an archive.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for archives that are damaged, hostile or contradict themselves; [`Error::Invalid`] for names
    /// that no image can have; [`Error::NotFound`] if the images are for other machines; of the file system; what `tell`
    /// gives. Nothing is left behind.
    pub fn load(&self, mut archive: Archive, tell: &mut dyn FnMut(Told<'_>) -> Result<()>) -> Result<()> {
        self.sweep_store();
        let mut all = Vec::new();
        for packed in images(&mut archive)? {
            let names = packed.names.iter().map(|name| new_name(name, "")).collect::<Result<Vec<_>>>()?;
            all.push(Image { packed, names });
        }
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (mut count, mut layers) = (0, 0);
            for image in rest {
                layers += image.packed.layers.len();
                if count > 0 && layers > LAYERS_AT_ONCE {
                    break;
                }
                count += 1;
            }
            let (group, others) = rest.split_at(count);
            rest = others;
            self.load_group(&archive, group, tell)?;
        }
        Ok(())
    }

    fn load_group(
        &self,
        archive: &Archive,
        group: &[Image],
        tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut wanted: BTreeMap<Key, &PackedLayer> = BTreeMap::new();
        for layer in group.iter().flat_map(|image| &image.packed.layers) {
            wanted.entry(key(layer)).or_insert(layer);
        }
        let mut done: BTreeMap<Key, (Scratch, Unpacked)> = BTreeMap::new();
        let locked = loop {
            let locked = self.store.share()?;
            let is_there =
                |key: &Key| done.contains_key(key) || key.0.is_some_and(|layer| self.store.has_layer(&layer));
            let mut jobs = Vec::new();
            for (key, layer) in wanted.iter().filter(|(key, _)| !is_there(key)) {
                let part = archive.part(&layer.path)?;
                let part =
                    part.ok_or_else(|| Error::Corrupt(format!("read archive: {} is gone", layer.path)))?;
                jobs.push((key.clone(), Job { layer, part, scratch: self.store.scratch(&locked)? }));
            }
            if jobs.is_empty() {
                // What is there now stays until the lock is given back.
                break locked;
            }
            drop(locked);
            let (keys, jobs): (Vec<Key>, Vec<Job<'_>>) = jobs.into_iter().unzip();
            done.extend(keys.into_iter().zip(unpack_all(jobs, self.store.writeback()?, tell)?));
        };
        let mut publication = self.store.publication(&locked)?;
        for (scratch, unpacked) in done.values() {
            publication = publication.layer(&unpacked.layer, scratch, &unpacked.applied.facts)?;
        }
        let mut told = Vec::new();
        for image in group {
            let id;
            (publication, id) = self.publish(publication, image, &done)?;
            for name in &image.names {
                let before = self.store.named(name)?.filter(|before| *before != id);
                publication = publication.name(name, &id)?;
                told.push((id, Some(name.familiar()), before));
            }
            if image.names.is_empty() {
                told.push((id, None, None));
            }
        }
        publication.commit()?;
        // Nobody has to wait for the new layers while this is told.
        drop((locked, done));
        for (id, name, before) in &told {
            self.tell_image(id, "load", &name.clone().unwrap_or_else(|| id.to_string()));
            if let (Some(name), Some(old)) = (name, before) {
                tell(Told::Replaced { name, old })?;
            }
            tell(Told::Image { id, name: name.as_deref() })?;
        }
        Ok(())
    }

    /// Puts the image's config and record on the list of what appears.
    fn publish<'s>(
        &self,
        publication: Publication<'s>,
        image: &Image,
        done: &BTreeMap<Key, (Scratch, Unpacked)>,
    ) -> Result<(Publication<'s>, ImageId)> {
        let mut layers = Vec::with_capacity(image.packed.layers.len());
        let mut size_bytes = 0;
        for layer in &image.packed.layers {
            let (layer, facts) = match (done.get(&key(layer)), layer.layer) {
                (Some((_, unpacked)), _) => (unpacked.layer, unpacked.applied.facts),
                (None, Some(layer)) => (layer, self.store.layer_facts(&layer)?),
                (None, None) => return Err(Error::Corrupt(format!("layer {} is missing", layer.path))),
            };
            layers.push(layer);
            size_bytes += facts.size_bytes;
        }
        let json = image.packed.config_json(&layers)?;
        publication.image(&json, &ImageRecord { size_bytes, added: Time::now(), ..ImageRecord::default() })
    }
}

fn read(file: &OwnedFd, buffer: &mut [u8], path: &str) -> Result<usize> {
    file::read_part(file, buffer).context("read", path)
}

//! `save`: images become one archive. What it holds is known before its first byte; the layers are read from their trees
//! while it is written, and each is proved before its last block is given: an archive that breaks off ends in the middle
//! of a layer, for every reader.

use alloc::{collections::BTreeMap, format, vec::Vec};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Engine;
use crate::{
    Error, Result,
    digest::{DiffId, ImageId},
    image::{
        config::ImageConfig,
        pack::{self, File, Form, Picked},
        reference::Reference,
    },
    layer::{emit, header::BLOCK, pack::Sink},
    store::{HeldLayer, Locked},
};

/// Descriptors beside those of the layers.
const OTHER_DESCRIPTORS: u64 = 64;

/// An archive that can be written: its files in their order, and the layers, held.
#[derive(Debug)]
pub struct Saveable {
    images: Vec<ImageId>,
    files: Vec<File>,
    layers: BTreeMap<DiffId, HeldLayer>,
}

impl Saveable {
    /// Bytes of the archive.
    pub fn size_bytes(&self) -> u64 {
        pack::archive_size(&self.files)
    }
}

impl Engine {
    /// Finds images by names and ids, and holds what an archive of them needs. A name goes along with its image, an id
    /// doesn't; a repository without a tag means all its tags, as for Docker.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for names; [`Error::Corrupt`] if something is missing.
    pub fn saveable(&self, names: &[&str], form: Form) -> Result<Saveable> {
        if names.is_empty() {
            return Err(Error::Invalid("invalid request: names is missing".into()));
        }
        let locked = self.store.share()?;
        let mut images: Vec<Picked> = Vec::new();
        for name in names {
            for (id, reference) in self.meant(name)? {
                let known = images.iter().position(|image| image.id == id);
                if known.is_none() {
                    images.push(self.picked(id)?);
                }
                let at = known.unwrap_or(images.len() - 1);
                images[at].names.extend(reference.filter(|reference| reference.digest.is_none()));
            }
        }
        let files = pack::files(&images, form);
        let layers = self.held(&locked, &files)?;
        Ok(Saveable { images: images.iter().map(|image| image.id).collect(), files, layers })
    }

    /// The images that are meant by one name.
    fn meant(&self, name: &str) -> Result<Vec<(ImageId, Option<Reference>)>> {
        if let Ok(wanted) = Reference::parse(name)
            && wanted.tag.is_none()
            && wanted.digest.is_none()
        {
            let names = self.store.all_names()?.into_iter();
            let tags = names.filter(|name| name.reference.repository == wanted.repository);
            let all: Vec<_> = tags.map(|name| (name.image, Some(name.reference))).collect();
            if !all.is_empty() {
                return Ok(all);
            }
            let found = self.store.resolve_id(name).map_err(|error| match error {
                // Not `latest` alone was looked for.
                Error::NotFound(_) => Error::NotFound(format!("No such image: {name}")),
                other => other,
            });
            return Ok([found?].into());
        }
        Ok([self.store.resolve_id(name)?].into())
    }

    fn picked(&self, id: ImageId) -> Result<Picked> {
        let config = self.store.blob(&id.config_blob())?;
        let diff_ids = ImageConfig::parse(&config)?.rootfs.diff_ids;
        let sized = |layer: DiffId| Ok((layer, self.store.layer_facts(&layer)?.tar_bytes));
        let layers = diff_ids.into_iter().map(sized).collect::<Result<_>>()?;
        let annotations = self.store.image_record(&id)?.unwrap_or_default().annotations;
        Ok(Picked { id, names: Default::default(), config, layers, annotations })
    }

    fn held(&self, locked: &Locked, files: &[File]) -> Result<BTreeMap<DiffId, HeldLayer>> {
        let layers = || files.iter().filter_map(File::layer);
        make_room(layers().count() as u64 + OTHER_DESCRIPTORS);
        layers().map(|layer| Ok((layer, self.store.hold_layer(locked, &layer)?))).collect()
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// [`Error::Corrupt`] that names the layer which is not what it was; of the file system; the sink's.
    pub fn save(&self, saveable: Saveable, sink: &mut Sink<'_>) -> Result<()> {
        let mut out = pack::directories();
        for file in &saveable.files {
            out.extend_from_slice(&file.header());
            match file {
                File::Whole(_, content) => out.extend_from_slice(content),
                File::Layer(layer, size) => {
                    let mut tail = Tail { layer, left: *size, held: out, sink: &mut *sink };
                    // All of them are held.
                    if let Some(held) = saveable.layers.get(layer) {
                        held.read_tar(&mut |part| tail.put(part))?;
                    }
                    out = tail.end()?;
                }
            }
            emit::pad(file.size(), &mut out);
        }
        emit::end(&mut out);
        sink(&out)?;
        for id in &saveable.images {
            self.tell_image(id, "save", &format!("{id}"));
        }
        // What was taken away meanwhile.
        drop(saveable);
        self.sweep_store();
        Ok(())
    }
}

/// Gives a layer on, but for its last bytes, and never more than it has.
struct Tail<'a, 's> {
    layer: &'a DiffId,
    left: u64,
    /// What is before the layer, then its end.
    held: Vec<u8>,
    sink: &'a mut Sink<'s>,
}

impl Tail<'_, '_> {
    fn wrong(&self) -> Error {
        Error::Corrupt(format!("layer {} is damaged: its archive has another length", self.layer))
    }

    fn put(&mut self, part: &[u8]) -> Result<()> {
        self.left = self.left.checked_sub(part.len() as u64).ok_or_else(|| self.wrong())?;
        let behind = usize::try_from(self.left).unwrap_or(usize::MAX);
        let now = part.len().saturating_sub(BLOCK.saturating_sub(behind));
        if now > 0 {
            if !self.held.is_empty() {
                (self.sink)(&self.held)?;
                self.held.clear();
            }
            (self.sink)(&part[..now])?;
        }
        self.held.extend_from_slice(&part[now..]);
        Ok(())
    }

    /// The layer is proved: what is left of it.
    fn end(self) -> Result<Vec<u8>> {
        if self.left == 0 { Ok(self.held) } else { Err(self.wrong()) }
    }
}

/// Lets this process have so many descriptors, if it may.
fn make_room(wanted: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit.maximum.map_or(Some(wanted), |most| Some(most.min(wanted)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::digest::Digest;

    #[test]
    fn the_end_of_a_layer_is_given_when_it_is_proved_and_not_before() {
        let layer = DiffId(Digest::of(b""));
        for length in [0, 1, 511, 512, 513, 1024, 3000] {
            let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for step in [1, 100, 512, 513, 4000] {
                let mut given = Vec::new();
                let mut sink = |part: &[u8]| {
                    assert!(!part.is_empty());
                    given.extend_from_slice(part);
                    Ok(())
                };
                let mut tail =
                    Tail { layer: &layer, left: length, held: b"before".to_vec(), sink: &mut sink };
                for part in content.chunks(step) {
                    tail.put(part).unwrap();
                }
                let last = tail.end().unwrap();
                let before = if length > BLOCK as u64 { 6 + content.len() - BLOCK } else { 0 };
                assert_eq!(given.len(), before, "{length} {step}");
                given.extend(last);
                assert_eq!(given, [b"before", content.as_slice()].concat());
            }
        }
    }

    #[test]
    fn a_layer_of_another_length_is_an_error() {
        let layer = DiffId(Digest::of(b""));
        let mut given = 0;
        let mut sink = |part: &[u8]| {
            given += part.len();
            Ok(())
        };
        let mut tail = Tail { layer: &layer, left: 2000, held: Vec::new(), sink: &mut sink };
        tail.put(&[0; 1999]).unwrap();
        assert!(tail.put(&[0; 2]).unwrap_err().to_string().contains("has another length"));
        assert!(Tail { layer: &layer, left: 1, held: Vec::new(), sink: &mut |_| Ok(()) }.end().is_err());
        assert_eq!(given, 2000 - BLOCK);
    }
}

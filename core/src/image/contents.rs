//! An archive -> the images in it, whichever kind of archive it is: OCI layout, docker-archive with `manifest.json`, or
//! what Docker wrote before 1.10. Only documents are read here, not layers.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Map, Value};

use super::{
    archive::Archive,
    config::{ImageConfig, LAYER_LIMIT, RootFs, Step},
    manifest::{self, Descriptor, Document, Saved, document},
    reference::Reference,
};
use crate::{
    Error, Result,
    digest::{BlobDigest, DiffId, Digest, ImageId},
};

/// Deepest nesting of indexes.
const INDEX_DEPTH: usize = 4;
/// Most images of one archive.
const IMAGES_LIMIT: usize = 1024;

/// An image in an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// What it is called there.
    pub names: Vec<String>,
    /// What it is.
    pub config: PackedConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<PackedLayer>,
}

/// The config of an image in an archive.
#[derive(Debug, Clone, PartialEq)]
pub enum PackedConfig {
    /// As it came.
    Whole(Vec<u8>),
    /// To be made of what is said of each layer, the lowest first.
    Old(Vec<Map<String, Value>>),
}

/// A layer in an archive, compressed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// Its file.
    pub path: String,
    /// What its plain bytes have to be; unknown in old archives.
    pub layer: Option<DiffId>,
    /// What its bytes have to be as they are, if that is told.
    pub blob: Option<BlobDigest>,
}

impl Packed {
    /// The config's bytes, now that it is known what its layers are.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for an old image that says nothing of itself.
    pub fn config_json(&self, layers: &[DiffId]) -> Result<Vec<u8>> {
        match &self.config {
            PackedConfig::Whole(json) => Ok(json.clone()),
            PackedConfig::Old(all) => modern(all, layers),
        }
    }
}

/// Finds the images.
///
/// # Errors
/// [`Error::Corrupt`] for what contradicts itself or leads nowhere; [`Error::NotFound`] if all images of an index are for
/// other machines; of the file system.
pub fn images(archive: &mut Archive) -> Result<Vec<Packed>> {
    let all: Vec<Packed> = if let Some(layout) = archive.document("oci-layout")?
        && let Some(index) = archive.document("index.json")?
    {
        manifest::layout(&layout)?;
        let mut found = Vec::new();
        follow(archive, &index, &[], 0, &mut found)?;
        name_as_saved(archive, &mut found)?;
        found.into_iter().map(|(_, image)| image).collect()
    } else if let Some(json) = archive.document("manifest.json")? {
        let saved = manifest::saved(&json)?;
        few(saved.len())?;
        saved.into_iter().map(|saved| docker(archive, saved)).collect::<Result<_>>()?
    } else if let Some(json) = archive.document("repositories")? {
        let names = manifest::repositories(&json)?;
        few(names.len())?;
        names.into_iter().map(|(name, top)| old(archive, name, &top)).collect::<Result<_>>()?
    } else {
        return Err(Error::Corrupt(
            "read archive: it has neither index.json, manifest.json nor repositories".into(),
        )
        .hint("a tar of a root file system is taken by `skiff import`"));
    };
    if all.is_empty() {
        return Err(Error::Corrupt("read archive: there is no image in it".into()));
    }
    Ok(all)
}

fn few(count: usize) -> Result<()> {
    if count > IMAGES_LIMIT {
        return Err(Error::Corrupt("read archive: more than 1024 images".into()));
    }
    Ok(())
}

fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.0.hex().as_str())
}

/// A document whose digest and size are told.
fn blob(archive: &mut Archive, at: &Descriptor) -> Result<Vec<u8>> {
    let bytes = archive.document(&blob_path(&at.digest))?;
    let bytes =
        bytes.ok_or_else(|| Error::Corrupt(format!("read archive: blob {} is missing", at.digest)))?;
    if bytes.len() as u64 != at.size || Digest::of(&bytes) != at.digest.0 {
        return Err(Error::Corrupt(format!("read archive: blob {} is not what its name says", at.digest)));
    }
    Ok(bytes)
}

/// What an index leads to. Images that are there already get the names only.
fn follow(
    archive: &mut Archive,
    json: &[u8],
    names: &[String],
    depth: usize,
    found: &mut Vec<(ImageId, Packed)>,
) -> Result<()> {
    let Document::Index(all) = Document::parse(json)? else {
        return Err(Error::Corrupt("read index.json: it is no index".into()));
    };
    if depth > INDEX_DEPTH {
        return Err(Error::Corrupt("read archive: indexes are nested too deep".into()));
    }
    for one in manifest::choose(all, depth > 0)? {
        let mut names = names.to_vec();
        // Names by digest are the archive's own business.
        let given =
            one.annotations.name().filter(|name| Reference::parse(name).is_ok_and(|it| it.digest.is_none()));
        if depth == 0 {
            names.extend(given.map(ToString::to_string));
        }
        let json = blob(archive, &one)?;
        match Document::parse(&json)? {
            Document::Index(_) => follow(archive, &json, &names, depth + 1, found)?,
            Document::Manifest { config, layers } => {
                let id = ImageId(config.digest.0);
                if let Some((_, known)) = found.iter_mut().find(|(known, _)| *known == id) {
                    known.names.extend(names);
                    continue;
                }
                few(found.len() + 1)?;
                let config = blob(archive, &config)?;
                found.push((id, oci(archive, names, config, &layers)?));
            }
        }
    }
    Ok(())
}

/// Gives images that the index has no names for those that `manifest.json` has, in an archive that is both.
fn name_as_saved(archive: &mut Archive, found: &mut [(ImageId, Packed)]) -> Result<()> {
    if found.iter().all(|(_, image)| !image.names.is_empty()) {
        return Ok(());
    }
    let Some(json) = archive.document("manifest.json")? else { return Ok(()) };
    for saved in manifest::saved(&json)? {
        let config = saved.config.strip_prefix("blobs/sha256/").and_then(Digest::from_hex);
        for (id, image) in found.iter_mut() {
            if Some(id.0) == config && image.names.is_empty() {
                image.names = names_of(&saved);
            }
        }
    }
    Ok(())
}

fn names_of(saved: &Saved) -> Vec<String> {
    saved.repo_tags.iter().filter(|name| *name != "<none>:<none>").cloned().collect()
}

fn oci(archive: &Archive, names: Vec<String>, config: Vec<u8>, blobs: &[Descriptor]) -> Result<Packed> {
    let diff_ids = layers_of(&config, blobs.len())?;
    let mut layers = Vec::with_capacity(blobs.len());
    for (at, layer) in blobs.iter().zip(diff_ids) {
        let path = blob_path(&at.digest);
        let part = archive.part(&path)?;
        match part {
            Some(part) if part.size == at.size => {}
            Some(_) => {
                return Err(Error::Corrupt(format!(
                    "read archive: blob {} has not the size that is told",
                    at.digest
                )));
            }
            None => return Err(Error::Corrupt(format!("read archive: blob {} is missing", at.digest))),
        }
        layers.push(PackedLayer { path, layer: Some(layer), blob: Some(at.digest) });
    }
    Ok(Packed { names, config: PackedConfig::Whole(config), layers })
}

/// The layers that a config names, which have to be as many as come with it.
fn layers_of(config: &[u8], count: usize) -> Result<Vec<DiffId>> {
    let config = ImageConfig::parse(config)?;
    let wanted = config.rootfs.diff_ids;
    if wanted.len() != count || config.rootfs.kind != "layers" {
        return Err(Error::Corrupt(format!(
            "read archive: the config names {} layers, the manifest {count}",
            wanted.len()
        )));
    }
    Ok(wanted)
}

fn docker(archive: &mut Archive, saved: Saved) -> Result<Packed> {
    let missing =
        |path: &str| Error::Corrupt(format!("read archive: {:.200} is missing", path.escape_debug()));
    let config = archive.document(&saved.config)?.ok_or_else(|| missing(&saved.config))?;
    // A path that is a digest has to tell the truth.
    let told = |path: &str| path.strip_prefix("blobs/sha256/").and_then(Digest::from_hex).map(BlobDigest);
    if told(&saved.config).is_some_and(|digest| digest.0 != Digest::of(&config)) {
        return Err(Error::Corrupt(format!("read archive: {} is not what its name says", saved.config)));
    }
    let names = names_of(&saved);
    let diff_ids = layers_of(&config, saved.layers.len())?;
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (path, layer) in saved.layers.into_iter().zip(diff_ids) {
        archive.part(&path)?.ok_or_else(|| missing(&path))?;
        layers.push(PackedLayer { blob: told(&path), path, layer: Some(layer) });
    }
    Ok(Packed { names, config: PackedConfig::Whole(config), layers })
}

/// An image of old, from its uppermost layer downwards.
fn old(archive: &mut Archive, name: String, top: &str) -> Result<Packed> {
    let bad = |why: &str| Error::Corrupt(format!("read repositories: {why}"));
    let (mut layers, mut all) = (Vec::new(), Vec::new());
    let mut id = top.to_string();
    while !id.is_empty() {
        // The only thing that is made a path of.
        if Digest::from_hex(&id).is_none() {
            return Err(bad("a layer's name is not 64 hexadecimal digits"));
        }
        if layers.len() == LAYER_LIMIT {
            return Err(bad("more than 127 layers, or a circle of them"));
        }
        let path = format!("{id}/layer.tar");
        if archive.part(&path)?.is_none() {
            return Err(bad(&format!("{path} is missing")));
        }
        layers.push(PackedLayer { path, layer: None, blob: None });
        let json = archive.document(&format!("{id}/json"))?;
        let json = json.ok_or_else(|| bad(&format!("{id}/json is missing")))?;
        let said: Map<String, Value> = document("json of a layer", &json)?;
        id = said.get("parent").and_then(Value::as_str).unwrap_or("").to_string();
        all.push(said);
    }
    layers.reverse();
    all.reverse();
    Ok(Packed { names: [name].into(), config: PackedConfig::Old(all), layers })
}

/// The config of an image of old, as Docker made it of the same when images became what they are.
fn modern(all: &[Map<String, Value>], layers: &[DiffId]) -> Result<Vec<u8>> {
    let text = |said: &Map<String, Value>, key: &str| {
        said.get(key).and_then(Value::as_str).unwrap_or("").to_string()
    };
    let mut history = Vec::with_capacity(all.len());
    for said in all {
        let command =
            said.get("container_config").and_then(|config| config.get("Cmd")).and_then(Value::as_array);
        let words = command.map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
        history.push(Step {
            created: said.get("created").and_then(Value::as_str).map(ToString::to_string),
            created_by: words.collect::<Vec<_>>().join(" "),
            author: text(said, "author"),
            comment: text(said, "comment"),
            empty_layer: false,
        });
    }
    let mut top = all.last().cloned().ok_or_else(|| Error::Corrupt("read repositories: no layers".into()))?;
    for gone in ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"] {
        top.remove(gone);
    }
    let rootfs = RootFs { kind: "layers".into(), diff_ids: layers.into() };
    let value = |made: serde_json::Result<Value>| made.expect("plain values");
    top.insert("rootfs".into(), value(serde_json::to_value(&rootfs)));
    top.insert("history".into(), value(serde_json::to_value(&history)));
    let json = serde_json::to_vec(&top).expect("plain values");
    ImageConfig::parse(&json)?;
    Ok(json)
}

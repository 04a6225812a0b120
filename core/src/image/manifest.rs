//! The documents of an archive -> what they say: OCI's indexes and manifests, and Docker's `manifest.json` and
//! `repositories`. Pure; everything in them comes from outside.
//!
//! # Spec
//! OCI image-spec image-index.md, manifest.md, image-layout.md; Docker Image Specification v1.2.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, de::DeserializeOwned};

use super::config::{ARCHITECTURE, DEPTH_LIMIT, SIZE_LIMIT, depth};
use crate::{Error, Result, container::config::nullable, digest::BlobDigest};

/// A blob that a document names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The digest of its bytes.
    pub digest: BlobDigest,
    /// How many they are.
    pub size: u64,
    /// What it is made for.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// What is noted beside it.
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Annotations,
}

/// A system and a processor, in Go's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `linux`, or `unknown` for what is no image.
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// `amd64` for example.
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
}

impl Platform {
    fn is_here(&self) -> bool {
        self.os == "linux" && self.architecture == ARCHITECTURE
    }
}

/// The annotations that mean something here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// A full name.
    #[serde(rename = "io.containerd.image.name")]
    name: Option<String>,
    /// A name, or a tag alone.
    #[serde(rename = "org.opencontainers.image.ref.name")]
    ref_name: Option<String>,
    /// Set for what belongs to an image and is none.
    #[serde(rename = "vnd.docker.reference.type")]
    reference: Option<String>,
}

impl Annotations {
    /// What the image is called; a tag alone is no name.
    pub fn name(&self) -> Option<&str> {
        let is_name = |name: &&str| name.contains([':', '/']);
        self.name.as_deref().or_else(|| self.ref_name.as_deref().filter(is_name))
    }
}

/// An OCI or Docker document that leads to images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One that lists others.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest {
        /// Its config.
        config: Descriptor,
        /// Its layers, the lowest first.
        layers: Vec<Descriptor>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    #[serde(default, deserialize_with = "nullable")]
    media_type: String,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads an index or a manifest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for what is neither, or both: one reader would see another image than the next.
    pub fn parse(json: &[u8]) -> Result<Document> {
        let bad = |why: &str| Err(Error::Corrupt(format!("read manifest: {why}")));
        let raw: Raw = document("manifest", json)?;
        if raw.schema_version != 2 {
            return bad("its schema version is not 2");
        }
        let says_index = raw.media_type.contains(".index.") || raw.media_type.contains(".list.");
        match (raw.manifests, raw.config, raw.layers) {
            (Some(_), _, Some(_)) | (Some(_), Some(_), _) => bad("it has manifests and layers"),
            (Some(manifests), ..) if raw.media_type.is_empty() || says_index => {
                Ok(Document::Index(manifests))
            }
            (None, Some(config), Some(layers)) if !says_index => Ok(Document::Manifest { config, layers }),
            (None, None, _) | (None, _, None) => bad("it is neither an index nor an image's manifest"),
            _ => bad("it is not what its media type says"),
        }
    }
}

/// Those of an index that are images for this machine, or could be: when one of several of the same name is for it, the
/// others are not meant. Inside of an index that is an image itself (`is_image`) all have the same name.
///
/// # Errors
/// [`Error::NotFound`] if all are for other machines.
pub fn choose(all: Vec<Descriptor>, is_image: bool) -> Result<Vec<Descriptor>> {
    let mut images: Vec<Descriptor> = all;
    images.retain(|one| {
        let no_image = one.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        !no_image && one.annotations.reference.is_none()
    });
    let platform = |one: &Descriptor| one.platform.clone().unwrap_or_default();
    if is_image {
        let mut here = images.iter().filter(|one| platform(one).is_here());
        return match (here.next(), images.as_slice()) {
            (Some(one), _) => Ok([one.clone()].into()),
            (None, [only]) if only.platform.is_none() => Ok([only.clone()].into()),
            (None, _) => {
                let others: Vec<String> =
                    images.iter().map(platform).map(|p| format!("{}/{}", p.os, p.architecture)).collect();
                Err(Error::NotFound(format!(
                    "no image for linux/{ARCHITECTURE} in the index: it has {}",
                    if others.is_empty() { "none".to_string() } else { others.join(", ") }
                )))
            }
        };
    }
    let name = |one: &Descriptor| one.annotations.name().map(ToString::to_string);
    let here: Vec<String> = images.iter().filter(|one| platform(one).is_here()).filter_map(name).collect();
    images.retain(|one| {
        platform(one).is_here()
            || one.platform.is_none()
            || !name(one).is_some_and(|name| here.contains(&name))
    });
    Ok(images)
}

/// An image in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    /// The path of its config.
    pub config: String,
    /// Its names.
    #[serde(default, deserialize_with = "nullable")]
    pub repo_tags: Vec<String>,
    /// The paths of its layers, the lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<String>,
}

/// Reads `manifest.json`.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn saved(json: &[u8]) -> Result<Vec<Saved>> {
    document("manifest.json", json)
}

/// Reads `repositories`: names with tags, and the directory of each one's uppermost layer.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn repositories(json: &[u8]) -> Result<Vec<(String, String)>> {
    let all: BTreeMap<String, BTreeMap<String, String>> = document("repositories", json)?;
    let tags = |(name, tags): (String, BTreeMap<String, String>)| {
        tags.into_iter().map(move |(tag, layer)| (format!("{name}:{tag}"), layer)).collect::<Vec<_>>()
    };
    Ok(all.into_iter().flat_map(tags).collect())
}

/// Checks `oci-layout`.
///
/// # Errors
/// [`Error::Corrupt`]; [`Error::Unsupported`] for another version.
pub fn layout(json: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout = document("oci-layout", json)?;
    if layout.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "read oci-layout: its version is {:.20?}, not 1",
        layout.image_layout_version
    )))
}

/// JSON from outside, after a look at its size and depth.
///
/// # Errors
/// [`Error::Corrupt`].
pub(super) fn document<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T> {
    let bad = |why: &str| Error::Corrupt(format!("read {what}: {why}"));
    if json.len() > SIZE_LIMIT {
        return Err(bad("larger than 4 MiB"));
    }
    if depth(json) > DEPTH_LIMIT {
        return Err(bad("nested more than 64 deep"));
    }
    // Structs are read from arrays, too, which is not meant here; only manifest.json is one.
    let begins = json.trim_ascii_start().first();
    if begins != Some(&b'{') && !(begins == Some(&b'[') && what == "manifest.json") {
        return Err(bad("not JSON of this kind"));
    }
    crate::json::from_slice(json).map_err(|error| bad(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn descriptor(name: &str, platform: &str) -> String {
        let digest = Digest::of(format!("{name}{platform}").as_bytes());
        let mut text = format!(r#"{{"mediaType":"x","digest":"{digest}","size":3"#);
        if let Some((os, architecture)) = platform.split_once('/') {
            text += &format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}"#);
        }
        if !name.is_empty() {
            text +=
                &format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}","other":"x"}}"#);
        }
        text + "}"
    }

    fn index(all: &[(&str, &str)]) -> Vec<Descriptor> {
        let all: Vec<String> = all.iter().map(|(name, platform)| descriptor(name, platform)).collect();
        let json = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, all.join(","));
        match Document::parse(json.as_bytes()).unwrap() {
            Document::Index(all) => all,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_document_is_an_index_or_a_manifest_and_never_both() {
        let one = descriptor("", "");
        let manifest = format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one},{one}]}}"#);
        assert!(
            matches!(Document::parse(manifest.as_bytes()), Ok(Document::Manifest { layers, .. }) if layers.len() == 2)
        );
        let list = "application/vnd.docker.distribution.manifest.list.v2+json";
        for bad in [
            format!(r#"{{"schemaVersion":2,"config":{one},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"config":{one},"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"{list}","config":{one},"layers":[]}}"#),
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#
                .into(),
            r#"{"schemaVersion":1,"manifests":[]}"#.into(),
            r#"{"schemaVersion":2}"#.into(),
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#.into(),
            manifest.replace("sha256:", "sha256:../"),
            manifest.replace("sha256:", "sha512:"),
            manifest.replace(":3", ":-3"),
            manifest.replace(":3", ":99999999999999999999"),
            format!("[{}", "[".repeat(100)),
            "[2]".into(),
            String::new(),
        ] {
            assert!(matches!(Document::parse(bad.as_bytes()), Err(Error::Corrupt(_))), "{bad}");
        }
    }

    #[test]
    fn the_image_for_this_machine_is_chosen() {
        let here = format!("linux/{ARCHITECTURE}");
        let all = index(&[("", "linux/s390x"), ("", &here), ("", "unknown/unknown")]);
        assert_eq!(choose(all.clone(), true).unwrap(), [all[1].clone()]);
        let error = choose(index(&[("", "linux/s390x"), ("", "windows/amd64")]), true).unwrap_err();
        assert!(error.to_string().ends_with("it has linux/s390x, windows/amd64"), "{error}");
        // Side by side they are images of their own, unless they have one name.
        assert_eq!(choose(all.clone(), false).unwrap().len(), 2);
        let same = index(&[("a:1", "linux/s390x"), ("a:1", &here), ("b:1", "linux/s390x"), ("c:1", "")]);
        let names: Vec<_> = choose(same.clone(), false).unwrap();
        assert_eq!(names, [same[1].clone(), same[2].clone(), same[3].clone()]);
    }

    #[test]
    fn a_tag_alone_is_no_name() {
        let name = |text| index(&[(text, "")])[0].annotations.name().map(ToString::to_string);
        assert_eq!(name("latest"), None);
        assert_eq!(name("a:latest").as_deref(), Some("a:latest"));
        assert_eq!(name("x.io/a").as_deref(), Some("x.io/a"));
    }

    #[test]
    fn dockers_documents_are_read() {
        let all =
            saved(br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"],"Parent":"x"}]"#).unwrap();
        assert_eq!((all[0].config.as_str(), all[0].repo_tags.len(), all[0].layers.len()), ("c.json", 0, 1));
        let names = repositories(br#"{"a/b":{"1":"x","2":"y"},"c":{"1":"z"}}"#).unwrap();
        assert_eq!(names[1], ("a/b:2".to_string(), "y".to_string()));
        assert!(saved(b"{}").is_err() && repositories(b"[]").is_err());
        assert!(
            layout(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok()
                && layout(br#"{"imageLayoutVersion":"2"}"#).is_err()
        );
    }
}

//! What is noted of an image in the documents of an archive, and not in its config.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};

use serde::{Deserialize, Serialize};

use super::reference::Reference;
use crate::{Error, Result};

/// Most bytes of all of them, as JSON.
const BYTES_MAX: usize = 512 << 10;

/// Keys and values.
pub type Map = BTreeMap<String, String>;

/// The annotations of an image, by the place where they are.
///
/// # Spec
/// OCI image-spec annotations.md.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Annotations {
    /// Those in its manifest.
    pub manifest: Map,
    /// Those in the manifest's descriptor, which is in an archive's `index.json`.
    pub descriptor: Map,
}

impl Annotations {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.manifest.is_empty() && self.descriptor.is_empty()
    }

    /// Checks them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty key, and for more than 512 KiB of them.
    pub fn check(&self) -> Result<()> {
        let bad = |why: &str| Err(Error::Invalid(format!("invalid annotation: {why}")));
        if self.manifest.contains_key("") || self.descriptor.contains_key("") {
            return bad("its key is empty");
        }
        if json(&self.manifest).len() + json(&self.descriptor).len() > BYTES_MAX {
            return bad("all of them are more than 512 KiB");
        }
        Ok(())
    }

    /// The manifest's as its last field, with a comma before it; nothing if there are none.
    pub fn of_manifest(&self) -> String {
        field(&self.manifest)
    }

    /// The same for its descriptor, which also says what the image is called. That can't be said otherwise.
    pub fn of_descriptor(&self, name: Option<&Reference>) -> String {
        let mut all = self.descriptor.clone();
        if let Some(name) = name {
            let tag = name.tag.as_deref().unwrap_or("latest");
            all.insert("io.containerd.image.name".into(), name.to_string());
            all.insert("org.opencontainers.image.ref.name".into(), tag.to_string());
        }
        field(&all)
    }
}

fn json(map: &Map) -> String {
    serde_json::to_string(map).expect("plain text")
}

fn field(map: &Map) -> String {
    if map.is_empty() { String::new() } else { format!(",\"annotations\":{}", json(map)) }
}

//! What a container was created as: the file `record.json` in its directory. Only `rename` and `update` change it, by
//! replacing it whole.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    config::{Config, HostConfig},
    names,
};
use crate::process::cgroup::Resources;

/// A container as it was created, with the image's settings merged in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a leading slash.
    pub name: String,
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    /// `sha256:...` of the image's config; empty for the host's own root file system.
    pub image: String,
    /// The portable settings, image and request merged.
    pub config: Config,
    /// The settings that belong to this host.
    pub host: HostConfig,
    /// What it may use.
    pub resources: Resources,
    /// What is mounted where, besides the standard file systems; in the order of mounting.
    pub mounts: Vec<MountPoint>,
}

/// The image name that stands for the host's own root file system.
pub const HOST_IMAGE: &str = "host";

impl Record {
    /// The first 12 digits of the id.
    pub fn short_id(&self) -> &str {
        names::short(&self.id)
    }

    /// Entrypoint and command, as the process gets them.
    pub fn arguments(&self) -> impl Iterator<Item = &str> + Clone {
        let (first, rest) = (&self.config.entrypoint, &self.config.cmd);
        first.iter().flatten().chain(rest.iter().flatten()).map(String::as_str)
    }

    /// The host name inside.
    pub fn hostname(&self) -> &str {
        if self.config.hostname.is_empty() { self.short_id() } else { &self.config.hostname }
    }
}

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    #[default]
    Bind,
    /// A volume that skiff keeps.
    Volume,
    /// Memory.
    Tmpfs,
}

/// One mount, resolved: what is mounted where and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// What kind of thing.
    pub kind: MountKind,
    /// The volume's name; empty for others.
    pub name: String,
    /// The path on the host: of the bind's source or of the volume's data. Empty for tmpfs.
    pub source: String,
    /// The absolute path inside.
    pub destination: String,
    /// A directory inside the volume; empty for its root.
    pub subpath: String,
    /// The option words as given, for display; of tmpfs its mount options.
    pub mode: String,
    /// Nothing can be written through it.
    pub read_only: bool,
    /// `rprivate`, `rslave`, ... ; empty for the default.
    pub propagation: String,
    /// Without the mounts below the source.
    pub non_recursive: bool,
    /// The volume was made for this container alone and goes with it.
    pub anonymous: bool,
    /// Don't fill an empty volume from the image.
    pub no_copy: bool,
    /// A source that is missing is made: a directory.
    pub create_source: bool,
    /// Read-only does not reach the mounts below the source.
    pub read_only_top: bool,
}

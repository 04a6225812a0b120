//! What a container was created as: the file `record.json` in its directory. Only `rename` and `update` change it, by
//! replacing it whole.

mod brief;

use alloc::{string::String, vec, vec::Vec};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    config::{Config, HostConfig, Map},
    endpoint::EndpointSettings,
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
    /// The networks that it is on, by their names, and what it asks for there. None: what its network mode says.
    pub networks: Option<Map<EndpointSettings>>,
}

/// As much of a record as lists show and choose by. Reading it costs a fraction of reading all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listed {
    /// As [`Record::id`].
    pub id: String,
    /// As [`Record::name`].
    pub name: String,
    /// As [`Record::created_ns`].
    pub created_ns: i64,
    /// As [`Record::image`].
    pub image: String,
    /// Of [`Record::config`].
    pub config: ListedConfig,
    /// Of [`Record::host`].
    pub host: ListedHost,
    /// As [`Record::mounts`].
    pub mounts: Vec<MountPoint>,
    /// As [`Record::networks`], without what it asks for there.
    pub networks: Option<Map<IgnoredAny>>,
}

/// As much of a [`Config`] as lists need.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedConfig {
    /// As [`Config::image`].
    pub image: String,
    /// As [`Config::entrypoint`].
    pub entrypoint: Option<Vec<String>>,
    /// As [`Config::cmd`].
    pub cmd: Option<Vec<String>>,
    /// As [`Config::labels`].
    pub labels: Map<String>,
    /// As [`Config::exposed_ports`].
    pub exposed_ports: Map<IgnoredAny>,
}

/// As much of a [`HostConfig`] as lists need.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedHost {
    /// As [`HostConfig::network_mode`].
    pub network_mode: String,
    /// As [`HostConfig::port_bindings`], without where they lead.
    pub port_bindings: Map<IgnoredAny>,
    /// As [`HostConfig::tmpfs`], without the options.
    pub tmpfs: Map<IgnoredAny>,
}

impl Listed {
    /// As [`Record::arguments`].
    pub fn arguments(&self) -> impl Iterator<Item = &str> + Clone {
        let (first, rest) = (&self.config.entrypoint, &self.config.cmd);
        first.iter().flatten().chain(rest.iter().flatten()).map(String::as_str)
    }

    /// As [`Record::is_bridged`].
    pub fn is_bridged(&self) -> bool {
        is_bridged(&self.host.network_mode)
    }

    /// As [`Record::network_names`].
    pub fn network_names(&self) -> Vec<&str> {
        names_of(&self.host.network_mode, self.networks.as_ref())
    }
}

fn is_bridged(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "none" | "host") && !mode.starts_with("container:")
}

/// The networks that a container with this mode is on, the one of the mode first.
fn names_of<'a, T>(mode: &'a str, networks: Option<&'a Map<T>>) -> Vec<&'a str> {
    match (networks, mode) {
        (Some(networks), _) => {
            let mut names: Vec<&str> = networks.keys().map(String::as_str).collect();
            if let Some(at) = names.iter().position(|name| *name == mode) {
                names[..=at].rotate_right(1);
            }
            names
        }
        (None, "" | "default") => vec!["none"],
        (None, mode) if mode.starts_with("container:") => Vec::new(),
        (None, mode) => vec![mode],
    }
}

/// The image name that stands for the host's own root file system.
pub const HOST_IMAGE: &str = "host";

impl Record {
    /// As it stands in its file: what is as usual is left out.
    pub fn to_json(&self) -> Vec<u8> {
        let json = |record: &Record| serde_json::to_vec(record).expect("a record has only string keys");
        brief::brief(&json(self), &json(&Record::default()))
    }

    /// The first 12 digits of the id.
    pub fn short_id(&self) -> &str {
        names::short(&self.id)
    }

    /// Entrypoint and command, as the process gets them.
    pub fn arguments(&self) -> impl Iterator<Item = &str> + Clone {
        let (first, rest) = (&self.config.entrypoint, &self.config.cmd);
        first.iter().flatten().chain(rest.iter().flatten()).map(String::as_str)
    }

    /// The networks that it is on, the one of its network mode first.
    pub fn network_names(&self) -> Vec<&str> {
        names_of(&self.host.network_mode, self.networks.as_ref())
    }

    /// The networks that it is on, to be changed; those of its mode are said from then on.
    pub fn own_networks(&mut self) -> &mut Map<EndpointSettings> {
        let names = names_of(&self.host.network_mode, self.networks.as_ref()).into_iter();
        let said = names.map(|name| (name.into(), EndpointSettings::default())).collect();
        self.networks.get_or_insert(said)
    }

    /// Whether it is on networks that it can come to and leave.
    pub fn is_bridged(&self) -> bool {
        is_bridged(&self.host.network_mode)
    }

    /// What it asks for on a network.
    pub fn endpoint_settings(&self, network: &str) -> Option<&EndpointSettings> {
        self.networks.as_ref()?.get(network)
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
    /// The source's files have the ids of the inside, as a volume's do.
    pub id_mapped: bool,
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::container::config::Empty;

    #[test]
    fn a_record_reads_as_it_was_written() {
        assert_eq!(Record::default().to_json(), b"{}");
        let mut record = Record::default();
        // What differs from the usual only by being said.
        record.config.entrypoint = Some(vec![]);
        record.config.labels.insert(String::new(), String::new());
        record.host.ulimits = vec![];
        record.host.init = Some(false);
        record.resources.pids_limit = Some(0);
        record.mounts.push(MountPoint::default());
        assert_eq!(serde_json::from_slice::<Record>(&record.to_json()).unwrap(), record);
    }

    #[test]
    fn the_network_of_the_mode_is_the_first() {
        let mut record = Record::default();
        for (mode, names) in [
            ("", &["none"][..]),
            ("default", &["none"]),
            ("bridge", &["bridge"]),
            ("host", &["host"]),
            ("container:x", &[]),
        ] {
            record.host.network_mode = mode.into();
            assert_eq!(record.network_names(), names);
            assert_eq!(record.is_bridged(), names == ["bridge"]);
        }
        record.host.network_mode = "mid".into();
        record.networks =
            Some(["top", "low", "mid"].map(|name| (name.into(), EndpointSettings::default())).into());
        assert_eq!(record.network_names(), ["mid", "low", "top"]);
        record.networks = Some(Map::new());
        assert!(record.network_names().is_empty());
    }

    #[test]
    fn what_lists_read_of_a_record_is_what_it_says() {
        let mut record = Record { id: "i".into(), name: "n".into(), created_ns: 7, ..Record::default() };
        record.image = "sha256:1".into();
        record.config.image = "box".into();
        record.config.entrypoint = Some(vec!["sh".into()]);
        record.config.cmd = Some(vec!["-c".into(), "a\"b".into()]);
        record.config.labels.insert("k".into(), "v\n".into());
        record.config.exposed_ports.insert("80/tcp".into(), Empty {});
        record.host.network_mode = "host".into();
        record.host.port_bindings.insert("81/tcp".into(), None);
        record.host.tmpfs.insert("/t".into(), String::new());
        record.mounts.push(MountPoint { destination: "/d".into(), ..MountPoint::default() });
        record.networks = Some([("front".into(), EndpointSettings::default())].into());
        let listed: Listed = serde_json::from_slice(&record.to_json()).unwrap();
        assert_eq!(listed.network_names(), ["front"]);
        assert_eq!((listed.id, listed.name, listed.created_ns), ("i".into(), "n".into(), 7));
        assert_eq!((&listed.image, &listed.config.image), (&record.image, &record.config.image));
        assert_eq!(listed.config.entrypoint, record.config.entrypoint);
        assert_eq!(listed.config.cmd, record.config.cmd);
        assert_eq!(listed.config.labels, record.config.labels);
        assert!(listed.config.exposed_ports.keys().eq(record.config.exposed_ports.keys()));
        assert_eq!(listed.host.network_mode, record.host.network_mode);
        assert!(listed.host.port_bindings.keys().eq(record.host.port_bindings.keys()));
        assert!(listed.host.tmpfs.keys().eq(record.host.tmpfs.keys()));
        assert_eq!(listed.mounts, record.mounts);
    }
}

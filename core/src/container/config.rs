//! A container's settings as Docker's API and image configs write them: `Config` (portable, an image may carry it) and
//! `HostConfig` (this host only). Each setting is declared here once and is read by whoever consumes it.
//!
//! JSON `null` stands for the default everywhere, as Docker's clients send it. Unknown fields are ignored, and have no
//! power.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Key to value, in the order in which it is printed.
pub type Map<V> = BTreeMap<String, V>;

/// `{}`: the value of sets that the API writes as maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The portable part of a container's settings; also the `config` of an image.
///
/// # Spec
/// Docker Engine API v1.50, `ContainerConfig`; OCI image-spec config.md, `config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Host name inside; the short id when empty.
    #[serde(deserialize_with = "nullable")]
    pub hostname: String,
    /// NIS domain name.
    #[serde(deserialize_with = "nullable")]
    pub domainname: String,
    /// `user[:group]`, names from the image or numbers.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// The creating client attaches to stdin.
    #[serde(deserialize_with = "nullable")]
    pub attach_stdin: bool,
    /// The creating client attaches to stdout.
    #[serde(deserialize_with = "nullable")]
    pub attach_stdout: bool,
    /// The creating client attaches to stderr.
    #[serde(deserialize_with = "nullable")]
    pub attach_stderr: bool,
    /// `port/protocol` of what listens inside.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub exposed_ports: Map<Empty>,
    /// A pseudo-terminal instead of three pipes.
    #[serde(deserialize_with = "nullable")]
    pub tty: bool,
    /// Keep stdin open.
    #[serde(deserialize_with = "nullable")]
    pub open_stdin: bool,
    /// Close stdin when the first attached client goes.
    #[serde(deserialize_with = "nullable")]
    pub stdin_once: bool,
    /// `NAME=value`.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// The default arguments, or the command.
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether the service works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The image's name as the user gave it.
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    /// Places that are to be volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Option<Map<Empty>>,
    /// The directory that the process starts in; `/` when empty.
    #[serde(deserialize_with = "nullable")]
    pub working_dir: String,
    /// What is put before the arguments.
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// Instructions for images built from this one.
    #[serde(deserialize_with = "nullable")]
    pub on_build: Option<Vec<String>>,
    /// Free-form notes; they have no power.
    #[serde(deserialize_with = "nullable")]
    pub labels: Map<String>,
    /// The signal that asks the process to end; SIGTERM when empty.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds between that signal and SIGKILL; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of shell-form instructions.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// How a container's health is probed. Times are nanoseconds, 0 means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", argument...]` or `["CMD-SHELL", command]`; empty: as the image says.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two probes; default 30 s.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Of one probe; default 30 s.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// While failures don't count; default 0.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between probes during the start period; default 5 s.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that mean unhealthy; default 3.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The settings that belong to this host.
///
/// # Spec
/// Docker Engine API v1.50, `HostConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:destination[:options]`.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub binds: Vec<String>,
    /// Where the client wrote the id.
    #[serde(rename = "ContainerIDFile", deserialize_with = "nullable")]
    pub container_id_file: String,
    /// What becomes of the output.
    #[serde(deserialize_with = "nullable")]
    pub log_config: LogConfig,
    /// `none`, `host`, `container:NAME`, `default`.
    #[serde(deserialize_with = "nullable")]
    pub network_mode: String,
    /// Published ports.
    #[serde(deserialize_with = "nullable")]
    pub port_bindings: Map<Option<Vec<PortBinding>>>,
    /// What happens after the process has ended.
    #[serde(deserialize_with = "nullable")]
    pub restart_policy: RestartPolicy,
    /// Remove the container after it has ended.
    #[serde(deserialize_with = "nullable")]
    pub auto_remove: bool,
    /// Only `local` or empty.
    #[serde(deserialize_with = "nullable")]
    pub volume_driver: String,
    /// `container[:ro|rw]`.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub volumes_from: Vec<String>,
    /// Mounts in the long form.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// `[height, width]` of the client's terminal.
    #[serde(deserialize_with = "nullable")]
    pub console_size: [u32; 2],
    /// Capabilities to add.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub cap_drop: Vec<String>,
    /// `private` (default) or `host`.
    #[serde(deserialize_with = "nullable")]
    pub cgroupns_mode: String,
    /// Name servers for resolv.conf.
    #[serde(deserialize_with = "nullable")]
    pub dns: Vec<String>,
    /// Options for resolv.conf.
    #[serde(deserialize_with = "nullable")]
    pub dns_options: Vec<String>,
    /// Search domains for resolv.conf.
    #[serde(deserialize_with = "nullable")]
    pub dns_search: Vec<String>,
    /// `name:address` lines for /etc/hosts.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub extra_hosts: Vec<String>,
    /// Supplementary groups, by name or number.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub group_add: Vec<String>,
    /// `private`, `shareable`, `none`, `host`, `container:NAME`.
    #[serde(deserialize_with = "nullable")]
    pub ipc_mode: String,
    /// Legacy links; refused.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub links: Vec<String>,
    /// -1000 to 1000.
    #[serde(deserialize_with = "nullable")]
    pub oom_score_adj: i32,
    /// empty, `host` or `container:NAME`.
    #[serde(deserialize_with = "nullable")]
    pub pid_mode: String,
    /// All rights, all devices, no masks.
    #[serde(deserialize_with = "nullable")]
    pub privileged: bool,
    /// Publish every exposed port.
    #[serde(deserialize_with = "nullable")]
    pub publish_all_ports: bool,
    /// The root file system is mounted read-only.
    #[serde(deserialize_with = "nullable")]
    pub readonly_rootfs: bool,
    /// `no-new-privileges`, `seccomp=...`, `systempaths=unconfined`.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub security_opt: Vec<String>,
    /// Options of the root file system.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub storage_opt: Map<String>,
    /// Destination to tmpfs options.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub tmpfs: Map<String>,
    /// empty or `host`.
    #[serde(rename = "UTSMode", deserialize_with = "nullable")]
    pub uts_mode: String,
    /// empty or `host`, `auto` or `private`.
    #[serde(deserialize_with = "nullable")]
    pub userns_mode: String,
    /// empty or `host`, `private[,monotonic=SECONDS][,boottime=SECONDS]`; not of Docker's.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub timens_mode: String,
    /// Bytes of /dev/shm; 0 means 64 MiB.
    #[serde(deserialize_with = "nullable")]
    pub shm_size: i64,
    /// Kernel settings of the container's own namespaces.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub sysctls: Map<String>,
    /// Only empty, `skiff` or `runc` (which then means skiff itself).
    #[serde(deserialize_with = "nullable")]
    pub runtime: String,
    /// Run an init as process 1.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Paths hidden inside; absent: the default list.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that are read-only inside; absent: the default list.
    pub readonly_paths: Option<Vec<String>>,
    /// Only empty or `default`; Windows knows others.
    #[serde(deserialize_with = "nullable")]
    pub isolation: String,
    /// Resource limits of processes.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub ulimits: Vec<Ulimit>,
    /// Devices of the host that are to appear inside.
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<Device>,
    /// `type major:minor access` rules.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// GPU and other device requests; refused when not empty.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub device_requests: Vec<serde_json::Value>,
    /// The control group that the container's own is made in.
    #[serde(deserialize_with = "nullable")]
    pub cgroup_parent: String,
}

impl HostConfig {
    /// Whether root inside is nobody on the host.
    pub fn has_user_namespace(&self) -> bool {
        matches!(self.userns_mode.as_str(), "auto" | "private")
    }

    /// Whether it has clocks of its own.
    pub fn has_time_namespace(&self) -> bool {
        !matches!(self.timens_mode.as_str(), "" | "host")
    }
}

/// Where output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// `json-file` (also when empty) or `none`.
    #[serde(rename = "Type", deserialize_with = "nullable")]
    pub driver: String,
    /// `max-size`, `max-file`.
    #[serde(deserialize_with = "nullable")]
    pub config: Map<String>,
}

/// What happens after an exit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// empty or `no`, `on-failure`, `always`, `unless-stopped`.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// For `on-failure`; 0: without end.
    #[serde(deserialize_with = "nullable")]
    pub maximum_retry_count: i64,
}

/// The host's side of a published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Address on the host.
    #[serde(deserialize_with = "nullable")]
    pub host_ip: String,
    /// Port on the host.
    #[serde(deserialize_with = "nullable")]
    pub host_port: String,
}

/// One `--mount`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type", deserialize_with = "nullable")]
    pub kind: String,
    /// Path on the host or name of the volume.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Path inside.
    #[serde(deserialize_with = "nullable")]
    pub target: String,
    /// Nothing can be written through it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "core::ops::Not::not")]
    pub read_only: bool,
    /// For binds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// For volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// For tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `rprivate` (default), `private`, `rshared`, `shared`, `rslave`, `slave`.
    #[serde(deserialize_with = "nullable")]
    pub propagation: String,
    /// Without the mounts below the source.
    #[serde(deserialize_with = "nullable")]
    pub non_recursive: bool,
    /// Make the source directory if it is missing.
    #[serde(deserialize_with = "nullable")]
    pub create_mountpoint: bool,
    /// Read-only does not reach the mounts below the source.
    #[serde(deserialize_with = "nullable")]
    pub read_only_non_recursive: bool,
    /// Read-only must reach the mounts below the source.
    #[serde(deserialize_with = "nullable")]
    pub read_only_force_recursive: bool,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Don't fill an empty volume from the image.
    #[serde(deserialize_with = "nullable")]
    pub no_copy: bool,
    /// Labels of a volume that is made for this.
    #[serde(deserialize_with = "nullable")]
    pub labels: Map<String>,
    /// A directory inside the volume.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// Driver and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<DriverConfig>,
}

/// A volume driver and its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    /// Only `local` or empty.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The driver's options.
    #[serde(deserialize_with = "nullable")]
    pub options: Map<String>,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// 0: no limit.
    #[serde(deserialize_with = "nullable")]
    pub size_bytes: i64,
    /// Permission bits; 0 means 1777.
    #[serde(deserialize_with = "nullable")]
    pub mode: u32,
}

/// One `--ulimit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `nproc`, ...
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// -1: unlimited.
    #[serde(deserialize_with = "nullable")]
    pub soft: i64,
    /// -1: unlimited.
    #[serde(deserialize_with = "nullable")]
    pub hard: i64,
}

/// One `--device`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Device {
    /// The node, or a directory of nodes, on the host.
    #[serde(deserialize_with = "nullable")]
    pub path_on_host: String,
    /// Where it appears inside.
    #[serde(deserialize_with = "nullable")]
    pub path_in_container: String,
    /// Of `r`, `w` and `m`.
    #[serde(deserialize_with = "nullable")]
    pub cgroup_permissions: String,
}

/// `null` is the default.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What Docker writes for lists that nobody has set.
fn null_if_empty<S: Serializer, T: Serialize>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { to.serialize_none() } else { list.serialize(to) }
}

/// For what Docker leaves out if it is not set.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A list of words, or one string, which old clients send for a list of one.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Words;
    impl<'de> serde::de::Visitor<'de> for Words {
        type Value = Option<Vec<String>>;
        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("a list of strings")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E>(self, word: &str) -> Result<Self::Value, E> {
            Ok(Some([word.to_string()].into()))
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(word) = list.next_element()? {
                all.push(word);
            }
            Ok(Some(all))
        }
    }
    from.deserialize_any(Words)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn null_is_the_default_and_unknown_fields_have_no_power() {
        let host: HostConfig = serde_json::from_str(
            r#"{"Binds":null,"LogConfig":null,"MaskedPaths":null,"ConsoleSize":[0,0],"NoSuchField":1,"Init":null}"#,
        )
        .unwrap();
        assert_eq!(host, HostConfig::default());
    }

    #[test]
    fn a_command_may_be_one_string() {
        let config: Config = serde_json::from_str(r#"{"Cmd":"sh","Entrypoint":null}"#).unwrap();
        assert_eq!((config.cmd, config.entrypoint), (Some(vec!["sh".into()]), None));
    }
}

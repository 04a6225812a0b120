//! `create`: a request becomes a record on the shelf. Everything that can be found wrong is found here, before anything
//! is written.

use alloc::{format, string::String, vec, vec::Vec};

use serde::Deserialize;

use super::Engine;
use crate::{
    Error, Result,
    clock::Time,
    container::{
        config::{Config, HostConfig},
        health, log, names,
        record::{HOST_IMAGE, MountKind, MountPoint, Record},
        restart::Policy,
        shelf::Container,
        signals,
    },
    process::{
        capability::CapabilitySet,
        cgroup::{Resources, devices::Rule, resources::Machine},
    },
    store::Locked,
};

/// The body of `POST /containers/create`, beside the settings that stand in it at the top level.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rest<T> {
    host_config: Option<T>,
}

impl Engine {
    /// Makes a container from the body of a create request.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that make no sense, [`Error::NotFound`] without the image, [`Error::Conflict`]
    /// if the name is taken.
    pub fn create(&self, body: &[u8], name: Option<&str>) -> Result<Container> {
        let mut config: Config = parse(body)?;
        let host = parse::<Rest<HostConfig>>(body)?.host_config.unwrap_or_default();
        let resources = parse::<Rest<Resources>>(body)?.host_config.unwrap_or_default();
        // What is found is not taken away until the container that uses it is on the shelf.
        let (_found, image) = self.complete(&mut config)?;
        if config.entrypoint.as_ref().is_some_and(|words| matches!(words.as_slice(), [one] if one.is_empty()))
        {
            // `--entrypoint ""`: none.
            config.entrypoint = None;
        }
        check(&config, &host)?;
        resources.check(&mut Machine::read)?;
        let mounts = mounts(&host)?;
        let id = names::new_id()?;
        let given = name.map(names::parse).transpose()?;
        let mut record = Record {
            id,
            name: String::new(),
            created_ns: Time::now().unix_nanos(),
            image,
            config,
            host,
            resources,
            mounts,
        };
        if let Some(name) = given {
            record.name = name.into();
            return self.shelf.add(&record);
        }
        let mut attempt = 0;
        loop {
            record.name = names::generated(attempt)?;
            match self.shelf.add(&record) {
                Err(Error::Conflict(_)) if attempt < 100 => attempt += 1,
                other => return other,
            }
        }
    }

    /// Completes the settings with those of the image. The image's id, and what keeps it from being removed.
    fn complete(&self, config: &mut Config) -> Result<(Option<Locked>, String)> {
        if config.image == HOST_IMAGE {
            return Ok((None, String::new()));
        }
        if config.image.is_empty() {
            return Err(Error::Invalid("no image specified".into()));
        }
        let locked = self.store.share()?;
        let image = self.store.resolve(&config.image).map_err(|error| match error {
            Error::NotFound(_) => {
                error.hint("`skiff import` makes an image; `host` is this machine's own root")
            }
            other => other,
        })?;
        config.complete(&image.config.config);
        Ok((Some(locked), format!("{}", image.id)))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("invalid request body: {error}")))
}

/// What makes no sense, and what is not there yet.
fn check(config: &Config, host: &HostConfig) -> Result<()> {
    if config.entrypoint.iter().chain(&config.cmd).flatten().next().is_none() {
        return Err(Error::Invalid("no command specified".into()));
    }
    if config.hostname.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Error::Invalid(format!("invalid hostname {:?}", config.hostname)));
    }
    CapabilitySet::requested(host.privileged, &host.cap_add, &host.cap_drop)?;
    for rule in &host.device_cgroup_rules {
        Rule::parse(rule)?;
    }
    log::Settings::new(&host.log_config)?;
    if let Some(check) = &config.healthcheck {
        health::Settings::new(check, &config.shell)?;
    }
    Policy::new(&host.restart_policy, host.auto_remove)?;
    if !config.stop_signal.is_empty() {
        signals::parse(&config.stop_signal)?;
    }
    if !matches!(host.runtime.as_str(), "" | "skiff" | "runc") {
        return Err(Error::Invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    for (mode, what) in [(&host.network_mode, "network"), (&host.ipc_mode, "ipc"), (&host.pid_mode, "pid")] {
        if mode.starts_with("container:") {
            return Err(Error::Unsupported(format!("--{what} {mode} is not there yet")));
        }
    }
    if !matches!(host.network_mode.as_str(), "" | "default" | "none" | "host") {
        return Err(Error::NotFound(format!("network {} not found", host.network_mode))
            .hint("none and host are there; bridge networks are not yet"));
    }
    let pending = [
        (!host.port_bindings.is_empty() || host.publish_all_ports, "publishing ports"),
        (!host.volumes_from.is_empty(), "--volumes-from"),
        (!host.links.is_empty(), "--link"),
        (!host.device_requests.is_empty(), "device requests"),
        (!host.storage_opt.is_empty(), "--storage-opt"),
        (config.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty()), "volumes without a source"),
    ];
    match pending.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::Unsupported(format!("{what} is not there yet"))),
        None => Ok(()),
    }
}

/// The mounts of the settings, parents before children.
fn mounts(host: &HostConfig) -> Result<Vec<MountPoint>> {
    let mut all: Vec<MountPoint> = Vec::new();
    for bind in &host.binds {
        all.push(bind_point(bind)?);
    }
    for mount in &host.mounts {
        let mut point = MountPoint {
            destination: mount.target.clone(),
            read_only: mount.read_only,
            ..MountPoint::default()
        };
        match mount.kind.as_str() {
            "bind" => {
                point.source = mount.source.clone();
                if let Some(options) = &mount.bind_options {
                    point.propagation = options.propagation.clone();
                    point.non_recursive = options.non_recursive;
                }
            }
            "tmpfs" => {
                point.kind = MountKind::Tmpfs;
                let options = mount.tmpfs_options.clone().unwrap_or_default();
                if options.size_bytes > 0 {
                    point.mode = format!("size={}", options.size_bytes);
                }
                if options.mode != 0 {
                    point.mode = format!("{},mode={:o}", point.mode, options.mode);
                }
            }
            "volume" => return Err(Error::Unsupported("volumes are not there yet".into())),
            other => {
                return Err(Error::Invalid(format!("invalid mount config: mount type {other:?} unknown")));
            }
        }
        all.push(point);
    }
    for (destination, options) in &host.tmpfs {
        all.push(MountPoint {
            kind: MountKind::Tmpfs,
            destination: destination.clone(),
            mode: options.clone(),
            ..MountPoint::default()
        });
    }
    for point in &all {
        if !point.destination.starts_with('/') || point.destination.split('/').any(|part| part == "..") {
            return Err(Error::Invalid(format!(
                "invalid mount path: '{}' mount path must be absolute",
                point.destination
            )));
        }
        if point.destination.trim_end_matches('/').is_empty() {
            return Err(Error::Invalid("invalid specification: destination can't be '/'".into()));
        }
        if point.kind == MountKind::Bind && !point.source.starts_with('/') {
            return Err(Error::Invalid(format!(
                "invalid mount path: '{}' mount path must be absolute",
                point.source
            )));
        }
    }
    all.sort_by_key(|point| point.destination.split('/').filter(|part| !part.is_empty()).count());
    if let Some(twice) = all
        .iter()
        .enumerate()
        .find(|(index, point)| all[..*index].iter().any(|other| other.destination == point.destination))
    {
        return Err(Error::Invalid(format!("Duplicate mount point: {}", twice.1.destination)));
    }
    Ok(all)
}

/// `source:destination[:options]`.
fn bind_point(bind: &str) -> Result<MountPoint> {
    let parts: Vec<&str> = bind.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [source, destination] => (source, destination, ""),
        [source, destination, options] => (source, destination, options),
        _ => return Err(Error::Invalid(format!("invalid volume specification: '{bind}'"))),
    };
    if !source.starts_with('/') {
        return Err(Error::Unsupported(format!("volume {source}: volumes are not there yet")));
    }
    let mut point = MountPoint {
        source: source.into(),
        destination: destination.into(),
        mode: options.into(),
        ..MountPoint::default()
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => point.read_only = true,
            "rw" | "nocopy" | "z" | "Z" => {}
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => {
                point.propagation = option.into()
            }
            other => return Err(Error::Invalid(format!("invalid mode: {other}"))),
        }
    }
    Ok(point)
}

/// The lines of every container's /etc/hosts, and those that were asked for.
pub(super) fn hosts(record: &Record) -> Result<String> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for extra in &record.host.extra_hosts {
        let (name, address) = extra
            .split_once([':', '='])
            .filter(|(name, address)| !name.is_empty() && address.parse::<core::net::IpAddr>().is_ok())
            .ok_or_else(|| Error::Invalid(format!("invalid --add-host {extra:?}: want name:address")))?;
        text.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(text)
}

/// resolv.conf: what was asked for, else the host's own.
pub(super) fn resolv_conf(host: &HostConfig, own: &[u8]) -> Vec<u8> {
    if host.dns.is_empty() && host.dns_search.is_empty() && host.dns_options.is_empty() {
        return own.to_vec();
    }
    let mut lines = vec![];
    for server in &host.dns {
        lines.push(format!("nameserver {server}\n"));
    }
    if !host.dns_search.is_empty() {
        lines.push(format!("search {}\n", host.dns_search.join(" ")));
    }
    if !host.dns_options.is_empty() {
        lines.push(format!("options {}\n", host.dns_options.join(" ")));
    }
    let kept = own
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.starts_with(b"nameserver") && host.dns.is_empty());
    let mut text: Vec<u8> = kept.flatten().copied().collect();
    text.extend(lines.concat().into_bytes());
    text
}

//! `create`: a request becomes a record on the shelf. Everything that can be found wrong is found here, before anything
//! is written.

use alloc::{format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr};

use rustix::fd::OwnedFd;
use serde::Deserialize;

mod isolation;
pub mod mounts;
pub mod networks;

use super::{Engine, image::Force};
use crate::{
    Error, Result,
    clock::Time,
    container::{
        config::{Config, HostConfig},
        endpoint::{self, Endpoint},
        health, log, names,
        record::{HOST_IMAGE, Record},
        restart::Policy,
        shelf::{Container, Making},
        signals,
    },
    process::cgroup::{Resources, resources::Machine},
    store::Locked,
};

/// The body of `POST /containers/create`, beside the settings that stand in it at the top level.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rest<T> {
    host_config: Option<T>,
    /// Where docker-py puts it.
    runtime: Option<String>,
}

/// A container that is wanted. Everything about it was found right, and it is on no shelf yet.
#[derive(Debug)]
pub struct Draft {
    /// What it is to be. Its name is empty until one is given to it.
    pub record: Record,
    /// Volumes that were made for it.
    volumes: Vec<String>,
    /// What was found is not taken away until the container that uses it is on the shelf.
    found: Locked,
}

impl Engine {
    /// Makes a container from the body of a create request.
    ///
    /// # Errors
    /// As [`Engine::draft`] and [`Engine::shelve`].
    pub fn create(&self, body: &[u8], name: Option<&str>) -> Result<Container> {
        self.shelve(self.draft(body, name)?, |_, _| {})
    }

    /// Checks and completes the body of a create request.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that make no sense, [`Error::NotFound`] without the image.
    pub fn draft(&self, body: &[u8], name: Option<&str>) -> Result<Draft> {
        let mut config: Config = parse(body)?;
        let rest: Rest<HostConfig> = parse(body)?;
        let mut host = rest.host_config.unwrap_or_default();
        if host.runtime.is_empty() {
            host.runtime = rest.runtime.unwrap_or_default();
        }
        let resources = parse::<Rest<Resources>>(body)?.host_config.unwrap_or_default();
        isolation::check_conflicts(&config, &host)?;
        check_directory(&config.working_dir)?;
        let found = self.store.share()?;
        let image = self.complete(&mut config)?;
        if config.entrypoint.as_ref().is_some_and(|words| matches!(words.as_slice(), [one] if one.is_empty()))
        {
            // `--entrypoint ""`: none.
            config.entrypoint = None;
        }
        endpoint::wanted(&config, &host)?;
        self.resolve_joined(&mut config, &mut host)?;
        let networks = self.wanted_networks(parse(body)?, &mut host)?;
        check(&config, &host)?;
        resources.check(&mut Machine::read)?;
        let (id, name) = (names::new_id()?, name.map(names::parse).transpose()?.unwrap_or_default().into());
        let mut volumes = Vec::new();
        let mounts = match self.mounts(&config, &host, &found, &mut volumes) {
            Ok(mounts) => mounts,
            Err(error) => {
                drop(found);
                self.remove_made(&volumes);
                return Err(error);
            }
        };
        let created_ns = Time::now().unix_nanos();
        let record = Record { id, name, created_ns, image, config, host, resources, mounts, networks };
        Ok(Draft { record, volumes, found })
    }

    /// Puts a container on the shelf, under its name or a generated one. `begin` is called as soon as it has a directory,
    /// with that.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the name is taken.
    pub fn shelve(&self, draft: Draft, begin: impl FnOnce(&Record, &OwnedFd)) -> Result<Container> {
        let Draft { mut record, volumes, found } = draft;
        let add = || {
            let making = self.shelf.make(&record.id, |directory| begin(&record, directory))?;
            if record.name.is_empty() {
                record.name = generated_name(&making)?;
            } else {
                making.claim(&record.name)?;
            }
            making.finish(record)
        };
        let added = add();
        drop(found);
        let added = added.inspect_err(|_| self.remove_made(&volumes))?;
        self.tell(&added.record, "create", &[]);
        Ok(added)
    }

    /// Removes volumes that were made for a container that is not to be.
    fn remove_made(&self, volumes: &[String]) {
        for volume in volumes {
            let _ = self.remove_volume(volume, Force::Yes);
        }
    }

    /// Completes the settings with those of the image, and gives the image's id.
    fn complete(&self, config: &mut Config) -> Result<String> {
        if config.image == HOST_IMAGE {
            return Ok(String::new());
        }
        if config.image.is_empty() {
            return Err(Error::Invalid("no image specified".into()));
        }
        let image = self.store.resolve(&config.image).map_err(|error| match error {
            Error::NotFound(_) => {
                error.hint("`skiff import` makes an image; `host` is this machine's own root")
            }
            other => other,
        })?;
        config.complete(&image.config.config);
        Ok(format!("{}", image.id))
    }
}

/// Claims a name that nobody has.
fn generated_name(making: &Making<'_>) -> Result<String> {
    let mut attempt = 0;
    loop {
        let name = names::generated(attempt)?;
        match making.claim(&name) {
            Err(Error::Conflict(_)) if attempt < 100 => attempt += 1,
            claimed => return claimed.map(|()| name),
        }
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    crate::json::from_slice(body).map_err(|error| Error::Invalid(format!("invalid request body: {error}")))
}

/// Checks a working directory that somebody asks for.
///
/// # Errors
/// [`Error::Invalid`] for a relative one.
pub(super) fn check_directory(path: &str) -> Result<()> {
    if path.is_empty() || path.starts_with('/') {
        return Ok(());
    }
    Err(Error::Invalid(format!("the working directory '{path}' is invalid, it needs to be an absolute path")))
}

/// What makes no sense, and what is not there yet.
fn check(config: &Config, host: &HostConfig) -> Result<()> {
    if config.entrypoint.iter().chain(&config.cmd).flatten().next().is_none() {
        return Err(Error::Invalid("no command specified".into()));
    }
    if config.hostname.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Error::Invalid(format!("invalid hostname {:?}", config.hostname)));
    }
    isolation::check(host)?;
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
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::Invalid(format!("invalid isolation {}: it is default", host.isolation)));
    }
    let pending = [
        (!host.device_requests.is_empty(), "device requests"),
        (!host.storage_opt.is_empty(), "--storage-opt"),
    ];
    match pending.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::Unsupported(format!("{what} is not there yet"))),
        None => Ok(()),
    }
}

/// The lines of every container's /etc/hosts, and those that were asked for.
pub(super) fn hosts(record: &Record, endpoints: &[Endpoint]) -> Result<String> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for extra in &record.host.extra_hosts {
        let parts = extra.split_once([':', '=']).filter(|(name, _)| !name.is_empty());
        let address = |text: &str| match text {
            "host-gateway" => endpoints.first().map(|endpoint| IpAddr::V4(endpoint.v4.gateway)),
            text => text.parse().ok(),
        };
        let found = parts.and_then(|(name, text)| Some((name, address(text)?)));
        let (name, address) = found
            .ok_or_else(|| Error::Invalid(format!("invalid --add-host {extra:?}: want name:address")))?;
        text.push_str(&format!("{address}\t{name}\n"));
    }
    endpoints.iter().for_each(|endpoint| text.extend(own_lines(record, endpoint)));
    Ok(text)
}

/// The lines of /etc/hosts by which a container knows itself on a network.
pub(super) fn own_lines(record: &Record, endpoint: &Endpoint) -> impl Iterator<Item = String> {
    let name = record.hostname();
    endpoint.addresses().map(move |address| match record.config.domainname.as_str() {
        "" => format!("{address}\t{name}\n"),
        domain => format!("{address}\t{name}.{domain} {name}\n"),
    })
}

/// The lines of a resolv.conf that are good in another network namespace: without name servers on the host's loopback. If
/// no other is there it is Google's, as with Docker.
pub(super) fn reachable_servers(own: &[u8]) -> Vec<u8> {
    let is_server = |line: &&[u8]| line.starts_with(b"nameserver");
    let is_reachable = |line: &&[u8]| {
        let text = core::str::from_utf8(line).unwrap_or_default();
        let address = text.split_ascii_whitespace().nth(1).and_then(|text| text.parse::<IpAddr>().ok());
        // Most networks have no IPv6.
        address.is_some_and(|address| address.is_ipv4() && !address.is_loopback())
    };
    let lines = own.split_inclusive(|&byte| byte == b'\n');
    let kept: Vec<&[u8]> = lines.filter(|line| !is_server(line) || is_reachable(line)).collect();
    let mut text = kept.concat();
    if !kept.iter().any(is_server) {
        text.extend(b"nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }
    text
}

/// resolv.conf: what was asked for, else the host's own. Who answers for names, if somebody does, asks the others itself.
pub(super) fn resolv_conf(host: &HostConfig, own: &[u8], responder: Option<Ipv4Addr>) -> Vec<u8> {
    let servers = match responder {
        Some(address) => vec![format!("{address}")],
        None => host.dns.clone(),
    };
    if servers.is_empty() && host.dns_search.is_empty() && host.dns_options.is_empty() {
        return own.to_vec();
    }
    let mut lines = vec![];
    for server in &servers {
        lines.push(format!("nameserver {server}\n"));
    }
    if !host.dns_search.is_empty() {
        lines.push(format!("search {}\n", host.dns_search.join(" ")));
    }
    if !host.dns_options.is_empty() {
        lines.push(format!("options {}\n", host.dns_options.join(" ")));
    }
    // The responder knows the host's domains, too: who asks for a name in them asks it.
    let is_kept = |line: &&[u8]| match line.starts_with(b"nameserver") {
        true => servers.is_empty(),
        false => responder.is_some() && host.dns_search.is_empty() && line.starts_with(b"search"),
    };
    let kept = own.split_inclusive(|&byte| byte == b'\n').filter(is_kept);
    let mut text: Vec<u8> = kept.flatten().copied().collect();
    text.extend(lines.concat().into_bytes());
    text
}

//! Links as Docker had them before there were names on networks: what a container on the usual bridge, where nobody answers
//! for names, is told of others. A line of /etc/hosts for each, and variables.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::net::Ipv4Addr;

use super::Engine;
use crate::{
    Error, Result,
    container::{
        endpoint::{Endpoint, Place, link_of},
        record::Record,
    },
    process::control::Question,
    store::networks::BRIDGE,
};

/// Another container, as the linking one knows it.
#[derive(Debug)]
pub(super) struct Link {
    alias: String,
    address: Ipv4Addr,
    other: Record,
    /// Docker's name for the pair.
    name: String,
}

impl Link {
    /// The line of /etc/hosts.
    pub fn line(&self) -> String {
        let Link { alias, address, other, .. } = self;
        format!("{address}\t{alias} {} {}\n", other.short_id(), other.name)
    }

    /// Appends the variables that tell of it.
    fn put_variables(&self, out: &mut Vec<String>) {
        let Link { address, other, name, .. } = self;
        let alias = self.alias.to_uppercase().replace(['-', '.'], "_");
        let mut ports: Vec<(u16, &str)> = other
            .config
            .exposed_ports
            .keys()
            .filter_map(|port| {
                let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                Some((number.parse().ok()?, protocol))
            })
            .collect();
        ports.sort_unstable();
        if let Some((port, protocol)) = ports.first() {
            out.push(format!("{alias}_PORT={protocol}://{address}:{port}"));
        }
        for (port, protocol) in ports {
            let prefix = format!("{alias}_PORT_{port}_{}", protocol.to_uppercase());
            out.push(format!("{prefix}={protocol}://{address}:{port}"));
            out.push(format!("{prefix}_ADDR={address}"));
            out.push(format!("{prefix}_PORT={port}"));
            out.push(format!("{prefix}_PROTO={protocol}"));
        }
        out.push(format!("{alias}_NAME={name}"));
        for variable in &other.config.env {
            if !variable.starts_with("HOME=") && !variable.starts_with("PATH=") && variable.contains('=') {
                out.push(format!("{alias}_ENV_{variable}"));
            }
        }
    }
}

/// The variables of all links.
pub(super) fn variables(links: &[Link]) -> Vec<String> {
    let mut out = Vec::new();
    links.iter().for_each(|link| link.put_variables(&mut out));
    out
}

impl Engine {
    /// The containers that one with these endpoints is linked to on the usual bridge.
    ///
    /// # Errors
    /// [`Error::NotFound`] if one is gone, [`Error::Conflict`] if it does not run.
    pub(super) fn links(&self, record: &Record, endpoints: &[Endpoint]) -> Result<Vec<Link>> {
        let Some(settings) = record.endpoint_settings(BRIDGE) else { return Ok(Vec::new()) };
        if !endpoints.iter().any(|endpoint| endpoint.network == BRIDGE) {
            return Ok(Vec::new());
        }
        let link = |(container, alias): (&str, &str)| {
            let other = self.shelf.find(container)?.record;
            let theirs = self.endpoints(&other.id).into_iter().find(|endpoint| endpoint.network == BRIDGE);
            let name = format!("/{}/{alias}", record.name);
            match theirs {
                Some(Endpoint { v4: Place { address, .. }, .. }) => {
                    Ok(Link { alias: alias.to_string(), address, other, name })
                }
                None => Err(Error::Conflict(format!(
                    "cannot link to a non running container: /{} AS {name}",
                    other.name
                ))),
            }
        };
        settings.linked().map(link).collect()
    }

    /// Takes a link away: `alias` is what the container calls the other one. What it has read of it by then it keeps.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a container, or such a link of it.
    pub fn remove_link(&self, container: &str, alias: &str) -> Result<()> {
        let mut container = self.shelf.find(container)?;
        self.shelf.change(&mut container, &mut |record| {
            let is_other = |link: &String| link_of(link).1 != alias;
            let settings = record.networks.as_mut().and_then(|networks| networks.get_mut(BRIDGE));
            let before = record.host.links.len();
            record.host.links.retain(is_other);
            if record.host.links.len() == before {
                return Err(Error::NotFound(format!(
                    "Cannot get parent /{} for name: /{0}/{alias}",
                    record.name
                )));
            }
            if let Some(settings) = settings {
                settings.links.retain(is_other);
            }
            Ok(())
        })?;
        self.ask(&container.record, &Question::Update).map(drop)
    }
}

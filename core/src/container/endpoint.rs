//! A container's place on a network: what of it is asked for, and what it has while it runs.

use alloc::{format, string::String, vec::Vec};
use core::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::config::{Config, HostConfig, PortBinding};
use crate::{
    Error, Result,
    net::table::{Forward, Transport},
};

/// What a container has on a network while it runs; stands in its directory of the run root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The container's address.
    pub address: Ipv4Addr,
    /// How many bits of it are the subnet's.
    pub prefix: u8,
    /// The bridge's address in the subnet.
    pub gateway: Ipv4Addr,
    /// The container's hardware address, as text.
    pub hardware_address: String,
    /// Its published ports.
    pub ports: Vec<Published>,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The container's, as in `80/tcp`.
    pub inside: String,
    /// The address on the host; 0.0.0.0 for all.
    pub host_address: Ipv4Addr,
    /// The port on the host.
    pub host_port: u16,
}

impl Endpoint {
    /// The name of its file.
    pub const FILE: &str = "endpoint.json";

    /// What the packet filter has to know of its ports.
    pub fn forwards(&self) -> impl Iterator<Item = Forward> {
        self.ports.iter().filter_map(|published| {
            let (port, transport) = port(&published.inside).ok()?;
            let Published { host_address, host_port, .. } = *published;
            Some(Forward { transport, host_address, host_port, address: self.address, port })
        })
    }
}

/// A port that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The container's, as in `80/tcp`.
    pub inside: String,
    /// Over which protocol.
    pub transport: Transport,
    /// The address on the host; unspecified for all.
    pub host_address: Ipv4Addr,
    /// The ports on the host, of which one that is free is taken: first and last. 0: any.
    pub host_ports: (u16, u16),
}

/// The ports that a container's settings ask to be published.
///
/// # Errors
/// [`Error::Invalid`] for what is no port or address, [`Error::Unsupported`] for IPv6 and SCTP.
pub fn wanted(config: &Config, host: &HostConfig) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (inside, bindings) in &host.port_bindings {
        let (number, transport) = port(inside)?;
        for PortBinding { host_ip, host_port } in bindings.iter().flatten() {
            let host_address = match host_ip.as_str() {
                "" => Ipv4Addr::UNSPECIFIED,
                text => text.parse().map_err(|_| match text.contains(':') {
                    true => Error::Unsupported(format!("publishing on {text}: IPv6 is not there yet")),
                    false => Error::Invalid(format!("invalid IP address: {text}")),
                })?,
            };
            let host_ports = range(host_port)?;
            all.push(Wanted {
                inside: format!("{number}/{}", name(transport)),
                transport,
                host_address,
                host_ports,
            });
        }
    }
    for inside in config.exposed_ports.keys().filter(|_| host.publish_all_ports) {
        let (number, transport) = port(inside)?;
        let inside = format!("{number}/{}", name(transport));
        if !all.iter().any(|one| one.inside == inside) {
            all.push(Wanted { inside, transport, host_address: Ipv4Addr::UNSPECIFIED, host_ports: (0, 0) });
        }
    }
    Ok(all)
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

/// `80`, `80/tcp`, `80/udp`
fn port(text: &str) -> Result<(u16, Transport)> {
    let (number, transport) = text.split_once('/').unwrap_or((text, "tcp"));
    let transport = match transport {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => return Err(Error::Unsupported(format!("publishing {text}: SCTP is not there yet"))),
        _ => return Err(Error::Invalid(format!("invalid port {text:?}: the protocol is tcp or udp"))),
    };
    match number.parse() {
        Ok(0) | Err(_) => Err(Error::Invalid(format!("invalid port {text:?}: want 1 to 65535"))),
        Ok(number) => Ok((number, transport)),
    }
}

/// Empty, `8080`, `8080-8090`
fn range(text: &str) -> Result<(u16, u16)> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let invalid = || Error::Invalid(format!("invalid host port {text:?}: want 1 to 65535, or a range"));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
    if first > last || (first == 0) != (last == 0) {
        return Err(invalid());
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec};

    use super::*;

    fn asked(inside: &str, host_ip: &str, host_port: &str) -> Result<Vec<Wanted>> {
        let mut host = HostConfig::default();
        let binding = PortBinding { host_ip: host_ip.into(), host_port: host_port.into() };
        host.port_bindings.insert(inside.into(), Some(vec![binding]));
        wanted(&Config::default(), &host)
    }

    #[test]
    fn ports_are_read_as_clients_send_them() {
        let one = asked("80", "", "8080").unwrap().remove(0);
        assert_eq!((one.inside.as_str(), one.host_ports), ("80/tcp", (8080, 8080)));
        let one = asked("53/udp", "127.0.0.1", "").unwrap().remove(0);
        assert_eq!(
            (one.transport, one.host_address, one.host_ports),
            (Transport::Udp, Ipv4Addr::LOCALHOST, (0, 0))
        );
        assert_eq!(asked("80/tcp", "", "8000-8010").unwrap()[0].host_ports, (8000, 8010));
        for (inside, address, port) in [
            ("0", "", ""),
            ("70000", "", ""),
            ("80/x", "", ""),
            ("80", "1.2.3", ""),
            ("80", "", "90-80"),
            ("80", "", "0-80"),
            ("80", "", "x"),
            ("80/sctp", "", ""),
            ("80", "::1", ""),
        ] {
            assert!(asked(inside, address, port).is_err(), "{inside} {address} {port}");
        }
    }

    #[test]
    fn exposed_ports_are_published_if_all_are() {
        let mut config = Config::default();
        config.exposed_ports.insert("80/tcp".to_string(), Default::default());
        let mut host = HostConfig { publish_all_ports: true, ..HostConfig::default() };
        assert_eq!(wanted(&config, &host).unwrap()[0].host_ports, (0, 0));
        host.publish_all_ports = false;
        assert!(wanted(&config, &host).unwrap().is_empty());
    }
}

//! A container's place on a network: what of it is asked for, and what it has while it runs.

use alloc::{format, string::String, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::config::{Config, HostConfig, Map, PortBinding, is_zero, nullable};
use crate::{
    Error, Result,
    net::{
        link::is_interface,
        subnet::{Subnet, read_hardware},
        table::{Forward, Transport},
    },
};

/// The option that says what the interface is called.
pub const INTERFACE: &str = "com.docker.network.endpoint.ifname";

/// What a container asks for on a network.
///
/// # Spec
/// Docker Engine API v1.50, `EndpointSettings`: of it that which a client can say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// The addresses that it is to have.
    #[serde(rename = "IPAMConfig", deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub ipam_config: Option<WantedAddresses>,
    /// `container[:alias]`: names by which it knows others.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Names by which others on the network know it, beside its own.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its hardware address; empty: one made of its address.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Options of the driver, of which there is one, [`INTERFACE`]; those of other drivers are free-form notes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub driver_opts: Map<String>,
    /// The network with the highest one is the way to the world.
    #[serde(skip_serializing_if = "is_zero")]
    pub gw_priority: i64,
}

/// The addresses that a container is to have on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WantedAddresses {
    /// IPv4; empty: any.
    #[serde(rename = "IPv4Address", deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// IPv6; empty: any.
    #[serde(rename = "IPv6Address", deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// Link-local addresses that its interface has as well.
    #[serde(rename = "LinkLocalIPs", deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<String>,
}

impl EndpointSettings {
    /// The addresses that are asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn addresses(&self) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>)> {
        let Some(WantedAddresses { ipv4, ipv6, .. }) = &self.ipam_config else { return Ok((None, None)) };
        Ok((read(ipv4, "IPv4 address")?, read(ipv6, "IPv6 address")?))
    }

    /// The link-local addresses that are asked for, with their subnets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn link_local(&self) -> Result<Vec<(IpAddr, Subnet)>> {
        let all = self.ipam_config.iter().flat_map(|wanted| &wanted.link_local);
        let read = |text: &String| {
            let address: IpAddr = text.parse().ok()?;
            let (prefix, is_one) = match address {
                IpAddr::V4(address) => (16, address.is_link_local()),
                IpAddr::V6(address) => (64, address.is_unicast_link_local()),
            };
            Subnet::of(address, prefix).ok().filter(|_| is_one).map(|subnet| (address, subnet))
        };
        all.map(|text| {
            read(text).ok_or_else(|| Error::Invalid(format!("invalid link-local IP address: {text}")))
        })
        .collect()
    }

    /// The name that its interface is to have.
    pub fn interface(&self) -> Option<&str> {
        self.driver_opts.get(INTERFACE).map(String::as_str)
    }

    /// The hardware address that is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn hardware_address(&self) -> Result<Option<[u8; 6]>> {
        match self.mac_address.as_str() {
            "" => Ok(None),
            text => read_hardware(text)
                .map(Some)
                .ok_or_else(|| Error::Invalid(format!("{text} is not a valid mac address"))),
        }
    }

    /// The links: which container, and by which name.
    pub fn linked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links.iter().map(|link| link_of(link))
    }

    /// Checks what of it makes no sense anywhere.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unsupported`] for options that are not there.
    pub fn check(&self) -> Result<()> {
        self.addresses()?;
        self.hardware_address()?;
        self.link_local()?;
        let ours = |option: &&String| option.starts_with("com.docker.network.") && *option != INTERFACE;
        if let Some(option) = self.driver_opts.keys().find(ours) {
            return Err(Error::Unsupported(format!("option {option} of a network's driver is not there")));
        }
        if let Some(name) = self.interface().filter(|name| !is_interface(name) || *name == "lo") {
            return Err(Error::Invalid(format!("invalid interface name {name:?}")));
        }
        if let Some(alias) = self.aliases.iter().find(|alias| !is_host_name(alias)) {
            return Err(Error::Invalid(format!("invalid network alias {alias:?}")));
        }
        match self.linked().find(|(container, alias)| !is_host_name(container) || !is_host_name(alias)) {
            Some((container, alias)) => {
                Err(Error::Invalid(format!("bad format for links: {container}:{alias}")))
            }
            None => Ok(()),
        }
    }
}

/// An address or a subnet, as `what` says; none if the text is empty.
///
/// # Errors
/// [`Error::Invalid`] for what is none.
pub fn read<T: core::str::FromStr>(text: &str, what: &str) -> Result<Option<T>> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Error::Invalid(format!("invalid {what}: {text}"))),
    }
}

/// `container[:alias]` as both. Docker's clients put a slash in front, and send the alias with a path.
pub fn link_of(link: &str) -> (&str, &str) {
    let (container, alias) = link.split_once(':').unwrap_or((link, link));
    let last = |text| str::rsplit(text, '/').next().unwrap_or_default();
    (last(container), last(alias))
}

/// Whether a container can be known by it.
fn is_host_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(is_good)
}

/// What a container has on a network while it runs; stands in its directory of the run root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The name of the network.
    pub network: String,
    /// Its id.
    pub network_id: String,
    /// The host's interface that carries it.
    pub bridge: String,
    /// The container's interface.
    pub interface: String,
    /// What others on the network know the container by, beside its address.
    pub names: Vec<String>,
    /// Whether the container's way to the world goes over it.
    pub has_default_route: bool,
    /// Its place among the IPv4 addresses.
    pub v4: Place<Ipv4Addr>,
    /// Its place among the IPv6 addresses, if the network has any.
    pub v6: Option<Place<Ipv6Addr>>,
    /// Addresses that its interface has as well.
    pub link_local: Vec<(IpAddr, Subnet)>,
    /// The container's hardware address, as text.
    pub hardware_address: String,
    /// Its published ports.
    pub ports: Vec<Published>,
}

/// A place in a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<A> {
    /// The container's address.
    pub address: A,
    /// How many bits of it are the subnet's.
    pub prefix: u8,
    /// The bridge's address in the subnet.
    pub gateway: A,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The container's, as in `80/tcp`.
    pub inside: String,
    /// The address on the host; 0.0.0.0 for all of IPv4, :: for all of IPv6.
    pub host_address: IpAddr,
    /// The port on the host.
    pub host_port: u16,
}

impl Endpoint {
    /// The name of the file that a container's endpoints stand in, in the order in which it got them.
    pub const FILE: &str = "endpoints.json";

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v6 = self.v6.map(|place| place.address.into());
        [self.v4.address.into()].into_iter().chain(v6)
    }

    /// Where its ports lead to, in their order.
    pub fn forwards(&self) -> Vec<Forward> {
        let forward = |published: &Published| {
            let (port, transport) = port(&published.inside).ok()?;
            let Published { host_address, host_port, .. } = *published;
            let address = match (host_address, self.v6) {
                (IpAddr::V6(_), Some(place)) => place.address.into(),
                _ => self.v4.address.into(),
            };
            Some(Forward { transport, host_address, host_port, address, port })
        };
        self.ports.iter().filter_map(forward).collect()
    }
}

/// A port that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The container's, as in `80/tcp`.
    pub inside: String,
    /// Over which protocol.
    pub transport: Transport,
    /// The address on the host; unspecified for all, none if nothing is said.
    pub host_address: Option<IpAddr>,
    /// The ports on the host, of which one that is free is taken: first and last. 0: any.
    pub host_ports: (u16, u16),
}

/// The ports that a container's settings ask to be published.
///
/// # Errors
/// [`Error::Invalid`] for what is no port or address, [`Error::Unsupported`] for SCTP.
pub fn wanted(config: &Config, host: &HostConfig) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (inside, bindings) in &host.port_bindings {
        let (number, transport) = port(inside)?;
        for PortBinding { host_ip, host_port } in bindings.iter().flatten() {
            let host_address = read(host_ip, "IP address")?;
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
            all.push(Wanted { inside, transport, host_address: None, host_ports: (0, 0) });
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
            (Transport::Udp, Some(Ipv4Addr::LOCALHOST.into()), (0, 0))
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
            ("80", "::1::", ""),
        ] {
            assert!(asked(inside, address, port).is_err(), "{inside} {address} {port}");
        }
    }

    #[test]
    fn what_is_asked_for_of_a_network_is_read_and_checked() {
        let read = |text: &str| serde_json::from_str::<EndpointSettings>(text).unwrap();
        let all = read(
            r#"{"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Links": ["/db:/web/sql", "cache"], "Aliases": ["a"],
                "MacAddress": "02:00:00:00:00:01", "NetworkID": "x", "DriverOpts": null}"#,
        );
        all.check().unwrap();
        assert_eq!(all.addresses().unwrap(), (Some([10, 0, 0, 9].into()), None));
        assert_eq!(all.linked().collect::<Vec<_>>(), [("db", "sql"), ("cache", "cache")]);
        let more = r#"{"IPAMConfig":{"LinkLocalIPs":["169.254.8.8","fe80::8"]},"DriverOpts":{"com.docker.network.endpoint.ifname":"up0","a":"b"}}"#;
        let more = read(more);
        more.check().unwrap();
        assert_eq!((more.interface(), more.link_local().unwrap().len()), (Some("up0"), 2));
        assert_eq!(serde_json::to_string(&read("{}")).unwrap(), "{}");
        for text in [
            r#"{"IPAMConfig": {"IPv4Address": "10.0.0"}}"#,
            r#"{"IPAMConfig": {"IPv6Address": "1.2.3.4"}}"#,
            r#"{"Aliases": ["a b"]}"#,
            r#"{"Aliases": [""]}"#,
            r#"{"Links": ["db:a=b"]}"#,
            r#"{"MacAddress": "x"}"#,
            r#"{"DriverOpts": {"com.docker.network.a": "b"}}"#,
            r#"{"DriverOpts": {"com.docker.network.endpoint.ifname": "a/b"}}"#,
            r#"{"IPAMConfig": {"LinkLocalIPs": ["10.0.0.1"]}}"#,
        ] {
            assert!(read(text).check().is_err(), "{text}");
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

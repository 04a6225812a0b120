//! `network create`, `rm`, `prune`, `connect`, `disconnect`, and what of containers' networks others show.
//!
//! What a network is stands in the store; what it is at work is in the kernel, see [`bridge`]: a bridge and a table of
//! the packet filter, for each container a virtual cable, an address ([`lease`]), and the ports that are published. A
//! published port is reserved by a socket that the monitor keeps bound: nobody else can have it, and it is free as soon
//! as the monitor is gone.

mod bridge;
mod connect;
mod join;
mod lease;
mod ports;
mod responder;

use alloc::{format, string::String, vec::Vec};
use core::net::Ipv4Addr;

use serde::Deserialize;

pub use self::{
    bridge::Obstacle,
    connect::{Connection, Disconnected},
};
use super::Engine;
use crate::{
    Error, Result,
    api::filters::Filters,
    clock::Time,
    container::{
        config::{Map, nullable},
        endpoint::{Endpoint, read},
        names,
        record::{Listed, Record},
    },
    events::{Event, Kind},
    net::subnet::Subnet,
    store::networks::{BRIDGE, Network, Pool},
};

/// The filters of `network ls`.
pub const LIST_FILTERS: [&str; 8] = ["name", "id", "driver", "type", "scope", "label", "label!", "dangling"];
/// The filters of `network prune`.
pub const PRUNE_FILTERS: [&str; 3] = ["label", "label!", "until"];

/// What is said where the kernel can't do all.
pub const WITHOUT_FILTER: &str = "this kernel has no nf_tables: containers reach nothing but their own networks, and \
                                  a process carries what comes to published ports";

/// The body of a create request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateNetwork {
    /// Its name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Only `bridge`, which is also meant by nothing.
    #[serde(deserialize_with = "nullable")]
    pub driver: String,
    /// Only `local`, which is also meant by nothing.
    #[serde(deserialize_with = "nullable")]
    pub scope: String,
    /// Without a way to other networks.
    #[serde(deserialize_with = "nullable")]
    pub internal: bool,
    /// Kept, and shown.
    #[serde(deserialize_with = "nullable")]
    pub attachable: bool,
    /// Refused if it is set.
    #[serde(deserialize_with = "nullable")]
    pub ingress: bool,
    /// Refused if it is set.
    #[serde(deserialize_with = "nullable")]
    pub config_only: bool,
    /// Refused if it is off.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: Option<bool>,
    /// With IPv6, too.
    #[serde(rename = "EnableIPv6", deserialize_with = "nullable")]
    pub enable_ipv6: bool,
    /// Its addresses.
    #[serde(rename = "IPAM", deserialize_with = "nullable")]
    pub ipam: Addresses,
    /// Options of the driver.
    #[serde(deserialize_with = "nullable")]
    pub options: Map<String>,
    /// Free-form notes.
    #[serde(deserialize_with = "nullable")]
    pub labels: Map<String>,
}

/// Who gives out a network's addresses, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Addresses {
    /// Only `default`, which is also meant by nothing.
    #[serde(deserialize_with = "nullable")]
    pub driver: String,
    /// At most one for IPv4, and one for IPv6.
    #[serde(deserialize_with = "nullable")]
    pub config: Vec<WantedPool>,
    /// Refused when not empty.
    #[serde(deserialize_with = "nullable")]
    pub options: Map<String>,
}

/// Addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WantedPool {
    /// All of them.
    #[serde(deserialize_with = "nullable")]
    pub subnet: String,
    /// Those for containers.
    #[serde(rename = "IPRange", deserialize_with = "nullable")]
    pub ip_range: String,
    /// The bridge's.
    #[serde(deserialize_with = "nullable")]
    pub gateway: String,
    /// Those that no container gets.
    #[serde(rename = "AuxiliaryAddresses", alias = "AuxAddress", deserialize_with = "nullable")]
    pub auxiliary_addresses: Map<String>,
}

impl CreateNetwork {
    /// The network that is asked for, without an id.
    fn network(&self) -> Result<Network> {
        let refused = [
            (self.ingress, "an ingress network: it needs a swarm"),
            (self.config_only, "a config-only network"),
            (self.enable_ipv4 == Some(false), "a network without IPv4"),
            (!self.ipam.options.is_empty(), "options of the address management"),
        ];
        if let Some((_, what)) = refused.iter().find(|(asked, _)| *asked) {
            return Err(Error::Unsupported(format!("create network: {what} is not there yet")));
        }
        if self.name.is_empty() {
            return Err(Error::Invalid("network name is needed".into()));
        }
        if !matches!(self.driver.as_str(), "" | "default" | "bridge") {
            return Err(Error::NotFound(format!(
                "could not find plugin {0} in v1 plugin registry: plugin \"{0}\" not found",
                self.driver
            ))
            .hint("the driver is bridge"));
        }
        if !matches!(self.ipam.driver.as_str(), "" | "default") {
            return Err(Error::NotFound(format!("no IPAM driver {}", self.ipam.driver)));
        }
        if !matches!(self.scope.as_str(), "" | "local") {
            return Err(Error::Invalid(format!("invalid scope {}: it is local", self.scope)));
        }
        let mut network = Network {
            name: self.name.clone(),
            created: Time::now(),
            internal: self.internal,
            attachable: self.attachable,
            options: self.options.clone(),
            labels: self.labels.clone(),
            ..Network::default()
        };
        let (mut has_v4, mut has_v6) = (false, false);
        for wanted in &self.ipam.config {
            let pool = wanted.pool()?;
            let is_v6 = pool.subnet.is_some_and(|subnet| !subnet.is_ipv4());
            let again = core::mem::replace(if is_v6 { &mut has_v6 } else { &mut has_v4 }, true);
            if again {
                return Err(Error::Invalid("a network has one subnet of a protocol".into()));
            }
            match is_v6 {
                true => network.v6 = Some(pool),
                false => network.v4 = pool,
            }
        }
        match (self.enable_ipv6, has_v6) {
            (false, true) => {
                return Err(
                    Error::Invalid("a subnet of IPv6 needs a network with IPv6".into()).hint("say --ipv6")
                );
            }
            (true, false) => network.v6 = Some(Pool::default()),
            _ => {}
        }
        network.check()?;
        Ok(network)
    }
}

impl WantedPool {
    fn pool(&self) -> Result<Pool> {
        let mut pool = Pool {
            subnet: read(&self.subnet, "CIDR address")?,
            ip_range: read(&self.ip_range, "CIDR address")?,
            gateway: read(&self.gateway, "IP address")?,
            auxiliary: Map::new(),
        };
        for (name, address) in &self.auxiliary_addresses {
            pool.auxiliary.extend(read(address, "IP address")?.map(|address| (name.clone(), address)));
        }
        Ok(pool)
    }
}

impl Engine {
    /// What a container's networks lack on this host.
    #[must_use]
    pub fn network_warning(&self, record: &Record) -> Option<&'static str> {
        (record.is_bridged() && !bridge::has_filter()).then_some(WITHOUT_FILTER)
    }

    /// What keeps packets from going where networks need them to go.
    #[must_use]
    pub fn network_obstacle(&self) -> Option<Obstacle> {
        bridge::obstacle()
    }

    /// Makes a network.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that make no sense, [`Error::Unsupported`] for those that are not there yet,
    /// [`Error::Conflict`] if the name is taken, [`Error::Forbidden`] if the addresses are.
    pub fn create_network(&self, request: &CreateNetwork) -> Result<Network> {
        let mut network = request.network()?;
        let locked = self.store.lock_networks()?;
        if self.store.network(&network.name)?.is_some() {
            return Err(Error::Conflict(format!("network with name {} already exists", network.name)));
        }
        network.id = names::new_id()?;
        self.check_interface(&network)?;
        let used = self.used_subnets()?;
        for subnet in network.pools().filter_map(|pool| pool.subnet) {
            if let Some(other) = used.iter().find(|used| overlaps(**used, subnet)) {
                return Err(Error::Forbidden(format!(
                    "invalid pool request: Pool overlaps with other one on this address space: {other}"
                )));
            }
        }
        if network.v4.subnet.is_none() {
            network.v4.subnet = Some(bridge::free_subnet(&network, &used)?);
        }
        if let Some(pool) = &mut network.v6
            && pool.subnet.is_none()
        {
            let random = u64::from_str_radix(&network.id[..10], 16).unwrap_or_default();
            pool.subnet = Some(Subnet::unique_local(random));
        }
        self.store.add_network(&locked, &network)?;
        drop(locked);
        self.tell_of_network(&network, "create", &[]);
        Ok(network)
    }

    /// Checks that the bridge of a new network can have its name.
    fn check_interface(&self, network: &Network) -> Result<()> {
        let name = network.bridge_name();
        if let Some(other) = self.network_of(&name)? {
            return Err(Error::Conflict(format!("network {} has the bridge {name} already", other.name)));
        }
        match Engine::has_interface(&name)? {
            true => Err(Error::Conflict(format!("interface {name} exists already, and is not skiff's"))),
            false => Ok(()),
        }
    }

    /// The networks that the filters let through, by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a filter's value; of the file system.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<Network>> {
        let dangling = filters.flag("dangling")?;
        let mut all = self.store.networks()?;
        all.retain(|network| {
            let (own, driver) = (!network.is_built_in(), network.driver.name());
            filters.allows_if("name", |part| network.name.contains(part))
                && filters.allows_if("id", |part| network.id.starts_with(part))
                && filters.allows("driver", driver)
                && filters.allows("type", if own { "custom" } else { "builtin" })
                && filters.allows("scope", "local")
                && filters.allows_labels(|key| network.labels.get(key).map(String::as_str))
                && dangling.is_none_or(|wanted| wanted == (own && self.connected(network).is_empty()))
        });
        Ok(all)
    }

    /// Removes a network that somebody made.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] for one that is always there, or that a container is on.
    pub fn remove_network(&self, wanted: &str) -> Result<()> {
        let locked = self.store.lock_networks()?;
        let network = self.store.find_network(wanted)?;
        if network.is_built_in() {
            return Err(Error::Forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                network.name
            )));
        }
        let leases = self.leases(&self.bridge_name(&network))?;
        if leases.free(self)? > 0 {
            return Err(Error::Forbidden(format!(
                "error while removing network: network {} id {} has active endpoints",
                network.name, network.id
            ))
            .hint("`skiff network inspect` tells which containers are on it"));
        }
        self.remove_bridge(&network)?;
        self.store.remove_network(&locked, &network.name)?;
        self.forget_leases(&self.bridge_name(&network), leases);
        self.forget_names(&self.bridge_name(&network));
        drop(locked);
        self.tell_of_network(&network, "destroy", &[]);
        Ok(())
    }

    /// Removes the networks that no container is on, and that were not made since `until`. Gives their names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a filter's value; of the file system.
    pub fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>> {
        let before = filters.until(Time::now())?;
        self.sweep();
        let in_use = self.networks_in_use()?;
        let mut removed = Vec::new();
        for network in self.store.networks()? {
            let is_wanted = !network.is_built_in()
                && !in_use.contains(&network.name)
                && before.is_none_or(|before| network.created < before)
                && filters.allows_labels(|key| network.labels.get(key).map(String::as_str));
            // One that a container came to meanwhile stays.
            if is_wanted && self.remove_network(&network.name).is_ok() {
                removed.push(network.name);
            }
        }
        Ok(removed)
    }

    /// The names of the networks that containers are on, or will be when they start.
    fn networks_in_use(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for id in self.shelf.ids()? {
            if let Some(record) = self.shelf.load::<Listed>(&id)? {
                all.extend(record.network_names().into_iter().map(String::from));
            }
        }
        Ok(all)
    }

    /// The containers that are on a network, by id and name, and what they have there.
    #[must_use]
    pub fn connected(&self, network: &Network) -> Vec<(String, String, Endpoint)> {
        let Some(leases) = self.look_at_leases(&self.bridge_name(network)) else { return Vec::new() };
        let member = |id: String| {
            let endpoint = self.endpoints(&id).into_iter().find(|one| one.network_id == network.id)?;
            let name = self.shelf.find(&id).ok()?.record.name;
            Some((id, name, endpoint))
        };
        // Each has one address of IPv4, and perhaps one of IPv6.
        let all =
            lease::all(&leases).unwrap_or_default().into_iter().filter(|(address, _)| address.is_ipv4());
        all.filter_map(|(_, lease)| self.shelf.is_monitored(&lease.id).then(|| member(lease.id))?).collect()
    }

    /// The network that has this bridge.
    pub(super) fn network_of(&self, bridge: &str) -> Result<Option<Network>> {
        Ok(self.store.networks()?.into_iter().find(|network| self.bridge_name(network) == bridge))
    }

    /// What a container that runs has on its networks.
    #[must_use]
    pub fn endpoints(&self, id: &str) -> Vec<Endpoint> {
        join::endpoints_at(self.shelf.run_root(), &format!("{id}/{}", Endpoint::FILE))
    }

    /// The address of who answers for the names of other containers, if somebody does.
    pub(super) fn responder_of(&self, endpoints: &[Endpoint]) -> Option<Ipv4Addr> {
        endpoints.iter().find(|endpoint| endpoint.network != BRIDGE).map(|endpoint| endpoint.v4.gateway)
    }

    /// Tells what happened to a network.
    pub(super) fn tell_of_network(&self, network: &Network, action: &str, more: &[(&str, &str)]) {
        let own = [("name", network.name.as_str()), ("type", network.driver.name())];
        let attributes = [more, &own].concat();
        self.write_event(Event { kind: Kind::Network, action, id: &network.id, attributes: &attributes });
    }
}

/// Whether two subnets have addresses in common. The way to everywhere is none that is taken.
fn overlaps(used: Subnet, subnet: Subnet) -> bool {
    used.prefix > 0 && used.overlaps(subnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_a_network_is_to_be() {
        let read = |text: &str| serde_json::from_str::<CreateNetwork>(text).unwrap().network();
        let network = read(
            r#"{"Name": "front", "CheckDuplicate": true, "Driver": "bridge", "EnableIPv6": false, "Options": null,
                "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.1.2.0/24", "Gateway": "10.1.2.9",
                "IPRange": "10.1.2.128/25", "AuxiliaryAddresses": {"router": "10.1.2.3"}}]}, "Labels": {"a": "b"}}"#,
        )
        .unwrap();
        assert_eq!(format!("{}", network.v4.subnet.unwrap()), "10.1.2.0/24");
        assert_eq!(network.v4.gateway, Some([10, 1, 2, 9].into()));
        assert_eq!(network.v4.auxiliary["router"], core::net::IpAddr::from([10, 1, 2, 3]));
        assert!(read(r#"{"Name": "front"}"#).unwrap().v4.subnet.is_none());
        let both = read(
            r#"{"Name": "front", "EnableIPv6": true, "IPAM": {"Config": [{"Subnet": "fd00:1::/64"},
                {"Subnet": "10.1.0.0/16"}]}}"#,
        )
        .unwrap();
        assert_eq!(
            both.pools().map(|pool| format!("{}", pool.subnet.unwrap())).collect::<Vec<_>>(),
            ["10.1.0.0/16", "fd00:1::/64"]
        );
        assert_eq!(read(r#"{"Name": "front", "EnableIPv6": true}"#).unwrap().v6, Some(Pool::default()));
        for text in [
            "{}",
            r#"{"Name": "front", "Driver": "macvlan"}"#,
            r#"{"Name": "front", "Ingress": true}"#,
            r#"{"Name": "front", "IPAM": {"Config": [{"Subnet": "10.1.2.0"}]}}"#,
            r#"{"Name": "front", "IPAM": {"Config": [{"Subnet": "fd00::/64"}]}}"#,
            r#"{"Name": "front", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}, {"Subnet": "10.2.0.0/16"}]}}"#,
            r#"{"Name": "front", "IPAM": {"Config": [{"Gateway": "10.1.0.1"}]}}"#,
            r#"{"Name": "front", "Options": {"x": "y"}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

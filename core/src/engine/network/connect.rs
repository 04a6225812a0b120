//! A container that starts is connected to its networks, one that has ended is disconnected from them.

use alloc::{format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, unlinkat},
};

use super::{
    bridge::Bridge,
    join::{self, Turn},
    lease::Lease,
    ports,
};
use crate::{
    Error, Result,
    container::{
        endpoint::{Endpoint, EndpointSettings, Place, Published},
        record::Record,
        shelf::Lock,
    },
    engine::Engine,
    net::{
        socket::Socket,
        subnet::{hardware_address, hardware_text},
    },
    process::launch::Unborn,
    store::networks::Network,
};

/// What a container has on a network.
pub(super) type Places = (Place<Ipv4Addr>, Option<Place<Ipv6Addr>>);

/// A container's connections to networks, for as long as this is kept.
#[derive(Debug)]
pub struct Connection {
    /// What it has.
    pub endpoints: Vec<Endpoint>,
    /// The sockets that reserve its ports, or what keeps the process alive that has them.
    _reserved: Vec<OwnedFd>,
}

/// What a container had, and has no more.
#[derive(Debug, Default)]
pub struct Disconnected {
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Closing it waits until the packet filter has thrown away what was there: some ten milliseconds.
    _closing: Option<Socket>,
}

/// What is different from one endpoint of a container to the next.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub interface: String,
    pub has_default_route: bool,
    pub ports: Vec<Published>,
}

impl Engine {
    /// Connects a container that is about to start to its networks, if it is to be on any.
    ///
    /// # Errors
    /// [`Error::NotFound`] if one was removed, [`Error::Conflict`] if a port or address is taken or no address is left; of
    /// the kernel. Nothing is left behind then.
    pub(in crate::engine) fn connect(
        &self,
        record: &Record,
        lock: &Lock,
        unborn: &mut Unborn,
    ) -> Result<Option<Connection>> {
        if !record.is_bridged() {
            return Ok(None);
        }
        let networks = self.bridged(record)?;
        if networks.is_empty() {
            return Ok(None);
        }
        // Of a monitor that was killed before the container counted as started.
        self.release(&record.id, &join::endpoints_in(&lock.directory));
        // Internal networks have no way to or from the world.
        let outer = networks.iter().position(|(network, _)| !network.internal);
        let way_out = (0..networks.len())
            .filter(|at| !networks[*at].0.internal)
            .rev()
            .max_by_key(|at| networks[*at].1.gw_priority);
        let (mut ports, mut reserved) = match outer {
            Some(at) => ports::reserve(record, &networks[at].0)?,
            None => Default::default(),
        };
        let mut made: Vec<(Endpoint, Bridge)> = Vec::new();
        let mut connect = || {
            for (at, (network, settings)) in networks.iter().enumerate() {
                let part = Part {
                    interface: settings.interface().map_or_else(|| format!("eth{at}"), String::from),
                    has_default_route: way_out == Some(at),
                    ports: if outer == Some(at) { core::mem::take(&mut ports) } else { Vec::new() },
                };
                made.push(self.endpoint(record, network, settings, part)?);
            }
            // First of all it is written down what there will be.
            join::write_endpoints(&lock.directory, made.iter().map(|(endpoint, _)| endpoint))?;
            let namespace = unborn.network_namespace()?;
            for (endpoint, bridge) in &made {
                bridge.attach(endpoint, &namespace)?;
                self.publish_ports(endpoint, bridge, &mut reserved)?;
            }
            Ok(())
        };
        let connected = connect();
        let endpoints: Vec<Endpoint> = made.into_iter().map(|(endpoint, _)| endpoint).collect();
        match connected {
            Ok(()) => Ok(Some(Connection { endpoints, _reserved: reserved })),
            Err(error) => {
                self.release(&record.id, &endpoints);
                let _ = unlinkat(&lock.directory, Endpoint::FILE, AtFlags::empty());
                Err(error)
            }
        }
    }

    /// The networks that a container with a bridge is to be on, the one of its network mode first.
    fn bridged(&self, record: &Record) -> Result<Vec<(Network, EndpointSettings)>> {
        let mut all = Vec::new();
        for name in record.network_names() {
            let missing = || Error::NotFound(format!("network {name} not found"));
            let network = self.store.network(name)?.ok_or_else(missing)?;
            all.push((network, record.endpoint_settings(name).cloned().unwrap_or_default()));
        }
        Ok(all)
    }

    /// Leases an address for a container on a network. Nothing leads there yet.
    pub(super) fn endpoint(
        &self,
        record: &Record,
        network: &Network,
        settings: &EndpointSettings,
        part: Part,
    ) -> Result<(Endpoint, Bridge)> {
        let lease = Lease::of(record, settings, network)?;
        let wanted = settings.addresses()?;
        let (bridge, (v4, v6)) = match self.lease(&lease, network, wanted)? {
            Some(taken) => taken,
            None => {
                // Some may be held by containers whose monitors were killed.
                self.sweep();
                self.leases(&self.bridge_name(network))?.free(self)?;
                self.lease(&lease, network, wanted)?.ok_or_else(|| {
                    Error::Conflict(format!(
                        "no available IPv4 addresses on this network's address pools: {} ({})",
                        network.name, network.id
                    ))
                })?
            }
        };
        let hardware = settings.hardware_address()?.unwrap_or_else(|| hardware_address(v4.address));
        let endpoint = Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            bridge: bridge.name.clone(),
            interface: part.interface,
            names: lease.names,
            has_default_route: part.has_default_route,
            v4,
            v6,
            link_local: settings.link_local()?,
            hardware_address: hardware_text(hardware),
            ports: part.ports,
        };
        Ok((endpoint, bridge))
    }

    /// Leases what a container is to have on a network. None if no address is left; then nothing is leased.
    fn lease(
        &self,
        lease: &Lease,
        network: &Network,
        (wanted4, wanted6): (Option<Ipv4Addr>, Option<Ipv6Addr>),
    ) -> Result<Option<(Bridge, Places)>> {
        let leases = self.leases(&self.bridge_name(network))?;
        let bridge = self.bridge(network, &leases)?;
        let mut pools = vec![(&network.v4, bridge.v4.0, wanted4.map(IpAddr::V4))];
        if let (Some(pool), Some((subnet, _))) = (&network.v6, bridge.v6) {
            pools.push((pool, subnet, wanted6.map(IpAddr::V6)));
        }
        let mut taken = Vec::new();
        let take = || -> Result<Option<Places>> {
            for (pool, subnet, wanted) in pools {
                match leases.take(self, (pool, subnet), lease, wanted)? {
                    Some(address) => taken.push(address),
                    None => return Ok(None),
                }
            }
            if !network.is_built_in() {
                self.answer_for_names(&bridge, &leases)?;
            }
            Ok(bridge.places(&taken))
        };
        let places = take();
        if !matches!(places, Ok(Some(_))) {
            taken.iter().for_each(|address| leases.give_back(*address, &lease.id));
        }
        Ok(places?.map(|places| (bridge, places)))
    }

    /// Undoes [`Engine::connect`] for a container, whose directory in the run root this is. Its cables end with its
    /// namespace. What this gives is best dropped when nobody waits any more.
    pub(in crate::engine) fn disconnect(&self, id: &str, run_directory: &OwnedFd) -> Disconnected {
        // Somebody may just be connecting it.
        let _turn = Turn::wait(run_directory);
        let endpoints = join::endpoints_in(run_directory);
        let closing = self.release(id, &endpoints);
        if !endpoints.is_empty() {
            let _ = unlinkat(run_directory, Endpoint::FILE, AtFlags::empty());
        }
        Disconnected { endpoints, _closing: closing }
    }

    /// Gives up what the endpoints of a container have on this host.
    pub(super) fn release(&self, id: &str, endpoints: &[Endpoint]) -> Option<Socket> {
        let mut filter = None;
        for endpoint in endpoints {
            let forwards = ports::translated(endpoint);
            if !forwards.is_empty() {
                filter = filter.or_else(|| Socket::netfilter().ok());
                if let Some(filter) = &filter {
                    ports::withdraw(filter, &endpoint.bridge, &forwards);
                }
            }
            if let Some(leases) = self.present_leases(&endpoint.bridge) {
                endpoint.addresses().for_each(|address| leases.give_back(address, id));
            }
        }
        filter
    }
}

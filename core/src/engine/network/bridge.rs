//! A network as the kernel has it: an interface of this host that all its containers are attached to, and a table of the
//! packet filter with the same name. They are made when they are first used, and made again if somebody took them away.

use alloc::{format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{connect::Places, lease::Leases};
use crate::{
    Context, Error, Result,
    container::{
        endpoint::{Endpoint, Place},
        names,
    },
    engine::Engine,
    file::{self, CWD},
    net::{
        link::{self, Cable, Protocols},
        message::{Messages, messages},
        socket::Socket,
        subnet::{Subnet, hardware_address, read_hardware},
        table::{self, Family, Rules, Transaction},
    },
    store::networks::Network,
};

/// What a container's own namespace is called in messages.
const INSIDE: &str = "container's network";

/// A bridge, and the sockets by which the kernel is told of its containers.
#[derive(Debug)]
pub(super) struct Bridge {
    pub name: String,
    pub v4: (Subnet, Ipv4Addr),
    pub v6: Option<(Subnet, Ipv6Addr)>,
    index: u32,
    mtu: u32,
    isolates: bool,
    route: Socket,
    /// None if this kernel has no packet filter that can do what is needed.
    pub filter: Option<Socket>,
}

impl Engine {
    /// The name of a network's bridge. Each run root has one of its own for the network that is always there.
    #[must_use]
    pub fn bridge_name(&self, network: &Network) -> String {
        if !network.is_built_in() {
            return network.bridge_name();
        }
        if self.run_path == Engine::RUN_ROOT {
            return "skiff0".into();
        }
        let sum = format!("{}", crate::digest::Digest::of(self.run_path.as_bytes()));
        format!("skiff-{}", &sum[sum.len() - 8..])
    }

    /// The addresses of a network that got some when it was first used. None before.
    #[must_use]
    pub fn given_subnet(&self, network: &Network) -> Option<Subnet> {
        let route = Socket::route().ok()?;
        let index = find_link(&route, &self.bridge_name(network)).ok()??;
        let all = addresses_of(&route, index).ok()?;
        all.into_iter().map(|(_, subnet)| subnet).find(|subnet| subnet.is_ipv4())
    }

    /// Finds the bridge of a network and its table, or makes them.
    pub(super) fn bridge(&self, network: &Network, _leases: &Leases) -> Result<Bridge> {
        let name = self.bridge_name(network);
        let route = Socket::route().context("open", "netlink socket")?;
        let found = find_link(&route, &name).context("look up interface", &name)?;
        let all = match found {
            Some(index) => addresses_of(&route, index).context("read the addresses of", &name)?,
            None => Vec::new(),
        };
        // Nobody makes a network with the same addresses meanwhile, if it has none yet.
        let mut locked = None;
        let given = all.iter().map(|(_, subnet)| *subnet).find(|subnet| subnet.is_ipv4());
        let subnet = match network.v4.subnet.or(given) {
            Some(subnet) => subnet,
            None => {
                locked = Some(self.store.lock_networks()?);
                free_subnet(network, &self.used_subnets()?)?
            }
        };
        let IpAddr::V4(gateway) = network.v4.gateway_in(subnet) else {
            return Err(Error::Corrupt(format!("network {}: {subnet} is not of IPv4", network.name)));
        };
        let v6 =
            network.v6.as_ref().and_then(|pool| match pool.subnet.map(|one| (one, pool.gateway_in(one))) {
                Some((subnet, IpAddr::V6(gateway))) => Some((subnet, gateway)),
                _ => None,
            });
        let mut wanted = vec![(IpAddr::V4(gateway), subnet)];
        wanted.extend(v6.map(|(subnet, gateway)| (IpAddr::V6(gateway), subnet)));
        let is_known = wanted.iter().all(|one| all.contains(one));
        wanted.retain(|one| !all.contains(one));
        let index = match found {
            Some(index) if is_known => index,
            None => {
                let protocols = Protocols::with(v6.is_some());
                let mut all = Messages::default();
                link::add_bridge(&mut all, &name, hardware_address(gateway), network.mtu(), protocols);
                route.request(&all).context("make interface", &name)?;
                give_addresses(&route, &name, &wanted)?
            }
            Some(_) => give_addresses(&route, &name, &wanted)?,
        };
        drop(locked);
        let mut rules = vec![network.rules(subnet, gateway.into())];
        rules.extend(v6.map(|(subnet, gateway)| network.rules(subnet, gateway.into())));
        let filter = filter(&name, is_known, &rules)?;
        let (mtu, isolates) = (network.mtu(), network.isolates());
        Ok(Bridge { name, v4: (subnet, gateway), v6, index, mtu, isolates, route, filter })
    }

    /// Where this host's interfaces and routes lead to, and what its networks have.
    pub(super) fn used_subnets(&self) -> Result<Vec<Subnet>> {
        let route = Socket::route().context("open", "netlink socket")?;
        let mut question = Messages::default();
        link::ask_routes(&mut question);
        let answer = route.ask(&question).context("read", "routes")?;
        let mut used: Vec<Subnet> =
            messages(&answer).filter_map(|message| link::read_route(&message)).collect();
        used.extend(
            addresses(&route, None).context("read", "addresses")?.into_iter().map(|(.., subnet)| subnet),
        );
        let networks = self.store.networks()?;
        used.extend(networks.iter().flat_map(Network::pools).filter_map(|pool| pool.subnet));
        Ok(used)
    }

    /// Whether there is an interface of this name.
    pub(super) fn has_interface(name: &str) -> Result<bool> {
        let route = Socket::route().context("open", "netlink socket")?;
        Ok(find_link(&route, name).context("look up interface", name)?.is_some())
    }

    /// Takes a network's bridge and table away, if they are there.
    pub(super) fn remove_bridge(&self, network: &Network) -> Result<()> {
        let name = self.bridge_name(network);
        if let Ok(filter) = Socket::netfilter() {
            for family in [Family::V4, Family::V6] {
                let mut all = Transaction::new(&name);
                all.remove(family);
                match filter.request(&all.finish()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(Error::os("remove packet filter table", name, errno)),
                }
            }
        }
        let route = Socket::route().context("open", "netlink socket")?;
        if let Some(index) = find_link(&route, &name).context("look up interface", &name)? {
            let mut all = Messages::default();
            link::remove(&mut all, index);
            route.request(&all).context("remove interface", &name)?;
        }
        Ok(())
    }
}

impl Bridge {
    /// What a container has there with these addresses. None if one is missing.
    pub fn places(&self, addresses: &[IpAddr]) -> Option<Places> {
        let (subnet, gateway) = self.v4;
        let v4 = addresses.iter().find_map(|address| match *address {
            IpAddr::V4(address) => Some(Place { address, prefix: subnet.prefix, gateway }),
            IpAddr::V6(_) => None,
        })?;
        let Some((subnet, gateway)) = self.v6 else { return Some((v4, None)) };
        let v6 = addresses.iter().find_map(|address| match *address {
            IpAddr::V6(address) => Some(Place { address, prefix: subnet.prefix, gateway }),
            IpAddr::V4(_) => None,
        })?;
        Some((v4, Some(v6)))
    }

    /// Gives a network namespace an interface on the bridge.
    pub fn attach(&self, endpoint: &Endpoint, namespace: &OwnedFd) -> Result<()> {
        let end = format!("veth{}", &names::new_id()?[..10]);
        let mut all = Messages::default();
        link::add_cable(
            &mut all,
            &Cable {
                name: &end,
                bridge: self.index,
                peer: &endpoint.interface,
                peer_address: read_hardware(&endpoint.hardware_address)
                    .unwrap_or_else(|| hardware_address(endpoint.v4.address)),
                namespace: namespace.as_raw_fd() as u32,
                mtu: self.mtu,
                isolated: self.isolates,
            },
        );
        self.route.request(&all).context("make interface", &end)?;
        let inside = enter(namespace)?;
        let index = index_of(&inside, &endpoint.interface)?;
        let mut all = Messages::default();
        link::set_up(&mut all, index, Protocols::with(self.v6.is_some()));
        link::add_address(&mut all, index, endpoint.v4.address.into(), self.v4.0);
        if let (Some(place), Some((subnet, _))) = (endpoint.v6, self.v6) {
            link::add_address(&mut all, index, place.address.into(), subnet);
        }
        for (address, subnet) in &endpoint.link_local {
            link::add_address(&mut all, index, *address, *subnet);
        }
        if endpoint.has_default_route {
            add_default_routes(&mut all, index, endpoint);
        }
        inside.request(&all).context("set up", INSIDE)
    }
}

/// A subnet for a network that has nothing in common with those that are `used`. The first of all is left to the network
/// that is always there.
pub(super) fn free_subnet(network: &Network, used: &[Subnet]) -> Result<Subnet> {
    let mut pool = Subnet::pool().skip(usize::from(!network.is_built_in()));
    pool.find(|subnet| !used.iter().any(|used| used.overlaps(*subnet))).ok_or_else(|| {
        Error::Conflict("could not find an available, non-overlapping IPv4 address pool".into())
            .hint("say which with --subnet, or remove networks that nobody needs: `skiff network prune`")
    })
}

/// Where an interface of a container's network is looked after.
fn enter(namespace: &OwnedFd) -> Result<Socket> {
    within(namespace, Socket::route).context("enter", INSIDE)
}

/// Takes an endpoint's interface out of a network namespace, if it is there.
pub(super) fn detach(endpoint: &Endpoint, namespace: &OwnedFd) -> Result<()> {
    let inside = enter(namespace)?;
    if let Some(index) =
        find_link(&inside, &endpoint.interface).context("look up interface", &endpoint.interface)?
    {
        let mut all = Messages::default();
        link::remove(&mut all, index);
        inside.request(&all).context("remove interface", &endpoint.interface)?;
    }
    Ok(())
}

/// Has a network namespace send over this gateway what has no better way.
pub(super) fn lead_out(endpoint: &Endpoint, namespace: &OwnedFd) -> Result<()> {
    let inside = enter(namespace)?;
    let mut all = Messages::default();
    add_default_routes(&mut all, index_of(&inside, &endpoint.interface)?, endpoint);
    inside.request(&all).context("set up", INSIDE)
}

/// The packet filter, with a table for the bridge, which may be `known` to it already. None if the kernel has not what is
/// needed. Then nothing goes from one interface to another, since nothing would keep networks apart.
fn filter(bridge: &str, known: bool, rules: &[Rules]) -> Result<Option<Socket>> {
    let is_missing = |errno| matches!(errno, Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOENT);
    let filter = match Socket::netfilter() {
        Err(errno) if is_missing(errno) => return Ok(None),
        other => other.context("open", "netlink socket")?,
    };
    let is_there = |rules: &Rules| {
        let mut question = Messages::default();
        table::ask_table(&mut question, Family::of(rules.subnet.first()), bridge);
        filter.ask(&question).is_ok()
    };
    if known && rules.iter().all(is_there) {
        return Ok(Some(filter));
    }
    // First, since who finds the table takes it that all is there.
    let forwarded = turn("/proc/sys/net/ipv4/ip_forward", b"1\n")?;
    // What the host sends from 127.0.0.1 to a published port goes over the bridge.
    turn(&format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"), b"1\n")?;
    if rules.iter().any(|rules| !rules.subnet.is_ipv4()) {
        turn("/proc/sys/net/ipv6/conf/all/forwarding", b"1\n")?;
    }
    let mut all = Transaction::new(bridge);
    rules.iter().for_each(|rules| all.set_up(bridge, *rules));
    match filter.request(&all.finish()) {
        Err(errno) if is_missing(errno) => {
            if forwarded {
                turn("/proc/sys/net/ipv4/ip_forward", b"0\n")?;
            }
            Ok(None)
        }
        other => other.context("make packet filter table", bridge).map(|()| Some(filter)),
    }
}

/// What keeps packets from going where networks need them to go.
#[derive(Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This kernel has no packet filter.
    NoFilter,
    /// Somebody's table of this name drops what is forwarded.
    Dropped(String),
}

/// Looks whether there is something in the way.
pub(super) fn obstacle() -> Option<Obstacle> {
    match Socket::netfilter() {
        Ok(filter) => forward_drop(&filter).map(Obstacle::Dropped),
        Err(_) => Some(Obstacle::NoFilter),
    }
}

/// Whose table drops what is forwarded.
pub(super) fn forward_drop(filter: &Socket) -> Option<String> {
    let mut question = Messages::default();
    table::ask_chains(&mut question);
    let answer = filter.ask(&question).ok()?;
    messages(&answer).find_map(|message| table::read_forward_drop(&message).map(String::from))
}

/// Whether this kernel seems to have a packet filter.
pub(super) fn has_filter() -> bool {
    Socket::netfilter().is_ok()
}

/// Gives a bridge these addresses. Its number.
fn give_addresses(route: &Socket, name: &str, wanted: &[(IpAddr, Subnet)]) -> Result<u32> {
    let index = index_of(route, name)?;
    let mut all = Messages::default();
    for (gateway, subnet) in wanted {
        link::add_address(&mut all, index, *gateway, *subnet);
    }
    route.request(&all).context("give an address to", name)?;
    Ok(index)
}

fn add_default_routes(to: &mut Messages, index: u32, endpoint: &Endpoint) {
    link::add_default_route(to, index, endpoint.v4.gateway.into());
    if let Some(place) = endpoint.v6 {
        link::add_default_route(to, index, place.gateway.into());
    }
}

fn find_link(route: &Socket, name: &str) -> Result<Option<u32>, Errno> {
    let mut question = Messages::default();
    link::ask_link(&mut question, name);
    match route.ask(&question) {
        Ok(answer) => Ok(messages(&answer).find_map(|message| link::read_link(&message))),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The number of an interface that has to be there.
fn index_of(route: &Socket, name: &str) -> Result<u32> {
    let found = find_link(route, name).and_then(|found| found.ok_or(Errno::NODEV));
    found.context("look up interface", name)
}

/// The addresses of an interface.
fn addresses_of(route: &Socket, index: u32) -> Result<Vec<(IpAddr, Subnet)>, Errno> {
    let all = addresses(route, Some(index))?.into_iter().filter(|(on, ..)| *on == index);
    Ok(all.map(|(_, address, subnet)| (address, subnet)).collect())
}

/// The addresses of this host, of one interface alone if the kernel can tell them apart, with the interfaces that have them.
fn addresses(route: &Socket, of: Option<u32>) -> Result<Vec<(u32, IpAddr, Subnet)>, Errno> {
    let mut question = Messages::default();
    link::ask_addresses(&mut question, of);
    let answer = route.ask(&question)?;
    Ok(messages(&answer).filter_map(|message| link::read_address(&message)).collect())
}

/// What `open` gives in a network namespace, which this thread is in meanwhile.
fn within<T>(namespace: &OwnedFd, open: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let own = rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let opened = open();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    opened
}

/// Gives a setting of the kernel a value; whether it had another.
fn turn(path: &str, value: &[u8]) -> Result<bool> {
    if file::read(CWD, path, 16).is_ok_and(|text| text == value) {
        return Ok(false);
    }
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|open| file::write_all(open, value))
        .context("write", path)
        .map(|()| true)
}

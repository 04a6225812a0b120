//! The bridge network: an interface of this host that all its containers are attached to, a table of the packet filter,
//! and for each container a virtual cable, an address, and the ports that are published.
//!
//! What lasts is in the kernel: the bridge and its address say which subnet it is. An address is leased by a link in the
//! run root that names the container, so a lease whose container nobody monitors is free. A published port is reserved
//! by a socket that the monitor keeps bound: nobody else can have it, and it is free as soon as the monitor is gone.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::net::Ipv4Addr;

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Mode, OFlags, unlinkat},
    io::Errno,
    net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, getsockname, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::{
        endpoint::{self, Endpoint, Published, Wanted},
        names,
        record::Record,
        shelf::Lock,
    },
    digest::Digest,
    file::{self, CWD},
    net::{
        link::{self, Cable},
        message::{Messages, messages},
        socket::Socket,
        subnet::{Subnet, hardware_address, hardware_text},
        table::{self, Transaction, Transport},
    },
    process::launch::Unborn,
};

/// The name of the network, as `--network` takes it.
pub const BRIDGE: &str = "bridge";
/// Its id: the SHA-256 sum of its name.
pub const BRIDGE_ID: &str = "17f29b073143d8cd97b5bbe492bdeffec1c5fee55cc1fe2112c8b9335f8b6121";
/// The container's end of its cable.
const INSIDE: &str = "eth0";
const MTU: u32 = 1500;
/// How much of an endpoint's file is read.
const ENDPOINT_MAX: usize = 1 << 20;

/// A container's connection to a network, for as long as this is kept.
#[derive(Debug)]
pub struct Connection {
    /// What it has.
    pub endpoint: Endpoint,
    /// The sockets that reserve its ports.
    _reserved: Vec<OwnedFd>,
}

/// The bridge, as the kernel has it, and the sockets by which it is told of containers.
#[derive(Debug)]
struct Bridge {
    name: String,
    index: u32,
    subnet: Subnet,
    route: Socket,
    filter: Socket,
}

impl Engine {
    /// The name of the bridge, which is that of its table, too: each run root has its own.
    #[must_use]
    pub fn bridge_name(&self) -> String {
        if self.run_path == Engine::RUN_ROOT {
            return "skiff0".into();
        }
        let sum = format!("{}", Digest::of(self.run_path.as_bytes()));
        format!("skiff-{}", &sum[sum.len() - 8..])
    }

    /// Connects a container that is about to start to its network, if it is to be on one.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a port is taken or no address is left; of the kernel. Nothing is left behind then.
    pub(super) fn connect(
        &self,
        record: &Record,
        lock: &Lock,
        unborn: &mut Unborn,
    ) -> Result<Option<Connection>> {
        if record.host.network_mode != BRIDGE {
            return Ok(None);
        }
        let (mut ports, mut reserved) = (Vec::new(), Vec::new());
        for wanted in endpoint::wanted(&record.config, &record.host)? {
            let (socket, host_port) = reserve(&wanted)?;
            reserved.push(socket);
            ports.push(Published { inside: wanted.inside, host_address: wanted.host_address, host_port });
        }
        let (bridge, address) = match self.lease(&record.id)? {
            Some(found) => found,
            None => {
                // Some may be held by containers whose monitors were killed.
                self.sweep();
                self.free_leases()?;
                self.lease(&record.id)?.ok_or_else(|| {
                    Error::Conflict(
                        "no available IPv4 addresses on this network's address pools: bridge".into(),
                    )
                })?
            }
        };
        let endpoint = Endpoint {
            address,
            prefix: bridge.subnet.prefix,
            gateway: bridge.subnet.gateway(),
            hardware_address: hardware_text(hardware_address(address)),
            ports,
        };
        let mut connect = || {
            // First of all it is written down what there will be.
            let text = serde_json::to_vec(&endpoint)
                .map_err(|error| Error::Invalid(format!("write {}: {error}", Endpoint::FILE)))?;
            file::replace(&lock.directory, Endpoint::FILE, &text, 0o600).context("create", Endpoint::FILE)?;
            attach_cable(&endpoint, &bridge, unborn)?;
            self.publish_ports(&endpoint, &bridge)
        };
        match connect() {
            Ok(()) => Ok(Some(Connection { endpoint, _reserved: reserved })),
            Err(error) => {
                self.release(&record.id, &endpoint, &lock.directory);
                Err(error)
            }
        }
    }

    /// Undoes [`Engine::connect`] for a container, whose directory in the run root this is. Its cable ends with its
    /// namespace. Closing the socket that this gives waits until the packet filter has thrown away what was there: some
    /// ten milliseconds.
    pub(super) fn disconnect(&self, id: &str, run_directory: &OwnedFd) -> Option<Socket> {
        self.release(id, &endpoint_in(run_directory)?, run_directory)
    }

    fn release(&self, id: &str, endpoint: &Endpoint, run_directory: &OwnedFd) -> Option<Socket> {
        let filter = match endpoint.ports.is_empty() {
            true => None,
            false => Socket::netfilter().ok(),
        };
        if let Some(filter) = &filter {
            withdraw(filter, &self.bridge_name(), endpoint);
        }
        let name = format!("{}", endpoint.address);
        if let Ok(leases) = self.leases()
            && file::link_target(&leases, name.as_str()).is_ok_and(|holder| holder == id)
        {
            let _ = unlinkat(&leases, name, AtFlags::empty());
        }
        let _ = unlinkat(run_directory, Endpoint::FILE, AtFlags::empty());
        filter
    }

    /// What a container that runs has on its network.
    #[must_use]
    pub fn endpoint(&self, record: &Record) -> Option<Endpoint> {
        self.endpoint_of(&record.id, &record.host.network_mode)
    }

    /// As [`Engine::endpoint`], for the container with this id and this network.
    #[must_use]
    pub fn endpoint_of(&self, id: &str, network_mode: &str) -> Option<Endpoint> {
        match network_mode {
            BRIDGE => endpoint_in(&self.shelf.run_directory(id).ok()?),
            _ => None,
        }
    }

    /// The containers on the bridge, and what they have there.
    #[must_use]
    pub fn on_bridge(&self) -> Vec<(Record, Endpoint)> {
        let ids = self.shelf.run_ids().into_iter();
        let records = ids.filter_map(|id| self.shelf.load::<Record>(&id).ok().flatten());
        records.filter_map(|record| self.endpoint(&record).map(|endpoint| (record, endpoint))).collect()
    }

    /// The subnet of the bridge, if there is one.
    #[must_use]
    pub fn bridge_subnet(&self) -> Option<Subnet> {
        let route = Socket::route().ok()?;
        let index = find_link(&route, &self.bridge_name()).ok()??;
        subnet_of(&route, index).ok()?
    }

    /// The directory of the leases, locked until it is dropped.
    fn leases(&self) -> Result<OwnedFd> {
        let what = "networks/bridge";
        let networks = file::subdirectory(&self.run, "networks", 0o700).context("open", what)?;
        let leases = file::subdirectory(&networks, BRIDGE, 0o700).context("open", what)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let leases = rustix::fs::openat(&leases, ".", flags, Mode::empty()).context("open", what)?;
        file::lock(&leases, FlockOperation::LockExclusive).context("lock", what)?;
        Ok(leases)
    }

    /// Takes the lowest address of the bridge's subnet that is free.
    fn lease(&self, id: &str) -> Result<Option<(Bridge, Ipv4Addr)>> {
        let leases = self.leases()?;
        let bridge = self.bridge(&leases)?;
        let names = file::names(&leases, ".").context("read", "networks/bridge")?;
        let taken: BTreeSet<Ipv4Addr> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let Some(address) = bridge.subnet.hosts().find(|address| !taken.contains(address)) else {
            return Ok(None);
        };
        rustix::fs::symlinkat(id, &leases, format!("{address}")).context("lease", address)?;
        Ok(Some((bridge, address)))
    }

    /// Ends the leases of containers that nobody monitors.
    fn free_leases(&self) -> Result<()> {
        let leases = self.leases()?;
        for name in file::names(&leases, ".").context("read", "networks/bridge")? {
            let holder = file::link_target(&leases, name.as_str()).unwrap_or_default();
            if !self.shelf.is_monitored(&holder) {
                unlinkat(&leases, &name, AtFlags::empty()).context("end lease of", name)?;
            }
        }
        Ok(())
    }

    /// Finds the bridge and its table, or makes them. The lock on the leases is held.
    fn bridge(&self, _leases: &OwnedFd) -> Result<Bridge> {
        let name = self.bridge_name();
        let route = Socket::route().context("open", "netlink socket")?;
        let found = find_link(&route, &name).context("look up interface", &name)?;
        let known = match found {
            Some(index) => subnet_of(&route, index).context("read the addresses of", &name)?,
            None => None,
        };
        let (index, subnet) = match (found, known) {
            (Some(index), Some(subnet)) => (index, subnet),
            (found, _) => make_bridge(&route, &name, found)?,
        };
        let filter = Socket::netfilter().context("open", "netlink socket").map_err(without_filter)?;
        let mut question = Messages::default();
        table::ask_table(&mut question, &name);
        if let (Some(_), Ok(_)) = (known, filter.ask(&question)) {
            return Ok(Bridge { name, index, subnet, route, filter });
        }
        let mut all = Transaction::new(&name);
        all.set_up(&name, subnet);
        filter.request(&all.finish()).context("make packet filter table", &name).map_err(without_filter)?;
        set("/proc/sys/net/ipv4/ip_forward")?;
        // What the host sends from 127.0.0.1 to a published port goes over the bridge.
        set(&format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"))?;
        Ok(Bridge { name, index, subnet, route, filter })
    }

    /// Has the packet filter lead to the published ports.
    fn publish_ports(&self, endpoint: &Endpoint, Bridge { name, filter, .. }: &Bridge) -> Result<()> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        let publish = || {
            let mut all = Transaction::new(name);
            endpoint.forwards().for_each(|forward| all.forward(&forward));
            filter.request(&all.finish())
        };
        match publish() {
            // The ports are reserved for this container, so what stands there is of one whose monitor was killed. It is
            // buried now: later that would take from this one what it has.
            Err(Errno::EXIST) => self.sweep(),
            other => return other.context("publish ports in", name),
        }
        withdraw(filter, name, endpoint);
        publish().context("publish ports in", name)
    }
}

/// Gives the process an interface on the bridge.
fn attach_cable(endpoint: &Endpoint, bridge: &Bridge, unborn: &mut Unborn) -> Result<()> {
    let namespace = unborn.network_namespace()?;
    let end = format!("veth{}", &names::new_id()?[..10]);
    let mut all = Messages::default();
    link::add_cable(
        &mut all,
        &Cable {
            name: &end,
            bridge: bridge.index,
            peer: INSIDE,
            peer_address: hardware_address(endpoint.address),
            namespace: namespace.as_raw_fd() as u32,
            mtu: MTU,
        },
    );
    let what = "container's network";
    bridge.route.request(&all).context("make interface", &end)?;
    let inside = within(&namespace, Socket::route).context("enter", what)?;
    let index = index_of(&inside, INSIDE)?;
    let mut all = Messages::default();
    link::set_up(&mut all, index);
    link::add_address(&mut all, index, endpoint.address, bridge.subnet);
    link::add_default_route(&mut all, index, endpoint.gateway);
    inside.request(&all).context("set up", what)
}

/// Has the packet filter forget the ports of a container, of which some may not stand there.
fn withdraw(filter: &Socket, table: &str, endpoint: &Endpoint) {
    let mut all = Transaction::new(table);
    endpoint.forwards().for_each(|forward| all.end_forward(&forward));
    if filter.request(&all.finish()).is_ok() {
        return;
    }
    for forward in endpoint.forwards() {
        let mut one = Transaction::new(table);
        one.end_forward(&forward);
        let _ = filter.request(&one.finish());
    }
}

fn endpoint_in(run_directory: &OwnedFd) -> Option<Endpoint> {
    let text = file::read(run_directory, Endpoint::FILE, ENDPOINT_MAX).ok()?;
    crate::json::from_slice(&text).ok()
}

/// Binds a port of this host, the first that is free.
fn reserve(wanted: &Wanted) -> Result<(OwnedFd, u16)> {
    let kind = match wanted.transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let (first, last) = wanted.host_ports;
    for port in first..=last {
        let socket =
            socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).context("open", "socket")?;
        match bind(&socket, &SocketAddrV4::new(wanted.host_address, port)) {
            Ok(()) => {
                let name =
                    getsockname(&socket).and_then(SocketAddrV4::try_from).context("look at", "socket")?;
                return Ok((socket, name.port()));
            }
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => {
                let what = format!("{}:{port}", wanted.host_address);
                return Err(Error::os("bind", what, errno));
            }
        }
    }
    let ports = if first == last { format!("{first}") } else { format!("{first}-{last}") };
    Err(Error::Conflict(format!(
        "Bind for {}:{ports} failed: port is already allocated",
        wanted.host_address
    )))
}

/// Makes the bridge if it is not `found`, and gives it an address in a subnet that nobody has here.
fn make_bridge(route: &Socket, name: &str, found: Option<u32>) -> Result<(u32, Subnet)> {
    let mut question = Messages::default();
    link::ask_routes(&mut question);
    let answer = route.ask(&question).context("read", "routes")?;
    let mut used: Vec<Subnet> = messages(&answer).filter_map(|message| link::read_route(&message)).collect();
    used.extend(addresses(route).context("read", "addresses")?.into_iter().map(|(.., subnet)| subnet));
    let subnet =
        Subnet::pool().find(|subnet| !used.iter().any(|used| used.overlaps(*subnet))).ok_or_else(|| {
            Error::Conflict("could not find an available, non-overlapping IPv4 address pool".into())
        })?;
    if found.is_none() {
        let mut all = Messages::default();
        link::add_bridge(&mut all, name, hardware_address(subnet.gateway()));
        route.request(&all).context("make interface", name)?;
    }
    let index = index_of(route, name)?;
    let mut all = Messages::default();
    link::add_address(&mut all, index, subnet.gateway(), subnet);
    route.request(&all).context("give an address to", name)?;
    Ok((index, subnet))
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

fn subnet_of(route: &Socket, index: u32) -> Result<Option<Subnet>, Errno> {
    let mut all = addresses(route)?.into_iter();
    Ok(all.find(|(on, ..)| *on == index).map(|(.., subnet)| subnet))
}

/// All addresses of this host, with the interfaces that have them.
fn addresses(route: &Socket) -> Result<Vec<(u32, Ipv4Addr, Subnet)>, Errno> {
    let mut question = Messages::default();
    link::ask_addresses(&mut question);
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

/// Switches a setting of the kernel on.
fn set(path: &str) -> Result<()> {
    if file::read(CWD, path, 16).is_ok_and(|text| text == b"1\n") {
        return Ok(());
    }
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|open| file::write_all(open, b"1"))
        .context("write", path)
}

/// Says what the kernel lacks.
fn without_filter(error: Error) -> Error {
    match error {
        Error::Os { errno: Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOENT, .. } => {
            error.hint("bridge networks need nf_tables with NAT in the kernel (CONFIG_NF_TABLES, NFT_NAT, NFT_MASQ, NFT_FIB)")
        }
        other => other,
    }
}

//! Who answers for the names of the containers on a network that somebody made: a process of its own, which listens on
//! the bridge's address. It knows the names by the [leases](super::lease), and lives as long as there is one.
//!
//! Names are those of the networks that the asking container is on: of all of them, since a container asks in one place
//! only. `networks/<bridge>.names` in the run root is locked as long as the process lives, and says whether the packet
//! filter leads to it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
    vec::Vec,
};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Mode, OFlags, inotify, unlinkat},
    io::Errno,
    net::listen,
};

use super::{
    bridge::Bridge,
    lease::{self, Lease, Leases},
    ports,
};
use crate::{
    Context, Error, Result,
    engine::Engine,
    file, fork,
    net::{
        dns::PORT,
        lookup,
        responder::{self, Names},
        table::{Forward, Transaction, Transport},
    },
    store::networks::Network,
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

impl Engine {
    /// Has somebody answer for the names on a network. Its leases are locked, and there is one.
    pub(super) fn answer_for_names(&self, bridge: &Bridge, _leases: &Leases) -> Result<()> {
        let name = format!("networks/{}.names", bridge.name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = rustix::fs::openat(&self.run, name.as_str(), flags, Mode::from_raw_mode(0o600));
        let lock = open.context("open", &name)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(Error::os("lock", name, errno)),
        }
        let (udp, tcp) = listen_on(bridge, &lock)?;
        let (data_path, run_path) = (self.data_path.as_str(), self.run_path.as_str());
        fork::background(
            (udp, tcp, lock),
            |(udp, tcp, lock)| vec![udp.as_fd(), tcp.as_fd(), lock.as_fd()],
            |(udp, tcp, lock), reporter| {
                // Questions wait in the sockets until they are answered.
                reporter.succeed();
                let engine = Engine::open(data_path, run_path)?;
                let mut known = Known::new(&engine, bridge)?;
                let served = responder::serve(&udp, &tcp, &mut known);
                // Whoever gets the next lease finds that nobody answers any more, and does not wait for the kernel, which
                // takes its time to close an inotify.
                drop((udp, tcp, lock));
                drop(known.ending.take());
                served
            },
        )
    }

    /// Ends the leases of containers that are not `alive`, and has somebody answer again for the names on networks where
    /// whoever did it was killed.
    pub(in crate::engine) fn sweep_networks(&self, alive: &BTreeSet<String>) {
        let names = file::names(&self.run, "networks").unwrap_or_default();
        for name in names {
            if let Some(bridge) = name.strip_suffix(".names") {
                if self.is_silent(&name) {
                    let _ = self.answer_again(bridge);
                }
                continue;
            }
            let is_dead = |(_, lease): &(IpAddr, Lease)| !alive.contains(&lease.id);
            let all = self.look_at_leases(&name).and_then(|leases| lease::all(&leases).ok());
            if all.is_some_and(|all| all.iter().any(is_dead))
                && let Some(leases) = self.present_leases(&name)
            {
                // Some may be of containers that are about to start.
                let _ = leases.free(self);
            }
        }
    }

    /// Whether nobody holds this lock.
    fn is_silent(&self, lock: &str) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = rustix::fs::openat(&self.run, format!("networks/{lock}"), flags, Mode::empty());
        open.is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
    }

    fn answer_again(&self, bridge: &str) -> Result<()> {
        let Some(leases) = self.present_leases(bridge) else { return Ok(()) };
        if leases.free(self)? == 0 {
            return Ok(());
        }
        match self.network_of(bridge)? {
            Some(network) => self.answer_for_names(&self.bridge(&network, &leases)?, &leases),
            None => Ok(()),
        }
    }

    /// Forgets that somebody answered for the names on a bridge that is gone.
    pub(super) fn forget_names(&self, bridge: &str) {
        let _ = unlinkat(&self.run, format!("networks/{bridge}.names"), AtFlags::empty());
    }
}

/// The sockets that questions come to. If somebody on this host has the usual port on all addresses, they have another
/// one, and the packet filter leads there.
fn listen_on(bridge: &Bridge, lock: &OwnedFd) -> Result<(OwnedFd, OwnedFd)> {
    let gateway = bridge.v4.1;
    let usual = bind_both(gateway, PORT).map(|(udp, tcp, _)| (udp, tcp));
    let mut forwards: Vec<Forward> = [Transport::Udp, Transport::Tcp]
        .map(|transport| Forward {
            transport,
            host_address: gateway.into(),
            host_port: PORT,
            address: gateway.into(),
            port: PORT,
        })
        .into();
    let Some(filter) = &bridge.filter else { return usual };
    // The lock's file has something in it if the packet filter was told by one before this one. To ask it to forget what
    // it does not know takes tens of milliseconds.
    if rustix::fs::fstat(lock).is_ok_and(|stat| stat.st_size > 0) {
        ports::withdraw(filter, &bridge.name, &forwards);
        rustix::fs::ftruncate(lock, 0).context("truncate", "lock")?;
    }
    match usual {
        Err(Error::Os { errno: Errno::ADDRINUSE, .. }) => {}
        other => return other,
    }
    let (udp, tcp, ports) = bind_both(gateway, 0)?;
    for (forward, port) in forwards.iter_mut().zip(ports) {
        forward.port = port;
    }
    file::write_all(lock, b"led\n").context("write", "lock")?;
    let mut all = Transaction::new(&bridge.name);
    all.forward(&forwards);
    filter.request(&all.finish()).context("lead questions for names in", &bridge.name)?;
    Ok((udp, tcp))
}

/// The sockets for datagrams and for connections, and their ports.
fn bind_both(address: Ipv4Addr, port: u16) -> Result<(OwnedFd, OwnedFd, [u16; 2])> {
    let place = SocketAddr::new(address.into(), port);
    let both = || {
        let (udp, udp_port) = ports::bind_one(Transport::Udp, place)?;
        let (tcp, tcp_port) = ports::bind_one(Transport::Tcp, place)?;
        listen(&tcp, BACKLOG)?;
        Ok((udp, tcp, [udp_port, tcp_port]))
    };
    both().context("listen for questions on", place)
}

/// The names that are known, and where the other questions go.
struct Known<'a> {
    engine: &'a Engine,
    /// The bridge whose questions these are.
    bridge: String,
    gateway: Ipv4Addr,
    /// By bridge.
    networks: BTreeMap<String, Members>,
    changes: OwnedFd,
    /// Taken when the last lease is gone: nobody gets one before this process has ended.
    ending: Option<Leases>,
}

/// The leases on a network.
struct Members {
    /// The network's name.
    name: String,
    internal: bool,
    all: BTreeMap<IpAddr, Lease>,
}

impl<'a> Known<'a> {
    fn new(engine: &'a Engine, bridge: &Bridge) -> Result<Self> {
        use inotify::CreateFlags;
        let changes =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context("start inotify", "")?;
        let mut known = Known {
            engine,
            bridge: bridge.name.clone(),
            gateway: bridge.v4.1,
            networks: BTreeMap::new(),
            changes,
            ending: None,
        };
        known.watch(&format!("{}/networks", engine.run_path));
        known.read();
        Ok(known)
    }

    /// Hears of changes in a directory; once more than once is as good as once.
    fn watch(&self, directory: &str) {
        use inotify::WatchFlags;
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        // One that is gone again needs no watching, and where there are no watches left it is read every now and then.
        let _ = inotify::add_watch(&self.changes, directory, flags);
    }

    /// Reads all leases anew.
    fn read(&mut self) {
        let names = file::names(&self.engine.run, "networks").unwrap_or_default();
        self.networks.retain(|bridge, _| names.contains(bridge));
        for bridge in names.into_iter().filter(|name| !name.ends_with(".names")) {
            // Before it is read, so that nothing is missed.
            self.watch(&format!("{}/networks/{bridge}", self.engine.run_path));
            let Some(leases) = self.engine.look_at_leases(&bridge) else { continue };
            let all = lease::all(&leases).unwrap_or_default().into_iter().collect();
            if let Some(members) = self.networks.get_mut(&bridge) {
                members.all = all;
            } else if let Ok(Some(Network { name, internal, .. })) = self.engine.network_of(&bridge) {
                self.networks.insert(bridge, Members { name, internal, all });
            }
        }
    }

    /// The networks of who asks. Whoever has no lease, such as this host, knows the bridge's own.
    fn of(&self, asker: Ipv4Addr) -> impl Iterator<Item = (&Members, Option<&Lease>)> {
        let own = self.networks.get(&self.bridge);
        let id = own.and_then(|members| members.all.get(&IpAddr::V4(asker))).map(|lease| lease.id.as_str());
        self.networks.iter().filter_map(move |(bridge, members)| {
            let lease = id.and_then(|id| members.all.values().find(|lease| lease.id == id));
            (lease.is_some() || *bridge == self.bridge).then_some((members, lease))
        })
    }
}

impl Members {
    /// The addresses that a name stands for, perhaps with the network's name behind it.
    fn addresses(&self, name: &str) -> impl Iterator<Item = IpAddr> {
        let is_suffix = |suffix: &&str| suffix.eq_ignore_ascii_case(&self.name);
        let bare = name.split_once('.').filter(|(_, suffix)| is_suffix(suffix)).map(|(bare, _)| bare);
        let is_meant = move |lease: &Lease| {
            let is_name = |known: &String| {
                known.eq_ignore_ascii_case(name) || bare.is_some_and(|bare| known.eq_ignore_ascii_case(bare))
            };
            lease.names.iter().any(is_name)
        };
        self.all.iter().filter(move |(_, lease)| is_meant(lease)).map(|(address, _)| *address)
    }
}

impl Names for Known<'_> {
    fn addresses(&mut self, asker: Ipv4Addr, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = Vec::new();
        for (members, lease) in self.of(asker) {
            let mut links = lease.iter().flat_map(|lease| &lease.links);
            let linked = links.find(|(alias, _)| alias.eq_ignore_ascii_case(name));
            found.extend(members.addresses(linked.map_or(name, |(_, container)| container)));
        }
        (!found.is_empty()).then_some(found)
    }

    fn name_of(&mut self, asker: Ipv4Addr, address: IpAddr) -> Option<String> {
        self.of(asker).find_map(|(members, _)| {
            let name = members.all.get(&address)?.names.first()?;
            Some(format!("{name}.{}", members.name))
        })
    }

    fn servers(&mut self, asker: Ipv4Addr) -> Vec<SocketAddr> {
        if self.of(asker).all(|(members, _)| members.internal) {
            return Vec::new();
        }
        let asked = self.of(asker).find_map(|(_, lease)| lease).map_or(&[][..], |lease| &lease.servers);
        let all = if asked.is_empty() { lookup::Settings::own().servers } else { asked.to_vec() };
        all.into_iter()
            .filter(|server| *server != self.gateway)
            .map(|server| SocketAddr::new(server, PORT))
            .collect()
    }

    fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    fn refresh(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let mut is_silent = true;
        // What has changed does not matter: all is read anew.
        while rustix::io::read(&self.changes, &mut buffer).is_ok_and(|length| length > 0) {
            is_silent = false;
        }
        if is_silent && let Some(leases) = self.engine.present_leases(&self.bridge) {
            // Perhaps monitors were killed.
            let _ = leases.free(self.engine);
        }
        self.read();
        let is_needed =
            |known: &Self| known.networks.get(&known.bridge).is_some_and(|own| !own.all.is_empty());
        if is_needed(self) {
            return true;
        }
        self.ending = self.engine.present_leases(&self.bridge);
        self.read();
        if is_needed(self) {
            self.ending = None;
            return true;
        }
        false
    }
}

//! Published ports where the kernel has no packet filter: one process of one thread for all ports of a container, which
//! takes what comes to a port of this host to one of the container, and brings back what comes of it.
//!
//! Connections ([`stream`]) are carried by splice(2), so that their bytes stay in the kernel; datagrams ([`datagram`])
//! by a socket for each client. All wait in one epoll, edge-triggered: a socket is told to it once, and what is blocked
//! costs no further system call. Who has a lot to carry gives way after one turn and gets another after the others.

mod datagram;
mod pipes;
mod stream;
#[cfg(test)]
mod tests;

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::mem;

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, ioctl_fionbio},
    net::SocketAddr,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use self::pipes::Pipes;
use super::table::Transport;
use crate::{Context, Result, clock};

/// How many connections all ports together have at most; who comes then waits.
const CONNECTIONS_MAX: usize = 4096;
/// How many clients a port for datagrams knows at most.
const CLIENTS_MAX: usize = 1024;
/// A connection's descriptors are six at most; some are left for datagrams.
const DESCRIPTORS_EACH: usize = 8;
/// When who has lacked a descriptor tries again, unless one gets free before.
const PAUSE_NS: i64 = clock::SECOND;
/// How many turns each gets, at the end, for what has come before it.
const LAST_TURNS: usize = 16;
/// Events that are asked for at once.
const EVENTS: usize = 256;
/// More than any datagram has.
const DATAGRAM_MAX: usize = 64 << 10;

/// A port of this host whose traffic goes to a container.
#[derive(Debug)]
pub struct Forwarded {
    /// Bound to it. A socket for TCP may listen already, or not yet.
    pub socket: OwnedFd,
    /// What the socket is for.
    pub transport: Transport,
    /// The container's address and port.
    pub target: SocketAddr,
}

/// Carries until `end` is readable or hung up, and then what has come by then.
///
/// It is the life of a process that ignores SIGPIPE, as all of the engine do: its limit of open files is raised.
///
/// # Errors
/// Of the kernel: EADDRINUSE if somebody else listens at a port; ENOMEM. What fails for one client ends its connection only.
///
/// # Kernel
/// epoll(7), splice(2). A port whose connections were ended from this side can be bound again within a minute only by a
/// socket with SO_REUSEADDR.
pub fn serve(ports: Vec<Forwarded>, end: BorrowedFd<'_>) -> Result<()> {
    let connections = CONNECTIONS_MAX.min(raise_open_files() / DESCRIPTORS_EACH).max(1);
    Forwarder::new(ports, end, Limits { connections, clients: CLIENTS_MAX })?.run(end)
}

/// Sets the limit of open files as high as it may be, and gives it.
fn raise_open_files() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Of all ports.
    connections: usize,
    /// Of each port for datagrams.
    clients: usize,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Which port, by its place.
    port: usize,
    /// Which of its connections or clients; 0 for the port itself. A number is never given again, so what is left of one
    /// that has ended is not taken for another's.
    serial: u64,
    side: Side,
}

/// Of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Client,
    Target,
}

impl Key {
    const PORT_BITS: u32 = 20;
    /// That of the end.
    const END: u64 = u64::MAX;

    fn port(port: usize) -> Key {
        Key { port, serial: 0, side: Side::Client }
    }

    fn to_bits(self) -> u64 {
        let side = u64::from(self.side == Side::Target);
        (self.serial << 1 | side) << Key::PORT_BITS | self.port as u64
    }

    fn from_bits(bits: u64) -> Key {
        let rest = bits >> Key::PORT_BITS;
        Key {
            port: (bits & ((1 << Key::PORT_BITS) - 1)) as usize,
            serial: rest >> 1,
            side: if rest & 1 == 0 { Side::Client } else { Side::Target },
        }
    }
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The next event tells when there is more to do.
    Waits,
    /// There is more to do.
    More,
    /// For want of a descriptor or of memory.
    Lacks,
}

/// What the ports share.
#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    pipes: Pipes,
    limits: Limits,
    /// How many connections there are.
    connections: usize,
    /// The last that was given.
    serial: u64,
    /// Something was closed that another may lack.
    freed: bool,
    /// When to look for clients that have been silent for long, on the clock of [`clock::monotonic`].
    sweep_at: Option<i64>,
    /// For a datagram.
    buffer: Vec<u8>,
}

impl Shared {
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn watch(&self, source: impl AsFd, key: Key, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, source, EventData::new_u64(key.to_bits()), flags | EventFlags::ET)
    }

    fn sweep_by(&mut self, deadline: i64) {
        self.sweep_at = Some(self.sweep_at.map_or(deadline, |at| at.min(deadline)));
    }
}

#[derive(Debug)]
enum Port {
    Stream(stream::Port),
    Datagram(datagram::Port),
}

#[derive(Debug)]
struct Forwarder {
    ports: Vec<Port>,
    shared: Shared,
    /// Those that have more to do.
    again: BTreeSet<Key>,
    /// Those that lack something, and when they try again.
    lacking: BTreeSet<Key>,
    retry_at: i64,
}

impl Forwarder {
    fn new(ports: Vec<Forwarded>, end: BorrowedFd<'_>, limits: Limits) -> Result<Forwarder> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("open", "epoll")?;
        // Level-triggered: there is but one that is asked once.
        epoll::add(&epoll, end, EventData::new_u64(Key::END), EventFlags::IN)
            .context("watch", "end of forwarding")?;
        let shared = Shared {
            epoll,
            pipes: Pipes::default(),
            limits,
            connections: 0,
            serial: 0,
            freed: false,
            sweep_at: None,
            buffer: vec![0; DATAGRAM_MAX],
        };
        let (again, lacking) = (BTreeSet::new(), BTreeSet::new());
        let mut all = Forwarder { ports: Vec::new(), shared, again, lacking, retry_at: 0 };
        for (index, Forwarded { socket, transport, target }) in ports.into_iter().enumerate() {
            let prepared = || {
                ioctl_fionbio(&socket, true)?;
                if transport == Transport::Tcp {
                    stream::listen_on(&socket)?;
                }
                all.shared.watch(&socket, Key::port(index), EventFlags::IN)
            };
            prepared().context("listen for", target)?;
            all.ports.push(match transport {
                Transport::Tcp => Port::Stream(stream::Port::new(socket, target)),
                Transport::Udp => Port::Datagram(datagram::Port::new(socket, target)),
            });
        }
        Ok(all)
    }

    fn run(mut self, end: BorrowedFd<'_>) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        let mut turns_left = None;
        loop {
            let goes_on = self.again.is_empty() && turns_left.is_none();
            let deadline = if goes_on { self.next_deadline() } else { Some(0) };
            let timeout = deadline.map(clock::timeout_until);
            events.clear();
            match epoll::wait(&self.shared.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for", "published ports"),
            }
            let again = mem::take(&mut self.again);
            if let Some(left) = &mut turns_left {
                if *left == 0 || (events.is_empty() && again.is_empty()) {
                    return Ok(());
                }
                *left -= 1;
            }
            for event in &events {
                match event.data.u64() {
                    Key::END => {
                        let _ = epoll::delete(&self.shared.epoll, end);
                        turns_left = Some(LAST_TURNS);
                        self.shared.limits.connections = 0;
                    }
                    bits => self.turn(Key::from_bits(bits), event.flags),
                }
            }
            again.into_iter().for_each(|key| self.turn(key, EventFlags::empty()));
            self.look_at_the_time();
        }
    }

    fn next_deadline(&self) -> Option<i64> {
        let retry_at = (!self.lacking.is_empty()).then_some(self.retry_at);
        [retry_at, self.shared.sweep_at].into_iter().flatten().min()
    }

    /// Has one do what it can.
    fn turn(&mut self, key: Key, flags: EventFlags) {
        let turn = match self.ports.get_mut(key.port) {
            Some(Port::Stream(port)) => port.turn(key, flags, &mut self.shared),
            Some(Port::Datagram(port)) => port.turn(key, &mut self.shared),
            None => Turn::Waits,
        };
        match turn {
            Turn::Waits => {}
            Turn::More => _ = self.again.insert(key),
            Turn::Lacks => {
                if self.lacking.is_empty() {
                    self.retry_at = clock::monotonic() + PAUSE_NS;
                }
                self.lacking.insert(key);
            }
        }
    }

    /// Does what is due without an event.
    fn look_at_the_time(&mut self) {
        let freed = mem::take(&mut self.shared.freed);
        if self.lacking.is_empty() && self.shared.sweep_at.is_none() {
            return;
        }
        let now = clock::monotonic();
        if !self.lacking.is_empty() && (freed || now >= self.retry_at) {
            self.again.append(&mut self.lacking);
        }
        if self.shared.sweep_at.is_some_and(|at| now >= at) {
            self.shared.sweep_at = None;
            for port in &mut self.ports {
                if let Port::Datagram(port) = port {
                    port.sweep(now, &mut self.shared);
                }
            }
        }
    }
}

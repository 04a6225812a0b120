//! Published ports: reserved by sockets, and led to containers by the packet filter.

use alloc::{format, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt},
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::signal::SignalSet;

use super::bridge::{Bridge, forward_drop};
use crate::{
    Context, Error, Result,
    container::{
        endpoint::{self, Endpoint, Published, Wanted},
        record::Record,
    },
    engine::Engine,
    fork,
    net::{
        family_of,
        forwarder::{self, Forwarded},
        socket::Socket,
        table::{Forward, Transaction, Transport},
    },
    store::networks::Network,
};

/// Binds the ports that a container's settings ask for, on `host_address` where they say nothing else.
///
/// # Errors
/// [`Error::Conflict`] if one is taken.
pub(super) fn reserve(record: &Record, network: &Network) -> Result<(Vec<Published>, Vec<OwnedFd>)> {
    let (mut ports, mut sockets) = (Vec::new(), Vec::new());
    for wanted in endpoint::wanted(&record.config, &record.host)? {
        let mut addresses = vec![wanted.host_address.unwrap_or(network.host_address().into())];
        if wanted.host_address.is_none() && network.v6.is_some() {
            addresses.push(Ipv6Addr::UNSPECIFIED.into());
        }
        let (bound, host_port) = bind_first(&wanted, &addresses)?;
        sockets.extend(bound);
        ports.extend(addresses.into_iter().map(|host_address| Published {
            inside: wanted.inside.clone(),
            host_address,
            host_port,
        }));
    }
    Ok((ports, sockets))
}

/// How often another port is tried, if any is wanted and what the kernel gives is taken of IPv6.
const ATTEMPTS: usize = 16;

/// Binds the first of the wanted ports that is free, on all of these addresses.
fn bind_first(wanted: &Wanted, addresses: &[IpAddr]) -> Result<(Vec<OwnedFd>, u16)> {
    let (first, last) = wanted.host_ports;
    let attempts = if first == 0 { ATTEMPTS } else { 1 };
    for port in (first..=last).flat_map(|port| core::iter::repeat_n(port, attempts)) {
        let mut bound = Vec::new();
        let mut port = port;
        for address in addresses {
            match bind_one(wanted.transport, SocketAddr::new(*address, port)) {
                Ok((socket, number)) => {
                    port = number;
                    bound.push(socket);
                }
                Err(Errno::ADDRINUSE) => break,
                Err(errno) => {
                    return Err(Error::os("bind", format!("{}", SocketAddr::new(*address, port)), errno));
                }
            }
        }
        if bound.len() == addresses.len() {
            return Ok((bound, port));
        }
    }
    let ports = if first == last { format!("{first}") } else { format!("{first}-{last}") };
    let address = addresses.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Err(Error::Conflict(format!("Bind for {address}:{ports} failed: port is already allocated")))
}

/// Binds a port; the number of it, if any is good.
pub(super) fn bind_one(transport: Transport, place: SocketAddr) -> Result<(OwnedFd, u16), Errno> {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let open = |reuse| {
        let socket = socket_with(family_of(place), kind, SocketFlags::CLOEXEC, None)?;
        if place.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        if reuse {
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        bind(&socket, &place)?;
        Ok(socket)
    };
    let socket = match open(false) {
        // Perhaps only by connections that have ended. Two who think so both could bind it, but one alone can listen.
        Err(Errno::ADDRINUSE) if transport == Transport::Tcp => {
            open(true).and_then(|socket| listen(&socket, 0).map(|()| socket))
        }
        other => other,
    }?;
    let name = getsockname(&socket).and_then(SocketAddr::try_from)?;
    Ok((socket, name.port()))
}

/// What the packet filter leads to the published ports of an endpoint. Not what comes to a port of IPv6 if the container
/// has no such address, or is sent from this host to itself.
pub(super) fn translated(endpoint: &Endpoint) -> Vec<Forward> {
    let mut all = endpoint.forwards();
    all.retain(|forward| {
        let is_own = forward.host_address.is_ipv6() && forward.host_address.is_loopback();
        forward.host_address.is_ipv4() == forward.address.is_ipv4() && !is_own
    });
    all
}

impl Engine {
    /// Has the packet filter lead to the published ports of an endpoint, or a process of its own, which gets the sockets
    /// then, and lives until what this gives is closed.
    pub(super) fn publish_ports(
        &self,
        endpoint: &Endpoint,
        bridge: &Bridge,
        sockets: &mut Vec<OwnedFd>,
    ) -> Result<()> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        // Where others drop what is forwarded, what comes from elsewhere would not arrive.
        let filter = bridge.filter.as_ref().filter(|filter| forward_drop(filter).is_none());
        let is_carried = |forward: &Forward| filter.is_none() || forward.host_address.is_ipv6();
        let all = endpoint.forwards().into_iter().zip(sockets.drain(..));
        let (carried, kept): (Vec<_>, Vec<_>) = all.partition(|(forward, _)| is_carried(forward));
        sockets.extend(kept.into_iter().map(|(_, socket)| socket));
        if !carried.is_empty() {
            sockets.push(carry(carried)?);
        }
        let (Some(filter), forwards) = (filter, translated(endpoint)) else { return Ok(()) };
        if forwards.is_empty() {
            return Ok(());
        }
        let publish = || {
            let mut all = Transaction::new(&bridge.name);
            all.forward(&forwards);
            filter.request(&all.finish())
        };
        match publish() {
            // The ports are reserved for this container, so what stands there is of one whose monitor was killed. It is
            // buried now: later that would take from this one what it has.
            Err(Errno::EXIST) => self.sweep(),
            other => return other.context("publish ports in", &bridge.name),
        }
        withdraw(filter, &bridge.name, &forwards);
        publish().context("publish ports in", &bridge.name)
    }
}

/// Starts a process that carries what comes to these sockets to a container, until what this gives is closed.
fn carry(ports: Vec<(Forward, OwnedFd)>) -> Result<OwnedFd> {
    let (end, ender) = pipe_with(PipeFlags::CLOEXEC).context("make", "pipe")?;
    fork::heir(
        (ports, end),
        |(ports, end)| ports.iter().map(|(_, socket)| socket).chain([end]).map(AsFd::as_fd).collect(),
        |(ports, end)| {
            let _ = rustix::process::setsid();
            fork::own_signals(SignalSet::EMPTY);
            let ports = ports.into_iter().map(|(forward, socket)| Forwarded {
                socket,
                transport: forward.transport,
                target: SocketAddr::new(forward.address, forward.port),
            });
            let served = fork::null_streams().and_then(|()| forwarder::serve(ports.collect(), end.as_fd()));
            served.map_or(1, |()| 0)
        },
    )?;
    Ok(ender)
}

/// Has the packet filter forget ports, of which some may not stand there.
pub(super) fn withdraw(filter: &Socket, table: &str, forwards: &[Forward]) {
    let end = |forwards: &[Forward]| {
        let mut all = Transaction::new(table);
        all.end_forward(forwards);
        filter.request(&all.finish())
    };
    if end(forwards).is_err() {
        for one in forwards {
            let _ = end(core::slice::from_ref(one));
        }
    }
}

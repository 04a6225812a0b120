//! Published ports: reserved by sockets, and led to containers by the packet filter.

use alloc::{format, vec, vec::Vec};
use core::net::Ipv4Addr;

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{
        AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt,
    },
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
        forwarder::{self, Forwarded},
        socket::Socket,
        table::{Forward, Transaction, Transport},
    },
};

/// Binds the ports that a container's settings ask for, on `host_address` where they say nothing else.
///
/// # Errors
/// [`Error::Conflict`] if one is taken.
pub(super) fn reserve(record: &Record, host_address: Ipv4Addr) -> Result<(Vec<Published>, Vec<OwnedFd>)> {
    let (mut ports, mut sockets) = (Vec::new(), Vec::new());
    for wanted in endpoint::wanted(&record.config, &record.host)? {
        let host_address = wanted.host_address.unwrap_or(host_address);
        let (socket, host_port) = bind_first(&wanted, host_address)?;
        sockets.push(socket);
        ports.push(Published { inside: wanted.inside, host_address, host_port });
    }
    Ok((ports, sockets))
}

/// Binds the first of the wanted ports that is free.
fn bind_first(wanted: &Wanted, address: Ipv4Addr) -> Result<(OwnedFd, u16)> {
    let kind = match wanted.transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let (first, last) = wanted.host_ports;
    for port in first..=last {
        let place = SocketAddrV4::new(address, port);
        let open = |reuse| {
            let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
            if reuse {
                sockopt::set_socket_reuseaddr(&socket, true)?;
            }
            bind(&socket, &place)?;
            Ok(socket)
        };
        let socket = match open(false) {
            // Perhaps only by connections that have ended. Two who think so both could bind it, but one alone can listen.
            Err(Errno::ADDRINUSE) if wanted.transport == Transport::Tcp => {
                open(true).and_then(|socket| listen(&socket, 0).map(|()| socket))
            }
            other => other,
        };
        match socket {
            Ok(socket) => {
                let name =
                    getsockname(&socket).and_then(SocketAddrV4::try_from).context("look at", "socket")?;
                return Ok((socket, name.port()));
            }
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(Error::os("bind", format!("{place}"), errno)),
        }
    }
    let ports = if first == last { format!("{first}") } else { format!("{first}-{last}") };
    Err(Error::Conflict(format!("Bind for {address}:{ports} failed: port is already allocated")))
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
        let forwards = endpoint.forwards();
        if forwards.is_empty() {
            return Ok(());
        }
        // Where others drop what is forwarded, what comes from elsewhere would not arrive.
        let Some(filter) = bridge.filter.as_ref().filter(|filter| forward_drop(filter).is_none()) else {
            *sockets = vec![carry(&forwards, core::mem::take(sockets))?];
            return Ok(());
        };
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

/// Starts a process that carries what comes to these ports to a container, until what this gives is closed.
fn carry(forwards: &[Forward], sockets: Vec<OwnedFd>) -> Result<OwnedFd> {
    let (end, ender) = pipe_with(PipeFlags::CLOEXEC).context("make", "pipe")?;
    fork::heir(
        (sockets, end),
        |(sockets, end)| sockets.iter().chain([end]).map(AsFd::as_fd).collect(),
        |(sockets, end)| {
            let _ = rustix::process::setsid();
            fork::own_signals(SignalSet::EMPTY);
            let ports = sockets.into_iter().zip(forwards).map(|(socket, forward)| Forwarded {
                socket,
                transport: forward.transport,
                target: SocketAddrV4::new(forward.address, forward.port),
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

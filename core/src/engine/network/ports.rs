//! Published ports: reserved by sockets, and led to containers by the packet filter.

use alloc::{format, vec::Vec};
use core::net::Ipv4Addr;

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, getsockname, socket_with},
};

use super::bridge::Bridge;
use crate::{
    Context, Error, Result,
    container::{
        endpoint::{self, Endpoint, Published, Wanted},
        record::Record,
    },
    engine::Engine,
    net::{
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
        let socket =
            socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).context("open", "socket")?;
        match bind(&socket, &SocketAddrV4::new(address, port)) {
            Ok(()) => {
                let name =
                    getsockname(&socket).and_then(SocketAddrV4::try_from).context("look at", "socket")?;
                return Ok((socket, name.port()));
            }
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(Error::os("bind", format!("{address}:{port}"), errno)),
        }
    }
    let ports = if first == last { format!("{first}") } else { format!("{first}-{last}") };
    Err(Error::Conflict(format!("Bind for {address}:{ports} failed: port is already allocated")))
}

impl Engine {
    /// Has the packet filter lead to the published ports of an endpoint.
    pub(super) fn publish_ports(&self, endpoint: &Endpoint, bridge: &Bridge) -> Result<()> {
        let forwards = endpoint.forwards();
        if forwards.is_empty() {
            return Ok(());
        }
        let publish = || {
            let mut all = Transaction::new(&bridge.name);
            all.forward(&forwards);
            bridge.filter.request(&all.finish())
        };
        match publish() {
            // The ports are reserved for this container, so what stands there is of one whose monitor was killed. It is
            // buried now: later that would take from this one what it has.
            Err(Errno::EXIST) => self.sweep(),
            other => return other.context("publish ports in", &bridge.name),
        }
        withdraw(&bridge.filter, &bridge.name, &forwards);
        publish().context("publish ports in", &bridge.name)
    }
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

//! UDP: each client has a socket of its own to the container, so that an answer that comes there is known to be for it.

use alloc::collections::BTreeMap;

use rustix::{
    event::epoll::EventFlags,
    fd::OwnedFd,
    io::Errno,
    net::{
        RecvFlags, SendFlags, SocketAddr, SocketFlags, SocketType, connect, recv, recvfrom, send, sendto,
        socket_with,
    },
};

use super::{super::family_of, Key, Shared, Side, Turn};
use crate::clock;

/// Datagrams that one turn carries.
const CARRIED_MAX: usize = 64;
/// How long a client is known after its last datagram, and before it has got an answer.
const SILENCE_NS: i64 = 90 * clock::SECOND;
const UNANSWERED_NS: i64 = 30 * clock::SECOND;

/// A port that takes datagrams.
#[derive(Debug)]
pub struct Port {
    socket: OwnedFd,
    target: SocketAddr,
    clients: BTreeMap<u64, Client>,
    serials: BTreeMap<SocketAddr, u64>,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    /// Connected to the container.
    socket: OwnedFd,
    seen_ns: i64,
    answered: bool,
}

impl Client {
    fn ends_at(&self) -> i64 {
        self.seen_ns + if self.answered { SILENCE_NS } else { UNANSWERED_NS }
    }
}

impl Port {
    pub fn new(socket: OwnedFd, target: SocketAddr) -> Port {
        Port { socket, target, clients: BTreeMap::new(), serials: BTreeMap::new() }
    }

    pub fn turn(&mut self, key: Key, shared: &mut Shared) -> Turn {
        match key.serial {
            0 => self.carry_there(key, shared),
            _ => self.carry_back(key, shared),
        }
    }

    fn carry_there(&mut self, key: Key, shared: &mut Shared) -> Turn {
        for _ in 0..CARRIED_MAX {
            let (length, from) = match recvfrom(&self.socket, &mut *shared.buffer, RecvFlags::DONTWAIT) {
                Ok((_, length, from)) => (length, from),
                Err(Errno::AGAIN) => return Turn::Waits,
                Err(_) => continue,
            };
            let Some(Ok(from)) = from.map(SocketAddr::try_from) else { continue };
            // Without a descriptor the datagram is lost, as any may be.
            let Ok(client) = self.client(from, key, shared) else { continue };
            client.seen_ns = clock::monotonic();
            // The first attempt may but report that the container refused one before.
            let datagram = &shared.buffer[..length];
            let _ = send(&client.socket, datagram, SendFlags::DONTWAIT)
                .or_else(|_| send(&client.socket, datagram, SendFlags::DONTWAIT));
        }
        Turn::More
    }

    fn carry_back(&mut self, key: Key, shared: &mut Shared) -> Turn {
        // One that has ended may be told of once more.
        let Some(client) = self.clients.get_mut(&key.serial) else { return Turn::Waits };
        for _ in 0..CARRIED_MAX {
            match recv(&client.socket, &mut *shared.buffer, RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    client.seen_ns = clock::monotonic();
                    client.answered = true;
                    let datagram = &shared.buffer[..length];
                    let _ = sendto(&self.socket, datagram, SendFlags::DONTWAIT, &client.address);
                }
                Err(Errno::AGAIN) => return Turn::Waits,
                // Refused: the client is told as little as by a port where nobody is.
                Err(_) => {}
            }
        }
        Turn::More
    }

    /// Who sends from an address; the one that was silent for longest gives way if there are too many.
    fn client(&mut self, address: SocketAddr, key: Key, shared: &mut Shared) -> Result<&mut Client, Errno> {
        let serial = match self.serials.get(&address) {
            Some(serial) => *serial,
            None => {
                if self.clients.len() >= shared.limits.clients {
                    self.end_most_silent(shared);
                }
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let family = family_of(self.target);
                let open = || socket_with(family, SocketType::DGRAM, flags, None);
                let socket = open().or_else(|_| {
                    self.end_most_silent(shared);
                    open()
                })?;
                connect(&socket, &self.target)?;
                let serial = shared.next_serial();
                shared.watch(&socket, Key { serial, side: Side::Target, ..key }, EventFlags::IN)?;
                let client = Client { address, socket, seen_ns: clock::monotonic(), answered: false };
                shared.sweep_by(client.ends_at());
                self.serials.insert(address, serial);
                self.clients.insert(serial, client);
                serial
            }
        };
        self.clients.get_mut(&serial).ok_or(Errno::NOENT)
    }

    fn end_most_silent(&mut self, shared: &mut Shared) {
        if let Some((&serial, _)) = self.clients.iter().min_by_key(|(_, client)| client.seen_ns) {
            self.end(serial, shared);
        }
    }

    fn end(&mut self, serial: u64, shared: &mut Shared) {
        if let Some(client) = self.clients.remove(&serial) {
            self.serials.remove(&client.address);
            shared.freed = true;
        }
    }

    /// Forgets who has been silent for too long.
    pub fn sweep(&mut self, now: i64, shared: &mut Shared) {
        let Port { clients, serials, .. } = self;
        clients.retain(|_, client| {
            let stays = client.ends_at() > now;
            if stays {
                shared.sweep_by(client.ends_at());
            } else {
                serials.remove(&client.address);
                shared.freed = true;
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};
    use core::net::{Ipv4Addr, SocketAddrV4};

    use rustix::{
        event::epoll::{self, CreateFlags},
        net::{AddressFamily, bind, getsockname},
    };

    use super::*;
    use crate::net::forwarder::{Limits, pipes::Pipes};

    fn shared(clients: usize) -> Shared {
        Shared {
            epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(),
            pipes: Pipes::default(),
            limits: Limits { connections: 0, clients },
            connections: 0,
            serial: 0,
            freed: false,
            sweep_at: None,
            buffer: vec![0; 1 << 10],
        }
    }

    fn address(socket: &OwnedFd) -> SocketAddr {
        getsockname(socket).unwrap().try_into().unwrap()
    }

    /// A port, one that it goes to, and clients that have sent a datagram in this order.
    fn port_with(clients: usize) -> (Port, OwnedFd, Vec<OwnedFd>) {
        let bound = || {
            let socket =
                socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).unwrap();
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket
        };
        let (inside, outside) = (bound(), bound());
        let sender = || {
            let client = bound();
            sendto(&client, b"?", SendFlags::empty(), &address(&outside)).unwrap();
            client
        };
        let senders = (0..clients).map(|_| sender()).collect();
        let to = address(&inside);
        (Port::new(outside, to), inside, senders)
    }

    #[test]
    fn the_client_that_was_silent_for_longest_gives_way() {
        let (mut port, _inside, clients) = port_with(3);
        let mut shared = shared(2);
        assert_eq!(port.turn(Key::port(0), &mut shared), Turn::Waits);
        let known = clients.iter().map(|client| port.serials.contains_key(&address(client)));
        assert_eq!(known.collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(port.clients.len(), 2);
        assert!(shared.freed);
    }

    #[test]
    fn clients_are_forgotten_after_silence_sooner_without_an_answer() {
        let (mut port, inside, _clients) = port_with(2);
        let mut shared = shared(2);
        let before = clock::monotonic();
        port.turn(Key::port(0), &mut shared);
        let after = clock::monotonic();
        let expected = before + UNANSWERED_NS..=after + UNANSWERED_NS;
        assert!(expected.contains(&shared.sweep_at.unwrap()));

        let (_, _, first) = recvfrom(&inside, &mut [0], RecvFlags::empty()).unwrap();
        let first = SocketAddr::try_from(first.unwrap()).unwrap();
        sendto(&inside, b"!", SendFlags::empty(), &first).unwrap();
        let has_it = |(_, client): &(&u64, &Client)| address(&client.socket).port() == first.port();
        let serial = *port.clients.iter().find(has_it).unwrap().0;
        assert_eq!(port.turn(Key { serial, ..Key::port(0) }, &mut shared), Turn::Waits);
        let answered = clock::monotonic();

        port.sweep(after, &mut shared);
        assert_eq!(port.clients.len(), 2);
        shared.sweep_at = None;
        port.sweep(after + UNANSWERED_NS, &mut shared);
        assert_eq!(port.clients.keys().collect::<Vec<_>>(), [&serial]);
        assert!(shared.sweep_at.unwrap() <= answered + SILENCE_NS);
        port.sweep(answered + SILENCE_NS, &mut shared);
        assert!(port.clients.is_empty() && port.serials.is_empty());
    }
}

//! The name server of a network of containers: questions in, from all its containers, answers out. One process for each
//! network runs it and nothing else.
//!
//! ```text
//! container ──UDP──> question ──known──> answer
//!           ──TCP──> Connection  └─else──> Flight ──UDP or TCP──> another server ──> answer
//! ```
//! Nothing here waits but one poll(2), and nothing grows with what others send: see the limits below. What is asked over
//! TCP is asked on over TCP, so that no answer is too long. A connection has one question at a time answered; those that
//! were sent along with it wait in its buffer, and then in the kernel's.

mod connection;
mod flight;
#[cfg(test)]
mod tests;

use alloc::{string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{BorrowedFd, OwnedFd},
    io::{Errno, ioctl_fionbio},
    net::{RecvFlags, SendFlags, SocketFlags, acceptfrom_with, getsockname, recvfrom, sendto},
};

use self::{connection::Connection, flight::Flight};
use super::dns::{
    Code, INTERNET, MESSAGE_MAX, answer,
    kind::{ANY, AXFR, IXFR, PTR},
    query::Query,
    reverse,
};
use crate::{Context, Result, clock};

/// Most questions that other servers are asked at a time; what comes then is answered with [`Code::FAILED`].
pub const FLIGHTS_MAX: usize = 256;
/// Most clients over TCP at a time; who comes then is hung up on.
pub const CONNECTIONS_MAX: usize = 64;
/// How many of them are one client's at most, so that the others have some, too.
const FLIGHTS_EACH: usize = 64;
const CONNECTIONS_EACH: usize = 16;
/// After so many datagrams, or new clients, the others have their turn.
const TURN: usize = 256;
/// How often [`Names::refresh`] is called if nothing changes.
const REFRESH_NS: i64 = 30 * clock::SECOND;
/// How long nobody is let in after the kernel had no descriptor for a client.
const SHORTAGE_NS: i64 = clock::SECOND;

/// What the responder asks about names.
pub trait Names {
    /// What `name` (in lower case, without a dot at the end) stands for, as the container with address `asker` sees it;
    /// none: nothing is known of it here, so that others are asked.
    fn addresses(&mut self, asker: Ipv4Addr, name: &str) -> Option<Vec<IpAddr>>;

    /// The full name of who has this address; none: others are asked.
    fn name_of(&mut self, asker: Ipv4Addr, address: IpAddr) -> Option<String>;

    /// The servers that this asker's other questions go to, one after the other until one answers.
    fn servers(&mut self, asker: Ipv4Addr) -> Vec<SocketAddr>;

    /// Becomes readable when something has changed.
    fn changes(&self) -> BorrowedFd<'_>;

    /// Called when it is readable (what is there has to be read), and every half a minute. False: nobody needs names any
    /// more.
    fn refresh(&mut self) -> bool;
}

/// Answers questions until [`Names::refresh`] says that nobody has any. `udp` is bound, `tcp` listens, both to an IPv4
/// address. Both are made non-blocking.
///
/// # Errors
/// Of the kernel, if it cannot go on.
pub fn serve(udp: &OwnedFd, tcp: &OwnedFd, names: &mut dyn Names) -> Result<()> {
    ioctl_fionbio(udp, true).context("set up", "datagram socket")?;
    ioctl_fionbio(tcp, true).context("set up", "listening socket")?;
    let own =
        getsockname(udp).and_then(SocketAddr::try_from).context("read address of", "datagram socket")?;
    let now = clock::monotonic();
    let mut responder = Responder {
        udp,
        tcp,
        names,
        own,
        flights: Vec::new(),
        connections: Vec::new(),
        accepted: 0,
        accept_from: now,
        turns: [0; 256],
        answer: Vec::new(),
    };
    let mut buffer = vec![0; MESSAGE_MAX];
    let mut refresh_at = now + REFRESH_NS;
    loop {
        let ready = responder.sleep(refresh_at)?;
        let now = clock::monotonic();
        if ready.changes || now >= refresh_at {
            if !responder.names.refresh() {
                return Ok(());
            }
            refresh_at = now + REFRESH_NS;
        }
        if ready.udp {
            responder.take_datagrams(&mut buffer, now)?;
        }
        // Those that come along the way stand behind those that were looked at, and take the places of those that go.
        for (at, ready) in ready.connections.iter().enumerate().rev() {
            responder.connections[at].turn(*ready, &mut buffer);
            responder.advance(at, now);
        }
        for (at, ready) in ready.flights.iter().enumerate().rev() {
            responder.land(at, *ready, &mut buffer, now);
        }
        if ready.tcp {
            responder.accept(now)?;
        }
    }
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Datagram(SocketAddrV4),
    /// The connection with this number, if it still is there.
    Stream(u64),
}

/// What has become of a question.
enum Outcome {
    /// The answer is written.
    Answered,
    /// Another server is asked.
    Flies,
    /// There will be no answer.
    Ignored,
}

struct Ready {
    changes: bool,
    udp: bool,
    tcp: bool,
    connections: Vec<PollFlags>,
    flights: Vec<bool>,
}

struct Responder<'a> {
    udp: &'a OwnedFd,
    tcp: &'a OwnedFd,
    names: &'a mut dyn Names,
    /// Where it listens itself, which is nobody to ask.
    own: SocketAddr,
    flights: Vec<Flight>,
    connections: Vec<Connection>,
    /// How many there were: the number of the next one.
    accepted: u64,
    accept_from: i64,
    /// Which of its addresses comes first when a name is asked for the next time. Names that are alike share a place,
    /// which does no harm.
    turns: [u8; 256],
    /// Where answers are written.
    answer: Vec<u8>,
}

impl Responder<'_> {
    /// Waits until there is something to do.
    fn sleep(&self, refresh_at: i64) -> Result<Ready> {
        let now = clock::monotonic();
        let room = now >= self.accept_from;
        let listen = if room { PollFlags::IN } else { PollFlags::empty() };
        let mut sources = Vec::with_capacity(3 + self.connections.len() + self.flights.len());
        sources.push(PollFd::from_borrowed_fd(self.names.changes(), PollFlags::IN));
        sources.push(PollFd::new(self.udp, PollFlags::IN));
        sources.push(PollFd::new(self.tcp, listen));
        let connections = self.connections.iter().map(Connection::interest);
        let flights = self.flights.iter().map(Flight::interest);
        sources.extend(connections.chain(flights).map(|(fd, flags)| PollFd::new(fd, flags)));
        let deadline = (self.connections.iter().filter_map(Connection::deadline))
            .chain(self.flights.iter().map(|flight| flight.deadline))
            .chain((!room).then_some(self.accept_from))
            .fold(refresh_at, i64::min);
        match poll(&mut sources, Some(&clock::timespec(deadline.saturating_sub(now).max(0)))) {
            Ok(_) => {}
            Err(Errno::INTR) => sources.iter_mut().for_each(PollFd::clear_revents),
            Err(errno) => return Err(errno).context("wait for", "questions"),
        }
        let (fixed, others) = sources.split_at(3);
        let (connections, flights) = others.split_at(self.connections.len());
        let ready = |source: &PollFd<'_>| !source.revents().is_empty();
        Ok(Ready {
            changes: ready(&fixed[0]),
            udp: ready(&fixed[1]),
            tcp: ready(&fixed[2]),
            connections: connections.iter().map(PollFd::revents).collect(),
            flights: flights.iter().map(ready).collect(),
        })
    }

    fn take_datagrams(&mut self, buffer: &mut [u8], now: i64) -> Result<()> {
        for _ in 0..TURN {
            let (length, from) = match recvfrom(self.udp, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _, from)) => (length, from),
                Err(Errno::AGAIN) => break,
                Err(errno @ (Errno::BADF | Errno::NOTSOCK | Errno::INVAL)) => {
                    return Err(errno).context("receive from", "datagram socket");
                }
                // What became of an earlier answer.
                Err(_) => continue,
            };
            if let Some(Ok(from)) = from.map(SocketAddrV4::try_from)
                && let Outcome::Answered =
                    self.respond(Client::Datagram(from), *from.ip(), &buffer[..length], now)
            {
                self.send(from);
            }
        }
        Ok(())
    }

    /// Who does not get it asks again.
    fn send(&self, to: SocketAddrV4) {
        let _ = sendto(self.udp, &self.answer, SendFlags::DONTWAIT, &to);
    }

    fn accept(&mut self, now: i64) -> Result<()> {
        for _ in 0..TURN {
            match acceptfrom_with(self.tcp, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, from)) => {
                    if let Some(Ok(from)) = from.map(SocketAddrV4::try_from)
                        && self.connections.len() < CONNECTIONS_MAX
                        && self.connections.iter().filter(|one| one.asker == *from.ip()).count()
                            < CONNECTIONS_EACH
                    {
                        self.connections.push(Connection::new(socket, *from.ip(), self.accepted, now));
                        self.accepted += 1;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(errno @ (Errno::BADF | Errno::NOTSOCK | Errno::INVAL)) => {
                    return Err(errno).context("accept from", "listening socket");
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.accept_from = now + SHORTAGE_NS;
                    break;
                }
                // Who is not there any more.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Has the questions of a connection answered until it has to wait for something, and lets it go if it is over.
    fn advance(&mut self, at: usize, now: i64) {
        while let Some(question) = self.connections[at].question() {
            let (client, asker) = (Client::Stream(self.connections[at].number), self.connections[at].asker);
            match self.respond(client, asker, &question, now) {
                Outcome::Answered => self.connections[at].answer(&self.answer, now),
                Outcome::Flies => self.connections[at].flies = true,
                Outcome::Ignored => {}
            }
        }
        if self.connections[at].is_over(now) {
            self.connections.swap_remove(at);
        }
    }

    /// Looks after a question that another server was asked.
    fn land(&mut self, at: usize, ready: bool, buffer: &mut [u8], now: i64) {
        self.answer.clear();
        if !self.flights[at].turn(ready, buffer, &mut self.answer, now) {
            return;
        }
        match self.flights.swap_remove(at).client {
            Client::Datagram(to) => self.send(to),
            Client::Stream(number) => {
                if let Some(at) = self.connections.iter().position(|one| one.number == number) {
                    self.connections[at].answer(&self.answer, now);
                    self.advance(at, now);
                }
            }
        }
    }

    fn respond(&mut self, client: Client, asker: Ipv4Addr, message: &[u8], now: i64) -> Outcome {
        self.answer.clear();
        let query = match Query::parse(message) {
            Ok(query) => query,
            Err(Some(refusal)) => {
                refusal.write(&mut self.answer);
                return Outcome::Answered;
            }
            Err(None) => return Outcome::Ignored,
        };
        let limit = client.limit(&query);
        if self.answer_here(asker, &query, limit) {
            return Outcome::Answered;
        }
        let own = || self.flights.iter().filter(|flight| flight.asker == asker).count();
        if self.flights.len() < FLIGHTS_MAX && own() < FLIGHTS_EACH {
            let mut servers = self.names.servers(asker);
            servers.retain(|server| *server != self.own);
            if let Some(flight) = Flight::start(&query, (client, asker), servers, now) {
                self.flights.push(flight);
                return Outcome::Flies;
            }
        }
        answer::code(&query, Code::FAILED, limit, &mut self.answer);
        Outcome::Answered
    }

    /// Whether the question could be answered without asking others.
    fn answer_here(&mut self, asker: Ipv4Addr, query: &Query<'_>, limit: usize) -> bool {
        let to = &mut self.answer;
        if query.edns.is_some_and(|edns| edns.version != 0) {
            answer::code(query, Code::VERSION, limit, to);
            return true;
        }
        // An answer of many messages.
        if matches!(query.kind, AXFR | IXFR) {
            answer::code(query, Code::REFUSED, limit, to);
            return true;
        }
        let Some(name) = query.name.as_deref().filter(|_| query.class == INTERNET) else { return false };
        if matches!(query.kind, PTR | ANY)
            && let Some(address) = reverse::address(name)
            && let Some(owner) = self.names.name_of(asker, address)
        {
            answer::name(query, &owner, limit, to);
            return true;
        }
        let Some(mut addresses) = self.names.addresses(asker, name) else { return false };
        addresses.retain(|address| answer::is_asked(query, *address));
        if addresses.len() > 1 {
            let place = name.bytes().fold(query.kind as u8, |sum, byte| sum.rotate_left(1) ^ byte);
            let turn = &mut self.turns[usize::from(place)];
            let count = addresses.len();
            addresses.rotate_left(usize::from(*turn) % count);
            *turn = turn.wrapping_add(1);
        }
        answer::addresses(query, &addresses, limit, to);
        true
    }
}

impl Client {
    /// How long its answer may be.
    fn limit(self, query: &Query<'_>) -> usize {
        match self {
            Client::Datagram(_) => query.datagram_max(),
            Client::Stream(_) => MESSAGE_MAX,
        }
    }
}

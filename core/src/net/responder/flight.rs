//! A question that other servers are asked, one after the other, each over a socket of its own: who wants to answer in
//! their place has to guess its port as well as the question's number (RFC 5452).

use alloc::vec::{self, Vec};
use core::net::{Ipv4Addr, SocketAddr};

use rustix::{
    event::PollFlags,
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with},
};

use super::{
    super::{
        dns::{Code, answer, query::Query},
        family_of, lookup,
    },
    Client,
};
use crate::clock;

/// How long each server may take.
const PATIENCE_NS: i64 = 2 * clock::SECOND;
/// After so many datagrams that are no answer the others have their turn.
const TURN: usize = 16;

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) client: Client,
    pub(super) asker: Ipv4Addr,
    /// The number that the client gave to its question.
    id: u16,
    /// The question with its length in front, as it goes over TCP.
    sent: Vec<u8>,
    /// Those who have not been asked yet.
    servers: vec::IntoIter<SocketAddr>,
    socket: OwnedFd,
    /// How much of the question was sent, and what has come back, over TCP.
    written: usize,
    input: Vec<u8>,
    pub(super) deadline: i64,
}

/// What a server has said.
enum Heard {
    Nothing,
    /// An answer of this length, now in the buffer.
    Answer(usize, Code),
    /// There will be no answer.
    Failure,
}

impl Flight {
    /// Asks the first of these servers that can be reached, if there is any.
    pub(super) fn start(
        query: &Query<'_>,
        (client, asker): (Client, Ipv4Addr),
        servers: Vec<SocketAddr>,
        now: i64,
    ) -> Option<Flight> {
        let mut sent = alloc::vec![0; 2];
        query.write(&mut sent);
        let length = (sent.len() - 2) as u16;
        sent[..2].copy_from_slice(&length.to_be_bytes());
        let mut servers = servers.into_iter();
        let socket = ask_next(&mut servers, client, &mut sent)?;
        let deadline = now + PATIENCE_NS;
        Some(Flight {
            client,
            asker,
            id: query.id,
            sent,
            servers,
            socket,
            written: 0,
            input: Vec::new(),
            deadline,
        })
    }

    /// What it waits for.
    pub(super) fn interest(&self) -> (&OwnedFd, PollFlags) {
        let over_tcp = matches!(self.client, Client::Stream(_));
        let flags = if over_tcp && self.written < self.sent.len() { PollFlags::OUT } else { PollFlags::IN };
        (&self.socket, flags)
    }

    /// Sends or receives what it can. True: this is the end, and the answer is written.
    pub(super) fn turn(&mut self, ready: bool, buffer: &mut [u8], to: &mut Vec<u8>, now: i64) -> bool {
        let heard = match self.client {
            _ if !ready => Heard::Nothing,
            Client::Datagram(_) => self.hear_datagram(buffer),
            Client::Stream(_) => self.hear_stream(buffer),
        };
        match heard {
            Heard::Nothing if now < self.deadline => return false,
            // Another server may know better, if there is one.
            Heard::Nothing | Heard::Failure | Heard::Answer(_, Code::FAILED | Code::REFUSED) => {
                if let Some(socket) = ask_next(&mut self.servers, self.client, &mut self.sent) {
                    self.socket = socket;
                    self.written = 0;
                    self.input.clear();
                    self.deadline = now + PATIENCE_NS;
                    return false;
                }
            }
            Heard::Answer(..) => {}
        }
        let Ok(mut query) = Query::parse(&self.sent[2..]) else { return true };
        query.id = self.id;
        let limit = self.client.limit(&query);
        match heard {
            Heard::Answer(length, _) => answer::pass_on(&query, &buffer[..length], limit, to),
            Heard::Nothing | Heard::Failure => answer::code(&query, Code::FAILED, limit, to),
        }
        true
    }

    fn hear_datagram(&self, buffer: &mut [u8]) -> Heard {
        for _ in 0..TURN {
            match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    if let Some(code) = self.code(&buffer[..length]) {
                        return Heard::Answer(length, code);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return Heard::Failure,
            }
        }
        Heard::Nothing
    }

    fn hear_stream(&mut self, buffer: &mut [u8]) -> Heard {
        if self.written < self.sent.len() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            return match send(&self.socket, &self.sent[self.written..], flags) {
                Ok(length) => {
                    self.written += length;
                    Heard::Nothing
                }
                Err(Errno::AGAIN | Errno::INTR) => Heard::Nothing,
                Err(_) => Heard::Failure,
            };
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Heard::Failure,
            Ok((length, _)) => self.input.extend(&buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => return Heard::Nothing,
            Err(_) => return Heard::Failure,
        }
        let Some((length, rest)) = self.input.split_first_chunk() else { return Heard::Nothing };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = rest.get(..length) else { return Heard::Nothing };
        buffer[..length].copy_from_slice(message);
        self.code(message).map_or(Heard::Failure, |code| Heard::Answer(length, code))
    }

    /// How it went, if this is an answer to what was asked.
    fn code(&self, message: &[u8]) -> Option<Code> {
        Query::parse(&self.sent[2..]).ok()?.answer(message)
    }
}

/// Asks the next server that can be reached, under a new number.
fn ask_next(servers: &mut vec::IntoIter<SocketAddr>, client: Client, sent: &mut [u8]) -> Option<OwnedFd> {
    servers.find_map(|server| {
        sent[2..4].copy_from_slice(&lookup::new_number().ok()?.to_be_bytes());
        ask(server, client, sent).ok()
    })
}

/// Over UDP the question is sent; over TCP it is as soon as the socket can be written to.
fn ask(server: SocketAddr, client: Client, sent: &[u8]) -> Result<OwnedFd, Errno> {
    match client {
        Client::Datagram(_) => lookup::send_to(server, &sent[2..]),
        Client::Stream(_) => {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(family_of(server), SocketType::STREAM, flags, None)?;
            match connect(&socket, &server) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
                Err(errno) => Err(errno),
            }
        }
    }
}

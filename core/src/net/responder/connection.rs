//! A client that asks over TCP: each message has its length in front (RFC 1035, 4.2.2; RFC 7766).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use rustix::{
    event::PollFlags,
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::super::dns::MESSAGE_MAX;
use crate::clock;

/// How long a client may take for its next question, or to have its answer.
const IDLE_NS: i64 = 10 * clock::SECOND;
/// A message with its length.
const BUFFER_MAX: usize = 2 + MESSAGE_MAX;

#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    pub(super) asker: Ipv4Addr,
    /// No two have the same.
    pub(super) number: u64,
    /// What was received, at most [`BUFFER_MAX`], of which so much has been taken out.
    input: Vec<u8>,
    taken: usize,
    /// What is to be sent of an answer.
    output: Vec<u8>,
    /// Another server was asked its question.
    pub(super) flies: bool,
    /// The client has nothing more to say.
    ended: bool,
    /// The client is gone.
    broken: bool,
    /// Moves on with whole answers alone, not with single bytes.
    deadline: i64,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, asker: Ipv4Addr, number: u64, now: i64) -> Connection {
        Connection {
            socket,
            asker,
            number,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            flies: false,
            ended: false,
            broken: false,
            deadline: now + IDLE_NS,
        }
    }

    /// What it waits for.
    pub(super) fn interest(&self) -> (&OwnedFd, PollFlags) {
        let flags = if !self.output.is_empty() {
            PollFlags::OUT
        } else if self.flies || self.ended {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        (&self.socket, flags)
    }

    /// None while another server has its time.
    pub(super) fn deadline(&self) -> Option<i64> {
        (!self.flies).then_some(self.deadline)
    }

    /// Sends or receives what it can, once.
    pub(super) fn turn(&mut self, ready: PollFlags, buffer: &mut [u8]) {
        // Not the end of what the client says: that of the whole connection.
        self.broken |= ready.intersects(PollFlags::ERR | PollFlags::HUP);
        if ready.contains(PollFlags::OUT) {
            self.flush();
        } else if ready.contains(PollFlags::IN) {
            self.input.drain(..self.taken);
            self.taken = 0;
            let room = buffer.len().min(BUFFER_MAX - self.input.len());
            match recv(&self.socket, &mut buffer[..room], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.ended = true,
                Ok((length, _)) => self.input.extend(&buffer[..length]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.broken = true,
            }
        }
    }

    /// The next question, unless there still is one before it.
    pub(super) fn question(&mut self) -> Option<Vec<u8>> {
        if self.broken || self.flies || !self.output.is_empty() {
            return None;
        }
        let (length, rest) = self.input[self.taken..].split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let question = rest.get(..length)?.to_vec();
        self.taken += 2 + length;
        Some(question)
    }

    /// Answers the last question.
    pub(super) fn answer(&mut self, message: &[u8], now: i64) {
        self.flies = false;
        self.deadline = now + IDLE_NS;
        self.output.extend((message.len() as u16).to_be_bytes());
        self.output.extend(message);
        self.flush();
    }

    fn flush(&mut self) {
        match send(&self.socket, &self.output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(length) => _ = self.output.drain(..length),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.broken = true,
        }
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_over(&self, now: i64) -> bool {
        let idle = !self.flies && (self.ended && self.output.is_empty() || now >= self.deadline);
        self.broken || idle
    }
}

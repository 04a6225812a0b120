//! One client that is attached to a container: output goes out to it, input comes in from it, neither ever waited for.

use alloc::vec::Vec;

use rustix::{
    event::PollFlags,
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{SendFlags, Shutdown, send, shutdown},
};

use crate::{
    container::keys::DetachKeys,
    frame::{self, Stream},
    process::control::Attach,
};

/// Output that waits for one client; with more than this the container waits, too.
const WAITING_MAX: usize = 64 << 10;

/// A client.
#[derive(Debug)]
pub struct Client {
    connection: OwnedFd,
    wants: Attach,
    keys: DetachKeys,
    /// The container was run for it: it ends when the client goes, and the client hears how it ended.
    pub owner: bool,
    /// It sends no more input.
    input_ended: bool,
    out: Vec<u8>,
    sent: usize,
    /// It goes as soon as it has everything.
    leaving: bool,
    gone: bool,
}

/// What came from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Input, or nothing.
    Input,
    /// The end of its input.
    End,
    /// The keys that detach; it is gone now.
    Detached,
}

impl Client {
    /// A client whose request was answered. `tty`: detach keys are looked for.
    pub fn new(connection: OwnedFd, mut wants: Attach, tty: bool) -> Client {
        let keys = core::mem::take(&mut wants.detach_keys);
        let keys = DetachKeys::from_bytes(if tty { keys } else { Vec::new() });
        Client {
            connection,
            keys,
            owner: false,
            input_ended: !wants.stdin,
            wants,
            out: Vec::new(),
            sent: 0,
            leaving: false,
            gone: false,
        }
    }

    /// The client that the container is run for.
    pub fn owner(connection: OwnedFd, wants: Attach, tty: bool) -> Client {
        Client { owner: true, ..Client::new(connection, wants, tty) }
    }

    /// Its connection, and what is waited for on it; `listen`: more input can be taken.
    pub fn interest(&self, listen: bool) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::empty();
        if listen && !self.input_ended && !self.leaving {
            flags |= PollFlags::IN;
        }
        if self.sent < self.out.len() {
            flags |= PollFlags::OUT;
        }
        (self.connection.as_fd(), flags)
    }

    /// Whether the container has to wait for it.
    pub fn is_full(&self) -> bool {
        !self.gone && self.out.len() - self.sent > WAITING_MAX
    }

    /// Whether it can be forgotten.
    pub fn is_gone(&self) -> bool {
        self.gone || self.leaving && self.sent == self.out.len()
    }

    /// Whether it has gone by itself.
    pub fn has_left(&self) -> bool {
        self.gone
    }

    /// Whether no more input comes from it that was to come.
    pub fn has_stopped(&self) -> bool {
        self.wants.stdin && self.gone
    }

    /// Sends output if it wants that stream.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.wants.stdout,
            Stream::Stderr => self.wants.stderr,
            _ => true,
        };
        if !wanted || self.leaving || self.gone {
            return;
        }
        if self.wants.framed {
            self.out.extend_from_slice(&frame::header(stream, bytes.len() as u32));
        }
        self.out.extend_from_slice(bytes);
        self.flush();
    }

    /// Says how the container ended, to the one who wants to know, and lets it go.
    pub fn finish(&mut self, exit: &[u8]) {
        if self.owner {
            self.output(Stream::Exit, exit);
        }
        self.leaving = true;
    }

    /// Does what its readiness allows. Input is appended to `input`; input that came with the request comes first.
    pub fn serve(&mut self, ready: PollFlags, buffer: &mut [u8], input: &mut Vec<u8>) -> Came {
        if ready.contains(PollFlags::OUT) {
            self.flush();
        }
        if ready.contains(PollFlags::IN) {
            return match rustix::io::read(&self.connection, &mut *buffer) {
                Ok(count) if count > 0 => self.take(&buffer[..count], input),
                Err(Errno::AGAIN | Errno::INTR) => Came::Input,
                _ => {
                    self.input_ended = true;
                    Came::End
                }
            };
        }
        if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.gone = true;
        }
        Came::Input
    }

    /// Input that came with the request.
    pub fn early(&mut self, input: &mut Vec<u8>) -> Came {
        let early = core::mem::take(&mut self.wants.early);
        if self.wants.stdin { self.take(&early, input) } else { Came::Input }
    }

    fn take(&mut self, bytes: &[u8], input: &mut Vec<u8>) -> Came {
        if self.keys.pass(bytes, input) {
            self.owner = false;
            self.gone = true;
            // This process may hold the connection once more.
            let _ = shutdown(&self.connection, Shutdown::Both);
            return Came::Detached;
        }
        Came::Input
    }

    fn flush(&mut self) {
        while self.sent < self.out.len() {
            match send(&self.connection, &self.out[self.sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.out.drain(..self.sent);
                    self.sent = 0;
                    return;
                }
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        self.out.clear();
        self.sent = 0;
    }
}

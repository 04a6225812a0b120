//! The daemon: listening sockets, connections that want nothing yet, and one child for each of the others. It holds nothing
//! else: kill it, start it again, containers don't notice.

pub mod listener;
mod lobby;
pub mod notify;
mod queue;

use alloc::vec::Vec;

use listener::Listener;
use lobby::{Guest, Heard, Lobby};
use queue::Queue;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, AsRawFd, OwnedFd},
    io::Errno,
    process::{Pid, Signal, WaitOptions},
};
use skiff_syscalls::signal::{self, SignalSet};

use crate::{Context, Result, clock, fork};

const SIGHUP: i32 = Signal::HUP.as_raw();
const SIGCHLD: i32 = Signal::CHILD.as_raw();
/// The signals that ask the daemon, and each of its children between two requests, to end.
pub(super) const ENDING: SignalSet = SignalSet::EMPTY.with(Signal::INT.as_raw()).with(Signal::TERM.as_raw());
/// How long requests that are at work may take when the daemon is to end. Those that take longer go on without it.
const DRAIN_NS: i64 = 10 * clock::SECOND;

/// A daemon.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    lobby: Lobby,
    /// Tells what of these, and of the signals, has something to say.
    queue: Queue,
    /// Reads the signals that are for the daemon.
    signals: OwnedFd,
    /// The mask from before they were blocked: that of its children.
    mask: SignalSet,
    /// Those that serve a connection.
    children: Vec<Pid>,
}

/// What the daemon has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// SIGHUP came.
    HangUp,
    /// It was asked to end.
    Ending,
    /// It ends, and so many requests are still at work.
    Left(usize),
}

impl Server {
    /// One that listens nowhere yet, but can be asked to end from here on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self> {
        let signals = ENDING.with(SIGHUP).with(SIGCHLD);
        let mask = signal::block(signals);
        let signals = signal::signalfd(signals).context("open", "signalfd")?;
        let queue = Queue::new().context("open", "epoll")?;
        let lobby = Lobby::new();
        Ok(Server { listeners: Vec::new(), lobby, queue, signals, mask, children: Vec::new() })
    }

    /// Has connections accepted from there, too.
    pub fn add(&mut self, listener: Listener) {
        self.listeners.push(listener);
    }

    /// Accepts connections and gives each that asks for something to a child, with what was read of it already, until SIGTERM
    /// or SIGINT. Then nothing is accepted any more, children that wait for a request end, and those that are at work have a
    /// while to finish.
    ///
    /// # Errors
    /// The kernel's, if it can't wait for connections at all.
    pub fn run(
        mut self,
        tell: &mut dyn FnMut(News),
        serve: &mut dyn FnMut(OwnedFd, Vec<u8>, &Listener),
    ) -> Result<()> {
        for source in self.listeners.iter().map(AsFd::as_fd).chain([self.signals.as_fd()]) {
            self.queue.watch(source).context("watch", "listening socket")?;
        }
        loop {
            for at in 0..self.queue.wait().context("wait for", "connections")? {
                let descriptor = self.queue.descriptor(at);
                if let Some(at) = self.lobby.find(descriptor) {
                    self.hear(at, serve);
                } else if descriptor != self.signals.as_raw_fd() {
                    self.accept(descriptor, serve);
                } else if self.signalled(tell)? {
                    tell(News::Ending);
                    self.listeners.clear();
                    self.lobby = Lobby::new();
                    let left = self.drain()?;
                    if left > 0 {
                        tell(News::Left(left));
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Takes the signals that have come: whether one of them asks it to end.
    fn signalled(&mut self, tell: &mut dyn FnMut(News)) -> Result<bool> {
        let mut ending = false;
        while let Some((number, _)) = signal::next_signal(&self.signals).context("read", "signalfd")? {
            match number {
                SIGCHLD => {}
                SIGHUP => tell(News::HangUp),
                _ => ending = true,
            }
        }
        self.reap();
        Ok(ending)
    }

    /// Accepts a connection of the listener with this descriptor. A local one whose peer may use the engine waits in the lobby.
    fn accept(&mut self, descriptor: i32, serve: &mut dyn FnMut(OwnedFd, Vec<u8>, &Listener)) {
        let asks = |listener: &Listener| listener.as_fd().as_raw_fd() == descriptor;
        let Some(number) = self.listeners.iter().position(asks) else { return };
        let listener = &self.listeners[number];
        let connection = match listener.accept() {
            Ok(connection) => connection,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => return breathe(),
            // The client has gone again, or another wake-up was for nothing.
            Err(_) => return,
        };
        let guest = Guest { connection, listener: number };
        let may_wait = !listener.is_on_network() && !self.lobby.is_full();
        if may_wait
            && listener.admit(&guest.connection).is_ok()
            && self.queue.watch(guest.connection.as_fd()).is_ok()
        {
            return self.lobby.let_in(guest);
        }
        self.hand_over(guest, Vec::new(), serve);
    }

    /// Hears what somebody in the lobby has to say.
    fn hear(&mut self, at: usize, serve: &mut dyn FnMut(OwnedFd, Vec<u8>, &Listener)) {
        let early = match self.lobby.hear(at) {
            Heard::Nothing => return,
            Heard::End => None,
            Heard::Request(early) => Some(early),
        };
        let guest = self.lobby.let_out(at);
        // The child has the connection open as well, so closing it here does not end its news.
        self.queue.forget(&guest.connection);
        if let Some(early) = early {
            self.hand_over(guest, early, serve);
        }
    }

    /// Gives a connection, and what was read of it, to a child.
    fn hand_over(
        &mut self,
        Guest { connection, listener }: Guest,
        early: Vec<u8>,
        serve: &mut dyn FnMut(OwnedFd, Vec<u8>, &Listener),
    ) {
        let listener = &self.listeners[listener];
        let child = fork::heir(connection, fork::with_standard, |connection| {
            fork::own_signals(self.mask);
            serve(connection, early, listener);
            0
        });
        match child {
            Ok(child) => self.children.push(child.pid),
            Err(_) => breathe(),
        }
    }

    /// Takes the status of every child that has ended, ours or an orphan's.
    fn reap(&mut self) {
        while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(at) = self.children.iter().position(|child| *child == pid) {
                self.children.swap_remove(at);
            }
        }
    }

    /// Asks the children to end and waits for it: how many are at work still. A second signal ends the waiting.
    fn drain(&mut self) -> Result<usize> {
        // Those that have become a container's monitor have a session of their own, and nothing to do with the daemon.
        let own = rustix::process::getpgrp();
        self.children.retain(|child| rustix::process::getpgid(Some(*child)) == Ok(own));
        for child in &self.children {
            let _ = rustix::process::kill_process(*child, Signal::TERM);
        }
        let deadline = clock::monotonic() + DRAIN_NS;
        while !self.children.is_empty() {
            let mut ready = [PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut ready, Some(&clock::timeout_until(deadline))) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for", "requests"),
            }
            if self.signalled(&mut |_| ())? {
                break;
            }
        }
        Ok(self.children.len())
    }
}

/// Lets a shortage of descriptors or processes pass, instead of spinning on it.
fn breathe() {
    let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let _ = poll(&mut [], Some(&pause));
}

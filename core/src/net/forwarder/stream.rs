//! TCP: each connection of a client gets one to the container, and two ways between them that end each for itself.

use alloc::collections::BTreeMap;
use core::time::Duration;

use rustix::{
    event::epoll::EventFlags,
    fd::OwnedFd,
    io::Errno,
    net::{
        Shutdown, SocketAddr, SocketFlags, SocketType, accept_with, connect, listen, shutdown, socket_with,
        sockopt,
    },
    pipe::{SpliceFlags, splice},
};

use super::{
    super::family_of,
    Key, Shared, Side, Turn,
    pipes::{Pipe, Pipes},
};

/// SOMAXCONN; the kernel takes what it allows of it.
const BACKLOG: i32 = 4096;
/// Connections that one turn accepts.
const ACCEPTED_MAX: usize = 32;
/// How often one turn fills a pipe.
const FILLED_MAX: usize = 4;
/// A client that has vanished holds its connection for three minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// What epoll tells of a socket.
const EVENTS: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP);

/// Has a socket take connections, which get its options.
pub fn listen_on(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    // So that connections which have been over for less than a minute don't keep the next one off its port.
    sockopt::set_socket_reuseaddr(socket, true)?;
    listen(socket, BACKLOG)
}

/// A port that takes connections.
#[derive(Debug)]
pub struct Port {
    socket: OwnedFd,
    target: SocketAddr,
    connections: BTreeMap<u64, Connection>,
    /// For the next connection: it is made first, so that nobody is accepted for whom there is none.
    outward: Option<OwnedFd>,
}

impl Port {
    pub fn new(socket: OwnedFd, target: SocketAddr) -> Port {
        Port { socket, target, connections: BTreeMap::new(), outward: None }
    }

    pub fn turn(&mut self, key: Key, flags: EventFlags, shared: &mut Shared) -> Turn {
        if key.serial == 0 {
            return self.accept(key, shared);
        }
        // One that has ended may be told of once more.
        let Some(connection) = self.connections.get_mut(&key.serial) else { return Turn::Waits };
        match connection.turn(key.side, flags, shared) {
            Ok(Some(turn)) => return turn,
            Ok(None) => {}
            Err(_) => connection.reset(),
        }
        self.connections.remove(&key.serial);
        shared.connections -= 1;
        shared.freed = true;
        Turn::Waits
    }

    fn accept(&mut self, key: Key, shared: &mut Shared) -> Turn {
        for _ in 0..ACCEPTED_MAX {
            if shared.connections >= shared.limits.connections {
                return Turn::Lacks;
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let outward = match self.outward.take() {
                Some(outward) => outward,
                None => match socket_with(family_of(self.target), SocketType::STREAM, flags, None) {
                    Ok(outward) => outward,
                    Err(_) => return Turn::Lacks,
                },
            };
            match accept_with(&self.socket, flags) {
                Ok(client) => {
                    let mut connection = Connection::new(client, outward);
                    let serial = shared.next_serial();
                    match connection.begin(Key { serial, ..key }, self.target, shared) {
                        Ok(()) => {
                            self.connections.insert(serial, connection);
                            shared.connections += 1;
                        }
                        Err(_) => connection.reset(),
                    }
                }
                Err(errno) => {
                    self.outward = Some(outward);
                    match errno {
                        Errno::AGAIN => return Turn::Waits,
                        // That client has gone already.
                        Errno::INTR | Errno::CONNABORTED | Errno::PROTO => {}
                        _ => return Turn::Lacks,
                    }
                }
            }
        }
        Turn::More
    }
}

#[derive(Debug)]
struct Connection {
    client: End,
    target: End,
    there: Way,
    back: Way,
}

/// A socket, and what it is known to be ready for: to be tried, at least.
#[derive(Debug)]
struct End {
    socket: OwnedFd,
    readable: bool,
    writable: bool,
    /// It takes nothing any more; what has come from it goes to the other side before that one fails, too.
    failed: bool,
}

/// One of the two directions.
#[derive(Debug, Default)]
struct Way {
    /// There is one as long as something is in it.
    pipe: Option<Pipe>,
    held_bytes: usize,
    /// All is carried that there was, and the receiver knows.
    ended: bool,
}

impl Connection {
    fn new(client: OwnedFd, target: OwnedFd) -> Connection {
        let end = |socket| End { socket, readable: false, writable: false, failed: false };
        let (there, back) = (Way::default(), Way::default());
        Connection { client: end(client), target: end(target), there, back }
    }

    fn begin(&mut self, key: Key, to: SocketAddr, shared: &Shared) -> Result<(), Errno> {
        let target = &self.target.socket;
        sockopt::set_tcp_nodelay(target, true)?;
        sockopt::set_socket_keepalive(target, true)?;
        match connect(target, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        // It is writable as soon as it is connected.
        shared.watch(target, Key { side: Side::Target, ..key }, EVENTS)?;
        shared.watch(&self.client.socket, Key { side: Side::Client, ..key }, EVENTS)
    }

    /// Carries what there is, both ways. `None` is the end of both.
    fn turn(&mut self, side: Side, flags: EventFlags, shared: &mut Shared) -> Result<Option<Turn>, Errno> {
        let Connection { client, target, there, back } = self;
        let told = if side == Side::Client { &mut *client } else { &mut *target };
        told.readable |=
            flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        told.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP);
        told.failed |= flags.contains(EventFlags::ERR);
        let turns = [there.carry(client, target, shared)?, back.carry(target, client, shared)?];
        if client.failed && target.failed {
            return Err(Errno::CONNRESET);
        }
        if there.ended && back.ended {
            return Ok(None);
        }
        let one = [Turn::More, Turn::Lacks].into_iter().find(|turn| turns.contains(turn));
        Ok(Some(one.unwrap_or(Turn::Waits)))
    }

    /// Has both sides see that it has failed, when it is dropped.
    fn reset(&self) {
        for end in [&self.client, &self.target] {
            let _ = sockopt::set_socket_linger(&end.socket, Some(Duration::ZERO));
        }
    }
}

impl Way {
    /// Does what can be done at once. An error is one of the sender, from which nothing comes any more.
    fn carry(&mut self, from: &mut End, to: &mut End, shared: &mut Shared) -> Result<Turn, Errno> {
        let turn = self.fill_and_drain(from, to, shared)?;
        if self.held_bytes == 0
            && let Some(pipe) = self.pipe.take()
        {
            shared.pipes.give(pipe);
            shared.freed = true;
        }
        Ok(turn)
    }

    /// A pipe is filled only when it is empty and would be drained: so that nothing can be meant by EAGAIN but that there
    /// is nothing to be read, and so that who does not read has at most one.
    fn fill_and_drain(&mut self, from: &mut End, to: &mut End, shared: &mut Shared) -> Result<Turn, Errno> {
        let share = Pipes::share(shared.connections);
        if from.failed && self.ended {
            return Err(Errno::CONNRESET);
        }
        for _ in 0..FILLED_MAX {
            if self.ended || to.failed || !to.writable || (self.held_bytes == 0 && !from.readable) {
                return Ok(Turn::Waits);
            }
            let pipe = match &self.pipe {
                Some(pipe) => pipe,
                None => match shared.pipes.take() {
                    Ok(pipe) => self.pipe.insert(pipe),
                    Err(_) => return Ok(Turn::Lacks),
                },
            };
            if self.held_bytes == 0 {
                match splice(&from.socket, None, &pipe.input, None, share, SpliceFlags::NONBLOCK) {
                    Ok(0) if from.failed => return Err(Errno::CONNRESET),
                    Ok(0) => {
                        self.ended = true;
                        // If that fails, so does all that is done with it next.
                        let _ = shutdown(&to.socket, Shutdown::Write);
                        return Ok(Turn::Waits);
                    }
                    Ok(bytes) => self.held_bytes = bytes,
                    Err(Errno::AGAIN) => {
                        from.readable = false;
                        return Ok(Turn::Waits);
                    }
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Err(errno),
                }
            }
            // No more than there is: the kernel would hold back the last packet for the rest.
            match splice(&pipe.output, None, &to.socket, None, self.held_bytes, SpliceFlags::NONBLOCK) {
                Ok(bytes @ 1..) => self.held_bytes = self.held_bytes.saturating_sub(bytes),
                Err(Errno::AGAIN) => {
                    to.writable = false;
                    return Ok(Turn::Waits);
                }
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => {
                    to.failed = true;
                    // Whatever has come from it, or the reason: the other way finds it.
                    to.readable = true;
                    return Ok(Turn::More);
                }
            }
        }
        Ok(Turn::More)
    }
}

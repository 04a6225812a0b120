//! `RUN --mount=type=ssh`: a socket of our own, with the mode and the owner that were asked for, and a process that hands on
//! what comes to it to the agent of the client. So the agent sees this process's user, whoever connects inside, and nothing
//! of its own socket changes.
//!
//! ```text
//! command in the container ── socket in the run directory ── this process's child ── the agent's socket
//! ```

use alloc::{format, vec, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{CWD, FileType, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType},
    pipe::{PipeFlags, pipe_with},
    process::Signal,
};

use crate::{Context, Error, Result, file, fork};

/// Most connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// Most bytes that are handed on at once.
const PIECE: usize = 16 << 10;

/// An agent that is passed on until this is dropped, or until this process ends, however it ends.
#[derive(Debug)]
pub(super) struct Agent {
    relay: fork::Child,
    /// When nobody has this any more, the other process ends by itself.
    _ender: OwnedFd,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.relay.pidfd, Signal::KILL);
        let _ = fork::wait(&self.relay.pidfd);
    }
}

impl Agent {
    /// Makes the socket `name` in `directory`, behind which the agent is that listens at this path of the host.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no socket is there; of the kernel.
    pub fn pass_on(path: &str, directory: &OwnedFd, name: &str) -> Result<Agent> {
        let agent = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .context("open agent", path)?;
        let stat = rustix::fs::fstat(&agent).context("stat", path)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(Error::Invalid(format!("{path}: it is not the socket of an agent")));
        }
        let listener = socket()?;
        // A path may be longer than an address.
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()));
        rustix::net::bind(&listener, &address.context("name", name)?).context("bind", name)?;
        rustix::net::listen(&listener, 16).context("listen on", name)?;
        let (end, ender) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let keep = [listener.as_fd(), agent.as_fd(), end.as_fd()];
        let relay = fork::child(&keep, || i32::from(relay(&listener, &agent, &end).is_err()))?;
        Ok(Agent { relay, _ender: ender })
    }
}

fn socket() -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .context("open", "socket")
}

/// A connection to the agent.
fn connected(agent: &OwnedFd) -> Result<OwnedFd> {
    let socket = socket()?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", agent.as_raw_fd()));
    rustix::net::connect(&socket, &address.context("name", "agent")?).context("connect to", "agent")?;
    Ok(socket)
}

/// A command's connection and its counterpart.
struct Pair {
    command: OwnedFd,
    agent: OwnedFd,
    /// The command has said all that it wants to say.
    has_said_all: bool,
}

/// Hands on what is said until the other end of `end` is closed.
fn relay(listener: &OwnedFd, agent: &OwnedFd, end: &OwnedFd) -> Result<()> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let poll_of = |fd, is_wanted| {
            PollFd::from_borrowed_fd(fd, if is_wanted { PollFlags::IN } else { PollFlags::empty() })
        };
        let mut polled =
            vec![poll_of(end.as_fd(), true), poll_of(listener.as_fd(), pairs.len() < CONNECTIONS_MAX)];
        for pair in &pairs {
            polled.push(poll_of(pair.command.as_fd(), !pair.has_said_all));
            polled.push(poll_of(pair.agent.as_fd(), true));
        }
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::os("poll", "agent", errno)),
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        if ready[0] {
            return Ok(());
        }
        let mut turns = ready[2..].chunks_exact(2);
        pairs.retain_mut(|pair| {
            let turn = turns.next().unwrap_or(&[false, false]);
            pair.go_on((turn[0], turn[1]), &mut buffer)
        });
        if ready[1]
            && let Ok(command) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)
            && let Ok(agent) = connected(agent)
        {
            pairs.push(Pair { command, agent, has_said_all: false });
        }
    }
}

impl Pair {
    /// Hands on what is there from the command and from the agent. Whether there may be more.
    fn go_on(&mut self, (command, agent): (bool, bool), buffer: &mut [u8]) -> bool {
        if command && !self.has_said_all {
            match hand_on(&self.command, &self.agent, buffer) {
                Ok(0) => {
                    self.has_said_all = true;
                    let _ = rustix::net::shutdown(&self.agent, Shutdown::Write);
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        } else if command {
            // It has hung up.
            return false;
        }
        !agent || matches!(hand_on(&self.agent, &self.command, buffer), Ok(1..))
    }
}

/// How many bytes there were.
fn hand_on(from: &OwnedFd, to: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let count = file::read_part(from, buffer)?;
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match rustix::net::send(to, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = &rest[sent..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(count)
}

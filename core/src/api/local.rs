//! The server without a daemon: one connection, served by a child of the process that asks. Runs in the client up to
//! the fork, then in the server child.

use rustix::fd::{AsFd, OwnedFd};
use skiff_syscalls::{processor::Processors, signal::SignalSet};

use super::{
    serve_connection,
    wire::{self, Wire},
};
use crate::{Context, Result, engine::Settings, fork};

/// What the first request will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is known.
    Anything,
    /// Most likely a container is to be run, in namespaces of its own.
    Run,
}

/// Starts a server child; gives the client's end of its connection. The child ends with the connection.
///
/// It leaves the caller's session, so that what is typed at the terminal ends the client only, and holds none of the
/// caller's files, so that nobody waits for a pipe that the child still has.
///
/// # Errors
/// The kernel's, if there are no more processes or files.
pub fn spawn(settings: &Settings, expect: Expect) -> Result<OwnedFd> {
    let (near, far) = wire::pair()?;
    let processors = Processors::own();
    let child = fork::child(&[far.as_fd()], || {
        let _ = rustix::process::setsid();
        fork::own_signals(SignalSet::EMPTY);
        serve(&far, settings, expect).map_or(1, |()| 0)
    })?;
    // Whoever has a container's process made roams afterwards, which is after the request that this process has yet to send.
    if expect == Expect::Run {
        processors.move_away(child.pid);
    }
    Ok(near)
}

fn serve(far: &OwnedFd, settings: &Settings, expect: Expect) -> Result<()> {
    // Above the standard descriptors, which must not be free for what is opened later.
    let connection = rustix::io::fcntl_dupfd_cloexec(far, 3).context("duplicate", "socket")?;
    fork::null_streams()?;
    serve_connection(Wire::new(connection), settings, expect);
    Ok(())
}

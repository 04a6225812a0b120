//! The server without a daemon: one connection, served by a child of the process that asks. Runs in the client up to
//! the fork, then in the server child.

use rustix::fd::OwnedFd;
use skiff_syscalls::{processor::Processors, signal::SignalSet};

use super::{
    serve_connection,
    wire::{self, Wire},
};
use crate::{Result, engine::Settings, fork, process::launch};

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
    let child = fork::heir(far, fork::with_standard, |far| {
        let _ = rustix::process::setsid();
        // Before all else, for that takes longest.
        let conceived = (expect == Expect::Run).then(launch::conceive_usual);
        fork::own_signals(SignalSet::EMPTY);
        if fork::null_streams().is_err() {
            return 1;
        }
        serve_connection(Wire::new(far), settings, conceived.and_then(Result::ok));
        0
    })?;
    // Whoever has a container's process made roams afterwards, which is after the request that this process has yet to send.
    if expect == Expect::Run {
        processors.move_away(child.pid);
    }
    Ok(near)
}

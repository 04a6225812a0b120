//! The pipes that bytes go through from one socket to the other. A way has one only while there is something in it, so a
//! few are enough for many connections, and those that do nothing have none.

use alloc::vec::Vec;

use rustix::{
    fd::OwnedFd,
    io::Errno,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

/// How much a pipe takes; what anybody may have (pipe(7)). A quarter of it costs a third more of the processor.
const PIPE_BYTES: usize = 1 << 20;
/// How much the pipes of all connections take one way, whoever does not read what comes through them.
const ALL_BYTES: usize = 256 << 20;
/// How many are kept that nobody needs.
const SPARE_MAX: usize = 16;

/// A pipe; both its ends are this process's.
#[derive(Debug)]
pub struct Pipe {
    pub output: OwnedFd,
    pub input: OwnedFd,
}

/// Those that are empty.
#[derive(Debug, Default)]
pub struct Pipes(Vec<Pipe>);

impl Pipes {
    /// An empty one.
    ///
    /// # Errors
    /// EMFILE, ENFILE.
    pub fn take(&mut self) -> Result<Pipe, Errno> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one does, too: who is not root has but so many pages in pipes.
        let _ = fcntl_setpipe_size(&input, PIPE_BYTES);
        Ok(Pipe { output, input })
    }

    /// Takes back an empty one.
    pub fn give(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE_MAX {
            self.0.push(pipe);
        }
    }

    /// How much goes into a pipe when there are so many connections.
    pub fn share(connections: usize) -> usize {
        (ALL_BYTES / connections.max(1)).min(PIPE_BYTES)
    }
}

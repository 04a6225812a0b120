//! `skiff dial-stdio`: this process's input and output are a connection to the engine. What `ssh://` runs on the other
//! machine.

use argh::prelude::*;
use rustix::{fd::AsFd, io::Errno, net::Shutdown};
use skiff_core::{file, fork};
use skiff_syscalls::descriptor;

use super::{Context, Verb};
use crate::failure::{Failure, Outcome};

/// carry a connection to the engine over stdin and stdout
#[derive(FromArgs, ArgsInfo)]
pub struct DialStdio {}

impl Verb for DialStdio {
    fn run(self, context: &Context) -> Outcome {
        let socket = context.client.dial()?;
        let [stdin, stdout, _] = descriptor::standard();
        let mut input = Some(stdin);
        let mut part = vec![0; 64 << 10];
        loop {
            let ready = fork::heard(core::iter::once(socket.as_fd()).chain(input), None)?;
            if ready[0] {
                match file::read_part(socket.as_fd(), &mut part) {
                    // The connection was reset: there is no more of it.
                    Ok(0) | Err(Errno::CONNRESET) => return Ok(0),
                    Ok(length) => match file::write_all(stdout, &part[..length]) {
                        Ok(()) => {}
                        // Nobody listens any more.
                        Err(Errno::PIPE | Errno::CONNRESET) => return Ok(0),
                        Err(errno) => return Err(Failure::io("write to stdout", "", errno)),
                    },
                    Err(errno) => return Err(Failure::io("read from", "the engine", errno)),
                }
            }
            if ready.get(1) == Some(&true) {
                let length = file::read_part(stdin, &mut part)
                    .map_err(|errno| Failure::io("read from stdin", "", errno))?;
                if length == 0 {
                    input = None;
                    let _ = rustix::net::shutdown(&socket, Shutdown::Write);
                } else if file::write_all(&socket, &part[..length]).is_err() {
                    // What it has answered is still to be read.
                    input = None;
                }
            }
        }
    }
}

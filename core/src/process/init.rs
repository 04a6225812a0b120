//! The first process of a container that was asked for with `--init`: starts the program, passes signals on to it, takes
//! the status of every process that ends, and ends as the program did.
//!
//! It is this binary, executed from a read-only mount of its own at [`PATH`] inside the container.

use alloc::string::String;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, OwnedFd},
    process::{WaitId, WaitIdOptions, WaitIdStatus},
};
use skiff_syscalls::{
    descriptor,
    mount::{MountAttributes, Propagation, Reach, set_attributes},
    signal::{self, SignalSet},
};

use super::{program::Program, rootfs};
use crate::{Context, Error, Result, file::CWD, fork};

/// Where it is inside the container, and what it is called by.
pub const PATH: &str = "/sbin/docker-init";

const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// The words that start `words` by way of the init.
pub fn words<'a>(words: impl Iterator<Item = &'a str> + Clone) -> impl Iterator<Item = &'a str> + Clone {
    [PATH, "--"].into_iter().chain(words)
}

/// A mount of this binary that nobody can write through.
///
/// # Errors
/// Of the kernel.
pub fn mount() -> Result<OwnedFd> {
    let mount = rootfs::clone_mount(CWD, "/proc/self/exe", false).context("open", "/proc/self/exe")?;
    let set = MountAttributes::RDONLY | MountAttributes::NOSUID | MountAttributes::NODEV;
    let clear = MountAttributes::NOEXEC;
    set_attributes(mount.as_fd(), c"", Reach::One, set, clear, Propagation::Private)
        .context("make read-only", PATH)?;
    Ok(mount)
}

/// Runs as the init; the exit code. `words` is the program and its arguments.
///
/// # Errors
/// [`Error::Start`] if the program can't be executed.
pub fn run(words: &[String], environment: &[String]) -> Result<u8> {
    let program = Program::new(words.iter().map(String::as_str), environment)?;
    let mask = signal::block(SignalSet::ALL);
    let signals = signal::signalfd(SignalSet::ALL).context("open", "signalfd")?;
    let child = fork::child(&descriptor::standard(), || {
        // A group of its own, in the foreground of the terminal if there is one.
        let _ = rustix::process::setpgid(None, None);
        let _ = rustix::termios::tcsetpgrp(descriptor::standard()[0], rustix::process::getpid());
        signal::set_mask(mask);
        let error = program.become_it();
        let _ = rustix::io::write(descriptor::standard()[2], alloc::format!("{error}\n").as_bytes());
        match error {
            Error::Start { exit_code, .. } => i32::from(exit_code),
            _ => 126,
        }
    })?;
    loop {
        let mut ready = [PollFd::new(&signals, PollFlags::IN)];
        let _ = poll(&mut ready, None);
        while let Some((number, _)) = signal::next_signal(&signals).context("read", "signalfd")? {
            match number {
                SIGCHLD => {
                    if let Some(code) = reap(child.pid) {
                        return Ok(code);
                    }
                }
                // Of this process's own place behind the foreground.
                SIGTTIN | SIGTTOU => {}
                // It may have ended.
                other => drop(signal::send(&child.pidfd, other)),
            }
        }
    }
}

/// Takes the status of all that have ended; the exit code of the program if that is among them.
fn reap(program: rustix::process::Pid) -> Option<u8> {
    let mut code = None;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        // Which one it was is asked of the kernel before its number is free again.
        let peek = rustix::process::waitid(WaitId::Pid(program), options | WaitIdOptions::NOWAIT);
        if code.is_none()
            && let Ok(Some(status)) = peek
        {
            code = Some(exit_code(&status));
        }
        match rustix::process::waitid(WaitId::All, options) {
            Ok(Some(_)) => {}
            _ => return code,
        }
    }
}

fn exit_code(status: &WaitIdStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code as u8,
        (None, signal) => 128 | signal.unwrap_or(0) as u8,
    }
}

//! Health checks at work: starts probes when they are due, hears their output and their end, ends those that take too
//! long. What follows from it is decided by [`crate::container::health`].

use alloc::boxed::Box;
use core::fmt;

use rustix::{
    event::PollFlags,
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use crate::{
    Context, Result,
    clock::{self, Time},
    container::health::{Action, Health, Settings},
    file,
    fork::{self, Child, Ended},
};

/// The file about the last probes, in the container's run directory.
pub const FILE_NAME: &str = "health.json";

/// The health checks of one container.
pub struct Probing {
    health: Health,
    start: Box<dyn Fn(OwnedFd) -> Result<Child>>,
    current: Option<(Child, OwnedFd)>,
    directory: OwnedFd,
}

impl fmt::Debug for Probing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probing").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Probing {
    /// Probes as `settings` say. `start` starts a probe whose output goes to the descriptor, and which ends with all that
    /// it has started when it gets SIGTERM. The file about them is in `directory`.
    pub fn new(
        settings: Settings,
        directory: OwnedFd,
        start: impl Fn(OwnedFd) -> Result<Child> + 'static,
    ) -> Probing {
        let health = Health::new(settings, clock::monotonic());
        Probing { health, start: Box::new(start), current: None, directory }
    }

    /// The verdict, and how many probes have failed in a row.
    pub fn verdict(&self) -> (&'static str, u32) {
        (self.health.status().name(), self.health.failing_streak())
    }

    /// When there is something to do, by the monotonic clock.
    pub fn due(&self) -> Option<i64> {
        self.health.due()
    }

    /// The process of the probe that runs, and its output.
    pub fn sources(&self) -> [Option<BorrowedFd<'_>>; 2] {
        match &self.current {
            Some((child, output)) => [Some(child.pidfd.as_fd()), Some(output.as_fd())],
            None => [None; 2],
        }
    }

    /// The container was started.
    pub fn begin(&mut self) {
        self.health.restarted(clock::monotonic());
        self.write();
    }

    /// The container has ended.
    pub fn end(&mut self) {
        self.health.paused();
        self.drop_probe();
    }

    /// The container is frozen, and a probe with it.
    pub fn pause(&mut self) {
        self.end();
    }

    /// The container goes on.
    pub fn resume(&mut self) {
        self.health.resumed(clock::monotonic());
    }

    /// Does what is due, with what is ready of [`Probing::sources`]. Whether the verdict or the streak is another now.
    pub fn step(&mut self, [ended, written]: [PollFlags; 2], buffer: &mut [u8]) -> bool {
        let before = self.verdict();
        if !written.is_empty() {
            self.hear(buffer);
        }
        let mut news = false;
        if !ended.is_empty() {
            while self.hear(buffer) {}
            if let Some((child, _)) = self.current.take() {
                let code = match fork::wait(&child.pidfd) {
                    Ok(Ended::Exited(code)) => i32::from(code),
                    Ok(Ended::Killed(signal)) => 128 + i32::from(signal),
                    Err(_) => -1,
                };
                self.health.ended(code, clock::monotonic(), Time::now());
                news = true;
            }
        }
        match self.health.tick(clock::monotonic(), Time::now()) {
            Action::Wait => {}
            Action::Kill => {
                if let Some((child, _)) = &self.current {
                    // It takes along what the probe has started.
                    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::TERM);
                }
            }
            Action::Start => {
                let start = || -> Result<(Child, OwnedFd)> {
                    let (output, end) =
                        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).context("create", "pipe")?;
                    rustix::io::ioctl_fionbio(&end, false).context("prepare", "pipe")?;
                    Ok(((self.start)(end)?, output))
                };
                match start() {
                    Ok(probe) => self.current = Some(probe),
                    Err(error) => {
                        let reason = alloc::format!("{error}");
                        self.health.could_not_run(&reason, clock::monotonic(), Time::now());
                        news = true;
                    }
                }
            }
        }
        if news {
            self.write();
        }
        self.verdict() != before
    }

    /// Reads a piece of the probe's output; whether there may be more.
    fn hear(&mut self, buffer: &mut [u8]) -> bool {
        let Some((_, output)) = &self.current else { return false };
        match rustix::io::read(output, &mut *buffer) {
            Ok(count) if count > 0 => {
                self.health.output(&buffer[..count]);
                true
            }
            Err(Errno::INTR) => true,
            _ => false,
        }
    }

    fn drop_probe(&mut self) {
        if let Some((child, _)) = self.current.take() {
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            let _ = fork::wait(&child.pidfd);
        }
    }

    fn write(&self) {
        // Only shown; the verdict itself is in the container's state.
        let _ = file::replace(&self.directory, FILE_NAME, &self.health.to_json(), 0o600);
    }
}

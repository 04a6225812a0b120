//! The supervisor of one container at work: what its process writes goes to the log and to the clients, what clients
//! send goes in, what others ask is done, how it ended is told. Runs in a process of its own, and says nothing about
//! what comes after the end: that is [`crate::engine::supervise`].

pub mod client;
pub mod health;

use alloc::vec::Vec;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, OwnedFd},
    io::Errno,
};

use self::{
    client::{Came, Client},
    health::Probing,
};
use super::{
    cgroup::{Group, Shortage},
    control::{self, Attach, Question},
    launch::Started,
};
use crate::{
    Error, Result,
    clock::{self, Time},
    container::{
        log,
        state::{State, Status},
    },
    fork::{self, Ended},
    frame::Stream,
};

/// Most bytes that are moved at once.
const PIECE: usize = 16 << 10;
/// How long freezing a container may take, in milliseconds.
const FREEZE_GRACE_MS: u32 = 10_000;

/// Hears what happens, in the words of events: an action and its attributes.
pub type Tell<'a> = &'a dyn Fn(&str, &[(&str, &str)]);

/// A container's process that was started, and what belongs to it.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub started: Started,
    /// Its control group.
    pub group: Group,
}

/// What stays with a container over all its restarts.
#[derive(Debug)]
pub struct Monitor {
    /// What it is doing.
    pub state: State,
    /// The file where that stands, if it is kept.
    pub state_file: Option<OwnedFd>,
    /// Where others ask; see [`control`].
    pub control: OwnedFd,
    /// Who is attached.
    pub clients: Vec<Client>,
    /// Where its output is kept.
    pub log: log::Writer,
    /// The record was changed by somebody else.
    pub updated: bool,
    /// It has a terminal.
    pub tty: bool,
    /// Its input ends when the first client's input does; that of a terminal never ends.
    pub stdin_once: bool,
    /// Its health checks, if it has any.
    pub probing: Option<Probing>,
    /// How many kills for want of memory were told of the present run.
    pub kills_told: u64,
}

/// The input's way into the process.
#[derive(Debug, Default)]
struct Input {
    /// Input that the process has not taken yet.
    pending: Vec<u8>,
    /// No more will come.
    ended: bool,
}

impl Monitor {
    /// Writes the state down.
    ///
    /// # Errors
    /// As pwrite(2).
    pub fn write_state(&self) -> Result<()> {
        match &self.state_file {
            Some(file) => self.state.write(file).map_err(|errno| Error::os("write", "state", errno)),
            None => Ok(()),
        }
    }

    /// Stays with the process until it has ended and everything that it wrote is passed on.
    /// What happens meanwhile is given to `tell`, in the words of events.
    pub fn carry(&mut self, running: &mut Running, tell: Tell<'_>) -> Ended {
        let mut stdin = running.started.stdin.take();
        let Running { started, group } = &*running;
        for fd in [Some(&started.stdout), started.stderr.as_ref(), stdin.as_ref()].into_iter().flatten() {
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        let mut outputs = [Some(&started.stdout), started.stderr.as_ref()];
        // Of a further command only the container's own monitor tells.
        let mut shortage = self.state_file.as_ref().and_then(|_| Shortage::watch(group));
        self.kills_told = 0;
        let mut buffer = alloc::vec![0_u8; PIECE];
        let mut input = Input::default();
        if let Some(probing) = &mut self.probing {
            probing.begin();
        }
        loop {
            for client in &mut self.clients {
                client.early(&mut input.pending);
            }
            input.feed(&mut stdin, self.tty);
            let ready = self.sleep(started, outputs, stdin.as_ref(), &input, shortage.as_ref());
            let mut ready = ready.into_iter();
            let mut next = || ready.next().unwrap_or(PollFlags::empty());
            let (process, asked) = (!next().is_empty(), !next().is_empty());
            let written = [next(), next()].map(|flags| !flags.is_empty());
            let _takes_input = next();
            if !next().is_empty() {
                self.note_shortage(&mut shortage, tell);
            }
            for at in 0..self.clients.len() {
                let client = &mut self.clients[at];
                let came = client.serve(next(), &mut buffer, &mut input.pending);
                if came == Came::Detached {
                    tell("detach", &[]);
                }
                input.ended |= self.stdin_once && !self.tty && (came == Came::End || client.has_stopped());
            }
            self.probe([next(), next()], &mut buffer, tell);
            if stdin.is_none() {
                input.pending.clear();
            }
            if self.clients.iter().any(|client| client.owner && client.has_left()) {
                // A container that is not detached goes with the client that it was run for.
                let _ = rustix::process::pidfd_send_signal(&started.pidfd, rustix::process::Signal::KILL);
            }
            self.clients.retain(|client| !client.is_gone());
            if asked {
                self.answer(Some((started, group)), tell);
            }
            for (at, written) in written.into_iter().enumerate() {
                if written {
                    self.pass_output(&mut outputs, at, &mut buffer);
                }
            }
            if process {
                for at in 0..outputs.len() {
                    while self.pass_output(&mut outputs, at, &mut buffer) {}
                }
                let _ = self.log.finish(Time::now());
                if let Some(probing) = &mut self.probing {
                    probing.end();
                }
                return fork::wait(&started.pidfd).unwrap_or(Ended::Killed(9));
            }
        }
    }

    /// Waits between two runs. False when the container is not to be started again.
    pub fn rest(&mut self, until: i64) -> bool {
        let mut buffer = [0; 512];
        while !self.state.stopped_by_hand {
            let left = clock::timeout_until(until);
            if (left.tv_sec, left.tv_nsec) == (0, 0) {
                return true;
            }
            let mut sources = alloc::vec![PollFd::new(&self.control, PollFlags::IN)];
            sources.extend(self.clients.iter().map(|client| {
                let (fd, flags) = client.interest(false);
                PollFd::from_borrowed_fd(fd, flags)
            }));
            if poll(&mut sources, Some(&left)).is_err() {
                continue;
            }
            let ready: Vec<PollFlags> = sources.iter().map(PollFd::revents).collect();
            for (client, ready) in self.clients.iter_mut().zip(&ready[1..]) {
                client.serve(*ready, &mut buffer, &mut Vec::new());
            }
            self.clients.retain(|client| !client.is_gone());
            if !ready[0].is_empty() {
                self.answer(None, &|_, _| {});
            }
        }
        false
    }

    /// Lets every client have what is left for it, as long as it takes.
    pub fn see_off(&mut self) {
        while !self.clients.is_empty() {
            let mut sources: Vec<PollFd<'_>> = Vec::with_capacity(self.clients.len());
            sources.extend(self.clients.iter().map(|client| {
                let (fd, flags) = client.interest(false);
                PollFd::from_borrowed_fd(fd, flags)
            }));
            let _ = poll(&mut sources, None);
            let ready: Vec<PollFlags> = sources.iter().map(PollFd::revents).collect();
            for (client, ready) in self.clients.iter_mut().zip(ready) {
                client.serve(ready, &mut [], &mut Vec::new());
            }
            self.clients.retain(|client| !client.is_gone());
        }
    }

    /// Tells the clients how the process ended, and lets them go.
    pub fn dismiss(&mut self, ended: Ended) {
        let exit = alloc::format!("{{\"StatusCode\":{},\"Error\":\"\"}}", ended.code());
        for client in &mut self.clients {
            client.finish(exit.as_bytes());
        }
        self.clients.retain(|client| !client.is_gone());
    }

    /// Tells that the kernel has killed for want of memory, once for each kill.
    fn note_shortage(&mut self, shortage: &mut Option<Shortage>, tell: Tell<'_>) {
        let Some(kills) = shortage.as_ref().and_then(Shortage::kills) else {
            // The group is going; how often it was is looked at once more at the end.
            *shortage = None;
            return;
        };
        if kills > self.kills_told {
            self.state.oom_killed = true;
            // A full disk does not end the container.
            let _ = self.write_state();
        }
        while self.kills_told < kills {
            self.kills_told += 1;
            tell("oom", &[]);
        }
    }

    /// Looks after the health checks.
    fn probe(&mut self, ready: [PollFlags; 2], buffer: &mut [u8], tell: Tell<'_>) {
        let Some(probing) = &mut self.probing else { return };
        if probing.step(ready, buffer) {
            let (verdict, streak) = probing.verdict();
            if verdict != self.state.health {
                tell(&alloc::format!("health_status: {verdict}"), &[]);
            }
            (self.state.health, self.state.failing_streak) = (verdict.into(), streak);
            // A full disk does not end the container.
            let _ = self.write_state();
        }
    }

    /// Sleeps until something can be done: what is ready of process, control socket, the two outputs, the input,
    /// the count of kills for want of memory, the clients, and a probe with its output, in this order.
    fn sleep(
        &self,
        started: &Started,
        outputs: [Option<&OwnedFd>; 2],
        stdin: Option<&OwnedFd>,
        input: &Input,
        shortage: Option<&Shortage>,
    ) -> Vec<PollFlags> {
        let full = self.clients.iter().any(Client::is_full);
        let listen = input.pending.is_empty() && !input.ended && stdin.is_some();
        let readable = |fd| (fd, PollFlags::IN);
        let mut wanted = alloc::vec![
            Some(readable(started.pidfd.as_fd())),
            Some(readable(self.control.as_fd())),
            outputs[0].filter(|_| !full).map(|fd| readable(fd.as_fd())),
            outputs[1].filter(|_| !full).map(|fd| readable(fd.as_fd())),
            stdin.filter(|_| !input.pending.is_empty()).map(|fd| (fd.as_fd(), PollFlags::OUT)),
            shortage.map(|shortage| (shortage.fd(), PollFlags::PRI)),
        ];
        wanted.extend(self.clients.iter().map(|client| Some(client.interest(listen))));
        let mut left = None;
        if let Some(probing) = &self.probing {
            wanted.extend(probing.sources().map(|fd| fd.map(readable)));
            left = probing.due().map(clock::timeout_until);
        }
        let mut sources: Vec<PollFd<'_>> =
            wanted.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        while poll(&mut sources, left.as_ref()) == Err(Errno::INTR) {}
        let mut results = sources.iter().map(PollFd::revents);
        wanted.iter().map(|one| one.and_then(|_| results.next()).unwrap_or(PollFlags::empty())).collect()
    }

    /// Answers all who ask.
    fn answer(&mut self, running: Option<(&Started, &Group)>, tell: Tell<'_>) {
        while let Some((question, along, connection)) = control::accept(&self.control) {
            let done = self.obey(question, along, running, tell);
            if self.write_state().is_err() {
                // The disk is full; what was asked is done all the same.
            }
            control::answer(connection, done.as_ref().copied());
        }
    }

    /// Does what is asked; `running` is what runs, unless the container waits for its restart.
    fn obey(
        &mut self,
        question: Question,
        along: Option<OwnedFd>,
        running: Option<(&Started, &Group)>,
        tell: Tell<'_>,
    ) -> Result<()> {
        let not_running = || Error::Conflict("the container is not running".into());
        match question {
            Question::Signal { signal, for_good } => {
                self.state.stopped_by_hand |= for_good;
                if let Some((started, _)) = running {
                    match skiff_syscalls::signal::send(&started.pidfd, signal) {
                        // It may have just ended.
                        Ok(()) | Err(Errno::SRCH) => {
                            tell("kill", &[("signal", &alloc::format!("{signal}"))]);
                        }
                        Err(errno) => return Err(Error::os("signal", "the container", errno)),
                    }
                }
            }
            Question::Pause => {
                running.ok_or_else(not_running)?.1.freeze(FREEZE_GRACE_MS)?;
                self.state.status = Status::Paused;
                self.probing.iter_mut().for_each(Probing::pause);
            }
            Question::Unpause => {
                running.ok_or_else(not_running)?.1.thaw()?;
                self.state.status = Status::Running;
                self.probing.iter_mut().for_each(Probing::resume);
            }
            Question::Resize { height, width } => {
                let (started, _) = running.ok_or_else(not_running)?;
                if !self.tty {
                    return Err(Error::Conflict("the container has no terminal".into()));
                }
                let size =
                    rustix::termios::Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
                rustix::termios::tcsetwinsize(&started.stdout, size)
                    .map_err(|errno| Error::os("resize", "terminal", errno))?;
            }
            Question::Attach(wants) => {
                let connection = along.ok_or_else(|| Error::Invalid("attach without a connection".into()))?;
                self.admit(wants, connection)?;
            }
            Question::Update => self.updated = true,
        }
        Ok(())
    }

    /// Takes a client in. One that has read the log gets what is behind that first.
    ///
    /// # Errors
    /// [`Error::Unchanged`] if there is too much behind it: it has to read on.
    pub fn admit(&mut self, mut wants: Attach, connection: OwnedFd) -> Result<()> {
        let after = wants.after.take();
        let mut client = Client::new(connection, wants, self.tty);
        if let Some(after) = after {
            let mut pass = |stream: log::Stream, text: &[u8]| client.output(frame_stream(stream), text);
            match self.log.since(after, &mut pass) {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Err(Error::Unchanged),
                Err(errno) => return Err(Error::os("read", "the log", errno)),
            }
        }
        self.clients.push(client);
        Ok(())
    }

    /// Passes on a piece of output; whether there may be more.
    fn pass_output(&mut self, outputs: &mut [Option<&OwnedFd>; 2], at: usize, buffer: &mut [u8]) -> bool {
        let Some(fd) = outputs[at] else { return false };
        match rustix::io::read(fd, &mut *buffer) {
            Ok(count) if count > 0 => {
                let bytes = &buffer[..count];
                let stream = if at == 0 { log::Stream::Stdout } else { log::Stream::Stderr };
                let frame = frame_stream(stream);
                // Output that finds no room on the disk is lost to the log only.
                let _ = self.log.write(stream, bytes, Time::now());
                for client in &mut self.clients {
                    client.output(frame, bytes);
                }
                return true;
            }
            Err(Errno::AGAIN) => return false,
            Err(Errno::INTR) => return true,
            // The end; a terminal gives EIO when nobody has it open any more.
            _ => outputs[at] = None,
        }
        false
    }
}

fn frame_stream(stream: log::Stream) -> Stream {
    match stream {
        log::Stream::Stdout => Stream::Stdout,
        log::Stream::Stderr => Stream::Stderr,
    }
}

impl Input {
    /// Writes pending input as far as the process takes it.
    fn feed(&mut self, stdin: &mut Option<OwnedFd>, tty: bool) {
        if let Some(fd) = &*stdin
            && !self.pending.is_empty()
        {
            match rustix::io::write(fd, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    self.pending.clear();
                    *stdin = None;
                }
            }
        }
        if self.ended && self.pending.is_empty() && !tty {
            *stdin = None;
        }
    }
}

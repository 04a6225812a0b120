//! The supervisor of one container: holds its lock and its process's pidfd, carries output and input, writes down how it
//! ended. Runs in a process of its own, which is all that stays of the server child that started the container.

use alloc::{format, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::OFlags,
    io::Errno,
};

use super::{
    cgroup::Group,
    control::{self, Question},
    launch::Started,
};
use crate::{
    Context, Error, Result,
    api::frame::{self, Stream},
    clock::Time,
    container::{
        shelf::{Container, Lock, Shelf},
        state::{State, Status},
    },
    fork::{self, Ended},
};

/// Most bytes that are moved at once.
const PIECE: usize = 32 << 10;

/// The client that started the container and stays to the end.
#[derive(Debug)]
pub struct Attached {
    /// Its connection; frames go out, raw input comes in.
    pub connection: OwnedFd,
    /// Input that came with its request.
    pub early: Vec<u8>,
}

/// How long freezing a container may take, in milliseconds.
const FREEZE_GRACE_MS: u32 = 10_000;

/// A container's process that was started, and what belongs to it.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub started: Started,
    /// Its control group.
    pub group: Group,
    /// Where others ask the monitor; see [`control`].
    pub control: OwnedFd,
}

/// Watches a started container until its end. The state is written down, and a container that is to be removed is
/// gone, when the client hears of the exit.
///
/// # Errors
/// Of the file system; the container has ended then, too.
pub fn watch(
    shelf: &Shelf,
    container: &Container,
    lock: Lock,
    running: &mut Running,
    attached: Option<Attached>,
) -> Result<()> {
    let file = Shelf::state_file(container, OFlags::RDWR)?;
    let stdin = running.started.stdin.take();
    let Running { started, group, control } = &*running;
    let mut state = State {
        status: Status::Running,
        pid: started.pid.as_raw_nonzero().get(),
        monitor: rustix::process::getpid().as_raw_nonzero().get(),
        started_ns: Time::now().unix_nanos(),
        ..State::default()
    };
    let written = state.write(&file);
    let mut streams = Streams::new(started, stdin, attached);
    let ended = streams.carry(started, control.as_fd(), &mut |question| {
        let done = obey(&question, started, group, &mut state);
        let _ = state.write(&file);
        done
    });
    state.status = Status::Exited;
    state.exit_code = i32::from(ended.code());
    state.oom_killed = group.oom_kills().ok().flatten().is_some_and(|kills| kills > 0);
    state.finished_ns = Time::now().unix_nanos();
    state.pid = 0;
    state.monitor = 0;
    state.exits += 1;
    let written = written.and(state.write(&file));
    let id = container.record.id.as_str();
    if container.record.host.auto_remove {
        shelf.discard(&container.record, lock)?;
    } else {
        drop(lock);
    }
    streams.report(ended);
    drop(streams);
    drop(running.started.mounts.take());
    shelf.empty_trash(id);
    written.map_err(|errno| crate::Error::os("write", "state", errno))
}

/// Does what is asked of the monitor.
fn obey(question: &Question, started: &Started, group: &Group, state: &mut State) -> Result<()> {
    match question {
        Question::Signal { signal, for_good } => {
            let number = rustix::process::Signal::from_named_raw(*signal)
                .ok_or_else(|| Error::Unsupported(format!("signal {signal} is not there yet")))?;
            rustix::process::pidfd_send_signal(&started.pidfd, number).context("signal", "the container")?;
            state.stopped_by_hand |= for_good;
        }
        Question::Pause => {
            group.freeze(FREEZE_GRACE_MS)?;
            state.status = Status::Paused;
        }
        Question::Unpause => {
            group.thaw()?;
            state.status = Status::Running;
        }
        Question::Resize { height, width } if started.stderr.is_none() => {
            let size =
                rustix::termios::Winsize { ws_row: *height, ws_col: *width, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&started.stdout, size).context("resize", "terminal")?;
        }
        Question::Resize { .. } => return Err(Error::Conflict("the container has no terminal".into())),
        Question::Attach(_) => {
            return Err(Error::Unsupported("attaching to a running container is not there yet".into()));
        }
        // The monitor keeps nothing of the record that can change.
        Question::Update => {}
    }
    Ok(())
}

/// The output's and the input's ways.
struct Streams<'a> {
    /// What the container writes, each with its number; gone at its end.
    outputs: [Option<(BorrowedFd<'a>, Stream)>; 2],
    stdin: Option<OwnedFd>,
    /// Input that the container has not taken yet.
    pending: Vec<u8>,
    /// No more input will come.
    input_ended: bool,
    tty: bool,
    client: Option<OwnedFd>,
    /// A client was there; when it goes, the container ends.
    attended: bool,
}

impl<'a> Streams<'a> {
    fn new(started: &'a Started, stdin: Option<OwnedFd>, attached: Option<Attached>) -> Self {
        let tty = started.stderr.is_none();
        let stderr = started.stderr.as_ref().map(|fd| (fd.as_fd(), Stream::Stderr));
        for fd in [Some(&started.stdout), started.stderr.as_ref(), stdin.as_ref()].into_iter().flatten() {
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        let (client, pending) = attached.map_or((None, Vec::new()), |a| (Some(a.connection), a.early));
        Streams {
            outputs: [Some((started.stdout.as_fd(), Stream::Stdout)), stderr],
            stdin,
            pending,
            input_ended: client.is_none(),
            tty,
            attended: client.is_some(),
            client,
        }
    }

    /// Moves bytes until the process has ended and everything that it wrote has been passed on.
    fn carry(
        &mut self,
        started: &Started,
        control: BorrowedFd<'_>,
        obey: &mut dyn FnMut(Question) -> Result<()>,
    ) -> Ended {
        let mut buffer = alloc::vec![0_u8; PIECE];
        loop {
            self.feed();
            let [process, asked, client, input, out0, out1] = self.wait(started.pidfd.as_fd(), control);
            if asked {
                while let Some((question, _, connection)) = control::accept(control) {
                    let done = obey(question);
                    control::answer(connection, done.as_ref().copied());
                }
            }
            if client {
                self.take_input(&mut buffer);
            }
            if self.client.is_none() && self.attended {
                // A container that is not detached goes with the client that it was run for.
                let _ = rustix::process::pidfd_send_signal(&started.pidfd, rustix::process::Signal::KILL);
                self.attended = false;
            }
            if input {
                self.feed();
            }
            for (index, ready) in [out0, out1].into_iter().enumerate() {
                if ready {
                    self.pass_output(index, &mut buffer);
                }
            }
            if process {
                for index in 0..self.outputs.len() {
                    while self.pass_output(index, &mut buffer) {}
                }
                return fork::wait(&started.pidfd).unwrap_or(Ended::Killed(9));
            }
        }
    }

    /// Sleeps until something can be done: which of process, control, client, stdin, stdout, stderr is ready.
    fn wait(&self, process: BorrowedFd<'_>, control: BorrowedFd<'_>) -> [bool; 6] {
        let input = PollFlags::IN;
        let wants_input = !self.input_ended && self.pending.is_empty();
        let sources = [
            Some((process, input)),
            Some((control, input)),
            // No more is taken in than the container takes out.
            self.client.as_ref().map(|fd| (fd.as_fd(), if wants_input { input } else { PollFlags::empty() })),
            self.stdin.as_ref().filter(|_| !self.pending.is_empty()).map(|fd| (fd.as_fd(), PollFlags::OUT)),
            self.outputs[0].map(|(fd, _)| (fd, input)),
            self.outputs[1].map(|(fd, _)| (fd, input)),
        ];
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        while poll(&mut polled, None) == Err(Errno::INTR) {}
        let mut results = polled.iter().map(|one| !one.revents().is_empty());
        sources.map(|source| source.is_some() && results.next().unwrap_or(false))
    }

    /// Reads what the client sends; its end is the end of the container's input.
    fn take_input(&mut self, buffer: &mut [u8]) {
        let Some(client) = &self.client else { return };
        if self.input_ended || !self.pending.is_empty() {
            // Without a wish for input only the end of the connection wakes us.
            self.client = None;
            return;
        }
        match rustix::io::read(client, &mut *buffer) {
            Ok(count) if count > 0 => {
                if self.stdin.is_some() {
                    self.pending.extend_from_slice(&buffer[..count]);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            _ => self.input_ended = true,
        }
    }

    /// Writes pending input as far as the container takes it.
    fn feed(&mut self) {
        if let Some(stdin) = &self.stdin
            && !self.pending.is_empty()
        {
            match rustix::io::write(stdin, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    self.pending.clear();
                    self.stdin = None;
                }
            }
        }
        if self.input_ended && self.pending.is_empty() && !self.tty {
            self.stdin = None;
        }
    }

    /// Passes on a piece of output; whether there may be more.
    fn pass_output(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some((fd, stream)) = self.outputs[index] else { return false };
        match rustix::io::read(fd, &mut *buffer) {
            Ok(0) => self.outputs[index] = None,
            Ok(count) => {
                self.send(stream, &buffer[..count]);
                return true;
            }
            Err(Errno::AGAIN) => return false,
            Err(Errno::INTR) => return true,
            // A terminal gives EIO when nobody has it open any more.
            Err(_) => self.outputs[index] = None,
        }
        false
    }

    fn send(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(client) = &self.client else { return };
        let header = frame::header(stream, bytes.len() as u32);
        if crate::api::wire::send_all(client.as_fd(), &[&header, bytes]).is_err() {
            self.client = None;
            self.input_ended = true;
        }
    }

    /// Tells the client how it ended, and lets it go.
    fn report(&mut self, ended: Ended) {
        let json = format!("{{\"StatusCode\":{},\"Error\":\"\"}}", ended.code());
        self.send(Stream::Exit, json.as_bytes());
        self.client = None;
    }
}

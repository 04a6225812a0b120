//! A connection to a container's input and output: stdin goes up, stdout and stderr come down, signals and changes of the
//! window's size become requests. Runs in the client, in one thread that sleeps in poll.
//!
//! ```text
//! stdin ── detach keys? ──> pending ──> connection ──> frames ──> stdout, stderr
//!                            signalfd ──> Act::Signal, Act::Resize
//! ```
//! Input is read only when all earlier input is sent, and sent without waiting: a container that reads nothing never
//! keeps its output from being shown.

use alloc::vec::Vec;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{self, Errno},
    net::{SendFlags, Shutdown, send, shutdown},
    process::{Signal, getpid, kill_process},
};
use skiff_core::{
    container::keys::DetachKeys,
    frame::{FrameDecoder, Stream},
};
use skiff_syscalls::{
    descriptor,
    signal::{self, SignalSet},
};

use crate::{client::Hijacked, failure::Failure, terminal};

const BUFFER_BYTES: usize = 64 << 10;

/// Signals that are passed on: those that ask a program for something. Job control stays the shell's.
const PROXIED: [Signal; 9] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::POWER,
    Signal::IO,
];

/// How output comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A terminal's bytes.
    Raw,
    /// Frames that name their stream.
    Framed,
}

/// What the session asks of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The window has these rows and columns now.
    Resize([u16; 2]),
    /// This signal is for the container.
    Signal(i32),
}

/// Why the session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The other side closed the connection.
    Closed,
    /// The last frame told the container's result, as JSON.
    Exit(Vec<u8>),
    /// The detach keys were typed.
    Detached,
    /// A signal that is not passed on came.
    Signal(i32),
    /// Nobody reads the output any more.
    OutputClosed,
}

/// The signals of a session, held back from now on and read from a descriptor.
#[derive(Debug)]
pub struct Signals {
    queue: OwnedFd,
    proxied: bool,
}

impl Signals {
    /// Takes over the signals that a session needs: to pass them on, or to tidy up the terminal before dying of them.
    pub fn take(proxied: bool, terminal: bool) -> Result<Option<Signals>, Failure> {
        let mut set = SignalSet::EMPTY;
        if proxied || terminal {
            set = PROXIED.iter().fold(set, |set, signal| set.with(signal.as_raw()));
        }
        if terminal {
            set = set.with(Signal::WINCH.as_raw());
        }
        if set == SignalSet::EMPTY {
            return Ok(None);
        }
        signal::block(set);
        match signal::signalfd(set) {
            Ok(queue) => Ok(Some(Signals { queue, proxied })),
            Err(errno) => Err(skiff_core::Error::os("signalfd", "", errno).into()),
        }
    }
}

/// Ends this process as the signal would have.
pub fn die_of(number: i32) -> Failure {
    signal::set_mask(SignalSet::EMPTY);
    if let Some(signal) = Signal::from_named_raw(number) {
        let _ = kill_process(getpid(), signal);
    }
    Failure::silent(128 | number as u8)
}

/// A session, ready to run.
pub struct Session {
    /// The connection.
    pub connection: Hijacked,
    /// How its output comes.
    pub form: Form,
    /// Whether stdin is sent.
    pub stdin: bool,
    /// The keys that detach, if any do.
    pub escape: Option<DetachKeys>,
    /// The signals to serve.
    pub signals: Option<Signals>,
}

impl Session {
    /// Runs until one side ends it.
    pub fn run(self, act: &mut dyn FnMut(Act)) -> Result<End, Failure> {
        let Hijacked { socket, first, .. } = self.connection;
        let mut output = Output { form: self.form, frames: FrameDecoder::default(), exit: Vec::new() };
        if let Some(end) = output.show(&first)? {
            return Ok(end);
        }
        let mut input = Input {
            socket: socket.as_fd(),
            escape: self.escape,
            pending: Vec::new(),
            sent: 0,
            detached: false,
        };
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut reading = self.stdin;
        loop {
            let sending = input.is_sending();
            let direction = if sending { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let listening = reading && !sending;
            let mut fds = Vec::with_capacity(3);
            fds.push(PollFd::new(&socket, direction));
            if listening {
                fds.push(PollFd::from_borrowed_fd(descriptor::standard()[0], PollFlags::IN));
            }
            if let Some(signals) = &self.signals {
                fds.push(PollFd::new(&signals.queue, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(skiff_core::Error::os("poll", "", errno).into()),
            }
            let is_ready = |at: usize| fds.get(at).is_some_and(|fd: &PollFd| !fd.revents().is_empty());
            let (typed, signalled) = (listening && is_ready(1), is_ready(1 + usize::from(listening)));
            if fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                let end = match io::read(&socket, &mut buffer[..]) {
                    Ok(0) | Err(Errno::CONNRESET) => Some(End::Closed),
                    Ok(length) => output.show(&buffer[..length])?,
                    Err(Errno::INTR | Errno::AGAIN) => None,
                    Err(errno) => return Err(skiff_core::Error::os("read the connection", "", errno).into()),
                };
                if let Some(end) = end {
                    return Ok(end);
                }
            }
            if let Some(signals) = &self.signals
                && signalled
                && let Some(end) = serve_signals(signals, act)
            {
                return Ok(end);
            }
            if typed {
                reading = match io::read(descriptor::standard()[0], &mut buffer[..]) {
                    Ok(length) if length > 0 => {
                        input.take(&buffer[..length]);
                        true
                    }
                    Err(Errno::INTR | Errno::AGAIN) => true,
                    _ => {
                        let _ = shutdown(&socket, Shutdown::Write);
                        false
                    }
                };
            }
            if !input.send() {
                reading = false;
            }
            if input.detached && !input.is_sending() {
                return Ok(End::Detached);
            }
        }
    }
}

fn serve_signals(signals: &Signals, act: &mut dyn FnMut(Act)) -> Option<End> {
    while let Ok(Some((number, _))) = signal::next_signal(&signals.queue) {
        if number == Signal::WINCH.as_raw() {
            if let Some(size) = terminal::size() {
                act(Act::Resize(size));
            }
        } else if signals.proxied {
            act(Act::Signal(number));
        } else {
            return Some(End::Signal(number));
        }
    }
    None
}

/// What was typed and is not sent yet.
struct Input<'a> {
    socket: BorrowedFd<'a>,
    escape: Option<DetachKeys>,
    pending: Vec<u8>,
    sent: usize,
    detached: bool,
}

impl Input<'_> {
    fn is_sending(&self) -> bool {
        self.sent < self.pending.len()
    }

    fn take(&mut self, typed: &[u8]) {
        self.pending.clear();
        self.sent = 0;
        match &mut self.escape {
            Some(escape) => {
                self.detached = escape.pass(typed, &mut self.pending);
                if self.detached {
                    // The other side looks for them, too: it has to know a client that detaches from one that died.
                    self.pending.extend_from_slice(escape.as_bytes());
                }
            }
            None => self.pending.extend_from_slice(typed),
        }
    }

    /// Sends what goes without waiting. False when nobody takes input any more.
    fn send(&mut self) -> bool {
        while self.is_sending() {
            match send(self.socket, &self.pending[self.sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => self.sent += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.pending.clear();
                    self.sent = 0;
                    return false;
                }
            }
        }
        true
    }
}

/// What came and where it goes.
struct Output {
    form: Form,
    frames: FrameDecoder,
    exit: Vec<u8>,
}

impl Output {
    fn show(&mut self, bytes: &[u8]) -> Result<Option<End>, Failure> {
        if self.form == Form::Raw {
            return write_all(descriptor::standard()[1], bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(piece) = self.frames.next(rest)? else { break };
            let data = &rest[piece.data.clone()];
            let end = match piece.stream {
                Stream::Exit => {
                    self.exit.extend_from_slice(data);
                    piece.last.then(|| End::Exit(core::mem::take(&mut self.exit)))
                }
                Stream::Stderr | Stream::System => write_all(descriptor::standard()[2], data)?,
                Stream::Stdin | Stream::Stdout => write_all(descriptor::standard()[1], data)?,
            };
            if end.is_some() {
                return Ok(end);
            }
            rest = &rest[piece.consumed..];
        }
        Ok(None)
    }
}

/// Writes to stdout or stderr, which may be in non-blocking mode.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<Option<End>, Failure> {
    while !bytes.is_empty() {
        match io::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(Errno::PIPE) => return Ok(Some(End::OutputClosed)),
            Err(errno) => return Err(skiff_core::Error::os("write the container's output", "", errno).into()),
        }
    }
    Ok(None)
}

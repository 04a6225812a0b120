//! What others ask of a monitor: one message and one answer on a connection to `sock` in the container's run directory.
//! A server child asks, the monitor answers.
//!
//! ```text
//! question: kind u8 | a i32 | b i32 | bytes          answer: errno i32 (0: done) | text of the failure
//! ```
//! A client that attaches before the start has no monitor to ask. Its server child offers the connection instead: it
//! listens on `attach.<pid>` in the same directory, and the monitor collects what is offered before it starts the
//! process, so that no output is lost.
//!
//! Numbers are in the machine's order: both ends are the same machine, though not always the same binary, so kinds are
//! never given another meaning. A descriptor may come with a question.

use alloc::{format, string::String, vec::Vec};
use core::mem::MaybeUninit;

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    },
};

use crate::{Context, Error, Result, journal::Position};

/// The socket's name in the container's run directory.
const NAME: &str = "sock";
/// How the names of offers begin.
const OFFER: &str = "attach.";
/// Longest message.
const MESSAGE_MAX: usize = 64 << 10;
/// Length of a question without its bytes.
const FIXED: usize = 9;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Send this signal to process 1.
    Signal {
        /// Its number.
        signal: i32,
        /// The container is meant to end: the restart policy does not apply.
        for_good: bool,
    },
    /// Freeze all processes.
    Pause,
    /// Let them go on.
    Unpause,
    /// Give the terminal another size.
    Resize {
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    },
    /// Serve the client whose connection comes along: its head has been answered, raw or framed bytes follow.
    Attach(Attach),
    /// The record was changed: read it again.
    Update,
}

/// How a client is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attach {
    /// What it sends goes to the container.
    pub stdin: bool,
    /// It gets standard output.
    pub stdout: bool,
    /// It gets standard error.
    pub stderr: bool,
    /// Output comes in frames, not raw.
    pub framed: bool,
    /// The keys that end the connection; empty for none.
    pub detach_keys: Vec<u8>,
    /// What the client sent behind its request.
    pub early: Vec<u8>,
    /// It has read the log up to there, and gets what is behind it first.
    pub after: Option<Position>,
}

impl Question {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, a, b) = match self {
            Question::Signal { signal, for_good } => (1, *signal, i32::from(*for_good)),
            Question::Pause => (2, 0, 0),
            Question::Unpause => (3, 0, 0),
            Question::Resize { height, width } => (4, i32::from(*height), i32::from(*width)),
            Question::Attach(attach) => {
                let flags = [attach.stdin, attach.stdout, attach.stderr, attach.framed];
                let bits = flags.iter().enumerate().map(|(at, set)| i32::from(*set) << at).sum();
                (if attach.after.is_some() { 7 } else { 5 }, bits, attach.detach_keys.len() as i32)
            }
            Question::Update => (6, 0, 0),
        };
        let mut bytes = Vec::with_capacity(FIXED);
        bytes.push(kind);
        bytes.extend_from_slice(&i32::to_ne_bytes(a));
        bytes.extend_from_slice(&i32::to_ne_bytes(b));
        if let Question::Attach(attach) = self {
            if let Some(Position { file: (device, inode), offset }) = attach.after {
                [device, inode, offset]
                    .iter()
                    .for_each(|number| bytes.extend_from_slice(&number.to_ne_bytes()));
            }
            bytes.extend_from_slice(&attach.detach_keys);
            bytes.extend_from_slice(&attach.early);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let [kind, a0, a1, a2, a3, b0, b1, b2, b3] = *fixed;
        let a = i32::from_ne_bytes([a0, a1, a2, a3]);
        let b = i32::from_ne_bytes([b0, b1, b2, b3]);
        Some(match kind {
            1 => Question::Signal { signal: a, for_good: b != 0 },
            2 => Question::Pause,
            3 => Question::Unpause,
            4 => Question::Resize { height: u16::try_from(a).ok()?, width: u16::try_from(b).ok()? },
            5 | 7 => {
                let (after, rest) = match kind {
                    7 => {
                        let (numbers, rest) = rest.split_first_chunk::<24>()?;
                        let mut numbers = numbers.chunks_exact(8).map(|bytes| {
                            u64::from_ne_bytes(bytes.try_into().expect("chunks of eight bytes"))
                        });
                        let mut next = || numbers.next().unwrap_or(0);
                        (Some(Position { file: (next(), next()), offset: next() }), rest)
                    }
                    _ => (None, rest),
                };
                let (keys, early) = rest.split_at_checked(usize::try_from(b).ok()?)?;
                Question::Attach(Attach {
                    stdin: a & 1 != 0,
                    stdout: a & 2 != 0,
                    stderr: a & 4 != 0,
                    framed: a & 8 != 0,
                    detach_keys: keys.into(),
                    early: early.into(),
                    after,
                })
            }
            6 => Question::Update,
            _ => return None,
        })
    }
}

fn seqpacket(flags: SocketFlags) -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .context("open", "socket")
}

/// Its path may be longer than an address; through the directory's descriptor it is short.
fn address(directory: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd())).context("name", name)
}

fn bind(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match rustix::fs::unlinkat(directory, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno).context("remove", name),
    }
    rustix::net::bind(&socket, &address(directory, name)?).context("bind", name)?;
    rustix::net::listen(&socket, 64).context("listen on", name)?;
    Ok(socket)
}

/// Listens in the container's run directory; accepting does not block. For the monitor, which holds the lock.
///
/// # Errors
/// Of the kernel.
pub fn listen(directory: impl AsFd) -> Result<OwnedFd> {
    listen_as(directory, NAME)
}

/// Listens under another name: for what is no monitor and takes the same questions.
///
/// # Errors
/// Of the kernel.
pub fn listen_as(directory: impl AsFd, name: &str) -> Result<OwnedFd> {
    bind(directory.as_fd(), name)
}

/// The next question, the descriptor that came with it, and the connection to answer on; `None` if nobody asks.
/// What is no question is answered here.
pub fn accept(socket: impl AsFd) -> Option<(Question, Option<OwnedFd>, OwnedFd)> {
    loop {
        let connection = rustix::net::accept_with(socket.as_fd(), SocketFlags::CLOEXEC).ok()?;
        if !is_ready(&connection) {
            continue;
        }
        match receive(&connection) {
            Ok((bytes, fd)) => match Question::from_bytes(&bytes) {
                Some(question) => return Some((question, fd, connection)),
                None => {
                    answer(connection, Err(&Error::Invalid("the monitor does not know this question".into())))
                }
            },
            Err(_) => continue,
        }
    }
}

/// Answers a question.
pub fn answer(connection: OwnedFd, result: Result<(), &Error>) {
    let mut bytes = Vec::new();
    match result {
        Ok(()) => bytes.extend_from_slice(&0_i32.to_ne_bytes()),
        Err(error) => {
            let errno = if let Error::Os { errno, .. } = error {
                errno.raw_os_error()
            } else {
                i32::from(error.status())
            };
            bytes.extend_from_slice(&errno.to_ne_bytes());
            bytes.extend_from_slice(format!("{error}").as_bytes());
        }
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // One that has stopped waiting needs no answer.
    let _ = rustix::net::send(&connection, &bytes, flags);
}

/// Asks a monitor and waits for its answer. `None` if there is no monitor.
///
/// # Errors
/// The monitor's refusal.
pub fn ask(directory: impl AsFd, question: &Question, along: Option<BorrowedFd<'_>>) -> Result<Option<()>> {
    ask_as(directory, NAME, question, along)
}

/// Whether somebody listens under this name.
pub fn is_listening(directory: impl AsFd, name: &str) -> bool {
    let connect = || -> Result<()> {
        let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::connect(&socket, &address(directory.as_fd(), name)?).context("connect to", name)
    };
    // More questions than fit wait there.
    matches!(connect(), Ok(()) | Err(Error::Os { errno: Errno::AGAIN, .. }))
}

/// Asks whoever listens under this name; see [`ask`].
///
/// # Errors
/// As [`ask`].
pub fn ask_as(
    directory: impl AsFd,
    name: &str,
    question: &Question,
    along: Option<BorrowedFd<'_>>,
) -> Result<Option<()>> {
    let socket = seqpacket(SocketFlags::CLOEXEC)?;
    match rustix::net::connect(&socket, &address(directory.as_fd(), name)?) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
        Err(errno) => return Err(errno).context("connect to", "the container's monitor"),
    }
    if !send(&socket, question, along)? {
        return Ok(None);
    }
    let bytes = match receive(&socket) {
        Ok((bytes, _)) if bytes.is_empty() => return Ok(None),
        Ok((bytes, _)) => bytes,
        Err(Errno::CONNRESET) => return Ok(None),
        Err(errno) => return Err(errno).context("receive from", "the container's monitor"),
    };
    let (number, text) = bytes.split_first_chunk::<4>().unwrap_or((&[1, 0, 0, 0], b""));
    let text = || String::from_utf8_lossy(text).into_owned();
    match i32::from_ne_bytes(*number) {
        0 => Ok(Some(())),
        304 => Err(Error::Unchanged),
        400 => Err(Error::Invalid(text())),
        409 => Err(Error::Conflict(text())),
        501 => Err(Error::Unsupported(text())),
        _ => Err(Error::Corrupt(text())),
    }
}

/// Sends a question and what comes along; false if the peer is gone.
fn send(socket: &OwnedFd, question: &Question, along: Option<BorrowedFd<'_>>) -> Result<bool> {
    let bytes = question.to_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = along.into_iter().collect();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
        Ok(_) => Ok(true),
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(false),
        Err(errno) => Err(errno).context("send to", "the container's monitor"),
    }
}

/// A client's connection that waits for the container's start.
#[derive(Debug)]
pub struct Offer {
    socket: OwnedFd,
    directory: OwnedFd,
    name: String,
}

impl Offer {
    /// Offers from now on; see [`Offer::socket`] and [`Offer::hand_over`].
    ///
    /// # Errors
    /// Of the kernel.
    pub fn new(directory: OwnedFd) -> Result<Offer> {
        let name = format!("{OFFER}{}", rustix::process::getpid().as_raw_nonzero());
        let socket = bind(directory.as_fd(), &name)?;
        Ok(Offer { socket, directory, name })
    }

    /// Readable when a monitor collects.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Gives the connection to the monitor that collects; false if none does.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn hand_over(&self, attach: Attach, connection: BorrowedFd<'_>) -> Result<bool> {
        match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(monitor) => send(&monitor, &Question::Attach(attach), Some(connection)),
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno).context("accept on", &self.name),
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.directory, self.name.as_str(), rustix::fs::AtFlags::empty());
    }
}

/// Takes the connections that are offered in the container's run directory. For the monitor, before it starts the
/// process. What a killed process has left is removed.
pub fn collect(directory: impl AsFd) -> Vec<(Attach, OwnedFd)> {
    let directory = directory.as_fd();
    let mut taken = Vec::new();
    for name in crate::file::names(directory, ".").unwrap_or_default() {
        if !name.starts_with(OFFER) {
            continue;
        }
        let take = || -> Result<Option<(Attach, OwnedFd)>> {
            let socket = seqpacket(SocketFlags::CLOEXEC)?;
            rustix::net::connect(&socket, &address(directory, &name)?).context("connect to", &name)?;
            let answer = if is_ready(&socket) {
                receive(&socket).context("receive from", &name)?
            } else {
                (Vec::new(), None)
            };
            Ok(match (Question::from_bytes(&answer.0), answer.1) {
                (Some(Question::Attach(attach)), Some(connection)) => Some((attach, connection)),
                _ => None,
            })
        };
        match take() {
            Ok(found) => taken.extend(found),
            Err(_) => drop(rustix::fs::unlinkat(directory, name.as_str(), rustix::fs::AtFlags::empty())),
        }
    }
    taken
}

/// Whether something can be read within a second: an honest peer has sent already.
fn is_ready(socket: &OwnedFd) -> bool {
    let wait = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut ready = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::IN)];
    matches!(rustix::event::poll(&mut ready, Some(&wait)), Ok(1))
}

fn receive(socket: &OwnedFd) -> Result<(Vec<u8>, Option<OwnedFd>), Errno> {
    let mut bytes = alloc::vec![0; MESSAGE_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    bytes.truncate(received.bytes);
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.into_iter().next().or(fd);
        }
    }
    Ok((bytes, fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{self, CWD};

    fn questions() -> [Question; 7] {
        let attach = Attach {
            stdin: true,
            stderr: true,
            framed: true,
            detach_keys: b"\x10\x11".to_vec(),
            early: b"early".to_vec(),
            ..Attach::default()
        };
        [
            Question::Signal { signal: 15, for_good: true },
            Question::Pause,
            Question::Unpause,
            Question::Resize { height: 24, width: 80 },
            Question::Attach(Attach {
                after: Some(Position { file: (1, u64::MAX), offset: 3 }),
                ..attach.clone()
            }),
            Question::Attach(attach),
            Question::Update,
        ]
    }

    #[test]
    fn questions_arrive_as_they_were_asked() {
        for question in questions() {
            assert_eq!(Question::from_bytes(&question.to_bytes()), Some(question));
        }
        for bytes in
            [&b""[..], b"\x01", &[9; 9], &[5, 0, 0, 0, 0, 9, 0, 0, 0, 1], &[7, 0, 0, 0, 0, 0, 0, 0, 0, 1]]
        {
            assert_eq!(Question::from_bytes(bytes), None);
        }
    }

    #[test]
    fn a_question_and_its_descriptor_reach_the_monitor_and_the_answer_comes_back() {
        let path = format!("/tmp/skiff-control-{}", rustix::process::getpid().as_raw_nonzero());
        let directory = file::make_host_directories(&path, 0o700).unwrap();
        assert_eq!(ask(&directory, &Question::Pause, None), Ok(None), "no monitor");
        let socket = listen(&directory).unwrap();
        let monitor = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < 7 {
                let mut ready = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut ready, None).unwrap();
                let Some((question, fd, connection)) = accept(&socket) else { continue };
                if let Some(fd) = fd {
                    rustix::io::write(fd, b"hello").unwrap();
                }
                let refusal = Error::Conflict("already paused".into());
                answer(connection, if question == Question::Pause { Err(&refusal) } else { Ok(()) });
                seen.push(question);
            }
            seen
        });
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        for question in questions() {
            let along = matches!(question, Question::Attach(_)).then(|| writer.as_fd());
            let result = ask(&directory, &question, along);
            if question == Question::Pause {
                assert_eq!(result, Err(Error::Conflict("already paused".into())));
            } else {
                assert_eq!(result, Ok(Some(())));
            }
        }
        assert_eq!(monitor.join().unwrap(), questions());
        let mut buffer = [0; 16];
        assert_eq!(rustix::io::read(&reader, &mut buffer), Ok(10));
        file::remove_tree(CWD, path.as_str()).unwrap();
    }

    #[test]
    fn a_monitor_collects_what_was_offered_before_the_start() {
        let path = format!("/tmp/skiff-offer-{}", rustix::process::getpid().as_raw_nonzero());
        let directory = file::make_host_directories(&path, 0o700).unwrap();
        assert!(collect(&directory).is_empty());
        // As a killed process leaves it.
        drop(bind(directory.as_fd(), "attach.1").unwrap());
        let attach = Attach { stdout: true, early: b"x".to_vec(), ..Attach::default() };
        let offer = Offer::new(rustix::io::dup(&directory).unwrap()).unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(offer.hand_over(Attach::default(), writer.as_fd()), Ok(false), "nobody collects yet");
        let offered = attach.clone();
        let waiter = std::thread::spawn(move || {
            let mut ready =
                [rustix::event::PollFd::from_borrowed_fd(offer.socket(), rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut ready, None).unwrap();
            assert_eq!(offer.hand_over(offered, writer.as_fd()), Ok(true));
        });
        let taken = loop {
            let taken = collect(&directory);
            if !taken.is_empty() {
                break taken;
            }
        };
        waiter.join().unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].0, attach);
        rustix::io::write(&taken[0].1, b"hello").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&reader, &mut buffer), Ok(5));
        assert_eq!(file::names(&directory, ".").unwrap(), [""; 0]);
        file::remove_tree(CWD, path.as_str()).unwrap();
    }
}

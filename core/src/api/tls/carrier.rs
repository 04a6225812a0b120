//! Records of TLS on one side, plain bytes on the other, and a process that does nothing else.

use alloc::{format, vec::Vec};
use core::ops::Deref;

use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, poll},
    fd::BorrowedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use rustls::{
    client::{ClientConnectionData, UnbufferedClientConnection},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError,
        UnbufferedConnectionCommon, UnbufferedStatus,
    },
};

use crate::{Context, Error, Result, clock};

/// Of what is read at a time.
const PART_BYTES: usize = 32 << 10;
/// More than the longest message of a handshake.
const INCOMING_BYTES_MAX: usize = 80 << 10;
/// Encrypted bytes that may wait for a slow reader.
const OUTGOING_BYTES_MAX: usize = 64 << 10;
/// What a record has besides its content, and more.
const RECORD_BYTES: usize = 512;
/// How long the other side may take to read what was wrong.
const LINGER_NS: i64 = clock::SECOND;
/// How long whoever connects may take to say who they are.
const HANDSHAKE_NS: i64 = 30 * clock::SECOND;

/// Both sides of TLS: what each has under a name of its own.
pub(super) trait Side: Deref<Target = UnbufferedConnectionCommon<<Self as Side>::Data>> {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// One connection, and what is on its way.
pub(super) struct Carrier<'a, T> {
    tls: T,
    secure: BorrowedFd<'a>,
    /// Encrypted, and not yet read.
    incoming: Vec<u8>,
    /// Encrypted, and not yet sent.
    outgoing: Vec<u8>,
    /// Plain, and not yet handed on.
    received: Vec<u8>,
    /// Plain, and not yet encrypted.
    sending: Vec<u8>,
    /// The other side sends nothing more.
    is_deaf: bool,
    /// This side sends nothing more, and has the other side told.
    is_mute: bool,
    has_said_so: bool,
}

impl<'a, T: Side> Carrier<'a, T> {
    pub fn new(tls: T, secure: BorrowedFd<'a>) -> Self {
        Carrier {
            tls,
            secure,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            received: Vec::new(),
            sending: Vec::new(),
            is_deaf: false,
            is_mute: false,
            has_said_so: false,
        }
    }

    /// Until both sides know each other.
    pub fn handshake(&mut self) -> Result<()> {
        let deadline = clock::monotonic() + HANDSHAKE_NS;
        loop {
            self.advance()?;
            if !self.tls.is_handshaking() && self.outgoing.is_empty() {
                return Ok(());
            }
            let wanted = if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            let ready = wait(&[(self.secure, wanted)], Some(clock::timeout_until(deadline)))?;
            if !ready[0].is_empty() {
                self.exchange(wanted)?;
            }
            if self.is_deaf {
                return Err(Error::os("make encrypted connection", "", Errno::CONNRESET));
            }
            if clock::monotonic() >= deadline {
                return Err(Error::os("make encrypted connection", "", Errno::TIMEDOUT));
            }
        }
    }

    /// Until both sides have said all, or one of them is gone.
    pub fn carry(&mut self, plain: BorrowedFd<'_>) -> Result<()> {
        let mut told = false;
        loop {
            self.advance()?;
            if self.is_deaf && self.received.is_empty() && !told {
                told = true;
                let _ = shutdown(plain, Shutdown::Write);
            }
            if told && self.has_said_so && self.outgoing.is_empty() {
                return Ok(());
            }
            let flag = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
            let secure = flag(!self.is_deaf && self.received.is_empty(), PollFlags::IN)
                | flag(!self.outgoing.is_empty(), PollFlags::OUT);
            let inner = flag(!self.is_mute && self.outgoing.len() < OUTGOING_BYTES_MAX, PollFlags::IN)
                | flag(!self.received.is_empty(), PollFlags::OUT);
            let ready = wait(&[(self.secure, secure), (plain, inner)], None)?;
            if !ready[0].is_empty() {
                match self.exchange(secure) {
                    // Whoever hangs up need not say so.
                    Err(Error::Os { errno: Errno::CONNRESET | Errno::PIPE, .. }) => return Ok(()),
                    other => other?,
                }
            }
            if ready[1].is_empty() {
                continue;
            }
            if inner.contains(PollFlags::OUT) {
                match sent(plain, &mut self.received) {
                    // Nobody reads it any more, but may still have something to say.
                    Err(Errno::PIPE) => self.received.clear(),
                    other => other.context("send to", "the engine")?,
                }
            }
            if inner.contains(PollFlags::IN) {
                match came(plain, &mut self.sending) {
                    Ok(0) | Err(Errno::CONNRESET) => self.is_mute = true,
                    Err(Errno::AGAIN) => {}
                    Err(errno) => return Err(errno).context("read from", "the engine"),
                    Ok(_) => {}
                }
            }
            // Gone altogether: nobody waits for what the other side might still say.
            if ready[1].contains(PollFlags::HUP) && self.is_mute {
                self.is_deaf = true;
                self.received.clear();
            }
        }
    }

    /// Sends and reads what the network takes and gives.
    fn exchange(&mut self, wanted: PollFlags) -> Result<()> {
        if wanted.contains(PollFlags::OUT) {
            sent(self.secure, &mut self.outgoing).context("send to", "the encrypted connection")?;
        }
        if wanted.contains(PollFlags::IN) {
            match came(self.secure, &mut self.incoming) {
                Ok(0) => self.is_deaf = true,
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno).context("read from", "the encrypted connection"),
            }
            if self.incoming.len() > INCOMING_BYTES_MAX {
                return Err(Error::Invalid("encrypted connection: a message without an end".into()));
            }
        }
        Ok(())
    }

    /// Decrypts and encrypts what there is.
    fn advance(&mut self) -> Result<()> {
        while self.step().inspect_err(|_| self.part())? {}
        Ok(())
    }

    /// What went wrong is told to the other side, as far as it goes.
    fn part(&mut self) {
        // What has come must not be looked at once more: it would be wrong once more.
        while self.tls.wants_write() && self.step().is_ok() {}
        let _ = sent(self.secure, &mut self.outgoing);
        // What has come and is not read would reset the connection before the other side has read why.
        let _ = shutdown(self.secure, Shutdown::Write);
        let deadline = clock::monotonic() + LINGER_NS;
        while clock::monotonic() < deadline {
            let patience = Some(clock::timeout_until(deadline));
            self.incoming.clear();
            let waited = wait(&[(self.secure, PollFlags::IN)], patience);
            if waited.is_err()
                || matches!(came(self.secure, &mut self.incoming), Ok(0) | Err(Errno::CONNRESET))
            {
                return;
            }
        }
    }

    /// One step of it; whether there may be another.
    fn step(&mut self) -> Result<bool> {
        let UnbufferedStatus { mut discard, state } = self.tls.process(&mut self.incoming);
        let outgoing = &mut self.outgoing;
        let goes_on = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(AppDataRecord { discard: more, payload, .. })) => {
                        self.received.extend_from_slice(payload);
                        discard += more;
                    }
                    Some(Err(error)) => break Err(failed(error)),
                    None => break Ok(true),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(outgoing, 0, |out| data.encode(out)).map(|()| true)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(true)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.is_deaf = true;
                Ok(true)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let sending = core::mem::take(&mut self.sending);
                let mut sent = Ok(());
                if !sending.is_empty() {
                    sent = append(outgoing, sending.len(), |out| traffic.encrypt(&sending, out));
                }
                if sent.is_ok() && self.is_mute && !self.has_said_so {
                    self.has_said_so = true;
                    sent = append(outgoing, 0, |out| traffic.queue_close_notify(out));
                }
                sent.map(|()| false)
            }
            Ok(ConnectionState::Closed) => {
                (self.is_deaf, self.has_said_so) = (true, true);
                Ok(false)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(failed(error)),
        };
        // Whatever has come of it, these are done with.
        self.incoming.drain(..discard);
        goes_on
    }
}

/// What stands in the way of appending.
trait Unwritten: core::fmt::Debug {
    /// So many bytes are needed.
    fn needed(&self) -> Option<usize>;
}

impl Unwritten for EncodeError {
    fn needed(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl Unwritten for EncryptError {
    fn needed(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Appends what `write` makes of about so many bytes.
fn append<E: Unwritten>(
    to: &mut Vec<u8>,
    bytes: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<()> {
    let begin = to.len();
    let mut room = bytes + RECORD_BYTES;
    loop {
        to.resize(begin + room, 0);
        match write(&mut to[begin..]) {
            Ok(count) => {
                to.truncate(begin + count);
                return Ok(());
            }
            Err(error) => match error.needed() {
                Some(needed) if needed > room => room = needed,
                _ => return Err(Error::Invalid(format!("encrypt: {error:?}"))),
            },
        }
    }
}

/// Waits until one of them is ready for what is wanted of it: what each is ready for. One of which nothing is wanted is
/// not looked at.
fn wait<const N: usize>(
    wanted: &[(BorrowedFd<'_>, PollFlags); N],
    patience: Option<Timespec>,
) -> Result<[PollFlags; N]> {
    let mut ready = [PollFlags::empty(); N];
    let asked = || wanted.iter().filter(|(_, flags)| !flags.is_empty());
    let mut polled: Vec<PollFd<'_>> =
        asked().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    match poll(&mut polled, patience.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(ready),
        Err(errno) => return Err(errno).context("wait for", "encrypted connection"),
    }
    let mut polled = polled.iter();
    for (ready, _) in ready.iter_mut().zip(wanted).filter(|(_, (_, flags))| !flags.is_empty()) {
        *ready = polled.next().map_or(PollFlags::empty(), PollFd::revents);
    }
    Ok(ready)
}

/// Appends what has come, without waiting: 0 at the end.
fn came(from: BorrowedFd<'_>, to: &mut Vec<u8>) -> Result<usize, Errno> {
    to.reserve(PART_BYTES);
    loop {
        match recv(from, spare_capacity(to), RecvFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            other => return other.map(|(count, _)| count),
        }
    }
}

/// Sends as much as is taken without waiting, and removes it.
fn sent(to: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> Result<(), Errno> {
    let mut done = 0;
    let result = loop {
        if done == bytes.len() {
            break Ok(());
        }
        match send(to, &bytes[done..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break Ok(()),
            Err(errno) => break Err(errno),
        }
    };
    bytes.drain(..done);
    result
}

pub(super) fn failed(error: rustls::Error) -> Error {
    Error::Invalid(format!("encrypted connection: {error}"))
}

//! `POST /containers/{}/attach`, `GET /containers/{}/attach/ws` and `POST /containers/{}/resize`: the connection becomes the
//! container's input and output, with what it has written before in front if that is asked for.

use alloc::{format, vec, vec::Vec};

use rustix::fd::{AsFd, BorrowedFd};
use skiff_syscalls::peer;

use super::{
    exchange::{Exchange, Hijacked},
    logs::{PIECE, put},
    target::Query,
    websocket, wire,
};
use crate::{
    Context, Error, Result, clock,
    container::{keys::DetachKeys, log},
    engine::{Engine, attach::Attachable, logs::Logs},
    fork,
    process::control::Attach,
};

/// `POST /containers/{}/attach`
pub(super) fn attach(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let wish = Wish::new(exchange, engine)?;
    let framed = !wish.attachable.record.config.tty;
    let Hijacked { fd, early } = exchange.hijack(framed)?;
    wish.attach(fd, framed, early)
}

/// `GET /containers/{}/attach/ws`: the same over a websocket, whose data is the stream as it is.
pub(super) fn attach_websocket(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let wish = Wish::new(exchange, engine)?;
    let accepted = websocket::accept(exchange)?;
    let (near, far) = wire::pair()?;
    // Who frames is not who waits for the container.
    let pump = fork::heir(
        (near, accepted),
        |(near, accepted)| vec![accepted.connection.fd, near.as_fd()],
        |(near, accepted)| websocket::pump(&accepted, near.as_fd()).map_or(1, |()| 0),
    )?;
    let attached = wish.attach(far.as_fd(), false, &[]);
    drop(far);
    fork::wait(&pump.pidfd).context("wait for", "a websocket")?;
    attached
}

/// What a client wants of a container, which was looked at.
struct Wish<'e> {
    attachable: Attachable<'e>,
    logs: Option<Logs<'e>>,
    stream: bool,
    wanted: Attach,
}

impl<'e> Wish<'e> {
    /// Once this has returned, nothing that happens to the container is missed.
    fn new(exchange: &Exchange<'_>, engine: &'e Engine) -> Result<Self> {
        let attachable = engine.attachable(exchange.name())?;
        let query = &exchange.query;
        let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
        let stream = query.flag("stream");
        let logs = match query.flag("logs") {
            true => {
                Some(engine.logs(exchange.name(), log::Query { stdout, stderr, ..log::Query::default() })?)
            }
            false => None,
        };
        let wanted = Attach {
            stdin: query.flag("stdin") && attachable.record.config.open_stdin,
            stdout,
            stderr,
            framed: false,
            detach_keys: detach_keys(query)?,
            early: Vec::new(),
            after: None,
        };
        if stream {
            exchange.may_be_ended();
        }
        Ok(Wish { attachable, logs, stream, wanted })
    }

    /// Gives it to the client.
    fn attach(mut self, client: BorrowedFd<'_>, framed: bool, early: &[u8]) -> Result<()> {
        self.wanted.framed = framed;
        self.wanted.early = early.to_vec();
        if self.logs.is_some() {
            let_read(client);
        }
        let mut read_on = |wanted: &mut Attach| {
            let Some(logs) = &mut self.logs else { return Ok(()) };
            let mut out = Vec::new();
            logs.read(&mut |entry| {
                match entry {
                    Some(entry) => put(&mut out, entry, framed, false, false),
                    None => {
                        wire::send_all(client, &[&out])?;
                        out.clear();
                    }
                }
                if out.len() >= PIECE {
                    wire::send_all(client, &[&out])?;
                    out.clear();
                }
                Ok(())
            })?;
            wanted.after = Some(logs.position());
            Ok(())
        };
        read_on(&mut self.wanted)?;
        // Without a stream there is nothing to wait for.
        if !self.stream || !(self.wanted.stdin || self.wanted.stdout || self.wanted.stderr) {
            return Ok(());
        }
        self.attachable.attach(self.wanted, client, &mut read_on)
    }
}

/// Waits a moment for the client to read the head of the answer. There are clients that read it with a buffer, and
/// then the stream without: they lose what has come into the buffer.
fn let_read(client: BorrowedFd<'_>) {
    const STEP_NS: i64 = 200_000;
    const STEPS_MAX: u32 = 50;
    for _ in 0..STEPS_MAX {
        if !peer::has_unread(client).unwrap_or(false) {
            return;
        }
        clock::sleep(STEP_NS);
    }
}

/// `POST /containers/{}/resize`
pub(super) fn resize(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let (height, width) = size(&exchange.query)?;
    engine.resize(exchange.name(), height, width)?;
    exchange.reply_empty(200)
}

/// The new size of a terminal.
pub(super) fn size(query: &Query) -> Result<(u16, u16)> {
    let number = |key: &str| -> Result<u16> {
        let value = query.integer(key)?.unwrap_or(0);
        u16::try_from(value).map_err(|_| Error::Invalid(format!("invalid terminal size: {key}={value}")))
    };
    Ok((number("h")?, number("w")?))
}

/// The keys that detach, as the bytes that a terminal sends.
pub(super) fn detach_keys(query: &Query) -> Result<Vec<u8>> {
    let keys = DetachKeys::parse(query.text("detachKeys")?.unwrap_or("")).map_err(Error::Invalid)?;
    Ok(keys.as_bytes().into())
}

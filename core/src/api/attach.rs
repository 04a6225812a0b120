//! `POST /containers/{}/attach` and `/resize`: the connection becomes the container's input and output,
//! with what it has written before in front if that is asked for.

use alloc::{format, vec::Vec};

use super::{
    exchange::{Exchange, Hijacked},
    logs::{PIECE, put},
    target::Query,
    wire,
};
use crate::{
    Error, Result,
    container::{keys::DetachKeys, log},
    engine::Engine,
    process::control::Attach,
};

/// `POST /containers/{}/attach`
pub(super) fn attach(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let attachable = engine.attachable(exchange.name())?;
    let query = &exchange.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    let stream = query.flag("stream");
    let mut logs = match query.flag("logs") {
        true => Some(engine.logs(exchange.name(), log::Query { stdout, stderr, ..log::Query::default() })?),
        false => None,
    };
    let mut wanted = Attach {
        stdin: query.flag("stdin") && attachable.record.config.open_stdin,
        stdout,
        stderr,
        framed: !attachable.record.config.tty,
        detach_keys: detach_keys(query)?,
        early: Vec::new(),
        after: None,
    };
    let framed = wanted.framed;
    if stream {
        exchange.may_be_ended();
    }
    let Hijacked { fd, early } = exchange.hijack(wanted.framed)?;
    wanted.early = early.to_vec();
    let mut read_on = |wanted: &mut Attach| {
        let Some(logs) = &mut logs else { return Ok(()) };
        let mut out = Vec::new();
        logs.read(&mut |entry| {
            match entry {
                Some(entry) => put(&mut out, entry, framed, false, false),
                None => {
                    wire::send_all(fd, &[&out])?;
                    out.clear();
                }
            }
            if out.len() >= PIECE {
                wire::send_all(fd, &[&out])?;
                out.clear();
            }
            Ok(())
        })?;
        wanted.after = Some(logs.position());
        Ok(())
    };
    read_on(&mut wanted)?;
    // Without a stream there is nothing to wait for.
    if !stream || !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return Ok(());
    }
    attachable.attach(wanted, fd, &mut read_on)
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

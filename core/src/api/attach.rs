//! `POST /containers/{}/attach` and `/resize`: the connection becomes the container's input and output.

use alloc::{format, vec::Vec};

use super::{
    exchange::{Exchange, Hijacked},
    target::Query,
};
use crate::{Error, Result, container::keys::DetachKeys, engine::Engine, process::control::Attach};

/// `POST /containers/{}/attach`
pub(super) fn attach(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let attachable = engine.attachable(exchange.name())?;
    let query = &exchange.query;
    if query.flag("logs") {
        return Err(Error::Unsupported("attach with logs=1: ask for the logs first".into()));
    }
    let mut wanted = Attach {
        stdin: query.flag("stdin") && attachable.record.config.open_stdin,
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        framed: !attachable.record.config.tty,
        detach_keys: detach_keys(query)?,
        early: Vec::new(),
    };
    let Hijacked { fd, early } = exchange.hijack(wanted.framed)?;
    wanted.early = early.to_vec();
    // Without a stream there is nothing to wait for.
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return Ok(());
    }
    attachable.attach(&wanted, fd)
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

//! `POST /containers/{}/attach` and `/resize`: the connection becomes the container's input and output.

use alloc::{format, vec::Vec};

use super::{
    exchange::{Exchange, Hijacked},
    target::Query,
};
use crate::{Error, Result, engine::Engine, process::control::Attach};

/// ctrl-p ctrl-q
const DETACH_KEYS: [u8; 2] = [0x10, 0x11];

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

/// `ctrl-p,ctrl-q`, `ctrl-@`, `a,b`: the keys as the bytes that a terminal sends.
pub(super) fn detach_keys(query: &Query) -> Result<Vec<u8>> {
    let Some(text) = query.text("detachKeys")? else { return Ok(DETACH_KEYS.into()) };
    text.split(',')
        .map(|key| {
            let byte = match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
                ([byte], _) => Some(*byte),
                (_, Some([letter @ b'a'..=b'z'])) => Some(letter - b'a' + 1),
                (_, Some([b'@'])) => Some(0),
                (_, Some([sign @ (b'[' | b'\\' | b']' | b'^' | b'_')])) => Some(sign - b'@'),
                _ => None,
            };
            byte.ok_or_else(|| {
                Error::Invalid(format!("Invalid escape keys ({text}) provided: {key:?} is no key"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_read_as_docker_writes_them() {
        let keys = |text: &str| detach_keys(&Query::parse(&format!("detachKeys={text}")).unwrap());
        assert_eq!(keys(""), Ok(DETACH_KEYS.into()));
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(DETACH_KEYS.into()));
        assert_eq!(keys("a,ctrl-%40,ctrl-%5B"), Ok([b'a', 0, 27].into()));
        for text in ["ctrl-", "ctrl-A", "ctrl-ab", "ab", "a,,b"] {
            assert!(keys(text).is_err(), "{text}");
        }
    }
}

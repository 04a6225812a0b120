//! `GET /containers/{}/logs`: what a container wrote, as frames, or as it is if it came from a terminal.

use alloc::vec::Vec;

use rustix::fd::AsFd;

use super::{
    exchange::Exchange,
    target::{self, ApiVersion},
};
use crate::{
    Context, Error, Result,
    clock::{Fraction, TEXT_MAX, Time},
    container::log::{self, Entry},
    engine::Engine,
    frame::{self, Stream},
};

/// With so much gathered it is sent.
pub(super) const PIECE: usize = 32 << 10;

/// `GET /containers/{}/logs`
pub(super) fn logs(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let query = &exchange.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Error::Invalid("Bad parameters: you must choose at least one stream".into()));
    }
    // What is no number means all, as "all" does.
    let tail = query.text("tail")?.and_then(|text| text.parse().ok());
    let (since, until) = (time(query, "since")?, time(query, "until")?);
    let (follow, timestamps, details) =
        (query.flag("follow"), query.flag("timestamps"), query.flag("details"));
    let mut logs = engine.logs(exchange.name(), log::Query { tail, since, until, stdout, stderr })?;
    let framed = !logs.tty();
    let kind = if framed && exchange.version >= ApiVersion(42) {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    };
    let client = rustix::io::fcntl_dupfd_cloexec(exchange.fd(), 3).context("copy", "connection")?;
    exchange.stream(kind)?;
    if follow {
        exchange.may_be_ended();
    }
    let mut out = Vec::new();
    let mut sink = |entry: Option<&Entry<'_>>| {
        if let Some(entry) = entry {
            put(&mut out, entry, framed, timestamps, details);
        }
        if entry.is_none() || out.len() >= PIECE {
            exchange.chunk(&out)?;
            out.clear();
        }
        Ok(())
    };
    if follow { logs.follow(client.as_fd(), &mut sink) } else { logs.read(&mut sink) }
}

/// A time in the query; 0 is none.
pub(super) fn time(query: &target::Query, key: &str) -> Result<Option<Time>> {
    match query.text(key)? {
        None | Some("" | "0") => Ok(None),
        Some(text) => Time::parse_unix(text).map(Some),
    }
}

/// Appends an entry as a client gets it.
pub(super) fn put(out: &mut Vec<u8>, entry: &Entry<'_>, framed: bool, timestamps: bool, details: bool) {
    let mut buffer = [0; TEXT_MAX];
    let time = if timestamps { entry.time.write(&mut buffer, Fraction::Nine) } else { "" };
    // The attributes of an entry, of which there are none here, end in a blank.
    let before: &[&str] = &[time, if timestamps { " " } else { "" }, if details { " " } else { "" }];
    if framed {
        let stream = match entry.stream {
            log::Stream::Stdout => Stream::Stdout,
            log::Stream::Stderr => Stream::Stderr,
        };
        let length = before.iter().map(|part| part.len()).sum::<usize>() + entry.text.len();
        // An entry has 16 KiB at most.
        out.extend_from_slice(&frame::header(stream, length as u32));
    }
    for part in before {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(entry.text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_frame_and_its_time() {
        let entry = Entry { stream: log::Stream::Stderr, time: Time::from_unix(3, 5), text: b"oh\n" };
        let text = |framed, timestamps, details| {
            let mut out = Vec::new();
            put(&mut out, &entry, framed, timestamps, details);
            out
        };
        assert_eq!(text(false, false, false), b"oh\n");
        assert_eq!(text(true, false, false), b"\x02\0\0\0\0\0\0\x03oh\n");
        assert_eq!(text(false, true, true), b"1970-01-01T00:00:03.000000005Z  oh\n");
        assert_eq!(text(true, true, false)[..8], [2, 0, 0, 0, 0, 0, 0, 34]);
    }
}

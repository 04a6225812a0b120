//! `GET /containers/{}/stats`: a reading now, or one each second until the client goes or the container is removed.

use alloc::format;

use rustix::event::{PollFd, PollFlags, poll};

use super::{exchange::Exchange, json::Json};
use crate::{
    Error, Result, clock,
    container::record::Record,
    engine::Engine,
    process::cgroup::stats::{Stats, docker::Document},
};

/// `GET /containers/{}/stats`
pub(super) fn stats(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let record = engine.shelf.find(exchange.name())?.record;
    let stream = exchange.query.flag_or("stream", true);
    let one_shot = exchange.query.flag("one-shot");
    if stream && one_shot {
        return Err(Error::Invalid("cannot have stream=true and one-shot=true".into()));
    }
    let mut before = None;
    let mut now = engine.stats(&record)?;
    if !stream {
        // A rate needs two readings.
        if !one_shot && now.is_some() && second_passes(exchange) {
            before = now;
            now = engine.stats(&record)?;
        }
        let json = document(engine, &record, now.as_ref(), before.as_ref());
        return exchange.reply(200, json);
    }
    exchange.stream("application/json")?;
    exchange.may_be_ended();
    loop {
        let mut json = document(engine, &record, now.as_ref(), before.as_ref());
        json.line_break();
        exchange.chunk(&json.into_bytes())?;
        if !second_passes(exchange) {
            return Err(Error::Unchanged);
        }
        before = now;
        now = match engine.stats(&record) {
            Ok(now) => now,
            Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
    }
}

fn document(engine: &Engine, record: &Record, now: Option<&Stats>, before: Option<&Stats>) -> Json {
    let mut json = Json::new();
    let networks = engine.traffic(record);
    json.value(&Document {
        id: &record.id,
        name: &format!("/{}", record.name),
        now,
        before,
        networks: &networks,
    });
    json
}

/// Waits for a second; false if the client goes meanwhile.
fn second_passes(exchange: &Exchange<'_>) -> bool {
    let fd = exchange.fd();
    let mut client = [PollFd::from_borrowed_fd(fd, PollFlags::RDHUP)];
    let deadline = clock::monotonic() + clock::SECOND;
    loop {
        match poll(&mut client, Some(&clock::timeout_until(deadline))) {
            Ok(0) => return true,
            Err(rustix::io::Errno::INTR) => {}
            _ => return false,
        }
    }
}

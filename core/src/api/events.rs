//! `GET /events`: what happened and what happens, a line of JSON each.

use alloc::{format, vec::Vec};

use rustix::fd::AsFd;

use super::{exchange::Exchange, filters::Filters, logs::time};
use crate::{
    Context, Error, Result,
    engine::Engine,
    events::{FILTERS, Query},
};

/// With so much gathered it is sent.
const PIECE: usize = 32 << 10;

/// `GET /events`
pub(super) fn events(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let (since, until) = (time(&exchange.query, "since")?, time(&exchange.query, "until")?);
    if let (Some(since), Some(until)) = (since, until)
        && until.since(since) < 0
    {
        return Err(Error::Invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let filters = Filters::parse(exchange.query.text("filters")?, FILTERS)?;
    let mut reader = engine.events(Query { since, until, filters })?;
    let client = rustix::io::fcntl_dupfd_cloexec(exchange.fd(), 3).context("copy", "connection")?;
    exchange.stream("application/json")?;
    exchange.may_be_ended();
    let mut out = Vec::new();
    engine.follow_events(&mut reader, client.as_fd(), &mut |event| {
        if let Some(json) = event {
            out.extend_from_slice(json);
            out.push(b'\n');
        }
        if event.is_none() || out.len() >= PIECE {
            exchange.chunk(&out)?;
            out.clear();
        }
        Ok(())
    })
}

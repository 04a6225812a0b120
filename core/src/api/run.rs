//! `POST /skiff/run`: create, attach, start and wait in one request of a local client. The answer is `101 UPGRADED`, then
//! frames to the end; the last one carries the exit code. The server child becomes the container's monitor.

use rustix::fd::AsFd;
use serde::Deserialize;

use super::exchange::Exchange;
use crate::{Context, Error, Result, engine::Engine};

pub(super) fn run(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body = exchange.whole_body()?;
    if wants_detached(&body) {
        return Err(Error::Unsupported("a detached container (-d) is not there yet".into()));
    }
    let container = engine.create(&body, exchange.query.text("name")?)?;
    let id = container.record.id.clone();
    let lock = engine.shelf.lock(&id)?;
    let running = match engine.launch(&container, &lock) {
        Ok(running) => running,
        Err(error) => {
            engine.take_back(&container, lock);
            return Err(error);
        }
    };
    let hijacked = match exchange.hijack_with(true, &[("Skiff-Container", &id)]) {
        Ok(hijacked) => hijacked,
        Err(gone) => {
            engine.abandon(&container, lock, running);
            return Err(gone);
        }
    };
    let early = hijacked.early.to_vec();
    let connection = rustix::io::fcntl_dupfd_cloexec(hijacked.fd.as_fd(), 3).context("copy", "connection")?;
    engine.watch(&container, lock, running, Some((connection, early)))
}

/// The part of the body that only this request has.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Extension {
    skiff: Run,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    detach: bool,
}

/// A body that can't be read is complained about by whoever reads all of it.
fn wants_detached(body: &[u8]) -> bool {
    serde_json::from_slice::<Extension>(body).is_ok_and(|body| body.skiff.detach)
}

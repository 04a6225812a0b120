//! `POST /skiff/run`: create, attach, start and wait in one request of a local client. The answer is `101 UPGRADED`, then
//! frames to the end; the last one carries the exit code. The server child becomes the container's monitor.

use rustix::fd::AsFd;

use super::exchange::Exchange;
use crate::{Context, Result, engine::Engine};

pub(super) fn run(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body = exchange.whole_body()?;
    let container = engine.create(&body, exchange.query.text("name")?)?;
    let id = container.record.id.clone();
    let lock = engine.shelf.lock(&id)?;
    let started = match engine.launch(&container, &lock) {
        Ok(started) => started,
        Err(error) => {
            engine.take_back(&container, lock);
            return Err(error);
        }
    };
    let hijacked = match exchange.hijack_with(true, &[("Skiff-Container", &id)]) {
        Ok(hijacked) => hijacked,
        Err(gone) => {
            started.kill();
            engine.take_back(&container, lock);
            return Err(gone);
        }
    };
    let early = hijacked.early.to_vec();
    let connection = rustix::io::fcntl_dupfd_cloexec(hijacked.fd.as_fd(), 3).context("copy", "connection")?;
    engine.watch(&container, lock, started, Some((connection, early)))
}

//! `POST /skiff/run`: create, attach, start and wait in one request of a local client. The answer is `101 UPGRADED`, then
//! frames to the end; the last one carries the exit code. With `Detach` nothing follows, and the container stays when the
//! client goes. The server child becomes the container's monitor.

use alloc::{string::String, vec::Vec};

use rustix::fd::{AsFd, OwnedFd};
use serde::Deserialize;

use super::exchange::Exchange;
use crate::{
    Context, Result,
    container::record::Record,
    engine::Engine,
    process::{control::Attach, monitor::client::Client},
};

pub(super) fn run(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body = exchange.json_text()?;
    let wanted = wanted(&body);
    let mut draft = engine.draft(&body, exchange.query.text("name")?)?;
    let (lock, mut prepared) = engine.prepare_ahead(&mut draft.record)?;
    let id = draft.record.id.clone();
    let begin = |record: &Record, directory: &OwnedFd| {
        if let Ok(prepared) = &mut prepared {
            engine.lay_root(prepared, record, directory);
        }
    };
    let container = match engine.shelve(draft, begin) {
        Ok(container) => container,
        Err(error) => {
            if let Ok(prepared) = prepared {
                prepared.abandon();
            }
            engine.shelf.forget_run_directory(&id, lock);
            return Err(error);
        }
    };
    if !wanted.attach.is_empty() {
        engine.tell(&container.record, "attach", &[]);
    }
    let mut begun = match prepared.and_then(|prepared| engine.begin(&container, &lock, prepared)) {
        Ok(begun) => begun,
        Err(error) => {
            engine.give_up(&container, lock, &error);
            return Err(error);
        }
    };
    let has = |name: &str| wanted.attach.iter().any(|stream| stream == name);
    let mut attach = Attach {
        stdin: has("stdin"),
        stdout: has("stdout"),
        stderr: has("stderr"),
        framed: true,
        detach_keys: super::attach::detach_keys(&exchange.query)?,
        early: Vec::new(),
        after: None,
    };
    let warning = engine.network_warning(&container.record);
    let fields = [("Skiff-Container", id.as_str()), ("Skiff-Warning", warning.unwrap_or_default())];
    let fields = &fields[..1 + usize::from(warning.is_some())];
    let hijacked = exchange.hijack_with(true, fields).and_then(|hijacked| {
        attach.early = hijacked.early.to_vec();
        rustix::io::fcntl_dupfd_cloexec(hijacked.fd.as_fd(), 3).context("copy", "connection")
    });
    // Who served a connection becomes a monitor like any other: neither a daemon nor its terminal has anything to say to it.
    let _ = rustix::process::setsid();
    exchange.may_be_ended();
    match hijacked {
        Ok(_) if wanted.detach => {
            let _ = rustix::process::chdir("/");
        }
        Ok(connection) => {
            begun.attach(Client::owner(connection, attach, container.record.config.tty));
        }
        Err(gone) => {
            begun.abandon();
            engine.give_up(&container, lock, &gone);
            return Err(gone);
        }
    }
    engine.supervise(container, lock, begun)
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
    attach: Vec<String>,
}

/// A body that can't be read is complained about by whoever reads all of it.
fn wanted(body: &[u8]) -> Run {
    crate::json::from_slice::<Extension>(body).unwrap_or_default().skiff
}

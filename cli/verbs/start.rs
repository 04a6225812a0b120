//! `skiff start`: POST /containers/{id}/start, and with -a or -i a session with the container.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;
use skiff_core::{api::head::Method, container::keys::DetachKeys};

use super::{Context, Verb, each, text};
use crate::{
    attached::{self, Attach},
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    output, terminal,
};

/// start one or more stopped containers
#[derive(FromArgs, ArgsInfo)]
pub struct Start {
    /// show its output and pass signals on
    #[argh(switch, short = 'a')]
    attach: bool,
    /// send it stdin too
    #[argh(switch, short = 'i')]
    interactive: bool,
    /// the keys that leave the container running (ctrl-p,ctrl-q)
    #[argh(option, arg_name = "string", default = "String::new()")]
    detach_keys: String,
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Start {
    fn run(self, context: &Context) -> Outcome {
        if !self.attach && !self.interactive {
            return each(&self.containers, |name| {
                context.client.post(&path(&["containers", name, "start"]), None)?;
                output::line(name)
            });
        }
        match self.containers.as_slice() {
            [name] => self.attached(context, name),
            _ => Err(Failure::new("you cannot start and attach multiple containers at once")),
        }
    }
}

impl Start {
    /// Docker's sequence: attach, wait, start.
    fn attached(&self, context: &Context, name: &str) -> Outcome {
        let client = &context.client;
        let container = client.get(&path(&["containers", name, "json"]))?;
        let is = |pointer: &str| container.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
        let tty = is("/Config/Tty");
        let attach = Attach {
            tty,
            stdin: self.interactive && is("/Config/OpenStdin"),
            escape: DetachKeys::parse(&self.detach_keys).map_err(Failure::new)?,
            proxy: true,
        };
        attach.check()?;
        let id = text(&container, "Id");
        let streams = [("stdin", attach.stdin), ("stdout", true), ("stderr", true)];
        let streams: Vec<&str> =
            streams.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name).collect();
        let connection = client.hijack(&attached::attach_path(id, &streams, &self.detach_keys), None)?;
        let mut wait = path(&["containers", id, "wait"]);
        query(&mut wait, "condition", if is("/HostConfig/AutoRemove") { "removed" } else { "next-exit" });
        let mut wait = client.request(Method::Post, &wait, Upload::Nothing)?;
        client.post(&path(&["containers", id, "start"]), None).map_err(|failure| failure.exit(1))?;
        if tty && let Some(size) = terminal::size() {
            attached::resize(client, ["containers", id], size);
        }
        if attach.run(client, ["containers", id], connection, attached::form(tty))?.is_none() {
            return Ok(0);
        }
        attached::exit_code(&wait.object()?.unwrap_or_default())
    }
}

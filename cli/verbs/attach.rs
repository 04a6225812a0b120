//! `skiff attach` and `skiff start`: this terminal at the input and output of a container that is there already.

use argh::prelude::*;
use serde_json::Value;
use skiff_core::{api::head::Method, container::keys::DetachKeys};

use super::{Context, Verb, each, text};
use crate::{
    attached::{self, Attach as Attached},
    client::{Client, Reply, Upload, path, query},
    failure::{EXIT_USAGE, Failure, Outcome},
    output,
    session::Form,
    terminal,
};

/// attach to the input and output of a running container
#[derive(FromArgs, ArgsInfo)]
pub struct Attach {
    /// keys that detach; default ctrl-p,ctrl-q
    #[argh(option, arg_name = "keys", default = "String::new()")]
    detach_keys: String,
    /// don't send stdin
    #[argh(switch)]
    no_stdin: bool,
    /// pass signals on; default true
    #[argh(option, arg_name = "bool", default = "true")]
    sig_proxy: bool,
    #[argh(positional)]
    container: String,
}

/// start containers that were stopped or only created
#[derive(FromArgs, ArgsInfo)]
pub struct Start {
    /// show output and pass signals on
    #[argh(switch, short = 'a')]
    attach: bool,
    /// keys that detach; default ctrl-p,ctrl-q
    #[argh(option, arg_name = "keys", default = "String::new()")]
    detach_keys: String,
    /// send stdin
    #[argh(switch, short = 'i')]
    interactive: bool,
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Attach {
    fn run(self, context: &Context) -> Outcome {
        let client = &context.client;
        let escape = escape(&self.detach_keys)?;
        let mut wait = wait(client, &self.container, "")?;
        let container = client.get(&path(&["containers", &self.container, "json"]))?;
        let state = |key: &str| container["State"][key] == true;
        let refusal = match () {
            () if !state("Running") => "You cannot attach to a stopped container, start it first",
            () if state("Paused") => "You cannot attach to a paused container, unpause it first",
            () if state("Restarting") => {
                "You cannot attach to a restarting container, wait until it is running"
            }
            () => "",
        };
        if !refusal.is_empty() {
            return Err(Failure::new(refusal));
        }
        let (attach, form) = attached(&container, !self.no_stdin, escape, self.sig_proxy);
        attach.check()?;
        let id = text(&container, "Id");
        let streams = streams(attach.stdin);
        let connection = client.hijack(&attached::attach_path(id, streams, &self.detach_keys), None)?;
        if attach.tty
            && let Some([rows, columns]) = terminal::size()
        {
            // The program draws its screen anew when the size changes; so it changes twice.
            attached::resize(client, ["containers", id], [rows.saturating_add(1), columns.saturating_add(1)]);
            attached::resize(client, ["containers", id], [rows, columns]);
        }
        match attach.run(client, ["containers", id], connection, form)? {
            None => Ok(1),
            Some(_) => attached::exit_code(&wait.object()?.unwrap_or_default()),
        }
    }
}

impl Verb for Start {
    fn run(self, context: &Context) -> Outcome {
        let client = &context.client;
        let escape = escape(&self.detach_keys)?;
        if !(self.attach || self.interactive) {
            return each(&self.containers, |name| {
                client.post(&path(&["containers", name, "start"]), None)?;
                output::line(name)
            });
        }
        let [name] = self.containers.as_slice() else {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        };
        let container = client.get(&path(&["containers", name, "json"]))?;
        let (attach, form) = attached(&container, self.interactive, escape, true);
        attach.check()?;
        let id = text(&container, "Id");
        let streams = streams(attach.stdin);
        let connection = client.hijack(&attached::attach_path(id, streams, &self.detach_keys), None)?;
        let removed = container["HostConfig"]["AutoRemove"] == true;
        let mut wait = wait(client, id, if removed { "removed" } else { "next-exit" })?;
        if let Err(failure) = client.post(&path(&["containers", id, "start"]), None) {
            if removed {
                // The name is free when this has answered.
                let _ = wait.object();
            }
            let failure = attached::failed_start(failure, client.is_local());
            return Err(if failure.exit == EXIT_USAGE { failure.exit(1) } else { failure });
        }
        if attach.tty
            && let Some(size) = terminal::size()
        {
            attached::resize(client, ["containers", id], size);
        }
        match attach.run(client, ["containers", id], connection, form)? {
            None => Ok(0),
            Some(_) => attached::exit_code(&wait.object()?.unwrap_or_default()),
        }
    }
}

fn escape(keys: &str) -> Result<DetachKeys, Failure> {
    DetachKeys::parse(keys).map_err(Failure::refused)
}

/// Asks for the container's end; the answer's head comes at once, its body at the end.
fn wait(client: &Client, name: &str, condition: &str) -> Result<Reply, Failure> {
    let mut target = path(&["containers", name, "wait"]);
    if !condition.is_empty() {
        query(&mut target, "condition", condition);
    }
    client.request(Method::Post, &target, Upload::Nothing)
}

fn attached(container: &Value, stdin: bool, escape: DetachKeys, proxy: bool) -> (Attached, Form) {
    let config = &container["Config"];
    let tty = config["Tty"] == true;
    (Attached { tty, stdin: stdin && config["OpenStdin"] == true, escape, proxy }, attached::form(tty))
}

fn streams(stdin: bool) -> &'static [&'static str] {
    if stdin { &["stdin", "stdout", "stderr"] } else { &["stdout", "stderr"] }
}

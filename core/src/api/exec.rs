//! `POST /containers/{}/exec`, `/exec/{}/start`, `/exec/{}/resize`, `GET /exec/{}/json`.

use alloc::{string::String, vec::Vec};

use rustix::fd::AsFd;
use serde::Deserialize;

use super::{attach, exchange::Exchange, json::Json};
use crate::{
    Context, Error, Result,
    container::{config::nullable, keys::DetachKeys},
    engine::{Engine, exec::Instance},
    process::exec::Command,
};

/// The body of `POST /containers/{}/exec`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Create {
    user: String,
    privileged: bool,
    tty: bool,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    // docker-py writes it like this, and Docker doesn't mind.
    #[serde(alias = "detachKeys")]
    detach_keys: String,
    env: Option<Vec<String>>,
    working_dir: String,
    cmd: Option<Vec<String>>,
    console_size: Option<[u32; 2]>,
}

/// The body of `POST /exec/{}/start`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Start {
    #[serde(deserialize_with = "nullable")]
    detach: bool,
    /// Whether the client takes the output as it comes, without frames.
    #[serde(deserialize_with = "nullable")]
    tty: bool,
    console_size: Option<[u32; 2]>,
}

/// `POST /containers/{}/exec`
pub(super) fn create(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body: Create = exchange.json()?;
    let keys = DetachKeys::parse(&body.detach_keys).map_err(Error::Invalid)?;
    let instance = Instance {
        command: Command {
            words: body.cmd.unwrap_or_default(),
            env: body.env.unwrap_or_default(),
            user: body.user,
            working_dir: body.working_dir,
            tty: body.tty,
            stdin: body.attach_stdin,
            privileged: body.privileged,
            size: body.console_size.unwrap_or_default(),
        },
        streams: [body.attach_stdin, body.attach_stdout, body.attach_stderr],
        detach_keys: keys.as_bytes().into(),
        ..Instance::default()
    };
    let id = engine.create_exec(exchange.name(), instance)?;
    let mut json = Json::new();
    json.open_object().key("Id").string(&id).close_object();
    exchange.reply(201, json)
}

/// `POST /exec/{}/start`
pub(super) fn start(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body: Start = exchange.json_or_default()?;
    let mut found = engine.startable_exec(exchange.name())?;
    if body.detach {
        engine.start_exec_detached(found)?;
        return exchange.reply_empty(200);
    }
    if let Some(size) = body.console_size {
        found.instance.command.size = size;
    }
    let hijacked = exchange.hijack(!body.tty)?;
    let early = hijacked.early.to_vec();
    let connection = rustix::io::fcntl_dupfd_cloexec(hijacked.fd.as_fd(), 3).context("copy", "connection")?;
    engine.run_exec(found, connection, early, !body.tty)
}

/// `POST /exec/{}/resize`
pub(super) fn resize(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let (height, width) = attach::size(&exchange.query)?;
    engine.resize_exec(exchange.name(), height, width)?;
    exchange.reply_empty(200)
}

/// `GET /exec/{}/json`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let found = engine.find_exec(exchange.name())?;
    let (running, instance) = (found.is_running(), &found.instance);
    let (command, [stdin, stdout, stderr]) = (&instance.command, instance.streams);
    let (program, arguments) = command.words.split_first().map_or(("", &[][..]), |(a, b)| (a.as_str(), b));
    let keys: String = instance.detach_keys.iter().map(|byte| char::from(*byte)).collect();
    let mut json = Json::new();
    json.open_object().key("ID").string(&instance.id).key("Running").boolean(running).key("ExitCode");
    match instance.exit_code {
        Some(code) => json.number(code.into()),
        // Its supervisor was killed, and it with that.
        None if instance.started && !running => json.number(137),
        None => json.null(),
    };
    json.key("ProcessConfig").open_object().key("tty").boolean(command.tty);
    json.key("entrypoint").string(program).key("arguments").strings(arguments);
    json.key("privileged").boolean(command.privileged);
    if !command.user.is_empty() {
        json.key("user").string(&command.user);
    }
    json.close_object().key("OpenStdin").boolean(stdin).key("OpenStderr").boolean(stderr);
    json.key("OpenStdout").boolean(stdout).key("CanRemove").boolean(instance.exit_code.is_some());
    json.key("ContainerID").string(&instance.container).key("DetachKeys").string(&keys);
    json.key("Pid").number(instance.pid.into()).close_object();
    exchange.reply(200, json)
}

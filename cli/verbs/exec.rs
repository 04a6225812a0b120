//! `skiff exec`: another program in a running container. POST /containers/NAME/exec, POST /exec/ID/start, then the exit
//! code from GET /exec/ID/json.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::json;
use skiff_core::container::keys::DetachKeys;

use super::{Context, Verb, text};
use crate::{
    attached::{self, Attach},
    client::path,
    create::environment::environment,
    failure::{EXIT_USAGE, Failure, Outcome},
    terminal,
};

/// run another program in a running container
#[derive(FromArgs, ArgsInfo)]
pub struct Exec {
    /// don't wait for it and don't show its output
    #[argh(switch, short = 'd')]
    detach: bool,
    /// keys that detach; default ctrl-p,ctrl-q
    #[argh(option, arg_name = "keys", default = "String::new()")]
    detach_keys: String,
    /// environment variable; a name alone takes the caller's value
    #[argh(option, short = 'e', arg_name = "name[=value]")]
    env: Vec<String>,
    /// environment variables, one a line
    #[argh(option, arg_name = "file")]
    env_file: Vec<String>,
    /// keep stdin open
    #[argh(switch, short = 'i')]
    interactive: bool,
    /// all rights
    #[argh(switch)]
    privileged: bool,
    /// a terminal
    #[argh(switch, short = 't')]
    tty: bool,
    /// user inside, by name or number
    #[argh(option, short = 'u', arg_name = "user[:group]", default = "String::new()")]
    user: String,
    /// working directory inside
    #[argh(option, short = 'w', arg_name = "path", default = "String::new()")]
    workdir: String,
    #[argh(positional)]
    container: String,
    #[argh(positional, greedy)]
    command: Vec<String>,
}

impl Verb for Exec {
    fn run(self, context: &Context) -> Outcome {
        let client = &context.client;
        let attach = Attach {
            tty: self.tty,
            stdin: self.interactive && !self.detach,
            escape: DetachKeys::parse(&self.detach_keys).map_err(Failure::refused)?,
            proxy: false,
        };
        let files = self.env_file.iter().map(String::as_str);
        let env = environment(files, self.env.iter().map(String::as_str), &context.environment)
            .map_err(Failure::refused)?;
        attach.check()?;
        let size = if self.tty { terminal::size() } else { None };
        let mut start = json!({"Detach": self.detach, "Tty": self.tty});
        let mut body = json!({
            "User": self.user,
            "Privileged": self.privileged,
            "Tty": self.tty,
            "AttachStdin": attach.stdin,
            "AttachStdout": !self.detach,
            "AttachStderr": !self.detach,
            "Detach": self.detach,
            "DetachKeys": self.detach_keys,
            "Env": env,
            "WorkingDir": self.workdir,
            "Cmd": self.command,
        });
        if let Some(size) = size {
            body["ConsoleSize"] = json!(size);
            start["ConsoleSize"] = json!(size);
        }
        let made = client.post(&path(&["containers", &self.container, "exec"]), Some(&body))?;
        let id = text(&made, "Id");
        let target = path(&["exec", id, "start"]);
        if self.detach {
            client.post(&target, Some(&start)).map_err(|failure| not_started(context, failure))?;
            return Ok(0);
        }
        let connection = client
            .hijack(&target, Some(&start.to_string()))
            .map_err(|failure| not_started(context, failure))?;
        if let Some(size) = size {
            attached::resize(client, ["exec", id], size);
        }
        if attach.run(client, ["exec", id], connection, attached::form(self.tty))?.is_none() {
            return Ok(1);
        }
        let result = client.get(&path(&["exec", id, "json"]))?;
        // An exit status has eight bits.
        Ok(super::number(&result, "ExitCode") as u8)
    }
}

/// 126 and 127 as for `run`; but all else is 1, as for any other command.
fn not_started(context: &Context, failure: Failure) -> Failure {
    let failure = attached::failed_start(failure, context.client.is_local());
    if failure.exit == EXIT_USAGE { failure.exit(1) } else { failure }
}

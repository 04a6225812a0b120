//! `skiff run`: POST /skiff/run -> the container's output, input and exit code.

use argh::{ArgsInfo, FromArgs};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{SendFlags, Shutdown},
};
use serde_json::{Map, Value, json};
use skiff_core::api::frame::{FrameDecoder, Stream};

use super::{Context, Verb};
use crate::{
    client::Hijacked,
    failure::{EXIT_USAGE, Failure, Outcome},
    output,
};

/// run a program in a new container
#[derive(FromArgs, ArgsInfo)]
pub struct Run {
    /// remove the container when it ends (required for now)
    #[argh(switch)]
    rm: bool,
    /// keep stdin open
    #[argh(switch, short = 'i')]
    interactive: bool,
    /// name of the container
    #[argh(option, arg_name = "name")]
    name: Option<String>,
    /// environment variable; a name alone takes the caller's value
    #[argh(option, short = 'e', arg_name = "name[=value]")]
    env: Vec<String>,
    /// working directory inside
    #[argh(option, short = 'w', arg_name = "path")]
    workdir: Option<String>,
    /// user inside, by name or number
    #[argh(option, short = 'u', arg_name = "user[:group]")]
    user: Option<String>,
    /// supplementary group
    #[argh(option, arg_name = "group")]
    group_add: Vec<String>,
    /// program instead of the image's entry point
    #[argh(option, arg_name = "program")]
    entrypoint: Option<String>,
    /// host name inside
    #[argh(option, short = 'h', arg_name = "name")]
    hostname: Option<String>,
    /// network: none (default) or host
    #[argh(option, arg_name = "mode")]
    network: Option<String>,
    /// bind mount
    #[argh(option, short = 'v', arg_name = "source:path[:options]")]
    volume: Vec<String>,
    /// tmpfs mount
    #[argh(option, arg_name = "path[:options]")]
    tmpfs: Vec<String>,
    /// the root file system can't be written
    #[argh(switch)]
    read_only: bool,
    /// add a capability, or ALL
    #[argh(option, arg_name = "name")]
    cap_add: Vec<String>,
    /// drop a capability, or ALL
    #[argh(option, arg_name = "name")]
    cap_drop: Vec<String>,
    /// all rights, all devices, nothing masked
    #[argh(switch)]
    privileged: bool,
    /// no-new-privileges, seccomp=unconfined, systempaths=unconfined
    #[argh(option, arg_name = "option")]
    security_opt: Vec<String>,
    /// kernel setting of the container's namespaces
    #[argh(option, arg_name = "name=value")]
    sysctl: Vec<String>,
    /// add a line to /etc/hosts
    #[argh(option, arg_name = "name:ip")]
    add_host: Vec<String>,
    /// label
    #[argh(option, short = 'l', arg_name = "name[=value]")]
    label: Vec<String>,
    #[argh(positional, greedy)]
    words: Vec<String>,
}

impl Verb for Run {
    fn run(self, context: &Context) -> Outcome {
        if !context.client.is_local() {
            return Err(Failure::new("run through a daemon is not there yet").exit(EXIT_USAGE));
        }
        let path = match &self.name {
            Some(name) => format!("/skiff/run?name={}", encoded(name)),
            None => "/skiff/run".into(),
        };
        let interactive = self.interactive;
        let body = self.body()?;
        let hijacked = context.client.hijack(&path, Some(&body)).map_err(|failure| {
            let exit = start_exit(&failure.message);
            failure.exit(exit)
        })?;
        stay(hijacked, interactive)
    }
}

impl Run {
    /// The body of a create request.
    fn body(self) -> Result<Value, Failure> {
        let (image, command) = self.words.split_first().expect("the table asks for one word at least");
        let environment = self.env.iter().filter_map(|one| match one.contains('=') {
            true => Some(one.clone()),
            false => std::env::var(one).ok().map(|value| format!("{one}={value}")),
        });
        Ok(json!({
            "Image": image,
            "Cmd": command,
            "Entrypoint": self.entrypoint.map(|program| vec![program]),
            "Env": environment.collect::<Vec<_>>(),
            "WorkingDir": self.workdir,
            "User": self.user,
            "Hostname": self.hostname,
            "OpenStdin": self.interactive,
            "StdinOnce": self.interactive,
            "AttachStdin": self.interactive,
            "AttachStdout": true,
            "AttachStderr": true,
            "Labels": pairs(&self.label),
            "HostConfig": {
                "AutoRemove": self.rm,
                "NetworkMode": self.network,
                "GroupAdd": self.group_add,
                "Binds": self.volume.iter().map(|bind| absolute(bind)).collect::<Result<Vec<_>, _>>()?,
                "Tmpfs": self.tmpfs.iter().map(|one| {
                    let (path, options) = one.split_once(':').unwrap_or((one, ""));
                    (path.to_owned(), Value::from(options))
                }).collect::<Map<_, _>>(),
                "ReadonlyRootfs": self.read_only,
                "CapAdd": self.cap_add,
                "CapDrop": self.cap_drop,
                "Privileged": self.privileged,
                "SecurityOpt": self.security_opt,
                "Sysctls": pairs(&self.sysctl),
                "ExtraHosts": self.add_host,
            },
        }))
    }
}

/// `name=value` words as an object.
fn pairs(words: &[String]) -> Map<String, Value> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), Value::from(value))
    };
    words.iter().map(pair).collect()
}

/// A bind whose source is relative to here gets an absolute one.
fn absolute(bind: &str) -> Result<String, Failure> {
    if !bind.starts_with('.') {
        return Ok(bind.to_owned());
    }
    let (source, rest) = bind.split_once(':').unwrap_or((bind, ""));
    let path = std::path::absolute(source).map_err(|error| Failure::io("resolve", source, &error))?;
    Ok(format!("{}:{rest}", path.display()))
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    skiff_core::api::target::percent_encode(text.as_bytes(), &mut out);
    out
}

/// The exit code of a failed start, by Docker's words.
fn start_exit(message: &str) -> u8 {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match message.starts_with("exec: ") {
        true if has(&["executable file not found", "no such file or directory"]) => 127,
        true => 126,
        false => EXIT_USAGE,
    }
}

/// Carries bytes both ways until the container has ended.
fn stay(hijacked: Hijacked, interactive: bool) -> Outcome {
    let mut frames = FrameDecoder::default();
    let mut exit = Vec::new();
    let mut show = |bytes: &[u8]| -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(piece) = frames.next(rest)? else { break };
            let data = &rest[piece.data.clone()];
            match piece.stream {
                Stream::Stdout => output::write(data)?,
                Stream::Exit => exit.extend_from_slice(data),
                _ => write_stderr(data),
            }
            rest = &rest[piece.consumed..];
        }
        Ok(())
    };
    show(&hijacked.first)?;
    let stdin = skiff_syscalls::descriptor::stdin();
    let mut reads_stdin = interactive;
    // Input that the socket has not taken yet: a blocking write could wait for an engine that waits for us to read.
    let mut pending: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let flags = if pending.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut polled = vec![PollFd::new(&hijacked.socket, flags)];
        if reads_stdin && pending.is_empty() {
            polled.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            other => other.map_err(|errno| skiff_core::Error::os("poll", "", errno))?,
        };
        let socket = polled[0].revents();
        let input = polled.get(1).is_some_and(|one| !one.revents().is_empty());
        if socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match rustix::io::read(&hijacked.socket, &mut buffer) {
                Ok(0) | Err(Errno::CONNRESET) => break,
                Ok(count) => show(&buffer[..count])?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(skiff_core::Error::os("read from", "the container", errno).into()),
            }
        }
        if socket.contains(PollFlags::OUT) {
            match rustix::net::send(&hijacked.socket, &pending, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => drop(pending.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    pending.clear();
                    reads_stdin = false;
                }
            }
        }
        if input {
            match rustix::io::read(stdin, &mut buffer) {
                Ok(count) if count > 0 => pending.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                _ => {
                    reads_stdin = false;
                    let _ = rustix::net::shutdown(&hijacked.socket, Shutdown::Write);
                }
            }
        }
    }
    let result: Value = serde_json::from_slice(&exit).unwrap_or(Value::Null);
    match result.get("StatusCode").and_then(Value::as_u64) {
        Some(code) => Ok(code as u8),
        None => Err(Failure::new("the container's monitor went away").exit(EXIT_USAGE)),
    }
}

/// Bytes to stderr as they are.
fn write_stderr(bytes: &[u8]) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), bytes);
}

//! `exec`: further processes in a container that runs, each with a file about it in the container's run directory.
//!
//! ```text
//! <run root>/containers/<id>/exec/<exec id>        JSON: what is executed, and how it ended
//!                                 <exec id>.sock   its supervisor listens there while it runs
//! ```
//! The supervisor is the server child of the client that started it, or for a detached one a process of its own. The
//! process dies with its supervisor, and with the container.

use alloc::{format, string::String, vec, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, OwnedFd},
    io::Errno,
    process::Signal,
};
use serde::{Deserialize, Serialize};
use skiff_syscalls::signal::{self, SignalSet};

use super::Engine;
use crate::{
    Context, Error, Result,
    container::{
        health, log, names,
        record::Record,
        state::{State, Status},
    },
    file,
    fork::{self, Ended},
    process::{
        cgroup::{Group, Host},
        control::{self, Attach, Question},
        exec::{self, Command, Target},
        launch::Started,
        monitor::{Monitor, Running, client::Client, health::Probing},
    },
};

/// The directory in a container's run directory.
const DIRECTORY: &str = "exec";
/// Largest file about one.
const FILE_MAX: usize = 4 << 20;

/// One process that was or is to be executed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The container's id.
    pub container: String,
    /// What is executed.
    pub command: Command,
    /// Which of stdin, stdout and stderr the client is attached to.
    pub streams: [bool; 3],
    /// The keys that detach from its terminal.
    pub detach_keys: Vec<u8>,
    /// It was started.
    pub started: bool,
    /// As the host numbers it; 0 when it does not run.
    pub pid: i32,
    /// How it ended.
    pub exit_code: Option<u8>,
}

/// An instance and where its file is.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub instance: Instance,
    directory: OwnedFd,
}

impl Found {
    /// Whether its process runs: whether its supervisor lives.
    pub fn is_running(&self) -> bool {
        self.instance.started
            && self.instance.exit_code.is_none()
            && control::is_listening(&self.directory, &socket_name(&self.instance.id))
    }

    fn save(&self) -> Result<()> {
        let json = serde_json::to_vec(&self.instance).expect("an instance has only string keys");
        file::replace(&self.directory, &self.instance.id, &json, 0o600).context("write", "exec instance")
    }

    fn end(&mut self, exit_code: u8) {
        (self.instance.pid, self.instance.exit_code) = (0, Some(exit_code));
        // Without room on the disk it is taken for killed when its supervisor has gone.
        let _ = self.save();
        let _ = rustix::fs::unlinkat(
            &self.directory,
            socket_name(&self.instance.id),
            rustix::fs::AtFlags::empty(),
        );
    }
}

impl Engine {
    /// Notes a command for a container that runs, and gives its id.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the container does not run.
    pub fn create_exec(&self, name: &str, mut instance: Instance) -> Result<String> {
        let record = self.shelf.find(name)?.record;
        if instance.command.words.is_empty() {
            return Err(Error::Invalid("No exec command specified".into()));
        }
        super::create::check_directory(&instance.command.working_dir)?;
        self.check_runs(&record)?;
        instance.id = names::new_id()?;
        instance.container = record.id;
        let run = self.shelf.run_directory(&instance.container).context("open", &instance.container)?;
        let directory = file::subdirectory(&run, DIRECTORY, 0o700).context("create directory", DIRECTORY)?;
        let found = Found { instance, directory };
        found.save()?;
        self.tell_exec(&found.instance, "exec_create");
        Ok(found.instance.id)
    }

    /// Finds a command by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn find_exec(&self, id: &str) -> Result<Found> {
        let missing = || Error::NotFound(format!("No such exec instance: {id}"));
        if !names::is_id(id) {
            return Err(missing());
        }
        for container in self.shelf.run_ids() {
            let Ok(run) = self.shelf.run_directory(&container) else { continue };
            let Ok(directory) = file::directory(&run, DIRECTORY) else { continue };
            match file::read(&directory, id, FILE_MAX) {
                Ok(bytes) => {
                    let instance = crate::json::from_slice(&bytes)
                        .map_err(|error| Error::Corrupt(format!("exec {id}: {error}")))?;
                    return Ok(Found { instance, directory });
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::os("read", id, errno)),
            }
        }
        Err(missing())
    }

    /// The ids of the commands that run in a container.
    pub fn running_execs(&self, container: &str) -> Vec<String> {
        let Ok(run) = self.shelf.run_directory(container) else { return Vec::new() };
        let names = file::names(&run, DIRECTORY).unwrap_or_default();
        let ids = names.into_iter().filter(|name| names::is_id(name));
        ids.filter(|id| self.find_exec(id).is_ok_and(|found| found.is_running())).collect()
    }

    /// Checks that a command can be started now.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it was started, or its container does not run.
    pub fn startable_exec(&self, id: &str) -> Result<Found> {
        let found = self.find_exec(id)?;
        if found.instance.started {
            return Err(Error::Conflict(match found.is_running() {
                true => format!("Error: Exec command {id} is already running"),
                false => format!("Error: Exec command {id} has already run"),
            }));
        }
        self.check_runs(&self.shelf.find(&found.instance.container)?.record)?;
        Ok(found)
    }

    /// Starts a command for a client and stays with it to its end. The client's connection was hijacked; its output is
    /// `framed` if that was asked for, whatever the command writes to. Why it could not be started is told there, too.
    ///
    /// # Errors
    /// Of the file system.
    pub fn run_exec(
        &self,
        mut found: Found,
        connection: OwnedFd,
        early: Vec<u8>,
        framed: bool,
    ) -> Result<()> {
        let Instance { streams: [stdin, stdout, stderr], .. } = found.instance;
        let (tty, keys) = (found.instance.command.tty, found.instance.detach_keys.clone());
        let wants = Attach { stdin, stdout, stderr, framed, detach_keys: keys, early, after: None };
        let mut client = Client::new(connection, wants, tty);
        match self.begin_exec(&mut found) {
            Ok((mut monitor, mut running)) => {
                monitor.clients.push(client);
                let tell = |action: &str, _: &[(&str, &str)]| {
                    self.tell_exec(&found.instance, &format!("exec_{action}"))
                };
                let ended = monitor.carry(&mut running, &tell);
                found.end(ended.code());
                self.tell_exec(&found.instance, "exec_die");
                monitor.dismiss(ended);
                monitor.see_off();
            }
            Err(error) => {
                found.end(exit_code(&error));
                client.output(crate::frame::Stream::Stderr, format!("{error}\r\n").as_bytes());
            }
        }
        Ok(())
    }

    /// Starts a command in the background; it runs when this returns.
    ///
    /// # Errors
    /// As [`exec::start`].
    pub fn start_exec_detached(&self, found: Found) -> Result<()> {
        let (data_path, run_path, id) =
            (self.data_path.as_str(), self.run_path.as_str(), found.instance.id.clone());
        drop(found);
        fork::background(
            (),
            |()| Vec::new(),
            |(), reporter| {
                let engine = Engine::open(data_path, run_path)?;
                let mut found = engine.find_exec(&id)?;
                match engine.begin_exec(&mut found) {
                    Ok((mut monitor, mut running)) => {
                        reporter.succeed();
                        found.end(monitor.carry(&mut running, &|_, _| {}).code());
                        engine.tell_exec(&found.instance, "exec_die");
                        Ok(())
                    }
                    Err(error) => {
                        found.end(exit_code(&error));
                        Err(error)
                    }
                }
            },
        )
    }

    /// Tells what happened to a command, of its container.
    fn tell_exec(&self, instance: &Instance, action: &str) {
        let Ok(Some(record)) = self.shelf.load::<Record>(&instance.container) else { return };
        let code = instance.exit_code.map_or(String::new(), |code| format!("{code}"));
        let action = match action {
            // Docker puts a blank behind a program without arguments, too.
            "exec_create" | "exec_start" => {
                let words = instance.command.words.split_first();
                let (program, arguments) =
                    words.map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
                format!("{action}: {program} {}", arguments.join(" "))
            }
            _ => action.into(),
        };
        let more = [("execID", instance.id.as_str()), ("exitCode", &code)];
        self.tell(&record, &action, if code.is_empty() { &more[..1] } else { &more });
    }

    /// Gives the terminal of a command another size.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it does not run.
    pub fn resize_exec(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let found = self.find_exec(id)?;
        control::ask_as(&found.directory, &socket_name(id), &Question::Resize { height, width }, None)?
            .ok_or_else(|| Error::Conflict(format!("exec process {id} is not running")))
    }

    /// Starts the process. This process becomes its supervisor.
    fn begin_exec(&self, found: &mut Found) -> Result<(Monitor, Running)> {
        let record = self.shelf.find(&found.instance.container)?.record;
        let control = control::listen_as(&found.directory, &socket_name(&found.instance.id))?;
        found.instance.started = true;
        found.save()?;
        self.tell_exec(&found.instance, "exec_start");
        let (started, group) = self.join(&record, &found.instance.command, None)?;
        found.instance.pid = started.pid.as_raw_nonzero().get();
        found.save()?;
        let monitor = Monitor {
            state: State::default(),
            state_file: None,
            control,
            clients: Vec::new(),
            log: log::Writer::open(&found.directory, log::Settings::Nothing)?,
            updated: false,
            tty: found.instance.command.tty,
            stdin_once: true,
            probing: None,
            kills_told: 0,
        };
        Ok((monitor, Running { started, group }))
    }

    /// The health checks of a container, if it has any.
    pub(super) fn probing(&self, record: &Record, run_directory: OwnedFd) -> Result<Option<Probing>> {
        let Some(check) = &record.config.healthcheck else { return Ok(None) };
        let Some(settings) = health::Settings::new(check, &record.config.shell)? else { return Ok(None) };
        let (data_path, run_path, id) = (self.data_path.clone(), self.run_path.clone(), record.id.clone());
        let command = Command { words: settings.command.clone(), ..Command::default() };
        Ok(Some(Probing::new(settings, run_directory, move |output| {
            // Joining a pid namespace can't be undone, and the monitor keeps nothing of the probe's.
            fork::heir(
                output,
                |output| vec![output.as_fd()],
                |output| probe(&data_path, &run_path, &id, &command, output),
            )
        })))
    }

    /// Starts a command in a container; see [`exec::start`].
    fn join(&self, record: &Record, command: &Command, output: Option<OwnedFd>) -> Result<(Started, Group)> {
        let state = self.check_runs(record)?;
        let group = Group::open(&Host::find()?, &record.host.cgroup_parent, &record.id)?
            .ok_or_else(|| Error::Conflict(format!("container {} is not running", record.id)))?;
        let target = Target::new(record, state.pid, self.hold(&record.id, &state)?)?;
        let started = exec::start(record, target, group.directory(), command, output)?;
        Ok((started, group))
    }

    fn check_runs(&self, record: &Record) -> Result<State> {
        let state = self.shelf.state(&record.id)?;
        match state.status {
            Status::Running => Ok(state),
            Status::Paused => Err(Error::Conflict(format!(
                "Container {} is paused, unpause the container before exec",
                record.id
            ))),
            Status::Restarting => Err(Error::Conflict(format!(
                "Container {} is restarting, wait until the container is running",
                record.id
            ))),
            _ => Err(Error::Conflict(format!("container {} is not running", record.id))),
        }
    }
}

/// Runs one health check to its end, or to SIGTERM; its exit code.
fn probe(data_path: &str, run_path: &str, id: &str, command: &Command, output: OwnedFd) -> i32 {
    let run = || -> Result<u8> {
        let term = SignalSet::EMPTY.with(Signal::TERM.as_raw());
        signal::block(term);
        let stop = signal::signalfd(term).context("signalfd", "")?;
        let engine = Engine::open(data_path, run_path)?;
        let record = engine.shelf.find(id)?.record;
        let copy = output.try_clone().context("copy", "pipe")?;
        let (started, _) = engine.join(&record, command, Some(copy))?;
        let mut polled = [PollFd::new(&started.pidfd, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
        while let Ok(0) | Err(Errno::INTR) = poll(&mut polled, None) {}
        if !polled[1].revents().is_empty() {
            // It leads a session, and so a group, of its own.
            let _ = rustix::process::kill_process_group(started.pid, Signal::KILL);
        }
        fork::wait(&started.pidfd).map(Ended::code).context("wait for", "the health check")
    };
    match run() {
        Ok(code) => i32::from(code),
        Err(error) => {
            let _ = file::write_all(&output, format!("{error}").as_bytes());
            i32::from(exit_code(&error))
        }
    }
}

/// Forgets the commands of an earlier run. For a new monitor.
pub(super) fn forget_all(run_directory: impl AsFd) {
    let _ = file::remove_tree(run_directory, DIRECTORY);
}

fn socket_name(id: &str) -> String {
    format!("{id}.sock")
}

/// The exit code of a command that could not be started.
fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Start { exit_code, .. } => *exit_code,
        _ => 126,
    }
}

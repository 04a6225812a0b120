//! `RUN`: a command in a container of its own on what the stage has so far. What it changes becomes a layer.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};

use super::{
    Build,
    layer::Bench,
    pending::Pending,
    stage::{Begun, Done, Work},
};
use crate::{
    Context, Error, Result,
    build::{
        Options,
        progress::{Event, Number},
        state::{PROXY_ARGS, set_variable},
    },
    clock,
    container::{
        config::{Config, HostConfig},
        names,
        record::Record,
        shelf::{Container, Lock},
    },
    dockerfile::{
        Line,
        command::{self, CommandLine, Network, Security},
        mount::Mount,
    },
    engine::prepare::device_numbers,
    fork::{self, Ended},
    process::{
        cgroup::{Host, Resources, group, limits, resources::Machine},
        program,
    },
};

/// A command that is to be run in a container.
struct Contained<'a> {
    /// The number of its stage.
    stage: usize,
    line: &'a Line<'a>,
    words: Vec<String>,
    environment: Vec<String>,
    network: String,
    mounts: Vec<Mount>,
}

/// Most bytes that are taken from the command at once.
const PIECE: usize = 16 << 10;
/// Said of a command that has failed without a network, which it would have elsewhere.
const CUT_OFF: &str = "RUN has no network unless the build is given one: --network host";
/// What a build's containers are called inside.
const HOSTNAME: &str = "buildkitsandbox";

/// Checks the limits of the commands.
///
/// # Errors
/// [`Error::Invalid`] for those that make no sense, [`Error::Unsupported`] for one that this host can't enforce.
pub fn check_limits(options: &Options) -> Result<()> {
    let Options { resources, ulimits, cgroup_parent, .. } = options;
    ulimits.iter().try_for_each(program::check_limit)?;
    group::check_parent(cgroup_parent)?;
    if *resources == Resources::default() {
        return Ok(());
    }
    resources.check(&mut Machine::read)?;
    Host::find()?.can_enforce(&limits::plan(resources, &mut device_numbers)?)
}

impl Build<'_> {
    /// Runs a command, or finds what came of it.
    pub(super) fn run(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        run: &command::Run<'_>,
        done: &mut Done,
        begun: Begun<'_>,
    ) -> Result<()> {
        let unsupported = [
            (!run.devices.is_empty(), "RUN --device is not there yet"),
            (
                run.security == Security::Insecure,
                "RUN --security=insecure is not allowed: it needs an entitlement",
            ),
        ];
        if let Some((_, why)) = unsupported.iter().find(|(asked, _)| *asked) {
            return Err(self.wrong(line, (*why).into()));
        }
        let mut mounts = self.mounts(line, run, done)?;
        let words = self.words_of(run, done);
        if words.is_empty() {
            return Err(self.wrong(line, "RUN has no command".into()));
        }
        let environment = done.state.environment();
        let unsaid = self.task.options.network.is_empty();
        let network = match run.network {
            Network::None => "none",
            Network::Host => "host",
            Network::Default if unsaid => self.engine.default_network.as_str(),
            Network::Default => self.task.options.network.as_str(),
        };
        let is_cut_off = unsaid && run.network == Network::Default && network == "none";
        if run.network == Network::Host && self.task.options.network != "host" {
            let why = "RUN --network=host is not allowed: it needs --network host for the whole build";
            return Err(self.wrong(line, why.into()));
        }
        let mut key = self.key("run");
        for word in &words {
            key.add("command", word.as_bytes());
        }
        for variable in &environment {
            key.add("environment", variable.as_bytes());
        }
        let config = &done.state.config;
        let settings = [
            ("directory", config.working_dir.as_str()),
            ("user", config.user.as_str()),
            ("network", network),
        ];
        for (name, value) in settings {
            key.add(name, value.as_bytes());
        }
        key.add("shared memory", &self.task.options.shm_size.to_le_bytes());
        // Limits are no part of it, as with Docker: a command that succeeds in them does the same without.
        self.describe_mounts(stage, line, &mut mounts, &mut key)?;
        let created_by = self.created_by(&words, done);
        let network = network.to_string();
        let work = Work { begun, key, created_by, apart: false };
        let classic = self.task.options.classic.then(|| words.join(" "));
        self.step(stage, done, work, |build, step, done, bench| {
            let command = Contained { stage, line, words, environment, network, mounts };
            let ended = build.contain(step, done, bench, command)?;
            match ended {
                Ended::Exited(0) => Ok(()),
                ended => {
                    let code = ended.code();
                    let shown = match &run.command {
                        CommandLine::Shell(text) => text.trim(),
                        CommandLine::Exec(_) => line.text.trim(),
                    };
                    let why = match classic {
                        Some(words) => format!("The command '{words}' returned a non-zero code: {code}"),
                        None => format!("process {shown:?} did not complete successfully: exit code: {code}"),
                    };
                    let error = build.wrong(line, why);
                    Err(if is_cut_off { error.hint(CUT_OFF) } else { error })
                }
            }
        })
    }

    fn words_of(&self, run: &command::Run<'_>, done: &Done) -> Vec<String> {
        let CommandLine::Shell(text) = run.command else { return done.state.words(&run.command) };
        let is_document = |text: &str| {
            let text = text.trim();
            !text.contains(char::is_whitespace)
                && text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with("<<")
        };
        match run.heredocs {
            [] => done.state.in_shell(text),
            // Nothing but a document: it is the script.
            [one] if is_document(text) => done.state.in_shell(&one.content()),
            several => {
                let mut all = String::from(text);
                for heredoc in several {
                    for part in ["\n", heredoc.body, &heredoc.name] {
                        all.push_str(part);
                    }
                }
                all.push('\n');
                done.state.in_shell(&all)
            }
        }
    }

    /// As the history tells it.
    fn created_by(&self, words: &[String], done: &Done) -> String {
        let arguments = done.state.arguments();
        let mut text = String::from("RUN ");
        if !arguments.is_empty() {
            text.push_str(&format!("|{} {} ", arguments.len(), arguments.join(" ")));
        }
        text.push_str(&words.join(" "));
        text.push_str(" # buildkit");
        text
    }

    /// Runs a command in a container.
    fn contain(&mut self, step: Number, done: &Done, bench: &Bench, command: Contained<'_>) -> Result<Ended> {
        let engine = self.engine;
        let Contained { stage, line, words, mut environment, network, mounts } = command;
        for name in PROXY_ARGS {
            if let Some(value) = self.task.said.arg(name) {
                set_variable(&mut environment, name, value);
            }
        }
        let mut record = Record {
            id: names::new_id()?,
            image: "build".into(),
            config: Config {
                hostname: HOSTNAME.into(),
                cmd: Some(words),
                env: environment,
                user: done.state.config.user.clone(),
                working_dir: done.state.config.working_dir.clone(),
                ..Config::default()
            },
            host: HostConfig {
                network_mode: network,
                // What is thrown away can be mounted only once.
                auto_remove: !bench.is_on_host(),
                extra_hosts: self.task.options.extra_hosts.clone(),
                shm_size: i64::try_from(self.task.options.shm_size).unwrap_or(i64::MAX),
                ulimits: self.task.options.ulimits.clone(),
                cgroup_parent: self.task.options.cgroup_parent.clone(),
                ..HostConfig::default()
            },
            resources: self.task.options.resources.clone(),
            ..Record::default()
        };
        let lock = engine.lock_unshelved(&record)?;
        let id = record.id.clone();
        let run = || {
            let mut opened = self.open_mounts(stage, line, &mounts, &lock)?;
            record.mounts = core::mem::take(&mut opened.points);
            for (name, value) in &opened.variables {
                set_variable(&mut record.config.env, name, value);
            }
            if let Some(place) = opened.agent.take()
                && !record.config.env.iter().any(|one| one.starts_with("SSH_AUTH_SOCK="))
            {
                set_variable(&mut record.config.env, "SSH_AUTH_SOCK", &place);
            }
            let ended = self.contain_locked(step, bench, record, &lock)?;
            self.forget_places(bench, &mounts)?;
            Ok(ended)
        };
        let ended = run();
        engine.shelf.forget_run_directory(&id, lock);
        ended
    }

    fn contain_locked(&mut self, step: Number, bench: &Bench, record: Record, lock: &Lock) -> Result<Ended> {
        let engine = self.engine;
        let container = Container { record, directory: bench.upper()? };
        let prepared = engine.prepare(&container.record)?;
        let root = match bench.root(engine) {
            Ok(root) => root,
            Err(error) => {
                prepared.abandon();
                return Err(error);
            }
        };
        let (running, _) = engine.launch(&container, lock, &root, prepared)?;
        let started = &running.started;
        let mut streams = vec![(&started.stdout, false)];
        streams.extend(started.stderr.as_ref().map(|stderr| (stderr, true)));
        let pumped = self.pump(step, &streams);
        if pumped.is_err() {
            let _ = rustix::process::pidfd_send_signal(&started.pidfd, rustix::process::Signal::KILL);
        }
        let ended = fork::wait(&started.pidfd).context("wait for", "the command");
        super::super::prepare::end_group(&running.group);
        pumped.and(ended)
    }

    /// Tells what is written until all ends are closed.
    fn pump(&mut self, step: Number, streams: &[(&OwnedFd, bool)]) -> Result<()> {
        let mut open: Vec<(&OwnedFd, bool)> = streams.to_vec();
        let mut buffer = vec![0; PIECE];
        while !open.is_empty() {
            let naming = self.sequence.pending.as_ref().and_then(Pending::answer);
            let sources = open.iter().map(|(fd, _)| fd.as_fd()).chain(naming);
            let mut ready = fork::heard(sources, Some(&clock::timespec(clock::SECOND)))?;
            if !ready.contains(&true) {
                // Nobody may be listening any more.
                self.tell(Event::Idle)?;
            }
            if ready.drain(open.len()..).any(|is_named| is_named) {
                self.publish_pending()?;
            }
            let mut ended = Vec::new();
            for (at, &(fd, error)) in open.iter().enumerate().filter(|(at, _)| ready[*at]) {
                match rustix::io::read(fd, &mut buffer) {
                    Ok(0) => ended.push(at),
                    Ok(count) => {
                        self.tell(Event::Output { step, error, bytes: buffer[..count].to_vec() })?;
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(errno) => return Err(Error::os("read", "the command's output", errno)),
                }
            }
            for at in ended.into_iter().rev() {
                open.remove(at);
            }
        }
        Ok(())
    }
}

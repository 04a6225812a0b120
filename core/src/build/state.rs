//! What a stage has come to: the config that its image would have, its layers, and the variables that its next instruction
//! sees. Pure.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Time,
    container::{
        config::{Config, Empty, Healthcheck},
        signals,
    },
    digest::{DiffId, Digest},
    dockerfile::{
        command::{self, Command, CommandLine, Pair},
        expand,
    },
    image::config::{DEFAULT_PATH, ImageConfig, Step},
};

/// Most bytes of all variables: no program could be started with more of them.
const VARIABLES_LIMIT: usize = 4 << 20;

/// Build arguments that every `RUN` sees without an `ARG`, and that are not part of what it depends on.
pub const PROXY_ARGS: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What holds for a whole build.
#[derive(Debug)]
pub struct Said<'a> {
    /// The escape character of the file.
    pub escape: char,
    /// `--build-arg`.
    pub args: &'a [(String, String)],
    /// The arguments before the first stage, and those of the platform.
    pub globals: BTreeMap<String, String>,
}

impl Default for Said<'_> {
    fn default() -> Self {
        Said { escape: '\\', args: &[], globals: BTreeMap::new() }
    }
}

impl Said<'_> {
    /// The value that the user has given to an argument.
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.args.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A stage between two instructions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// How containers of its image are run.
    pub config: Config,
    /// Its layers, the lowest first.
    pub layers: Vec<DiffId>,
    /// How it was made.
    pub history: Vec<Step>,
    /// Who made it.
    pub author: String,
    /// How many of the layers, and of the lines of history, are those of the image that all began with.
    pub inherited: (usize, usize),
    /// When the last of its layers was made, so that what comes from the cache is the same image again. `None` as long
    /// as there is none.
    pub created: Option<Time>,
    /// The keys of the steps that made it.
    pub steps: Vec<Digest>,
    /// Variables and arguments with their values.
    pub variables: BTreeMap<String, String>,
    /// Bytes in names and values that were set here.
    bytes: usize,
    /// Arguments in force, in the order in which they were declared.
    args: Vec<String>,
    /// A `CMD` was there since the stage began.
    has_cmd: bool,
}

impl State {
    /// The beginning of a stage on nothing.
    pub fn on_scratch(epoch: Option<Time>) -> State {
        let config = Config { working_dir: "/".into(), ..Config::default() };
        State::on(ImageConfig { config, ..ImageConfig::default() }, epoch)
    }

    /// The beginning of a stage on an image, which if it does not say when it was made is from the epoch.
    pub fn on(image: ImageConfig, epoch: Option<Time>) -> State {
        let ImageConfig { mut config, rootfs, history, author, created, .. } = image;
        let created = created.and_then(|time| Time::parse(&time).ok()).or(epoch);
        if !config.env.iter().any(|one| one.starts_with("PATH=")) {
            set_variable(&mut config.env, "PATH", DEFAULT_PATH);
        }
        let inherited = (rootfs.diff_ids.len(), history.len());
        State { layers: rootfs.diff_ids, history, inherited, author, created, ..State::of(config) }
    }

    /// Settings that are to be changed.
    pub fn of(config: Config) -> State {
        let pairs = config.env.iter().filter_map(|one| one.split_once('='));
        let variables = pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        State { config, variables, ..State::default() }
    }

    /// The beginning of a stage on this one.
    pub fn below(&self) -> State {
        State { has_cmd: false, ..self.clone() }
    }

    /// Expands a word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expand(&self, word: &str, said: &Said<'_>) -> Result<String, String> {
        expand::expand(word, said.escape, &|name| self.variables.get(name).map(String::as_str))
    }

    /// Expands a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expand_body(&self, text: &str) -> Result<String, String> {
        expand::body(text, &|name| self.variables.get(name).map(String::as_str))
    }

    /// What an instruction does to the config. `RUN`, `COPY` and `ADD` do nothing to it.
    ///
    /// # Errors
    /// What is wrong with it, in BuildKit's words.
    pub fn apply(&mut self, command: &Command<'_>, said: &Said<'_>) -> Result<(), String> {
        match command {
            Command::Run(_) | Command::Copy(_) | Command::Add(_) => {}
            Command::Arg(args) => {
                for arg in args {
                    self.declare(arg, said)?;
                }
            }
            Command::Env(pairs) => {
                for (key, value) in self.pairs(pairs, said)? {
                    set_variable(&mut self.config.env, &key, &value);
                    self.set(key, value)?;
                }
            }
            Command::Label(pairs) => {
                let pairs = self.pairs(pairs, said)?;
                self.config.labels.extend(pairs);
            }
            Command::Cmd(line) => {
                self.config.cmd = Some(self.words(line));
                self.has_cmd = true;
            }
            Command::Entrypoint(line) => {
                self.config.entrypoint = Some(self.words(line));
                // The arguments of the old entry point mean nothing to the new one.
                if !self.has_cmd {
                    self.config.cmd = None;
                }
            }
            Command::Expose(words) => {
                for word in words {
                    let lookup = |name: &str| self.variables.get(name).map(String::as_str);
                    for word in expand::words(word, said.escape, &lookup)? {
                        let published = word.rsplit(':').next().unwrap_or_default();
                        let ports = ports(published)?;
                        self.config.exposed_ports.extend(ports.into_iter().map(|port| (port, Empty {})));
                    }
                }
            }
            Command::Volume(paths) => {
                for path in paths {
                    let path = self.expand(path, said)?;
                    if path.is_empty() {
                        return Err("VOLUME specified can not be an empty string".into());
                    }
                    self.config.volumes.get_or_insert_default().insert(path, Empty {});
                }
            }
            Command::Healthcheck(check) => self.config.healthcheck = Some(self.healthcheck(check)),
            Command::Maintainer(name) => self.author = (*name).into(),
            Command::Onbuild(onbuild) => {
                self.config.on_build.get_or_insert_default().push(onbuild.trigger.clone().into_owned());
            }
            Command::Shell(words) => {
                self.config.shell = words.iter().map(|word| word.to_string()).collect();
            }
            Command::StopSignal(word) => {
                let name = self.expand(word, said)?;
                signals::parse(&name).map_err(|_| format!("Invalid signal: {name}"))?;
                self.config.stop_signal = name;
            }
            Command::User(word) => self.config.user = self.expand(word, said)?,
            Command::Workdir(word) => {
                let path = self.expand(word, said)?;
                self.config.working_dir = join(&self.config.working_dir, &path);
            }
        }
        Ok(())
    }

    fn set(&mut self, key: String, value: String) -> Result<(), String> {
        self.bytes += key.len() + value.len();
        if let Some(old) = self.variables.insert(key.clone(), value) {
            self.bytes = self.bytes.saturating_sub(key.len() + old.len());
        }
        if self.bytes > VARIABLES_LIMIT {
            return Err("the variables have more than 4 MiB".into());
        }
        Ok(())
    }

    fn declare(&mut self, arg: &command::Arg<'_>, said: &Said<'_>) -> Result<(), String> {
        let key = self.expand(arg.key, said)?;
        let value = match (said.arg(&key), arg.value) {
            (Some(value), _) => Some(value.to_string()),
            (None, Some(word)) => Some(self.expand(word, said)?),
            (None, None) => said.globals.get(&key).cloned(),
        };
        if let Some(value) = value {
            self.set(key.clone(), value)?;
            self.args.retain(|name| *name != key);
            self.args.push(key);
        }
        Ok(())
    }

    fn pairs(&self, pairs: &[Pair<'_>], said: &Said<'_>) -> Result<Vec<(String, String)>, String> {
        pairs.iter().map(|pair| Ok((self.expand(pair.key, said)?, self.expand(pair.value, said)?))).collect()
    }

    /// The words of a command line: of one in shell form those of the shell.
    pub fn words(&self, line: &CommandLine<'_>) -> Vec<String> {
        match line {
            CommandLine::Exec(words) => words.iter().map(|word| word.to_string()).collect(),
            CommandLine::Shell("") => Vec::new(),
            CommandLine::Shell(text) => self.in_shell(text),
        }
    }

    /// A text for the shell.
    pub fn in_shell(&self, text: &str) -> Vec<String> {
        let mut words = self.config.shell.clone();
        if words.is_empty() {
            words = vec!["/bin/sh".into(), "-c".into()];
        }
        words.push(text.into());
        words
    }

    fn healthcheck(&self, check: &command::Healthcheck<'_>) -> Healthcheck {
        let command::Healthcheck::Probe {
            command,
            interval_ns,
            timeout_ns,
            start_period_ns,
            start_interval_ns,
            retries,
        } = check
        else {
            return Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() };
        };
        let test = match command {
            CommandLine::Shell(text) => vec!["CMD-SHELL".into(), (*text).into()],
            CommandLine::Exec(words) => {
                core::iter::once("CMD".into()).chain(words.iter().map(|word| word.to_string())).collect()
            }
        };
        Healthcheck {
            test,
            interval: *interval_ns,
            timeout: *timeout_ns,
            start_period: *start_period_ns,
            start_interval: *start_interval_ns,
            retries: i64::from(*retries),
        }
    }

    /// The environment of a `RUN`: variables and arguments, the later of two of the same name.
    pub fn environment(&self) -> Vec<String> {
        let mut env = self.config.env.clone();
        for name in &self.args {
            if let Some(value) = self.variables.get(name) {
                set_variable(&mut env, name, value);
            }
        }
        env
    }

    /// The arguments that a `RUN` sees, `NAME=value`, for the history.
    pub fn arguments(&self) -> Vec<String> {
        let value = |name: &String| self.variables.get(name).map(|value| format!("{name}={value}"));
        self.args.iter().filter_map(value).collect()
    }
}

/// Gives a variable its value, in its old place if it has one.
pub fn set_variable(env: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    let is_it = |old: &&mut String| old.split_once('=').is_some_and(|(name, _)| name == key);
    match env.iter_mut().find(is_it) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp` -> each port with its protocol.
pub fn ports(word: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(format!("invalid containerPort: {word}")),
    }
}

/// A relative directory is one below the old one.
pub fn join(old: &str, new: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let old = if new.starts_with('/') { "" } else { old };
    for part in old.split('/').chain(new.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::{Source, triggers};

    fn said(args: &[(String, String)]) -> Said<'_> {
        let globals = [("G".to_string(), "global".to_string())].into();
        Said { escape: '\\', args, globals }
    }

    fn after(text: &str, args: &[(String, String)]) -> State {
        let source = Source::fragment("Dockerfile", text).unwrap();
        let mut state = State::on_scratch(None);
        for instruction in triggers(&source).unwrap() {
            state.apply(&instruction.command, &said(args)).unwrap();
        }
        state
    }

    #[test]
    fn variables_and_arguments_hide_each_other_in_the_order_of_the_file() {
        let args = [("A".to_string(), "given".to_string()), ("LATE".to_string(), "x".to_string())];
        let state = after("ARG A=default G N\nENV E=$A-$G-$N\nARG E2=${E}2\nENV A=env\nARG LATE=y", &args);
        assert_eq!(state.variables["E"], "given-global-");
        assert_eq!(state.variables["E2"], "given-global-2");
        assert_eq!((state.variables["A"].as_str(), state.variables["LATE"].as_str()), ("env", "x"));
        assert!(!state.variables.contains_key("N"));
        assert_eq!(
            state.environment()[1..],
            ["E=given-global-", "A=env", "G=global", "E2=given-global-2", "LATE=x"]
        );
        let doubling = (0..40).fold(String::from("ENV A=1234567890\n"), |text, _| text + "ENV A=$A$A$A$A\n");
        let source = Source::fragment("Dockerfile", &doubling).unwrap();
        let mut state = State::default();
        let all = triggers(&source).unwrap();
        assert!(all.iter().any(|one| state.apply(&one.command, &said(&[])).is_err()));
        // One instruction sees the values from before it.
        assert_eq!(after("ENV A=1\nENV A=2 B=$A", &[]).variables["B"], "1");
    }

    #[test]
    fn an_entry_point_forgets_only_a_command_that_came_with_the_base() {
        let with_cmd = after("CMD [\"a\"]\nENTRYPOINT [\"b\"]", &[]);
        assert_eq!(with_cmd.config.cmd, Some(vec!["a".into()]));
        let mut child = with_cmd.below();
        let source = Source::fragment("Dockerfile", "ENTRYPOINT x").unwrap();
        child.apply(&triggers(&source).unwrap()[0].command, &said(&[])).unwrap();
        assert_eq!((child.config.cmd, child.config.entrypoint.unwrap().len()), (None, 3));
    }

    #[test]
    fn the_other_instructions_set_what_they_are_for() {
        let state = after(
            "WORKDIR a\nWORKDIR ../b\nUSER $U:1\nEXPOSE 80 127.0.0.1:81:82/UDP\nVOLUME /v [\nSTOPSIGNAL SIGRTMIN+1\n\
             SHELL [\"/bin/ash\", \"-c\"]\nCMD x\nLABEL a=b \"c d\"=e\nMAINTAINER me\nONBUILD RUN y\nHEALTHCHECK NONE",
            &[],
        );
        let config = &state.config;
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/b", ":1"));
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "82/udp"]);
        assert_eq!(config.cmd.as_deref().unwrap(), ["/bin/ash", "-c", "x"]);
        assert_eq!(config.labels["c d"], "e");
        assert_eq!(
            (state.author.as_str(), config.on_build.as_deref()),
            ("me", Some(&["RUN y".to_string()][..]))
        );
        assert_eq!(config.healthcheck.as_ref().unwrap().test, ["NONE"]);
        assert!(config.env[0].starts_with("PATH=/usr/local/sbin:"));
    }
}

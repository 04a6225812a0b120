//! Rules that follow the variables through the stages.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use super::{Lint, clean, rules, suggested};
use crate::{
    dockerfile::{
        Instruction, Line, Stage,
        command::{Arg, Command, CommandLine, Pair, Transfer},
        mount::Mount,
        scope::{PLATFORM_ARGS, Recorder, Scope, Scopes, globals},
    },
    image::{config::DEFAULT_PATH, reference::Reference},
    nearest::nearest,
};

/// What a stage hands on to those that build on it, beside its variables.
#[derive(Clone, Copy, Default)]
struct State {
    /// All its variables are known.
    is_known: bool,
    has_shell: bool,
    has_workdir: bool,
}

/// Names of variables and what they stand for.
type Values = BTreeMap<String, String>;

impl<'l> Lint<'l> {
    pub(super) fn stages(&mut self) {
        let (file, context) = (self.file, self.context);
        let args = || file.args.iter().map(|instruction| &instruction.command);
        let escape = file.directives.escape;
        let platform =
            |name: &str| PLATFORM_ARGS.contains(&name).then(|| (context.argument)(name).unwrap_or_default());
        let (defaults, _) = globals(args(), escape, &platform);
        let (values, declared) =
            globals(args(), escape, &|name| (context.argument)(name).or_else(|| platform(name)));
        let names = file.names();
        let mut scopes = Scopes(Vec::with_capacity(file.stages.len()));
        let mut states: Vec<State> = Vec::with_capacity(file.stages.len());
        for (number, stage) in file.stages.iter().enumerate() {
            self.default_image(stage, &defaults);
            let image = self.from(stage, &values, &declared);
            let base = names.before(number, &image);
            let mut scope = Scope::on(base);
            let mut state = base.map_or_else(State::default, |base| states[base]);
            if base.is_none() {
                self.base_image(stage.line, &image, &mut scope, &mut state);
            }
            scopes.0.push(scope);
            let mut walk = Walk { number, state, values: &values, last: BTreeMap::new() };
            for instruction in &stage.instructions {
                self.instruction(&mut walk, &mut scopes, instruction);
            }
            states.push(walk.state);
        }
    }

    fn default_image(&mut self, stage: &Stage<'_>, defaults: &Values) {
        let lookup = |name: &str| defaults.get(name).map(String::as_str);
        let recorder = Recorder::new(self.file.directives.escape, &lookup);
        let Ok(image) = recorder.word(stage.image) else { return };
        if Reference::parse(&image).is_err() {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", stage.image);
            self.report(rules::INVALID_DEFAULT_ARG_IN_FROM, stage.line, message);
        }
    }

    /// What a stage builds on.
    fn from(&mut self, stage: &Stage<'_>, values: &Values, declared: &BTreeSet<&str>) -> String {
        let lookup = |name: &str| values.get(name).map(String::as_str);
        let recorder = Recorder::new(self.file.directives.escape, &lookup);
        let image = recorder.word(stage.image).unwrap_or_default();
        if let Some(written) = &stage.platform {
            let platforms = Recorder::new(self.file.directives.escape, &lookup);
            let platform = platforms.word(written).unwrap_or_default();
            let (found, missing) = (platforms.found.into_inner(), platforms.missing.into_inner());
            if missing.is_empty() && found.len() == 1 && found.contains("TARGETPLATFORM") {
                if lookup("TARGETPLATFORM") == Some(&platform) {
                    let message = format!(
                        "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
                    );
                    self.report(rules::REDUNDANT_TARGET_PLATFORM, stage.line, message);
                }
            } else if missing.is_empty() && found.is_empty() {
                self.constant_platform(stage, &platform);
            }
            recorder.missing.borrow_mut().extend(missing);
        }
        for name in recorder.missing.into_inner() {
            if !declared.contains(name.as_str()) {
                let names = declared.iter().copied().chain(values.keys().map(String::as_str));
                let message = format!("FROM argument '{name}' is not declared");
                let message = suggested(message, "", nearest(&name, names));
                self.report(rules::UNDEFINED_ARG_IN_FROM, stage.line, message);
            }
        }
        image
    }

    fn constant_platform(&mut self, stage: &Stage<'_>, platform: &str) {
        let name = stage.name.unwrap_or_default().to_ascii_lowercase();
        let is_named_so = |part: &str| !part.is_empty() && name.contains(part);
        let mut parts = platform.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_platform = !first.is_empty()
            && platform.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-()".contains(&byte));
        if is_platform && !is_named_so(first) && !is_named_so(second) {
            let message = format!("FROM --platform flag should not use constant value {platform:?}");
            self.report(rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED, stage.line, message);
        }
    }

    fn base_image(&mut self, line: &Line<'_>, image: &str, scope: &mut Scope<'_>, state: &mut State) {
        scope.set("PATH", DEFAULT_PATH);
        let base = if image == "scratch" { Some(Default::default()) } else { (self.context.image)(image) };
        let Some(base) = base else { return };
        for (name, value) in base.env.iter().filter_map(|entry| entry.split_once('=')) {
            scope.set(name, value);
        }
        (state.is_known, state.has_shell) = (true, base.has_shell);
        let expected = (self.context.argument)("TARGETPLATFORM").unwrap_or_default();
        let differs = |n| expected.split('/').nth(n) != base.platform.split('/').nth(n);
        if !base.platform.is_empty() && !expected.is_empty() && (differs(0) || differs(1)) {
            let message = format!(
                "Base image {image} was pulled with platform {:?}, expected {expected:?} for current build",
                base.platform
            );
            self.report(rules::INVALID_BASE_IMAGE_PLATFORM, line, message);
        }
    }

    fn instruction(&mut self, walk: &mut Walk<'_, 'l>, scopes: &mut Scopes<'l>, one: &'l Instruction<'l>) {
        let (line, number) = (one.line, walk.number);
        let mut set = Vec::new();
        let lookup = |name: &str| scopes.value(number, name);
        let recorder = Recorder::new(self.file.directives.escape, &lookup);
        match &one.command {
            Command::Cmd(command) | Command::Entrypoint(command) => {
                self.json_recommended(walk, line, command);
                self.used_once(walk, &one.command, line);
            }
            Command::Healthcheck(_) => self.used_once(walk, &one.command, line),
            Command::Shell(_) => walk.state.has_shell = true,
            Command::Env(pairs) | Command::Label(pairs) => {
                let is_env = matches!(one.command, Command::Env(_));
                self.legacy(line, pairs);
                for pair in pairs {
                    let key = recorder.word(pair.key).unwrap_or_default();
                    let value = recorder.word(pair.value).unwrap_or_default();
                    if is_env {
                        self.secret(line, "ENV", &key);
                        set.push((key, value));
                    }
                }
            }
            Command::Workdir(path) => {
                let path = recorder.word(path).unwrap_or_default();
                if !walk.state.has_workdir && !path.starts_with('/') {
                    let message = format!(
                        "Relative workdir {path:?} can have unexpected results if the base image changes"
                    );
                    self.report(rules::WORKDIR_RELATIVE_PATH, line, message);
                }
                walk.state.has_workdir = true;
            }
            Command::Expose(words) => {
                let ports = words.iter().filter_map(|word| recorder.words(word).ok()).flatten();
                ports.for_each(|port| self.port(line, &port));
            }
            Command::Copy(copy) => self.copy(line, &copy.transfer, &recorder, copy.from.is_some()),
            Command::Add(add) => {
                let _ = add.checksum.as_deref().map(|word| recorder.word(word));
                self.copy(line, &add.transfer, &recorder, false);
            }
            Command::Run(run) => {
                for mount in &run.mounts {
                    let _ = Mount::parse(mount, |value| recorder.word(value));
                }
            }
            Command::StopSignal(word) | Command::User(word) => drop(recorder.word(word)),
            Command::Volume(words) => words.iter().for_each(|word| drop(recorder.word(word))),
            Command::Arg(args) => {
                self.args(walk, scopes, line, args);
                return;
            }
            Command::Maintainer(_) | Command::Onbuild(_) => {}
        }
        let missing = recorder.missing.into_inner();
        self.undefined(walk, scopes, line, missing);
        for (name, value) in set {
            scopes.0[walk.number].set(&name, &value);
        }
    }

    fn args(&mut self, walk: &Walk<'_, 'l>, scopes: &mut Scopes<'l>, line: &Line<'_>, args: &[Arg<'l>]) {
        for arg in args {
            self.secret(line, "ARG", arg.key);
            let lookup = |name: &str| scopes.value(walk.number, name);
            let recorder = Recorder::new(self.file.directives.escape, &lookup);
            let default = arg.value.map(|word| recorder.word(word).unwrap_or_default());
            let said = (self.context.argument)(arg.key);
            let missing = if said.is_some() { BTreeSet::new() } else { recorder.missing.into_inner() };
            self.undefined(walk, scopes, line, missing);
            if let Some(value) = said.or(default).or_else(|| walk.values.get(arg.key).cloned()) {
                scopes.0[walk.number].set(arg.key, &value);
            }
            scopes.0[walk.number].declare(arg.key);
        }
    }

    fn undefined(
        &mut self,
        walk: &Walk<'_, 'l>,
        scopes: &Scopes<'l>,
        line: &Line<'_>,
        missing: BTreeSet<String>,
    ) {
        if !walk.state.is_known {
            return;
        }
        for name in missing.iter().filter(|name| !scopes.is_declared(walk.number, name)) {
            let message = format!("Usage of undefined variable '${name}'");
            let message = suggested(message, "$", nearest(name, scopes.names(walk.number)));
            self.report(rules::UNDEFINED_VAR, line, message);
        }
    }

    fn json_recommended(&mut self, walk: &Walk<'_, '_>, line: &Line<'_>, command: &CommandLine<'_>) {
        if matches!(command, CommandLine::Shell(_)) && !walk.state.has_shell {
            let message = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                line.keyword()
            );
            self.report(rules::JSON_ARGS_RECOMMENDED, line, message);
        }
    }

    /// What is told is the earlier one, as it is the one without effect.
    fn used_once(&mut self, walk: &mut Walk<'_, 'l>, command: &Command<'_>, line: &'l Line<'l>) {
        if let Some(earlier) = walk.last.insert(command.keyword(), line) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                line.keyword()
            );
            self.report(rules::MULTIPLE_INSTRUCTIONS_DISALLOWED, earlier, message);
        }
    }

    fn legacy(&mut self, line: &Line<'_>, pairs: &[Pair<'_>]) {
        if pairs.iter().any(|pair| pair.is_legacy) {
            let name = line.keyword();
            let message =
                format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
            self.report(rules::LEGACY_KEY_VALUE_FORMAT, line, message);
        }
    }

    fn secret(&mut self, line: &Line<'_>, instruction: &str, key: &str) {
        let has = |words: &[&str]| {
            key.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
        };
        if has(&SECRET) && !has(&["public", "file", "version"]) {
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {key:?})");
            self.report(rules::SECRETS_USED_IN_ARG_OR_ENV, line, message);
        }
    }

    fn port(&mut self, line: &Line<'_>, port: &str) {
        let (address, protocol) = port.split_once('/').unwrap_or((port, ""));
        if protocol.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
            self.report(rules::EXPOSE_PROTO_CASING, line, message);
        }
        if address.contains(':') {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            );
            self.report(rules::EXPOSE_INVALID_FORMAT, line, message);
        }
    }

    fn copy(
        &mut self,
        line: &Line<'_>,
        transfer: &Transfer<'_>,
        recorder: &Recorder<'_>,
        is_elsewhere: bool,
    ) {
        for word in [Some(&transfer.destination), transfer.chown.as_ref(), transfer.chmod.as_ref()] {
            drop(word.map(|word| recorder.word(word)));
        }
        for heredoc in transfer.heredocs.iter().filter(|heredoc| heredoc.expands) {
            drop(recorder.body(&heredoc.content()));
        }
        let sources: Vec<String> =
            transfer.sources.iter().filter_map(|word| recorder.word(word).ok()).collect();
        let ignore = self.context.ignore.filter(|ignore| !is_elsewhere && !ignore.has_exceptions());
        let Some(ignore) = ignore else { return };
        for source in sources.iter().filter(|source| !is_remote(source)) {
            let path = clean(source);
            let is_ignored = match path.as_str() {
                "." => ignore.excludes_all(),
                path => ignore.matches(path.as_bytes()),
            };
            if is_ignored {
                let verb = if line.keyword().eq_ignore_ascii_case("ADD") { "Add" } else { "Copy" };
                let message = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
                self.report(rules::COPY_IGNORED_FILE, line, message);
            }
        }
    }
}

/// Where the walk through a stage is.
struct Walk<'w, 'l> {
    number: usize,
    state: State,
    /// The values of the `ARG`s before the first stage.
    values: &'w Values,
    /// Where an instruction that should be there once was last.
    last: BTreeMap<&'static str, &'l Line<'l>>,
}

const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// It is fetched, not taken from the context.
fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|prefix| source.starts_with(prefix))
}

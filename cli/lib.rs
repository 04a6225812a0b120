//! The command line: a thin client of the Docker Engine API. In: words and environment. Out: requests to the engine,
//! text, an exit code. Which verbs exist is in `verbs`.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
extern crate alloc;
// The code that argh's macros make says `std::vec::Vec` and the like.
#[cfg(not(test))]
extern crate argh as std;
#[cfg(test)]
extern crate std;

mod arguments;
mod attached;
mod build;
mod client;
mod contexts;
pub mod create;
mod download;
mod environment;
mod failure;
mod files;
mod format;
mod help;
mod host;
mod output;
mod platform;
mod progress;
mod session;
mod ssh;
mod streams;
mod table;
pub mod template;
mod terminal;
mod verbs;

use core::ffi::CStr;

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use argh::{ArgsInfo, FromArgs};
use arguments::Typed;
use client::Client;
use environment::Environment;
use failure::{Failure, Outcome};
use host::Host;
use skiff_core::{
    engine::{Engine, Settings},
    process::init,
    store::networks::BRIDGE,
};
use verbs::{Context, Entry, VERBS};

/// Builds and runs containers, with no daemon
#[derive(FromArgs, ArgsInfo)]
struct Program {
    /// where images, containers and volumes are
    #[argh(option, arg_name = "string")]
    data_root: Option<String>,
    /// where the state of running containers is
    #[argh(option, arg_name = "string")]
    run_root: Option<String>,
    /// the network of containers that name none
    #[argh(option, arg_name = "string")]
    default_network: Option<String>,
    /// talk to a daemon at unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST
    #[argh(option, short = 'H', arg_name = "address")]
    host: Option<String>,
    /// on the network, ask the daemon for its certificate and show one
    #[argh(switch)]
    tlsverify: bool,
    /// who vouches for the daemon
    #[argh(option, arg_name = "path")]
    tlscacert: Option<String>,
    /// the certificate to show
    #[argh(option, arg_name = "path")]
    tlscert: Option<String>,
    /// its key
    #[argh(option, arg_name = "path")]
    tlskey: Option<String>,
    /// talk to the daemon of this context
    #[argh(option, short = 'c', arg_name = "string")]
    context: Option<String>,
    /// show the requests to the engine
    #[argh(switch, short = 'D')]
    debug: bool,
    /// show the version
    #[argh(switch, short = 'v')]
    version: bool,
    #[argh(positional, greedy)]
    words: Vec<String>,
}

/// The program: its arguments and its environment -> the exit code.
pub fn main(
    arguments: impl Iterator<Item = &'static CStr> + Clone,
    environment: impl Iterator<Item = &'static CStr>,
) -> u8 {
    streams::prepare();
    let environment = Environment::new(environment);
    let called = arguments.clone().next();
    let done = words(arguments.skip(1)).and_then(|words| match called.map(CStr::to_bytes) {
        // What this binary is in a container with `--init`: `docker-init -- PROGRAM ARGUMENT...`
        Some(name) if name == init::PATH.as_bytes() => {
            Ok(init::run(words.get(1..).unwrap_or_default(), &environment.to_strings())?)
        }
        _ => program(&words, environment),
    });
    done.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            output::complain(&failure.message);
        }
        failure.exit
    })
}

fn words(arguments: impl Iterator<Item = &'static CStr>) -> Result<Vec<String>, Failure> {
    let text = |word: &CStr| match word.to_str() {
        Ok(text) => Ok(text.into()),
        Err(_) => {
            let message = format!("argument {} is not UTF-8 text", word.to_string_lossy());
            Err(Failure::new(message).exit(failure::EXIT_USAGE))
        }
    };
    arguments.map(text).collect()
}

fn program(words: &[String], environment: Environment) -> Outcome {
    let normal = match arguments::normalize(&Program::get_args_info(), words) {
        Err(message) => return Err(Failure::misuse("", &message)),
        Ok(Typed::Help) => return output::write(help::program().as_bytes()).map(|()| 0),
        Ok(Typed::Words(normal)) => normal,
    };
    let normal: Vec<&str> = normal.iter().map(String::as_str).collect();
    let program =
        Program::from_args(&["skiff"], &normal).map_err(|exit| Failure::misuse("", exit.output.trim()))?;
    if program.version {
        return output::line(concat!("skiff version ", env!("CARGO_PKG_VERSION"))).map(|()| 0);
    }
    match program.words.first().map(String::as_str) {
        None => output::write(help::program().as_bytes()).map(|()| 0),
        Some("help") => match program.words.get(1..) {
            None | Some([]) => output::write(help::program().as_bytes()).map(|()| 0),
            Some(rest) => command(&program, &[rest, &["--help".into()]].concat(), environment),
        },
        Some(_) => command(&program, &program.words, environment),
    }
}

/// Finds the verb that the words start with and runs it.
fn command(program: &Program, words: &[String], environment: Environment) -> Outcome {
    let first = words[0].as_str();
    let (entry, called, rest) = match find(first) {
        Some(entry) => (entry, first.to_owned(), &words[1..]),
        None if help::groups().contains(&first) => {
            let Some(second) = words.get(1).filter(|word| !matches!(word.as_str(), "--help" | "-h")) else {
                return output::write(help::group(first).as_bytes()).map(|()| 0);
            };
            let called = format!("{first} {second}");
            (find(&called).ok_or_else(|| unknown_command(&called))?, called, &words[2..])
        }
        None => return Err(unknown_command(first)),
    };
    let info = (entry.info)();
    let normal = match arguments::normalize(&info, rest) {
        Err(message) => return Err(Failure::misuse(&called, &message)),
        Ok(Typed::Help) => return output::write(help::verb(entry, &called).as_bytes()).map(|()| 0),
        Ok(Typed::Words(normal)) => normal,
    };
    count_is_right(entry, &info, &called, &normal)?;
    let normal: Vec<&str> = normal.iter().map(String::as_str).collect();
    let setting = |given: &Option<String>, name: &str, usual: &str| -> String {
        given.as_deref().or_else(|| environment.filled(name)).unwrap_or(usual).into()
    };
    let settings = Settings {
        data_root: setting(&program.data_root, "SKIFF_ROOT", Engine::DATA_ROOT),
        run_root: setting(&program.run_root, "SKIFF_RUN", Engine::RUN_ROOT),
        default_network: setting(&program.default_network, "SKIFF_NETWORK", BRIDGE),
    };
    let encrypted = program.tlsverify || environment.filled("DOCKER_TLS_VERIFY").is_some();
    let Program { tlscacert, tlscert, tlskey, .. } = program;
    let certificates = encrypted.then(|| {
        host::certificates(tlscacert.as_deref(), tlscert.as_deref(), tlskey.as_deref(), &environment)
    });
    let (host, context) = (program.host.as_deref(), program.context.as_deref());
    let host = Host::find(host, context, certificates, &environment, &settings);
    let client = Client::new(host, environment.clone(), program.debug);
    let context = Context { client, called, host: program.host.clone(), environment, settings };
    (entry.start)(&context, &normal)
}

fn find(called: &str) -> Option<&'static Entry> {
    VERBS.iter().find(|entry| entry.names.split('|').any(|name| name == called))
}

/// What is missing most.
const NO_REGISTRIES: &str = "registries are not supported yet";

/// Commands of docker's that people type here: why they are missing, and what to do instead.
const MISSING: [(&[&str], &str, &str); 4] = [
    (
        &["pull", "push", "login", "logout", "search", "manifest", "image pull", "image push"],
        NO_REGISTRIES,
        "`skiff load` takes what docker, podman and skopeo save, `skiff import` a root file system, `skiff save` gives back",
    ),
    (
        &["swarm", "service", "stack", "node", "secret", "config"],
        "there is no swarm",
        "skiff runs containers on one machine",
    ),
    (&["compose"], "it is a program of its own", "docker-compose works with `skiff serve`"),
    (&["buildx"], "it is a program of its own", "`skiff build` does what docker buildx build does"),
];

fn unknown_command(called: &str) -> Failure {
    if let Some((_, why, hint)) = MISSING.iter().find(|(names, ..)| names.contains(&called)) {
        return Failure::new(format!("{called}: {why}")).hint(hint);
    }
    let group = called.rsplit_once(' ').map(|(group, _)| group);
    let names = VERBS.iter().flat_map(|entry| entry.names.split('|'));
    let names = names.filter(|name| name.rsplit_once(' ').map(|(group, _)| group) == group);
    let meant = arguments::closest(called, names);
    let suggestion = meant.map(|meant| format!(" (did you mean skiff {meant}?)")).unwrap_or_default();
    Failure {
        exit: 1,
        ..Failure::misuse(group.unwrap_or(""), &format!("unknown command: skiff {called}{suggestion}"))
    }
}

/// Docker's words and exit code for too few or too many positional words.
fn count_is_right(
    entry: &Entry,
    info: &argh::CommandInfoWithArgs,
    called: &str,
    normal: &[String],
) -> Result<(), Failure> {
    // Values of flags can be `--` too; flags come first and each of them starts with a dash.
    let mut given = normal.len();
    let mut words = normal.iter();
    while let Some(word) = words.next() {
        given -= 1;
        if word == "--" {
            break;
        }
        let takes_value =
            |flag: &argh::FlagInfo<'_>| flag.long == word && flag.kind != argh::FlagInfoKind::Switch;
        if info.flags.iter().any(takes_value) {
            words.next();
            given -= 1;
        }
    }
    let open = info.positionals.last().is_some_and(|last| {
        matches!(last.optionality, argh::Optionality::Repeating | argh::Optionality::Greedy)
    });
    let (least, most) = (entry.least, info.positionals.len());
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let wrong = match () {
        () if given >= least && (open || given <= most) => return Ok(()),
        () if most == 0 => "accepts no arguments".to_owned(),
        () if !open && least == most => format!("requires {least} argument{}", s(least)),
        () if given < least => format!("requires at least {least} argument{}", s(least)),
        () => format!("requires at most {most} argument{}", s(most)),
    };
    let usage = format!("usage: skiff {called} {}", entry.usage);
    Err(Failure::new(format!("'skiff {called}' {wrong}")).hint(&usage))
}

//! The command line: a thin client of the Docker Engine API. In: words and environment. Out: requests to the engine,
//! text, an exit code. Which verbs exist is in `verbs`.
#![forbid(unsafe_code)]

mod arguments;
mod attached;
mod client;
mod create;
mod download;
mod failure;
mod format;
mod help;
mod output;
mod progress;
mod session;
mod streams;
mod table;
mod template;
mod terminal;
mod verbs;

use argh::{ArgsInfo, FromArgs};
use arguments::Typed;
use client::{Client, Host};
use failure::{Failure, Outcome};
use skiff_core::process::init;
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
    /// talk to a daemon at unix://PATH
    #[argh(option, short = 'H', arg_name = "string")]
    host: Option<String>,
    /// show the requests to the engine
    #[argh(switch, short = 'D')]
    debug: bool,
    /// show the version
    #[argh(switch, short = 'v')]
    version: bool,
    #[argh(positional, greedy)]
    words: Vec<String>,
}

fn main() -> std::process::ExitCode {
    let begun = match std::env::args().next().as_deref() {
        Some(init::PATH) => first_process(),
        _ => words().and_then(|words| program(&words)),
    };
    let exit = begun.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            output::complain(&failure.message);
        }
        failure.exit
    });
    exit.into()
}

/// What this binary is in a container with `--init`: `docker-init -- PROGRAM ARGUMENT...`
fn first_process() -> Outcome {
    let words = words()?;
    let environment: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(init::run(words.get(1..).unwrap_or_default(), &environment)?)
}

fn words() -> Result<Vec<String>, Failure> {
    let text = |word: std::ffi::OsString| {
        word.into_string().map_err(|word| {
            Failure::new(format!("argument {} is not UTF-8 text", word.display())).exit(failure::EXIT_USAGE)
        })
    };
    std::env::args_os().skip(1).map(text).collect()
}

fn program(words: &[String]) -> Outcome {
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
            Some(rest) => command(&program, &[rest, &["--help".into()]].concat()),
        },
        Some(_) => command(&program, &program.words),
    }
}

/// Finds the verb that the words start with and runs it.
fn command(program: &Program, words: &[String]) -> Outcome {
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
    let data_root = root(&program.data_root, "SKIFF_ROOT", skiff_core::engine::Engine::DATA_ROOT);
    let run_root = root(&program.run_root, "SKIFF_RUN", skiff_core::engine::Engine::RUN_ROOT);
    let host = host(program, &data_root, &run_root)?;
    let context = Context { client: Client::new(host, program.debug), called, data_root, run_root };
    (entry.start)(&context, &normal)
}

fn find(called: &str) -> Option<&'static Entry> {
    VERBS.iter().find(|entry| entry.names.split('|').any(|name| name == called))
}

fn unknown_command(called: &str) -> Failure {
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

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn root(given: &Option<String>, name: &str, default: &str) -> String {
    given.clone().or_else(|| variable(name)).unwrap_or_else(|| default.into())
}

/// Where the engine is, from flags, then environment, then defaults.
fn host(program: &Program, data_root: &str, run_root: &str) -> Result<Host, Failure> {
    let address = program.host.clone().or_else(|| variable("SKIFF_HOST")).or_else(|| variable("DOCKER_HOST"));
    match address {
        None => Ok(Host::Local { data_root: data_root.into(), run_root: run_root.into() }),
        Some(address) => match address.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Host::Socket(path.into())),
            _ => Err(Failure::misuse("", &format!("host {address} is not supported: it is unix:///PATH"))),
        },
    }
}

//! The commands: one table, one file per command. A command takes its flags and the client, and gives an exit code.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use core::fmt::Write;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};
use serde_json::{Map, Value};
use skiff_core::engine::Settings;
use skiff_syscalls::descriptor;

use crate::{
    client::{Client, query},
    create,
    environment::Environment,
    failure::{Failure, Outcome},
    output,
};

pub mod attach;
pub mod build;
pub mod commit;
pub mod context;
pub mod cp;
pub mod df;
pub mod dial;
pub mod diff;
pub mod events;
pub mod exec;
pub mod export;
pub mod history;
pub mod images;
pub mod import;
pub mod info;
pub mod inspect;
pub mod kill;
pub mod load;
pub mod logs;
pub mod network;
pub mod pause;
pub mod port;
pub mod prune;
pub mod ps;
pub mod rename;
pub mod rm;
pub mod rmi;
pub mod run;
pub mod save;
pub mod serve;
pub mod stats;
pub mod stop;
pub mod tag;
pub mod top;
pub mod update;
pub mod verify;
pub mod version;
pub mod volume;
pub mod wait;

/// What every command gets.
pub struct Context {
    /// The way to the engine.
    pub client: Client,
    /// How the command was called: `ps`, `container ls`.
    pub called: String,
    /// What was said with `-H` in front of the command.
    pub host: Option<String>,
    /// The client's environment.
    pub environment: Environment,
    /// Those of a server that is started here.
    pub settings: Settings,
}

/// A command: its flags are the fields, its first doc line is what `--help` says.
pub trait Verb: FromArgs + ArgsInfo {
    /// Does it.
    fn run(self, context: &Context) -> Outcome;
}

/// A row of the table of commands.
pub struct Entry {
    /// All names, separated by `|`; Docker's management forms have a space: `ps|container ls`.
    pub names: &'static str,
    /// What follows the name in the usage line.
    pub usage: &'static str,
    /// Least number of positional words.
    pub least: usize,
    /// argh's description of the flags.
    pub info: fn() -> CommandInfoWithArgs,
    /// Parses the words and does it.
    pub start: fn(&Context, &[&str]) -> Outcome,
}

const fn entry<V: Verb>(names: &'static str, usage: &'static str, least: usize) -> Entry {
    Entry { names, usage, least, info: V::get_args_info, start: start::<V> }
}

fn start<V: Verb>(context: &Context, words: &[&str]) -> Outcome {
    V::from_args(&[&context.called], words).map_err(|exit| bad_value(context, &exit.output))?.run(context)
}

/// argh's complaint about a value, in this program's words.
fn bad_value(context: &Context, output: &str) -> Failure {
    let text = output.trim();
    let text = text.strip_prefix("Error parsing ").unwrap_or(text).replace('\n', " ");
    Failure::misuse(&context.called, &format!("invalid {text}"))
}

/// All commands, in the order in which `--help` lists them.
pub const VERBS: &[Entry] = &[
    Entry {
        names: "run|container run",
        usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        least: 1,
        info: create::flags::of_run,
        start: run::start_run,
    },
    Entry {
        names: "create|container create",
        usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        least: 1,
        info: create::flags::of_create,
        start: run::start_create,
    },
    entry::<attach::Start>("start|container start", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<exec::Exec>("exec|container exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", 2),
    entry::<attach::Attach>("attach|container attach", "[OPTIONS] CONTAINER", 1),
    entry::<ps::Ps>("ps|container ls|container list|container ps", "[OPTIONS]", 0),
    entry::<stop::Stop>("stop|container stop", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<kill::Kill>("kill|container kill", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<stop::Restart>("restart|container restart", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<pause::Pause>("pause|container pause", "CONTAINER [CONTAINER...]", 1),
    entry::<pause::Unpause>("unpause|container unpause", "CONTAINER [CONTAINER...]", 1),
    entry::<wait::Wait>("wait|container wait", "CONTAINER [CONTAINER...]", 1),
    entry::<rm::Rm>("rm|container rm|container remove", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<prune::Containers>("container prune", "[OPTIONS]", 0),
    entry::<rename::Rename>("rename|container rename", "CONTAINER NEW_NAME", 2),
    entry::<update::Update>("update|container update", "[OPTIONS] CONTAINER [CONTAINER...]", 1),
    entry::<logs::Logs>("logs|container logs", "[OPTIONS] CONTAINER", 1),
    entry::<top::Top>("top|container top", "CONTAINER [ps OPTIONS]", 1),
    entry::<stats::Stats>("stats|container stats", "[OPTIONS] [CONTAINER...]", 0),
    entry::<cp::Cp>("cp|container cp", "[OPTIONS] CONTAINER:PATH PATH|-  or  PATH|- CONTAINER:PATH", 2),
    entry::<diff::Diff>("diff|container diff", "CONTAINER", 1),
    entry::<export::Export>("export|container export", "[OPTIONS] CONTAINER", 1),
    entry::<commit::Commit>("commit|container commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", 1),
    entry::<port::Port>("port|container port", "CONTAINER [PRIVATE_PORT[/PROTO]]", 1),
    entry::<inspect::Inspect>(
        "inspect|container inspect|image inspect|volume inspect|network inspect",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        1,
    ),
    entry::<images::Images>("images|image ls|image list", "[OPTIONS] [REPOSITORY[:TAG]]", 0),
    Entry {
        names: "build|image build|builder build",
        usage: "[OPTIONS] PATH | -",
        least: 1,
        info: crate::build::flags::info,
        start: build::start,
    },
    entry::<import::Import>("import|image import", "[OPTIONS] FILE|- [REPOSITORY[:TAG]]", 1),
    entry::<load::Load>("load|image load", "[OPTIONS]", 0),
    entry::<save::Save>("save|image save", "[OPTIONS] IMAGE [IMAGE...]", 1),
    entry::<rmi::Rmi>("rmi|image rm|image remove", "[OPTIONS] IMAGE [IMAGE...]", 1),
    entry::<tag::Tag>("tag|image tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", 2),
    entry::<history::History>("history|image history", "[OPTIONS] IMAGE", 1),
    entry::<prune::Images>("image prune", "[OPTIONS]", 0),
    entry::<verify::Verify>("image verify", "[OPTIONS] [IMAGE...]", 0),
    entry::<events::Events>("events|system events", "[OPTIONS]", 0),
    entry::<volume::Create>("volume create", "[OPTIONS] [VOLUME]", 0),
    entry::<volume::List>("volume ls|volume list", "[OPTIONS]", 0),
    entry::<volume::Remove>("volume rm|volume remove", "[OPTIONS] VOLUME [VOLUME...]", 1),
    entry::<network::Create>("network create", "[OPTIONS] NETWORK", 1),
    entry::<network::List>("network ls|network list", "[OPTIONS]", 0),
    entry::<network::Remove>("network rm|network remove", "[OPTIONS] NETWORK [NETWORK...]", 1),
    entry::<network::Connect>("network connect", "[OPTIONS] NETWORK CONTAINER", 2),
    entry::<network::Disconnect>("network disconnect", "[OPTIONS] NETWORK CONTAINER", 2),
    entry::<prune::Networks>("network prune", "[OPTIONS]", 0),
    entry::<prune::Volumes>("volume prune", "[OPTIONS]", 0),
    entry::<info::Info>("info|system info", "[OPTIONS]", 0),
    entry::<df::Df>("system df", "[OPTIONS]", 0),
    entry::<prune::System>("system prune", "[OPTIONS]", 0),
    entry::<prune::Builder>("builder prune", "[OPTIONS]", 0),
    entry::<version::Version>("version", "[OPTIONS]", 0),
    entry::<context::Create>("context create", "[OPTIONS] CONTEXT", 1),
    entry::<context::List>("context ls|context list", "[OPTIONS]", 0),
    entry::<context::Use>("context use", "CONTEXT", 1),
    entry::<context::Show>("context show", "", 0),
    entry::<context::Inspect>("context inspect", "[OPTIONS] [CONTEXT...]", 0),
    entry::<context::Remove>("context rm|context remove", "[OPTIONS] CONTEXT [CONTEXT...]", 1),
    entry::<serve::Serve>("serve", "[OPTIONS]", 0),
    entry::<dial::DialStdio>("dial-stdio|system dial-stdio", "", 0),
];

/// Does something to each of the names, in order. Failures are told at the end; then the exit code is 1.
fn each(names: &[String], mut action: impl FnMut(&str) -> Result<(), Failure>) -> Outcome {
    let mut failures = Vec::new();
    for name in names {
        if let Err(failure) = action(name) {
            if failure.message.is_empty() {
                return Err(failure);
            }
            failures.push(failure);
        }
    }
    for failure in &failures {
        output::complain(&failure.message);
    }
    Ok(u8::from(!failures.is_empty()))
}

/// Docker's `--filter name=value`s as the API's JSON.
fn filters(given: &[String]) -> Result<String, Failure> {
    let mut all = Map::new();
    for filter in given {
        let Some((name, value)) = filter.split_once('=') else {
            return Err(Failure::new(format!("invalid filter '{filter}': it is NAME=VALUE")));
        };
        let values = all.entry(name.trim().to_lowercase()).or_insert_with(|| Map::new().into());
        if let Value::Object(values) = values {
            values.insert(value.trim().into(), true.into());
        }
    }
    Ok(if all.is_empty() { String::new() } else { Value::Object(all).to_string() })
}

/// Puts `--filter`s into a request's target, if there are any.
fn add_filters(target: &mut String, given: &[String]) -> Result<(), Failure> {
    let wanted = filters(given)?;
    if !wanted.is_empty() {
        query(target, "filters", &wanted);
    }
    Ok(())
}

/// A member's text; empty if it is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A member's number; 0 if it is none.
fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or(0)
}

/// A member's items; none if it is no array.
fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The first 12 digits of an id.
fn short_id(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}

/// `2006-01-02 15:04:05 +0000 UTC`, as lists show times.
fn time_text(seconds: i64) -> String {
    let text = skiff_core::clock::Time::from_unix(seconds, 0).fixed();
    format!("{} {} +0000 UTC", &text[..10], &text[11..19])
}

/// `5 minutes ago`
fn ago(seconds: i64) -> String {
    let now = skiff_core::clock::Time::now();
    let nanos = now.since(skiff_core::clock::Time::from_unix(seconds, 0));
    skiff_core::clock::duration::in_words(nanos) + " ago"
}

/// Asks on the terminal whether to go on; anything but yes is no.
fn confirmed(warning: &str) -> Result<bool, Failure> {
    output::write(format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    // Byte by byte: what is behind the line is not ours.
    while answer.len() < 100 && matches!(rustix::io::read(descriptor::standard()[0], &mut byte), Ok(1)) {
        if byte[0] == b'\n' {
            break;
        }
        answer.push(byte[0]);
    }
    Ok(matches!(answer.trim_ascii(), b"y" | b"Y" | b"yes"))
}

/// `key: value` lines of a text that is built up.
fn field(out: &mut String, indent: usize, name: &str, value: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(out, "{:indent$}{name}: {value}", "");
}

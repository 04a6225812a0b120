//! The commands: one table, one file per command. A command takes its flags and the client, and gives an exit code.

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use crate::{
    client::Client,
    failure::{Failure, Outcome},
};

pub mod version;

/// What every command gets.
pub struct Context {
    /// The way to the engine.
    pub client: Client,
    /// How the command was called: `ps`, `container ls`.
    pub called: String,
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
pub const VERBS: &[Entry] = &[entry::<version::Version>("version", "[OPTIONS]", 0)];

//! Descriptions of commands, which the derived code fills in; `--help` and the pass in front of the parser read them.

use alloc::vec::Vec;

/// A command.
#[derive(Debug, Clone)]
pub struct CommandInfoWithArgs {
    /// The type's name.
    pub name: &'static str,
    /// Its letter; none has one.
    pub short: &'static char,
    /// What it does.
    pub description: &'static str,
    /// Examples of usage.
    pub examples: &'static [&'static str],
    /// Notes on usage.
    pub notes: &'static [&'static str],
    /// The flags.
    pub flags: &'static [FlagInfo<'static>],
    /// The words without a dash.
    pub positionals: &'static [PositionalInfo<'static>],
    /// Sub-commands: none, they are a table of their own.
    pub commands: Vec<SubCommandInfo>,
    /// What exit codes mean.
    pub error_codes: &'static [ErrorCodeInfo<'static>],
}

impl Default for CommandInfoWithArgs {
    fn default() -> Self {
        CommandInfoWithArgs {
            name: "",
            short: &'\0',
            description: "",
            examples: &[],
            notes: &[],
            flags: &[],
            positionals: &[],
            commands: Vec::new(),
            error_codes: &[],
        }
    }
}

/// A sub-command, of which there are none.
#[derive(Debug, Clone, Copy)]
pub enum SubCommandInfo {}

/// The meaning of an exit code.
#[derive(Debug)]
pub struct ErrorCodeInfo<'a> {
    /// The code.
    pub code: i32,
    /// Its meaning.
    pub description: &'a str,
}

/// A flag.
#[derive(Debug)]
pub struct FlagInfo<'a> {
    /// Whether it takes a value.
    pub kind: FlagInfoKind<'a>,
    /// Whether and how often it can be given.
    pub optionality: Optionality,
    /// Its name with the dashes.
    pub long: &'a str,
    /// Its letter.
    pub short: Option<char>,
    /// What it does.
    pub description: &'a str,
    /// Whether `--help` leaves it out.
    pub hidden: bool,
}

/// Whether a flag takes a value.
#[derive(Debug, PartialEq, Eq)]
pub enum FlagInfoKind<'a> {
    /// None.
    Switch,
    /// One.
    Option {
        /// What `--help` calls the value.
        arg_name: &'a str,
    },
}

/// Whether and how often something can be given.
#[derive(Debug, PartialEq, Eq)]
pub enum Optionality {
    /// Once.
    Required,
    /// Once or not.
    Optional,
    /// Any number of times.
    Repeating,
    /// All the rest, flags or not.
    Greedy,
}

/// A word without a dash.
#[derive(Debug)]
pub struct PositionalInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub description: &'a str,
    /// Whether and how often it can be given.
    pub optionality: Optionality,
    /// Whether `--help` leaves it out.
    pub hidden: bool,
}

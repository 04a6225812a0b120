//! The instructions, typed. Words are as they stand in the file: quotes, escapes and variables are still in them, for
//! [`expand`](super::expand::expand), unless it says otherwise.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use super::heredoc::Heredoc;

/// A word that may have been unescaped by JSON or as a flag, and is copied only then.
pub type Word<'a> = Cow<'a, str>;

/// What an instruction says.
#[derive(Debug, Clone, PartialEq)]
pub enum Command<'a> {
    /// `ADD`
    Add(Box<Add<'a>>),
    /// `ARG`
    Arg(Vec<Arg<'a>>),
    /// `CMD`
    Cmd(CommandLine<'a>),
    /// `COPY`
    Copy(Box<Copy<'a>>),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine<'a>),
    /// `ENV`
    Env(Vec<Pair<'a>>),
    /// `EXPOSE`: words that may be several ports each once they are expanded; [`expand::words`](super::expand::words).
    Expose(Vec<&'a str>),
    /// `HEALTHCHECK`
    Healthcheck(Box<Healthcheck<'a>>),
    /// `LABEL`
    Label(Vec<Pair<'a>>),
    /// `MAINTAINER`; not expanded.
    Maintainer(&'a str),
    /// `ONBUILD`
    Onbuild(Box<Onbuild<'a>>),
    /// `RUN`
    Run(Box<Run<'a>>),
    /// `SHELL`: at least one word; not expanded.
    Shell(Vec<Word<'a>>),
    /// `STOPSIGNAL`
    StopSignal(&'a str),
    /// `USER`
    User(&'a str),
    /// `VOLUME`: none is empty.
    Volume(Vec<Word<'a>>),
    /// `WORKDIR`
    Workdir(&'a str),
}

impl Command<'_> {
    /// The instruction's name in capitals.
    pub fn keyword(&self) -> &'static str {
        match self {
            Command::Add(_) => "ADD",
            Command::Arg(_) => "ARG",
            Command::Cmd(_) => "CMD",
            Command::Copy(_) => "COPY",
            Command::Entrypoint(_) => "ENTRYPOINT",
            Command::Env(_) => "ENV",
            Command::Expose(_) => "EXPOSE",
            Command::Healthcheck(_) => "HEALTHCHECK",
            Command::Label(_) => "LABEL",
            Command::Maintainer(_) => "MAINTAINER",
            Command::Onbuild(_) => "ONBUILD",
            Command::Run(_) => "RUN",
            Command::Shell(_) => "SHELL",
            Command::StopSignal(_) => "STOPSIGNAL",
            Command::User(_) => "USER",
            Command::Volume(_) => "VOLUME",
            Command::Workdir(_) => "WORKDIR",
        }
    }
}

/// What is run. It is never expanded here: that is the shell's work.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandLine<'a> {
    /// For the shell, as it stands; may be empty.
    Shell(&'a str),
    /// The program and its arguments; may be empty.
    Exec(Vec<Word<'a>>),
}

impl CommandLine<'_> {
    /// There is nothing to run.
    pub fn is_empty(&self) -> bool {
        match self {
            CommandLine::Shell(text) => text.is_empty(),
            CommandLine::Exec(words) => words.is_empty(),
        }
    }
}

/// `RUN`
#[derive(Debug, Clone, PartialEq)]
pub struct Run<'a> {
    /// What is run. Of a shell's line with documents this is the line without them.
    pub command: CommandLine<'a>,
    /// The documents that follow.
    pub heredocs: &'a [Heredoc<'a>],
    /// `--mount`, each for [`Mount::parse`](super::mount::Mount::parse).
    pub mounts: Vec<Word<'a>>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// `--device`
    pub devices: Vec<Device>,
}

/// The network of a `RUN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// As the build has it.
    #[default]
    Default,
    /// None but a loopback device.
    None,
    /// The host's.
    Host,
}

/// The rights of a `RUN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Those of a container.
    #[default]
    Sandbox,
    /// All.
    Insecure,
}

/// A CDI device of a `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `vendor/class=name`, or a class of them.
    pub name: alloc::string::String,
    /// It is a mistake if there is none.
    pub required: bool,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer<'a> {
    /// What is copied, without the documents.
    pub sources: Vec<Word<'a>>,
    /// Documents that become files named like them.
    pub heredocs: Vec<&'a Heredoc<'a>>,
    /// Where to.
    pub destination: Word<'a>,
    /// `--chown`
    pub chown: Option<Word<'a>>,
    /// `--chmod`
    pub chmod: Option<Word<'a>>,
    /// `--link`
    pub link: bool,
    /// `--exclude`: patterns as in `.dockerignore`; not expanded.
    pub excludes: Vec<Word<'a>>,
}

/// `COPY`
#[derive(Debug, Clone, PartialEq)]
pub struct Copy<'a> {
    /// What, where to, and how.
    pub transfer: Transfer<'a>,
    /// `--from`: a stage's name or number, or an image; never has variables.
    pub from: Option<Word<'a>>,
    /// `--parents`
    pub parents: bool,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq)]
pub struct Add<'a> {
    /// What, where to, and how.
    pub transfer: Transfer<'a>,
    /// `--checksum`
    pub checksum: Option<Word<'a>>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; without it archives of the context are unpacked, and downloads are not.
    pub unpack: Option<bool>,
}

/// A variable or a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'a> {
    /// To be expanded like the value.
    pub key: &'a str,
    /// What it is set to.
    pub value: &'a str,
    /// It was written `KEY value` with the rest of the line as the value.
    pub is_legacy: bool,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg<'a> {
    /// To be expanded like the value.
    pub key: &'a str,
    /// What it is unless the build says otherwise.
    pub value: Option<&'a str>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq)]
pub enum Healthcheck<'a> {
    /// `NONE`: not even the base image's.
    Disabled,
    /// `CMD`; times of 0 are the default's.
    Probe {
        /// Never empty.
        command: CommandLine<'a>,
        /// `--interval`
        interval_ns: i64,
        /// `--timeout`
        timeout_ns: i64,
        /// `--start-period`
        start_period_ns: i64,
        /// `--start-interval`
        start_interval_ns: i64,
        /// `--retries`; 0 is the default's.
        retries: u32,
    },
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq)]
pub struct Onbuild<'a> {
    /// The instruction with its documents, as the image keeps it; [`triggers`](super::triggers) reads it again.
    pub trigger: Word<'a>,
    /// The instruction.
    pub command: Command<'a>,
}

//! The text of a Dockerfile -> typed instructions. Pure: bytes come in, slices of them go out, nothing is opened or run.
//!
//! [`Source`] cuts a file into logical lines, [`Dockerfile::parse`] understands them, [`expand`] gives words their
//! meaning once the variables are known.
//!
//! ```text
//! # syntax=docker/dockerfile:1      directives
//! ARG VERSION=3.20                  arguments for FROM
//! FROM alpine:${VERSION} AS base    a stage
//! RUN --mount=type=cache,target=/x \
//!     apk add make                  its instructions
//! COPY <<EOF /etc/motd
//! hello                             a document
//! EOF
//! ```
//!
//! # Spec
//! BuildKit's Dockerfile frontend 1.26; messages are in its words.

pub mod ast;
pub mod command;
mod directives;
pub mod expand;
mod fault;
mod flags;
mod heredoc;
pub mod ignore;
mod instruction;
pub mod lint;
pub mod mount;
mod print;
mod scope;
mod source;
pub mod wildcard;
mod words;

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use command::{Command, Word};
pub use directives::Directives;
use fault::Problem;
pub use fault::{Excerpt, Fault};
pub use heredoc::Heredoc;
use instruction::Parsed;
pub use source::{Line, Source};

/// A whole file.
#[derive(Debug)]
pub struct Dockerfile<'a> {
    /// What stands on top.
    pub directives: Directives<'a>,
    /// The `ARG`s before the first stage, which only `FROM` sees.
    pub args: Vec<Instruction<'a>>,
    /// At least one.
    pub stages: Vec<Stage<'a>>,
}

/// From one `FROM` to the next.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Where its `FROM` is.
    pub line: &'a Line<'a>,
    /// What it builds on: an earlier stage, an image or `scratch`; to be expanded.
    pub image: &'a str,
    /// Its name as it was written. Names are the same whatever their case; see [`Stage::is_named`].
    pub name: Option<&'a str>,
    /// `--platform`, to be expanded.
    pub platform: Option<Word<'a>>,
    /// What is done in it.
    pub instructions: Vec<Instruction<'a>>,
}

/// An instruction and where it is.
#[derive(Debug)]
pub struct Instruction<'a> {
    /// Its text, its place and its comments.
    pub line: &'a Line<'a>,
    /// What it says.
    pub command: Command<'a>,
}

impl<'a> Dockerfile<'a> {
    /// Understands a file.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(source: &'a Source<'_>) -> Result<Self, Fault> {
        let mut file = Dockerfile { directives: source.directives, args: Vec::new(), stages: Vec::new() };
        for line in &source.lines {
            let parsed = instruction::parse(&line.text, &line.heredocs, source.directives.escape)
                .map_err(|problem| source.fault(line, problem))?;
            match (parsed, file.stages.last_mut()) {
                (Parsed::From(from), _) => file.stages.push(Stage {
                    line,
                    image: from.image,
                    name: from.name,
                    platform: from.platform,
                    instructions: Vec::new(),
                }),
                (Parsed::Command(command), Some(stage)) => {
                    stage.instructions.push(Instruction { line, command });
                }
                (Parsed::Command(command @ Command::Arg(_)), None) => {
                    file.args.push(Instruction { line, command });
                }
                (Parsed::Command(_), None) => {
                    let problem = Problem::new("no build stage in current context", line.keyword());
                    return Err(source.fault(line, problem));
                }
            }
        }
        if file.stages.is_empty() {
            return Err(Fault::of_file(source.name, "dockerfile contains no stages to build", 1));
        }
        Ok(file)
    }

    /// The stage of a name: the last of several.
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().rposition(|stage| stage.is_named(name))
    }

    /// The names of all stages, for many questions.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        for (number, stage) in self.stages.iter().enumerate() {
            if let Some(name) = stage.name {
                names.0.entry(name.to_ascii_lowercase()).or_default().push(number);
            }
        }
        names
    }
}

/// Stages by name.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, Vec<usize>>);

impl Names {
    /// What a stage of that number means by a name: the last one before it that has it.
    pub fn before(&self, number: usize, name: &str) -> Option<usize> {
        let same = self.0.get(&name.to_ascii_lowercase())?;
        same[..same.partition_point(|other| *other < number)].last().copied()
    }
}

impl Stage<'_> {
    /// Whether that is its name.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Instructions without a stage: what an image's `ONBUILD` left, or what came with `--change`.
///
/// # Errors
/// The first mistake; a `FROM` is one.
pub fn triggers<'a>(source: &'a Source<'_>) -> Result<Vec<Instruction<'a>>, Fault> {
    let understand = |line: &'a Line<'_>| {
        match instruction::parse(&line.text, &line.heredocs, source.directives.escape) {
            Ok(Parsed::Command(command)) => Ok(Instruction { line, command }),
            Ok(Parsed::From(_)) => {
                Err(Problem::new("FROM isn't allowed as an ONBUILD trigger", line.keyword()))
            }
            Err(problem) => Err(problem),
        }
        .map_err(|problem| source.fault(line, problem))
    };
    source.lines.iter().map(understand).collect()
}

#[cfg(test)]
mod tests;

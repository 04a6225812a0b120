//! What is better not done in a Dockerfile, as `docker build --check` tells it. Pure: what it knows of images and of the
//! context it is told.

mod checks;
mod file;
mod rules;
mod stage;

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

pub use checks::Checks;
pub use rules::{RULES, Rule};

use super::{Dockerfile, Line, ignore::Patterns};
use crate::Result;

/// What the lint is told.
pub struct Context<'c> {
    /// What the context leaves out.
    pub ignore: Option<&'c Patterns>,
    /// `--build-arg`, and the variables of the platform such as `TARGETARCH`.
    pub argument: &'c dyn Fn(&str) -> Option<String>,
    /// What is known of an image; of one that is not known, variables are not checked.
    pub image: &'c dyn Fn(&str) -> Option<BaseImage>,
    /// `BUILDKIT_DOCKERFILE_CHECK`: instead of what the file says.
    pub check: Option<&'c str>,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Context { ignore: None, argument: &|_| None, image: &|_| None, check: None }
    }
}

/// What an image brings along.
#[derive(Debug, Clone, Default)]
pub struct BaseImage {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// It has a `SHELL` of its own.
    pub has_shell: bool,
    /// What it was made for, `linux/amd64`; empty if that does not matter.
    pub platform: String,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that it is against.
    pub rule: &'static Rule,
    /// What it is, in BuildKit's words.
    pub message: String,
    /// The first line of the instruction.
    pub first: u32,
    /// Its last.
    pub last: u32,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WARNING: {} - {}\n{}", self.rule.name, self.rule.url(), self.message)
    }
}

/// All that was found, in the order of the lines.
#[derive(Debug, Default)]
pub struct Report {
    /// Each.
    pub findings: Vec<Finding>,
    /// The file wants them to be mistakes.
    pub is_error: bool,
}

impl Report {
    /// The message of the mistake that the findings are, if they are one.
    pub fn error(&self) -> Option<String> {
        let mut names: Vec<&str> = self.findings.iter().map(|finding| finding.rule.name).collect();
        names.sort_unstable();
        names.dedup();
        (self.is_error && !names.is_empty())
            .then(|| format!("lint violation found for rules: {}", names.join(", ")))
    }
}

/// Checks a file.
///
/// # Errors
/// [`crate::Error::Invalid`] for a `check` that can't be read.
pub fn lint(file: &Dockerfile<'_>, context: &Context<'_>) -> Result<Report> {
    let checks = Checks::parse(context.check.or(file.directives.check).unwrap_or_default())?;
    let mut lint = Lint { file, context, checks, findings: Vec::new() };
    lint.file();
    lint.stages();
    let mut findings = lint.findings;
    findings.sort_by_key(|finding| finding.first);
    Ok(Report { findings, is_error: lint.checks.is_error })
}

struct Lint<'l> {
    file: &'l Dockerfile<'l>,
    context: &'l Context<'l>,
    checks: Checks<'l>,
    findings: Vec<Finding>,
}

impl<'l> Lint<'l> {
    /// Something is wrong with an instruction; a comment above it may say that it is not.
    fn report(&mut self, rule: &'static Rule, line: &Line<'_>, message: impl Into<String>) {
        let own = line.check().and_then(|check| Checks::parse(check).ok());
        let has = own.map_or(self.checks.has(rule), |own| self.checks.merged(&own).has(rule));
        if has {
            let message = message.into();
            self.findings.push(Finding { rule, message, first: line.first, last: line.last });
        }
    }
}

/// A message with a guess.
fn suggested(message: String, prefix: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("{message} (did you mean {prefix}{meant}?)"),
        None => message,
    }
}

/// The directory or file that a source means, without what a path does not need.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/").to_string() }
}

#[cfg(test)]
mod tests;

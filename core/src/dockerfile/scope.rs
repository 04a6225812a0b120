//! Which variables an instruction sees, as far as a file tells: what the lint and the outline know without a build.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::cell::RefCell;

use super::{
    command::{Arg, Command},
    expand,
};

/// So much of a value is kept: enough to tell what a substitution does.
const KEPT: usize = 1024;

/// So many stages in a row are looked through; an image has no more layers either.
const DEEPEST: usize = 128;

/// The variables before the first stage that are there without an `ARG`, but are for `FROM` only.
pub(super) const PLATFORM_ARGS: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// Variables of one stage, without those of the stage that it builds on.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// The number of that stage.
    pub base: Option<usize>,
    /// What is set.
    values: BTreeMap<String, String>,
    /// `ARG`s, set or not.
    declared: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    /// Of a stage that builds on another one.
    pub fn on(base: Option<usize>) -> Self {
        Scope { base, ..Scope::default() }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        let end = (0..=value.len().min(KEPT)).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
        self.values.insert(name.to_string(), value[..end].to_string());
    }

    /// Declares an argument.
    pub fn declare(&mut self, name: &'a str) {
        self.declared.insert(name);
    }
}

/// The scopes of a file, one a stage.
pub(super) struct Scopes<'a>(pub Vec<Scope<'a>>);

impl<'a> Scopes<'a> {
    fn chain(&self, stage: usize) -> impl Iterator<Item = &Scope<'a>> {
        let mut next = Some(stage);
        core::iter::from_fn(move || {
            let scope = &self.0[next?];
            next = scope.base;
            Some(scope)
        })
        .take(DEEPEST)
    }

    /// The value of a variable in a stage.
    pub fn value(&self, stage: usize, name: &str) -> Option<&str> {
        self.chain(stage).find_map(|scope| scope.values.get(name)).map(String::as_str)
    }

    /// Whether an `ARG` names it.
    pub fn is_declared(&self, stage: usize, name: &str) -> bool {
        self.chain(stage).any(|scope| scope.declared.contains(name))
    }

    /// The names of all that are set.
    pub fn names(&self, stage: usize) -> impl Iterator<Item = &str> {
        self.chain(stage).flat_map(|scope| scope.values.keys().map(String::as_str))
    }
}

/// An expansion that remembers what it asked for.
pub(super) struct Recorder<'l> {
    pub escape: char,
    pub lookup: &'l dyn Fn(&str) -> Option<&'l str>,
    /// Names that had a value.
    pub found: RefCell<BTreeSet<String>>,
    /// Names that had none.
    pub missing: RefCell<BTreeSet<String>>,
}

impl<'l> Recorder<'l> {
    pub fn new(escape: char, lookup: &'l dyn Fn(&str) -> Option<&'l str>) -> Self {
        Recorder { escape, lookup, found: RefCell::default(), missing: RefCell::default() }
    }

    fn ask(&self, name: &str) -> Option<&'l str> {
        let value = (self.lookup)(name);
        let names = if value.is_some() { &self.found } else { &self.missing };
        names.borrow_mut().insert(name.to_string());
        value
    }

    /// One word.
    pub fn word(&self, word: &str) -> Result<String, String> {
        expand::expand(word, self.escape, &|name| self.ask(name))
    }

    /// Words.
    pub fn words(&self, word: &str) -> Result<Vec<String>, String> {
        expand::words(word, self.escape, &|name| self.ask(name))
    }

    /// A document.
    pub fn body(&self, text: &str) -> Result<String, String> {
        expand::body(text, &|name| self.ask(name))
    }
}

/// What the `ARG`s before the first stage are if the build says nothing. The platform's variables are `known`.
pub(super) fn globals<'a>(
    args: impl Iterator<Item = &'a Command<'a>>,
    escape: char,
    known: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, String>, BTreeSet<&'a str>) {
    let mut values = BTreeMap::new();
    let mut declared = BTreeSet::new();
    for name in PLATFORM_ARGS {
        values.extend(known(name).map(|value| (name.to_string(), value)));
    }
    let pairs = args.flat_map(|command| match command {
        Command::Arg(args) => args.as_slice(),
        _ => &[],
    });
    for Arg { key, value } in pairs {
        declared.insert(*key);
        let said = known(key);
        let value = match (said, value) {
            (Some(said), _) => Some(said),
            (None, Some(word)) => {
                let lookup = |name: &str| values.get(name).map(String::as_str);
                expand::expand(word, escape, &lookup).ok()
            }
            (None, None) => None,
        };
        values.extend(value.filter(|value| value.len() <= KEPT).map(|value| (key.to_string(), value)));
    }
    (values, declared)
}

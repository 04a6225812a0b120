//! The flags of an instruction against those that it has.

use alloc::{format, string::String, vec::Vec};

use super::{
    command::Word,
    fault::Problem,
    words::{self, Flag},
};
use crate::nearest::nearest;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value.
    Text,
    /// A value, and it may be given again.
    Many,
    /// Nothing, `true` or `false`.
    Bool,
}

/// Flags that are known and have what they need.
#[derive(Debug)]
pub(super) struct Flags<'a> {
    list: Vec<Flag<'a>>,
}

impl<'a> Flags<'a> {
    /// Takes the flags off the front of an instruction's rest.
    pub fn take(text: &'a str, escape: char, known: &[(&str, Kind)]) -> Result<(Self, &'a str), Problem<'a>> {
        let (list, rest) = words::flags(text, escape);
        let mut seen = 0_u32;
        for flag in &list {
            check(flag, known, &mut seen).map_err(|message| Problem::new(message, flag.written))?;
        }
        Ok((Flags { list }, rest))
    }

    /// A flag, as often as it was given: how it was written, for messages, and its value.
    pub fn each(&self, name: &str) -> impl Iterator<Item = (&'a str, &Word<'a>)> {
        let same = self.list.iter().filter(move |flag| flag.name == name);
        same.filter_map(|flag| Some((flag.written, flag.value.as_ref()?)))
    }

    /// All values of a flag.
    pub fn all(&self, name: &str) -> Vec<Word<'a>> {
        self.each(name).map(|(_, value)| value.clone()).collect()
    }

    /// The value of a flag; an empty one is none.
    pub fn text(&self, name: &str) -> Option<Word<'a>> {
        self.find(name)?.value.clone().filter(|value| !value.is_empty())
    }

    /// Whether a flag of two states is set; `None` if it does not say.
    pub fn bool(&self, name: &str) -> Option<bool> {
        Some(self.find(name)?.value.as_deref().is_none_or(|value| value.eq_ignore_ascii_case("true")))
    }

    /// How a flag was written, for messages.
    pub fn written(&self, name: &str) -> &'a str {
        self.find(name).map_or("", |flag| flag.written)
    }

    fn find(&self, name: &str) -> Option<&Flag<'a>> {
        self.list.iter().find(|flag| flag.name == name)
    }
}

fn check(flag: &Flag<'_>, known: &[(&str, Kind)], seen: &mut u32) -> Result<(), String> {
    let name = &flag.name;
    let Some(number) = known.iter().position(|(known, _)| known == name) else {
        let message = format!("unknown flag: --{name}");
        return Err(match nearest(name, known.iter().map(|(known, _)| *known)) {
            Some(meant) => format!("{message} (did you mean {meant}?)"),
            None => message,
        });
    };
    let kind = known[number].1;
    if *seen & 1 << number != 0 && kind != Kind::Many {
        return Err(format!("duplicate flag specified: --{name}"));
    }
    *seen |= 1 << number;
    match (kind, flag.value.as_deref()) {
        (Kind::Text | Kind::Many, Some(_)) | (Kind::Bool, None) => Ok(()),
        (Kind::Text | Kind::Many, None) | (Kind::Bool, Some("")) => {
            Err(format!("missing a value on flag: --{name}"))
        }
        (Kind::Bool, Some(value)) => match value.to_ascii_lowercase().as_str() {
            "true" | "false" => Ok(()),
            _ => Err(format!("expecting boolean value for flag --{name}, not: {value}")),
        },
    }
}

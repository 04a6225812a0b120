//! How the rest of an instruction is split: at blanks, at blanks outside of quotes, as flags, as a JSON list. Nothing is
//! expanded here; what is found are slices of the text, unless it has escapes.

use alloc::{borrow::Cow, string::String, vec::Vec};

use serde::de::IgnoredAny;

const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// The first word and the rest, without the blanks around them.
pub(super) fn keyword(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Words between blanks; quotes mean nothing.
pub(super) fn plain(text: &str) -> impl Iterator<Item = &str> {
    text.split(BLANKS).filter(|word| !word.is_empty())
}

/// Words between blanks that are not quoted; quotes and escapes are kept. An escape at the very end is dropped.
pub(super) fn quoted(text: &str, escape: char) -> Vec<&str> {
    let (mut words, mut begin, mut quote) = (Vec::new(), None, None);
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter.is_whitespace() && quote.is_none() {
            words.extend(begin.take().map(|begin| &text[begin..at]));
            continue;
        }
        let start = *begin.get_or_insert(at);
        match letter {
            '\'' | '"' if quote == Some(letter) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            _ if letter == escape && quote != Some('\'') && letters.next().is_none() => {
                words.extend((at > start).then_some(&text[start..at]));
                begin = None;
            }
            _ => {}
        }
    }
    words.extend(begin.map(|begin| &text[begin..]));
    words
}

/// A flag before the arguments.
#[derive(Debug, Clone)]
pub(super) struct Flag<'a> {
    /// As it was written.
    pub written: &'a str,
    /// Without `--`, quotes and escapes.
    pub name: Cow<'a, str>,
    /// What stands behind `=`.
    pub value: Option<Cow<'a, str>>,
}

/// The flags that a text begins with, and the rest. A bare `--` ends them.
pub(super) fn flags(text: &str, escape: char) -> (Vec<Flag<'_>>, &str) {
    let (mut found, mut rest) = (Vec::new(), text.trim());
    while rest.starts_with("--") {
        let (word, length) = flag_word(rest, escape);
        let written = &rest[..length];
        rest = rest[length..].trim_start();
        if word == "--" {
            break;
        }
        let name = cut(&word, 2..word.len());
        let (name, value) = match name.find('=') {
            Some(at) => (cut(&name, 0..at), Some(cut(&name, at + 1..name.len()))),
            None => (name, None),
        };
        found.push(Flag { written, name, value });
    }
    (found, rest)
}

/// The first word without quotes and escapes, and its length with them.
fn flag_word(text: &str, escape: char) -> (Cow<'_, str>, usize) {
    let is_plain = |c: &char| !c.is_whitespace() && !matches!(c, '\'' | '"') && *c != escape;
    let plain: usize = text.chars().take_while(is_plain).map(char::len_utf8).sum();
    if text[plain..].chars().next().is_none_or(char::is_whitespace) {
        return (Cow::Borrowed(&text[..plain]), plain);
    }
    let (mut word, mut quote) = (String::from(&text[..plain]), None);
    let mut letters = text[plain..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' | '"' if quote == Some(letter) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            _ if letter == escape => word.extend(letters.next().map(|(_, next)| next)),
            _ if letter.is_whitespace() && quote.is_none() => return (Cow::Owned(word), plain + at),
            _ => word.push(letter),
        }
    }
    (Cow::Owned(word), text.len())
}

/// A part of a word, copied only if the word is a copy.
fn cut<'a>(word: &Cow<'a, str>, range: core::ops::Range<usize>) -> Cow<'a, str> {
    match word {
        Cow::Borrowed(word) => Cow::Borrowed(&word[range]),
        Cow::Owned(word) => Cow::Owned(word[range].into()),
    }
}

/// What a text is that may be a JSON list of strings.
#[derive(Debug)]
pub(super) enum Json<'a> {
    /// It is one.
    List(Vec<Cow<'a, str>>),
    /// A list, but not all of it are strings.
    Mixed,
    /// Something else.
    No,
}

/// Reads a list of strings.
pub(super) fn json(text: &str) -> Json<'_> {
    if !text.starts_with('[') {
        return Json::No;
    }
    match strings(text) {
        Some(list) => Json::List(list),
        // Rare: only a complete and sound list is a mistake, anything else is a command for the shell.
        None if serde_json::from_str::<Vec<IgnoredAny>>(text).is_ok() => Json::Mixed,
        None => Json::No,
    }
}

fn strings(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let skip = |text: &mut &str| *text = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let mut rest = text.strip_prefix('[')?;
    let mut list = Vec::new();
    skip(&mut rest);
    if let Some(behind) = rest.strip_prefix(']') {
        return behind.is_empty().then_some(list);
    }
    loop {
        let length = string_length(rest)?;
        let inside = &rest[1..length - 1];
        let is_plain = inside.bytes().all(|byte| byte != b'\\' && byte >= b' ');
        list.push(match is_plain {
            true => Cow::Borrowed(inside),
            false => Cow::Owned(serde_json::from_str(&rest[..length]).ok()?),
        });
        rest = &rest[length..];
        skip(&mut rest);
        if let Some(behind) = rest.strip_prefix(']') {
            return behind.is_empty().then_some(list);
        }
        rest = rest.strip_prefix(',')?;
        skip(&mut rest);
    }
}

/// Of the JSON string that a text begins with, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    (bytes.first() == Some(&b'"')).then_some(())?;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)? + 1;
        if bytes[at - 1] == b'"' {
            return Some(at);
        }
        at += 1;
    }
}

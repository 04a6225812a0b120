//! How the rest of an instruction is split: at blanks, at blanks outside of quotes, as flags, as a JSON list. Nothing is
//! expanded here; what is found are slices of the text, unless it has escapes.

use alloc::{borrow::Cow, string::String, vec::Vec};

use serde::de::IgnoredAny;

/// What splits an instruction into words.
#[inline(always)]
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

/// As `str::trim_start`, quick where white space is ASCII.
pub(super) fn trim_start(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && (is_blank(bytes[at]) || bytes[at] == b'\n') {
        at += 1;
    }
    if bytes.get(at).is_some_and(|byte| !byte.is_ascii()) { text.trim_start() } else { &text[at..] }
}

/// As `str::trim_end`.
pub(super) fn trim_end(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while end > 0 && (is_blank(bytes[end - 1]) || bytes[end - 1] == b'\n') {
        end -= 1;
    }
    if end > 0 && !bytes[end - 1].is_ascii() { text.trim_end() } else { &text[..end] }
}

/// The first word and the rest, without the blanks around them.
pub(super) fn keyword(text: &str) -> (&str, &str) {
    let text = trim_end(trim_start(text));
    let end = word_end(text, 0);
    (&text[..end], trim_start(&text[end..]))
}

/// Where the blanks begin that are next from a place on.
fn word_end(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() && !is_blank(bytes[at]) {
        at += 1;
    }
    at
}

/// Where the next word begins.
fn word_begin(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() && is_blank(bytes[at]) {
        at += 1;
    }
    at
}

/// Words between blanks; quotes mean nothing.
pub(super) fn plain(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let begin = word_begin(text, at);
        at = word_end(text, begin);
        (begin < at).then(|| &text[begin..at])
    })
}

/// Words between blanks that are not quoted; quotes and escapes are kept. An escape at the very end is dropped.
pub(super) fn quoted(text: &str, escape: char) -> Vec<&str> {
    let (bytes, escape) = (text.as_bytes(), escape as u8);
    let (mut words, mut begin, mut quote, mut at) = (Vec::new(), None, None, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        let is_plain = byte > b' ' && byte != escape && byte != b'"' && byte != b'\'' && byte < 0x80;
        if is_plain && begin.is_some() {
            at += 1;
            continue;
        }
        if quote.is_none()
            && let Some(length) = white_space(text, at)
        {
            words.extend(begin.take().map(|begin| &text[begin..at]));
            at += length;
            continue;
        }
        let start = *begin.get_or_insert(at);
        if byte == escape && quote != Some(b'\'') {
            if at + 1 == bytes.len() {
                words.extend((at > start).then_some(&text[start..at]));
                begin = None;
            }
            at += 1;
        } else if quote == Some(byte) {
            quote = None;
        } else if matches!(byte, b'\'' | b'"') && quote.is_none() {
            quote = Some(byte);
        }
        at += 1;
    }
    words.extend(begin.map(|begin| &text[begin..]));
    words
}

/// The length of the white space character at a place, if there is one.
fn white_space(text: &str, at: usize) -> Option<usize> {
    match text.as_bytes()[at] {
        byte if is_blank(byte) || byte == b'\n' => Some(1),
        byte if byte.is_ascii() || !text.is_char_boundary(at) => None,
        _ => text[at..].chars().next().filter(|c| c.is_whitespace()).map(char::len_utf8),
    }
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
    let (mut found, mut rest) = (Vec::new(), trim_end(trim_start(text)));
    while rest.starts_with("--") {
        let (word, length) = flag_word(rest, escape);
        let written = &rest[..length];
        rest = trim_start(&rest[length..]);
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
    let is_special = |byte: u8| {
        matches!(byte, b'\'' | b'"' | b'\n') || byte == escape as u8 || is_blank(byte) || !byte.is_ascii()
    };
    let plain = text.bytes().position(is_special).unwrap_or(text.len());
    if text.as_bytes().get(plain).is_none_or(|byte| is_blank(*byte)) {
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
    let skip = |text: &mut &str| {
        let blank = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        *text = &text[blank..];
    };
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

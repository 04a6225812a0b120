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
    match bytes.get(at) {
        Some(0x80..) => text.trim_start(),
        Some(_) if at == 0 => text,
        _ => &text[at..],
    }
}

/// As `str::trim_end`.
pub(super) fn trim_end(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while end > 0 && (is_blank(bytes[end - 1]) || bytes[end - 1] == b'\n') {
        end -= 1;
    }
    match bytes[..end].last() {
        Some(0x80..) => text.trim_end(),
        Some(_) if end == bytes.len() => text,
        _ => &text[..end],
    }
}

/// The first word and the rest, without the blanks around them.
pub(super) fn keyword(text: &str) -> (&str, &str) {
    let text = trim_end(trim_start(text));
    let end = word_end(text, 0);
    let (word, rest) = text.split_at(end);
    (word, trim_start(rest))
}

/// What stands before the first `=` and what behind it.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(b'=', text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
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
pub(super) fn quoted(text: &str, escape: char) -> impl Iterator<Item = &str> {
    let mut at = 0;
    core::iter::from_fn(move || {
        while at < text.len()
            && let Some(length) = white_space(text, at)
        {
            at += length;
        }
        let begin = at;
        at = quoted_end(text, begin, escape as u8);
        (begin < at).then(|| &text[begin..at])
    })
}

/// Where the word ends that begins at a place.
fn quoted_end(text: &str, mut at: usize, escape: u8) -> usize {
    let bytes = text.as_bytes();
    let mut quote = None;
    while at < bytes.len() {
        let special = match quote {
            None => bytes[at..].iter().position(|byte| !is_plain(*byte, escape)),
            Some(b'"') => memchr::memchr2(b'"', escape, &bytes[at..]),
            Some(quote) => memchr::memchr(quote, &bytes[at..]),
        };
        at = special.map_or(bytes.len(), |length| at + length);
        match bytes.get(at) {
            Some(byte) if *byte == escape && at + 1 == bytes.len() => return at,
            Some(byte) if *byte == escape => at += 1,
            Some(byte @ (b'\'' | b'"')) => quote = if quote.is_none() { Some(*byte) } else { None },
            Some(_) if white_space(text, at).is_some() => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// It is part of a word, wherever it stands.
#[inline(always)]
fn is_plain(byte: u8, escape: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\'') && byte != escape
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

/// The flags that a text without blanks around it begins with, and the rest. A bare `--` ends them.
pub(super) fn flags(text: &str, escape: char) -> (Vec<Flag<'_>>, &str) {
    let (mut found, mut rest) = (Vec::new(), text);
    while rest.as_bytes().starts_with(b"--") {
        let (word, length) = flag_word(rest, escape);
        let (written, behind) = rest.split_at(length);
        rest = trim_start(behind);
        if word.len() == 2 {
            break;
        }
        let (name, value) = match memchr::memchr(b'=', word.as_bytes()) {
            Some(at) => (cut(&word, 2..at), Some(cut(&word, at + 1..word.len()))),
            None => (cut(&word, 2..word.len()), None),
        };
        found.push(Flag { written, name, value });
    }
    (found, rest)
}

/// The first word without quotes and escapes, and its length with them.
fn flag_word(text: &str, escape: char) -> (Cow<'_, str>, usize) {
    let plain = text.bytes().position(|byte| !is_plain(byte, escape as u8)).unwrap_or(text.len());
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
    if !text.as_bytes().starts_with(b"[") {
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
    let bytes = text.as_bytes();
    let skip = |at: usize| {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        at + bytes[at..].iter().take_while(|byte| is_blank(byte)).count()
    };
    let mut list = Vec::new();
    let mut at = skip(1);
    if bytes.get(at) == Some(&b']') {
        return (at + 1 == bytes.len()).then_some(list);
    }
    loop {
        let end = at + string_length(&bytes[at..])?;
        let inside = &text[at + 1..end - 1];
        let is_plain = inside.bytes().all(|byte| byte != b'\\' && byte >= b' ');
        list.push(match is_plain {
            true => Cow::Borrowed(inside),
            false => Cow::Owned(serde_json::from_str(&text[at..end]).ok()?),
        });
        at = skip(end);
        match bytes.get(at)? {
            b',' => at = skip(at + 1),
            b']' => return (at + 1 == bytes.len()).then_some(list),
            _ => return None,
        }
    }
}

/// Of the JSON string that a text begins with, quotes included.
fn string_length(bytes: &[u8]) -> Option<usize> {
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

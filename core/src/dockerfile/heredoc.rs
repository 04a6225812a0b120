//! Here documents: `<<EOF` in a `RUN`, `COPY` or `ADD`, and the lines up to `EOF` behind it.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{
    source::Physical,
    words::{self, Json},
};

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc<'a> {
    /// The word behind `<<`, without quotes; the name of the file that a `COPY` makes of it.
    pub name: String,
    /// The number before `<<`; 0 if there is none.
    pub descriptor: u32,
    /// Variables in it are to be expanded: its word had no quotes.
    pub expands: bool,
    /// It was `<<-`: tabs that begin its lines are not part of it.
    pub strips_tabs: bool,
    /// Its lines as they stand in the file, each with its end.
    pub body: &'a str,
}

impl<'a> Heredoc<'a> {
    /// The body, without the tabs that are not part of it.
    pub fn content(&self) -> Cow<'a, str> {
        if !self.strips_tabs || !self.body.contains('\t') {
            return Cow::Borrowed(self.body);
        }
        Cow::Owned(self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect())
    }
}

/// Cuts out the documents that follow a line which may have them.
///
/// # Errors
/// The word of one that does not end.
pub(super) fn take<'a, 't>(
    text: &'t str,
    escape: char,
    lines: &mut Physical<'a>,
) -> Result<Vec<Heredoc<'a>>, &'t str> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let is_doubled = |at: usize| bytes.get(at + 1) == Some(&b'<');
    if !memchr::memchr_iter(b'<', bytes).any(is_doubled) || !may_have(text, escape) {
        return Ok(found);
    }
    for word in words_of(text) {
        let Some(heredoc) = parse(word) else { continue };
        let body = body(&heredoc, lines).ok_or(word)?;
        found.push(Heredoc { body, ..heredoc });
    }
    Ok(found)
}

/// The lines before the one that is its name.
fn body<'a>(heredoc: &Heredoc<'_>, lines: &mut Physical<'a>) -> Option<&'a str> {
    let start = lines.at;
    loop {
        let end = lines.at;
        let line = lines.next()?;
        let line = if heredoc.strips_tabs { line.trim_start_matches('\t') } else { line };
        if line == heredoc.name {
            return Some(&lines.text[start..end]);
        }
    }
}

/// It is an instruction that takes documents, and is not in JSON form.
fn may_have(text: &str, escape: char) -> bool {
    let (mut keyword, mut rest) = words::keyword(text);
    if keyword.eq_ignore_ascii_case("ONBUILD") {
        (keyword, rest) = words::keyword(words::flags(rest, escape).1);
    }
    ["RUN", "COPY", "ADD"].iter().any(|known| keyword.eq_ignore_ascii_case(known))
        && !matches!(words::json(words::flags(rest, escape).1), Json::List(_))
}

/// Words as a shell splits them, quotes and escapes kept; none if a quote does not end. Blanks behind `<<` do not split.
fn words_of(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut found, mut begin, mut at) = (Vec::new(), None, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_whitespace() || byte == 0x0b {
            found.extend(begin.take().map(|begin| &text[begin..at]));
            at += 1;
            continue;
        }
        begin = begin.or(Some(at));
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'\'' => match memchr::memchr(b'\'', &bytes[at..]) {
                Some(end) => at += end + 1,
                None => return Vec::new(),
            },
            b'"' => loop {
                match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    Some(end) if bytes[at + end] == b'"' => {
                        at += end + 1;
                        break;
                    }
                    Some(end) if at + end + 2 <= bytes.len() => at += end + 2,
                    _ => return Vec::new(),
                }
            },
            b'<' if bytes.get(at) == Some(&b'<') => {
                at += 1 + usize::from(bytes.get(at + 1) == Some(&b'-'));
                at += bytes[at..].iter().take_while(|byte| matches!(byte, b'\t' | b'\r' | b' ')).count();
            }
            _ => {}
        }
    }
    found.extend(begin.map(|begin| &text[begin..]));
    found
}

/// A word that names a document: `[number]<<[-][blanks]word`. It has no body yet.
pub(super) fn parse(word: &str) -> Option<Heredoc<'static>> {
    let (number, rest) = word.split_at(memchr::memchr(b'<', word.as_bytes())?);
    let rest = rest.strip_prefix("<<")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return None;
    }
    let bare = rest.strip_prefix('-');
    let quoted = bare.unwrap_or(rest).trim_ascii_start();
    let (mut name, mut quote, mut expands) = (String::with_capacity(quoted.len()), None, true);
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' if quote.is_none_or(|quote| quote == letter) => {
                quote = if quote.is_none() { Some(letter) } else { None };
                expands = false;
            }
            '\\' if quote.is_none() => name.extend(letters.next()),
            '\\' if quote == Some('"') => {
                name.push(letters.next_if(|next| matches!(next, '"' | '$' | '\\')).unwrap_or('\\'));
            }
            _ => name.push(letter),
        }
    }
    let descriptor = number.parse().unwrap_or(0);
    (!name.is_empty()).then_some(Heredoc { name, descriptor, expands, strips_tabs: bare.is_some(), body: "" })
}

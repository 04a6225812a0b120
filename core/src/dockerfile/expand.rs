//! Variables: `$NAME`, `${NAME}` with its modifiers, and the quotes and escapes around them. Pure.
//!
//! What comes out is never expanded again; it can be longer than the word by at most [`LONGEST`].

mod pattern;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use pattern::Pattern;

/// What expansion may add to a word, in bytes: values that double each time would fill the memory.
pub const LONGEST: usize = 1 << 20;
/// Most substitutions within substitutions.
const DEEPEST: usize = 64;

/// The value of a variable, if it is set.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<&'l str>;

/// One word: variables replaced, quotes and escapes gone.
///
/// # Errors
/// What is wrong with it, in BuildKit's words.
pub fn expand(word: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    if is_plain(word, escape) {
        return Ok(word.into());
    }
    let mut out = Output::new(word, false);
    Expander::new(word, escape, lookup).run(None, Escapes::Removed, &mut out).map_err(failed(word))?;
    Ok(out.text)
}

/// The same, and the result is split at blanks that no quotes protect, be they in the word or in a value.
///
/// # Errors
/// As [`expand`].
pub fn words(word: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>, String> {
    let mut out = Output::new(word, true);
    Expander::new(word, escape, lookup).run(None, Escapes::Removed, &mut out).map_err(failed(word))?;
    out.end_word();
    Ok(out.words)
}

/// The body of a document: quotes mean nothing in it, and a backslash is what escapes in every file.
///
/// # Errors
/// As [`expand`].
pub fn body(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    if is_plain(text, '\\') {
        return Ok(text.into());
    }
    let mut out = Output::new(text, false);
    let mut expander = Expander::new(text, '\\', lookup);
    expander.has_quotes = false;
    expander.run(None, Escapes::Removed, &mut out).map_err(failed(text))?;
    Ok(out.text)
}

fn is_plain(word: &str, escape: char) -> bool {
    !word.bytes().any(|byte| matches!(byte, b'$' | b'\'' | b'"') || byte == escape as u8)
}

/// Of a long text the beginning is enough to find it.
fn failed(word: &str) -> impl Fn(String) -> String {
    move |why| {
        let end = word.char_indices().nth(200).map_or(word.len(), |(end, _)| end);
        format!("failed to process {:?}: {why}", &word[..end])
    }
}

/// Whether an escape character itself is part of what comes out. In patterns it is: it has a meaning there, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    Kept,
}

struct Expander<'w, 'l> {
    rest: &'w str,
    escape: char,
    lookup: Lookup<'l>,
    has_quotes: bool,
    escapes: Escapes,
    depth: usize,
    /// Bytes that may still come out of values.
    left: usize,
}

impl<'w, 'l> Expander<'w, 'l> {
    fn new(word: &'w str, escape: char, lookup: Lookup<'l>) -> Self {
        let escapes = Escapes::Removed;
        Expander { rest: word, escape, lookup, has_quotes: true, escapes, depth: 0, left: LONGEST }
    }

    fn next(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next();
        self.rest = letters.as_str();
        letter
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Up to the end, or to a character that ends it and is taken.
    fn run(&mut self, stop: Option<char>, escapes: Escapes, out: &mut Output) -> Result<(), String> {
        let outer = core::mem::replace(&mut self.escapes, escapes);
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("substitutions are nested more than {DEEPEST} deep"));
        }
        loop {
            let Some(letter) = self.next() else {
                if let Some(stop) = stop {
                    return Err(format!("unexpected end of statement while looking for matching {stop}"));
                }
                break;
            };
            match letter {
                _ if stop == Some(letter) => break,
                '$' => {
                    let value = self.dollar()?;
                    out.value(&value);
                }
                '\'' if self.has_quotes => self.single_quoted(out)?,
                '"' if self.has_quotes => self.double_quoted(out)?,
                _ if letter == self.escape => {
                    if escapes == Escapes::Kept {
                        out.letter(letter);
                    }
                    if let Some(next) = self.next() {
                        out.letter(next);
                    }
                }
                _ => out.plain(letter),
            }
        }
        self.depth -= 1;
        self.escapes = outer;
        Ok(())
    }

    fn single_quoted(&mut self, out: &mut Output) -> Result<(), String> {
        let (inside, behind) = self
            .rest
            .split_once('\'')
            .ok_or("unexpected end of statement while looking for matching single-quote")?;
        self.rest = behind;
        out.text(inside);
        Ok(())
    }

    fn double_quoted(&mut self, out: &mut Output) -> Result<(), String> {
        loop {
            match self.next() {
                None => {
                    return Err("unexpected end of statement while looking for matching double-quote".into());
                }
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar()?;
                    out.text(&value);
                }
                Some(letter) if letter == self.escape => {
                    let takes = |next: char| matches!(next, '"' | '$') || next == self.escape;
                    match self.peek() {
                        // At the very end it is dropped, and the quote has no end.
                        None => {}
                        Some(next) if takes(next) => {
                            if self.escapes == Escapes::Kept {
                                out.letter(letter);
                            }
                            out.letter(next);
                            self.next();
                        }
                        Some(_) if self.escapes == Escapes::Kept => {
                            out.letter(letter);
                            out.letter(letter);
                        }
                        Some(_) => out.letter(letter),
                    }
                }
                Some(letter) => out.letter(letter),
            }
        }
    }

    /// What stands for a variable; its `$` is taken.
    fn dollar(&mut self) -> Result<String, String> {
        let Some(inside) = self.rest.strip_prefix('{') else {
            return match self.name() {
                "" => Ok("$".into()),
                name => {
                    let value = (self.lookup)(name).unwrap_or_default();
                    self.afford(value)
                }
            };
        };
        self.rest = inside;
        if self.rest.is_empty() {
            return Err("syntax error: missing '}'".into());
        }
        if self.rest.starts_with(['{', '}', ':']) {
            return Err("syntax error: bad substitution".into());
        }
        let name = self.name();
        let value = (self.lookup)(name);
        match self.next() {
            Some('}') => self.afford(value.unwrap_or_default()),
            Some('/') => self.replace(value.unwrap_or_default()),
            Some(side @ ('#' | '%')) => self.trim(value.unwrap_or_default(), side),
            Some(modifier @ ('-' | '+' | '?')) => self.test(name, value, modifier, false),
            Some(':') => match self.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.test(name, value, modifier, true),
                Some(other) => Err(format!("unsupported modifier (:{other}) in substitution")),
                None => Err("syntax error: missing '}'".into()),
            },
            Some(other) => Err(format!("unsupported modifier ({other}) in substitution")),
            None => Err("syntax error: missing '}'".into()),
        }
    }

    /// A value that comes out as it is.
    fn afford(&mut self, value: &str) -> Result<String, String> {
        self.left = self
            .left
            .checked_sub(value.len())
            .ok_or_else(|| format!("expands to more than {LONGEST} bytes"))?;
        Ok(value.into())
    }

    /// A name, a number, or one character that a shell has a value for.
    fn name(&mut self) -> &'w str {
        let rest = self.rest;
        let first = rest.chars().next();
        let end = match first {
            Some('0' | '@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            Some(digit) if digit.is_numeric() => rest.find(|c: char| !c.is_numeric()),
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = behind;
        name
    }

    /// The word of a modifier.
    fn word(&mut self, stop: char, escapes: Escapes) -> Result<String, String> {
        let mut out = Output::new("", false);
        match self.run(Some(stop), escapes, &mut out) {
            Ok(()) => Ok(out.text),
            Err(_) if self.rest.is_empty() && stop == '/' => Err("syntax error: missing '/' in ${}".into()),
            Err(_) if self.rest.is_empty() => Err("syntax error: missing '}'".into()),
            Err(error) => Err(error),
        }
    }

    /// `-`, `+` and `?`, with or without the colon that makes empty count as unset.
    fn test(
        &mut self,
        name: &str,
        value: Option<&str>,
        modifier: char,
        colon: bool,
    ) -> Result<String, String> {
        let word = self.word('}', Escapes::Removed)?;
        let good = value.filter(|value| !colon || !value.is_empty());
        match (modifier, good) {
            ('-', Some(good)) | ('?', Some(good)) => self.afford(good),
            ('+', None) => Ok(String::new()),
            ('-', None) | ('+', Some(_)) => Ok(word),
            _ if !word.is_empty() => Err(format!("{name}: {word}")),
            _ if value.is_some() => Err(format!("{name}: is not allowed to be empty")),
            _ => Err(format!("{name}: is not allowed to be unset")),
        }
    }

    /// `#` and `%`; twice for the longest match.
    fn trim(&mut self, value: &str, side: char) -> Result<String, String> {
        let word = self.word('}', Escapes::Kept)?;
        let (word, longest) = match word.strip_prefix(side) {
            Some(word) => (word, true),
            None => (word.as_str(), false),
        };
        let pattern = Pattern::parse(word)?;
        let rest = match side {
            '#' => pattern.trim_start(value, longest),
            _ => pattern.trim_end(value, longest),
        };
        self.afford(rest)
    }

    /// `/` once, `//` everywhere.
    fn replace(&mut self, value: &str) -> Result<String, String> {
        let everywhere = self.peek() == Some('/');
        if everywhere {
            self.next();
        }
        let pattern = Pattern::parse(&self.word('/', Escapes::Kept)?)?;
        let replacement = self.word('}', Escapes::Kept)?;
        let limit = if everywhere { usize::MAX } else { 1 };
        let replaced = pattern
            .replace(value, &replacement, limit, self.left)
            .ok_or_else(|| format!("expands to more than {LONGEST} bytes"))?;
        self.afford(&replaced)
    }
}

/// What comes out: one text, or words.
struct Output {
    text: String,
    words: Vec<String>,
    splits: bool,
}

impl Output {
    fn new(word: &str, splits: bool) -> Self {
        Output { text: String::with_capacity(word.len()), words: Vec::new(), splits }
    }

    /// A letter that ends a word if it is blank.
    fn plain(&mut self, letter: char) {
        if self.splits && letter.is_whitespace() {
            self.end_word();
        } else {
            self.text.push(letter);
        }
    }

    /// A letter that stands for itself.
    fn letter(&mut self, letter: char) {
        self.text.push(letter);
    }

    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// What a variable stands for.
    fn value(&mut self, value: &str) {
        match self.splits {
            true => value.chars().for_each(|letter| self.plain(letter)),
            false => self.text(value),
        }
    }

    fn end_word(&mut self) {
        if !self.text.is_empty() {
            self.words.push(self.text.to_string());
            self.text.clear();
        }
    }
}

#[cfg(test)]
mod tests;

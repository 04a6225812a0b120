//! Patterns of names, as Go's `path.Match` reads them, and those of `.dockerignore`, which also have `**`. Pure.
//!
//! A pattern is a list of tokens, and what has been read of a text is the set of places in it where one may be. So the
//! time is at most the product of both lengths, whatever the pattern.

use alloc::{boxed::Box, format, vec, vec::Vec};

use crate::{Error, Result};

/// Longest pattern, in bytes; paths are no longer either.
const LONGEST: usize = 4096;

/// A pattern: `*` is any run without a slash, `?` any one character but a slash, `[a-z]` and `[^a-z]` one of these or
/// none of them, and a backslash takes the next character as it is.
#[derive(Debug, Clone)]
pub struct Glob {
    tokens: Vec<Token>,
    /// What every text that fits begins with: the letters before the first token that is none.
    head: Vec<u8>,
    /// The longest run of letters, which every text that fits has somewhere.
    needle: Vec<u8>,
    /// There is nothing but the head.
    is_plain: bool,
}

/// What two stars in a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stars {
    /// No more than one.
    Same,
    /// Any number of directories, as in `.dockerignore`.
    Directories,
}

#[derive(Debug, Clone)]
enum Token {
    Letter(u32),
    /// `?`
    One,
    /// Ranges of letters; whether they are those that do not fit.
    Class(Box<[(u32, u32)]>, bool),
    /// `*`
    Star,
    /// `**/`: nothing, or anything that ends in a slash.
    Directories,
    /// `**` at the end.
    Anything,
}

/// Whether a pattern means all of a text.
///
/// # Errors
/// [`Error::Invalid`] for a pattern that can't be read.
pub fn matches(pattern: &str, text: &str) -> Result<bool> {
    Ok(Glob::parse(pattern.as_bytes(), Stars::Same)?.matches(text.as_bytes()))
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it can't be read or is longer than a path.
    pub fn parse(pattern: &[u8], stars: Stars) -> Result<Self> {
        let shown = alloc::string::String::from_utf8_lossy(pattern);
        if pattern.len() > LONGEST {
            return Err(Error::Invalid(format!("pattern is longer than {LONGEST} bytes")));
        }
        let tokens = tokens(pattern, stars)
            .ok_or_else(|| Error::Invalid(format!("syntax error in pattern {shown:?}")))?;
        let mut runs = tokens.split(|token| !matches!(token, Token::Letter(_)));
        let head = written(runs.next().unwrap_or_default());
        let needle = runs.map(written).max_by_key(Vec::len).unwrap_or_default();
        let is_plain = tokens.iter().all(|token| matches!(token, Token::Letter(_)));
        Ok(Glob { tokens, head, needle, is_plain })
    }

    /// Whether it means all of a text.
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.is_plain {
            return text == self.head;
        }
        self.may_fit(text) && self.run(text, |_| false).has(self.tokens.len())
    }

    /// Whether it means a path, or a directory that it is in.
    pub fn covers(&self, path: &[u8]) -> bool {
        if self.is_plain {
            let rest = path.strip_prefix(self.head.as_slice());
            return rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b'/'));
        }
        if !self.may_fit(path) {
            return false;
        }
        let end = self.tokens.len();
        let mut covers = false;
        let places = self.run(path, |places| {
            covers = places.has(end);
            covers
        });
        covers || places.has(end)
    }

    /// Whether it may mean something that is in a directory.
    pub fn reaches_below(&self, directory: &[u8]) -> bool {
        let mut below = Places::none(self.tokens.len());
        self.step(&self.run(directory, |_| false), u32::from('/'), &mut below);
        !below.is_empty()
    }

    /// It has the letters that it must have.
    fn may_fit(&self, text: &[u8]) -> bool {
        text.starts_with(&self.head) && memchr::memmem::find(text, &self.needle).is_some()
    }

    /// The places in the pattern behind a text; `at_slash` sees those before each slash, and ends it all by `true`.
    fn run(&self, text: &[u8], mut at_slash: impl FnMut(&Places) -> bool) -> Places {
        let mut places = Places::none(self.tokens.len());
        let mut next = Places::none(self.tokens.len());
        self.enter(&mut places, 0);
        for letter in letters(text) {
            if letter == u32::from('/') && at_slash(&places) {
                break;
            }
            self.step(&places, letter, &mut next);
            core::mem::swap(&mut places, &mut next);
            if places.is_empty() {
                break;
            }
        }
        places
    }

    /// The places behind one more letter.
    fn step(&self, places: &Places, letter: u32, next: &mut Places) {
        next.clear();
        let is_slash = letter == u32::from('/');
        places.each(|at| match self.tokens.get(at) {
            Some(Token::Letter(wanted)) if *wanted == letter => self.enter(next, at + 1),
            Some(Token::One) if !is_slash => self.enter(next, at + 1),
            Some(Token::Class(ranges, negated))
                if !is_slash
                    && ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated =>
            {
                self.enter(next, at + 1);
            }
            Some(Token::Star) if !is_slash => self.enter(next, at),
            Some(Token::Anything) => self.enter(next, at),
            Some(Token::Directories) => {
                next.add(at);
                if is_slash {
                    self.enter(next, at + 1);
                }
            }
            _ => {}
        });
    }

    /// A place, and those that are reached from there by reading nothing.
    fn enter(&self, places: &mut Places, mut at: usize) {
        places.add(at);
        while let Some(Token::Star | Token::Directories | Token::Anything) = self.tokens.get(at) {
            at += 1;
            places.add(at);
        }
    }
}

/// A set of places in a pattern: the first 64 of them, and the rest that few patterns have.
struct Places {
    first: u64,
    more: Vec<u64>,
}

impl Places {
    fn none(last: usize) -> Self {
        Places { first: 0, more: vec![0; last / 64] }
    }

    fn clear(&mut self) {
        self.first = 0;
        self.more.fill(0);
    }

    fn add(&mut self, at: usize) {
        let word = if at < 64 { &mut self.first } else { &mut self.more[at / 64 - 1] };
        *word |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        let word = if at < 64 { self.first } else { self.more[at / 64 - 1] };
        word & 1 << (at % 64) != 0
    }

    fn is_empty(&self) -> bool {
        self.first == 0 && self.more.iter().all(|word| *word == 0)
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        for (number, word) in core::iter::once(&self.first).chain(&self.more).enumerate() {
            let mut word = *word;
            while word != 0 {
                visit(number * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

/// From here on are bytes that belong to no character.
const NO_CHARACTER: u32 = 0x11_0000;

/// The characters of a name; a byte that is in none stands for itself.
fn letters(text: &[u8]) -> impl Iterator<Item = u32> {
    text.utf8_chunks().flat_map(|chunk| {
        let bad = chunk.invalid().iter().map(|byte| NO_CHARACTER + u32::from(*byte));
        chunk.valid().chars().map(u32::from).chain(bad)
    })
}

/// Letters as they are in a name.
fn written(letters: &[Token]) -> Vec<u8> {
    let mut name = Vec::with_capacity(letters.len());
    for token in letters {
        let Token::Letter(letter) = token else { continue };
        match char::from_u32(*letter) {
            Some(letter) => name.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            None => name.push((letter - NO_CHARACTER) as u8),
        }
    }
    name
}

/// `None` for what is no pattern.
fn tokens(pattern: &[u8], stars: Stars) -> Option<Vec<Token>> {
    let letters: Vec<u32> = letters(pattern).collect();
    let (mut tokens, mut rest) = (Vec::with_capacity(letters.len()), letters.as_slice());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let token = match char::from_u32(*first) {
            Some('*') if stars == Stars::Same || rest.first() != Some(&u32::from('*')) => {
                if matches!(tokens.last(), Some(Token::Star)) {
                    continue;
                }
                Token::Star
            }
            Some('*') => {
                rest = &rest[1..];
                let has_slash = rest.first() == Some(&u32::from('/'));
                rest = &rest[usize::from(has_slash)..];
                // `**.log` is any path that ends so: docker takes it for an end if nothing else in it is special.
                let is_suffix = tokens.is_empty() && !has_slash && !rest.iter().any(|l| is_special(*l));
                if rest.is_empty() || is_suffix { Token::Anything } else { Token::Directories }
            }
            Some('?') => Token::One,
            Some('[') => {
                let (class, behind) = class(rest)?;
                rest = behind;
                class
            }
            Some('\\') => {
                let (escaped, behind) = rest.split_first()?;
                rest = behind;
                Token::Letter(*escaped)
            }
            _ => Token::Letter(*first),
        };
        tokens.push(token);
    }
    Some(tokens)
}

fn is_special(letter: u32) -> bool {
    char::from_u32(letter).is_some_and(|letter| matches!(letter, '*' | '?' | '[' | ']' | '\\'))
}

/// A class behind the bracket that opens it, and the rest.
fn class(pattern: &[u32]) -> Option<(Token, &[u32])> {
    let is = |rest: &[u32], letter| rest.first() == Some(&u32::from(letter));
    let negated = is(pattern, '^');
    let (mut rest, mut ranges) = (&pattern[usize::from(negated)..], Vec::new());
    while ranges.is_empty() || !is(rest, ']') {
        let (low, behind) = class_letter(rest)?;
        let (high, behind) = if is(behind, '-') { class_letter(&behind[1..])? } else { (low, behind) };
        ranges.push((low, high));
        rest = behind;
    }
    Some((Token::Class(ranges.into(), negated), &rest[1..]))
}

/// One end of a range.
fn class_letter(pattern: &[u32]) -> Option<(u32, &[u32])> {
    let (first, rest) = pattern.split_first()?;
    match char::from_u32(*first) {
        Some('-' | ']') => None,
        Some('\\') => rest.split_first().map(|(letter, rest)| (*letter, rest)),
        _ => Some((*first, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_gos_do() {
        for (pattern, text) in [
            ("alpine", "alpine"),
            ("*", "alpine"),
            ("*/*/x", "127.0.0.1:5000/a/x"),
            ("a*e*", "alpine"),
            ("[a-c]lp[^x]?e", "alpine"),
            ("*b/*d", "abbb/cdd"),
            ("\\*x", "*x"),
            ("a[\\-]b", "a-b"),
            ("", ""),
            ("x*", "x"),
        ] {
            assert_eq!(matches(pattern, text), Ok(true), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("alp", "alpine"),
            ("*", "a/b"),
            ("?", "ab"),
            ("[^a]", "a"),
            ("[a-c]", "d"),
            ("", "x"),
            ("a?", "a/"),
        ] {
            assert_eq!(matches(pattern, text), Ok(false), "{pattern} {text}");
        }
    }

    #[test]
    fn a_character_is_one_whatever_its_bytes() {
        let glob = |pattern: &str| Glob::parse(pattern.as_bytes(), Stars::Same).unwrap();
        assert!(glob("?[é-ü]").matches("aé".as_bytes()));
        assert!(!glob("?").matches("éa".as_bytes()));
        assert!(glob("a?").matches(b"a\xff") && glob("a*").matches(b"a\xff\xfe"));
        assert!(Glob::parse(b"\xff*", Stars::Same).unwrap().matches(b"\xffx"));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let glob = Glob::parse("*a".repeat(2000).as_bytes(), Stars::Same).unwrap();
        assert!(glob.matches("a".repeat(4000).as_bytes()) && !glob.matches("b".repeat(4000).as_bytes()));
        assert!(Glob::parse("a".repeat(LONGEST + 1).as_bytes(), Stars::Same).is_err());
    }

    #[test]
    fn what_is_no_pattern_is_refused_wherever_the_mistake_stands() {
        for pattern in ["[", "a[", "[]", "[]a]", "[-]", "[x-]", "[^", "\\", "x[a", "nothing like it["] {
            assert!(matches(pattern, "abc").is_err(), "{pattern}");
        }
    }
}

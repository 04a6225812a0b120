//! What is wrong with a Dockerfile, and where: `file:line:column: message`, the line, and a mark below the culprit.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use super::source::{Line, Source};
use crate::Error;

/// Most characters of a source line that a message shows.
const WIDTH: usize = 120;

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong, in BuildKit's words.
    pub message: String,
    /// The line, and a second one with `^` below the culprit; empty where there is no such line.
    pub excerpt: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.excerpt.is_empty() {
            write!(f, "\n{}", self.excerpt)?;
        }
        Ok(())
    }
}

impl core::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Invalid(fault.to_string())
    }
}

/// A mistake, as a reader of one logical line tells it: the culprit is a slice of that line.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub message: String,
    pub part: &'a str,
}

impl<'a> Problem<'a> {
    pub fn new(message: impl Into<String>, part: &'a str) -> Self {
        Problem { message: message.into(), part }
    }
}

impl Source<'_> {
    /// The fault that a problem in a line is.
    pub(super) fn fault(&self, line: &Line<'_>, problem: Problem<'_>) -> Fault {
        let (number, offset) = self.locate(line, problem.part);
        // Of a part that goes on in the next line, what is in the first one is marked.
        Fault::at(self.name, self.text, number, offset, problem.part.chars().count(), problem.message)
    }
}

impl Fault {
    /// Of a line as a whole, which was found wrong when it was to be done.
    pub fn of_line(source: &Source<'_>, line: &Line<'_>, message: String) -> Self {
        source.fault(line, Problem::new(message, &line.text))
    }

    /// Of a file as a whole; there is nothing to show.
    pub(super) fn of_file(file: &str, message: &str, line: u32) -> Self {
        Fault { file: file.into(), line, column: 1, message: message.into(), excerpt: String::new() }
    }

    /// At a byte of the text, which is in the line of that number; `length` characters are marked.
    pub(super) fn at(
        file: &str,
        text: &str,
        line: u32,
        offset: usize,
        length: usize,
        message: String,
    ) -> Self {
        let begin = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
        let before = text[begin..offset].chars().count();
        let excerpt = excerpt(text[begin..end].trim_end_matches('\r'), line, before, length);
        Fault { file: file.into(), line, column: before as u32 + 1, message, excerpt }
    }
}

fn excerpt(line: &str, number: u32, before: usize, length: usize) -> String {
    let skipped = if before > WIDTH * 3 / 4 { before - WIDTH / 2 } else { 0 };
    let shown: String = line.chars().skip(skipped).take(WIDTH).collect();
    let left = shown.chars().take(before - skipped);
    let blank: String = left.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let room = shown.chars().count().saturating_sub(before - skipped);
    let marks = "^".repeat(length.min(room).max(1));
    let number = number.to_string();
    format!("  {number} | {shown}\n  {:width$} | {blank}{marks}", "", width = number.len())
}

/// Lines of a file as docker shows them: their neighbours around them, and `>>>` before each of them.
pub struct Excerpt<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) first: u32,
    pub(super) last: u32,
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.text.split('\n').count() as u32;
        let (first, last) = (self.first.min(count), self.last.min(count));
        let (mut from, mut to, mut shown) = (first, last, 0);
        while shown < if first == last { 4 } else { 2 } {
            if from > 1 {
                from -= 1;
                shown += 1;
            }
            if to < count {
                to += 1;
                shown += 1;
            }
            shown += 1;
        }
        writeln!(f, "{}:{first}\n--------------------", self.name)?;
        let lines = self.text.split('\n').enumerate().skip(from as usize - 1);
        for (number, line) in lines.take((to - from) as usize + 1) {
            let mark = if (first..=last).contains(&(number as u32 + 1)) { ">>>" } else { "   " };
            writeln!(f, " {:3} | {mark} {}", number + 1, line.trim_end_matches('\r'))?;
        }
        f.write_str("--------------------\n")
    }
}

//! The bytes of a Dockerfile -> its logical lines: continued lines joined, comments set aside, heredocs cut out.
//!
//! A line that stands for itself is a slice of the file; only a continued one is copied.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{
    directives::{Directives, setting},
    fault::{Excerpt, Fault, Problem},
    heredoc::{self, Heredoc},
    words,
};

/// A file, cut into logical lines. What is parsed from it borrows from it.
#[derive(Debug)]
pub struct Source<'a> {
    /// For messages.
    pub name: &'a str,
    /// All of it, without a byte order mark.
    pub(super) text: &'a str,
    /// What stands on top of it.
    pub directives: Directives<'a>,
    /// The instructions, in order.
    pub lines: Vec<Line<'a>>,
}

/// One instruction with everything that belongs to it.
#[derive(Debug)]
pub struct Line<'a> {
    /// The instruction, in one line.
    pub text: Cow<'a, str>,
    /// The number of its first line in the file, from 1.
    pub first: u32,
    /// Of its last, heredocs included.
    pub last: u32,
    /// A continued line had empty ones in it; the number of the line that ended it.
    pub empty_continuation: Option<u32>,
    /// What it is followed by.
    pub heredocs: Vec<Heredoc<'a>>,
    /// From the first comment that belongs to it to the line itself.
    comments: &'a str,
    /// Where it is in the file.
    start: usize,
}

impl<'a> Source<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// It is empty, is not UTF-8, or has a mistake in a directive or a heredoc without its end.
    pub fn read(name: &'a str, bytes: &'a [u8]) -> Result<Self, Fault> {
        let fault = |message, line| Fault::of_file(name, message, line);
        if bytes.is_empty() {
            return Err(fault("the Dockerfile cannot be empty", 1));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(fault("the Dockerfile is larger than 4 GiB", 1));
        }
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            fault("the Dockerfile is not UTF-8", memchr::memchr_iter(b'\n', before).count() as u32 + 1)
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (directives, count) = Directives::read(text).map_err(|(message, number)| {
            let offset = text.split_inclusive('\n').take(number as usize - 1).map(str::len).sum();
            Fault::at(name, text, number, offset, usize::MAX, message)
        })?;
        let mut source = Source { name, text, directives, lines: Vec::new() };
        source.cut(count)?;
        if source.lines.is_empty() {
            let last = text.lines().count().max(1) as u32;
            return Err(fault("file with no instructions", last));
        }
        Ok(source)
    }

    /// Reads what an `ONBUILD` left, or one instruction that came by itself: there are no directives.
    ///
    /// # Errors
    /// As [`Source::read`]; a text without instructions is one.
    pub fn fragment(name: &'a str, text: &'a str) -> Result<Self, Fault> {
        let mut source = Source { name, text, directives: Directives::default(), lines: Vec::new() };
        source.cut(0)?;
        Ok(source)
    }

    /// Some of its lines as docker shows them when they fail.
    pub fn excerpt(&self, first: u32, last: u32) -> Excerpt<'_> {
        Excerpt { name: self.name, text: self.text, first: first.max(1), last: last.max(first.max(1)) }
    }

    /// Behind so many lines of directives.
    fn cut(&mut self, directives: usize) -> Result<(), Fault> {
        let mut lines = Physical { text: self.text, at: 0, number: 0 };
        lines.by_ref().take(directives).for_each(drop);
        let escape = self.directives.escape;
        let (mut comments, mut joined) = (None, String::new());
        loop {
            let start = lines.at;
            let Some(content) = lines.next().map(words::trim_start) else { return Ok(()) };
            match content.as_bytes() {
                [] => {}
                [b'#', ..] if content[1..].trim().is_empty() => comments = None,
                [b'#', ..] => comments = comments.or(Some(start)),
                _ => {
                    let first = lines.number;
                    let (text, had_empty) = Pieces::behind(content, &mut lines, escape).join(&mut joined);
                    let mut line = Line {
                        text,
                        first,
                        last: 0,
                        empty_continuation: had_empty.then_some(lines.number),
                        heredocs: Vec::new(),
                        comments: &self.text[comments.take().unwrap_or(start)..start],
                        start,
                    };
                    line.heredocs = heredoc::take(&line.text, escape, &mut lines)
                        .map_err(|mark| self.fault(&line, Problem::new("unterminated heredoc", mark)))?;
                    line.last = lines.number;
                    self.lines.push(line);
                }
            }
        }
    }

    /// The number of the line that a part of a logical line begins in, and its place in the file.
    pub(super) fn locate(&self, line: &Line<'_>, part: &str) -> (u32, usize) {
        let mut offset = (part.as_ptr() as usize).wrapping_sub(line.text.as_ptr() as usize);
        if offset > line.text.len() {
            offset = 0;
        }
        let mut lines = Physical { text: self.text, at: line.start, number: line.first - 1 };
        let first = lines.next().map(words::trim_start).unwrap_or_default();
        let mut pieces = Pieces::behind(first, &mut lines, self.directives.escape);
        let mut place = (line.first, line.start);
        while let Some(piece) = pieces.next() {
            place = (pieces.lines.number, piece.as_ptr() as usize - self.text.as_ptr() as usize);
            if offset < piece.len() || !pieces.is_open {
                break;
            }
            offset -= piece.len();
        }
        (place.0, (place.1 + offset).min(self.text.len()))
    }
}

impl<'a> Line<'a> {
    /// The instruction's name as it was written.
    pub fn keyword(&self) -> &str {
        words::keyword(&self.text).0
    }

    /// The comments right above it that are not empty, without `#` and the blanks around them.
    pub fn comments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.comments.lines().filter_map(|line| line.trim_start().strip_prefix('#')).map(str::trim)
    }

    /// What a comment `# check=...` above it says to the lint.
    pub fn check(&self) -> Option<&'a str> {
        self.comments()
            .filter_map(setting)
            .find(|(name, _)| name.eq_ignore_ascii_case("check"))
            .map(|(_, value)| value)
    }

    /// The description of something with a name: the comment above it that begins with the name.
    pub fn description(&self, name: &str) -> Option<&'a str> {
        self.comments().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
    }
}

/// The lines of a text without their ends.
#[derive(Debug)]
pub(super) struct Physical<'a> {
    pub text: &'a str,
    /// Where the next line begins.
    pub at: usize,
    /// Of the line that was taken last, from 1.
    pub number: u32,
}

impl<'a> Iterator for Physical<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if start == bytes.len() {
            return None;
        }
        let newline = memchr::memchr(b'\n', &bytes[start..]);
        let mut end = newline.map_or(bytes.len(), |length| start + length);
        self.at = end + usize::from(newline.is_some());
        self.number += 1;
        while end > start && bytes[end - 1] == b'\r' {
            end -= 1;
        }
        Some(&self.text[start..end])
    }
}

/// The parts of the file that a logical line is joined of; what stands before its first letter is not among them.
struct Pieces<'l, 'a> {
    /// The first line, until it is taken.
    first: Option<&'a str>,
    /// Those behind it.
    lines: &'l mut Physical<'a>,
    escape: char,
    /// The last line is to be continued.
    is_open: bool,
    /// A letter was found.
    has_begun: bool,
    /// Empty lines were skipped.
    had_empty: bool,
}

impl<'l, 'a> Pieces<'l, 'a> {
    /// Of a line that was taken already, without the blanks before it, and as many as it is continued by.
    fn behind(first: &'a str, lines: &'l mut Physical<'a>, escape: char) -> Self {
        Pieces { first: Some(first), lines, escape, is_open: true, has_begun: false, had_empty: false }
    }

    fn next(&mut self) -> Option<&'a str> {
        while self.is_open {
            let line = self.first.take().or_else(|| self.lines.next())?;
            let content = words::trim_start(line);
            match content.as_bytes() {
                [] => self.had_empty = true,
                [b'#', ..] => {}
                _ => {
                    let line = if self.has_begun { line } else { content };
                    let (piece, is_open) = continued(line, self.escape);
                    self.is_open = is_open;
                    self.has_begun |= !piece.is_empty();
                    return Some(piece);
                }
            }
        }
        None
    }

    /// All of them in one, copied only if there are several, and whether empty lines were skipped. What is in the buffer
    /// is lost: it is there to be used again.
    fn join(mut self, buffer: &mut String) -> (Cow<'a, str>, bool) {
        buffer.clear();
        let mut only = "";
        while let Some(piece) = self.next() {
            if only.is_empty() {
                only = piece;
                continue;
            }
            if buffer.is_empty() {
                buffer.push_str(only);
            }
            buffer.push_str(piece);
        }
        let text = if buffer.is_empty() { Cow::Borrowed(only) } else { Cow::Owned(buffer.as_str().into()) };
        (text, self.had_empty)
    }
}

/// A line without the escape character that continues it, and whether there is one. The character does not count behind
/// another one, however many there are.
pub(super) fn continued(line: &str, escape: char) -> (&str, bool) {
    let (bytes, escape) = (line.as_bytes(), escape as u8);
    let mut end = bytes.len();
    while end > 0 && matches!(bytes[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    match bytes[..end] {
        [.., before, last] if last == escape && before != escape => (&line[..end - 1], true),
        [last] if last == escape => (&line[..0], true),
        _ => (line, false),
    }
}

//! `.dockerignore`: what of a build context is left out.
//!
//! The last pattern that means a path, or a directory that it is in, decides. A pattern with `!` in front brings back.

use alloc::{vec, vec::Vec};

use crate::{
    Error, Result,
    glob::{Glob, Stars},
};

/// The patterns of a file, in order. Without any, nothing is left out.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    glob: Glob,
    /// It leaves out everything that is in the context itself.
    means_all: bool,
    brings_back: bool,
}

impl Patterns {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a lone `!` and for what is no pattern.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        Self::of(lines)
    }

    /// The same for patterns that came one by one, as `--exclude`.
    ///
    /// # Errors
    /// As [`Patterns::parse`].
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let patterns = patterns.into_iter().map(trim).filter(|pattern| !pattern.is_empty());
        patterns.map(Pattern::parse).collect::<Result<_>>().map(Patterns)
    }

    /// These, and then those.
    #[must_use]
    pub fn and(mut self, then: Patterns) -> Self {
        self.0.extend(then.0);
        self
    }

    /// Whether a path, relative to the context and without `.` and `..`, is left out.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.decide(path).is_some()
    }

    /// Whether a directory is left out with everything in it: no pattern can bring something of it back.
    pub fn prunes(&self, directory: &[u8]) -> bool {
        self.decide(directory).is_some_and(|decider| {
            self.0[decider..].iter().all(|later| !later.brings_back || !later.glob.reaches_below(directory))
        })
    }

    /// Whether there are patterns that bring back.
    pub fn has_exceptions(&self) -> bool {
        self.0.iter().any(|pattern| pattern.brings_back)
    }

    /// Whether one of them leaves out all there is.
    pub fn excludes_all(&self) -> bool {
        self.0.iter().any(|pattern| pattern.means_all && !pattern.brings_back)
    }

    /// The pattern that leaves a path out.
    fn decide(&self, path: &[u8]) -> Option<usize> {
        let last = self.0.iter().rposition(|pattern| pattern.glob.covers(path))?;
        (!self.0[last].brings_back).then_some(last)
    }
}

impl Pattern {
    fn parse(line: &[u8]) -> Result<Self> {
        let (line, brings_back) = match line.strip_prefix(b"!") {
            Some(rest) => (trim(rest), true),
            None => (line, false),
        };
        if line.is_empty() {
            return Err(Error::Invalid("illegal exclusion pattern: \"!\"".into()));
        }
        let clean = clean(line);
        let path = clean.strip_prefix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(&clean);
        // What Go's `filepath.Match` would not read is refused, even if it has two stars.
        Glob::parse(path, Stars::Same)?;
        let means_all = matches!(path, b"*" | b"**" | b"**/*");
        Ok(Pattern { glob: Glob::parse(path, Stars::Directories)?, means_all, brings_back })
    }
}

/// Without the white space around it.
fn trim(line: &[u8]) -> &[u8] {
    match core::str::from_utf8(line) {
        Ok(line) => line.trim().as_bytes(),
        Err(_) => line.trim_ascii(),
    }
}

/// A path without `.`, `..` and empty parts, as far as its text tells.
fn clean(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let mut clean = if is_absolute { vec![b'/'] } else { Vec::new() };
    clean.extend(parts.join(&b'/'));
    if clean.is_empty() { vec![b'.'] } else { clean }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn patterns(text: &str) -> Patterns {
        Patterns::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_left_out_as_docker_does() {
        for (text, out, kept) in [
            ("", &[][..], &["a", "a/b"][..]),
            ("\u{feff}# c\n\n  a  \r\n", &["a", "a/b"], &["b", "ab", "b/a", "# c"]),
            (" # c", &["# c"], &["c"]),
            ("/a", &["a"], &["b/a"]),
            ("./a/../b/", &["b", "b/x"], &["a"]),
            ("*", &["a", "a/b"], &[]),
            ("*/b", &["a/b", "a/b/c"], &["b", "a/x/b", "a"]),
            ("*.o", &["x.o", ".o"], &["a/x.o"]),
            ("**/*.o", &["x.o", "a/x.o", "a/b/x.o"], &["x.oo"]),
            ("**/x", &["x", "a/x", "a/b/x/y"], &["ax", "xa"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]),
            ("**", &["a", "a/b"], &[]),
            ("**.log", &["x.log", "a/x.log"], &["x.logs"]),
            ("a**", &["a", "ab", "abc/d"], &["ba"]),
            ("?", &["a", "é", "a/b"], &["ab"]),
            ("[a-c]x", &["ax", "bx/y"], &["dx"]),
            ("[^a]x", &["bx"], &["ax", "/x"]),
            ("\\*", &["*"], &["a"]),
            ("a\n!a/b", &["a", "a/c"], &["a/b", "a/b/c"]),
            ("a\n!a/b\na/b/c", &["a/b/c"], &["a/b/d"]),
            ("!a\na", &["a"], &[]),
            ("*\n!*.md\nREADME.md", &["x", "README.md"], &["a.md"]),
            (".", &["."], &["a"]),
            ("..", &[], &["a"]),
            ("/", &[], &["a"]),
            ("/../a", &["a"], &[]),
            (".git\n**/node_modules", &[".git/x", "a/node_modules/b"], &[".gitignore"]),
        ] {
            let patterns = patterns(text);
            out.iter().for_each(|path| assert!(patterns.matches(path.as_bytes()), "{text:?} {path}"));
            kept.iter().for_each(|path| assert!(!patterns.matches(path.as_bytes()), "{text:?} {path}"));
        }
    }

    #[test]
    fn a_directory_is_skipped_unless_something_in_it_comes_back() {
        for (text, directory, prunes) in [
            ("a", "a", true),
            ("a", "a/b", true),
            ("a", "b", false),
            ("a/*", "a", false),
            ("a\n!a/b", "a", false),
            ("a\n!a/b", "a/c", true),
            ("a\n!a/b/c", "a/b", false),
            ("a\n!a*", "a", false),
            ("a\n!b", "a", true),
            ("!a/b\na", "a", true),
            ("a\n!**/x", "a", false),
            ("a\n!*/x/*", "a/y", true),
            ("a\n!*/x/*", "a/x", false),
            ("*\n!b", "a", true),
        ] {
            assert_eq!(patterns(text).prunes(directory.as_bytes()), prunes, "{text:?} {directory}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("!", "illegal exclusion pattern: \"!\""),
            ("a\n ! \n", "illegal exclusion pattern: \"!\""),
            ("[", "syntax error in pattern \"[\""),
            ("a[]b", "syntax error in pattern \"a[]b\""),
            ("!x\\", "syntax error in pattern \"x\\\\\""),
        ] {
            assert_eq!(Patterns::parse(text.as_bytes()).unwrap_err().to_string(), error);
        }
    }
}

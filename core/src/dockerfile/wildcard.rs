//! The sources of `COPY` and `ADD`: paths whose parts may be patterns, as Go's `filepath.Match` reads them. Pure.

use alloc::vec::Vec;

use crate::{
    Result,
    glob::{Glob, Stars},
};

/// One name of a path.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// This one.
    Name(&'a [u8]),
    /// All that fit; dot files are no exception.
    Pattern(Glob),
}

/// Whether a source is a pattern. One that is not has no escapes either: it is a path as it stands.
pub fn is_pattern(source: &[u8]) -> bool {
    let mut bytes = source.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

/// The parts of a source, from the top of the context: `.` and empty ones are left out, and `..` takes the one before it.
///
/// # Errors
/// [`crate::Error::Invalid`] for what is no pattern.
pub fn parts(source: &[u8]) -> Result<Vec<Part<'_>>> {
    let is_pattern = is_pattern(source);
    let mut parts = Vec::new();
    for name in source.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name if is_pattern && name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) => {
                parts.push(Part::Pattern(Glob::parse(name, Stars::Same)?));
            }
            name => parts.push(Part::Name(name)),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
    };

    use super::*;

    #[test]
    fn parts_are_names_or_patterns() {
        let show = |source: &str| {
            let parts = parts(source.as_bytes()).unwrap();
            let show = |part: &Part<'_>| match part {
                Part::Name(name) => String::from_utf8_lossy(name).to_string(),
                Part::Pattern(glob) => format!("<{}>", u8::from(glob.matches(b"a.o"))),
            };
            parts.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        for (source, expected) in [
            ("a/b", "a b"),
            ("/../a/./b/../c/", "a c"),
            (".", ""),
            ("a\\b", "a\\b"),
            ("x/*.o", "x <1>"),
            ("x/**", "x <1>"),
            ("*/a\\.o", "<1> <1>"),
            ("[^a]*", "<0>"),
        ] {
            assert_eq!(show(source), expected, "{source}");
        }
        assert!(parts(b"a/[").is_err());
    }
}

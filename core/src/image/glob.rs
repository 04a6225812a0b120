//! Patterns of names, as Go's `path.Match` reads them: what Docker's `reference` filter takes. Pure.

use crate::{Error, Result};

/// Whether the pattern means all of the text: `*` is any run without a slash, `?` any one character but a slash, `[a-z]`
/// and `[^a-z]` one of these or none of them, and a backslash takes the next character as it is.
///
/// # Errors
/// [`Error::Invalid`] for a pattern that can't be read.
pub fn matches(pattern: &str, text: &str) -> Result<bool> {
    let bad = || Error::Invalid(alloc::format!("syntax error in pattern {pattern:?}"));
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // A pattern is read to its end even where it does not fit, so that a bad one never passes for good.
    let mut rest = pattern;
    while !rest.is_empty() {
        rest = one(rest, None).ok_or_else(bad)?.1;
    }
    // Where to go on after a mismatch: behind the last `*`, with one more byte given to it. It can't need more than the
    // last one, since no `*` runs over a slash.
    let (mut rest, mut at, mut star) = (pattern, 0, None);
    while at < text.len() {
        if let Some(behind) = rest.strip_prefix(b"*") {
            star = Some((behind, at));
            rest = behind;
            continue;
        }
        match one(rest, Some(text[at])) {
            Some((true, behind)) => (rest, at) = (behind, at + 1),
            _ => match star {
                Some((behind, from)) if text[from] != b'/' => {
                    star = Some((behind, from + 1));
                    (rest, at) = (behind, from + 1);
                }
                _ => return Ok(false),
            },
        }
    }
    Ok(rest.iter().all(|byte| *byte == b'*'))
}

/// Takes what stands for one byte from the front of a pattern: whether it means this one, and the rest. `None` if there is
/// nothing, or nothing that can be read.
fn one(pattern: &[u8], byte: Option<u8>) -> Option<(bool, &[u8])> {
    let (&first, rest) = pattern.split_first()?;
    match first {
        b'?' => Some((byte.is_some_and(|byte| byte != b'/'), rest)),
        b'[' => class(rest, byte),
        b'\\' => {
            let (&escaped, rest) = rest.split_first()?;
            Some((byte == Some(escaped), rest))
        }
        _ => Some((byte == Some(first), rest)),
    }
}

/// As [`one`], behind the bracket that opens a class.
fn class(pattern: &[u8], byte: Option<u8>) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (mut found, mut count) = (false, 0);
    loop {
        if let Some(behind) = rest.strip_prefix(b"]")
            && count > 0
        {
            return Some((byte.is_some_and(|byte| byte != b'/') && found != negated, behind));
        }
        let (low, behind) = letter(rest)?;
        let (high, behind) = match behind.strip_prefix(b"-") {
            Some(behind) => letter(behind)?,
            None => (low, behind),
        };
        found |= byte.is_some_and(|byte| (low..=high).contains(&byte));
        rest = behind;
        count += 1;
    }
}

/// One end of a range.
fn letter(pattern: &[u8]) -> Option<(u8, &[u8])> {
    match pattern.split_first()? {
        (b'-' | b']', _) => None,
        (b'\\', rest) => rest.split_first().map(|(byte, rest)| (*byte, rest)),
        (byte, rest) => Some((*byte, rest)),
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
    fn what_is_no_pattern_is_refused_wherever_the_mistake_stands() {
        for pattern in ["[", "a[", "[]", "[]a]", "[-]", "[x-]", "[^", "\\", "x[a", "nothing like it["] {
            assert!(matches(pattern, "abc").is_err(), "{pattern}");
        }
    }
}

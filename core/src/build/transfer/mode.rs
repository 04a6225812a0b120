//! `--chmod`: octal, or as chmod(1) reads letters. Pure.

use alloc::{format, string::String, vec::Vec};

use crate::{Error, Result};

/// All permission bits.
const ALL: u32 = 0o7777;
/// What letters without `u`, `g`, `o` or `a` in front don't touch.
const MASK: u32 = 0o022;

/// What becomes of a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is this one.
    To(u32),
    /// One thing after the other is done to it.
    By(Vec<Step>),
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The bits that may change.
    who: u32,
    operation: u8,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// These bits, and those for execution if somebody has them or it is a directory.
    Bits(u32, bool),
    /// What is there for the owner, the group or the others, by how far its bits are to be shifted.
    Copy(u32),
}

impl Change {
    /// Reads what is behind `--chmod=`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= ALL => Ok(Change::To(mode)),
                _ => Err(Error::Invalid(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                ))),
            };
        }
        let mut steps = Vec::new();
        text.split(',').try_for_each(|clause| steps_of(clause.as_bytes(), &mut steps)).ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            Error::Invalid(format!("invalid chmod parameter: '{shown}'"))
        })?;
        Ok(Change::By(steps))
    }

    /// The mode after it.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Change::To(mode) => *mode,
            Change::By(steps) => steps.iter().fold(mode & ALL, |mode, step| step.apply(mode, is_directory)),
        }
    }
}

impl Step {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.what {
            What::Bits(bits, true) if is_directory || mode & 0o111 != 0 => bits | 0o111,
            What::Bits(bits, _) => bits,
            What::Copy(shift) => (mode >> shift & 7) * 0o111,
        };
        match self.operation {
            b'+' => mode | bits & self.who,
            b'-' => mode & !(bits & self.who),
            _ => mode & !self.who | bits & self.who,
        }
    }
}

/// `[ugoa]*([-+=][rwxXstugo]*)+`
fn steps_of(clause: &[u8], steps: &mut Vec<Step>) -> Option<()> {
    let end = clause.iter().position(|byte| matches!(byte, b'+' | b'-' | b'='))?;
    let (mut who, mut rest) = (0, &clause[end..]);
    for letter in &clause[..end] {
        who |= match letter {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o1007,
            b'a' => ALL,
            _ => return None,
        };
    }
    if end == 0 {
        who = ALL & !MASK;
    }
    while let Some((&operation, behind)) = rest.split_first() {
        let end = behind.iter().position(|byte| matches!(byte, b'+' | b'-' | b'=')).unwrap_or(behind.len());
        let (letters, behind) = behind.split_at(end);
        rest = behind;
        let what = match letters {
            b"u" => What::Copy(6),
            b"g" => What::Copy(3),
            b"o" => What::Copy(0),
            letters => {
                let (mut bits, mut conditional) = (0, false);
                for letter in letters {
                    match letter {
                        b'r' => bits |= 0o444,
                        b'w' => bits |= 0o222,
                        b'x' => bits |= 0o111,
                        b's' => bits |= 0o6000,
                        b't' => bits |= 0o1000,
                        b'X' => conditional = true,
                        _ => return None,
                    }
                }
                What::Bits(bits, conditional)
            }
        };
        steps.push(Step { who, operation, what });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_does() {
        for (text, before, file, directory) in [
            ("644", 0o4755, 0o644, 0o644),
            ("07777", 0, 0o7777, 0o7777),
            ("0", 0o777, 0, 0),
            ("u=rwX,go=rX", 0o640, 0o644, 0o755),
            ("u=rwX,go=rX", 0o700, 0o755, 0o755),
            ("a+x", 0o644, 0o755, 0o755),
            ("+x", 0o600, 0o711, 0o711),
            ("+w", 0o444, 0o644, 0o644),
            ("go-rwx", 0o4755, 0o4700, 0o4700),
            ("u+s,g+s,o+t", 0o755, 0o7755, 0o7755),
            ("u=", 0o4755, 0o055, 0o055),
            ("g=u", 0o741, 0o771, 0o771),
            ("o=g-w+x", 0o770, 0o775, 0o775),
            ("ug=rw,o=", 0o777, 0o660, 0o660),
        ] {
            let change = Change::parse(text).unwrap();
            assert_eq!(change.apply(before, false), file, "{text} {before:o}");
            assert_eq!(change.apply(before, true), directory, "{text} {before:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["", "8", "10000", "99999999999", "u", "z+x", "u+q", "u=rw,", "a b", "u+rg"] {
            assert!(Change::parse(text).is_err(), "{text}");
        }
    }
}

//! The keys that detach a client from a terminal: `--detach-keys` and typed bytes in, the bytes to pass on out.

use alloc::{format, string::String, vec::Vec};

/// What detaches when nothing else was chosen: ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Watches typed bytes for the keys. Bytes that may be the start of the keys are held back until that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// From `--detach-keys`: single characters and `ctrl-X`, with commas between; empty for the default.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for key in text.split(',').filter(|_| !text.is_empty()) {
            let letter = match key.strip_prefix("ctrl-") {
                Some(letter) => control(letter),
                None => single(key).filter(u8::is_ascii),
            };
            let reason = || format!("invalid detach keys ({text}): unknown character: '{key}'");
            keys.push(letter.ok_or_else(reason)?);
        }
        if keys.is_empty() {
            keys.extend(DEFAULT);
        }
        Ok(Self::from_bytes(keys))
    }

    /// From the bytes that a terminal sends for them; none for no keys that detach.
    pub fn from_bytes(keys: Vec<u8>) -> Self {
        DetachKeys { keys, matched: 0 }
    }

    /// The bytes that a terminal sends for them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.keys
    }

    /// Appends to `out` what is to be passed on. True when the keys were seen; what follows them is dropped.
    pub fn pass(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(typed);
            return false;
        }
        for byte in typed {
            if self.keys[self.matched] != *byte {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if self.keys[self.matched] != *byte {
                out.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                self.matched = 0;
                return true;
            }
        }
        false
    }
}

fn single(key: &str) -> Option<u8> {
    match key.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    }
}

/// The control character of a letter, or of one of `@[\]^_`.
fn control(letter: &str) -> Option<u8> {
    match single(letter)? {
        lower @ b'a'..=b'z' => Some(lower - b'a' + 1),
        upper @ b'@'..=b'_' => Some(upper - b'@'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// What comes through, and whether the keys were seen, for every way to cut the input in two.
    fn pass(keys: &str, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut results = Vec::new();
        for cut in 0..=typed.len() {
            let mut escape = DetachKeys::parse(keys).unwrap();
            let mut out = Vec::new();
            let seen = escape.pass(&typed[..cut], &mut out) || escape.pass(&typed[cut..], &mut out);
            results.push((out, seen));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
        results.remove(0)
    }

    #[test]
    fn keys_are_letters_and_controls() {
        let keys = |text: &str| DetachKeys::parse(text).map(|escape| escape.keys);
        assert_eq!(keys(""), Ok(vec![0x10, 0x11]));
        assert_eq!(keys("ctrl-a,b,ctrl-[,ctrl-@,ctrl-_"), Ok(vec![1, b'b', 27, 0, 31]));
        assert_eq!(keys("ctrl-A"), Ok(vec![1]));
        for wrong in ["ctrl-1", "ab", "a,,b", "ctrl-", "é"] {
            let error = keys(wrong).unwrap_err();
            assert!(
                error.starts_with(&format!("invalid detach keys ({wrong}): unknown character: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_keys_detach_and_their_beginnings_pass() {
        assert_eq!(pass("", b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(pass("", b"ls\x10\x11after"), (b"ls".to_vec(), true));
        assert_eq!(pass("", b"a\x10b\x11"), (b"a\x10b\x11".to_vec(), false));
        assert_eq!(pass("", b"\x10\x10\x11"), (b"\x10".to_vec(), true));
        assert_eq!(pass("a,b,c", b"abxababc"), (b"abxab".to_vec(), true));
        assert_eq!(pass("x", b"ax"), (b"a".to_vec(), true));
    }

    #[test]
    fn a_beginning_is_held_back_until_the_next_key() {
        let mut escape = DetachKeys::parse("").unwrap();
        let mut out = Vec::new();
        assert!(!escape.pass(b"\x10", &mut out) && out.is_empty());
        assert!(!escape.pass(b"x", &mut out));
        assert_eq!(out, b"\x10x");
    }
}

//! The key of a build step: a hash of everything that it depends on. Pure.
//!
//! The step's kind stands in front, and each input comes with its name and its length, so that no two different lists of
//! inputs give the same bytes.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    digest::{Digest, Hasher},
    store::StepFile,
};

/// Changes when what is hashed changes its meaning, so that nothing of an older skiff is taken for something else.
const VERSION: &[u8] = b"skiff build 1";

/// Longest value that is kept as it is, for people; of a longer one its hash.
const SHOWN: usize = 200;

/// A key in the making.
pub struct Key {
    kind: String,
    /// What is hashed of the inputs.
    hashed: Vec<u8>,
    inputs: Vec<(String, String)>,
    /// The files of an input, for people.
    pub files: Vec<StepFile>,
}

/// A finished key.
#[derive(Debug)]
pub struct Finished {
    /// The key.
    pub key: Digest,
    /// Its inputs, for people.
    pub inputs: Vec<(String, String)>,
    /// Its files, for people.
    pub files: Vec<StepFile>,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl Key {
    /// Of a step of this kind.
    pub fn new(kind: &str) -> Key {
        Key { kind: kind.into(), hashed: Vec::new(), inputs: Vec::new(), files: Vec::new() }
    }

    /// Of the same step on this ground: something of which it depends on several, in front of all others.
    pub fn on(mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Key {
        let mut front = Key::new(&self.kind);
        values.into_iter().for_each(|value| front.add(name, value.as_ref()));
        front.hashed.append(&mut self.hashed);
        front.inputs.append(&mut self.inputs);
        Key { files: self.files, ..front }
    }

    /// Something that it depends on. The order counts.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        put(name.as_bytes(), &mut self.hashed);
        put(value, &mut self.hashed);
        let shown = match core::str::from_utf8(value) {
            Ok(text) if text.len() <= SHOWN => text.into(),
            _ => Digest::of(value).to_string(),
        };
        self.inputs.push((name.into(), shown));
    }

    /// The key that it would have [on](Key::on) this ground.
    pub fn digest(&self, name: &str, values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Digest {
        let mut head = Vec::new();
        put(VERSION, &mut head);
        put(self.kind.as_bytes(), &mut head);
        for value in values {
            put(name.as_bytes(), &mut head);
            put(value.as_ref(), &mut head);
        }
        let mut hash = Hasher::new();
        hash.update(&head);
        hash.update(&self.hashed);
        hash.finish()
    }

    /// The key, and what it was made of.
    pub fn finish(self) -> Finished {
        let key = self.digest("", [""; 0]);
        Finished { key, inputs: self.inputs, files: self.files }
    }
}

/// Appends bytes behind their length.
fn put(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, inputs: &[(&str, &[u8])]) -> Digest {
        let mut key = Key::new(kind);
        for (name, value) in inputs {
            key.add(name, value);
        }
        key.finish().key
    }

    #[test]
    fn every_input_counts_and_so_does_where_it_ends() {
        let all = [
            key("run", &[]),
            key("copy", &[]),
            key("run", &[("a", b"bc")]),
            key("run", &[("ab", b"c")]),
            key("run", &[("a", b"b"), ("c", b"")]),
            key("run", &[("a", b""), ("b", b"c")]),
            key("run", &[("a", b"b"), ("a", b"c")]),
            key("run", &[("a", b"c"), ("a", b"b")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn keys_are_the_same_on_every_machine_and_in_every_version() {
        let known = key("run", &[("parent", b"sha256:00"), ("env", b"A=1")]);
        assert_eq!(known.hex().as_str(), "da2f854dc1c0b1b1fe3c4543e059ccf6cd19dc991feb0108939c681eb13db159");
    }

    #[test]
    fn what_a_step_stands_on_comes_first() {
        let mut step = Key::new("run");
        step.add("command", b"x");
        let whole = key("run", &[("parent", b"1"), ("parent", b"2"), ("command", b"x")]);
        assert_eq!(step.digest("parent", ["1", "2"]), whole);
        assert_eq!(step.digest("parent", [""; 0]), key("run", &[("command", b"x")]));
        let Finished { key: on, inputs, .. } = step.on("parent", ["1", "2"]).finish();
        assert_eq!(on, whole);
        assert_eq!(inputs.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2", "x"]);
    }

    #[test]
    fn what_is_hashed_is_each_part_behind_its_length_in_eight_bytes() {
        let written = b"\x0d\0\0\0\0\0\0\0skiff build 1\x03\0\0\0\0\0\0\0run\
            \x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\xc3\xa9\x01\0\0\0\0\0\0\0\xff";
        assert_eq!(key("run", &[("a", b""), ("\u{e9}", b"\xff")]), Digest::of(written));
        assert_eq!(key("", &[]), Digest::of(b"\x0d\0\0\0\0\0\0\0skiff build 1\0\0\0\0\0\0\0\0"));
    }
}

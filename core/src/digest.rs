//! Names of content: `sha256:` and 64 hexadecimal digits. Text goes in, checked; text and file names come out. Nothing
//! else in the engine makes a path from a hash.
//!
//! A layer's uncompressed tar, a blob and an image are named by different types, because a mix-up of them would put
//! unverified content under a verified name.

use alloc::{format, string::String};
use core::{fmt, str};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::{Error, Result};

/// The sha256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a whole slice.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Hasher::new();
        hash.update(bytes);
        hash.finish()
    }

    /// Reads `sha256:HEX`.
    ///
    /// # Errors
    /// Another algorithm, another length, or anything but lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::Invalid(format!("invalid digest {text:?}: {why}"));
        let hex = text.strip_prefix("sha256:").ok_or_else(|| bad("only sha256 is supported"))?;
        Self::from_hex(hex).ok_or_else(|| bad("64 lower-case hexadecimal digits have to follow sha256:"))
    }

    /// Reads the 64 digits alone.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Digest(bytes))
    }

    /// The 32 bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// What [`Digest::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The 64 digits: the name of a file or directory that holds this content.
    pub fn hex(&self) -> Hex {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Hex(digits)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// 64 hexadecimal digits: always one plain path component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex([u8; 64]);

impl Hex {
    /// As text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("made of ASCII digits")
    }

    /// The first 12 digits, as people see them.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Hashes a stream.
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Hasher(sha2::Sha256::new())
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! named_by_digest {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

named_by_digest! {
    /// A layer: the digest of its uncompressed tar.
    DiffId;
    /// A stored or sent blob: the digest of its bytes as they are.
    BlobDigest;
    /// An image: the digest of its config.
    ImageId;
}

impl ImageId {
    /// The blob that is the image's config.
    pub fn config_blob(self) -> BlobDigest {
        BlobDigest(self.0)
    }
}

/// What Docker calls the chain of layers up to this one.
///
/// # Spec
/// OCI image-spec config.md, "Layer ChainID".
pub fn chain_id(parent: Option<&Digest>, layer: &DiffId) -> Digest {
    match parent {
        None => layer.0,
        Some(parent) => Digest::of(format!("{parent} {layer}").as_bytes()),
    }
}

/// FNV-1a, 64 bits: tells torn or different bytes apart; no protection against somebody who wants to deceive.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_what_it_was_parsed_from() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::parse(EMPTY).unwrap(), Digest::of(b""));
        assert_eq!(Digest::of(b"").hex().short(), "e3b0c44298fc");
    }

    #[test]
    fn what_could_be_a_path_or_another_algorithm_is_no_digest() {
        let upper = EMPTY.to_uppercase();
        for text in ["", "sha256:", "sha256:../../etc/passwd", "md5:00", &EMPTY[..70], &upper, &EMPTY[7..]] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        assert!(Digest::parse(&std::format!("{EMPTY}0")).is_err());
        assert!(Digest::parse(&EMPTY.replace('b', "/")).is_err());
    }

    #[test]
    fn a_stream_hashes_as_its_whole() {
        let mut hash = Hasher::new();
        hash.update(b"ab");
        hash.update(b"");
        hash.update(b"c");
        assert_eq!(hash.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        let first = chain_id(None, &a);
        assert_eq!(first, a.0);
        let text = std::format!("{} {}", a.0, b.0);
        assert_eq!(chain_id(Some(&first), &b), Digest::of(text.as_bytes()));
    }
}

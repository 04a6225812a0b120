//! Bytes <-> base64 with padding, as header fields carry JSON.
//!
//! # Spec
//! RFC 4648, section 4; the alphabet of section 5 is read, too.

use alloc::{string::String, vec::Vec};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let at = |index: usize| u32::from(part.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= part.len() { digit as char } else { '=' });
        }
    }
    text
}

/// Reads text; `None` if it is none of ours.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for part in digits.chunks(4) {
        let mut bits = 0;
        for (place, digit) in part.iter().enumerate() {
            let value = match digit {
                b'-' => 62,
                b'_' => 63,
                digit => ALPHABET.iter().position(|known| known == digit)?,
            };
            bits |= (value as u32) << (18 - 6 * place);
        }
        match part.len() {
            1 => return None,
            length => bytes.extend_from_slice(&bits.to_be_bytes()[1..length]),
        }
    }
    Some(bytes)
}

/// Bytes as a member of a JSON object.
pub mod bytes {
    use alloc::{string::String, vec::Vec};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// As text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::encode(bytes))
    }

    /// From text.
    ///
    /// # Errors
    /// The deserializer's; it is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        super::decode(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not base64"))
    }
}

/// Names and bytes as a list in JSON: `[["name", "bytes"]]`.
pub mod pairs {
    use alloc::{string::String, vec::Vec};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// As text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(pairs: &[(String, Vec<u8>)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(pairs.iter().map(|(name, bytes)| [name.clone(), super::encode(bytes)]))
    }

    /// From text.
    ///
    /// # Errors
    /// The deserializer's; it is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        let pairs: Vec<(String, String)> = Vec::deserialize(from)?;
        let read = |(name, text): (String, String)| super::decode(&text).map(|bytes| (name, bytes));
        pairs.into_iter().map(read).collect::<Option<_>>().ok_or_else(|| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back_as_they_were() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xfb\xff", "+/8=")]
        {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(decode("-_8"), Some(b"\xfb\xff".to_vec()));
        assert!(decode("a").is_none() && decode("a b=").is_none() && decode("\u{e9}").is_none());
    }
}

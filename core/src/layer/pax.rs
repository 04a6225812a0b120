//! The records of a PAX extended header -> what they change in the next entry. Pure.
//!
//! ```text
//! <length> <key>=<value>\n      length: decimal, of the whole record with itself
//! ```

use alloc::vec::Vec;

use super::{
    header::{Wrong, owner},
    sparse,
};

/// Seconds since 1970, and nanoseconds forward from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// May be negative.
    pub seconds: i64,
    /// Below 1,000,000,000.
    pub nanos: u32,
}

/// A name and a value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// What an extended header says; `None` where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The name.
    pub path: Option<Vec<u8>>,
    /// The link's target.
    pub link: Option<Vec<u8>>,
    /// Bytes of content.
    pub size: Option<u64>,
    /// The owner's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
    /// Time of the last change of the content.
    pub mtime: Option<Moment>,
    /// Time of the last reading.
    pub atime: Option<Moment>,
    /// Extended attributes, in the order of their first appearance.
    pub xattrs: Vec<Xattr>,
    /// What makes it a sparse file.
    pub sparse: Option<sparse::Described>,
}

impl Extension {
    /// Reads all records. The last of equal keys wins; an empty value takes back what stood before, except for an
    /// extended attribute, which may well be empty.
    ///
    /// # Errors
    /// A record that is not what its length says, a number or a time that is none.
    pub fn parse(mut records: &[u8]) -> Result<Self, Wrong> {
        let mut all = Extension::default();
        // The other form of extended attributes: whoever writes it writes both, and this one is taken second.
        let mut other_xattrs: Vec<Xattr> = Vec::new();
        while !records.is_empty() {
            let Record { key, value, rest } = record(records)?;
            match key.strip_prefix(b"LIBARCHIVE.xattr.") {
                Some(name) => set(&mut other_xattrs, percent_decoded(name)?, base64_decoded(value)?),
                None => all.apply(key, value)?,
            }
            records = rest;
        }
        for (name, value) in other_xattrs {
            if all.xattrs.iter().all(|(known, _)| *known != name) {
                all.xattrs.push((name, value));
            }
        }
        Ok(all)
    }

    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"uname" | b"gname" => drop(name(value)?),
            b"size" => self.size = if_any(value, decimal)?,
            b"uid" => self.uid = if_any(value, number_of_owner)?,
            b"gid" => self.gid = if_any(value, number_of_owner)?,
            b"mtime" => self.mtime = if_any(value, moment)?,
            b"atime" => self.atime = if_any(value, moment)?,
            key => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.get_or_insert_default().apply(key, value)?;
                } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.")
                    && !name.is_empty()
                {
                    set(&mut self.xattrs, name.to_vec(), value.to_vec());
                }
            }
        }
        Ok(())
    }
}

struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// The records behind it.
    rest: &'a [u8],
}

fn record(records: &[u8]) -> Result<Record<'_>, Wrong> {
    const BAD: Wrong = "malformed PAX record";
    let blank = records.iter().take(20).position(|byte| *byte == b' ').ok_or(BAD)?;
    let length = usize::try_from(decimal(&records[..blank])?).map_err(|_| BAD)?;
    if length <= blank || length > records.len() {
        return Err(BAD);
    }
    let (this, rest) = records.split_at(length);
    let this = this[blank + 1..].strip_suffix(b"\n").ok_or(BAD)?;
    let equals = this.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
    let (key, value) = (&this[..equals], &this[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return Err(BAD);
    }
    Ok(Record { key, value, rest })
}

/// The last value of a name counts.
fn set(xattrs: &mut Vec<Xattr>, name: Vec<u8>, value: Vec<u8>) {
    match xattrs.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => xattrs.push((name, value)),
    }
}

/// A name, or nothing if it is empty.
pub(super) fn name(value: &[u8]) -> Result<Option<Vec<u8>>, Wrong> {
    match value.contains(&0) {
        true => Err("NUL in a name"),
        false => Ok((!value.is_empty()).then(|| value.to_vec())),
    }
}

fn percent_decoded(name: &[u8]) -> Result<Vec<u8>, Wrong> {
    const BAD: Wrong = "malformed name of an extended attribute";
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let mut byte = *byte;
        if byte == b'%' {
            let (digits, behind) = rest.split_at_checked(2).ok_or(BAD)?;
            let digits = core::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
            byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(BAD)?;
            rest = behind;
        }
        decoded.push(byte);
    }
    if decoded.is_empty() || decoded.contains(&0) { Err(BAD) } else { Ok(decoded) }
}

/// With or without the equals signs at its end.
fn base64_decoded(text: &[u8]) -> Result<Vec<u8>, Wrong> {
    const BAD: Wrong = "malformed value of an extended attribute";
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (text, padding) = text.split_at(end);
    if text.len() % 4 == 1 || (!padding.is_empty() && (text.len() + padding.len()) % 4 != 0) {
        return Err(BAD);
    }
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(BAD),
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    Ok(decoded)
}

pub(super) fn if_any<T>(value: &[u8], read: impl Fn(&[u8]) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

/// Digits alone, below 2^63.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, Wrong> {
    const BAD: Wrong = "malformed number in a PAX record";
    if digits.is_empty() {
        return Err(BAD);
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => {
            let number = number.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit - b'0')));
            number.filter(|number| i64::try_from(*number).is_ok()).ok_or(BAD)
        }
        _ => Err(BAD),
    })
}

fn number_of_owner(digits: &[u8]) -> Result<u32, Wrong> {
    owner(decimal(digits)? as i64)
}

/// Decimal seconds, maybe negative, maybe with a fraction, of which nine digits count.
fn moment(text: &[u8]) -> Result<Moment, Wrong> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &b""[..]),
    };
    let seconds = decimal(whole)? as i64;
    let mut nanos = 0;
    for (at, digit) in fraction.iter().enumerate() {
        match digit {
            b'0'..=b'9' if at < 9 => nanos = nanos * 10 + u32::from(digit - b'0'),
            b'0'..=b'9' => {}
            _ => return Err("malformed time in a PAX record"),
        }
    }
    nanos *= 10_u32.pow(9_u32.saturating_sub(fraction.len() as u32));
    Ok(match (negative, nanos) {
        (false, nanos) => Moment { seconds, nanos },
        (true, 0) => Moment { seconds: -seconds, nanos: 0 },
        (true, nanos) => Moment { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
    })
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut all = String::new();
        for (key, value) in pairs {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while format!("{length}").len() + rest != length {
                length += 1;
            }
            all += &format!("{length} {key}={value}\n");
        }
        all.into_bytes()
    }

    #[test]
    fn the_last_of_equal_keys_wins_and_an_empty_value_takes_back() {
        let parsed = Extension::parse(&records(&[
            ("path", "a"),
            ("size", "1"),
            ("path", "b\nc"),
            ("size", ""),
            ("uid", "4294967294"),
            ("comment", "x\0y"),
            ("SCHILY.xattr.user.a", "1"),
            ("SCHILY.xattr.user.b", "=\n\0"),
            ("SCHILY.xattr.user.a", ""),
        ]))
        .unwrap();
        assert_eq!(parsed.path.as_deref(), Some(b"b\nc".as_slice()));
        assert_eq!((parsed.size, parsed.uid), (None, Some(4_294_967_294)));
        let xattrs = [(b"user.a".to_vec(), Vec::new()), (b"user.b".to_vec(), b"=\n\0".to_vec())];
        assert_eq!(parsed.xattrs, xattrs);
    }

    #[test]
    fn extended_attributes_come_in_two_forms_of_which_the_plain_one_counts() {
        let parsed = Extension::parse(&records(&[
            ("LIBARCHIVE.xattr.user.both", "b3RoZXI="),
            ("LIBARCHIVE.xattr.user.a%20b%3d", "AAEC/w"),
            ("LIBARCHIVE.xattr.user.empty", ""),
            ("SCHILY.xattr.user.both", "plain"),
            ("LIBARCHIVE.creationtime", "1"),
        ]))
        .unwrap();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"user.both", b"plain"), (b"user.a b=", &[0, 1, 2, 0xff]), (b"user.empty", b"")];
        assert_eq!(parsed.xattrs, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm8", "fo")] {
            assert_eq!(base64_decoded(text.as_bytes()), Ok(bytes.as_bytes().to_vec()));
        }
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        for (text, seconds, nanos) in [
            ("0", 0, 0),
            ("1700000000.5", 1_700_000_000, 500_000_000),
            ("1.1234567899", 1, 123_456_789),
            ("-1", -1, 0),
            ("-1.25", -2, 750_000_000),
            ("-0.000000001", -1, 999_999_999),
            ("3.", 3, 0),
        ] {
            assert_eq!(moment(text.as_bytes()), Ok(Moment { seconds, nanos }), "{text}");
        }
        for text in ["", "-", ".5", "1e9", "1.x", "--1", "99999999999999999999"] {
            assert!(moment(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn lies_are_refused() {
        for text in [
            "5 a=b",
            "7 a=b\n",
            "6 a=b\n7",
            "99 a=b\n",
            "5 ab\n",
            "4 =\n",
            " a=b\n",
            "-6 a=b\n",
            "0 \n",
            "2 ",
            "1",
            "00000000000000000000000006 a=b\n",
            "18446744073709551616 a=b\n",
            "x",
            "6 \0=b\n",
        ] {
            assert!(Extension::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        for pair in [
            ("path", "a\0b"),
            ("linkpath", "\0"),
            ("uname", "x\0"),
            ("size", "-1"),
            ("size", "9223372036854775808"),
            ("uid", "4294967295"),
            ("gid", "4294967296"),
            ("gid", "x"),
            ("mtime", "now"),
            ("GNU.sparse.major", "x"),
            ("GNU.sparse.other", "1"),
            ("LIBARCHIVE.xattr.user.a%4", "YQ=="),
            ("LIBARCHIVE.xattr.user.a%+1", "YQ=="),
            ("LIBARCHIVE.xattr.a%00", "YQ=="),
            ("LIBARCHIVE.xattr.", "YQ=="),
            ("LIBARCHIVE.xattr.user.a", "YQ="),
            ("LIBARCHIVE.xattr.user.a", "Y"),
            ("LIBARCHIVE.xattr.user.a", "Y Q="),
        ] {
            assert!(Extension::parse(&records(&[pair])).is_err(), "{pair:?}");
        }
    }
}

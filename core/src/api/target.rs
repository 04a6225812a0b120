//! Request targets: `/v1.41/containers/a%20b/json?all=1&x=y` -> version, path segments, query values.
//!
//! Pure. Percent signs are decoded after the split, so that an encoded `/` or `&` is data.

use alloc::{format, string::String, vec::Vec};

use super::{API_VERSION, API_VERSION_MIN};
use crate::{Error, Result};

/// A version of the Docker Engine API; only the minor number counts, the major one is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u16);

/// A request's target, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The version that the path named, or ours if it named none.
    pub version: ApiVersion,
    /// The segments of the path behind the version, decoded; empty ones are dropped.
    pub segments: Vec<String>,
    /// The query.
    pub query: Query,
}

/// The values behind the `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Target {
    /// Takes a target apart.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a version outside the range that is served, and for broken percent escapes.
    pub fn parse(target: &str) -> Result<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut raw = path.split('/').filter(|segment| !segment.is_empty()).peekable();
        let mut version = API_VERSION;
        if let Some(found) = raw.peek().and_then(|segment| version_segment(segment)) {
            version = check_version(found)?;
            raw.next();
        }
        let mut segments = Vec::new();
        for segment in raw {
            let bytes = percent_decode(segment.as_bytes(), Plus::Literal)?;
            segments.push(String::from_utf8(bytes).map_err(|_| {
                Error::Invalid(format!("parse path: the segment {segment} is not valid UTF-8"))
            })?);
        }
        Ok(Target { version, segments, query: Query::parse(query)? })
    }
}

impl Query {
    /// Reads `a=b&c=d`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for broken percent escapes.
    pub fn parse(text: &str) -> Result<Self> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((
                percent_decode(key.as_bytes(), Plus::Space)?,
                percent_decode(value.as_bytes(), Plus::Space)?,
            ));
        }
        Ok(Query { pairs })
    }

    /// Every value of the key, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.pairs.iter().filter(move |(k, _)| k == key.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The first value of the key as bytes.
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(k, _)| k == key.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The first value of the key as text; an empty value counts as none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not UTF-8.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.bytes(key) {
            None | Some([]) => Ok(None),
            Some(value) => core::str::from_utf8(value)
                .map(Some)
                .map_err(|_| Error::Invalid(format!("parse query: {key} is not valid UTF-8"))),
        }
    }

    /// The value as Docker reads booleans: absent, empty, `0`, `no`, `false` and `none` are false.
    pub fn flag(&self, key: &str) -> bool {
        self.bytes(key).is_some_and(|value| {
            let value = value.trim_ascii();
            ![&b""[..], b"0", b"no", b"false", b"none"].iter().any(|no| value.eq_ignore_ascii_case(no))
        })
    }

    /// The value as a flag, or what holds if the key is absent.
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.bytes(key).is_some() { self.flag(key) } else { default }
    }

    /// The value as a number; an empty value counts as none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not one.
    pub fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.text(key)?
            .map(|text| {
                text.parse().map_err(|_| Error::Invalid(format!("parse query: {key}={text} is not a number")))
            })
            .transpose()
    }
}

/// `v1.41` -> (1, 41). Docker takes any `v` with digits and dots for a version.
fn version_segment(segment: &str) -> Option<&str> {
    let digits = segment.strip_prefix('v')?;
    (digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    .then_some(digits)
}

fn check_version(text: &str) -> Result<ApiVersion> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let number = |part: &str| part.parse::<u16>().ok();
    let (Some(major), Some(minor)) = (number(major), number(minor)) else {
        return Err(Error::Invalid(format!("parse path: {text} is not an API version")));
    };
    if (major, minor) < (1, API_VERSION_MIN.0) {
        return Err(Error::Invalid(format!(
            "client version {text} is too old. Minimum supported API version is 1.{}, please upgrade your client to a newer version",
            API_VERSION_MIN.0
        )));
    }
    if (major, minor) > (1, API_VERSION.0) {
        return Err(Error::Invalid(format!(
            "client version {text} is too new. Maximum supported API version is 1.{}",
            API_VERSION.0
        )));
    }
    Ok(ApiVersion(minor))
}

/// What a `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    Literal,
    Space,
}

/// Undoes [`percent_encode`].
///
/// # Errors
/// [`Error::Invalid`] for a percent sign without two digits.
pub(super) fn percent_decode(text: &[u8], plus: Plus) -> Result<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.and_then(|&b| (b as char).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Error::Invalid("parse target: % must be followed by two hex digits".into())),
            },
            b'+' if plus == Plus::Space => b' ',
            _ => byte,
        });
    }
    Ok(out)
}

/// Appends the text so that it can stand in a path segment or a query value; the bytes of `also` stay as they are.
pub fn percent_encode(text: &[u8], also: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || also.contains(&byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versioned_path_is_taken_apart() {
        let target = Target::parse("/v1.41/containers/a%2Fb+c//json?all=1&names=x&names=y+z%26&e").unwrap();
        assert_eq!(target.version, ApiVersion(41));
        assert_eq!(target.segments, ["containers", "a/b+c", "json"]);
        assert_eq!(target.query.all("names").collect::<Vec<_>>(), [&b"x"[..], b"y z&"]);
        assert!(target.query.flag("all"));
        assert!(!target.query.flag("e") && !target.query.flag("absent"));
        assert_eq!(target.query.text("e"), Ok(None));
    }

    #[test]
    fn a_bare_path_has_our_version() {
        let target = Target::parse("/_ping").unwrap();
        assert_eq!((target.version, target.segments.len()), (API_VERSION, 1));
        assert_eq!(Target::parse("/volumes/v1").unwrap().segments, ["volumes", "v1"]);
    }

    #[test]
    fn versions_outside_the_range_are_refused_in_dockers_words() {
        let message = |target| alloc::string::ToString::to_string(&Target::parse(target).unwrap_err());
        assert_eq!(
            message("/v1.23/info"),
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        assert_eq!(
            message("/v1.51/info"),
            "client version 1.51 is too new. Maximum supported API version is 1.50"
        );
        assert!(message("/v2.30/info").contains("too new"));
        assert!(message("/v1.2.3/info").contains("not an API version"));
    }

    #[test]
    fn booleans_read_as_docker_reads_them() {
        let query = Query::parse("a=0&b=False&c=no&d=none&e=1&f=true&g=yes&h=").unwrap();
        for key in ["a", "b", "c", "d", "h"] {
            assert!(!query.flag(key), "{key}");
        }
        for key in ["e", "f", "g"] {
            assert!(query.flag(key), "{key}");
        }
        assert!(query.flag_or("absent", true) && !query.flag_or("a", true));
    }

    #[test]
    fn broken_escapes_and_numbers_are_refused() {
        assert!(Target::parse("/a%").is_err());
        assert!(Target::parse("/a%2").is_err());
        assert!(Target::parse("/a%zz").is_err());
        assert!(Target::parse("/%ff").is_err());
        assert!(Target::parse("/a?x=%ff").unwrap().query.text("x").is_err());
        assert!(Query::parse("t=ten").unwrap().integer("t").is_err());
        assert_eq!(Query::parse("t=-1").unwrap().integer("t"), Ok(Some(-1)));
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        percent_encode(&all, b"", &mut text);
        assert_eq!(percent_decode(text.as_bytes(), Plus::Space), Ok(all));
    }
}

//! Names of images as people write them -> the one full name. Pure.
//!
//! ```text
//! [host[:port]/]path[/path...][:tag][@sha256:hex]
//! ```
//! A first part without `.`, `:` or an upper-case letter that is not `localhost` is no host: `library/x` is
//! `docker.io/library/x`, and so is `x`. The familiar form leaves `docker.io/` and `library/` out again.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use crate::{
    Error, Result,
    digest::{BlobDigest, Digest},
};

const DEFAULT_HOST: &str = "docker.io";
const OFFICIAL: &str = "library/";
/// Longest name without host, tag and digest, in bytes.
const NAME_LIMIT: usize = 255;
/// Longest tag, in bytes.
const TAG_LIMIT: usize = 128;

/// A full name, checked: it can be used as a key, never as a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Host and path, for example `docker.io/library/busybox`.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest of a manifest, if there is one.
    pub digest: Option<BlobDigest>,
}

impl Reference {
    /// Reads a name in any form.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            let colon = if why.is_empty() { "" } else { ": " };
            Error::Invalid(format!("invalid reference format{colon}{why}"))
        };
        if Digest::from_hex(text).is_some() {
            return Err(bad(&format!("repository name ({text}) cannot be 64 hexadecimal digits")));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                (rest, Some(BlobDigest(Digest::parse(digest).map_err(|error| bad(&error.to_string()))?)))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() {
            return Err(bad(""));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(&format!("tag {:?}", tag.unwrap_or(""))));
        }
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if is_host_like(first) => (first, path),
            _ => (DEFAULT_HOST, name),
        };
        let host = if host == "index.docker.io" { DEFAULT_HOST } else { host };
        if !is_host(host) {
            return Err(bad(&format!("host {host:?}")));
        }
        let official = if host == DEFAULT_HOST && !path.contains('/') { OFFICIAL } else { "" };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad(&format!("repository name ({official}{path}) must be lowercase")));
        }
        if !path.split('/').all(is_component) {
            return Err(bad(""));
        }
        if official.len() + path.len() > NAME_LIMIT {
            return Err(bad("repository name must not be more than 255 characters"));
        }
        let repository = format!("{host}/{official}{path}");
        Ok(Reference { repository, tag: tag.map(ToString::to_string), digest })
    }

    /// With the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".into());
        }
        self
    }

    /// The repository as people write it.
    pub fn familiar_repository(&self) -> &str {
        let name = self.repository.as_str();
        let Some(path) = name.strip_prefix("docker.io/") else { return name };
        match (path.strip_prefix(OFFICIAL), path.split_once('/')) {
            // 64 digits alone would be taken for an id.
            (Some(short), _) if !short.contains('/') && Digest::from_hex(short).is_none() => short,
            // Without its host, the next part would be taken for one.
            (_, Some((first, _))) if is_host_like(first) => name,
            _ => path,
        }
    }

    /// The whole name as people write it.
    pub fn familiar(&self) -> String {
        self.written(self.familiar_repository())
    }

    fn written(&self, repository: &str) -> String {
        let mut text = repository.to_string();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(&self.repository))
    }
}

/// Whether the part before the first slash has to be a host.
fn is_host_like(first: &str) -> bool {
    first == "localhost" || first.bytes().any(|b| matches!(b, b'.' | b':') || b.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            match port {
                "" => return true,
                port => ("localhost", port.strip_prefix(':')),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("0")),
        },
    };
    let Some(port) = port else { return false };
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Lower-case letters and digits, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(is_word) || !bytes.last().is_some_and(is_word) {
        return false;
    }
    bytes.split(is_word).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

/// Whether this can be a tag.
pub fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_LIMIT
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_full_form_and_their_familiar_one_back() {
        // Without `library/` it would be an id.
        let official = format!("library/{}", "0f".repeat(32));
        let full_official = format!("docker.io/{official}");
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("library/busybox", "docker.io/library/busybox", "busybox"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
            ("a/b/c", "docker.io/a/b/c", "a/b/c"),
            ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("docker.io/lib.y/a", "docker.io/lib.y/a", "docker.io/lib.y/a"),
            (&official, &full_official, &official),
            ("localhost/x", "localhost/x", "localhost/x"),
            ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
            ("ghcr.io/A", "", ""),
            ("Host/x", "Host/x", "Host/x"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
            ("127.0.0.1:1/x:1", "127.0.0.1:1/x:1", "127.0.0.1:1/x:1"),
            ("a__b/c.d-e---f", "docker.io/a__b/c.d-e---f", "a__b/c.d-e---f"),
        ] {
            match Reference::parse(text) {
                Ok(reference) => {
                    assert_eq!(
                        (reference.to_string().as_str(), reference.familiar().as_str()),
                        (full, familiar)
                    );
                    assert_eq!(Reference::parse(full).unwrap(), reference);
                    assert_eq!(Reference::parse(familiar).unwrap(), reference);
                }
                Err(_) => assert_eq!(full, "", "{text}"),
            }
        }
    }

    #[test]
    fn tag_and_digest_may_stand_together() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!("x.io:1/a:t@sha256:{hex}");
        let reference = Reference::parse(&text).unwrap();
        assert_eq!(reference.tag.as_deref(), Some("t"));
        assert_eq!(reference.to_string(), text);
        assert_eq!(reference.clone().or_latest(), reference);
        assert_eq!(Reference::parse("a").unwrap().or_latest().tag.as_deref(), Some("latest"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(256);
        let tag = format!("a:{}", "t".repeat(129));
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            "",
            ":",
            "a:",
            ":a",
            "/a",
            "a/",
            "a//b",
            "A",
            "a/B",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a_.b",
            "a b",
            "a:b c",
            "a:-",
            "a:.",
            "../a",
            "./a",
            "a/../b",
            "a@",
            "a@sha256:12",
            "a@md5:1",
            "a:b@sha256:x@y",
            "é",
            "a\n",
            "a\0",
            "-x.io/a",
            "x.io:/a",
            "x.io:p/a",
            "[::1/a",
            "[]/a",
            "[::1]5/a",
            "x..io/a",
            &long,
            &tag,
            hex,
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn upper_case_is_told_as_docker_tells_it() {
        assert_eq!(
            Reference::parse("Busybox").unwrap_err().to_string(),
            "invalid reference format: repository name (library/Busybox) must be lowercase"
        );
    }
}

//! Names of entries -> paths below a root that can be walked, and what the last component asks for. Pure.

use alloc::{format, vec::Vec};

use crate::{Error, Result};

/// Longest component that Linux takes, in bytes.
const COMPONENT_LIMIT: usize = 255;
/// Longest path that one system call takes, in bytes.
const PATH_LIMIT: usize = 4095;

/// A path below the root: components joined by single slashes, none of them `.` or `..`; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<u8>);

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To be made under its name.
    Make,
    /// `.wh.NAME`: hides this name of the layers below.
    Whiteout(&'a [u8]),
    /// `.wh..wh..opq`: hides all that the layers below have in this directory.
    Opaque,
    /// Notes of an old union file system; without effect.
    Ignore,
}

impl Path {
    /// Cleans an entry's name or a hard link's target.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for `..`, and for what is too long.
    pub fn clean(name: &[u8]) -> Result<Path> {
        let bad = |why| Error::Corrupt(format!("read tar: {why}: {:.200}", name.escape_ascii()));
        let mut path = Vec::with_capacity(name.len());
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(bad("name with ..")),
                _ if component.len() > COMPONENT_LIMIT => return Err(bad("name too long")),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        if path.len() > PATH_LIMIT { Err(bad("name too long")) } else { Ok(Path(path)) }
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Directory and last component; `None` for the root.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (b"", &self.0),
        })
    }

    /// What an entry of this name asks for.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for markers that name nothing, and for a marker with something below it.
    ///
    /// # Spec
    /// OCI image-spec layer.md, "Whiteouts".
    pub fn purpose(&self) -> Result<Purpose<'_>> {
        let bad = || Error::Corrupt(format!("read tar: invalid whiteout: {}", self.0.escape_ascii()));
        let Some((directory, name)) = self.split() else { return Ok(Purpose::Make) };
        for component in directory.split(|byte| *byte == b'/') {
            if component.starts_with(b".wh..wh.") {
                return Ok(Purpose::Ignore);
            }
            if component.starts_with(b".wh.") {
                return Err(bad());
            }
        }
        match name.strip_prefix(b".wh.") {
            None => Ok(Purpose::Make),
            Some(b"" | b"." | b"..") => Err(bad()),
            Some(b".wh..opq") => Ok(Purpose::Opaque),
            Some(hidden) if hidden.starts_with(b".wh.") => Ok(Purpose::Ignore),
            Some(hidden) => Ok(Purpose::Whiteout(hidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn names_are_cleaned_and_none_can_climb() {
        for (name, path) in [
            ("/a//b/./c/", "a/b/c"),
            ("./", ""),
            ("/", ""),
            (".", ""),
            ("...", "..."),
            ("-a b\n\u{ff}", "-a b\n\u{ff}"),
        ] {
            assert_eq!(Path::clean(name.as_bytes()).unwrap().as_bytes(), path.as_bytes());
        }
        let (long, longer) = (vec![b'a'; 255], vec![b'a'; 256]);
        assert!(Path::clean(&long).is_ok() && Path::clean(&longer).is_err());
        assert!(Path::clean(&b"a/".repeat(2048)).is_ok() && Path::clean(&b"a/".repeat(2049)).is_err());
        for name in ["..", "../a", "a/..", "a/../b", "/.."] {
            assert!(Path::clean(name.as_bytes()).is_err());
        }
    }

    #[test]
    fn whiteouts_are_told_from_everything_else() {
        let purpose = |name: &str| Path::clean(name.as_bytes()).unwrap().purpose().map(|p| format!("{p:?}"));
        assert_eq!(purpose("d/x").unwrap(), "Make");
        assert_eq!(purpose("d/.wh").unwrap(), "Make");
        assert_eq!(purpose("").unwrap(), "Make");
        assert_eq!(purpose("d/.wh..wh..opq").unwrap(), "Opaque");
        assert_eq!(Path::clean(b"d/.wh.x").unwrap().purpose().unwrap(), Purpose::Whiteout(b"x"));
        assert_eq!(Path::clean(b".wh..x").unwrap().purpose().unwrap(), Purpose::Whiteout(b".x"));
        for name in [".wh..wh.plnk", ".wh..wh.orph/1", "d/.wh..wh.aufs"] {
            assert_eq!(purpose(name).unwrap(), "Ignore", "{name}");
        }
        for name in ["d/.wh.", "d/.wh..", "d/.wh...", ".wh.d/x"] {
            assert!(purpose(name).is_err(), "{name}");
        }
    }
}

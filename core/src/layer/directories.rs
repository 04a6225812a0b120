//! What directories get when everything is in them, in bounded memory.

use alloc::{collections::BTreeMap, vec::Vec};

use super::attributes::Attributes;
use crate::{Error, Result};

/// Most memory for the directories of one archive, about: some hundreds of thousands of them.
const BYTES_LIMIT: usize = 128 << 20;
/// Of one directory besides its path and attributes, about.
const OVERHEAD: usize = 256;

/// Directories by their paths, with what they are to get.
#[derive(Debug, Default)]
pub struct Directories {
    all: BTreeMap<Vec<u8>, Attributes>,
    bytes: usize,
}

impl Directories {
    /// Keeps this for the directory, in place of what was kept before.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there are too many.
    pub fn put(&mut self, path: &[u8], attributes: Attributes) -> Result<()> {
        self.bytes += bytes(path, &attributes);
        if let Some(old) = self.all.insert(path.into(), attributes) {
            self.bytes -= bytes(path, &old);
        }
        if self.bytes > BYTES_LIMIT {
            return Err(Error::Corrupt(
                "read tar: too many directories, or too much that is said of them".into(),
            ));
        }
        Ok(())
    }

    /// Forgets a directory, which is not the root, and all below it.
    pub fn forget(&mut self, gone: &[u8]) {
        // Between the two are the paths that begin with the path and a slash: `0` is what follows it.
        let (first, end) = ([gone, b"/"].concat(), [gone, b"0"].concat());
        let mut paths: Vec<_> = self.all.range(first..end).map(|(path, _)| path.clone()).collect();
        paths.push(gone.into());
        for path in paths {
            if let Some(attributes) = self.all.remove(&path) {
                self.bytes -= bytes(&path, &attributes);
            }
        }
    }

    /// All of them, children before their parents, so that a parent may forbid to enter it.
    pub fn children_first(self) -> impl Iterator<Item = (Vec<u8>, Attributes)> {
        self.all.into_iter().rev()
    }
}

fn bytes(path: &[u8], attributes: &Attributes) -> usize {
    let xattrs: usize =
        attributes.xattrs.iter().map(|(name, value)| OVERHEAD / 4 + name.len() + value.len()).sum();
    OVERHEAD + path.len() + xattrs
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    #[test]
    fn children_come_first_and_what_is_gone_is_not_counted() {
        let mut directories = Directories::default();
        for path in ["a", "a/b", "a-b", "a/b/c", "ab"] {
            directories.put(path.as_bytes(), Attributes::of_missing_directory()).unwrap();
        }
        directories.forget(b"a/b");
        directories.put(b"a", Attributes::of_missing_directory()).unwrap();
        assert_eq!(directories.bytes, 3 * OVERHEAD + 6);
        let paths: Vec<_> = directories.children_first().map(|(path, _)| path).collect();
        assert_eq!(paths, [&b"ab"[..], b"a-b", b"a"]);
    }

    #[test]
    fn an_archive_of_directories_alone_does_not_fill_the_memory() {
        let mut directories = Directories::default();
        let heavy = Attributes {
            xattrs: vec![(b"user.x".to_vec(), vec![0; 1 << 20])],
            ..Attributes::of_missing_directory()
        };
        // The same one again and again is one.
        for _ in 0..300 {
            directories.put(b"same", heavy.clone()).unwrap();
        }
        let mut number = 0;
        while directories.put(format!("{number}").as_bytes(), heavy.clone()).is_ok() {
            number += 1;
        }
        assert_eq!(number, 126);
    }
}

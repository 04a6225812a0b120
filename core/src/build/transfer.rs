//! `COPY` and `ADD`: sources -> what they select of a tree, the digest of that, and files in another tree.
//!
//! | module | what comes in -> what goes out |
//! |---|---|
//! | `mode` | `--chmod` -> what becomes of a mode |
//! | `source` | the sources -> the paths that they mean |
//! | `walk` | a path -> everything in it that is selected |
//! | `hashes` | a file as the kernel describes it -> its hash, if it was hashed before |
//! | `sum` | what is selected -> its digest |
//! | `place` | what is selected -> nodes in a tree |
//! | `archive` | a file -> whether `ADD` unpacks it |
//!
//! Nothing here is resolved as a string: paths in both trees are opened by openat2 inside their root. The tree that is copied
//! from may be changing meanwhile.

mod archive;
mod hashes;
mod mode;
mod place;
mod source;
mod sum;
mod walk;

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::FileType,
};

pub use self::{
    hashes::Hashes,
    place::{Copied, Ground, owner},
    sum::{Line, changed},
};
use self::{mode::Change, sum::Sums, walk::Item};
use crate::{Context, Result, dockerfile::ignore::Patterns};

/// What a `COPY` or an `ADD` says, with its variables expanded.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Paths in the tree, which may be patterns.
    pub sources: Vec<String>,
    /// Files that are written in the Dockerfile itself.
    pub documents: Vec<Document>,
    /// An absolute path; a slash or `/.` at its end says that it is a directory.
    pub destination: String,
    /// Whose everything is: `user[:group]`, names or numbers.
    pub chown: Option<String>,
    /// What becomes of the modes.
    pub chmod: Option<String>,
    /// What is copied is a layer of its own.
    pub link: bool,
    /// Directories on the way to the sources are copied with them.
    pub parents: bool,
    /// What is left out, from the sources on.
    pub excludes: Patterns,
    /// Archives are unpacked.
    pub unpack: bool,
    /// Owners are those in the tree; otherwise everything is root's.
    pub keep_owner: bool,
    /// No time is later, in seconds since 1970.
    pub epoch: Option<i64>,
}

/// A here document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the file is called.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

impl Request {
    /// What of it decides about the result besides what it selects.
    pub fn describe(&self, add: &mut dyn FnMut(&str, &[u8])) {
        add("destination", self.destination.as_bytes());
        add("chown", self.chown.as_deref().unwrap_or_default().as_bytes());
        for (name, is_set) in [("apart", self.is_apart()), ("parents", self.parents), ("unpack", self.unpack)]
        {
            add(name, &[u8::from(is_set)]);
        }
    }

    /// Puts the numbers of its owners in the place of their names, which are those of the image whose root is `users`.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for users that are not known.
    pub fn number_owner(&mut self, users: BorrowedFd<'_>) -> Result<()> {
        if let Some(wanted) = &mut self.chown {
            let (uid, gid) = place::owner(users, wanted)?;
            *wanted = format!("{uid}:{gid}");
        }
        Ok(())
    }

    /// Whether it goes into an empty tree that becomes a layer of its own. As with docker, `--chmod` is against it.
    pub fn is_apart(&self) -> bool {
        self.link && self.chmod.is_none()
    }
}

/// What a request selects of a tree, as the tree was then.
#[derive(Debug)]
pub struct Selection<'a> {
    root: OwnedFd,
    request: &'a Request,
    chmod: Option<Change>,
    items: Vec<Item>,
    /// The hashes of the items' files, once they are known.
    sums: Vec<Sums>,
}

/// Finds what a request means. `ignore` is what is left out of the whole tree.
///
/// # Errors
/// [`crate::Error::NotFound`] for a source that is not there; [`crate::Error::Invalid`] for patterns and modes that can't be
/// read; of the file system.
pub fn select<'a>(
    root: BorrowedFd<'_>,
    ignore: Option<&Patterns>,
    request: &'a Request,
) -> Result<Selection<'a>> {
    let chmod = request.chmod.as_deref().map(Change::parse).transpose()?;
    let tree = source::Tree { root, ignore };
    let mut items = Vec::new();
    for source in &request.sources {
        tree.find(source.as_bytes(), request, &mut items)?;
    }
    let root = root.try_clone_to_owned().context("duplicate", "root")?;
    Ok(Selection { root, request, chmod, items, sums: Vec::new() })
}

impl Selection<'_> {
    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.items.iter().map(|item| item.nodes.len()).sum::<usize>() + self.request.documents.len()
    }

    /// Bytes of content of the files that are selected.
    pub fn size_bytes(&self) -> u64 {
        let nodes = self.items.iter().flat_map(|item| &item.nodes);
        nodes.filter(|node| node.facts.kind() == FileType::RegularFile).map(|node| node.facts.size).sum()
    }
}

/// Whether a source has to be fetched from somewhere.
pub fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| source.starts_with(scheme))
}

#[cfg(test)]
mod tests;

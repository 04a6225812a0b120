//! Putting things on the shelves so that a power cut at any moment leaves all of them, the first few of them or none,
//! each whole: written below `tmp/`, made durable by one syncfs, renamed in order, and the directories synced.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use super::{Locked, Scratch, Store};
use crate::{Context, Error, Result, file};

/// Files and directories that appear on the shelves together, in order.
#[must_use]
pub struct Publication<'s> {
    pub(super) store: &'s Store,
    steps: Vec<Step>,
    _locked: &'s Locked,
}

struct Step {
    /// Below the data root.
    from: String,
    to: String,
    what: What,
}

/// What comes on a shelf.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It takes the place of what is there.
    File,
    /// A directory, whose name is its content. If it is there already, this one goes.
    Directory,
    /// The same, but if it is there already, this one stays with whoever has made it.
    Scratch,
}

impl Store {
    /// Begins to put things on the shelves.
    ///
    /// # Errors
    /// Of the file system.
    pub fn publication<'s>(&'s self, locked: &'s Locked) -> Result<Publication<'s>> {
        file::subdirectory(&self.root, "tmp", 0o700).context("create directory", "tmp")?;
        Ok(Publication { store: self, steps: Vec::new(), _locked: locked })
    }
}

impl Publication<'_> {
    /// A file at `path` below the data root, whose last component is already checked.
    ///
    /// # Errors
    /// Of the file system.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Result<Self> {
        let from = format!("tmp/{}", random_name());
        self.steps.push(Step { from: from.clone(), to: path.to_string(), what: What::File });
        file::create(&self.store.root, from.as_str(), bytes, 0o600).context("write", path)?;
        Ok(self)
    }

    /// A directory that was made in `tmp/`. If there is one already, that one stays there, and this one here.
    pub(super) fn directory(mut self, scratch: &Scratch, path: &str) -> Self {
        self.steps.push(Step { from: scratch.path.clone(), to: path.to_string(), what: What::Scratch });
        self
    }

    /// What lies at one path of the data root goes to another.
    pub(super) fn moved(mut self, from: String, to: String) -> Self {
        self.steps.push(Step { from, to, what: What::Directory });
        self
    }

    /// Makes it all visible, and lets the disk have it when it likes: for what is worth nothing after a power cut.
    ///
    /// # Errors
    /// Of the file system; what was already renamed stays.
    pub fn show(mut self) -> Result<()> {
        self.rename().map(drop)
    }

    /// Makes it all durable and visible.
    ///
    /// # Errors
    /// Of the file system; what was already renamed stays.
    pub fn commit(mut self) -> Result<()> {
        let root = &self.store.root;
        let synced = open_directory(root, ".").context("open", "data root")?;
        match self.steps.as_slice() {
            // One small file does not have to wait for everything else that is on its way to the disk.
            [Step { from, what: What::File, .. }] => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let small = rustix::fs::openat(root, from.as_str(), flags, Mode::empty());
                small.and_then(rustix::fs::fsync).context("sync", from)?;
            }
            _ => rustix::fs::syncfs(&synced).context("sync", "data root")?,
        }
        for parent in self.rename()? {
            open_directory(&self.store.root, &parent).and_then(rustix::fs::fsync).context("sync", &parent)?;
        }
        Ok(())
    }

    /// Puts everything in its place, in order, and gives the directories that it is in.
    fn rename(&mut self) -> Result<Vec<String>> {
        let root = &self.store.root;
        let mut parents: Vec<String> = Vec::new();
        for step in &self.steps {
            let parent = step.to.rsplit_once('/').map_or(".", |(parent, _)| parent);
            if !parents.iter().any(|known| known == parent) {
                parents.push(parent.into());
                file::make_directories(root, parent.as_bytes()).context("create directory", parent)?;
            }
            let is_file = step.what == What::File;
            let flags = if is_file { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
            let is_there = || rustix::fs::statat(root, step.to.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
            match rustix::fs::renameat_with(root, step.from.as_str(), root, step.to.as_str(), flags) {
                // Somebody else has moved it.
                Err(Errno::NOENT) if !is_file && is_there() => {}
                Err(Errno::EXIST) if !is_file => {
                    if step.what == What::Directory {
                        let _ = file::remove_tree(root, step.from.as_str());
                    }
                }
                other => other.context("rename", &step.to)?,
            }
        }
        self.steps.clear();
        Ok(parents)
    }
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        for step in self.steps.iter().filter(|step| step.what == What::File) {
            let _ = rustix::fs::unlinkat(&self.store.root, step.from.as_str(), AtFlags::empty());
        }
    }
}

/// Takes the file `path` off the shelves, durably. A missing one is fine.
pub(super) fn remove_file(store: &Store, _alone: &Locked, path: &str) -> Result<()> {
    match rustix::fs::unlinkat(&store.root, path, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(Error::os("remove", path, errno)),
    }
    sync_parent(store, path)
}

/// Makes it durable that something came to this path below the data root or went away from there.
pub(super) fn sync_parent(store: &Store, path: &str) -> Result<()> {
    let parent = path.rsplit_once('/').map_or(".", |(parent, _)| parent);
    open_directory(&store.root, parent).and_then(rustix::fs::fsync).context("sync", parent)
}

pub(super) fn open_directory(at: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// A name that nobody else uses: 64 random bits in hexadecimal digits.
pub(super) fn random_name() -> String {
    let mut bits = [0; 8];
    // Eight bytes come whole, and wait only in the first moments of a boot.
    while !matches!(getrandom(&mut bits, GetRandomFlags::empty()), Ok(8)) {}
    format!("{:016x}", u64::from_ne_bytes(bits))
}

#[cfg(test)]
mod tests {
    use crate::{file, store::tests::ScratchStore};

    #[test]
    fn published_files_are_there_and_unpublished_ones_leave_nothing() {
        let scratch = ScratchStore::new("publish");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        store
            .publication(&locked)
            .unwrap()
            .file("a/x", b"1")
            .unwrap()
            .file("b/y", b"2")
            .unwrap()
            .commit()
            .unwrap();
        drop(store.publication(&locked).unwrap().file("a/z", b"3").unwrap());
        assert_eq!(file::read(store.root(), "a/x", 9).unwrap(), b"1");
        assert_eq!(file::read(store.root(), "b/y", 9).unwrap(), b"2");
        assert_eq!(file::names(store.root(), "a").unwrap(), ["x"]);
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }

    #[test]
    fn a_directory_that_has_gone_is_missed_unless_it_is_where_it_was_to_go() {
        let scratch = ScratchStore::new("gone");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        let moved = |from: &str| store.publication(&locked).unwrap().moved(from.into(), "there/x".into());
        assert!(moved("nowhere").commit().is_err());
        file::subdirectory(store.root(), "here", 0o700).unwrap();
        moved("here").commit().unwrap();
        moved("here").commit().unwrap();
        assert_eq!(file::names(store.root(), "there").unwrap(), ["x"]);
    }

    #[test]
    fn a_file_that_is_published_again_is_replaced() {
        let scratch = ScratchStore::new("again");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        for content in [b"1", b"2"] {
            store.publication(&locked).unwrap().file("a/x", content).unwrap().commit().unwrap();
            assert_eq!(file::read(store.root(), "a/x", 9).unwrap(), content);
        }
    }
}

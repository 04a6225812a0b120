//! What came of build steps, each under its key: a hash of everything that the step depends on. Their layers stay as long
//! as they do.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Mode, OFlags, Timestamps};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};

use super::{Locked, Publication, Store, collect::Removed};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::{DiffId, Digest},
    file,
};

/// The directory of the data root.
const CACHE: &str = "cache";
/// What names of files there begin with that say which layer a line of a Dockerfile has come to.
const LATEST: &str = "latest-";
/// What names of empty files there begin with that say that a step with this instruction was made.
const MADE: &str = "made-";
/// Longest record of a step, in bytes.
const RECORD_LIMIT: usize = 1 << 20;

/// What came of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// Its layer, unless it changed nothing.
    pub layer: Option<DiffId>,
    /// Bytes of file content in that.
    pub size_bytes: u64,
    /// What is shown of it.
    pub instruction: String,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// How long that took.
    pub took_ns: i64,
    /// What it depended on: names, and what they were, or a hash of it.
    pub inputs: Vec<(String, String)>,
    /// The files that it read, unless they are many.
    pub files: Vec<StepFile>,
}

impl StepRecord {
    /// Of a step that was made just now, in this time. What came of it is missing.
    pub fn made(instruction: &str, took_ns: i64) -> StepRecord {
        let created_ns = Time::now().unix_nanos();
        StepRecord { instruction: instruction.into(), created_ns, took_ns, ..StepRecord::default() }
    }

    /// Reads a file with one.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; of the file system.
    pub fn read(at: impl AsFd, path: &str) -> Result<StepRecord> {
        let bytes = file::read(at, path, RECORD_LIMIT).context("read", path)?;
        crate::json::from_slice(&bytes).map_err(|error| Error::Corrupt(format!("read {path}: {error}")))
    }
}

/// A file that a step read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFile {
    /// From what was copied on.
    pub path: String,
    /// Kind and permission bits.
    pub mode: u32,
    /// The beginning of its content's hash; empty if it has none.
    pub hash: String,
}

/// A step on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedStep {
    /// Its key.
    pub key: Digest,
    /// What came of it.
    pub record: StepRecord,
    /// When it was last of use.
    pub used: Time,
}

fn latest_name(line: &Digest) -> String {
    format!("{LATEST}{}", line.hex().as_str())
}

fn latest(line: &Digest) -> String {
    format!("{CACHE}/{}", latest_name(line))
}

/// The file that says that a step with this instruction was made.
fn made(instruction: &str) -> String {
    format!("{CACHE}/{MADE}{}", Digest::of(instruction.as_bytes()).hex().as_str())
}

fn path(key: &Digest) -> String {
    format!("{CACHE}/{}", key.hex().as_str())
}

impl Store {
    /// What came of the step with this key the last time, if that is all still there.
    pub fn step(&self, _locked: &Locked, key: &Digest) -> Option<StepRecord> {
        let path = path(key);
        let record = StepRecord::read(&self.root, &path).ok()?;
        if record.layer.is_some_and(|layer| !self.has_layer(&layer)) {
            return None;
        }
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let _ = rustix::fs::utimensat(&self.root, path.as_str(), &times, AtFlags::SYMLINK_NOFOLLOW);
        Some(record)
    }

    /// All steps, in no order. Those that can't be read are left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn steps(&self) -> Result<Vec<CachedStep>> {
        let mut steps = Vec::new();
        for name in self.listed(CACHE)? {
            let Some(key) = Digest::from_hex(&name) else { continue };
            let path = path(&key);
            let stat = rustix::fs::statat(&self.root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            if let (Ok(stat), Ok(record)) = (stat, StepRecord::read(&self.root, &path)) {
                steps.push(CachedStep { key, record, used: Time::from_unix(stat.st_mtime, 0) });
            }
        }
        Ok(steps)
    }

    /// The step that was of use last of those with this instruction.
    pub fn last_step(&self, instruction: &str) -> Option<StepRecord> {
        let mut steps = self.steps().ok()?;
        steps.retain(|step| step.record.instruction == instruction);
        steps.into_iter().max_by_key(|step| (step.used, step.record.created_ns)).map(|step| step.record)
    }

    /// The layer that the line with this hash has come to when it was made last, if anybody knows and it is still there.
    pub fn latest_layer(&self, line: &Digest) -> Option<DiffId> {
        let text = file::read(&self.root, latest(line), 100).ok()?;
        let layer = DiffId(Digest::parse(core::str::from_utf8(&text).ok()?).ok()?);
        self.has_layer(&layer).then_some(layer)
    }

    /// Says so, for the next time. Nobody depends on it.
    pub fn set_latest_layer(&self, line: &Digest, layer: &DiffId) {
        if let Ok(cache) = file::directory(&self.root, CACHE) {
            let _ = file::replace(&cache, latest_name(line).as_str(), layer.to_string().as_bytes(), 0o600);
        }
    }

    /// Whether a step with this instruction was ever made, whatever it stood on.
    pub fn was_made(&self, instruction: &str) -> bool {
        rustix::fs::statat(&self.root, made(instruction), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Says so, for the next time. Nobody depends on it.
    pub fn set_made(&self, instruction: &str) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let _ = rustix::fs::openat(&self.root, made(instruction), flags, Mode::from_raw_mode(0o600));
    }

    /// Forgets which lines have come to layers that are not there any more, and which instructions to steps.
    ///
    /// # Errors
    /// Of the file system.
    pub fn forget_lines(&self, _alone: &Locked) -> Result<()> {
        let made: BTreeSet<String> =
            self.steps()?.iter().map(|step| made(&step.record.instruction)).collect();
        for name in self.listed(CACHE)? {
            let path = format!("{CACHE}/{name}");
            let line = name.strip_prefix(LATEST).and_then(Digest::from_hex);
            if line.is_some_and(|line| self.latest_layer(&line).is_none())
                || name.starts_with(MADE) && !made.contains(&path)
            {
                rustix::fs::unlinkat(&self.root, path.as_str(), AtFlags::empty()).context("remove", path)?;
            }
        }
        Ok(())
    }

    /// Takes a step off the shelf. What only it needed goes with the next collection.
    ///
    /// # Errors
    /// Of the file system.
    pub fn forget_step(&self, _alone: &Locked, key: &Digest, removed: &mut Removed) -> Result<()> {
        removed.take(&path(key))
    }
}

impl Publication<'_> {
    /// What came of a step.
    ///
    /// # Errors
    /// Of the file system.
    pub fn step(self, key: &Digest, record: &StepRecord) -> Result<Self> {
        self.file(&path(key), &serde_json::to_vec(record).expect("plain values"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LayerFacts, tests::ScratchStore};

    #[test]
    fn a_step_keeps_its_layer_until_it_is_forgotten() {
        let scratch = ScratchStore::new("steps");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        let tree = store.scratch(&locked).unwrap();
        file::subdirectory(tree.directory(), "tree", 0o755).unwrap();
        let (layer, key) = (DiffId(Digest::of(b"layer")), Digest::of(b"key"));
        let record = StepRecord { layer: Some(layer), instruction: "RUN x".into(), ..StepRecord::default() };
        let line = Digest::of(b"line");
        assert_eq!(store.step(&locked, &key), None);
        let publication = store.publication(&locked).unwrap().layer(&layer, &tree, &LayerFacts::default());
        publication.unwrap().step(&key, &record).unwrap().commit().unwrap();
        assert_eq!(store.step(&locked, &key), Some(record.clone()));
        assert_eq!(store.steps().unwrap()[0].record, record);
        assert_eq!(store.latest_layer(&line), None);
        store.set_latest_layer(&line, &layer);
        assert_eq!(store.latest_layer(&line), Some(layer));
        drop(locked);
        let alone = store.alone().unwrap();
        let mut removed = store.removal(&alone).unwrap();
        store.collect(&alone, &[], &mut removed).unwrap();
        store.forget_lines(&alone).unwrap();
        assert!(removed.layers.is_empty() && store.latest_layer(&line) == Some(layer));
        store.forget_step(&alone, &key, &mut removed).unwrap();
        store.collect(&alone, &[], &mut removed).unwrap();
        assert_eq!((removed.layers.as_slice(), store.has_layer(&layer)), (&[layer][..], false));
        store.forget_lines(&alone).unwrap();
        assert_eq!(store.listed(CACHE).unwrap(), [""; 0]);
        // Without its layer a step is worth nothing.
        let publication = store.publication(&alone).unwrap().step(&key, &record).unwrap();
        publication.commit().unwrap();
        assert_eq!(store.step(&alone, &key), None);
    }
}

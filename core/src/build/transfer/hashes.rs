//! Hashes of files that were read before: a file that the kernel describes as it did then has the content that it had then,
//! and is not read again.
//!
//! ```text
//! cache/files:  magic, 16 bytes | FNV-1a of the rest, u64 | records, 88 bytes each, in order
//! record:       device u64 | inode u64 | size u64 | mtime i64, ns u32 | ctime i64, ns u32 | sha256 | day of use u32 | 0 u32
//! ```
//! All numbers are big-endian, so that records are in the order of their bytes. The file is only a memory: one that is torn or
//! damaged is none. It is written under a lock, from what it is then and what this process has learned.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FlockOperation, Mode, OFlags, openat},
    io::Errno,
};

use super::walk::Facts;
use crate::{
    clock::{SECOND, Time},
    digest::{self, Digest},
    file,
};

const DIRECTORY: &str = "cache";
const NAME: &str = "files";
const LOCK: &str = "files.lock";
const MAGIC: &[u8; 16] = b"skiff files 1\n\0\0";
const HEAD: usize = 24;
const RECORD: usize = 88;
/// What a record is found by: device and inode.
const NODE: usize = 16;
/// What has to be equal.
const KEY: usize = 48;
const HASH: core::ops::Range<usize> = KEY..KEY + 32;
const DAY: core::ops::Range<usize> = HASH.end..HASH.end + 4;
/// Most records.
const MOST: usize = 1 << 19;
/// Records that nobody has looked at for so many days are dropped.
const DAYS: u32 = 30;
/// A file that changed so shortly before it was read may have changed again without another time.
const SETTLED: i64 = 2 * SECOND;

type Record = [u8; RECORD];

/// What is remembered.
#[derive(Debug)]
pub struct Hashes {
    /// None if it can't be had: then nothing is remembered.
    directory: Option<OwnedFd>,
    /// The file as it was read first, without its head; `None` before that.
    known: Option<Vec<u8>>,
    /// What the file does not have yet.
    fresh: Vec<Record>,
    today: u32,
}

impl Hashes {
    /// Those of a data directory. Nothing is read before a hash is asked for.
    pub fn load(data: impl AsFd) -> Self {
        let today = u32::try_from(Time::now().unix() / 86400).unwrap_or(0);
        let directory = file::subdirectory(data, DIRECTORY, 0o700).ok();
        Hashes { directory, known: None, fresh: Vec::new(), today }
    }

    /// The hash of a file that was hashed when it was like this.
    pub(super) fn find(&mut self, facts: &Facts) -> Option<Digest> {
        let wanted = key(facts);
        let known =
            self.known.get_or_insert_with(|| self.directory.as_ref().and_then(load).unwrap_or_default());
        let (records, _) = known.as_chunks::<RECORD>();
        let at = records.binary_search_by(|record| record[..NODE].cmp(&wanted[..NODE])).ok()?;
        let record = &records[at];
        if record[..KEY] != wanted {
            return None;
        }
        if record[DAY] != self.today.to_be_bytes() {
            let mut used = *record;
            used[DAY].copy_from_slice(&self.today.to_be_bytes());
            self.fresh.push(used);
        }
        record[HASH].try_into().ok().map(Digest::from_bytes)
    }

    /// Remembers the hash of a file that was like this before it was read, at this time, and after that.
    pub(super) fn put(&mut self, facts: &Facts, hash: Digest) {
        let mut record = [0; RECORD];
        record[..KEY].copy_from_slice(&key(facts));
        record[HASH].copy_from_slice(&hash.to_bytes());
        record[DAY].copy_from_slice(&self.today.to_be_bytes());
        self.fresh.push(record);
    }

    /// Writes what was learned, if anything was and if that is possible: nobody depends on it.
    pub fn save(&mut self) {
        let fresh = core::mem::take(&mut self.fresh);
        if let Some(directory) = self.directory.as_ref().filter(|_| !fresh.is_empty()) {
            let _ = write(directory, fresh, self.today);
            self.known = None;
        }
    }
}

fn write(directory: &OwnedFd, mut fresh: Vec<Record>, today: u32) -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    file::lock(&lock, FlockOperation::LockExclusive)?;
    let present = load(directory).unwrap_or_default();
    crate::sort::by(&mut fresh, |a, b| a[..NODE].cmp(&b[..NODE]));
    let records = bounded(merged(present.as_chunks().0, &fresh), today);
    let bytes = records.as_flattened();
    let head = [&MAGIC[..], &digest::fnv1a(bytes.iter().copied()).to_be_bytes()].concat();
    file::replace(directory, NAME, &[&head, bytes].concat(), 0o600)
}

/// Whether nothing that changes a file now could leave its times as they are.
pub(super) fn is_settled(facts: &Facts, now: Time) -> bool {
    let (seconds, nanos) = facts.ctime;
    now.since(Time::from_unix(seconds, nanos)) >= SETTLED
}

fn key(facts: &Facts) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(&facts.identity.0.to_be_bytes());
    key[8..16].copy_from_slice(&facts.identity.1.to_be_bytes());
    key[16..24].copy_from_slice(&facts.size.to_be_bytes());
    key[24..32].copy_from_slice(&facts.mtime.0.to_be_bytes());
    key[32..36].copy_from_slice(&facts.mtime.1.to_be_bytes());
    key[36..44].copy_from_slice(&facts.ctime.0.to_be_bytes());
    key[44..].copy_from_slice(&facts.ctime.1.to_be_bytes());
    key
}

/// The records of the file; nothing for a file that is not as this module writes it.
fn load(directory: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = file::read(directory, NAME, HEAD + MOST * RECORD).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, records) = rest.split_first_chunk()?;
    let (all, torn) = records.as_chunks::<RECORD>();
    let is_whole = torn.is_empty()
        && digest::fnv1a(records.iter().copied()) == u64::from_be_bytes(*sum)
        && all.is_sorted_by(|a, b| a[..NODE] < b[..NODE]);
    is_whole.then(|| bytes.split_off(HEAD))
}

/// Both, in order; of two for the same node the newer, and the later of several new ones.
fn merged(old: &[Record], fresh: &[Record]) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::with_capacity(old.len() + fresh.len());
    let (mut old, mut fresh) = (old.iter().peekable(), fresh.iter().peekable());
    loop {
        let is_old = match (old.peek(), fresh.peek()) {
            (None, None) => return all,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(old), Some(fresh)) => old[..NODE] <= fresh[..NODE],
        };
        let Some(next) = (if is_old { old.next() } else { fresh.next() }) else { return all };
        match all.last_mut() {
            Some(last) if last[..NODE] == next[..NODE] => *last = *next,
            _ => all.push(*next),
        }
    }
}

/// Without those that are not used any more, the oldest first, as many as have to go.
fn bounded(mut records: Vec<Record>, today: u32) -> Vec<Record> {
    let age = |record: &Record| {
        let day = record[DAY].try_into().map_or(0, u32::from_be_bytes);
        today.saturating_sub(day)
    };
    let mut counts = [0_usize; DAYS as usize];
    for record in &records {
        if let Some(count) = counts.get_mut(age(record) as usize) {
            *count += 1;
        }
    }
    let mut sum = 0;
    let kept = counts.iter().take_while(|count| {
        sum += **count;
        sum <= MOST
    });
    let days = (kept.count() as u32).max(1);
    records.retain(|record| age(record) < days);
    records.truncate(MOST);
    records
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    fn facts(inode: u64) -> Facts {
        Facts {
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            links: 1,
            size: 5,
            device: 0,
            mtime: (100, 7),
            ctime: (200, 8),
            identity: (3, inode),
        }
    }

    fn scratch(name: &str) -> (String, OwnedFd) {
        let path = format!("/tmp/skiff-hashes-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(file::CWD, path.as_str());
        let directory = file::make_host_directories(&path, 0o700).unwrap();
        file::subdirectory(&directory, DIRECTORY, 0o700).unwrap();
        (path, directory)
    }

    #[test]
    fn a_hash_is_known_again_as_long_as_nothing_says_that_the_file_changed() {
        let (path, directory) = scratch("known");
        let open = || Hashes::load(&directory);
        let mut first = open();
        for inode in (0..100).rev() {
            assert_eq!(first.find(&facts(inode)), None);
            first.put(&facts(inode), Digest::of(&inode.to_le_bytes()));
        }
        // Somebody else at the same time.
        let mut other = open();
        other.put(&facts(7), Digest::of(b"newer"));
        other.put(&facts(200), Digest::of(b"200"));
        first.save();
        other.save();
        let mut again = open();
        assert_eq!(again.find(&facts(7)), Some(Digest::of(b"newer")));
        assert_eq!(again.find(&facts(200)), Some(Digest::of(b"200")));
        for inode in (0..100).filter(|inode| *inode != 7) {
            assert_eq!(again.find(&facts(inode)), Some(Digest::of(&inode.to_le_bytes())));
        }
        assert!(again.fresh.is_empty());
        let base = facts(1);
        for changed in [
            Facts { size: 6, ..base },
            Facts { mtime: (100, 6), ..base },
            Facts { mtime: (101, 7), ..base },
            Facts { ctime: (200, 9), ..base },
            Facts { identity: (4, 1), ..base },
        ] {
            assert_eq!(again.find(&changed), None);
        }
        assert!(again.find(&Facts { mode: 0o100_755, uid: 5, links: 2, ..base }).is_some());
        file::remove_tree(file::CWD, path.as_str()).unwrap();
    }

    #[test]
    fn a_damaged_file_is_none_and_is_written_anew() {
        let (path, directory) = scratch("damaged");
        let open = || Hashes::load(&directory);
        let mut hashes = open();
        hashes.put(&facts(1), Digest::of(b"1"));
        hashes.put(&facts(2), Digest::of(b"2"));
        hashes.save();
        let cache = file::directory(&directory, DIRECTORY).unwrap();
        let whole = file::read(&cache, NAME, 1000).unwrap();
        assert_eq!(whole.len(), HEAD + 2 * RECORD);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            file::replace(&cache, NAME, &bytes, 0o600).unwrap();
            assert_eq!(open().find(&facts(1)), None, "{at}");
            file::replace(&cache, NAME, &whole[..at], 0o600).unwrap();
            assert_eq!(open().find(&facts(1)), None, "{at}");
        }
        let mut hashes = open();
        hashes.put(&facts(3), Digest::of(b"3"));
        hashes.save();
        assert_eq!(open().find(&facts(3)), Some(Digest::of(b"3")));
        file::remove_tree(file::CWD, path.as_str()).unwrap();
    }

    #[test]
    fn what_nobody_uses_goes() {
        let record = |day: u32, node: u8| {
            let mut record = [0; RECORD];
            record[NODE - 1] = node;
            record[DAY].copy_from_slice(&day.to_be_bytes());
            record
        };
        let kept = bounded(alloc::vec![record(970, 1), record(971, 2), record(1000, 3)], 1000);
        assert_eq!(kept, [record(971, 2), record(1000, 3)]);
        let many = [alloc::vec![record(999, 1); 10], alloc::vec![record(1000, 2); MOST]].concat();
        let kept = bounded(many, 1000);
        assert!(kept.len() == MOST && kept.iter().all(|kept| *kept == record(1000, 2)));
        assert_eq!(bounded(alloc::vec![record(1000, 2); MOST + 5], 1000).len(), MOST);
    }

    #[test]
    fn a_file_that_has_just_changed_may_change_again_unseen() {
        let at = |seconds| Time::from_unix(seconds, 8);
        assert!(is_settled(&facts(1), at(202)) && !is_settled(&facts(1), at(201)));
        // Its time is in the future.
        assert!(!is_settled(&facts(1), at(100)));
    }
}

//! Files of lines that only grow and are rotated: `name`, and the older ones `name.1`, `name.2`, ... Container logs and
//! the event log are such files. [`rotate`] is the writer's side, [`Lines`] the reader's, [`Watch`] tells the reader that
//! something was written.
//!
//! A reader may be anywhere in the chain while it moves on: it knows its place by the inode that it has open. A line
//! without its line break is not there yet, or (after a crash) never will be; the reader shows neither.

mod watch;

pub use watch::Watch;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::ops::Range;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{Context, Result, file};

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;
/// A line that is longer is damaged, and skipped.
const LINE_MAX: usize = 1024 * 1024;

/// Moves `name` to `name.1`, that to `name.2` and so on, so that at most `files` files are left, one of them the new,
/// empty `name` that is returned. The old name stays valid for those
/// who have it open.
///
/// # Errors
/// EAGAIN if a reader is looking; otherwise as renameat(2) and openat(2).
pub fn rotate(directory: impl AsFd, name: &str, files: u32) -> Result<OwnedFd, Errno> {
    let _lock = lock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    let missing_is_fine = |result| match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    };
    if files < 2 {
        missing_is_fine(rustix::fs::unlinkat(&directory, name, AtFlags::empty()))?;
    }
    for number in (0..files.saturating_sub(1)).rev() {
        let (from, to) = (file_name(name, number), file_name(name, number + 1));
        missing_is_fine(rustix::fs::renameat(&directory, from.as_str(), &directory, to.as_str()))?;
    }
    append(directory, name)
}

/// Opens the journal's newest file for appending, and makes it if it is missing.
///
/// # Errors
/// As openat(2).
pub fn append(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o640))
}

/// Locks the chain of files in `directory` until the result is dropped: exclusive to rotate, shared to look at it.
///
/// # Errors
/// As openat(2) and flock(2).
pub fn lock(directory: impl AsFd, how: FlockOperation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    file::lock(&lock, how)?;
    Ok(lock)
}

fn file_name(name: &str, number: u32) -> String {
    if number == 0 { name.to_string() } else { format!("{name}.{number}") }
}

/// What tells one file from another while somebody has it open.
pub type Identity = (u64, u64);

/// The identity and the size of an open file.
///
/// # Errors
/// As fstat(2).
pub fn identify(file: impl AsFd) -> Result<(Identity, u64), Errno> {
    let stat = rustix::fs::fstat(file)?;
    Ok(((stat.st_dev, stat.st_ino), stat.st_size as u64))
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Of which file; zeros where there is none.
    pub file: Identity,
    /// So many bytes are before it.
    pub offset: u64,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest line there is.
    Oldest,
    /// So many lines before the end.
    Last(u64),
}

/// A reader, oldest line first.
#[derive(Debug)]
pub struct Lines {
    directory: OwnedFd,
    name: String,
    file: Option<(OwnedFd, Identity)>,
    /// The next file: set when the present one has been read to its end and had a successor already before that.
    next: Option<(OwnedFd, Identity)>,
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the first unread line begins, and up to where there is no line break.
    begin: usize,
    searched: usize,
    /// Where in the buffer the present line is.
    line: Range<usize>,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl Lines {
    /// Opens the journal `name` in `directory`; it need not be there yet.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(directory: BorrowedFd<'_>, name: &str, start: Start) -> Result<Lines> {
        let mut lines = Lines {
            directory: directory.try_clone_to_owned().context("duplicate", name)?,
            name: name.to_string(),
            file: None,
            next: None,
            offset: 0,
            buffer: Vec::new(),
            begin: 0,
            searched: 0,
            line: 0..0,
            skipping: false,
        };
        lines.find_start(start).context("read", name)?;
        Ok(lines)
    }

    /// The next line without its line break, or `None` if there is no more for now.
    ///
    /// # Errors
    /// Of the file system.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        Ok(if self.advance()? { Some(self.line()) } else { None })
    }

    /// The line that [`Lines::advance`] came to.
    pub fn line(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    /// Behind the last line that was read.
    pub fn position(&self) -> Position {
        let unread = (self.buffer.len() - self.begin) as u64;
        self.file.as_ref().map_or(Position::default(), |(_, identity)| Position {
            file: *identity,
            offset: self.offset - unread,
        })
    }

    /// Goes to the next line; `false` if there is no more for now.
    ///
    /// # Errors
    /// Of the file system.
    pub fn advance(&mut self) -> Result<bool> {
        self.line = 0..0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.begin..self.searched + at;
                self.begin = line.end + 1;
                self.searched = self.begin;
                if !core::mem::take(&mut self.skipping) {
                    self.line = line;
                    return Ok(true);
                }
                continue;
            }
            self.searched = self.buffer.len();
            if !self.fill().context("read", &self.name)? {
                return Ok(false);
            }
        }
    }

    /// Gets more bytes, from the next file if need be; `false` if there are none.
    fn fill(&mut self) -> Result<bool, Errno> {
        if self.file.is_none() {
            self.find_start(Start::Oldest)?;
        }
        loop {
            let Some((file, identity)) = &self.file else { return Ok(false) };
            if self.begin > 0 {
                self.buffer.drain(..self.begin);
                (self.begin, self.searched) = (0, self.buffer.len());
            }
            if self.buffer.len() > LINE_MAX {
                self.skipping = true;
                self.buffer.clear();
                self.searched = 0;
            }
            self.buffer.reserve_exact(BLOCK);
            match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut self.buffer), self.offset) {
                Ok(0) => {}
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(true);
                }
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            if self.next.is_some() {
                self.file = self.next.take();
                self.offset = 0;
                // What is left in the buffer is a line that was torn by a crash.
                self.buffer.clear();
                (self.begin, self.searched, self.skipping) = (0, 0, false);
                continue;
            }
            // The writer may have written and rotated since the read above: look for a successor, read once more.
            self.next = self.successor(*identity)?;
            if self.next.is_none() {
                return Ok(false);
            }
        }
    }

    /// The file after the one with this identity, if there is one; the oldest if this one is gone.
    fn successor(&self, present: Identity) -> Result<Option<(OwnedFd, Identity)>, Errno> {
        match rustix::fs::statat(&self.directory, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == present => return Ok(None),
            Err(Errno::NOENT) | Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let _lock = lock(&self.directory, FlockOperation::LockShared)?;
        let mut newer = None;
        for number in self.numbers()? {
            let file = self.open_file(number)?;
            if file.1 == present {
                break;
            }
            newer = Some(file);
        }
        Ok(newer)
    }

    /// The numbers of the files there are, newest first.
    fn numbers(&self) -> Result<Vec<u32>, Errno> {
        let mut numbers: Vec<u32> = file::names(&self.directory, ".")?
            .iter()
            .filter_map(|name| match name.strip_prefix(self.name.as_str())? {
                "" => Some(0),
                number => number.strip_prefix('.')?.parse().ok().filter(|number| *number > 0),
            })
            .collect();
        crate::sort::by(&mut numbers, Ord::cmp);
        Ok(numbers)
    }

    fn open_file(&self, number: u32) -> Result<(OwnedFd, Identity), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = file_name(&self.name, number);
        let file = rustix::fs::openat(&self.directory, name.as_str(), flags, Mode::empty())?;
        let (identity, _) = identify(&file)?;
        Ok((file, identity))
    }

    fn find_start(&mut self, start: Start) -> Result<(), Errno> {
        let _lock = lock(&self.directory, FlockOperation::LockShared)?;
        let mut wanted = match start {
            Start::Oldest => u64::MAX,
            Start::Last(count) => count,
        };
        for number in self.numbers()? {
            let file = self.open_file(number)?;
            self.offset = if start == Start::Oldest { 0 } else { nth_last_line(&file.0, &mut wanted)? };
            self.file = Some(file);
            if self.offset > 0 || wanted == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Where the last `wanted` lines of a file begin; `wanted` is lowered by the number of lines from there on. What comes
/// after the last line break is no line.
fn nth_last_line(file: impl AsFd, wanted: &mut u64) -> Result<u64, Errno> {
    let mut block = [0; 8192];
    let (_, mut end) = identify(&file)?;
    // Whether a line break was seen: before the first, what ends in it has not begun.
    let mut in_lines = false;
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - begin) as usize];
        let mut done = 0;
        while done < part.len() {
            match rustix::io::pread(&file, &mut part[done..], begin + done as u64) {
                // Cut short by somebody else: nothing there is a line.
                Ok(0) => return Ok(begin),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        for at in memchr::memrchr_iter(b'\n', part) {
            if core::mem::replace(&mut in_lines, true) {
                *wanted -= 1;
            }
            if *wanted == 0 {
                return Ok(begin + at as u64 + 1);
            }
        }
        end = begin;
    }
    if in_lines {
        *wanted -= 1;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;

//! What comes out of a container -> its log file. The monitor runs it: one `write` for an ordinary chunk, and two
//! buffers of fixed size that take no memory until there is output.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{FILE_NAME, Settings, Stream, line};
use crate::{
    Context, Result,
    clock::Time,
    file,
    journal::{self, Position, append, identify},
};

/// A line of this length or more is split into parts of it.
pub const PART_MAX: usize = 16 * 1024;
/// Bytes that are written at once.
const BUFFER: usize = 32 * 1024;
/// Text that is escaped at once.
const PIECE: usize = 4 * 1024;
/// Bytes of the file that are read at once for a client that has read the rest.
const AT_ONCE: u64 = 1024 * 1024;
/// Until so many further bytes were written no second rotation is tried while a reader is in the way.
const RETRY_BYTES: u64 = 4 * 1024;

const _: () = assert!(PIECE * line::GROWTH_MAX + line::FRAME_MAX + 2 <= BUFFER);

/// Writes a container's log.
#[derive(Debug)]
pub struct Writer {
    /// None: driver `none`.
    output: Option<Output>,
    /// Of each stream what has come since its last line break.
    tails: [Tail; 2],
}

#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    /// When the line began, if a part of it is in the file already: all parts carry that time.
    begun: Option<Time>,
}

#[derive(Debug)]
struct Output {
    directory: OwnedFd,
    /// Opened when there is something to write.
    file: Option<OwnedFd>,
    /// Of the file, without the buffer.
    size: u64,
    rotate_at: u64,
    max_size: u64,
    max_files: u32,
    buffer: Vec<u8>,
    /// The file may end within a line.
    torn: bool,
}

impl Writer {
    /// A writer of the log in the container's `directory`. There is no file before there is output; later output comes
    /// behind what is there.
    ///
    /// # Errors
    /// EMFILE.
    pub fn open(directory: impl AsFd, settings: Settings) -> Result<Writer> {
        let Settings::Files { max_size_bytes, max_files } = settings else {
            return Ok(Writer { output: None, tails: Default::default() });
        };
        let directory = directory.as_fd().try_clone_to_owned().context("duplicate", "directory")?;
        let max_size = max_size_bytes.unwrap_or(u64::MAX);
        let output = Output {
            directory,
            file: None,
            size: 0,
            rotate_at: max_size,
            max_size,
            max_files,
            buffer: Vec::new(),
            torn: false,
        };
        Ok(Writer { output: Some(output), tails: Default::default() })
    }

    /// Takes what was read from a stream at `now`.
    ///
    /// # Errors
    /// As write(2), ENOSPC above all. That output is lost, later output is taken again.
    pub fn write(&mut self, stream: Stream, mut bytes: &[u8], now: Time) -> Result<(), Errno> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let tail = &mut self.tails[stream as usize];
        let mut result = Ok(());
        while !bytes.is_empty() {
            match memchr::memchr(b'\n', bytes) {
                Some(end) if tail.bytes.len() + end < PART_MAX => {
                    let (text, rest) = bytes.split_at(end + 1);
                    let time = tail.begun.take().unwrap_or(now);
                    // A character may have its first byte in the tail and its last one here.
                    let whole = if tail.bytes.is_empty() {
                        text
                    } else {
                        tail.bytes.extend_from_slice(text);
                        &tail.bytes
                    };
                    result = result.and(output.line(stream, whole, time));
                    tail.bytes.clear();
                    bytes = rest;
                }
                _ => {
                    if tail.bytes.capacity() == 0 {
                        tail.bytes.reserve_exact(PART_MAX);
                    }
                    let (text, rest) = bytes.split_at(bytes.len().min(PART_MAX - tail.bytes.len()));
                    tail.bytes.extend_from_slice(text);
                    bytes = rest;
                    if tail.bytes.len() == PART_MAX {
                        let cut = line::whole_characters(&tail.bytes);
                        let time = *tail.begun.get_or_insert(now);
                        result = result.and(output.line(stream, &tail.bytes[..cut], time));
                        tail.bytes.drain(..cut);
                    }
                }
            }
        }
        result.and(output.flush())
    }

    /// Hands what was written behind `from`, and then what has no line break yet, to `sink`. Whoever has read the log up
    /// to there and gets this and everything later misses nothing and gets nothing twice.
    ///
    /// # Errors
    /// EAGAIN if that is far back: read on first. Otherwise as read(2).
    pub fn since(&self, from: Position, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<(), Errno> {
        let Some(output) = &self.output else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&output.directory, FILE_NAME, flags, Mode::empty()) {
            Ok(file) => {
                let (identity, size) = identify(&file)?;
                let missing = size.checked_sub(from.offset).filter(|_| identity == from.file);
                let missing = missing.filter(|missing| *missing <= AT_ONCE).ok_or(Errno::AGAIN)?;
                if missing > 0 {
                    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(from.offset))?;
                    let bytes = file::read_all(&file, AT_ONCE as usize)?;
                    let mut text = Vec::new();
                    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                        if let Some(line) = line.strip_suffix(b"\n")
                            && let Some((stream, _)) = line::parse(line, &mut text)
                        {
                            sink(stream, &text);
                        }
                    }
                }
            }
            Err(Errno::NOENT) if from == Position::default() => {}
            Err(Errno::NOENT) => return Err(Errno::AGAIN),
            Err(errno) => return Err(errno),
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let tail = &self.tails[stream as usize].bytes;
            if !tail.is_empty() {
                sink(stream, tail);
            }
        }
        Ok(())
    }

    /// Writes what the streams ended with, if that was no line break. They may begin again afterwards.
    ///
    /// # Errors
    /// As write(2).
    pub fn finish(&mut self, now: Time) -> Result<(), Errno> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut result = Ok(());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let tail = &mut self.tails[stream as usize];
            let time = tail.begun.take().unwrap_or(now);
            if !tail.bytes.is_empty() {
                result = result.and(output.line(stream, &tail.bytes, time));
            }
            tail.bytes = Vec::new();
        }
        result.and(output.flush())
    }
}

impl Output {
    /// Opens the file behind what is there.
    fn open(&mut self) -> Result<(), Errno> {
        let file = append(&self.directory, FILE_NAME)?;
        let (_, size) = identify(&file)?;
        let mut last = [0];
        let whole = size == 0 || rustix::io::pread(&file, &mut last, size - 1) == Ok(1) && last == *b"\n";
        // A monitor that was killed may have left half a line.
        (self.file, self.size, self.torn) = (Some(file), size, !whole);
        Ok(())
    }

    /// One line of the file.
    fn line(&mut self, stream: Stream, mut text: &[u8], time: Time) -> Result<(), Errno> {
        if self.file.is_none() {
            self.open()?;
        }
        let mut result = Ok(());
        if self.size + self.buffer.len() as u64 >= self.rotate_at {
            result = self.flush().and_then(|()| self.rotate());
        }
        // Whole lines are written together where that is possible, for the sake of whoever reads meanwhile.
        result = result.and(self.make_room(BUFFER.min(text.len() + text.len() / 8 + line::FRAME_MAX)));
        if core::mem::take(&mut self.torn) {
            self.buffer.push(b'\n');
        }
        line::begin(&mut self.buffer);
        while !text.is_empty() {
            let end = if text.len() > PIECE { line::whole_characters(&text[..PIECE]) } else { text.len() };
            let (piece, rest) = text.split_at(end);
            self.make_room(piece.len() * line::GROWTH_MAX)?;
            line::escape(&mut self.buffer, piece);
            text = rest;
        }
        self.make_room(line::FRAME_MAX)?;
        line::end(&mut self.buffer, stream, time);
        result
    }

    /// Makes sure that so many bytes fit behind what is in the buffer.
    fn make_room(&mut self, length: usize) -> Result<(), Errno> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(BUFFER);
        }
        if self.buffer.len() + length > BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer.
    fn flush(&mut self) -> Result<(), Errno> {
        let Some(file) = self.file.as_ref().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        let result = file::write_all(file, &self.buffer);
        match result {
            Ok(()) => self.size += self.buffer.len() as u64,
            Err(_) => {
                self.torn = true;
                self.size = identify(file).map_or(self.size, |(_, size)| size);
            }
        }
        self.buffer.clear();
        result
    }

    fn rotate(&mut self) -> Result<(), Errno> {
        match journal::rotate(&self.directory, FILE_NAME, self.max_files) {
            Ok(file) => {
                self.file = Some(file);
                (self.size, self.rotate_at, self.torn) = (0, self.max_size, false);
                Ok(())
            }
            Err(Errno::AGAIN) => {
                self.rotate_at = self.size + RETRY_BYTES;
                Ok(())
            }
            Err(errno) => {
                // The file that is open stays in use.
                self.rotate_at = self.size + self.max_size;
                Err(errno)
            }
        }
    }
}

#[cfg(test)]
mod tests;

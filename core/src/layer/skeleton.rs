//! A layer's tar without the content of its files, kept beside the tree: the two together give the tar again to the byte,
//! so that no layer is stored twice and what was received can be passed on under its digest. The extracting process
//! writes it; whoever saves, sends or verifies an image reads it.
//!
//! ```text
//! skeleton = gzip(record...)
//! record   = 0                                     the end
//!          | 1 <length> <bytes>                    these bytes
//!          | 2 <length>                            so many zeros
//!          | 3 <length> <path> <length>            all that is in this file of the tree, which has so many bytes
//! length   = seven bits a byte, the lowest first; bit 7 says that more follow
//! ```
//! Content that is in no file of the tree byte for byte (of markers, of files that were replaced, of sparse files) stands
//! here with everything else.

mod settle;

use alloc::{boxed::Box, format, vec, vec::Vec};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags, fstat},
    io::Errno,
};
use zlib_rs::{Deflate, DeflateFlush, Status};

pub use self::settle::{Inodes, settle};
use super::{inflate::Gunzip, pack::Sink};
use crate::{Context, Error, Result, file};

/// Of the tar, as it is given back.
const OUTPUT_BYTES: usize = 256 << 10;
/// Of everything else.
const BUFFER_BYTES: usize = 64 << 10;
/// Zeros are told from other bytes in pieces of this size.
const GRAIN: usize = 32;
/// The fastest that compresses at all: most of what comes here are headers, each much like the last.
const LEVEL: i32 = 1;
/// Longest path of a record.
const PATH_LIMIT: u64 = 4095;

const END: u8 = 0;
const BYTES: u8 = 1;
const ZEROS: u8 = 2;
const FILE: u8 = 3;

/// Writes a skeleton, as the tar comes.
pub struct Recorder {
    file: OwnedFd,
    deflate: Box<Deflate>,
    packed: Vec<u8>,
    /// Records that were not compressed yet.
    records: Vec<u8>,
    /// Bytes that are in no record yet.
    bytes: Vec<u8>,
    /// Of the files that were recorded, in their order.
    inodes: Inodes,
}

impl Recorder {
    /// Into an empty file.
    pub fn new(file: OwnedFd) -> Self {
        Recorder {
            file,
            // 16 more than the window's bits asks for the gzip wrapper.
            deflate: Box::new(Deflate::new(LEVEL, true, 16 + 15)),
            packed: vec![0; BUFFER_BYTES],
            records: Vec::with_capacity(BUFFER_BYTES),
            bytes: Vec::with_capacity(BUFFER_BYTES),
            inodes: Inodes::default(),
        }
    }

    /// The tar's next bytes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (some, rest) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.bytes.len()));
            self.bytes.extend_from_slice(some);
            bytes = rest;
            if self.bytes.len() == BUFFER_BYTES {
                self.close_bytes()?;
            }
        }
        Ok(())
    }

    /// The tar's next `size` bytes are the content of the file at this path of the tree.
    ///
    /// # Errors
    /// Of the file system.
    pub fn file(&mut self, path: &[u8], inode: u64, size: u64) -> Result<()> {
        self.close_bytes()?;
        self.records.push(FILE);
        put_number(path.len() as u64, &mut self.records);
        self.records.extend_from_slice(path);
        put_number(size, &mut self.records);
        self.inodes.push(inode);
        self.compress(false)
    }

    /// The tar has ended. Gives the inodes of the files that were recorded.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(mut self) -> Result<Inodes> {
        self.close_bytes()?;
        self.records.push(END);
        self.compress(true)?;
        Ok(self.inodes)
    }

    /// Makes records of the bytes that came, long runs of zeros apart from the others.
    fn close_bytes(&mut self) -> Result<()> {
        let is_zero = |grain: &[u8]| grain == &[0; GRAIN][..grain.len()];
        let mut grains = self.bytes.chunks(GRAIN).peekable();
        let (mut begin, mut end) = (0, 0);
        while let Some(grain) = grains.next() {
            end += grain.len();
            let zero = is_zero(grain);
            if grains.peek().is_some_and(|next| is_zero(next) == zero) {
                continue;
            }
            self.records.push(if zero { ZEROS } else { BYTES });
            put_number((end - begin) as u64, &mut self.records);
            if !zero {
                self.records.extend_from_slice(&self.bytes[begin..end]);
            }
            begin = end;
        }
        self.bytes.clear();
        self.compress(false)
    }

    /// Compresses the records, if there are many or no more come.
    fn compress(&mut self, last: bool) -> Result<()> {
        if self.records.len() < BUFFER_BYTES && !last {
            return Ok(());
        }
        let flush = if last { DeflateFlush::Finish } else { DeflateFlush::NoFlush };
        let mut input = self.records.as_slice();
        loop {
            let (taken_before, made_before) = (self.deflate.total_in(), self.deflate.total_out());
            let status = self.deflate.compress(input, &mut self.packed, flush);
            let status =
                status.map_err(|error| Error::Corrupt(format!("write skeleton: {}", error.as_str())))?;
            let made = (self.deflate.total_out() - made_before) as usize;
            input = &input[(self.deflate.total_in() - taken_before) as usize..];
            file::write_all(&self.file, &self.packed[..made]).context("write", "skeleton")?;
            match status {
                Status::StreamEnd => break,
                _ if made < self.packed.len() && input.is_empty() && !last => break,
                _ => {}
            }
        }
        self.records.clear();
        Ok(())
    }
}

fn put_number(mut number: u64, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// What a skeleton says next.
enum Piece<'a> {
    Bytes(&'a [u8]),
    Zeros(u64),
    File(Vec<u8>, u64),
}

/// Reads a skeleton.
struct Player<'a> {
    file: &'a OwnedFd,
    gunzip: Gunzip,
    packed: Vec<u8>,
    /// What of it is still compressed.
    packed_rest: (usize, usize),
    plain: Vec<u8>,
    /// What of it was not looked at yet.
    rest: (usize, usize),
    /// Of a record of bytes.
    bytes_left: u64,
}

impl<'a> Player<'a> {
    fn new(file: &'a OwnedFd) -> Self {
        Player {
            file,
            gunzip: Gunzip::default(),
            packed: vec![0; BUFFER_BYTES],
            packed_rest: (0, 0),
            plain: vec![0; BUFFER_BYTES],
            rest: (0, 0),
            bytes_left: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Piece<'_>>> {
        while self.bytes_left == 0 {
            match self.byte()? {
                END => {
                    // Its checksum and its length stand behind.
                    if self.fill()? {
                        return Err(damaged());
                    }
                    return self.gunzip.finish().map(|()| None);
                }
                BYTES => self.bytes_left = self.number()?,
                ZEROS => return Ok(Some(Piece::Zeros(self.number()?))),
                FILE => {
                    let length = self.number()?;
                    if length > PATH_LIMIT {
                        return Err(damaged());
                    }
                    let mut path = Vec::with_capacity(length as usize);
                    while (path.len() as u64) < length {
                        let left = length - path.len() as u64;
                        path.extend_from_slice(self.some(left)?);
                    }
                    return Ok(Some(Piece::File(path, self.number()?)));
                }
                _ => return Err(damaged()),
            }
        }
        let left = self.bytes_left;
        let (begin, end) = {
            let some = self.some(left)?.len();
            (self.rest.0 - some, self.rest.0)
        };
        self.bytes_left -= (end - begin) as u64;
        Ok(Some(Piece::Bytes(&self.plain[begin..end])))
    }

    fn number(&mut self) -> Result<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            if shift > 56 {
                return Err(damaged());
            }
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
    }

    fn byte(&mut self) -> Result<u8> {
        self.some(1).map(|bytes| bytes[0])
    }

    /// At least one byte and at most so many.
    fn some(&mut self, most: u64) -> Result<&[u8]> {
        if self.rest.0 == self.rest.1 && !self.fill()? {
            return Err(damaged());
        }
        let (begin, end) = self.rest;
        let count = usize::try_from(most).map_or(end - begin, |most| most.min(end - begin));
        self.rest.0 += count;
        Ok(&self.plain[begin..begin + count])
    }

    /// Inflates some more; false at the end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            let (begin, end) = self.packed_rest;
            let mut input = &self.packed[begin..end];
            let count = self.gunzip.next(&mut input, &mut self.plain)?;
            self.packed_rest.0 = end - input.len();
            self.rest = (0, count);
            if count > 0 {
                return Ok(true);
            }
            let count = file::read_part(self.file, &mut self.packed).context("read", "skeleton")?;
            self.packed_rest = (0, count);
            if count == 0 {
                return Ok(false);
            }
        }
    }
}

fn damaged() -> Error {
    Error::Corrupt("read skeleton: damaged".into())
}

/// Gives back the tar of which this is the skeleton and this the tree, in parts of some size.
///
/// # Errors
/// [`Error::Corrupt`] if the skeleton is damaged or a file is not there in its length; of the file system; the sink's.
pub fn replay(skeleton: &OwnedFd, tree: BorrowedFd<'_>, to: &mut Sink<'_>) -> Result<()> {
    let mut player = Player::new(skeleton);
    let mut out = Output { out: vec![0; OUTPUT_BYTES], filled: 0, to };
    while let Some(piece) = player.next()? {
        match piece {
            Piece::Bytes(bytes) => out.put(bytes)?,
            Piece::Zeros(count) => out.zeros(count)?,
            Piece::File(path, size) => out.file(&open(tree, &path, size)?, &path, size)?,
        }
    }
    out.flush()
}

/// Opens a file of the tree whose content stands for part of the tar.
fn open(tree: BorrowedFd<'_>, path: &[u8], size: u64) -> Result<OwnedFd> {
    let wrong = |why| Error::Corrupt(format!("read tree: {}: {why}", path.escape_ascii()));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match file::in_root(tree, path, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Err(wrong("it is missing")),
        other => other.context("open", path.escape_ascii())?,
    };
    let stat = fstat(&file).context("stat", path.escape_ascii())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as u64 != size {
        return Err(wrong("it has another length than it had"));
    }
    Ok(file)
}

struct Output<'a, 's> {
    out: Vec<u8>,
    filled: usize,
    to: &'a mut Sink<'s>,
}

impl Output<'_, '_> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let room = self.room()?;
            let some = usize::try_from(count).map_or(room.len(), |count| count.min(room.len()));
            room[..some].fill(0);
            self.filled += some;
            count -= some as u64;
        }
        Ok(())
    }

    fn file(&mut self, file: &OwnedFd, path: &[u8], size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.room()?;
            let most = usize::try_from(left).map_or(room.len(), |left| left.min(room.len()));
            let count = file::read_part(file, &mut room[..most]).context("read", path.escape_ascii())?;
            if count == 0 {
                let path = path.escape_ascii();
                return Err(Error::Corrupt(format!("read tree: {path}: it has become shorter")));
            }
            self.filled += count;
            left -= count as u64;
        }
        Ok(())
    }

    /// Room for at least one byte.
    fn room(&mut self) -> Result<&mut [u8]> {
        if self.filled == self.out.len() {
            self.flush()?;
        }
        Ok(&mut self.out[self.filled..])
    }

    fn flush(&mut self) -> Result<()> {
        let filled = core::mem::take(&mut self.filled);
        if filled == 0 { Ok(()) } else { (self.to)(&self.out[..filled]) }
    }
}

#[cfg(test)]
mod tests;

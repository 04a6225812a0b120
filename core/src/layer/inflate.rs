//! Compressed bytes -> plain bytes, told apart by how they begin. Pure: slices go in and out.
//!
//! gzip may have several members and zeros behind the last one; checksum and length of each member are verified by the
//! library.
//!
//! # Spec
//! RFC 1952.

use alloc::{boxed::Box, format};

use zlib_rs::{Inflate, InflateFlush, Status};

use crate::{Error, Result};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// Something that is known and cannot be read.
    Unsupported(&'static str),
}

/// Bytes that [`Format::detect`] wants to see.
pub const MAGIC_BYTES: usize = 6;

impl Format {
    /// By the first bytes of the stream.
    pub fn detect(first: &[u8]) -> Format {
        match first {
            [0x1f, 0x8b, 8, ..] => Format::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Unsupported("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Format::Unsupported("bzip2"),
            _ => Format::Plain,
        }
    }
}

enum State {
    /// In a member. Its window is on the heap anyway.
    Member(Box<Inflate>),
    /// Behind a member: another one, zeros, or the end.
    Between,
    /// Behind the last member: only zeros.
    Zeros,
}

/// Reads gzip.
pub struct Gunzip {
    state: State,
}

impl Default for Gunzip {
    /// At the beginning of a stream.
    fn default() -> Self {
        Gunzip { state: State::Member(member()) }
    }
}

impl Gunzip {
    /// Takes bytes from the front of `input` and puts plain ones to the front of `output`; tells how many. When that is
    /// less than `output` can hold, all of `input` has been taken.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for wrong data, wrong checksums, rubbish behind the last member.
    pub fn next(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        loop {
            match &mut self.state {
                State::Member(inflate) => {
                    let (taken_before, made_before) = (inflate.total_in(), inflate.total_out());
                    let status = inflate
                        .decompress(input, &mut output[done..], InflateFlush::NoFlush)
                        .map_err(|error| corrupt(error.as_str()))?;
                    let taken = inflate.total_in() - taken_before;
                    let made = inflate.total_out() - made_before;
                    *input = &input[taken as usize..];
                    done += made as usize;
                    match status {
                        Status::StreamEnd => self.state = State::Between,
                        _ if done == output.len() || (input.is_empty() && made == 0) => return Ok(done),
                        _ if taken == 0 && made == 0 => return Err(corrupt("no progress")),
                        _ => {}
                    }
                }
                State::Between => match input.first() {
                    None => return Ok(done),
                    Some(0) => self.state = State::Zeros,
                    // The member's reader checks the rest of the magic number.
                    Some(0x1f) => self.state = State::Member(member()),
                    Some(_) => return Err(corrupt("rubbish behind the end")),
                },
                State::Zeros => {
                    if input.iter().any(|byte| *byte != 0) {
                        return Err(corrupt("rubbish behind the end"));
                    }
                    *input = &[];
                    return Ok(done);
                }
            }
        }
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a member was not finished.
    pub fn finish(&self) -> Result<()> {
        match self.state {
            State::Member(_) => Err(corrupt("truncated")),
            State::Between | State::Zeros => Ok(()),
        }
    }
}

/// 16 more than the window's bits asks for the gzip wrapper.
fn member() -> Box<Inflate> {
    Box::new(Inflate::new(true, 16 + 15))
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt(format!("read gzip: {why}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::{vec, vec::Vec};

    use zlib_rs::{Deflate, DeflateFlush};

    use super::*;

    /// One gzip member.
    pub fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; plain.len() + 1000];
        let mut deflate = Deflate::new(6, true, 16 + 15);
        assert_eq!(deflate.compress(plain, &mut packed, DeflateFlush::Finish), Ok(Status::StreamEnd));
        packed.truncate(deflate.total_out() as usize);
        packed
    }

    fn gunzip(packed: &[u8], cut: usize, room: usize) -> Result<Vec<u8>> {
        let (mut gunzip, mut plain, mut output) = (Gunzip::default(), Vec::new(), vec![0; room]);
        for mut slice in packed.chunks(cut) {
            loop {
                let count = gunzip.next(&mut slice, &mut output)?;
                plain.extend_from_slice(&output[..count]);
                if count < room {
                    assert!(slice.is_empty());
                    break;
                }
            }
        }
        gunzip.finish().map(|()| plain)
    }

    fn sample() -> Vec<u8> {
        (0..9_000_u32).flat_map(|n| (n * n / 1000).to_le_bytes()).collect()
    }

    #[test]
    fn members_are_joined_and_zeros_behind_them_ignored() {
        let (a, b) = (sample(), b"second".to_vec());
        let mut packed = [gzip(&a), gzip(b""), gzip(&b)].concat();
        let plain = [a, b].concat();
        for zeros in [0, 1, 700] {
            packed.resize(packed.len() + zeros, 0);
            for (cut, room) in [(usize::MAX, 1 << 20), (1, 100), (4096, 3), (13, 4096)] {
                assert!(gunzip(&packed, cut.min(packed.len()), room).unwrap() == plain);
            }
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let packed = gzip(&sample());
        for end in [1, 9, 100, packed.len() - 8, packed.len() - 1] {
            assert!(gunzip(&packed[..end], 64, 512).is_err(), "{end}");
        }
        // A bit of the checksum, of the length, of the data, of the magic number of the second member.
        for at in [packed.len() - 8, packed.len() - 1, packed.len() / 2] {
            let mut bad = packed.clone();
            bad[at] ^= 1;
            assert!(gunzip(&bad, 64, 512).is_err(), "{at}");
        }
        for tail in [&b"x"[..], b"\0x", b"\x1f\x8c\x08"] {
            assert!(gunzip(&[&packed, tail].concat(), 64, 512).is_err());
        }
    }

    #[test]
    fn formats_are_told_apart_by_their_first_bytes() {
        assert_eq!(Format::detect(&gzip(b"")), Format::Gzip);
        assert_eq!(Format::detect(b"\x28\xb5\x2f\xfd\x00\x00"), Format::Zstd);
        assert_eq!(Format::detect(b"\xfd7zXZ\0"), Format::Unsupported("xz"));
        assert_eq!(Format::detect(b""), Format::Plain);
        assert_eq!(Format::detect(&[0; 6]), Format::Plain);
        assert_eq!(Format::detect(b"Bobs/f"), Format::Plain);
    }
}

//! A stream as it arrives, compressed or not -> its plain bytes. How it is compressed is told by its first bytes.

use alloc::{boxed::Box, format, vec, vec::Vec};
use core::ops::Range;

use super::{
    inflate::{Format, Gunzip, MAGIC_BYTES},
    unpack::Source,
    zstd::Unzstd,
};
use crate::{Error, Result};

/// Of the compressed side.
const BUFFER_BYTES: usize = 128 << 10;

/// How many plain bytes a stream may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All in all.
    pub most: u64,
    /// As many are fine however few they come from.
    pub harmless: u64,
}

/// Beyond [`Limits::harmless`]: so many plain bytes for one that is compressed. deflate cannot give more than 1032, which
/// long runs of zeros do; other formats can, without an end.
const RATIO: u64 = 1100;

impl Limits {
    /// Of whatever an image is made of: a file of zeros may be large, but not without measure.
    pub const IMAGE: Limits = Limits { most: 1 << 40, harmless: 4 << 30 };
    /// Where the caller has its own.
    pub const NONE: Limits = Limits { most: u64::MAX, harmless: u64::MAX };

    /// So many plain bytes that came from so many.
    fn check(self, what: &str, plain: u64, packed: u64) -> Result<()> {
        let too = |why| Err(Error::Corrupt(format!("read {what}: {why}")));
        if plain > self.most {
            too(format!("more than {} bytes", self.most))
        } else if plain > self.harmless && plain / RATIO > packed {
            too(format!("more than {} bytes, from only {packed} that are compressed", self.harmless))
        } else {
            Ok(())
        }
    }
}

enum Decoder {
    None,
    Gzip(Gunzip),
    Zstd(Box<Unzstd>),
}

/// Reads the plain bytes of a stream.
pub struct Plain<'a, 's> {
    /// What is read, for messages.
    what: &'static str,
    source: &'a mut Source<'s>,
    limits: Limits,
    decoder: Decoder,
    packed: Vec<u8>,
    /// What of `packed` was not decoded yet.
    rest: Range<usize>,
    packed_total: u64,
    plain_total: u64,
}

impl<'a, 's> Plain<'a, 's> {
    /// Of a stream from its beginning; `what` is what is read, for messages.
    ///
    /// # Errors
    /// Of the source; [`Error::Unsupported`] for compressions that are not read.
    pub fn new(what: &'static str, source: &'a mut Source<'s>, limits: Limits) -> Result<Self> {
        let mut packed = vec![0; BUFFER_BYTES];
        let mut filled = 0;
        while filled < MAGIC_BYTES {
            match source(&mut packed[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        let decoder = match Format::detect(&packed[..filled]) {
            Format::Unsupported(name) => {
                return Err(Error::Unsupported(format!("read {what}: {name} is not supported"))
                    .hint("recompress it with gzip or zstd, or leave it uncompressed"));
            }
            Format::Gzip => Decoder::Gzip(Gunzip::default()),
            Format::Zstd => Decoder::Zstd(Box::default()),
            Format::Plain => Decoder::None,
        };
        let packed_total = filled as u64;
        Ok(Plain { what, source, limits, decoder, packed, rest: 0..filled, packed_total, plain_total: 0 })
    }

    /// Puts the next bytes to the front of `output`, and tells how many: less than there is room for only at the end.
    ///
    /// # Errors
    /// Of the source; [`Error::Corrupt`] for damage and for what is too long.
    pub fn read(&mut self, output: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < output.len() {
            if self.rest.is_empty()
                && let Decoder::None = self.decoder
            {
                let count = (self.source)(&mut output[done..])?;
                self.packed_total += count as u64;
                done += count;
                if count == 0 {
                    break;
                }
                continue;
            }
            done += self.decode(&mut output[done..])?;
            if done < output.len() && !self.fill()? {
                break;
            }
        }
        self.plain_total += done as u64;
        self.limits.check(self.what, self.plain_total, self.packed_total)?;
        Ok(done)
    }

    /// Decodes what was read, as far as there is room.
    fn decode(&mut self, output: &mut [u8]) -> Result<usize> {
        let mut input = &self.packed[self.rest.clone()];
        let count = match &mut self.decoder {
            Decoder::None => {
                let (taken, rest) = input.split_at(input.len().min(output.len()));
                output[..taken.len()].copy_from_slice(taken);
                input = rest;
                taken.len()
            }
            Decoder::Gzip(gunzip) => gunzip.next(&mut input, output)?,
            Decoder::Zstd(unzstd) => unzstd.next(&mut input, output)?,
        };
        self.rest.start = self.rest.end - input.len();
        Ok(count)
    }

    /// Reads more that is to be decoded, when there is none; false at the end.
    fn fill(&mut self) -> Result<bool> {
        let count = (self.source)(&mut self.packed)?;
        self.rest = 0..count;
        self.packed_total += count as u64;
        match &self.decoder {
            Decoder::Gzip(gunzip) if count == 0 => gunzip.finish()?,
            Decoder::Zstd(unzstd) if count == 0 => unzstd.finish()?,
            _ => {}
        }
        Ok(count > 0)
    }
}

/// Reads all of the source and hands its plain bytes on, in parts of some size.
///
/// # Errors
/// As [`Plain::new`] and [`Plain::read`]; of `to`.
pub fn plain(
    what: &'static str,
    source: &mut Source<'_>,
    limits: Limits,
    to: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut plain = Plain::new(what, source, limits)?;
    let mut output = vec![0; BUFFER_BYTES];
    loop {
        match plain.read(&mut output)? {
            0 => return Ok(()),
            count => to(&output[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::layer::{inflate::tests::gzip, zstd::tests::stored};

    fn read(bytes: &[u8], limits: Limits) -> Result<Vec<u8>> {
        let (mut rest, mut all) = (bytes, Vec::new());
        let mut source = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len()).min(1000);
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        plain("layer", &mut source, limits, &mut |part| {
            all.extend_from_slice(part);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn what_is_longer_than_it_may_be_is_refused_in_every_form() {
        let limits = Limits { most: 300_000, harmless: u64::MAX };
        let (whole, longer) = (vec![7; 300_000], vec![7; 300_001]);
        let forms = |plain: &[u8]| [plain.to_vec(), gzip(plain), stored(plain, false)];
        for (fits, exceeds) in forms(&whole).iter().zip(forms(&longer)) {
            assert!(read(fits, limits).unwrap() == whole);
            let error = read(&exceeds, limits).unwrap_err();
            assert_eq!(error, Error::Corrupt("read layer: more than 300000 bytes".into()));
        }
    }

    #[test]
    fn a_bomb_is_told_from_zeros_by_its_ratio() {
        let limits = Limits { most: u64::MAX, harmless: 1 << 20 };
        let zeros = gzip(&vec![0; 3 << 20]);
        assert_eq!(read(&zeros, limits).unwrap().len(), 3 << 20);
        // Blocks of four bytes that stand for 128 KiB each.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x40];
        for _ in 0..1000 {
            bomb.extend([2, 0, 16, 7]);
        }
        let error = read(&bomb, limits).unwrap_err().to_string();
        assert!(error.starts_with("read layer: more than 1048576 bytes, from only"), "{error}");
    }
}

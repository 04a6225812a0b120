//! A stream as it arrives, compressed or not -> its plain bytes. How it is compressed is told by its first bytes.

use alloc::{boxed::Box, format, vec};

use super::{
    inflate::{Format, Gunzip, MAGIC_BYTES},
    unpack::Source,
    zstd::Unzstd,
};
use crate::{Error, Result};

/// Of the compressed and of the plain side, each.
const BUFFER_BYTES: usize = 256 << 10;

enum Decoder {
    Gzip(Gunzip),
    Zstd(Box<Unzstd>),
}

impl Decoder {
    fn next(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize> {
        match self {
            Decoder::Gzip(gunzip) => gunzip.next(input, output),
            Decoder::Zstd(unzstd) => unzstd.next(input, output),
        }
    }

    fn finish(&self) -> Result<()> {
        match self {
            Decoder::Gzip(gunzip) => gunzip.finish(),
            Decoder::Zstd(unzstd) => unzstd.finish(),
        }
    }
}

/// Reads all of the source and hands its plain bytes on, at most `limit` of them; `what` is what is read, for messages.
///
/// # Errors
/// Of the source and of `to`; [`Error::Corrupt`] for damage and for what is too long; [`Error::Unsupported`] for
/// compressions that are not read.
pub fn plain(
    what: &'static str,
    source: &mut Source<'_>,
    limit: u64,
    to: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut read = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    while filled < MAGIC_BYTES {
        match source(&mut read[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    let mut decoder = match Format::detect(&read[..filled]) {
        Format::Unsupported(name) => {
            return Err(Error::Unsupported(format!("read {what}: {name} is not supported"))
                .hint("recompress it with gzip or zstd, or leave it uncompressed"));
        }
        Format::Gzip => Decoder::Gzip(Gunzip::new(limit)),
        Format::Zstd => Decoder::Zstd(Box::new(Unzstd::new(limit))),
        Format::Plain => {
            let mut left = limit;
            while filled > 0 {
                left = left
                    .checked_sub(filled as u64)
                    .ok_or_else(|| Error::Corrupt(format!("read {what}: too long")))?;
                to(&read[..filled])?;
                filled = source(&mut read)?;
            }
            return Ok(());
        }
    };
    let mut output = vec![0; BUFFER_BYTES];
    while filled > 0 {
        let mut packed = &read[..filled];
        loop {
            let count = decoder.next(&mut packed, &mut output)?;
            if count > 0 {
                to(&output[..count])?;
            }
            if count < output.len() {
                break;
            }
        }
        filled = source(&mut read)?;
    }
    decoder.finish()
}

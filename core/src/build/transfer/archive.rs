//! Whether `ADD` unpacks a file: its content says so, not its name. It is an archive if what it decompresses to begins with
//! the header of a tar's entry.

use rustix::fd::BorrowedFd;

use crate::{
    Context, Error, Result, file,
    layer::{
        plain::{Limits, Plain},
        tar::{Event, Reader},
    },
};

/// A block of a tar.
const PART_BYTES: usize = 512;
/// So far an entry's name and its other headers go.
const MOST: usize = 8 << 20;

/// Whether an open file, from its present place on, is an archive.
///
/// # Errors
/// [`Error::Unsupported`] for a compression that can't be looked into; of the kernel.
pub(super) fn is_archive(opened: BorrowedFd<'_>) -> Result<bool> {
    let mut failed = None;
    let mut source =
        |buffer: &mut [u8]| read(opened, buffer).inspect_err(|error| failed = Some(error.clone()));
    let found = begins_with_entry(&mut source);
    match (found, failed) {
        (Err(error @ Error::Unsupported(_)), _) => Err(error.hint("COPY takes it as it is")),
        (_, Some(error)) => Err(error),
        // What can't be decompressed is a file like any other.
        (found, None) => Ok(found.unwrap_or(false)),
    }
}

fn begins_with_entry(source: &mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<bool> {
    let mut plain = Plain::new("archive", source, Limits::NONE)?;
    let (mut reader, mut part, mut seen) = (Reader::new(), [0; PART_BYTES], 0);
    while seen < MOST {
        let count = plain.read(&mut part)?;
        if count == 0 {
            break;
        }
        seen += count;
        let mut rest = &part[..count];
        match reader.next(&mut rest) {
            Ok(Some(Event::Entry(_))) => return Ok(true),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => break,
        }
    }
    Ok(false)
}

/// Reads from an open file.
pub(super) fn read(opened: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    file::read_part(opened, buffer).context("read", "archive")
}

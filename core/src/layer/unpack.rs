//! A layer as it arrives, compressed or not -> its tree, its skeleton and its DiffID.
//!
//! ```text
//! this process: read | inflate | sha256  ── pipe ──>  child: parse | write tree and skeleton
//!                                        <── pipe ──  its result
//! ```

use alloc::{format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::renameat,
    io::Errno,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};
use serde::{Deserialize, Serialize};
use skiff_syscalls::descriptor;

use super::{
    apply::{Applied, Applier, REPLACED},
    plain::plain,
    skeleton::{self, Recorder},
    tar::{Event, Fault, Reader},
};
use crate::{
    Context, Error, Result,
    digest::{DiffId, Hasher},
    file, fork,
};

/// Where a layer comes from: fills a slice from its front and tells how far; 0 is the end.
pub type Source<'a> = dyn FnMut(&mut [u8]) -> Result<usize> + 'a;

/// Most bytes of one uncompressed layer.
const PLAIN_LIMIT: u64 = 1 << 40;
/// Most bytes behind the end of the archive. Writers fill their last record, which is seldom more than 10 KiB.
const TAIL_LIMIT: u64 = 64 << 20;
const BUFFER_BYTES: usize = 256 << 10;
const RESULT_LIMIT: usize = 64 << 10;
/// The file of a layer's directory that has everything but the content of files.
pub const SKELETON: &str = "skeleton";

/// An unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// The name of its content.
    pub layer: DiffId,
    /// What became of it.
    pub applied: Applied,
}

/// Unpacks a layer into an empty directory: see [`extract`].
///
/// # Errors
/// Of the source; [`Error::Corrupt`] for damaged or hostile archives; [`Error::Unsupported`] for compressions that are
/// not read; of the file system. What is in the directory is then to be thrown away.
pub fn unpack(source: &mut Source<'_>, directory: BorrowedFd<'_>) -> Result<Unpacked> {
    let (content, to_child) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    let (result, from_child) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    // Fewer switches between the two processes; an unprivileged one may not be allowed to.
    let _ = fcntl_setpipe_size(&to_child, 1 << 20);
    // The standard descriptors stay, so that no file of the layer gets the number of one.
    let [stdin, stdout, stderr] = descriptor::standard();
    let keep = [stdin, stdout, stderr, content.as_fd(), from_child.as_fd(), directory];
    let child = fork::child(&keep, || {
        let answer = match extract(&mut |buffer| rustix::io::read(&content, buffer), directory) {
            Ok(applied) => serde_json::to_vec(&applied).expect("plain values"),
            Err(error) => error.to_bytes(),
        };
        i32::from(file::write_all(&from_child, &answer).is_err())
    })?;
    drop((content, from_child));
    let mut broken = false;
    let fed = feed(source, &mut |plain| match file::write_all(&to_child, plain) {
        Err(errno) => {
            broken = errno == Errno::PIPE;
            Err(Error::os("write", "pipe to the extracting process", errno))
        }
        Ok(()) => Ok(()),
    });
    drop(to_child);
    let answer = file::read_all(result, RESULT_LIMIT);
    let ended = fork::wait(&child.pidfd).context("wait for", "the extracting process")?;
    let answer = answer.context("read", "result of the extracting process")?;
    let fed = match fed {
        Ok(fed) => Some(fed),
        // The other end has gone, and says why.
        Err(_) if broken => None,
        Err(error) => return Err(error),
    };
    match (crate::json::from_slice::<Applied>(&answer), fed) {
        (Ok(mut applied), Some((layer, tar_bytes))) => {
            applied.facts.tar_bytes = tar_bytes;
            Ok(Unpacked { layer, applied })
        }
        _ => Err(Error::from_bytes(&answer)
            .unwrap_or_else(|| Error::Corrupt(format!("extract layer: its process ended early: {ended:?}")))),
    }
}

/// Reads, inflates and hashes all of the source, and hands the plain bytes on.
fn feed(source: &mut Source<'_>, plain_to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<(DiffId, u64)> {
    let mut hash = Hasher::new();
    let mut total = 0;
    plain("layer", source, PLAIN_LIMIT, &mut |plain| {
        total += plain.len() as u64;
        hash.update(plain);
        plain_to(plain)
    })?;
    Ok((DiffId(hash.finish()), total))
}

/// Parses a plain tar and writes it to an empty directory: its tree as `tree`, or as `base` if it hides everything below,
/// and the rest as `skeleton`.
///
/// # Errors
/// As [`unpack`].
pub fn extract(
    read: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
    directory: BorrowedFd<'_>,
) -> Result<Applied> {
    let tree = file::subdirectory(directory, "tree", 0o700).context("create directory", "tree")?;
    let beside = directory.try_clone_to_owned().context("duplicate", "directory")?;
    let skeleton = file::create(directory, SKELETON, b"", 0o600).context("create", SKELETON)?;
    let (mut reader, mut applier) = (Reader::new(), Applier::new(tree, beside));
    let mut recorder = Recorder::new(skeleton);
    let mut buffer: Vec<u8> = vec![0; BUFFER_BYTES];
    let (mut sparse, mut tail) = (false, None::<u64>);
    loop {
        let count = match read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::os("read", "pipe", errno)),
        };
        if let Some(bytes) = &mut tail {
            *bytes += count as u64;
            if *bytes > TAIL_LIMIT {
                return Err(Error::Corrupt("read tar: more than 64 MiB behind its end".into()));
            }
        }
        let mut rest = &buffer[..count];
        loop {
            let before = rest;
            let event = reader.next(&mut rest).map_err(Fault::error)?;
            let taken = &before[..before.len() - rest.len()];
            let Some(event) = event else {
                recorder.bytes(taken)?;
                break;
            };
            match &event {
                // It is the tail of what was taken, and the file has it.
                Event::Content(content) if !sparse && applier.present_file().is_some() => {
                    recorder.bytes(&taken[..taken.len() - content.len()])?;
                }
                _ => recorder.bytes(taken)?,
            }
            applier.take(&event)?;
            match event {
                Event::Entry(entry) => {
                    sparse = entry.sparse;
                    if entry.size > 0
                        && !sparse
                        && let Some((file, path)) = applier.present_file()
                    {
                        let stat = rustix::fs::fstat(file).context("stat", path.escape_ascii())?;
                        recorder.file(path, stat.st_ino, entry.size)?;
                    }
                }
                Event::End => tail = Some(0),
                _ => {}
            }
        }
    }
    reader.finish().map_err(Fault::error)?;
    let inodes = recorder.finish()?;
    if applier.has_replaced() {
        skeleton::settle(directory, SKELETON, REPLACED, &inodes)?;
    }
    let applied = applier.finish()?;
    if applied.is_base {
        renameat(directory, "tree", directory, "base").context("rename", "tree")?;
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, layer::inflate::tests::gzip};

    fn fed(bytes: &[u8], step: usize) -> Result<(Vec<u8>, DiffId)> {
        let (mut rest, mut plain) = (bytes, Vec::new());
        let (layer, total) = feed(
            &mut |buffer| {
                let count = step.min(rest.len()).min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            },
            &mut |bytes| {
                plain.extend_from_slice(bytes);
                Ok(())
            },
        )?;
        assert_eq!(total, plain.len() as u64);
        Ok((plain, layer))
    }

    #[test]
    fn the_name_of_a_layer_is_that_of_its_plain_bytes_however_it_comes() {
        let plain: Vec<u8> = (0..300_000_u32).map(|n| (n / 7) as u8).collect();
        let packed = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        for step in [1 << 20, 100_003, 5] {
            assert!(fed(&plain, step).unwrap() == (plain.clone(), DiffId(Digest::of(&plain))));
            assert!(fed(&packed, step).unwrap() == (plain.clone(), DiffId(Digest::of(&plain))));
        }
        assert_eq!(fed(b"", 1).unwrap().1, DiffId(Digest::of(b"")));
        assert_eq!(fed(b"abc", 1).unwrap().0, b"abc");
    }

    #[test]
    fn a_compression_that_is_not_read_is_named() {
        let error = fed(b"\xfd7zXZ\0 and more", 1).unwrap_err();
        let text = "read layer: xz is not supported\nhint: recompress it with gzip or zstd, or leave it uncompressed";
        assert_eq!(error, Error::Unsupported(text.into()));
        assert!(fed(&gzip(b"x")[..15], 4).is_err());
    }
}

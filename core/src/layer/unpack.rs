//! A layer as it arrives, compressed or not -> its tree, its skeleton and its DiffID.
//!
//! ```text
//! this process: read | inflate | sha256  ── lane ──>  child: parse | write tree and skeleton
//!                                        <── pipe ──  its result
//! ```

use alloc::{format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, fchmod, fchown, fremovexattr, openat, renameat},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{getegid, geteuid},
};
use serde::{Deserialize, Serialize};
use skiff_syscalls::{
    descriptor,
    lane::{Giver, Lane},
};

use super::{
    apply::{Applied, Applier, REPLACED},
    plain::{Limits, Plain},
    skeleton::{self, Recorder},
    tar::{Event, Fault, Reader},
};
use crate::{
    Context, Error, Result,
    digest::{DiffId, Digest, Hasher},
    file, fork,
};

/// Where a layer comes from: fills a slice from its front and tells how far; 0 is the end.
pub type Source<'a> = dyn FnMut(&mut [u8]) -> Result<usize> + 'a;

/// Most bytes behind the end of the archive. Writers fill their last record, which is seldom more than 10 KiB.
const TAIL_LIMIT: u64 = 64 << 20;
const BUFFER_BYTES: usize = 128 << 10;
/// For messages.
const LANE: &str = "the lane to the extracting process";
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

impl Unpacked {
    /// Whether it is the archive with nothing in it: two blocks of zeros.
    pub fn is_empty(&self) -> bool {
        self.layer == DiffId(Digest::of(&[0; 1024]))
    }
}

/// Unpacks a layer into an empty directory: see [`extract`].
///
/// # Errors
/// Of the source; [`Error::Corrupt`] for damaged or hostile archives; [`Error::Unsupported`] for compressions that are
/// not read; of the file system. What is in the directory is then to be thrown away.
pub fn unpack(source: &mut Source<'_>, directory: BorrowedFd<'_>) -> Result<Unpacked> {
    let lane = Lane::new().context("make", LANE)?;
    let (result, from_child) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    // The standard descriptors stay, so that no file of the layer gets the number of one.
    let [stdin, stdout, stderr] = descriptor::standard();
    let [full, free] = lane.kept_by_taker();
    let keep = [stdin, stdout, stderr, full, free, from_child.as_fd(), directory];
    let child = fork::child(&keep, || {
        // Modes are set with the nodes.
        rustix::process::umask(Mode::empty());
        let answer = match take(&lane, directory) {
            Ok(applied) => serde_json::to_vec(&applied).expect("plain values"),
            Err(error) => error.to_bytes(),
        };
        i32::from(file::write_all(&from_child, &answer).is_err())
    })?;
    drop(from_child);
    let fed = lane.giver().context("open", LANE).and_then(|giver| feed(source, giver));
    let answer = file::read_all(result, RESULT_LIMIT);
    let ended = fork::wait(&child.pidfd).context("wait for", "the extracting process")?;
    let answer = answer.context("read", "result of the extracting process")?;
    let (layer, tar_bytes) = match fed {
        // The other end has gone, and says why.
        Ok(None) => {
            return Err(Error::from_bytes(&answer).unwrap_or_else(|| ended_early(ended)));
        }
        other => other?.expect("the other arm has the rest"),
    };
    let mut applied: Applied = crate::json::from_slice(&answer)
        .map_err(|_| Error::from_bytes(&answer).unwrap_or_else(|| ended_early(ended)))?;
    applied.facts.tar_bytes = tar_bytes;
    Ok(Unpacked { layer, applied })
}

fn ended_early(ended: fork::Ended) -> Error {
    Error::Corrupt(format!("extract layer: its process ended early: {ended:?}"))
}

/// Reads, inflates and hashes all of the source, and hands the plain bytes on. `None` if nobody takes them any more.
fn feed(source: &mut Source<'_>, mut giver: Giver) -> Result<Option<(DiffId, u64)>> {
    let mut plain = Plain::new("layer", source, Limits::IMAGE)?;
    let (mut hash, mut total) = (Hasher::new(), 0);
    loop {
        let slot = match giver.slot() {
            Err(Errno::PIPE) => return Ok(None),
            other => other.context("hand on", LANE)?,
        };
        let count = plain.read(slot)?;
        if count == 0 {
            return Ok(Some((DiffId(hash.finish()), total)));
        }
        total += count as u64;
        hash.update(&slot[..count]);
        match giver.send(count) {
            Err(Errno::PIPE) => return Ok(None),
            other => other.context("hand on", LANE)?,
        }
    }
}

/// In the extracting process.
fn take(lane: &Lane, directory: BorrowedFd<'_>) -> Result<Applied> {
    let mut taker = lane.taker().context("open", LANE)?;
    let mut extraction = Extraction::new(directory)?;
    while let Some(part) = taker.take().context("take from", LANE)? {
        extraction.take(part)?;
    }
    extraction.finish()
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
    let mut extraction = Extraction::new(directory)?;
    let mut buffer: Vec<u8> = vec![0; BUFFER_BYTES];
    loop {
        match read(&mut buffer) {
            Ok(0) => return extraction.finish(),
            Ok(count) => extraction.take(&buffer[..count])?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os("read", "pipe", errno)),
        }
    }
}

/// A plain tar on its way to a tree and a skeleton.
struct Extraction<'a> {
    directory: BorrowedFd<'a>,
    reader: Reader,
    applier: Applier,
    recorder: Recorder,
    /// The present file is sparse: what comes of it is not what the tree has.
    is_sparse: bool,
    /// Behind the end: how many bytes there.
    tail: Option<u64>,
}

impl<'a> Extraction<'a> {
    fn new(directory: BorrowedFd<'a>) -> Result<Self> {
        let tree = own_directory(directory, "tree")?;
        let beside = directory.try_clone_to_owned().context("duplicate", "directory")?;
        let skeleton = file::create(directory, SKELETON, b"", 0o600).context("create", SKELETON)?;
        Ok(Extraction {
            directory,
            reader: Reader::new(),
            applier: Applier::new(tree, beside),
            recorder: Recorder::new(skeleton),
            is_sparse: false,
            tail: None,
        })
    }

    fn take(&mut self, mut rest: &[u8]) -> Result<()> {
        if let Some(bytes) = &mut self.tail {
            *bytes += rest.len() as u64;
            if *bytes > TAIL_LIMIT {
                return Err(Error::Corrupt("read tar: more than 64 MiB behind its end".into()));
            }
        }
        loop {
            let before = rest;
            let event = self.reader.next(&mut rest).map_err(Fault::error)?;
            let taken = &before[..before.len() - rest.len()];
            let Some(event) = event else { return self.recorder.bytes(taken) };
            match &event {
                // It is the tail of what was taken, and the file has it.
                Event::Content(content) if !self.is_sparse && self.applier.present_file().is_some() => {
                    self.recorder.bytes(&taken[..taken.len() - content.len()])?;
                }
                _ => self.recorder.bytes(taken)?,
            }
            self.applier.take(&event)?;
            match event {
                Event::Entry(entry) => {
                    self.is_sparse = entry.sparse;
                    if entry.size > 0
                        && !entry.sparse
                        && let Some((file, path)) = self.applier.present_file()
                    {
                        let stat = rustix::fs::fstat(file).context("stat", path.escape_ascii())?;
                        self.recorder.file(path, stat.st_ino, entry.size)?;
                    }
                }
                Event::End => self.tail = Some(0),
                _ => {}
            }
        }
    }

    fn finish(self) -> Result<Applied> {
        self.reader.finish().map_err(Fault::error)?;
        let inodes = self.recorder.finish()?;
        let replaced = self.applier.has_replaced();
        if replaced {
            skeleton::settle(self.directory, SKELETON, REPLACED, &inodes)?;
        }
        let mut applied = self.applier.finish()?;
        applied.facts.replaced = replaced;
        if applied.is_base {
            renameat(self.directory, "tree", self.directory, "base").context("rename", "tree")?;
        }
        Ok(applied)
    }
}

/// Makes a directory in which new nodes get what they are made with, wherever `at` is: without a default access list and
/// with the groups of this process.
fn own_directory(at: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let made = file::subdirectory(at, name, 0o700).context("create directory", name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(&made, ".", flags, Mode::empty()).context("open", name)?;
    fchown(&directory, Some(geteuid()), Some(getegid())).context("change owner of", name)?;
    fchmod(&directory, Mode::RWXU).context("change mode of", name)?;
    match fremovexattr(&directory, "system.posix_acl_default") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(directory),
        Err(errno) => Err(Error::os("remove default access list of", name, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        layer::{
            inflate::tests::gzip,
            tar::tests::{Block, archive},
        },
    };

    /// What the taker gets, and how it is called.
    fn fed(bytes: &[u8], step: usize) -> Result<(Vec<u8>, DiffId)> {
        let lane = Lane::new().unwrap();
        let (out, from_child) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let [full, free] = lane.kept_by_taker();
        let child = fork::child(&[full, free, from_child.as_fd()], || {
            let (mut taker, mut all) = (lane.taker().unwrap(), Vec::new());
            while let Ok(Some(part)) = taker.take() {
                all.extend_from_slice(part);
            }
            i32::from(file::write_all(&from_child, &all).is_err())
        })
        .unwrap();
        drop(from_child);
        let mut rest = bytes;
        let fed = feed(
            &mut |buffer| {
                let count = step.min(rest.len()).min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            },
            lane.giver().unwrap(),
        );
        let plain = file::read_all(&out, 1 << 20).unwrap();
        fork::wait(&child.pidfd).unwrap();
        let (layer, total) = fed?.expect("somebody takes it");
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
    fn nodes_get_the_modes_and_groups_that_are_said_wherever_the_store_is() {
        if !geteuid().is_root() {
            std::println!("skipped: not root");
            return;
        }
        let path = format!("/tmp/skiff-unpack-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(file::CWD, path.as_str());
        file::make_host_directories(&path, 0o700).unwrap();
        let store = openat(file::CWD, path.as_str(), OFlags::RDONLY, Mode::empty()).unwrap();
        // user::rwx, group::r-x, mask::r-x, other::---, for all that is made in it; and its group is passed on.
        let entries = [(1_u16, 7_u16), (4, 5), (0x10, 5), (0x20, 0)];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(permissions.to_le_bytes());
            list.extend(u32::MAX.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::fsetxattr(&store, "system.posix_acl_default", &list, flags).is_err() {
            std::println!("skipped: no access lists here");
            return;
        }
        fchown(&store, None, Some(rustix::fs::Gid::from_raw(7))).unwrap();
        fchmod(&store, Mode::from_raw_mode(0o2700)).unwrap();
        let archive = archive(&[
            Block::file("d/a", b"1").mode(0o666),
            Block::file("d/b", b"2").mode(0o6755),
            Block::file("d/c", b"3").mode(0),
            Block::directory("d/e").mode(0o1777),
        ]);
        let mut rest = archive.as_slice();
        let mut source = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        unpack(&mut source, store.as_fd()).unwrap();
        for (name, mode) in
            [("d", 0o755), ("d/a", 0o666), ("d/b", 0o6755), ("d/c", 0), ("d/e", 0o1777), (".", 0o755)]
        {
            let stat =
                rustix::fs::statat(&store, format!("tree/{name}"), rustix::fs::AtFlags::empty()).unwrap();
            assert_eq!((stat.st_mode & 0o7777, stat.st_gid), (mode, 0), "{name}");
        }
        file::remove_tree(file::CWD, path.as_str()).unwrap();
    }

    #[test]
    fn a_compression_that_is_not_read_is_named() {
        let error = fed(b"\xfd7zXZ\0 and more", 1).unwrap_err();
        let text = "read layer: xz is not supported\nhint: recompress it with gzip or zstd, or leave it uncompressed";
        assert_eq!(error, Error::Unsupported(text.into()));
        assert!(fed(&gzip(b"x")[..15], 4).is_err());
    }
}

//! An overlayfs upper directory that stays where it is and becomes a layer: its name and its skeleton are made of the tar
//! that it would be, and no file is copied. What is not in the tar goes.

use alloc::vec::Vec;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{
    apply::Applied,
    leftovers,
    pack::{Form, Pack},
    skeleton::Recorder,
    tar::{Event, Fault, Kind, Reader},
    unpack::{SKELETON, Unpacked},
};
use crate::{
    Context, Result,
    digest::{DiffId, Hasher},
    file,
    store::LayerFacts,
};

/// Makes the skeleton in `directory` of what is in its `tree`, above `lower`. As long as something stands on the tree,
/// nothing may be taken out of it: `until_free` is called before that, if there is something to be.
///
/// # Errors
/// Of the file system.
pub fn keep(directory: BorrowedFd<'_>, lower: OwnedFd, until_free: impl FnOnce()) -> Result<Unpacked> {
    let tree = file::directory(directory, "tree").context("open", "tree")?;
    let skeleton = file::create(directory, SKELETON, b"", 0o600).context("create", SKELETON)?;
    let mut recording = Recording {
        reader: Reader::new(),
        recorder: Recorder::new(skeleton),
        hash: Hasher::new(),
        facts: LayerFacts::default(),
        in_tree: false,
    };
    let mut sink = |part: &[u8]| recording.take(part);
    let mut left = Vec::new();
    let mut pack = Pack::new(&mut sink, Form::Layer(lower));
    pack.note_leftovers(&mut left);
    pack.content(tree.as_fd())?;
    pack.finish()?;
    let Recording { reader, recorder, hash, facts, .. } = recording;
    reader.finish().map_err(Fault::error)?;
    recorder.finish()?;
    // A layer that looks the same above other layers has the same name, and so this tree.
    if !left.is_empty() {
        until_free();
        leftovers::remove(tree.as_fd(), &left)?;
    }
    let applied = Applied { facts, ..Applied::default() };
    Ok(Unpacked { layer: DiffId(hash.finish()), applied })
}

/// The tar as it passes.
struct Recording {
    reader: Reader,
    recorder: Recorder,
    hash: Hasher,
    facts: LayerFacts,
    /// The content that comes is that of a file in the tree.
    in_tree: bool,
}

impl Recording {
    fn take(&mut self, part: &[u8]) -> Result<()> {
        self.hash.update(part);
        self.facts.tar_bytes += part.len() as u64;
        let mut rest = part;
        loop {
            let before = rest;
            let event = self.reader.next(&mut rest).map_err(Fault::error)?;
            let taken = &before[..before.len() - rest.len()];
            match event {
                None => return self.recorder.bytes(taken),
                Some(Event::Content(content)) if self.in_tree => {
                    self.recorder.bytes(&taken[..taken.len() - content.len()])?;
                }
                Some(Event::Entry(entry)) => {
                    self.recorder.bytes(taken)?;
                    self.in_tree = entry.kind == Kind::File && entry.size > 0;
                    if self.in_tree {
                        // Nothing is replaced here, which is what inodes are for.
                        self.recorder.file(&entry.path, 0, entry.size)?;
                        self.facts.size_bytes += entry.size;
                    }
                    let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                    self.facts.entries += u64::from(!name.starts_with(b".wh."));
                }
                Some(_) => self.recorder.bytes(taken)?,
            }
        }
    }
}

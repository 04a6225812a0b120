//! What is selected -> the digest that a cache knows it by: names, kinds, modes, owners where they are kept, targets of links,
//! attributes and content; not times, and nothing of where it is.
//!
//! Modes and owners are those that the copies get, so that with `--chmod=644` it does not matter how a checkout left them.

use alloc::{collections::BTreeMap, string::String, vec, vec::Vec};

use rustix::{
    fd::AsFd,
    fs::{FileType, OFlags},
    io::Errno,
};

use super::{
    Selection,
    hashes::{Hashes, is_settled},
    source::or_dot,
    walk::{Facts, Item, Node, facts_of},
};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::{Digest, Hasher},
    file, fork,
    layer::{attributes, pax::Xattr},
};

/// Of what is read at a time.
const BUFFER_BYTES: u64 = 128 << 10;
/// Fewer files are not worth another process, unless there is this much in them.
const FILES: usize = 256;
const BYTES: u64 = 8 << 20;

/// What a digest was made of, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From what is copied on.
    pub path: Vec<u8>,
    /// Kind and permission bits of what it becomes.
    pub mode: u32,
    /// Of a file: of its content, and of its extended attributes if it has some.
    pub hash: Option<Digest>,
}

/// Hashes of the files of an item, by their numbers.
pub(super) type Sums = BTreeMap<u32, Digest>;

impl Selection<'_> {
    /// The digest of all that is selected, and what it is made of, where that is wanted.
    ///
    /// # Errors
    /// Of the file system: for a file that can't be read, or is not there any more.
    pub fn digest(&mut self, hashes: &mut Hashes, mut lines: Option<&mut Vec<Line>>) -> Result<Digest> {
        self.sums = self.sums(hashes)?;
        let mut all = Sum(Hasher::new());
        all.field(b"files 1");
        for (item, sums) in self.items.iter().zip(&self.sums) {
            // A directory gives only what is in it.
            all.field(if item.is_directory() { b"in" } else { b"as" });
            all.field(if item.is_directory() { b"" } else { &item.name });
            let mut names: BTreeMap<(u64, u64), usize> = BTreeMap::new();
            for (at, node) in item.nodes.iter().enumerate().skip(usize::from(item.is_directory())) {
                let hash = sums.get(&(at as u32));
                let path = if at == 0 { item.name.clone() } else { item.relative(at) };
                self.node(node, &path, hash, &mut all);
                if node.facts.links > 1 && node.facts.kind() == FileType::RegularFile {
                    let first = *names.entry(node.facts.identity).or_insert(at);
                    all.number((at - first) as u64);
                }
                if let Some(lines) = &mut lines {
                    lines.push(Line { path, mode: self.mode_of(node), hash: hash.copied() });
                }
            }
            all.field(b"end");
        }
        for document in &self.request.documents {
            all.field(b"document");
            all.field(document.name.as_bytes());
            all.field(&document.content);
            if let Some(lines) = &mut lines {
                let (path, hash) = (document.name.clone().into_bytes(), Digest::of(&document.content));
                lines.push(Line { path, mode: self.mode_of_document(), hash: Some(hash) });
            }
        }
        Ok(all.0.finish())
    }

    fn node(&self, node: &Node, path: &[u8], hash: Option<&Digest>, all: &mut Sum) {
        all.field(path);
        all.number(self.mode_of(node).into());
        if self.request.keep_owner && self.request.chown.is_none() {
            all.number(node.facts.uid.into());
            all.number(node.facts.gid.into());
        }
        match node.facts.kind() {
            FileType::RegularFile => all.field(&hash.map(|hash| hash.to_bytes()).unwrap_or_default()),
            FileType::Symlink => all.field(&node.link),
            FileType::CharacterDevice | FileType::BlockDevice => all.number(node.facts.device),
            _ => all.xattrs(&node.xattrs),
        }
    }

    /// The mode that a copy gets.
    pub(super) fn mode_of(&self, node: &Node) -> u32 {
        let (mode, kind) = (node.facts.mode, node.facts.kind());
        match &self.chmod {
            Some(change) if kind != FileType::Symlink => {
                mode & !0o7777 | change.apply(mode & 0o7777, kind == FileType::Directory)
            }
            _ => mode,
        }
    }

    pub(super) fn mode_of_document(&self) -> u32 {
        0o100_000 | self.chmod.as_ref().map_or(0o644, |change| change.apply(0o644, false))
    }

    /// The hashes of all files: those that are known, and those that have to be read for that.
    fn sums(&self, hashes: &mut Hashes) -> Result<Vec<Sums>> {
        let mut sums = vec![Sums::new(); self.items.len()];
        let mut unknown: Vec<(u32, u32)> = Vec::new();
        let mut bytes = 0;
        for (number, item) in self.items.iter().enumerate() {
            for (at, node) in item.nodes.iter().enumerate() {
                if node.facts.kind() != FileType::RegularFile {
                    continue;
                }
                match hashes.find(&node.facts) {
                    Some(hash) => drop(sums[number].insert(at as u32, hash)),
                    None => {
                        bytes += node.facts.size;
                        unknown.push((number as u32, at as u32));
                    }
                }
            }
        }
        let least = if bytes < BYTES { FILES } else { 1 };
        let read = |(item, at): &(u32, u32)| {
            let (hash, is_kept) = self.read(&self.items[*item as usize], *at as usize)?;
            let place = [item.to_le_bytes(), at.to_le_bytes(), u32::from(is_kept).to_le_bytes()];
            Ok(Some([place.as_flattened(), &hash.to_bytes()].concat()))
        };
        for told in fork::spread(&unknown, least, &read)? {
            let (place, rest) = told.as_chunks::<4>().0.split_at(3);
            let [item, at, is_kept] = [0, 1, 2].map(|which| u32::from_le_bytes(place[which]));
            let mut hash = [0; 32];
            hash.copy_from_slice(rest.as_flattened());
            let hash = Digest::from_bytes(hash);
            if is_kept == 1 {
                hashes.put(&self.items[item as usize].nodes[at as usize].facts, hash);
            }
            sums[item as usize].insert(at, hash);
        }
        Ok(sums)
    }

    /// Reads a file, and tells whether its hash may be remembered.
    fn read(&self, item: &Item, at: usize) -> Result<(Digest, bool)> {
        let path = item.path_of(&item.relative(at));
        let shown = || path.escape_ascii();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match file::without_links(&self.root, or_dot(&path), flags) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Err(changed(&path)),
            other => other.context("open", shown())?,
        };
        let now = Time::now();
        let before = facts_of(opened.as_fd()).context("stat", shown())?;
        if before.kind() != FileType::RegularFile {
            return Err(changed(&path));
        }
        // As many bytes as it has, and one more to see its end.
        let mut buffer = vec![0; (before.size + 1).min(BUFFER_BYTES) as usize];
        let mut content = Hasher::new();
        let mut left = before.size;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match file::read_part(&opened, &mut buffer[..most]).context("read", shown())? {
                0 => break,
                count => {
                    content.update(&buffer[..count]);
                    left -= count as u64;
                }
            }
        }
        let xattrs = attributes::kept(&opened, &mut buffer).context("read attributes of", shown())?;
        let after = facts_of(opened.as_fd()).context("stat", shown())?;
        let facts: &Facts = &item.nodes[at].facts;
        let is_kept = left == 0 && [before, after] == [*facts; 2] && is_settled(facts, now);
        let content = content.finish();
        if xattrs.is_empty() {
            return Ok((content, is_kept));
        }
        let mut all = Sum(Hasher::new());
        all.field(&content.to_bytes());
        all.xattrs(&xattrs);
        Ok((all.0.finish(), is_kept))
    }
}

/// The error for what is not what it was when it was selected.
pub fn changed(path: &[u8]) -> Error {
    Error::Conflict(alloc::format!("\"/{}\" has changed while it was looked at", escaped(path)))
}

pub(super) fn escaped(path: &[u8]) -> String {
    alloc::format!("{}", path.escape_ascii())
}

/// A hash of fields, each with its length, so that no two lists of them are the same bytes.
struct Sum(Hasher);

impl Sum {
    fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn xattrs(&mut self, xattrs: &[Xattr]) {
        self.number(xattrs.len() as u64);
        for (name, value) in xattrs {
            self.field(name);
            self.field(value);
        }
    }
}

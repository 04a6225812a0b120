//! A path in a tree -> everything in it that is selected, as the kernel describes it. Nothing is read but directories and
//! links.
//!
//! Nodes stand in an order that is the same for the same tree: a directory before what is in it, all of a directory's children
//! together, sorted by name.

use alloc::{boxed::Box, vec, vec::Vec};

use rustix::{
    fd::BorrowedFd,
    fs::{AtFlags, FileType, OFlags, Stat, fstat, readlinkat, statat},
    io::Errno,
};

use super::source::{below, or_dot};
use crate::{
    Context, Error, Result,
    dockerfile::ignore::Patterns,
    file,
    glob::Glob,
    layer::{attributes, pax::Xattr},
};

/// Most nodes of one source.
const LIMIT: usize = 1 << 22;

/// One path that is copied.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it is, without links, from the tree's root.
    pub base: Vec<u8>,
    /// What it is called by the one who asked for it.
    pub name: Vec<u8>,
    /// Itself, and all that is in it.
    pub nodes: Vec<Node>,
}

/// A file, or whatever it is.
#[derive(Debug)]
pub(super) struct Node {
    /// The number of the directory that it is in.
    pub parent: u32,
    /// What it is called there; nothing for an item itself.
    pub name: Box<[u8]>,
    pub facts: Facts,
    /// What a symbolic link has.
    pub link: Box<[u8]>,
    /// A directory's extended attributes.
    pub xattrs: Vec<Xattr>,
}

/// What the kernel says of a node. A file whose facts are the same has the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub size: u64,
    /// Of a device node.
    pub device: u64,
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
    /// File system and inode.
    pub identity: (u64, u64),
}

impl Facts {
    #[allow(clippy::unnecessary_cast, reason = "types differ between processors")]
    pub fn of(stat: &Stat) -> Self {
        Facts {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink as u32,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_rdev as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            identity: (stat.st_dev as u64, stat.st_ino as u64),
        }
    }

    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether it is the same file, unchanged.
    pub fn is_still(&self, stat: &Stat) -> bool {
        let now = Facts::of(stat);
        // Another name elsewhere changes no content, but the last of these times.
        let ctime = if now.links == self.links { self.ctime } else { now.ctime };
        now == Facts { links: now.links, ctime, ..*self }
    }
}

/// What of a directory is selected.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    /// What is left out, by paths from the root.
    pub ignore: Option<&'a Patterns>,
    /// What is left out, by paths from the item.
    pub excludes: &'a Patterns,
    /// All but what this means is left out, by paths from the item.
    pub include: Option<Glob>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Verdict {
    Leave,
    /// A directory that is taken if something in it is.
    Way,
    Take,
}

impl Filter<'_> {
    fn decide(&self, path: &[u8], relative: &[u8], is_directory: bool) -> Verdict {
        let mut verdict = Verdict::Take;
        let lists = [(self.ignore, path), (Some(self.excludes), relative)];
        for (patterns, path) in lists.iter().filter_map(|(list, path)| Some(((*list)?, *path))) {
            if path.is_empty() || !patterns.matches(path) {
                continue;
            }
            if !is_directory || patterns.prunes(path) {
                return Verdict::Leave;
            }
            verdict = Verdict::Way;
        }
        match &self.include {
            Some(glob) if relative.is_empty() || !glob.covers(relative) => {
                let is_way = is_directory && (relative.is_empty() || glob.reaches_below(relative));
                if is_way { Verdict::Way } else { Verdict::Leave }
            }
            _ => verdict,
        }
    }
}

impl Item {
    /// Looks at a node, and into it if it is a directory. `None` if all of it is left out.
    pub fn walk(
        root: BorrowedFd<'_>,
        base: Vec<u8>,
        name: &[u8],
        stat: &Stat,
        filter: &Filter<'_>,
    ) -> Result<Option<Self>> {
        let mut item = Item { base, name: name.into(), nodes: vec![Node::of(0, b"", stat)] };
        match item.nodes[0].facts.kind() {
            FileType::Directory => {}
            FileType::Socket => {
                let path = item.base.escape_ascii();
                return Err(Error::Invalid(alloc::format!("\"/{path}\": a socket can't be copied")));
            }
            _ => return Ok(Some(item)),
        }
        let is_way = filter.decide(&item.base, b"", true) == Verdict::Way;
        // Which of the nodes are only there for others.
        let mut ways = vec![is_way];
        let mut waiting = vec![0];
        let mut buffer = Vec::new();
        while let Some(at) = waiting.pop() {
            let first = item.nodes.len();
            item.list(root, at, filter, &mut ways, &mut buffer)?;
            let directories = (first..item.nodes.len()).rev();
            waiting.extend(directories.filter(|at| item.nodes[*at].facts.kind() == FileType::Directory));
        }
        Ok(item.without_empty_ways(ways))
    }

    /// Adds what is in a directory.
    fn list(
        &mut self,
        root: BorrowedFd<'_>,
        at: usize,
        filter: &Filter<'_>,
        ways: &mut Vec<bool>,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let relative = self.relative(at);
        let path = self.path_of(&relative);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let directory = match file::without_links(root, or_dot(&path), flags) {
            // It went, or something else came in its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if at > 0 => return Ok(()),
            other => other.context("open", path.escape_ascii())?,
        };
        let shown = || path.escape_ascii();
        self.nodes[at].xattrs =
            attributes::kept(&directory, buffer).context("read attributes of", shown())?;
        let mut listed = file::entries(&directory, ".").context("list", shown())?;
        crate::sort::by(&mut listed, |(a, _), (b, _)| a.cmp(b));
        for (name, _) in listed {
            let name = name.to_bytes();
            let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.context("stat", below(&path, name).escape_ascii())?,
            };
            let mut node = Node::of(at as u32, name, &stat);
            let kind = node.facts.kind();
            let (full, relative) = (below(&path, name), below(&relative, name));
            let verdict = filter.decide(&full, &relative, kind == FileType::Directory);
            // Nobody listens on a copy of a socket, and a whiteout is not there where it is looked at right.
            let is_whiteout = kind == FileType::CharacterDevice && node.facts.device == 0;
            if verdict == Verdict::Leave || kind == FileType::Socket || is_whiteout {
                continue;
            }
            if kind == FileType::Symlink {
                node.link = match readlinkat(&directory, name, Vec::new()) {
                    Ok(link) => link.into_bytes().into(),
                    Err(Errno::NOENT | Errno::INVAL) => continue,
                    Err(errno) => return Err(errno).context("read link", full.escape_ascii()),
                };
            }
            if self.nodes.len() == LIMIT {
                return Err(Error::Invalid(alloc::format!("\"/{}\": more than {LIMIT} files", shown())));
            }
            self.nodes.push(node);
            ways.push(verdict == Verdict::Way);
        }
        Ok(())
    }

    /// Takes out directories that were only there for others, of which none came.
    fn without_empty_ways(mut self, ways: Vec<bool>) -> Option<Self> {
        if !ways.contains(&true) {
            return Some(self);
        }
        let mut is_needed: Vec<bool> = ways.iter().map(|is_way| !is_way).collect();
        for at in (1..self.nodes.len()).rev() {
            if is_needed[at] {
                is_needed[self.nodes[at].parent as usize] = true;
            }
        }
        if !is_needed[0] {
            return None;
        }
        let mut numbers = vec![0; self.nodes.len()];
        let mut kept = Vec::with_capacity(self.nodes.len());
        for (at, mut node) in core::mem::take(&mut self.nodes).into_iter().enumerate() {
            if is_needed[at] {
                numbers[at] = kept.len() as u32;
                node.parent = numbers[node.parent as usize];
                kept.push(node);
            }
        }
        self.nodes = kept;
        Some(self)
    }

    pub fn is_directory(&self) -> bool {
        self.nodes[0].facts.kind() == FileType::Directory
    }

    /// The path of a node from the item on; empty for the item itself.
    pub fn relative(&self, mut at: usize) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        while at > 0 {
            names.push(&self.nodes[at].name);
            at = self.nodes[at].parent as usize;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// That path from the tree's root.
    pub fn path_of(&self, relative: &[u8]) -> Vec<u8> {
        if relative.is_empty() { self.base.clone() } else { below(&self.base, relative) }
    }
}

impl Node {
    fn of(parent: u32, name: &[u8], stat: &Stat) -> Self {
        Node { parent, name: name.into(), facts: Facts::of(stat), link: Box::default(), xattrs: Vec::new() }
    }
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// What an open file is.
pub(super) fn facts_of(node: BorrowedFd<'_>) -> Result<Facts, Errno> {
    fstat(node).map(|stat| Facts::of(&stat))
}

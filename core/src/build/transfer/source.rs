//! The sources of a request -> the paths in a tree that they mean, with everything in them.
//!
//! A source itself may be a link and may go over links, which all lead inside the tree. What `.dockerignore` leaves out is not
//! there, neither as a source nor as a link on the way to one.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::BorrowedFd,
    fs::{AtFlags, FileType, Mode, OFlags, Stat, statat},
    io::Errno,
};

use super::{
    Request,
    walk::{Filter, Item, is_directory},
};
use crate::{
    Context, Error, Result,
    dockerfile::{
        ignore::Patterns,
        wildcard::{self, Part},
    },
    file,
    glob::{Glob, Stars},
    nearest,
};

/// What is copied from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub root: BorrowedFd<'a>,
    pub ignore: Option<&'a Patterns>,
}

/// Something that is there.
struct Found {
    /// Without links.
    path: Vec<u8>,
    stat: Stat,
}

impl Tree<'_> {
    /// Adds what a source means.
    pub fn find(&self, source: &[u8], request: &Request, items: &mut Vec<Item>) -> Result<()> {
        if request.parents {
            return self.with_parents(source, request, items);
        }
        let parts = wildcard::parts(source)?;
        let filter = Filter { ignore: self.ignore, excludes: &request.excludes, include: None };
        if !parts.iter().any(|part| matches!(part, Part::Pattern(_))) {
            let path = joined(&parts);
            let found = self.look(&path)?;
            let item = Item::walk(self.root, found.path, last(&path), &found.stat, &filter)?;
            // A directory that is left out is there for what is brought back in it.
            items.push(item.ok_or_else(|| left_out(&path))?);
            return Ok(());
        }
        let names = parts.iter().take_while(|part| matches!(part, Part::Name(_))).count();
        let (names, patterns) = parts.split_at(names);
        for path in self.matches(&self.look(&joined(names))?, patterns)? {
            let found = self.look(&path)?;
            if !is_directory(&found.stat) && request.excludes.matches(last(&path)) {
                continue;
            }
            items.extend(Item::walk(self.root, found.path, last(&path), &found.stat, &filter)?);
        }
        Ok(())
    }

    /// `--parents`: what is in front of `/./` is where the names that are copied begin.
    fn with_parents(&self, source: &[u8], request: &Request, items: &mut Vec<Item>) -> Result<()> {
        let (base, rest) = match memchr::memmem::find(source, b"/./") {
            Some(at) => (&source[..at], &source[at + 3..]),
            None => (&b""[..], source),
        };
        let base = cleaned(base);
        let found = self.look(&base)?;
        if !is_directory(&found.stat) {
            return Err(Error::Invalid(format!("\"/{}\": not a directory", base.escape_ascii())));
        }
        let pattern = cleaned(rest);
        let is_pattern = wildcard::is_pattern(&pattern);
        let include = match pattern.as_slice() {
            b"" => None,
            path if is_pattern => Some(Glob::parse(path, Stars::Directories)?),
            path => Some(Glob::parse(&literal(path), Stars::Directories)?),
        };
        let filter = Filter { ignore: self.ignore, excludes: &request.excludes, include };
        let found_path = found.path.clone();
        let item = Item::walk(self.root, found.path, b"", &found.stat, &filter)?;
        match item.filter(|item| pattern.is_empty() || item.nodes.len() > 1) {
            Some(item) => items.push(item),
            None if is_pattern => {}
            None => {
                let path = below(&base, &pattern);
                return Err(match self.look(&path)?.path == below(&found_path, &pattern) {
                    true => left_out(&path),
                    false => not_found(&path).hint("with --parents, links on the way to it are not followed"),
                });
            }
        }
        Ok(())
    }

    /// Where a path leads, and what is there.
    fn look(&self, path: &[u8]) -> Result<Found> {
        let mut is_hidden = false;
        let mut visit = |link: &[u8]| {
            is_hidden |= self.hides(link);
            if is_hidden { Err(Errno::NOENT) } else { Ok(()) }
        };
        let found = file::follow(self.root, path, &mut visit).and_then(|real| {
            let stat = self.stat(&real)?;
            Ok(Found { path: real, stat })
        });
        match found {
            Ok(found) if self.prunes(&found) => Err(left_out(path)),
            Ok(found) => Ok(found),
            Err(Errno::NOENT | Errno::NOTDIR) if is_hidden || self.hides(path) => Err(left_out(path)),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(self.missing(path)),
            Err(errno) => Err(errno).context("open", path.escape_ascii()),
        }
    }

    fn stat(&self, path: &[u8]) -> Result<Stat, Errno> {
        let node = file::without_links(self.root, or_dot(path), OFlags::PATH)?;
        rustix::fs::fstat(node)
    }

    fn hides(&self, path: &[u8]) -> bool {
        !path.is_empty() && self.ignore.is_some_and(|ignore| ignore.matches(path))
    }

    /// Neither it nor anything in it is there.
    fn prunes(&self, found: &Found) -> bool {
        let whole = |ignore: &Patterns| !is_directory(&found.stat) || ignore.prunes(&found.path);
        self.hides(&found.path) && self.ignore.is_some_and(whole)
    }

    /// The paths below a directory that patterns mean, sorted. Links are not followed but by what is copied itself.
    fn matches(&self, top: &Found, patterns: &[Part<'_>]) -> Result<Vec<Vec<u8>>> {
        let mut paths = vec![top.path.clone()];
        for (number, part) in patterns.iter().enumerate() {
            let is_last = number + 1 == patterns.len();
            let mut deeper = Vec::new();
            for path in paths {
                self.children(&path, part, is_last, &mut deeper)?;
            }
            paths = deeper;
        }
        Ok(paths)
    }

    /// Those of a directory's children that a part means.
    fn children(&self, path: &[u8], part: &Part<'_>, is_last: bool, found: &mut Vec<Vec<u8>>) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = match file::without_links(self.root, or_dot(path), flags) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            other => other.context("open", path.escape_ascii())?,
        };
        let mut names: Vec<Vec<u8>> = match part {
            Part::Name(name) => vec![name.to_vec()],
            Part::Pattern(glob) => {
                let listed = file::entries(&directory, ".").context("list", path.escape_ascii())?;
                let fits = listed.into_iter().map(|(name, _)| name.into_bytes());
                fits.filter(|name| glob.matches(name)).collect()
            }
        };
        crate::sort::by(&mut names, Ord::cmp);
        for name in names {
            let child = below(path, &name);
            let stat = match statat(&directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.context("stat", child.escape_ascii())?,
            };
            let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
            let there = Found { path: child, stat };
            if !self.prunes(&there) && !is_socket && (is_last || is_directory(&there.stat)) {
                found.push(there.path);
            }
        }
        Ok(())
    }

    /// The error for a path that is not there: with the one that may be meant.
    fn missing(&self, path: &[u8]) -> Error {
        let error = not_found(path);
        let mut rest: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        rest.reverse();
        let mut here = Vec::new();
        while let Some(part) = rest.pop() {
            let next = below(&here, part);
            if file::in_root(self.root, next.as_slice(), OFlags::PATH, Mode::empty()).is_ok() {
                here = next;
                continue;
            }
            let names =
                file::in_root(self.root, or_dot(&here), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
                    .and_then(|directory| file::names(directory, "."))
                    .unwrap_or_default();
            let visible =
                names.iter().map(String::as_str).filter(|name| !self.hides(&below(&here, name.as_bytes())));
            let wrong = String::from_utf8_lossy(part).to_string();
            let near = nearest::nearest(&wrong, visible).map(|name| below(&here, name.as_bytes()));
            return match near {
                Some(near) => error.hint(&format!("did you mean {:?}?", String::from_utf8_lossy(&near))),
                None => error,
            };
        }
        error
    }
}

/// A pattern that means this path alone.
fn literal(path: &[u8]) -> Vec<u8> {
    let escaped = |byte: &u8| if *byte == b'\\' { vec![b'\\', b'\\'] } else { vec![*byte] };
    path.iter().flat_map(escaped).collect()
}

fn not_found(path: &[u8]) -> Error {
    Error::NotFound(format!("\"/{}\": not found", String::from_utf8_lossy(path)))
}

fn left_out(path: &[u8]) -> Error {
    not_found(path).hint(".dockerignore or --exclude leaves it out")
}

fn joined(parts: &[Part<'_>]) -> Vec<u8> {
    let name = |part: &Part<'_>| match part {
        Part::Name(name) => name.to_vec(),
        Part::Pattern(_) => Vec::new(),
    };
    parts.iter().map(name).collect::<Vec<_>>().join(&b'/')
}

/// A path without `.`, `..` and empty parts, as far as its text tells.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// A name in a directory, which may be the root.
pub(super) fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory, name].join(&b"/"[usize::from(directory.is_empty())..])
}

/// A path for the kernel, which has no empty ones.
pub(super) fn or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Directory and name of a path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn last(path: &[u8]) -> &[u8] {
    split(path).1
}

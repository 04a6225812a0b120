//! What is selected -> nodes in another tree, by docker's rules for destinations.
//!
//! The tree is this process's own: nobody else changes it meanwhile. Links in the destination are followed inside it; what is
//! copied into a directory never follows any.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, copy_file_range,
        fstat, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    Document, Selection, archive,
    hashes::Hashes,
    source::{below, or_dot, split},
    sum::{Sums, changed, escaped},
    walk::{Facts, Item, Node, is_directory},
};
use crate::{
    Context, Error, Result,
    clock::Time,
    digest::Digest,
    file,
    layer::{
        attributes::{self, Attributes, Maker, Skipped},
        pax::Xattr,
        place::{self, Owner, Replace, Rules},
    },
    process::user,
};

const BUFFER_BYTES: usize = 128 << 10;

/// What became of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// The first file that is not what it was when it was selected: the copy is not what the digest says.
    pub changed: Option<Vec<u8>>,
}

/// Where a copy goes.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The root of the tree, which is also where names of users are looked up.
    pub tree: BorrowedFd<'a>,
    /// If that is an overlay, its upper directory; otherwise the same. What has nothing below it is made there: one file
    /// system less to go through, and one where files can get further names.
    pub upper: BorrowedFd<'a>,
    /// What the same copy has come to before, in a tree that nobody changes any more: a file that is the same again needs only
    /// another name.
    pub before: Option<BorrowedFd<'a>>,
    /// Are told of the copies' hashes, unless the tree is going to change.
    pub hashes: Option<&'a mut Hashes>,
}

impl<'a> Ground<'a> {
    /// A tree that is no overlay.
    pub fn plain(tree: BorrowedFd<'a>) -> Self {
        Ground { tree, upper: tree, before: None, hashes: None }
    }
}

impl Selection<'_> {
    /// Copies all of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what can't take the place of what is there, for users that are not known and archives that can't be
    /// read; [`Error::Conflict`] if something of it is gone; of the file system.
    pub fn copy(&self, ground: Ground<'_>) -> Result<Copied> {
        let owner = self.request.chown.as_deref().map(|wanted| owner(ground.tree, wanted)).transpose()?;
        let mut copier = Copier {
            selection: self,
            ground,
            owner,
            named: BTreeSet::new(),
            buffer: Vec::new(),
            has_ranges: true,
            copied: Copied::default(),
        };
        for (number, item) in self.items.iter().enumerate() {
            copier.item(item, self.sums.get(number))?;
        }
        for document in &self.request.documents {
            copier.document(document)?;
        }
        Ok(copier.copied)
    }
}

/// Who `--chown` or `USER` means: user and group. A number alone is also that of the group.
///
/// # Errors
/// [`Error::Invalid`] for a name that the tree doesn't know.
pub fn owner(users: BorrowedFd<'_>, wanted: &str) -> Result<(u32, u32)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let alone = wanted.strip_suffix(':').unwrap_or(wanted);
    let identity = match is_number(alone) {
        true => user::look_up(users, &format!("{alone}:{alone}"), &[])?.identity,
        false => user::look_up(users, wanted, &[])?.identity,
    };
    Ok((identity.uid().as_raw(), identity.gid().as_raw()))
}

struct Copier<'a> {
    selection: &'a Selection<'a>,
    ground: Ground<'a>,
    owner: Option<(u32, u32)>,
    /// The files of [`Ground::before`] that have got a name: two files don't become one.
    named: BTreeSet<(u64, u64)>,
    buffer: Vec<u8>,
    /// The kernel can copy from the one file system to the other.
    has_ranges: bool,
    copied: Copied,
}

/// What is copied.
#[derive(Clone, Copy)]
struct Original<'a> {
    node: &'a Node,
    directory: &'a OwnedFd,
    name: &'a [u8],
    /// From the root of its tree.
    path: &'a [u8],
    /// The hash of its content and its extended attributes, if that is known.
    sum: Option<&'a Digest>,
}

/// Where a node goes.
struct Place<'a> {
    directory: &'a OwnedFd,
    name: &'a [u8],
    /// From the root of the tree.
    path: &'a [u8],
    /// The directory is one in [`Ground::upper`] that has come with this copy.
    is_new: bool,
    /// What that directory was before.
    before: Option<&'a OwnedFd>,
}

/// A directory that is copied, open on all sides.
struct Parent {
    number: u32,
    /// From the item on.
    relative: Vec<u8>,
    from: OwnedFd,
    to: OwnedFd,
    /// What it was before.
    before: Option<OwnedFd>,
}

impl<'a> Place<'a> {
    /// In a directory that may have been there before.
    fn there(directory: &'a OwnedFd, name: &'a [u8], path: &'a [u8]) -> Self {
        Place { directory, name, path, is_new: false, before: None }
    }
}

/// The first name that a file with several has got.
type Names = BTreeMap<(u64, u64), Vec<u8>>;

impl Copier<'_> {
    fn item(&mut self, item: &Item, sums: Option<&Sums>) -> Result<()> {
        let (target, there, mut is_new) = self.target()?;
        if item.is_directory() {
            match there {
                None => (_, is_new) = self.make_directories(&target)?,
                Some(there) if !is_directory(&there) => return Err(not_a_directory(&target)),
                Some(_) => {}
            }
            return self.children(item, sums, &target, is_new);
        }
        let relative = item.path_of(b"");
        if self.selection.request.unpack && item.nodes[0].facts.kind() == FileType::RegularFile {
            let opened = self.open(&relative)?;
            if archive::is_archive(opened.as_fd()).map_err(|error| of_source(&relative, error))? {
                return self.unpack(item, opened, &target);
            }
        }
        let path = within(target, there, &item.name);
        let (directory, _) = self.make_directories(split(&path).0)?;
        let place = Place::there(&directory, split(&path).1, &path);
        let original = Original {
            node: &item.nodes[0],
            directory: &self.open_directory(split(&relative).0)?,
            name: split(&relative).1,
            path: &relative,
            sum: sums.and_then(|sums| sums.get(&0)),
        };
        self.node(&original, &place, &mut Names::new())
    }

    /// The destination without links, with the directories that have to be there, what is there then, and whether it is one
    /// of these.
    fn target(&self) -> Result<(Vec<u8>, Option<Stat>, bool)> {
        let destination = self.selection.request.destination.as_bytes();
        let is_named = !destination.ends_with(b"/") && !destination.ends_with(b"/.");
        let needed = if is_named { split(destination).0 } else { destination };
        let (_, is_new) = self.make_directories(needed)?;
        let target = self.follow(destination)?;
        let there = match file::without_links(self.ground.tree, or_dot(&target), OFlags::PATH) {
            Err(Errno::NOENT) => None,
            other => {
                let node = other.map_err(|errno| os("open", &target, errno))?;
                Some(fstat(&node).map_err(|errno| os("stat", &target, errno))?)
            }
        };
        Ok((target, there, is_new && !is_named))
    }

    fn follow(&self, path: &[u8]) -> Result<Vec<u8>> {
        file::follow(self.ground.tree, path, &mut |_| Ok(())).map_err(|errno| os("open", path, errno))
    }

    /// Makes a directory with all its parents, and opens it. Tells whether it was not there.
    fn make_directories(&self, path: &[u8]) -> Result<(OwnedFd, bool)> {
        let path = self.follow(path)?;
        let open = |path: &[u8]| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            file::without_links(self.ground.tree, or_dot(path), flags)
        };
        let mut here = match open(&path) {
            Err(Errno::NOENT) => open(b"").map_err(|errno| os("open", b"", errno))?,
            other => {
                return other
                    .map(|there| (there, false))
                    .map_err(|errno| os("create directory", &path, errno));
            }
        };
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let times = self.selection.request.epoch.map(|epoch| stamps(self.clamped((epoch, 0))));
        let attributes = Attributes { uid, gid, times, ..Attributes::of_missing_directory() };
        let mut done = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            let next = below(&done, name);
            let failed = |errno| os("create directory", &next, errno);
            here = match open(&next) {
                Err(Errno::NOENT) => {
                    mkdirat(&here, name, Mode::RWXU).map_err(failed)?;
                    let made = open(&next).map_err(failed)?;
                    attributes.apply(&made, Maker::unknown(), escaped(&next))?;
                    made
                }
                other => other.map_err(failed)?,
            };
            done = next;
        }
        Ok((here, true))
    }

    /// Copies what is in a directory into one that is there, and may have come with this copy.
    fn children(&mut self, item: &Item, sums: Option<&Sums>, target: &[u8], is_new: bool) -> Result<()> {
        let mut names = Names::new();
        let mut made = vec![true; item.nodes.len()];
        made[0] = is_new;
        let mut parent: Option<Parent> = None;
        for (at, node) in item.nodes.iter().enumerate().skip(1) {
            if parent.as_ref().is_none_or(|parent| parent.number != node.parent) {
                let relative = item.relative(node.parent as usize);
                let from = self.open_directory(&item.path_of(&relative))?;
                let path = joined(target, &relative);
                let open = |root| file::without_links(root, or_dot(&path), OFlags::PATH | OFlags::DIRECTORY);
                let to = open(self.root(made[node.parent as usize]));
                let to = to.map_err(|errno| os("open", &path, errno))?;
                let before = self.ground.before.and_then(|root| open(root).ok());
                parent = Some(Parent { number: node.parent, relative, from, to, before });
            }
            let Some(Parent { relative, from, to, before, .. }) = &parent else { continue };
            let path = joined(target, &below(relative, &node.name));
            let is_new = made[node.parent as usize];
            let place =
                Place { directory: to, name: &node.name, path: &path, is_new, before: before.as_ref() };
            if node.facts.kind() == FileType::Directory {
                made[at] = self.directory(&place)?;
            } else {
                let original = Original {
                    node,
                    directory: from,
                    name: &node.name,
                    path: &item.path_of(&below(relative, &node.name)),
                    sum: sums.and_then(|sums| sums.get(&(at as u32))),
                };
                self.node(&original, &place, &mut names)?;
            }
        }
        // When nothing changes their times any more. With --parents those that were there stay as they are.
        let is_kept = |at: &usize| self.selection.request.parents && !made[*at];
        let directories = (1..item.nodes.len()).rev().filter(|at| !is_kept(at));
        for at in directories.filter(|at| item.nodes[*at].facts.kind() == FileType::Directory) {
            let (path, node) = (joined(target, &item.relative(at)), &item.nodes[at]);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let directory = file::without_links(self.ground.tree, path.as_slice(), flags)
                .map_err(|errno| os("open", &path, errno))?;
            self.attributes(node, node.xattrs.clone()).apply(&directory, Maker::unknown(), escaped(&path))?;
        }
        Ok(())
    }

    /// Makes a directory unless it is there, and tells whether it did.
    fn directory(&self, place: &Place<'_>) -> Result<bool> {
        match mkdirat(place.directory, place.name, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => {
                let there = statat(place.directory, place.name, AtFlags::SYMLINK_NOFOLLOW);
                if is_directory(&there.map_err(|errno| os("stat", place.path, errno))?) {
                    Ok(false)
                } else {
                    Err(not_a_directory(place.path))
                }
            }
            Err(errno) => Err(os("create directory", place.path, errno)),
        }
    }

    /// Copies what is no directory, in the place of whatever but a directory is there.
    fn node(&mut self, original: &Original<'_>, place: &Place<'_>, names: &mut Names) -> Result<()> {
        let node = original.node;
        if !place.is_new {
            self.clear(place)?;
        }
        let failed = |errno| os("create", place.path, errno);
        match node.facts.kind() {
            FileType::RegularFile => {
                if node.facts.links > 1 {
                    if let Some(first) = names.get(&node.facts.identity) {
                        self.link(first, place).map_err(failed)?;
                        self.remember(original, place);
                        return Ok(());
                    }
                    names.insert(node.facts.identity, place.path.into());
                }
                return self.file(original, place);
            }
            FileType::Symlink if self.name_again(original, place) => return Ok(()),
            FileType::Symlink => symlinkat(&*node.link, place.directory, place.name).map_err(failed)?,
            kind => {
                if kind == FileType::CharacterDevice && node.facts.device == 0 {
                    let path = escaped(original.path);
                    return Err(Error::Invalid(format!("\"/{path}\" is a whiteout, which can't be copied")));
                }
                let mode = Mode::from_raw_mode(self.selection.mode_of(node) & 0o7777);
                let mask = rustix::process::umask(Mode::empty());
                let made = mknodat(place.directory, place.name, kind, mode, node.facts.device);
                rustix::process::umask(mask);
                made.map_err(failed)?;
            }
        }
        let attributes = self.attributes(node, Vec::new());
        let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
        chownat(place.directory, place.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed)?;
        let times = stamps(self.clamped(node.facts.mtime));
        utimensat(place.directory, place.name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }

    /// Another name of a file that was copied just now.
    fn link(&self, first: &[u8], place: &Place<'_>) -> Result<(), Errno> {
        let (directory, name) = split(first);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = file::without_links(self.root(place.is_new), or_dot(directory), flags)?;
        linkat(&directory, name, place.directory, place.name, AtFlags::empty())
    }

    fn file(&mut self, original: &Original<'_>, place: &Place<'_>) -> Result<()> {
        if self.name_again(original, place) {
            return Ok(());
        }
        let Original { node, directory, name, path: source, .. } = *original;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match openat(directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Err(changed(source)),
            other => other.map_err(|errno| os("open", source, errno))?,
        };
        let stat = fstat(&opened).map_err(|errno| os("stat", source, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed(source));
        }
        let made = self.create(place)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.content(&opened, &made, size).map_err(|errno| os("write", place.path, errno))?;
        let xattrs = attributes::kept(&opened, &mut self.buffer)
            .map_err(|errno| os("read extended attributes of", source, errno))?;
        let skipped = self.attributes(node, xattrs).apply(&made, Maker::unknown(), escaped(place.path))?;
        let after = fstat(&opened).map_err(|errno| os("stat", source, errno))?;
        self.note(node, &after, source);
        if node.facts.is_still(&after) && skipped == Skipped::None {
            self.remember(original, place);
        }
        Ok(())
    }

    /// Gives the file or the link that had this place before one more name, if what is to come there is known to be the
    /// same. Whatever is against that is only a reason to copy it.
    fn name_again(&mut self, original: &Original<'_>, place: &Place<'_>) -> bool {
        let Original { node, sum, .. } = original;
        let (Some(before), true) = (place.before, place.is_new) else { return false };
        let Ok(stat) = statat(before, place.name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let facts = Facts::of(&stat);
        let wanted = self.attributes(node, Vec::new());
        let mtime = self.clamped(node.facts.mtime);
        let Some(hashes) = &mut self.ground.hashes else { return false };
        let is_same = facts.kind() == node.facts.kind()
            && (facts.size, facts.mtime) == (node.facts.size, mtime)
            && (facts.mode & 0o7777, facts.uid, facts.gid) == (wanted.mode, wanted.uid, wanted.gid)
            && !self.named.contains(&facts.identity)
            && match sum {
                Some(sum) => hashes.find(&facts).as_ref() == Some(sum),
                None => readlinkat(before, place.name, Vec::new())
                    .is_ok_and(|link| link.to_bytes() == &*node.link),
            };
        if !is_same || linkat(before, place.name, place.directory, place.name, AtFlags::empty()).is_err() {
            return false;
        }
        self.named.insert(facts.identity);
        self.remember(original, place);
        true
    }

    /// Tells the hash of a file that has just been made, or got one more name, which has changed the last of its times.
    fn remember(&mut self, original: &Original<'_>, place: &Place<'_>) {
        // What overlayfs says of it is not what its upper directory does.
        if let (Some(hashes), Some(sum), true) = (&mut self.ground.hashes, original.sum, place.is_new)
            && let Ok(stat) = statat(place.directory, place.name, AtFlags::SYMLINK_NOFOLLOW)
        {
            hashes.put(&Facts::of(&stat), *sum);
        }
    }

    /// Removes what is there, if it is no directory.
    fn clear(&self, place: &Place<'_>) -> Result<()> {
        match unlinkat(place.directory, place.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => {
                let path = escaped(place.path);
                Err(Error::Invalid(format!("cannot replace to directory /{path} with file")))
            }
            Err(errno) => Err(os("replace", place.path, errno)),
        }
    }

    fn create(&self, place: &Place<'_>) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(place.directory, place.name, flags, Mode::RUSR | Mode::WUSR);
        made.map_err(|errno| os("create", place.path, errno))
    }

    /// At most so many bytes: a file may grow faster than it is copied.
    fn content(&mut self, from: &OwnedFd, to: &OwnedFd, mut left: u64) -> Result<(), Errno> {
        while left > 0 && self.has_ranges {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
            match copy_file_range(from, None, to, None, most) {
                // Some file systems say so of what they can only read.
                Ok(0) => break,
                Ok(count) => left -= count as u64,
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                    self.has_ranges = false;
                }
                Err(errno) => return Err(errno),
            }
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            match file::read_part(from, &mut self.buffer[..most])? {
                // It has become shorter.
                0 => break,
                count => {
                    file::write_all(to, &self.buffer[..count])?;
                    left -= count as u64;
                }
            }
        }
        Ok(())
    }

    fn document(&mut self, document: &Document) -> Result<()> {
        let (target, there, _) = self.target()?;
        let path = within(target, there, document.name.as_bytes());
        let (directory, name) = split(&path);
        let (directory, _) = self.make_directories(directory)?;
        let place = Place::there(&directory, name, &path);
        self.clear(&place)?;
        let made = self.create(&place)?;
        file::write_all(&made, &document.content).map_err(|errno| os("write", &path, errno))?;
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let mtime = (Time::now().unix(), 0);
        let attributes = Attributes {
            mode: self.selection.mode_of_document() & 0o7777,
            uid,
            gid,
            times: Some(stamps(self.clamped(mtime))),
            xattrs: Vec::new(),
        };
        attributes.apply(&made, Maker::unknown(), escaped(&path)).map(drop)
    }

    fn unpack(&mut self, item: &Item, opened: OwnedFd, target: &[u8]) -> Result<()> {
        drop(self.make_directories(target)?);
        let source = item.path_of(b"");
        let rewound = rustix::fs::seek(&opened, rustix::fs::SeekFrom::Start(0));
        rewound.map_err(|errno| os("seek", &source, errno))?;
        let owner = self.owner.map_or(Owner::Stated, |(uid, gid)| Owner::Given(uid, gid));
        let rules = Rules { replace: Replace::Anything, owner, rename: None };
        let root = self.ground.tree.try_clone_to_owned().context("duplicate", "root")?;
        let mut read = |buffer: &mut [u8]| archive::read(opened.as_fd(), buffer);
        place::place(&mut read, root, target, &rules).map_err(|error| of_source(&source, error))?;
        let after = fstat(&opened).map_err(|errno| os("stat", &source, errno))?;
        self.note(&item.nodes[0], &after, &source);
        Ok(())
    }

    /// Where a place is looked up from.
    fn root(&self, is_new: bool) -> BorrowedFd<'_> {
        if is_new { self.ground.upper } else { self.ground.tree }
    }

    fn note(&mut self, node: &Node, after: &Stat, source: &[u8]) {
        if self.copied.changed.is_none() && !node.facts.is_still(after) {
            self.copied.changed = Some(source.into());
        }
    }

    fn attributes(&self, node: &Node, xattrs: Vec<Xattr>) -> Attributes {
        let owner = if self.selection.request.keep_owner { (node.facts.uid, node.facts.gid) } else { (0, 0) };
        let (uid, gid) = self.owner.unwrap_or(owner);
        let mode = self.selection.mode_of(node) & 0o7777;
        Attributes { mode, uid, gid, times: Some(stamps(self.clamped(node.facts.mtime))), xattrs }
    }

    fn clamped(&self, time: (i64, u32)) -> (i64, u32) {
        match self.selection.request.epoch {
            Some(epoch) if time > (epoch, 0) => (epoch, 0),
            _ => time,
        }
    }

    fn open_directory(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match file::without_links(&self.selection.root, or_dot(path), flags) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(changed(path)),
            other => other.map_err(|errno| os("open", path, errno)),
        }
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match file::without_links(&self.selection.root, path, flags) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Err(changed(path)),
            other => other.map_err(|errno| os("open", path, errno)),
        }
    }
}

/// The path of a file that goes to a destination: in it if it is a directory.
fn within(target: Vec<u8>, there: Option<Stat>, name: &[u8]) -> Vec<u8> {
    if there.is_some_and(|there| is_directory(&there)) { below(&target, name) } else { target }
}

fn joined(target: &[u8], relative: &[u8]) -> Vec<u8> {
    if relative.is_empty() { target.into() } else { below(target, relative) }
}

/// A time of change as the kernel takes it.
fn stamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn not_a_directory(path: &[u8]) -> Error {
    Error::Invalid(format!("cannot copy to non-directory: /{}", escaped(path)))
}

/// An archive's error, with its name.
fn of_source(path: &[u8], error: Error) -> Error {
    let with = |why: String| format!("\"/{}\": {why}", escaped(path));
    match error {
        Error::Corrupt(why) => Error::Invalid(with(why)),
        Error::Invalid(why) => Error::Invalid(with(why)),
        Error::Unsupported(why) => Error::Unsupported(with(why)),
        other => other,
    }
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::os(operation, format!("/{}", path.escape_ascii()), errno)
}

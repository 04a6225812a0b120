//! A directory tree -> the bytes of a tar, for `cp`, `export` and `commit`. Whoever reads the tree may be a process that
//! somebody else's processes write to meanwhile: everything is opened by its name in a directory that is open, links are
//! never followed, and what disappears while it is looked at is left out.
//!
//! Names are sorted within their directory (in a layer whiteouts and devices stand before the rest), a directory stands
//! before what is in it, the first name of a file with several carries its content, the others are links to it. Sockets
//! are left out; of a layer also what overlayfs has copied up and nobody has changed.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    format, vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fgetxattr, fstat, openat, readlinkat, statat},
    io::Errno,
};

use super::{
    apply::OPAQUE,
    attributes, emit,
    leftovers::Leftover,
    pax::{Moment, Xattr},
    tar::{Entry, Kind},
};
use crate::{Context, Error, Result, dockerfile::ignore::Patterns, file};

/// Takes the archive, part by part.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

const BUFFER_BYTES: usize = 128 << 10;
/// Mark what overlayfs keeps elsewhere: it is not in the upper directory, so that a layer of it would lack it.
const ELSEWHERE: [&str; 2] = ["trusted.overlay.redirect", "trusted.overlay.metacopy"];

/// What the archive is for.
#[derive(Debug)]
pub enum Form {
    /// The tree as it is, with fractions of seconds.
    Copy,
    /// The tree as it is, in whole seconds.
    Image,
    /// The tree is overlayfs's upper directory and becomes a layer; what lies below it is the value.
    Layer(OwnedFd),
}

/// Writes one archive.
pub struct Pack<'a> {
    sink: &'a mut Sink<'a>,
    form: Form,
    out: Vec<u8>,
    /// Where the first name of a file with several names stands.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    xattrs: Vec<u8>,
    /// Of two files that are compared.
    compared: Vec<u8>,
    /// Directories on the way down that are as they were: they come into a layer with the first change in them.
    held: Vec<Entry>,
    /// No time is later.
    latest: i64,
    /// What is not in it.
    left_out: Patterns,
    /// A whiteout may hide what was only in an upper directory further down, and then means nothing in the layer.
    doubts_whiteouts: bool,
    /// What of the tree does not come into a layer, if somebody wants to know.
    leftovers: Option<&'a mut Vec<Leftover>>,
}

/// A directory on the way down.
struct Frame {
    /// Where it is: of several upper directories the top one first, as far down as they show.
    directories: Vec<OwnedFd>,
    /// The same in what lies below, as long as a layer is made and there is one.
    lower: Option<OwnedFd>,
    /// What its children's names begin with.
    prefix: Vec<u8>,
    /// What is still to come, the next one last.
    names: Vec<CString>,
}

impl<'a> Pack<'a> {
    /// An empty archive.
    pub fn new(sink: &'a mut Sink<'a>, form: Form) -> Self {
        let out = Vec::with_capacity(BUFFER_BYTES + 4096);
        Pack {
            sink,
            form,
            out,
            links: BTreeMap::new(),
            xattrs: Vec::new(),
            compared: Vec::new(),
            held: Vec::new(),
            latest: i64::MAX,
            left_out: Patterns::default(),
            doubts_whiteouts: false,
            leftovers: None,
        }
    }

    /// Leaves out what these patterns mean, by the names in the archive.
    pub fn leave_out(&mut self, patterns: Patterns) {
        self.left_out = patterns;
    }

    /// Adds a file with this content.
    ///
    /// # Errors
    /// The sink's.
    pub fn text(&mut self, path: &[u8], content: &[u8]) -> Result<()> {
        let entry = Entry {
            kind: Kind::File,
            path: path.into(),
            link: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: content.len() as u64,
            sparse: false,
            mtime: Moment::default(),
            atime: None,
            device: (0, 0),
            xattrs: Vec::new(),
        };
        self.head(&entry)?;
        self.out.extend_from_slice(content);
        emit::pad(entry.size, &mut self.out);
        Ok(())
    }

    /// Notes what does not come into the layer.
    pub fn note_leftovers(&mut self, leftovers: &'a mut Vec<Leftover>) {
        self.leftovers = Some(leftovers);
    }

    /// Writes no time that is later than this one, in seconds since 1970.
    pub fn clamp_times(&mut self, latest: i64) {
        self.latest = latest;
    }

    /// Adds what has this name in an open directory, with everything below it, as `top`.
    ///
    /// # Errors
    /// Of the kernel, and the sink's.
    pub fn named(&mut self, parent: BorrowedFd<'_>, name: &[u8], top: &[u8]) -> Result<()> {
        match self.node((parent, &[]), name, top.into(), None)? {
            Some(frame) => self.descend(frame),
            None => Ok(()),
        }
    }

    /// Adds an open directory with everything below it, as `top`.
    ///
    /// # Errors
    /// Of the kernel, and the sink's.
    pub fn directory(&mut self, directory: BorrowedFd<'_>, top: &[u8]) -> Result<()> {
        self.named(directory, b".", top)
    }

    /// Adds what is in an open directory, but not the directory itself.
    ///
    /// # Errors
    /// Of the kernel, and the sink's.
    pub fn content(&mut self, directory: BorrowedFd<'_>) -> Result<()> {
        let opened = open(directory, b".", OFlags::DIRECTORY).context("open", "/")?;
        self.merged(vec![opened])
    }

    /// As [`Pack::content`], of several upper directories as if they were one, the top one first.
    ///
    /// # Errors
    /// Of the kernel, and the sink's.
    pub fn merged(&mut self, uppers: Vec<OwnedFd>) -> Result<()> {
        self.doubts_whiteouts = uppers.len() > 1;
        let lower = match &self.form {
            Form::Layer(lower) => Some(lower.try_clone().context("duplicate", "lower directory")?),
            _ => None,
        };
        let frame = self.frame(uppers, lower, Vec::new())?;
        self.descend(frame)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> Result<()> {
        emit::end(&mut self.out);
        (self.sink)(&self.out)
    }

    fn descend(&mut self, top: Frame) -> Result<()> {
        // A stack of open directories instead of recursion.
        let mut stack = vec![top];
        while let Some(frame) = stack.last_mut() {
            let Some(name) = frame.names.pop() else {
                let unchanged = self.held.pop_if(|held| held.path == frame.prefix);
                stack.pop();
                if let Some(Entry { mut path, .. }) = unchanged {
                    path.pop();
                    self.leave(|| Leftover::Directory(path));
                }
                continue;
            };
            let path = [frame.prefix.as_slice(), name.to_bytes()].concat();
            if self.left_out.prunes(&path) {
                continue;
            }
            let lower = frame.lower.as_ref().map(AsFd::as_fd);
            let Some(parents) = having(&frame.directories, &name) else { continue };
            if let Some(deeper) = self.node(parents, name.to_bytes(), path, lower)? {
                stack.push(deeper);
            }
        }
        Ok(())
    }

    /// Adds one node; of a directory what is in it is still to come. Beside its directory are those further down that may
    /// have more of the same name.
    fn node(
        &mut self,
        (parent, beneath): (BorrowedFd<'_>, &[OwnedFd]),
        name: &[u8],
        path: Vec<u8>,
        lower: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Frame>> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| os("stat", &path, errno))?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return self.enter((parent, beneath), name, path, lower),
            _ if is_whiteout(parent, name, &stat) => {
                let is_there = |lower| {
                    statat(lower, name, AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|old| !is_whiteout(lower, name, &old))
                };
                let means_nothing = self.doubts_whiteouts && !lower.is_some_and(is_there);
                if matches!(self.form, Form::Layer(_)) && !means_nothing {
                    self.marker(&path, &[b".wh.", name].concat())?;
                }
                return Ok(None);
            }
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            // Nobody listens on a copy of a socket.
            _ => {
                self.leave(|| Leftover::Node(path));
                return Ok(None);
            }
        };
        if self.left_out.matches(&path) {
            return Ok(None);
        }
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.links.get(&identity)
        {
            let link = first.clone();
            let mut entry = self.entry(Kind::HardLink, path, &stat);
            entry.link = link;
            return self.head(&entry).map(|()| None);
        }
        let first = path.clone();
        // What has got another name has changed.
        let lower = lower.filter(|_| stat.st_nlink == 1);
        let same = lower.filter(|lower| {
            statat(lower, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|old| is_same(&stat, &old) && stat.st_rdev == old.st_rdev)
        });
        match kind {
            Kind::File => {
                if !self.file(parent, name, path, &stat, same)? {
                    return Ok(None);
                }
            }
            Kind::Symlink => {
                let mut entry = self.entry(kind, path, &stat);
                entry.link = match readlinkat(parent, name, Vec::new()) {
                    Ok(link) => link.into_bytes(),
                    // It is no link any more.
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    Err(errno) => return Err(os("read link", &entry.path, errno)),
                };
                let old = same.and_then(|lower| readlinkat(lower, name, Vec::new()).ok());
                if old.is_none_or(|old| old.as_bytes() != entry.link) {
                    self.head(&entry)?;
                } else {
                    self.leave(|| Leftover::Node(entry.path));
                }
            }
            _ if same.is_some() => self.leave(|| Leftover::Node(path)),
            _ => {
                let mut entry = self.entry(kind, path, &stat);
                if kind != Kind::Fifo {
                    entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                }
                self.head(&entry)?;
            }
        }
        if stat.st_nlink > 1 {
            self.links.insert(identity, first);
        }
        Ok(None)
    }

    fn enter(
        &mut self,
        (parent, beneath): (BorrowedFd<'_>, &[OwnedFd]),
        name: &[u8],
        mut path: Vec<u8>,
        lower: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Frame>> {
        let directory = match open(parent, name, OFlags::DIRECTORY) {
            // It went, or something else came in its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            other => other.map_err(|errno| os("open", &path, errno))?,
        };
        let stat = fstat(&directory).map_err(|errno| os("stat", &path, errno))?;
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        let mut entry = self.entry(Kind::Directory, path, &stat);
        entry.xattrs = self.kept(&directory, &entry.path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut lower = lower.and_then(|lower| openat(lower, name, flags, Mode::empty()).ok());
        let prefix = entry.path.clone();
        let mut directories = vec![directory];
        if let Form::Layer(_) = self.form {
            let hides =
                shown_through(&mut directories, beneath, name).map_err(|errno| os("open", &prefix, errno))?;
            directories[1..].iter().try_for_each(|directory| self.kept(directory, &prefix).map(drop))?;
            // It only means something where there is a directory to hide.
            if hides && lower.is_none() {
                self.leave(|| Leftover::Mark(prefix.clone()));
            }
            if hides && lower.is_some() {
                lower = None;
                self.head(&entry)?;
                self.marker(&[prefix.as_slice(), b"."].concat(), b".wh..wh..opq")?;
            } else if let Some(lower) = &lower
                && fstat(lower).is_ok_and(|old| has_same_owner(&stat, &old))
                && self.kept(lower, &prefix)? == entry.xattrs
            {
                self.held.push(entry);
            } else {
                self.head(&entry)?;
            }
        } else if self.left_out.matches(&prefix[..prefix.len() - 1]) {
            // Something in it may come back.
            self.held.push(entry);
        } else {
            self.head(&entry)?;
        }
        self.frame(directories, lower, prefix).map(Some)
    }

    /// A regular file with its content: as many bytes as it has when it is opened. False if it went. `lower` has one of this
    /// name that looks the same.
    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: Vec<u8>,
        seen: &Stat,
        lower: Option<BorrowedFd<'_>>,
    ) -> Result<bool> {
        let opened = match open(parent, name, OFlags::NONBLOCK) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(false),
            // What is not a file but looks like an empty one, as in /proc, can't always be read.
            Err(_) if seen.st_size == 0 => None,
            other => Some(other.map_err(|errno| os("open", &path, errno))?),
        };
        let mut stat = *seen;
        let mut xattrs = Vec::new();
        if let Some(file) = &opened {
            stat = fstat(file).map_err(|errno| os("stat", &path, errno))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(false);
            }
            xattrs = self.kept(file, &path)?;
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            if let Some(lower) = lower
                && let Ok(old) = open(lower, name, OFlags::NONBLOCK)
                && self.kept(&old, &path)? == xattrs
                && file::have_same_content(file, &old, size, &mut self.compared)
                    .map_err(|errno| os("read", &path, errno))?
            {
                self.leave(|| Leftover::Node(path));
                return Ok(true);
            }
        }
        let mut entry = self.entry(Kind::File, path, &stat);
        entry.xattrs = xattrs;
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.head(&entry)?;
        let Some(file) = opened else { return Ok(true) };
        let mut left = entry.size;
        while left > 0 {
            self.flush(BUFFER_BYTES / 2)?;
            let begin = self.out.len();
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            match file::read_into(&file, &mut self.out).map_err(|errno| os("read", &entry.path, errno))? {
                // A file that has become shorter goes on with zeros: its length has been told.
                0 => self.out.resize(begin + most.min(BUFFER_BYTES), 0),
                // One that has become longer does not.
                count => self.out.truncate(begin + count.min(most)),
            }
            left -= (self.out.len() - begin) as u64;
        }
        emit::pad(entry.size, &mut self.out);
        Ok(true)
    }

    /// Of what does not come into the archive.
    fn leave(&mut self, what: impl FnOnce() -> Leftover) {
        if let Some(leftovers) = &mut self.leftovers {
            leftovers.push(what());
        }
    }

    /// An empty file beside `path` that says something about it or about its directory.
    fn marker(&mut self, path: &[u8], name: &[u8]) -> Result<()> {
        let directory = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let path = [&path[..directory], name].concat();
        self.head(&Entry { path, mode: 0o600, ..Entry::default() })
    }

    fn entry(&self, kind: Kind, path: Vec<u8>, stat: &Stat) -> Entry {
        let seconds = stat.st_mtime.min(self.latest);
        let in_whole_seconds = seconds == self.latest || !matches!(self.form, Form::Copy);
        let nanos = if in_whole_seconds { 0 } else { stat.st_mtime_nsec as u32 };
        Entry {
            kind,
            path,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Moment { seconds, nanos },
            ..Entry::default()
        }
    }

    fn frame(&self, directories: Vec<OwnedFd>, lower: Option<OwnedFd>, prefix: Vec<u8>) -> Result<Frame> {
        let list = |at: &OwnedFd| file::entries(at, ".").map_err(|errno| os("list", &prefix, errno));
        let mut listed = list(&directories[0])?;
        for further in &directories[1..] {
            let known: BTreeSet<CString> = listed.iter().map(|(name, _)| name.clone()).collect();
            listed.extend(list(further)?.into_iter().filter(|(name, _)| !known.contains(name)));
        }
        let is_layer = matches!(self.form, Form::Layer(_));
        // The next one last.
        crate::sort::by(&mut listed, |(a, a_kind), (b, b_kind)| {
            let late = |kind: &FileType| is_layer && *kind != FileType::CharacterDevice;
            (late(b_kind), b).cmp(&(late(a_kind), a))
        });
        let names = listed.into_iter().map(|(name, _)| name).collect();
        Ok(Frame { directories, lower, prefix, names })
    }

    fn head(&mut self, entry: &Entry) -> Result<()> {
        for held in core::mem::take(&mut self.held) {
            emit::header(&held, &mut self.out);
        }
        emit::header(entry, &mut self.out);
        self.flush(BUFFER_BYTES)
    }

    /// Hands on what there is, if it is so much.
    fn flush(&mut self, least: usize) -> Result<()> {
        if self.out.len() >= least {
            (self.sink)(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// The extended attributes that come into the archive.
    fn kept(&mut self, node: &OwnedFd, path: &[u8]) -> Result<Vec<Xattr>> {
        let failed = |errno| os("read extended attributes of", path, errno);
        let names = attributes::names(node, &mut self.xattrs).map_err(failed)?;
        if let Form::Layer(_) = self.form
            && let Some(name) = names.split(|byte| *byte == 0).find(|name| is_elsewhere(name))
        {
            let (path, name) = (path.escape_ascii(), name.escape_ascii());
            return Err(Error::Unsupported(format!("make layer: {path} has {name}, which is not supported")));
        }
        attributes::kept_of(node, names).map_err(failed)
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | flags, Mode::empty())
}

/// The first directory that has this name, and those after it.
fn having<'a>(directories: &'a [OwnedFd], name: &CString) -> Option<(BorrowedFd<'a>, &'a [OwnedFd])> {
    let has = |at: &OwnedFd| statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let first = if directories.len() == 1 { 0 } else { directories.iter().position(has)? };
    Some((directories[first].as_fd(), &directories[first + 1..]))
}

/// Adds to a directory those of the same name further down that can be seen through it. Whether what lies below all of
/// them can't.
fn shown_through(directories: &mut Vec<OwnedFd>, beneath: &[OwnedFd], name: &[u8]) -> Result<bool, Errno> {
    for further in beneath {
        if directories.last().is_some_and(is_opaque) {
            return Ok(true);
        }
        match open(further.as_fd(), name, OFlags::DIRECTORY) {
            Ok(directory) => directories.push(directory),
            Err(Errno::NOENT) => {}
            // A whiteout, or what the directory came in place of.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
    Ok(directories.last().is_some_and(is_opaque))
}

/// An empty place that hides what is below it.
fn is_whiteout(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => stat.st_rdev == 0,
        // Another form of it, which other tools make (Linux 6.7).
        FileType::RegularFile if stat.st_size == 0 => {
            let marked = open(parent, name, OFlags::NONBLOCK)
                .and_then(|file| fgetxattr(&file, "trusted.overlay.whiteout", &mut [0_u8; 0]));
            marked.is_ok()
        }
        _ => false,
    }
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 1];
    matches!(fgetxattr(directory, OPAQUE, &mut value), Ok(1) if &value == b"y")
}

fn is_elsewhere(xattr: &[u8]) -> bool {
    ELSEWHERE.iter().any(|name| name.as_bytes() == xattr)
}

fn has_same_owner(new: &Stat, old: &Stat) -> bool {
    (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)
}

fn is_same(new: &Stat, old: &Stat) -> bool {
    has_same_owner(new, old)
        && (new.st_size, new.st_mtime, new.st_mtime_nsec) == (old.st_size, old.st_mtime, old.st_mtime_nsec)
}

fn os(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::os(operation, format!("{}", path.escape_ascii()), errno)
}

#[cfg(test)]
mod tests;

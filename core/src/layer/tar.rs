//! Tar, read by pushing: slices of the archive go in, events come out, no matter where the slices are cut. No I/O, and no
//! memory beyond the names and attributes of one entry.
//!
//! Content is always the tail of what the call took that gave it: everything else that was taken is structure, so that
//! structure and content can be told apart by whoever keeps one of them.
//!
//! # Spec
//! POSIX.1-2017 pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format". Where
//! readers disagree about what an archive holds, it is refused.

use alloc::{format, vec::Vec};
use core::mem::take;

use super::{
    header::{BLOCK, Header, Wrong},
    pax::{Extension, Moment, Xattr},
    sparse::{Expansion, MapText, Part, Sparse},
};
use crate::Error;

/// Longest payload of an extended header or a long name, in bytes.
const SPECIAL_LIMIT: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; only this has content.
    #[default]
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One entry, its header joined with its extensions. Names are as the writer wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name, not empty, without NUL.
    pub path: Vec<u8>,
    /// What it links to; empty if it is no link.
    pub link: Vec<u8>,
    /// Permission bits, up to 07777.
    pub mode: u32,
    /// The owner's number, below 2^32-1.
    pub uid: u32,
    /// The group's number, below 2^32-1.
    pub gid: u32,
    /// Bytes of content; 0 for everything but files.
    pub size: u64,
    /// Its holes are not in the archive: [`Event::Hole`] says where they are.
    pub sparse: bool,
    /// Time of the last change.
    pub mtime: Moment,
    /// Time of the last reading, if it is told.
    pub atime: Option<Moment>,
    /// A device's major and minor number.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
}

/// What the archive says next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'s, 'i> {
    /// An entry begins.
    Entry(&'s Entry),
    /// Some of its content, never empty.
    Content(&'i [u8]),
    /// The next so many bytes of a sparse file are zero; never 0.
    Hole(u64),
    /// All content of a file has come, if it had any. Other kinds have no such event.
    Complete,
    /// The archive has ended; what still comes is ignored.
    End,
}

/// What is wrong with an archive, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Offset of the header, or of the end of the input, in the uncompressed archive.
    pub at: u64,
    /// In a few words.
    pub wrong: Wrong,
}

impl Fault {
    /// As everybody else tells errors.
    pub fn error(self) -> Error {
        Error::Corrupt(format!("read tar at byte {}: {}", self.at, self.wrong))
    }
}

enum State {
    /// Collecting a header.
    Header,
    /// One zero block was read: only another one may follow.
    Zero,
    /// Collecting the payload of an extended header, a long name or a long link.
    Special { kind: u8, left: u64, padding: u64 },
    /// Passing content on.
    Content { left: u64, padding: u64 },
    /// Reading the map of a sparse file: `room` bytes are left of its present block, `left` of all that is stored.
    Map { map: MapText, room: usize, left: u64, padding: u64 },
    /// Passing on what is stored of a sparse file, and its holes.
    Sparse { expansion: Expansion, padding: u64 },
    /// Skipping what fills the last block.
    Padding(u64),
    /// Behind the end.
    Ended,
}

/// Reads one archive.
pub struct Reader {
    state: State,
    block: [u8; BLOCK],
    filled: usize,
    /// Of the next byte.
    offset: u64,
    /// Of the present header.
    header_at: u64,
    special: Vec<u8>,
    extension: Option<Extension>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    entry: Entry,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// At the beginning of an archive.
    pub fn new() -> Self {
        Reader {
            state: State::Header,
            block: [0; BLOCK],
            filled: 0,
            offset: 0,
            header_at: 0,
            special: Vec::new(),
            extension: None,
            long_name: None,
            long_link: None,
            entry: Entry::default(),
        }
    }

    /// Takes bytes from the front of `input` up to the next event; `None` when it needs more. After an error it is not
    /// to be used any more.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn next<'s, 'i>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Event<'s, 'i>>, Fault> {
        loop {
            match &mut self.state {
                State::Header | State::Zero => {
                    let count = (BLOCK - self.filled).min(input.len());
                    let taken = self.take(input, count as u64);
                    self.block[self.filled..][..taken.len()].copy_from_slice(taken);
                    self.filled += taken.len();
                    if self.filled < BLOCK {
                        return Ok(None);
                    }
                    self.filled = 0;
                    self.header_at = self.offset - BLOCK as u64;
                    match self.header().map_err(|wrong| Fault { at: self.header_at, wrong })? {
                        Next::More => {}
                        Next::Entry => return Ok(Some(Event::Entry(&self.entry))),
                        Next::End => return Ok(Some(Event::End)),
                    }
                }
                &mut State::Special { kind, left: 0, padding } => {
                    self.state = State::Padding(padding);
                    self.extend(kind).map_err(|wrong| Fault { at: self.header_at, wrong })?;
                }
                &mut State::Special { kind, left, padding } => {
                    let taken = self.take(input, left);
                    if taken.is_empty() {
                        return Ok(None);
                    }
                    self.special.extend_from_slice(taken);
                    self.state = State::Special { kind, left: left - taken.len() as u64, padding };
                }
                &mut State::Content { left: 0, padding } => {
                    self.state = State::Padding(padding);
                    return Ok(Some(Event::Complete));
                }
                &mut State::Content { left, padding } => {
                    let taken = self.take(input, left);
                    if taken.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Content { left: left - taken.len() as u64, padding };
                    return Ok(Some(Event::Content(taken)));
                }
                State::Map { map, room: 0, left, padding } if map.is_complete() => {
                    let (left, padding) = (*left, *padding);
                    let State::Map { map, .. } = core::mem::replace(&mut self.state, State::Ended) else {
                        unreachable!("it was just looked at")
                    };
                    let at = self.header_at;
                    let expansion = map.finish(left).map_err(|wrong| Fault { at, wrong })?;
                    self.state = State::Sparse { expansion, padding };
                }
                State::Map { map, room, left, .. } => {
                    let at = self.header_at;
                    if *room == 0 {
                        let wrong = "sparse file that ends in its map";
                        *left = left.checked_sub(BLOCK as u64).ok_or(Fault { at, wrong })?;
                        *room = BLOCK;
                    }
                    let (taken, rest) = input.split_at((*room).min(input.len()));
                    if taken.is_empty() {
                        return Ok(None);
                    }
                    for byte in taken {
                        if !map.is_complete() {
                            map.take(*byte).map_err(|wrong| Fault { at, wrong })?;
                        }
                    }
                    *room -= taken.len();
                    *input = rest;
                    self.offset += taken.len() as u64;
                }
                State::Sparse { expansion, padding } => match expansion.advance() {
                    Part::Hole(bytes) => return Ok(Some(Event::Hole(bytes))),
                    Part::End => {
                        self.state = State::Padding(*padding);
                        return Ok(Some(Event::Complete));
                    }
                    Part::Stored(most) => {
                        let taken = self.take(input, most);
                        if taken.is_empty() {
                            return Ok(None);
                        }
                        if let State::Sparse { expansion, .. } = &mut self.state {
                            expansion.pass(taken.len() as u64);
                        }
                        return Ok(Some(Event::Content(taken)));
                    }
                },
                State::Padding(0) => self.state = State::Header,
                &mut State::Padding(left) => {
                    let taken = self.take(input, left);
                    if taken.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Padding(left - taken.len() as u64);
                }
                State::Ended => {
                    self.take(input, u64::MAX);
                    return Ok(None);
                }
            }
        }
    }

    /// Behind an entry that is not sparse: says that its content is left out of what comes.
    pub fn skip(&mut self) {
        if let State::Content { left, .. } = &mut self.state {
            self.offset += *left;
            *left = 0;
        }
    }

    /// Says that no more input comes. Some writers leave out the end mark or the last block's filling.
    ///
    /// # Errors
    /// If something was not finished.
    pub fn finish(&self) -> Result<(), Fault> {
        let fault = |wrong| Err(Fault { at: self.offset, wrong });
        match self.state {
            State::Zero | State::Ended => Ok(()),
            State::Header if self.filled > 0 => fault("truncated in a header"),
            State::Special { .. } => fault("truncated in an extended header"),
            State::Content { .. } | State::Map { .. } | State::Sparse { .. } => fault("truncated in a file"),
            State::Header | State::Padding(_) if self.is_pending() => {
                fault("an extended header without its entry")
            }
            State::Header | State::Padding(_) => Ok(()),
        }
    }

    fn take<'i>(&mut self, input: &mut &'i [u8], most: u64) -> &'i [u8] {
        let count = usize::try_from(most).map_or(input.len(), |most| most.min(input.len()));
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.offset += count as u64;
        taken
    }

    fn is_pending(&self) -> bool {
        self.extension.is_some() || self.long_name.is_some() || self.long_link.is_some()
    }

    fn header(&mut self) -> Result<Next, Wrong> {
        let zero = self.block == [0; BLOCK];
        if let State::Zero = self.state {
            // Some readers stop at the first zero block, some go on: refuse what only some would see.
            if !zero {
                return Err("an entry after a lone zero block");
            }
            self.state = State::Ended;
            return Ok(Next::End);
        }
        if zero {
            if self.is_pending() {
                return Err("an extended header without its entry");
            }
            self.state = State::Zero;
            return Ok(Next::More);
        }
        let block = self.block;
        let header = Header::check(&block)?;
        match header.type_flag() {
            kind @ (b'x' | b'g' | b'L' | b'K') => {
                let size = header.size()?;
                if size > SPECIAL_LIMIT {
                    return Err("extended header larger than 1 MiB");
                }
                let twice = match kind {
                    b'x' => self.extension.is_some(),
                    b'L' => self.long_name.is_some(),
                    b'K' => self.long_link.is_some(),
                    _ => self.is_pending(),
                };
                if twice {
                    return Err("two extended headers where one belongs");
                }
                self.special.clear();
                self.state = State::Special { kind, left: size, padding: padding(size) };
                Ok(Next::More)
            }
            _ => self.begin(&header),
        }
    }

    /// Keeps the payload of an extended header for the next entry.
    fn extend(&mut self, kind: u8) -> Result<(), Wrong> {
        let until_nul = |bytes: &[u8]| bytes.split(|b| *b == 0).next().unwrap_or(bytes).to_vec();
        match kind {
            b'x' => self.extension = Some(Extension::parse(&self.special)?),
            b'L' => self.long_name = Some(until_nul(&self.special)),
            b'K' => self.long_link = Some(until_nul(&self.special)),
            // A global header changes nothing, as in Docker and containerd.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, header: &Header<'_>) -> Result<Next, Wrong> {
        let kind = match header.type_flag() {
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err("sparse file in the old form of GNU tar, which is not supported"),
            _ => return Err("unknown type of entry"),
        };
        let extension = self.extension.take().unwrap_or_default();
        let entry = &mut self.entry;
        let (prefix, name) = header.name();
        entry.path.clear();
        let long_name = take(&mut self.long_name);
        let sparse_name = match &extension.sparse {
            Some(_) if kind != Kind::File => return Err("a sparse file that is no file"),
            // Readers differ in which one they take.
            Some(sparse) if sparse.name.is_some() && long_name.is_some() => {
                return Err("two names of a sparse file");
            }
            Some(sparse) => sparse.name.clone(),
            None => None,
        };
        match long_name.or(sparse_name).or(extension.path) {
            Some(path) => entry.path = path,
            None => {
                if !prefix.is_empty() {
                    entry.path.extend_from_slice(prefix);
                    entry.path.push(b'/');
                }
                entry.path.extend_from_slice(name);
            }
        }
        if entry.path.is_empty() {
            return Err("an entry without a name");
        }
        let long_link = take(&mut self.long_link).or(extension.link);
        entry.link.clear();
        if matches!(kind, Kind::HardLink | Kind::Symlink) {
            match long_link {
                Some(link) => entry.link = link,
                None => entry.link.extend_from_slice(header.link()),
            }
            if entry.link.is_empty() {
                return Err("a link to nothing");
            }
        }
        entry.mode = header.mode()?;
        entry.uid = header.uid()?;
        entry.uid = extension.uid.unwrap_or(entry.uid);
        entry.gid = header.gid()?;
        entry.gid = extension.gid.unwrap_or(entry.gid);
        let mtime = Moment { seconds: header.mtime()?, nanos: 0 };
        entry.mtime = extension.mtime.unwrap_or(mtime);
        entry.atime = extension.atime;
        entry.xattrs = extension.xattrs;
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        entry.device = if is_device { header.device()? } else { (0, 0) };
        let size = header.size()?;
        // Whatever the header says, the content is as long as the extension says.
        let size = extension.size.unwrap_or(size);
        entry.kind = kind;
        entry.size = 0;
        entry.sparse = extension.sparse.is_some();
        self.state = State::Header;
        if let Some(sparse) = extension.sparse {
            if entry.path.ends_with(b"/") {
                return Err("a sparse file that is no file");
            }
            let padding = padding(size);
            (entry.size, self.state) = match sparse.finish(size)? {
                Sparse::Mapped(expansion) => (expansion.size(), State::Sparse { expansion, padding }),
                Sparse::MapFollows(whole) => {
                    let map = MapText::new(whole);
                    (whole, State::Map { map, room: 0, left: size, padding })
                }
            };
        } else if kind == Kind::File {
            if entry.path.ends_with(b"/") {
                // The old way to write a directory.
                if size != 0 {
                    return Err("a directory with content");
                }
                entry.kind = Kind::Directory;
            } else {
                entry.size = size;
                self.state = State::Content { left: size, padding: padding(size) };
            }
        }
        Ok(Next::Entry)
    }
}

enum Next {
    More,
    Entry,
    End,
}

/// What fills the last block of so many bytes.
fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

#[cfg(test)]
pub(crate) mod tests;

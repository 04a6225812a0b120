//! The files of an archive of images, by name: in a tar that can be read at any place, in a directory, or in a stream,
//! which is put into a file as it comes, since its files may stand in any order. Runs in the server child.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::OwnedFd,
    fs::{FileType, OFlags},
    io::Errno,
};

use super::config::SIZE_LIMIT;
use crate::{
    Context, Error, Result, file,
    layer::{
        name::Path,
        plain::{Limits, plain},
        tar::{Entry, Event, Fault, Kind, Reader},
        unpack::Source,
    },
};

/// Most files of an archive.
const FILES_LIMIT: usize = 1 << 16;
/// Most bytes of all their names.
const NAMES_LIMIT: usize = 8 << 20;
/// Most bytes of all documents that are read.
const DOCUMENTS_LIMIT: usize = 64 << 20;
/// Most links from one to the next.
const LINKS_LIMIT: usize = 8;
/// Enough for the headers of some small files at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// An archive whose files can be read in any order.
#[derive(Debug)]
pub struct Archive {
    place: Place,
    /// Bytes of documents that may still be read.
    allowance: usize,
}

#[derive(Debug)]
enum Place {
    Directory(OwnedFd),
    File { file: OwnedFd, names: BTreeMap<Vec<u8>, Node> },
}

#[derive(Debug)]
enum Node {
    File {
        at: u64,
        size: u64,
    },
    /// Another name, cleaned, or why it leads nowhere.
    Link(Result<Vec<u8>>),
}

/// One file of an archive.
#[derive(Debug)]
pub struct Part {
    /// What it lies in.
    pub file: OwnedFd,
    at: u64,
    /// Its length.
    pub size: u64,
    done: u64,
}

impl Part {
    /// The same from its beginning, over the same descriptor, for a process that was forked.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn again(&self) -> Result<Part> {
        let file = self.file.try_clone().context("duplicate", "archive")?;
        Ok(Part { file, at: self.at, size: self.size, done: 0 })
    }

    /// Reads on: how many bytes, 0 at the end.
    ///
    /// # Errors
    /// Of the file system; [`Error::Corrupt`] if the file has become shorter.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.size - self.done).unwrap_or(usize::MAX);
        let room = left.min(buffer.len());
        let count = read_at(&self.file, &mut buffer[..room], self.at + self.done)?;
        if count == 0 && room > 0 {
            return Err(Error::Corrupt("read archive: it has become shorter".into()));
        }
        self.done += count as u64;
        Ok(count)
    }
}

fn read_at(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize> {
    loop {
        match rustix::io::pread(file, &mut *buffer, at) {
            Err(Errno::INTR) => {}
            other => return other.context("read", "archive"),
        }
    }
}

impl Archive {
    /// The files below an open directory.
    pub fn directory(directory: OwnedFd) -> Archive {
        Archive { place: Place::Directory(directory), allowance: DOCUMENTS_LIMIT }
    }

    /// The files of a plain tar that can be read at any place. Only its headers are read now.
    ///
    /// # Errors
    /// Of the file system; [`Error::Corrupt`].
    pub fn index(file: OwnedFd) -> Result<Archive> {
        let length = rustix::fs::fstat(&file).context("stat", "archive")?.st_size as u64;
        let (mut reader, mut names) = (Reader::new(), Names::default());
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = 0;
        'more: loop {
            let count = read_at(&file, &mut buffer, at)?;
            if count == 0 {
                break;
            }
            let mut slice = &buffer[..count];
            while let Some(event) = reader.next(&mut slice).map_err(Fault::error)? {
                match event {
                    Event::End => break 'more,
                    Event::Entry(entry) => {
                        let here = at + (count - slice.len()) as u64;
                        let size = entry.size;
                        names.add(entry, here)?;
                        if here.checked_add(size).is_none_or(|end| end > length) {
                            return Err(Error::Corrupt(format!(
                                "read tar at byte {here}: truncated in a file"
                            )));
                        }
                        reader.skip();
                        match slice.get(usize::try_from(size).unwrap_or(usize::MAX)..) {
                            Some(rest) => slice = rest,
                            None => {
                                at = here + size;
                                continue 'more;
                            }
                        }
                    }
                    Event::Content(_) | Event::Hole(_) | Event::Complete => {}
                }
            }
            at += count as u64;
        }
        reader.finish().map_err(Fault::error)?;
        Ok(Archive { place: Place::File { file, names: names.all }, allowance: DOCUMENTS_LIMIT })
    }

    /// The files of a tar that comes as a stream, compressed or not; their content goes to the empty file `spool`.
    ///
    /// # Errors
    /// Of the source and the file system; [`Error::Corrupt`]; [`Error::Unsupported`] for compressions that are not read.
    pub fn spool(source: &mut Source<'_>, spool: OwnedFd) -> Result<Archive> {
        let (mut reader, mut names) = (Reader::new(), Names::default());
        let mut written = 0;
        plain("archive", source, Limits::IMAGE, &mut |mut slice| {
            while let Some(event) = reader.next(&mut slice).map_err(Fault::error)? {
                match event {
                    Event::Entry(entry) => names.add(entry, written)?,
                    Event::Content(bytes) => {
                        file::write_all(&spool, bytes).context("write", "archive to the data root")?;
                        written += bytes.len() as u64;
                    }
                    // No such file is taken.
                    Event::Hole(_) | Event::Complete | Event::End => {}
                }
            }
            Ok(())
        })?;
        reader.finish().map_err(Fault::error)?;
        Ok(Archive { place: Place::File { file: spool, names: names.all }, allowance: DOCUMENTS_LIMIT })
    }

    /// Finds a file; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a name or a link that leads out or nowhere; of the file system.
    pub fn part(&self, name: &str) -> Result<Option<Part>> {
        let mut path = Path::clean(name.as_bytes())?.as_bytes().to_vec();
        let bad = |why: &str| Error::Corrupt(format!("read archive: {:.200}: {why}", name.escape_debug()));
        let (file, names) = match &self.place {
            Place::File { file, names } => (file, names),
            Place::Directory(directory) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
                let file = match file::without_links(directory, path.as_slice(), flags) {
                    Ok(file) => file,
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                    Err(Errno::LOOP) => return Err(bad("a symbolic link")),
                    Err(errno) => return Err(Error::os("open", path.escape_ascii().to_string(), errno)),
                };
                let stat = rustix::fs::fstat(&file).context("stat", name)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Err(bad("not a regular file"));
                }
                return Ok(Some(Part { file, at: 0, size: stat.st_size as u64, done: 0 }));
            }
        };
        for _ in 0..=LINKS_LIMIT {
            match names.get(&path) {
                None => return Ok(None),
                Some(Node::Link(target)) => path = target.clone()?,
                Some(Node::File { at, size }) => {
                    let file = file.try_clone().context("duplicate", "archive")?;
                    return Ok(Some(Part { file, at: *at, size: *size, done: 0 }));
                }
            }
        }
        Err(bad("too many links"))
    }

    /// Reads a document; `None` if it is not there.
    ///
    /// # Errors
    /// As [`Archive::part`]; [`Error::Corrupt`] if it is too large, or all documents together are.
    pub fn document(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut part) = self.part(name)? else { return Ok(None) };
        let too_large = || Error::Corrupt(format!("read archive: {:.200}: too large", name.escape_debug()));
        let size =
            usize::try_from(part.size).ok().filter(|size| *size <= SIZE_LIMIT).ok_or_else(too_large)?;
        self.allowance = self.allowance.checked_sub(size).ok_or_else(too_large)?;
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            filled += part.read(&mut bytes[filled..])?;
        }
        Ok(Some(bytes))
    }
}

#[derive(Default)]
struct Names {
    all: BTreeMap<Vec<u8>, Node>,
    bytes: usize,
}

impl Names {
    fn add(&mut self, entry: &Entry, at: u64) -> Result<()> {
        let path = Path::clean(&entry.path)?.as_bytes().to_vec();
        let bad =
            |why: &str| Error::Corrupt(format!("read archive: {why}: {:.200}", entry.path.escape_ascii()));
        let node = match entry.kind {
            Kind::File if entry.sparse => return Err(bad("a sparse file")),
            Kind::File => Node::File { at, size: entry.size },
            Kind::Symlink => Node::Link(beside(&path, &entry.link)),
            Kind::HardLink => Node::Link(Path::clean(&entry.link).map(|target| target.as_bytes().to_vec())),
            Kind::Directory => return Ok(()),
            _ => return Err(bad("neither file, directory nor link")),
        };
        self.bytes += path.len() + entry.link.len();
        if self.all.len() == FILES_LIMIT || self.bytes > NAMES_LIMIT {
            return Err(bad("too many files"));
        }
        // Readers differ in whether the first or the last one is meant.
        if self.all.insert(path, node).is_some() {
            return Err(bad("two files of one name"));
        }
        Ok(())
    }
}

/// What a symbolic link at `path` means, without a look at anything but its text.
fn beside(path: &[u8], link: &[u8]) -> Result<Vec<u8>> {
    let bad = || {
        let link: String = link.escape_ascii().to_string();
        Error::Corrupt(format!("read archive: a link that leads out of it: {link:.200}"))
    };
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    parts.pop();
    if link.first() == Some(&b'/') {
        return Err(bad());
    }
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(bad)?),
            _ => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files and links (`name -> target`) as a tar.
    fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut all = Vec::new();
        for (name, content) in entries {
            let (name, kind, link, content) = match name.split_once(" -> ") {
                Some((name, target)) => (name, b'2', target, ""),
                None => (*name, b'0', "", *content),
            };
            let mut block = vec![0; 512];
            block[..name.len()].copy_from_slice(name.as_bytes());
            block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            block[156] = kind;
            block[157..157 + link.len()].copy_from_slice(link.as_bytes());
            block[257..265].copy_from_slice(b"ustar\x0000");
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            all.extend(block);
            all.extend(content.as_bytes());
            all.resize(all.len().next_multiple_of(512), 0);
        }
        all.resize(all.len() + 1024, 0);
        all
    }

    fn temporary(content: &[u8]) -> OwnedFd {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(file::CWD, "/tmp", flags, 0o600.into()).unwrap();
        file::write_all(&file, content).unwrap();
        file
    }

    fn both(archive: &[u8]) -> [Result<Archive>; 2] {
        let mut rest = archive;
        let spooled = Archive::spool(
            &mut |buffer| {
                let count = buffer.len().min(rest.len()).min(777);
                buffer[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            },
            temporary(b""),
        );
        [Archive::index(temporary(archive)), spooled]
    }

    #[test]
    fn files_are_found_in_any_order_and_through_links() {
        let large = "x".repeat(50_000);
        let archive = tar(&[]);
        assert!(both(&archive).into_iter().all(|archive| archive.unwrap().part("a").unwrap().is_none()));
        let archive = tar(&[
            ("c/layer.tar -> ../a/layer.tar", ""),
            ("./a/layer.tar", &large),
            ("manifest.json", "[]"),
            ("d -> c/layer.tar", ""),
            ("loop -> loop", ""),
            ("out -> ../../etc/passwd", ""),
            ("absolute -> /etc/passwd", ""),
            ("gone -> nothing", ""),
        ]);
        for archive in both(&archive) {
            let mut archive = archive.unwrap();
            for name in ["a/layer.tar", "./c//layer.tar", "d"] {
                assert_eq!(archive.document(name).unwrap().unwrap(), large.as_bytes(), "{name}");
            }
            assert_eq!(archive.document("manifest.json").unwrap().unwrap(), b"[]");
            assert!(archive.part("gone").unwrap().is_none() && archive.part("nothing").unwrap().is_none());
            for name in ["loop", "out", "absolute", "../x"] {
                assert!(matches!(archive.part(name), Err(Error::Corrupt(_))), "{name}");
            }
        }
    }

    #[test]
    fn archives_that_mean_two_things_or_end_early_are_refused() {
        let whole = tar(&[("a", "1"), ("b", &"x".repeat(40_000))]);
        for archive in [&tar(&[("a", "1"), ("./a", "2")]), &tar(&[("../a", "1")]), &whole[..30_000].to_vec()]
        {
            assert!(both(archive).into_iter().all(|archive| matches!(archive, Err(Error::Corrupt(_)))));
        }
        let mut lies = whole.clone();
        lies[124..136].copy_from_slice(b"77777777777\0");
        lies[148..156].fill(b' ');
        let sum: u32 = lies[..512].iter().map(|byte| u32::from(*byte)).sum();
        lies[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        assert!(both(&lies).into_iter().all(|archive| matches!(archive, Err(Error::Corrupt(_)))));
    }

    #[test]
    fn links_in_a_directory_are_not_followed() {
        let path = format!("/tmp/skiff-archive-{}", rustix::process::getpid().as_raw_nonzero());
        let directory = file::make_host_directories(&path, 0o700).unwrap();
        file::create(&directory, "file", b"1", 0o600).unwrap();
        file::subdirectory(&directory, "directory", 0o700).unwrap();
        rustix::fs::symlinkat("file", &directory, "link").unwrap();
        let mut archive = Archive::directory(directory);
        assert_eq!(archive.document("file").unwrap().unwrap(), b"1");
        assert!(matches!(archive.part("link"), Err(Error::Corrupt(_))));
        assert!(matches!(archive.part("directory"), Err(Error::Corrupt(_))));
        assert!(archive.part(".").unwrap().is_none());
        assert!(archive.part("absent").unwrap().is_none());
        file::remove_tree(file::CWD, path.as_str()).unwrap();
    }
}

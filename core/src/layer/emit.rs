//! Entries -> the bytes of a tar. Pure, and the same bytes on every machine: ustar where it can say it, else a PAX header
//! with its keys sorted; numbers for owners, no names; no times but that of the last change.
//!
//! # Spec
//! POSIX.1-2017 pax, "ustar Interchange Format" and "pax Interchange Format".

use alloc::{format, string::String, vec::Vec};

use super::{
    header::BLOCK,
    pax::Moment,
    tar::{Entry, Kind},
};

/// Most that 11 octal digits say.
const OCTAL_11: u64 = (1 << 33) - 1;
/// Most that 7 octal digits say.
const OCTAL_7: u64 = (1 << 21) - 1;

/// Appends the header of an entry. A file's content and [`pad`] follow.
pub fn header(entry: &Entry, out: &mut Vec<u8>) {
    let mut records = Vec::new();
    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    crate::sort::by(&mut xattrs, Ord::cmp);
    for (name, value) in xattrs {
        record(&[b"SCHILY.xattr.", name.as_slice()].concat(), value, &mut records);
    }
    let seconds = u64::try_from(entry.mtime.seconds).ok().filter(|seconds| *seconds <= OCTAL_11);
    if u64::from(entry.gid) > OCTAL_7 {
        record(b"gid", format!("{}", entry.gid).as_bytes(), &mut records);
    }
    if entry.link.len() > 100 {
        record(b"linkpath", &entry.link, &mut records);
    }
    if seconds.is_none() || entry.mtime.nanos > 0 {
        record(b"mtime", moment(entry.mtime).as_bytes(), &mut records);
    }
    let names = split(&entry.path);
    if names.is_none() {
        record(b"path", &entry.path, &mut records);
    }
    if entry.size > OCTAL_11 {
        record(b"size", format!("{}", entry.size).as_bytes(), &mut records);
    }
    if u64::from(entry.uid) > OCTAL_7 {
        record(b"uid", format!("{}", entry.uid).as_bytes(), &mut records);
    }
    if !records.is_empty() {
        let last = entry.path.split(|byte| *byte == b'/').rfind(|part| !part.is_empty()).unwrap_or(b"root");
        let mut block = Block::new(b'x');
        block.text(0, 100, &[b"PaxHeaders.0/", last].concat());
        block.number(124, 12, records.len() as u64);
        block.close(out);
        out.extend_from_slice(&records);
        pad(records.len() as u64, out);
    }
    let mut block = Block::new(match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    });
    let (prefix, name) = names.unwrap_or((b"", &entry.path));
    block.text(0, 100, name);
    block.text(345, 155, prefix);
    block.text(157, 100, &entry.link);
    block.number(100, 8, u64::from(entry.mode & 0o7777));
    block.number(108, 8, u64::from(entry.uid));
    block.number(116, 8, u64::from(entry.gid));
    block.number(124, 12, entry.size);
    block.number(136, 12, seconds.unwrap_or(0));
    block.number(329, 8, u64::from(entry.device.0));
    block.number(337, 8, u64::from(entry.device.1));
    block.close(out);
}

/// Fills the last block of so many bytes of content.
pub fn pad(size: u64, out: &mut Vec<u8>) {
    let rest = (size % BLOCK as u64) as usize;
    if rest > 0 {
        out.resize(out.len() + BLOCK - rest, 0);
    }
}

/// The end of the archive.
pub fn end(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * BLOCK, 0);
}

struct Block([u8; BLOCK]);

impl Block {
    fn new(type_flag: u8) -> Self {
        let mut block = [0; BLOCK];
        block[156] = type_flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        for (at, width) in [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8)] {
            block[at..at + width - 1].fill(b'0');
        }
        Block(block)
    }

    /// As much of the text as there is room for.
    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let length = text.len().min(width);
        self.0[at..at + length].copy_from_slice(&text[..length]);
    }

    /// A number, or 0 if there is no room for it: then an extended header says it.
    fn number(&mut self, at: usize, width: usize, value: u64) {
        let digits = width - 1;
        let value = if value >> (3 * digits) == 0 { value } else { 0 };
        for place in 0..digits {
            self.0[at + digits - 1 - place] = b'0' + (value >> (3 * place) & 7) as u8;
        }
    }

    fn close(mut self, out: &mut Vec<u8>) {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.number(148, 7, sum);
        self.0[154] = 0;
        out.extend_from_slice(&self.0);
    }
}

/// Prefix and name of a path, if both have room.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let first = path.len() - 101;
    let slash = path[first..path.len() - 1].iter().position(|byte| *byte == b'/')? + first;
    (1..=155).contains(&slash).then(|| (&path[..slash], &path[slash + 1..]))
}

fn record(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // A blank, an equals sign and a line break.
    let rest = key.len() + value.len() + 3;
    let digits = |number: usize| number.ilog10() as usize + 1;
    let mut length = rest + digits(rest);
    if rest + digits(length) != length {
        length += 1;
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Seconds with a fraction, without zeros at its end.
fn moment(time: Moment) -> String {
    let (sign, seconds, nanos) = match (time.seconds, time.nanos) {
        (..0, 1..) => ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanos),
        (..0, 0) => ("-", time.seconds.unsigned_abs(), 0),
        _ => ("", time.seconds.unsigned_abs(), time.nanos),
    };
    if nanos == 0 {
        return format!("{sign}{seconds}");
    }
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').into()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::layer::tar::{Event, Reader};

    fn read_back(archive: &[u8]) -> Vec<Entry> {
        let (mut reader, mut rest, mut entries) = (Reader::new(), archive, Vec::new());
        while let Some(event) = reader.next(&mut rest).unwrap() {
            if let Event::Entry(entry) = event {
                entries.push(entry.clone());
            }
        }
        reader.finish().unwrap();
        entries
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let moment = |seconds, nanos| Moment { seconds, nanos };
        let plain = Entry { path: b"a".to_vec(), mode: 0o4755, uid: 7, gid: 8, ..Entry::default() };
        let of = |kind, path: &[u8], link: &[u8]| Entry {
            kind,
            path: path.to_vec(),
            link: link.to_vec(),
            ..plain.clone()
        };
        let long = b"long-".repeat(60);
        let deep = b"0123456789/".repeat(20);
        let entries = vec![
            plain.clone(),
            of(Kind::Directory, b"d/", b""),
            of(Kind::Symlink, b"d/s", b"../../x"),
            of(Kind::Symlink, b"d/l", &long),
            of(Kind::HardLink, b"d/h", b"a"),
            of(Kind::Fifo, b"p", b""),
            of(Kind::File, &long, b""),
            of(Kind::File, &[deep.as_slice(), b"f"].concat(), b""),
            of(Kind::Directory, &deep, b""),
            of(Kind::File, b"-\n\xff=", b""),
            Entry { device: (4095, 1_048_575), ..of(Kind::CharDevice, b"c", b"") },
            Entry { device: (8, 1), ..of(Kind::BlockDevice, b"b", b"") },
            Entry { uid: 3_000_000, gid: u32::MAX - 1, ..plain.clone() },
            Entry { mtime: moment(1, 500_000_000), ..plain.clone() },
            Entry { mtime: moment(-2, 750_000_000), ..plain.clone() },
            Entry { mtime: moment(-2, 0), ..plain.clone() },
            Entry { mtime: moment(1 << 40, 0), ..plain.clone() },
            Entry { xattrs: vec![(b"user.a".to_vec(), b"\0=\n".to_vec())], ..plain.clone() },
        ];
        let mut archive = Vec::new();
        for entry in &entries {
            header(entry, &mut archive);
        }
        end(&mut archive);
        assert_eq!(read_back(&archive), entries);
        assert_eq!(archive.len() % BLOCK, 0);
    }

    #[test]
    fn a_size_beyond_octal_and_every_length_of_a_record_are_right() {
        let mut out = Vec::new();
        header(&Entry { path: b"f".to_vec(), size: 1 << 34, ..Entry::default() }, &mut out);
        assert!(out.windows(22).any(|part| part == b"20 size=17179869184\n\0\0"));
        for length in 1..1200 {
            let mut out = Vec::new();
            record(b"k", &vec![b'v'; length], &mut out);
            let stated: usize =
                core::str::from_utf8(&out[..4]).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, out.len());
        }
    }
}

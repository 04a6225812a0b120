//! What the reader makes of archives, good and bad. The builder writes headers byte by byte, so that it can also write
//! what no tool would.

use alloc::{format, string::String, vec};

use super::*;

/// One header with its content, to be changed field by field.
#[derive(Clone)]
pub struct Block {
    pub header: [u8; BLOCK],
    pub content: Vec<u8>,
}

impl Block {
    pub fn new(kind: u8, name: &[u8], content: &[u8]) -> Self {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name);
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[156] = kind;
        let block = Block { header, content: content.to_vec() };
        block
            .field(100, "0000644")
            .field(108, "0000000")
            .field(116, "0000000")
            .field(136, "00000000000")
            .size(content.len())
    }

    pub fn file(name: &str, content: &[u8]) -> Self {
        Block::new(b'0', name.as_bytes(), content)
    }

    pub fn directory(name: &str) -> Self {
        Block::new(b'5', name.as_bytes(), b"").field(100, "0000755")
    }

    pub fn symlink(name: &str, to: &str) -> Self {
        Block::new(b'2', name.as_bytes(), b"").field(157, to)
    }

    pub fn hard_link(name: &str, to: &str) -> Self {
        Block::new(b'1', name.as_bytes(), b"").field(157, to)
    }

    pub fn pax(pairs: &[(&str, &[u8])]) -> Self {
        let mut records = Vec::new();
        for (key, value) in pairs {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while format!("{length}").len() + rest != length {
                length += 1;
            }
            records.extend_from_slice(format!("{length} {key}=").as_bytes());
            records.extend_from_slice(value);
            records.push(b'\n');
        }
        Block::new(b'x', b"PaxHeaders/x", &records)
    }

    pub fn field(mut self, at: usize, text: &str) -> Self {
        self.header[at..at + text.len()].copy_from_slice(text.as_bytes());
        self
    }

    pub fn size(self, bytes: usize) -> Self {
        self.field(124, &format!("{bytes:011o}"))
    }

    pub fn mode(self, mode: u32) -> Self {
        self.field(100, &format!("{mode:07o}"))
    }

    pub fn write(&self, to: &mut Vec<u8>) {
        let mut header = self.header;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        to.extend_from_slice(&header);
        to.extend_from_slice(&self.content);
        to.resize(to.len().next_multiple_of(BLOCK), 0);
    }
}

pub fn archive(blocks: &[Block]) -> Vec<u8> {
    let mut all = Vec::new();
    for block in blocks {
        block.write(&mut all);
    }
    all.resize(all.len() + 2 * BLOCK, 0);
    all
}

pub type Entries = Vec<(Entry, Vec<u8>)>;

/// Everything that a reader says, content joined; the error last.
pub fn read(archive: &[u8], cut: usize) -> (Entries, bool, Result<(), Fault>) {
    let mut reader = Reader::new();
    let (mut entries, mut ended) = (Entries::new(), false);
    for mut slice in archive.chunks(cut.max(1)) {
        loop {
            match reader.next(&mut slice) {
                Ok(None) => break,
                Ok(Some(Event::Entry(entry))) => entries.push((entry.clone(), Vec::new())),
                Ok(Some(Event::Content(bytes))) => {
                    assert!(!bytes.is_empty());
                    entries.last_mut().unwrap().1.extend_from_slice(bytes);
                }
                Ok(Some(Event::Hole(bytes))) => {
                    let content = &mut entries.last_mut().unwrap().1;
                    assert!(bytes > 0);
                    content.resize(content.len() + bytes as usize, 0);
                }
                Ok(Some(Event::Complete)) => {
                    let (entry, content) = entries.last().unwrap();
                    assert_eq!(entry.size, content.len() as u64);
                }
                Ok(Some(Event::End)) => ended = true,
                Err(fault) => return (entries, ended, Err(fault)),
            }
        }
        assert!(slice.is_empty());
    }
    (entries, ended, reader.finish())
}

fn good(blocks: &[Block]) -> Entries {
    let archive = archive(blocks);
    let (entries, ended, result) = read(&archive, usize::MAX);
    assert_eq!((ended, result), (true, Ok(())));
    for cut in [1, 7, 511, 512, 513, 1000] {
        assert_eq!(read(&archive, cut), (entries.clone(), true, Ok(())));
    }
    entries
}

fn wrong(blocks: &[Block]) -> Wrong {
    let archive = archive(blocks);
    let whole = read(&archive, usize::MAX);
    for cut in [1, 7, 512, 513] {
        assert_eq!(read(&archive, cut), whole);
    }
    whole.2.expect_err("refused").wrong
}

fn paths(entries: &[(Entry, Vec<u8>)]) -> Vec<String> {
    entries.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

#[test]
fn any_cut_of_the_input_gives_the_same_events() {
    let entries = good(&[
        Block::directory("d/"),
        Block::file("d/f", &[7; 1500]),
        Block::file("d/empty", b""),
        Block::pax(&[("mtime", b"12.5"), ("SCHILY.xattr.user.x", b"1\n2")]),
        Block::file("d/g", b"abc").mode(0o104_755),
        Block::symlink("s", "../../etc"),
        Block::hard_link("h", "d/f"),
    ]);
    assert_eq!(paths(&entries), ["d/", "d/f", "d/empty", "d/g", "s", "h"]);
    assert_eq!(entries[1].1, [7; 1500]);
    assert_eq!(entries[3].0.mode, 0o4755);
    assert_eq!(entries[3].0.mtime, Moment { seconds: 12, nanos: 500_000_000 });
    assert_eq!(entries[3].0.xattrs, [(b"user.x".to_vec(), b"1\n2".to_vec())]);
    assert!(entries[4].0.xattrs.is_empty());
    assert_eq!(entries[4].0.link, b"../../etc");
}

#[test]
fn names_are_bytes_and_come_from_wherever_the_format_puts_them() {
    let long = "n".repeat(3000);
    let nul_ended = format!("{long}\0");
    let mut v7 = Block::file("v7dir/", b"");
    v7.header[156] = 0;
    v7.header[257..265].fill(0);
    let entries = good(&[
        Block::file("f", b"").field(345, "some/prefix"),
        Block::new(b'0', b"\xff\n -", b""),
        Block::new(b'L', b"././@LongLink", nul_ended.as_bytes()),
        Block::file("short", b"x"),
        Block::pax(&[("path", b"from pax")]),
        Block::new(b'K', b"././@LongLink", nul_ended.as_bytes()),
        Block::symlink("short", "target"),
        Block::pax(&[("path", b"from pax")]),
        Block::new(b'L', b"././@LongLink", b"from L\0"),
        Block::file("short", b""),
        v7,
    ]);
    let names = ["some/prefix/f", "\u{fffd}\n -", &long, "from pax", "from L", "v7dir/"];
    assert_eq!(paths(&entries), names);
    assert_eq!(entries[3].0.link, long.as_bytes());
    assert_eq!(entries[5].0.kind, Kind::Directory);
    let gnu = Block::file("g", b"").field(345, "not a prefix").field(257, "ustar  \0");
    assert_eq!(paths(&good(&[gnu])), ["g"]);
}

#[test]
fn the_size_of_an_extension_counts_for_the_content_too() {
    // A header of an archive inside an archive must not be taken for one of the outer archive.
    let inner = archive(&[Block::file("evil", b"")]);
    let size = format!("{}", inner.len());
    let mut outer = Block::file("outer", &inner);
    outer = outer.size(0);
    let entries = good(&[Block::pax(&[("size", size.as_bytes())]), outer.clone(), Block::file("next", b"")]);
    assert_eq!(paths(&entries), ["outer", "next"]);
    assert_eq!(entries[0].1, inner);
    // Also with a long name between the two.
    let name = Block::new(b'L', b"././@LongLink", b"named");
    let entries = good(&[Block::pax(&[("size", size.as_bytes())]), name, outer, Block::file("next", b"")]);
    assert_eq!(paths(&entries), ["named", "next"]);
}

#[test]
fn only_files_have_content_whatever_the_size_says() {
    for kind in [b'1', b'2', b'3', b'4', b'5', b'6'] {
        let odd = Block::new(kind, b"odd", b"").field(157, "x").size(1024);
        assert_eq!(paths(&good(&[odd, Block::file("next", b"")])), ["odd", "next"]);
    }
}

#[test]
fn numbers_may_be_binary() {
    let mut block = Block::file("f", b"");
    block.header[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]);
    block.header[136..148].copy_from_slice(&[0xff; 12]);
    let entries = good(&[block.clone()]);
    assert_eq!((entries[0].0.uid, entries[0].0.mtime.seconds), (0xffff_fffe, -1));
    block.header[108..116].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(wrong(&[block.clone()]), "owner out of range");
    block.header[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(wrong(&[block]), "owner out of range");
    let mut negative = Block::file("f", b"");
    negative.header[124..136].fill(0xff);
    assert_eq!(wrong(&[negative]), "negative size");
}

#[test]
fn what_readers_disagree_about_is_refused() {
    let pax = || Block::pax(&[("path", b"p")]);
    let long = || Block::new(b'L', b"l", b"name");
    let mut lone = Vec::new();
    Block::file("a", b"").write(&mut lone);
    lone.resize(lone.len() + BLOCK, 0);
    Block::file("b", b"").write(&mut lone);
    assert_eq!(
        read(&lone, 512).2.unwrap_err(),
        Fault { at: 1024, wrong: "an entry after a lone zero block" }
    );
    for (blocks, expected) in [
        (vec![pax(), pax(), Block::file("f", b"")], "two extended headers where one belongs"),
        (vec![long(), long(), Block::file("f", b"")], "two extended headers where one belongs"),
        (
            vec![pax(), Block::new(b'g', b"g", b""), Block::file("f", b"")],
            "two extended headers where one belongs",
        ),
        (vec![pax()], "an extended header without its entry"),
        (vec![long()], "an extended header without its entry"),
        (vec![Block::file("d/", b"content")], "a directory with content"),
        (vec![Block::file("", b"")], "an entry without a name"),
        (vec![Block::symlink("s", "")], "a link to nothing"),
        (vec![Block::new(b'S', b"s", b"")], "sparse file in the old form of GNU tar, which is not supported"),
        (vec![Block::new(b'V', b"v", b"")], "unknown type of entry"),
        (vec![Block::new(b'x', b"x", b"6 a=b")], "malformed PAX record"),
        (vec![Block::new(b'3', b"null", b"").field(329, "7777777")], "device number out of range"),
        (vec![Block::new(b'L', b"l", b"").size(1 << 21)], "extended header larger than 1 MiB"),
    ] {
        assert_eq!(wrong(&blocks), expected);
    }
}

#[test]
fn a_global_header_makes_nothing_and_changes_nothing() {
    let mut global = Block::pax(&[("path", b"evil"), ("uid", b"7")]);
    global.header[156] = b'g';
    let entries = good(&[global, Block::file("f", b"")]);
    assert_eq!((paths(&entries), entries[0].0.uid), (vec!["f".into()], 0));
}

#[test]
fn an_archive_may_end_in_many_ways() {
    assert_eq!(read(b"", 1), (vec![], false, Ok(())));
    assert_eq!(read(&[0; BLOCK], 1), (vec![], false, Ok(())));
    assert_eq!(read(&[0; 10240], 100), (vec![], true, Ok(())));
    let whole = archive(&[Block::file("f", b"abc")]);
    for end in [512 + 3, 1024, 1024 + 512, 1024 + 700] {
        let (entries, ended, result) = read(&whole[..end], 100);
        assert_eq!((entries.len(), ended, result), (1, false, Ok(())), "{end}");
    }
    let mut rubbish = whole.clone();
    rubbish.extend_from_slice(&[0xaa; 3000]);
    assert_eq!(read(&rubbish, 100).2, Ok(()));
    for (end, what) in [(100, "truncated in a header"), (514, "truncated in a file")] {
        assert_eq!(read(&whole[..end], 100).2, Err(Fault { at: end as u64, wrong: what }));
    }
    let special = archive(&[Block::pax(&[("path", b"p")])]);
    assert_eq!(read(&special[..515], 100).2.unwrap_err().wrong, "truncated in an extended header");
    assert_eq!(read(&special[..1024], 100).2.unwrap_err().wrong, "an extended header without its entry");
}

#[test]
fn a_wrong_checksum_is_an_error_and_a_signed_one_is_not() {
    let mut whole = archive(&[Block::new(b'0', b"\xe9\xe9", b"")]);
    let unsigned: i64 = i64::from_str_radix(core::str::from_utf8(&whole[148..154]).unwrap(), 8).unwrap();
    let signed = format!("{:06o}\0", unsigned - 512);
    whole[148..155].copy_from_slice(signed.as_bytes());
    assert_eq!(read(&whole, 512).2, Ok(()));
    whole[0] ^= 1;
    assert_eq!(read(&whole, 512).2.unwrap_err(), Fault { at: 0, wrong: "wrong header checksum" });
}

/// A file of 5000 bytes with content at 1024 and at its end, in the three forms.
fn sparse() -> [Vec<Block>; 3] {
    let content = [vec![7; 512], vec![8; 100]].concat();
    let size = ("GNU.sparse.size", &b"5000"[..]);
    let zero_zero = Block::pax(&[
        size,
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"1024"),
        ("GNU.sparse.numbytes", b"512"),
        ("GNU.sparse.offset", b"4900"),
        ("GNU.sparse.numbytes", b"100"),
    ]);
    let name = ("GNU.sparse.name", &b"sparse"[..]);
    let zero_one = Block::pax(&[
        size,
        ("GNU.sparse.numblocks", b"2"),
        name,
        ("GNU.sparse.map", b"1024,512,4900,100"),
        ("path", b"./GNUSparseFile.1/sparse"),
    ]);
    let one_zero = Block::pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        name,
        ("GNU.sparse.realsize", b"5000"),
    ]);
    let mut map = b"2\n1024\n512\n4900\n100\n".to_vec();
    map.resize(BLOCK, 0);
    map.extend_from_slice(&content);
    let next = || Block::file("next", b"n");
    [
        vec![zero_zero, Block::file("sparse", &content), next()],
        vec![zero_one, Block::file("GNUSparseFile.1/sparse", &content), next()],
        vec![one_zero, Block::file("GNUSparseFile.1/sparse", &map), next()],
    ]
}

#[test]
fn sparse_files_of_all_forms_are_expanded() {
    let mut content = vec![0; 5000];
    content[1024..1536].fill(7);
    content[4900..].fill(8);
    for blocks in sparse() {
        let entries = good(&blocks);
        assert_eq!(paths(&entries), ["sparse", "next"]);
        assert!(entries[0].1 == content && entries[0].0.sparse);
        assert_eq!((entries[0].0.size, entries[1].0.sparse), (5000, false));
    }
}

#[test]
fn sparse_files_that_lie_are_refused() {
    let [zero_zero, _, one_zero] = sparse();
    let with = |blocks: &[Block], at: usize, block: Block| {
        let mut blocks = blocks.to_vec();
        blocks[at] = block;
        blocks
    };
    let described = |pairs: &[(&str, &[u8])]| with(&zero_zero, 0, Block::pax(pairs));
    let mapped = |map: &[u8]| with(&one_zero, 1, Block::file("sparse", map));
    let many = [b"65537\n".as_slice(), &b"0\n".repeat(300)].concat();
    for (blocks, expected) in [
        (with(&zero_zero, 1, Block::file("sparse", &[0; 100])), "more or less content"),
        (with(&zero_zero, 1, Block::directory("sparse/")), "no file"),
        (with(&zero_zero, 1, Block::symlink("sparse", "x")), "no file"),
        (described(&[("GNU.sparse.size", b"1"), ("GNU.sparse.map", b"0,612")]), "leads out of it"),
        (described(&[("GNU.sparse.map", b"0,612")]), "malformed map"),
        (described(&[("GNU.sparse.major", b"7"), ("GNU.sparse.size", b"1")]), "unknown kind"),
        (mapped(b"1\n0\n1\n"), "ends in its map"),
        (mapped(&[b'1'; 1024]), "malformed map"),
        (mapped(&many), "more than 65536 regions"),
        (mapped(&[b"2\n0\n", [0; 510].as_slice()].concat()), "malformed map"),
        (
            vec![one_zero[0].clone(), Block::new(b'L', b"l", b"other"), one_zero[1].clone()],
            "two names of a sparse file",
        ),
    ] {
        let text = wrong(&blocks);
        assert!(text.contains(expected), "{text}: {expected}");
    }
}

//! What must hold for any bytes from outside. The fuzz targets feed these with what they find, the ordinary tests with
//! the seeds and with seeds that were damaged.

// Each target uses its own.
#![allow(dead_code)]

use skiff_core::{
    glob,
    image::{
        config::ImageConfig,
        manifest::{self, Document},
        reference::Reference,
    },
    layer::{
        inflate::Gunzip,
        tar::{Entry, Event, Fault, Reader},
        zstd::Unzstd,
    },
};

/// One entry, as a reader tells it.
#[derive(Debug, PartialEq)]
struct Told {
    entry: Entry,
    content: Vec<u8>,
    /// Where in the content, and how large.
    holes: Vec<(usize, u64)>,
    complete: bool,
}

/// What a reader says, content joined.
#[derive(Debug, PartialEq)]
struct Said {
    entries: Vec<Told>,
    ended: bool,
    result: Result<(), Fault>,
}

fn read(archive: &[u8], mut cut: impl FnMut() -> usize) -> Said {
    let mut said = Said { entries: Vec::new(), ended: false, result: Ok(()) };
    let mut reader = Reader::new();
    let mut rest = archive;
    while !rest.is_empty() {
        let (mut slice, behind) = rest.split_at(cut().clamp(1, rest.len()));
        rest = behind;
        loop {
            let before = slice;
            match reader.next(&mut slice) {
                Ok(None) => break,
                Ok(Some(Event::Entry(entry))) => {
                    let entry = entry.clone();
                    said.entries.push(Told {
                        entry,
                        content: Vec::new(),
                        holes: Vec::new(),
                        complete: false,
                    });
                }
                Ok(Some(Event::Content(content))) => {
                    // Content is the tail of what was taken.
                    let taken = &before[..before.len() - slice.len()];
                    assert!(!content.is_empty() && taken.as_ptr_range().end == content.as_ptr_range().end);
                    said.entries.last_mut().unwrap().content.extend_from_slice(content);
                }
                Ok(Some(Event::Hole(bytes))) => {
                    let told = said.entries.last_mut().unwrap();
                    assert!(told.entry.sparse && bytes > 0);
                    told.holes.push((told.content.len(), bytes));
                }
                Ok(Some(Event::Complete)) => {
                    let told = said.entries.last_mut().unwrap();
                    let holes: u64 = told.holes.iter().map(|(_, bytes)| bytes).sum();
                    assert_eq!(told.entry.size, told.content.len() as u64 + holes);
                    assert!(!told.complete);
                    told.complete = true;
                }
                Ok(Some(Event::End)) => said.ended = true,
                Err(fault) => {
                    said.result = Err(fault);
                    return said;
                }
            }
        }
        assert!(slice.is_empty(), "a reader that wants more has taken all");
    }
    said.result = reader.finish();
    said
}

/// The same events, and the same error, wherever the archive is cut; names are such as a path can be made of.
pub fn tar(data: &[u8]) {
    let [seed, archive @ ..] = data else { return };
    let whole = read(archive, || usize::MAX);
    for Told { entry, .. } in &whole.entries {
        assert!(!entry.path.is_empty() && !entry.path.contains(&0) && !entry.link.contains(&0));
        assert!(entry.mode <= 0o7777 && entry.uid != u32::MAX && entry.gid != u32::MAX);
    }
    let mut state = u64::from(*seed) | 1;
    let cuts = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let cut = (state >> 40) as usize;
        if cut & 1 == 0 { cut % 7 + 1 } else { cut % 1500 + 1 }
    };
    assert_eq!(read(archive, cuts), whole);
}

fn unzstd(packed: &[u8], cut: usize, room: usize) -> Result<Vec<u8>, String> {
    const LIMIT: usize = 1 << 16;
    let (mut unzstd, mut plain, mut output) = (Unzstd::default(), Vec::new(), vec![0; room]);
    for mut slice in packed.chunks(cut) {
        loop {
            let count = unzstd.next(&mut slice, &mut output).map_err(|error| error.to_string())?;
            plain.extend_from_slice(&output[..count]);
            if plain.len() > LIMIT {
                return Err("too long".into());
            }
            if count < room {
                break;
            }
        }
        assert!(slice.is_empty());
    }
    unzstd.finish().map_err(|error| error.to_string())?;
    Ok(plain)
}

/// The same plain bytes, or an error, however input and output are cut.
pub fn zstd(data: &[u8]) {
    let [seed, packed @ ..] = data else { return };
    let whole = unzstd(packed, usize::MAX, 1 << 17);
    let cut = unzstd(packed, usize::from(*seed) + 1, usize::from(seed.rotate_left(4)) + 1);
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
}

/// Documents of archives: read as one kind or refused, and what is chosen from an index is some of it.
pub fn manifest(data: &[u8]) {
    if let Ok(Document::Index(all)) = Document::parse(data) {
        for is_image in [false, true] {
            if let Ok(chosen) = manifest::choose(all.clone(), is_image) {
                assert!(chosen.iter().all(|one| all.contains(one)) && (!is_image || chosen.len() == 1));
            }
        }
    }
    if let Ok(all) = manifest::saved(data) {
        assert!(data.len() > all.len());
        assert!(Document::parse(data).is_err(), "a list is no object");
    }
    let _ = manifest::repositories(data);
    let _ = manifest::layout(data);
}

fn gunzip(packed: &[u8], cut: usize, room: usize) -> Result<Vec<u8>, String> {
    const LIMIT: usize = 1 << 16;
    let (mut gunzip, mut plain, mut output) = (Gunzip::default(), Vec::new(), vec![0; room]);
    for mut slice in packed.chunks(cut) {
        loop {
            let count = gunzip.next(&mut slice, &mut output).map_err(|error| error.to_string())?;
            plain.extend_from_slice(&output[..count]);
            if plain.len() > LIMIT {
                return Err("too long".into());
            }
            if count < room {
                break;
            }
        }
        assert!(slice.is_empty());
    }
    gunzip.finish().map_err(|error| error.to_string())?;
    Ok(plain)
}

/// The same plain bytes, or an error, however input and output are cut.
pub fn gzip(data: &[u8]) {
    let [seed, packed @ ..] = data else { return };
    let whole = gunzip(packed, usize::MAX, 1 << 17);
    let cut = gunzip(packed, usize::from(*seed) + 1, usize::from(seed.rotate_left(4)) + 1);
    // Which of two faults is met first may depend on the cut.
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
}

/// What was read prints as something that means the same, in the full and in the familiar form, and no part of it climbs.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let escaped: String = text.chars().flat_map(|letter| ['\\', letter]).collect();
    if text.is_ascii() && escaped.len() <= 4096 {
        assert_eq!(glob::matches(&escaped, text), Ok(true));
    }
    let _ = glob::matches(text, "docker.io/library/alpine:3.10");
    let Ok(reference) = Reference::parse(text) else { return };
    assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
    assert_eq!(Reference::parse(&reference.familiar()), Ok(reference.clone()));
    let repository = &reference.repository;
    assert!(repository.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
    assert!(repository.contains('/') && repository.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(reference.clone().or_latest().or_latest(), reference.or_latest());
}

/// What was read is written as something that reads as the same.
pub fn image_config(data: &[u8]) {
    let Ok(config) = ImageConfig::parse(data) else { return };
    let json = config.to_json();
    assert_eq!(ImageConfig::parse(&json), Ok(config));
}

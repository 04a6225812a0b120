//! Maps of sparse files: where the stored bytes belong in the file; everything else of it is a hole. Pure.
//!
//! ```text
//! 0.0   GNU.sparse.size, GNU.sparse.numblocks, then GNU.sparse.offset and GNU.sparse.numbytes for each region
//! 0.1   GNU.sparse.size, GNU.sparse.numblocks, GNU.sparse.map=OFFSET,BYTES,...; the name is GNU.sparse.name
//! 1.0   GNU.sparse.realsize, the name is GNU.sparse.name; the map is in front of the content, in blocks of 512 bytes:
//!       COUNT\n then OFFSET\nBYTES\n for each region, filled up with zeros
//! ```
//!
//! # Spec
//! GNU tar manual, "Storing Sparse Files". The older form (entries of type `S`) is refused, as Docker does it.

use alloc::vec::Vec;

use super::{
    header::Wrong,
    pax::{decimal, if_any, name},
};

/// Most regions of one file.
const REGIONS_LIMIT: usize = 1 << 16;
/// Most digits of a number in a map.
const DIGITS_LIMIT: u32 = 20;
const BAD: Wrong = "malformed map of a sparse file";

/// A part of a file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What an extended header says of a sparse file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Described {
    major: Option<u64>,
    minor: Option<u64>,
    /// The file's name, if it is not the entry's.
    pub name: Option<Vec<u8>>,
    size: Option<u64>,
    count: Option<u64>,
    regions: Vec<Region>,
    /// The first half of a region.
    offset: Option<u64>,
}

/// A sparse file, as its header describes it.
#[derive(Debug)]
pub enum Sparse {
    /// The map is known.
    Mapped(Expansion),
    /// The map comes in front of the content of a file of so many bytes.
    MapFollows(u64),
}

impl Described {
    /// Takes the record whose key is `GNU.sparse.` and `key`.
    pub fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
        match key {
            b"major" => self.major = if_any(value, decimal)?,
            b"minor" => self.minor = if_any(value, decimal)?,
            b"name" => self.name = name(value)?,
            b"size" | b"realsize" => self.size = if_any(value, decimal)?,
            b"numblocks" => self.count = if_any(value, decimal)?,
            b"offset" if self.offset.is_none() => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or(BAD)?;
                add(&mut self.regions, offset, decimal(value)?)?;
            }
            b"map" => {
                self.regions.clear();
                let mut numbers = value.split(|byte| *byte == b',');
                while let Some(offset) = numbers.next().filter(|_| !value.is_empty()) {
                    let bytes = numbers.next().ok_or(BAD)?;
                    add(&mut self.regions, decimal(offset)?, decimal(bytes)?)?;
                }
            }
            _ => return Err("unknown kind of sparse file"),
        }
        Ok(())
    }

    /// Of a file with so many stored bytes.
    pub fn finish(self, stored: u64) -> Result<Sparse, Wrong> {
        let size = self.size.ok_or(BAD)?;
        match (self.major, self.minor) {
            (Some(1), Some(0)) if self.regions.is_empty() && self.offset.is_none() => {
                Ok(Sparse::MapFollows(size))
            }
            (None, None) | (Some(0), Some(0 | 1)) => {
                let is_whole = self.count.is_none_or(|count| count == self.regions.len() as u64);
                if !is_whole || self.offset.is_some() {
                    return Err(BAD);
                }
                Expansion::new(self.regions, size, stored).map(Sparse::Mapped)
            }
            _ => Err("unknown kind of sparse file"),
        }
    }
}

fn add(regions: &mut Vec<Region>, offset: u64, bytes: u64) -> Result<(), Wrong> {
    if regions.len() == REGIONS_LIMIT {
        return Err("sparse file with more than 65536 regions");
    }
    regions.push(Region { offset, bytes });
    Ok(())
}

/// Reads the map that stands in front of the content, byte by byte.
#[derive(Debug)]
pub struct MapText {
    size: u64,
    /// How many numbers are still to come, if that is known.
    left: Option<u64>,
    number: u64,
    digits: u32,
    offset: Option<u64>,
    regions: Vec<Region>,
}

impl MapText {
    /// Of a file of so many bytes.
    pub fn new(size: u64) -> Self {
        MapText { size, left: None, number: 0, digits: 0, offset: None, regions: Vec::new() }
    }

    /// Whether the map is complete: what comes until the block ends fills it up.
    pub fn is_complete(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes the next byte of a map that is not complete.
    pub fn take(&mut self, byte: u8) -> Result<(), Wrong> {
        match byte {
            b'0'..=b'9' if self.digits < DIGITS_LIMIT => {
                let number = self.number.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')));
                self.number = number.filter(|number| i64::try_from(*number).is_ok()).ok_or(BAD)?;
                self.digits += 1;
                Ok(())
            }
            b'\n' if self.digits > 0 => {
                let number = core::mem::take(&mut self.number);
                self.digits = 0;
                match (&mut self.left, self.offset.take()) {
                    (None, _) if number > REGIONS_LIMIT as u64 => {
                        return Err("sparse file with more than 65536 regions");
                    }
                    (None, _) => self.left = Some(2 * number),
                    (Some(left), None) => {
                        *left -= 1;
                        self.offset = Some(number);
                    }
                    (Some(left), Some(offset)) => {
                        *left -= 1;
                        add(&mut self.regions, offset, number)?;
                    }
                }
                Ok(())
            }
            _ => Err(BAD),
        }
    }

    /// The map, for so many stored bytes behind it.
    pub fn finish(self, stored: u64) -> Result<Expansion, Wrong> {
        Expansion::new(self.regions, self.size, stored)
    }
}

/// What comes next of a sparse file.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// So many zeros.
    Hole(u64),
    /// At most so many of the stored bytes.
    Stored(u64),
    /// It is complete.
    End,
}

/// Goes through a sparse file from its beginning.
#[derive(Debug)]
pub struct Expansion {
    regions: Vec<Region>,
    size: u64,
    /// The present region.
    index: usize,
    /// The present place in the file.
    at: u64,
}

impl Expansion {
    fn new(regions: Vec<Region>, size: u64, stored: u64) -> Result<Self, Wrong> {
        let (mut end, mut total) = (0, 0);
        let mut is_last = false;
        for region in &regions {
            let region_end = region.offset.checked_add(region.bytes).ok_or(BAD)?;
            if region.offset < end || region_end > size {
                return Err("map of a sparse file that falls back or leads out of it");
            }
            // After a region that ends within a block readers differ in where the next one begins.
            if is_last && region.bytes > 0 {
                return Err("sparse file with a region that ends within a block");
            }
            is_last |= !region.bytes.is_multiple_of(512);
            end = region_end;
            total += region.bytes;
        }
        if total != stored {
            return Err("sparse file with more or less content than its map says");
        }
        Ok(Expansion { regions, size, index: 0, at: 0 })
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What comes next; a hole has then been passed, of what is stored as much as [`Expansion::pass`] says.
    pub fn advance(&mut self) -> Part {
        while let Some(region) = self.regions.get(self.index) {
            let end = region.offset + region.bytes;
            if region.bytes > 0 && self.at < region.offset {
                let hole = region.offset - self.at;
                self.at = region.offset;
                return Part::Hole(hole);
            }
            if region.bytes > 0 && self.at < end {
                return Part::Stored(end - self.at);
            }
            self.index += 1;
        }
        match self.size - self.at {
            0 => Part::End,
            hole => {
                self.at = self.size;
                Part::Hole(hole)
            }
        }
    }

    /// So many stored bytes have come.
    pub fn pass(&mut self, bytes: u64) {
        self.at += bytes;
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::*;

    fn parts(mut expansion: Expansion) -> Vec<Part> {
        let mut all = Vec::new();
        loop {
            let part = expansion.advance();
            if let Part::Stored(bytes) = part {
                expansion.pass(bytes);
            }
            all.push(part);
            if all.last() == Some(&Part::End) {
                return all;
            }
        }
    }

    fn described(records: &[(&str, &str)], stored: u64) -> Result<Sparse, Wrong> {
        let mut described = Described::default();
        for (key, value) in records {
            described.apply(key.as_bytes(), value.as_bytes())?;
        }
        described.finish(stored)
    }

    fn text(map: &str, size: u64, stored: u64) -> Result<Expansion, Wrong> {
        let mut text = MapText::new(size);
        for byte in map.bytes() {
            assert!(!text.is_complete());
            text.take(byte)?;
        }
        if !text.is_complete() {
            return Err("incomplete");
        }
        text.finish(stored)
    }

    #[test]
    fn all_three_forms_say_the_same() {
        let expected = vec![
            Part::Hole(1024),
            Part::Stored(512),
            Part::Hole(488),
            Part::Stored(5),
            Part::Hole(71),
            Part::End,
        ];
        let zero_zero = described(
            &[
                ("size", "2100"),
                ("numblocks", "3"),
                ("offset", "1024"),
                ("numbytes", "512"),
                ("offset", "2024"),
                ("numbytes", "5"),
                ("offset", "2100"),
                ("numbytes", "0"),
            ],
            517,
        );
        let zero_one =
            described(&[("size", "2100"), ("numblocks", "3"), ("map", "1024,512,2024,5,2100,0")], 517);
        for form in [zero_zero, zero_one] {
            let Ok(Sparse::Mapped(expansion)) = form else { panic!("{form:?}") };
            assert_eq!(parts(expansion), expected);
        }
        let one_zero = described(&[("major", "1"), ("minor", "0"), ("realsize", "2100")], 1024);
        assert!(matches!(one_zero, Ok(Sparse::MapFollows(2100))));
        assert_eq!(parts(text("3\n1024\n512\n2024\n5\n2100\n0\n", 2100, 517).unwrap()), expected);
        assert_eq!(parts(text("0\n", 7, 0).unwrap()), [Part::Hole(7), Part::End]);
        assert_eq!(parts(text("0\n", 0, 0).unwrap()), [Part::End]);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for (map, size, stored) in [
            ("1\n0\n512\n", 511, 512),
            ("1\n0\n512\n", 512, 511),
            ("2\n512\n512\n0\n512\n", 2048, 1024),
            ("2\n0\n1024\n512\n512\n", 2048, 1536),
            ("2\n0\n100\n512\n100\n", 2048, 200),
            ("1\n9223372036854775807\n9223372036854775807\n", i64::MAX as u64, 0),
            ("1\n0\n", 10, 0),
            ("\n", 10, 0),
            ("1\n\n1\n", 10, 1),
            ("x\n", 10, 0),
            ("-1\n", 10, 0),
            ("65537\n", 10, 0),
            ("000000000000000000000\n", 10, 0),
            ("18446744073709551616\n", 10, 0),
        ] {
            assert!(text(map, size, stored).is_err(), "{map:?}");
        }
        for records in [
            &[("numblocks", "0")][..],
            &[("size", "1"), ("numblocks", "1")],
            &[("size", "1"), ("offset", "0")],
            &[("size", "1"), ("numbytes", "0")],
            &[("size", "1"), ("offset", "0"), ("offset", "0")],
            &[("size", "1"), ("map", "0")],
            &[("size", "1"), ("map", "0,0,")],
            &[("size", "1"), ("map", ",")],
            &[("size", "-1")],
            &[("size", "1"), ("major", "1")],
            &[("size", "1"), ("major", "2"), ("minor", "0")],
            &[("major", "1"), ("minor", "0")],
            &[("size", "1"), ("major", "1"), ("minor", "0"), ("map", "0,0")],
            &[("name", "a\0b")],
            &[("other", "1")],
        ] {
            assert!(described(records, 0).is_err(), "{records:?}");
        }
    }

    #[test]
    fn a_map_has_at_most_so_many_regions() {
        let pairs = |count: usize| {
            let all: Vec<String> = (0..count).map(|at| format!("{at},0")).collect();
            all.join(",")
        };
        assert!(described(&[("size", "99999"), ("map", &pairs(REGIONS_LIMIT))], 0).is_ok());
        assert!(described(&[("size", "99999"), ("map", &pairs(REGIONS_LIMIT + 1))], 0).is_err());
    }
}

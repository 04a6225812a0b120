//! One 512-byte tar header -> its fields. Pure. Takes what v7, ustar, PAX, GNU and star writers make.
//!
//! ```text
//! 0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
//! 157 link 100 | 257 magic 6 | 263 version 2 | 265 uname 32 | 297 gname 32 | 329 major 8 | 337 minor 8 | 345 prefix 155
//! ```

use core::ops::Range;

/// Bytes of a header, and the unit of everything in a tar.
pub const BLOCK: usize = 512;

/// A header, not yet joined with the extensions that stand before it.
pub struct Header<'a> {
    block: &'a [u8; BLOCK],
}

/// What is wrong, in a few words.
pub type Wrong = &'static str;

impl<'a> Header<'a> {
    /// Checks the sum over all bytes: unsigned as it should be, or signed as some old writers made it.
    pub fn check(block: &'a [u8; BLOCK]) -> Result<Self, Wrong> {
        let stored = octal(&block[148..156])?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        if stored == unsigned || stored == signed {
            Ok(Header { block })
        } else {
            Err("wrong header checksum")
        }
    }

    /// What kind of entry, as the writer coded it.
    pub fn type_flag(&self) -> u8 {
        self.block[156]
    }

    /// The two parts of the name: a slash belongs between them if the first is not empty.
    pub fn name(&self) -> (&'a [u8], &'a [u8]) {
        let is_ustar = &self.block[257..263] == b"ustar\0";
        let prefix: &[u8] = match is_ustar {
            // star keeps two times in the end of the prefix.
            true if &self.block[508..] == b"tar\0" => text(&self.block[345..476]),
            true => text(&self.block[345..500]),
            false => b"",
        };
        (prefix, text(&self.block[..100]))
    }

    /// The link's target.
    pub fn link(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    /// Permission bits; whatever stands above them is dropped.
    pub fn mode(&self) -> Result<u32, Wrong> {
        Ok((self.number(100..108)? & 0o7777) as u32)
    }

    /// The owner's number.
    pub fn uid(&self) -> Result<u32, Wrong> {
        owner(self.number(108..116)?)
    }

    /// The group's number.
    pub fn gid(&self) -> Result<u32, Wrong> {
        owner(self.number(116..124)?)
    }

    /// Bytes of content.
    pub fn size(&self) -> Result<u64, Wrong> {
        u64::try_from(self.number(124..136)?).map_err(|_| "negative size")
    }

    /// Seconds since 1970.
    pub fn mtime(&self) -> Result<i64, Wrong> {
        self.number(136..148)
    }

    /// A device's major and minor number, in the range that Linux has.
    pub fn device(&self) -> Result<(u32, u32), Wrong> {
        match (self.number(329..337)?, self.number(337..345)?) {
            (major @ 0..=0xfff, minor @ 0..=0xf_ffff) => Ok((major as u32, minor as u32)),
            _ => Err("device number out of range"),
        }
    }

    fn number(&self, field: Range<usize>) -> Result<i64, Wrong> {
        let field = &self.block[field];
        if field[0] & 0x80 == 0 { octal(field) } else { binary(field) }
    }
}

/// A user or group number. 2^32-1 means "leave as it is" to the kernel, so it is no owner.
pub fn owner(number: i64) -> Result<u32, Wrong> {
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Err("owner out of range"),
        Ok(number) => Ok(number),
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

/// Octal digits after any blanks, ended by a blank, a NUL or the field's end; no digit at all is 0.
fn octal(field: &[u8]) -> Result<i64, Wrong> {
    let mut number: i64 = 0;
    for byte in field.trim_ascii_start() {
        match byte {
            b'0'..=b'7' if number >> 60 == 0 => number = number << 3 | i64::from(byte - b'0'),
            b' ' | 0 => break,
            _ => return Err("wrong number in a header"),
        }
    }
    Ok(number)
}

/// Two's complement, big end first, below a marker bit.
fn binary(field: &[u8]) -> Result<i64, Wrong> {
    let negative = field[0] & 0x40 != 0;
    let flip = if negative { 0xff } else { 0 };
    let mut number: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        let byte = (byte ^ flip) & if at == 0 { 0x7f } else { 0xff };
        if number >> 55 != 0 {
            return Err("number in a header out of range");
        }
        number = number << 8 | u64::from(byte);
    }
    Ok(if negative { !(number as i64) } else { number as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_numbers_may_be_padded_and_ended_in_many_ways() {
        for (field, value) in [
            (b"0000644\0", 0o644),
            (b"   644 \0", 0o644),
            (b"644 junk", 0o644),
            (b"00000644", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
        ] {
            assert_eq!(octal(field), Ok(value));
        }
        for field in [b"0000648\0", b"-1\0\0\0\0\0\0", b"0x10\0\0\0\0"] {
            assert!(octal(field).is_err());
        }
        assert!(octal(&[b'7'; 30]).is_err());
    }

    #[test]
    fn binary_numbers_reach_over_all_of_64_bits_and_no_further() {
        assert_eq!(binary(&[0x80, 0, 0, 0, 0, 0, 1, 2]), Ok(258));
        assert_eq!(binary(&[0xff; 8]), Ok(-1));
        assert_eq!(binary(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Ok(-256));
        let most = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(binary(&most), Ok(i64::MAX));
        let more = [0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert!(binary(&more).is_err());
        assert!(binary(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn owners_that_the_kernel_would_take_for_something_else_are_refused() {
        assert_eq!(owner(0xffff_fffe), Ok(0xffff_fffe));
        for number in [0xffff_ffff, 1 << 32, -1, i64::MIN] {
            assert!(owner(number).is_err());
        }
    }
}

//! zstd -> plain bytes. Pure: slices go in and out. Several frames, skippable ones among them; the checksum of each frame
//! that has one is verified. What a frame asks for in memory is looked at before the decoder sees the frame.
//!
//! # Spec
//! RFC 8878.

use alloc::{boxed::Box, format, vec::Vec};

use ruzstd::{
    decoding::{BlockDecodingStrategy, FrameDecoder},
    io::Read,
};

use crate::{Error, Result};

/// Largest window, in bytes. The format's recommendation is 8 MiB, `zstd -19` needs that, `zstd --long` this.
pub const WINDOW_LIMIT: u64 = 128 << 20;
/// Magic number and descriptor.
const HEADER_LEAST: usize = 5;
const BLOCK_HEADER: usize = 3;
/// Largest content of a block.
const BLOCK_LIMIT: usize = 128 << 10;
const CHECKSUM: usize = 4;

#[derive(Default)]
enum State {
    /// Behind a frame, or at the beginning.
    #[default]
    Between,
    /// In a skippable frame, so many bytes before its end.
    Skip(u64),
    /// In a frame; whether its last block was decoded.
    Frame { decoder: Box<FrameDecoder>, has_checksum: bool, is_last: bool },
}

/// Reads zstd.
#[derive(Default)]
pub struct Unzstd {
    state: State,
    /// Input that is not decoded yet: a part of a header or of a block.
    pending: Vec<u8>,
}

impl Unzstd {
    /// Takes bytes from the front of `input` and puts plain ones to the front of `output`; tells how many. When that is
    /// less than `output` can hold, all of `input` has been taken.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for wrong data, wrong checksums, rubbish between frames, windows that are too large.
    pub fn next(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        loop {
            match &mut self.state {
                State::Skip(0) => self.state = State::Between,
                State::Skip(left) => {
                    let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                    if count == 0 {
                        return Ok(done);
                    }
                    *left -= count as u64;
                    *input = &input[count..];
                }
                State::Between => {
                    if !collect(&mut self.pending, HEADER_LEAST, input) {
                        return Ok(done);
                    }
                    if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] = self.pending[..] {
                        if !collect(&mut self.pending, 8, input) {
                            return Ok(done);
                        }
                        let length = u32::from_le_bytes(self.pending[4..8].try_into().expect("four bytes"));
                        self.pending.clear();
                        self.state = State::Skip(length.into());
                        continue;
                    }
                    let length = header_length(&self.pending)?;
                    if !collect(&mut self.pending, length, input) {
                        return Ok(done);
                    }
                    check_window(&self.pending)?;
                    let mut decoder = Box::new(FrameDecoder::new());
                    decoder.init(self.pending.as_slice()).map_err(|_| corrupt("wrong header"))?;
                    let has_checksum = self.pending[4] & 4 != 0;
                    self.pending.clear();
                    self.state = State::Frame { decoder, has_checksum, is_last: false };
                }
                State::Frame { decoder, has_checksum, is_last } => {
                    let made = decoder.read(&mut output[done..]).map_err(|_| corrupt("wrong data"))?;
                    done += made;
                    if done == output.len() {
                        return Ok(done);
                    }
                    if *is_last {
                        if *has_checksum
                            && decoder.get_checksum_from_data() != decoder.get_calculated_checksum()
                        {
                            return Err(corrupt("wrong checksum"));
                        }
                        self.state = State::Between;
                        continue;
                    }
                    if !collect(&mut self.pending, BLOCK_HEADER, input) {
                        return Ok(done);
                    }
                    let (length, last) = block(&self.pending)?;
                    let length = length + if last && *has_checksum { CHECKSUM } else { 0 };
                    if !collect(&mut self.pending, BLOCK_HEADER + length, input) {
                        return Ok(done);
                    }
                    decoder
                        .decode_blocks(self.pending.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
                        .map_err(|_| corrupt("wrong data"))?;
                    *is_last = last;
                    self.pending.clear();
                }
            }
        }
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a frame was not finished.
    pub fn finish(&self) -> Result<()> {
        match self.state {
            State::Between | State::Skip(0) if self.pending.is_empty() => Ok(()),
            _ => Err(corrupt("truncated")),
        }
    }
}

/// Fills `pending` up to `wanted` bytes; whether it has them.
fn collect(pending: &mut Vec<u8>, wanted: usize, input: &mut &[u8]) -> bool {
    let count = wanted.saturating_sub(pending.len()).min(input.len());
    let (taken, rest) = input.split_at(count);
    pending.extend_from_slice(taken);
    *input = rest;
    pending.len() >= wanted
}

/// Sizes of the fields behind the descriptor: window, dictionary, content size.
fn fields(descriptor: u8) -> [usize; 3] {
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        power => 1 << power,
    };
    [usize::from(!single), dictionary, content]
}

fn header_length(header: &[u8]) -> Result<usize> {
    if header[..4] != [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(corrupt("rubbish behind the end"));
    }
    if header[4] & 8 != 0 {
        return Err(corrupt("wrong header"));
    }
    Ok(HEADER_LEAST + fields(header[4]).iter().sum::<usize>())
}

fn check_window(header: &[u8]) -> Result<()> {
    let [window, dictionary, _] = fields(header[4]);
    let rest = &header[HEADER_LEAST..];
    if rest[window..window + dictionary].iter().any(|byte| *byte != 0) {
        return Err(corrupt("made with a dictionary"));
    }
    let bytes = if window == 1 {
        let base = 1_u64 << (10 + (rest[0] >> 3));
        base + base / 8 * u64::from(rest[0] & 7)
    } else {
        // All of the content is the window.
        let mut number = [0; 8];
        let size = &rest[dictionary..];
        number[..size.len()].copy_from_slice(size);
        u64::from_le_bytes(number)
    };
    if bytes > WINDOW_LIMIT { Err(corrupt("window larger than 128 MiB")) } else { Ok(()) }
}

/// How many bytes follow the header of a block, and whether it is the last one.
fn block(header: &[u8]) -> Result<(usize, bool)> {
    let number = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let size = (number >> 3) as usize;
    if size > BLOCK_LIMIT {
        return Err(corrupt("block too large"));
    }
    match number >> 1 & 3 {
        0 | 2 => Ok((size, number & 1 == 1)),
        1 => Ok((1, number & 1 == 1)),
        _ => Err(corrupt("wrong block")),
    }
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt(format!("read zstd: {why}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec;

    use super::*;

    /// A frame whose blocks are stored. Its checksum, if it has one, is right for `hello` only.
    pub fn stored(plain: &[u8], checksum: bool) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, if checksum { 4 } else { 0 }, 0x40];
        let mut chunks = plain.chunks(100_000).peekable();
        if chunks.peek().is_none() {
            frame.extend([1, 0, 0]);
        }
        while let Some(chunk) = chunks.next() {
            let header = (chunk.len() as u32) << 3 | u32::from(chunks.peek().is_none());
            frame.extend(&header.to_le_bytes()[..3]);
            frame.extend(chunk);
        }
        if checksum {
            // XXH64 of `hello`, the lower half.
            frame.extend(0x889f_6da3_u32.to_le_bytes());
        }
        frame
    }

    /// `zstd -19` of 1000 times `skiff `, with a checksum.
    const PACKED: [u8; 27] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0x75, 0x00, 0x00, 0x30, 0x73, 0x6b, 0x69, 0x66, 0x66, 0x20, 0x01,
        0x00, 0x67, 0x97, 0xbe, 0x14, 0x01, 0x96, 0xce, 0xdb, 0x8b,
    ];

    fn unzstd(packed: &[u8], cut: usize, room: usize) -> Result<Vec<u8>> {
        let (mut unzstd, mut plain, mut output) = (Unzstd::default(), Vec::new(), vec![0; room]);
        for mut slice in packed.chunks(cut) {
            loop {
                let count = unzstd.next(&mut slice, &mut output)?;
                plain.extend_from_slice(&output[..count]);
                if count < room {
                    assert!(slice.is_empty());
                    break;
                }
            }
        }
        unzstd.finish().map(|()| plain)
    }

    #[test]
    fn frames_are_joined_and_skippable_ones_left_out() {
        let skipped = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let long: Vec<u8> = (0..250_000_u32).map(|n| (n / 3) as u8).collect();
        let packed = [
            &skipped[..],
            &stored(&long, false),
            &PACKED,
            &stored(b"", false),
            &skipped,
            &stored(b"hello", true),
        ]
        .concat();
        let plain = [&long[..], &b"skiff ".repeat(1000), b"hello"].concat();
        for (cut, room) in [(usize::MAX, 1 << 20), (1, 100_000), (4096, 3), (13, 4096)] {
            assert!(unzstd(&packed, cut.min(packed.len()), room).unwrap() == plain, "{cut} {room}");
        }
        assert_eq!(unzstd(&skipped, 1, 10).unwrap(), b"");
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        for end in 1..PACKED.len() {
            assert!(unzstd(&PACKED[..end], 64, 512).is_err(), "{end}");
        }
        let good = stored(b"hello", true);
        for at in [10, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let error = unzstd(&bad, 64, 512).unwrap_err();
            assert_eq!(error, Error::Corrupt("read zstd: wrong checksum".into()));
        }
        assert!(unzstd(&[&good[..], b"rubbish"].concat(), 64, 512).is_err());
        // A reserved bit, a dictionary, a reserved type of block, a block that is too large.
        for (at, byte) in [(4, 8), (4, 1), (6, 7), (8, 0xff)] {
            let mut bad = good.clone();
            bad[at] |= byte;
            assert!(unzstd(&bad, 64, 512).is_err(), "{at} {byte}");
        }
    }

    #[test]
    fn a_frame_that_asks_for_too_much_memory_is_refused() {
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0];
        let content = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
        for frame in [&window[..], &content] {
            let error = unzstd(frame, 64, 512).unwrap_err();
            assert_eq!(error, Error::Corrupt("read zstd: window larger than 128 MiB".into()));
        }
    }
}

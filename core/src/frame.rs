//! The frames that carry stdout and stderr over one connection: header `[stream, 0, 0, 0, length as big-endian u32]`,
//! then that many bytes. Used by attach, exec and logs when there is no terminal.
//!
//! Pure; written by monitors and server children, read by the client.

use alloc::format;
use core::ops::Range;

use crate::{Error, Result};

/// Length of a frame's header.
pub const HEADER_BYTES: usize = 8;

/// Which stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Input, as Docker numbers it; never sent.
    Stdin = 0,
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// An error message of the engine.
    System = 3,
    /// The result of `POST /skiff/run`, as JSON; the last frame.
    Exit = 4,
}

impl Stream {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Stream::Stdin,
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::System,
            4 => Stream::Exit,
            _ => return None,
        })
    }
}

/// The header of a frame with so many bytes of data.
pub fn header(stream: Stream, length: u32) -> [u8; HEADER_BYTES] {
    let length = length.to_be_bytes();
    [stream as u8, 0, 0, 0, length[0], length[1], length[2], length[3]]
}

/// What a decoder found in its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The stream of the data.
    pub stream: Stream,
    /// Where in the input the data stands; empty if only a header was seen.
    pub data: Range<usize>,
    /// How many bytes of the input are used up.
    pub consumed: usize,
    /// Whether the frame's last byte was seen.
    pub last: bool,
}

/// Reads frames from input that is split anywhere.
#[derive(Debug, Clone, Default)]
pub struct FrameDecoder {
    header: [u8; HEADER_BYTES],
    filled: usize,
    left: u32,
}

impl FrameDecoder {
    /// Whether the input may end here.
    pub fn at_boundary(&self) -> bool {
        self.filled == 0
    }

    /// The next piece of the input, or `None` if the input ended within a header.
    /// Pieces of one frame may be any number; call again with what was not consumed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a header that no frame has.
    pub fn next(&mut self, input: &[u8]) -> Result<Option<Piece>> {
        let mut at = 0;
        if self.filled < HEADER_BYTES {
            at = (HEADER_BYTES - self.filled).min(input.len());
            self.header[self.filled..self.filled + at].copy_from_slice(&input[..at]);
            self.filled += at;
            if self.filled < HEADER_BYTES {
                return Ok(None);
            }
            let [_, a, b, c, length @ ..] = self.header;
            if (a, b, c) != (0, 0, 0) {
                return Err(Error::Corrupt("read frame: its header is not valid".into()));
            }
            self.left = u32::from_be_bytes(length);
        }
        let stream = Stream::from_number(self.header[0])
            .ok_or_else(|| Error::Corrupt(format!("read frame: stream {} does not exist", self.header[0])))?;
        let length = (input.len() - at).min(self.left as usize);
        // `length` is at most `left`, a u32.
        self.left -= length as u32;
        let last = self.left == 0;
        if last {
            self.filled = 0;
        }
        Ok(Some(Piece { stream, data: at..at + length, consumed: at + length, last }))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    type Joined = Vec<(Stream, Vec<u8>)>;

    fn decode(pieces: &[&[u8]]) -> Result<Joined> {
        let mut decoder = FrameDecoder::default();
        let mut frames: Joined = Vec::new();
        let mut open = false;
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let Some(found) = decoder.next(rest)? else { break };
                if !open {
                    frames.push((found.stream, Vec::new()));
                }
                frames.last_mut().unwrap().1.extend_from_slice(&rest[found.data.clone()]);
                open = !found.last;
                rest = &rest[found.consumed..];
            }
        }
        assert!(decoder.at_boundary());
        Ok(frames)
    }

    #[test]
    fn frames_decode_the_same_for_any_split() {
        let mut bytes = Vec::new();
        for (stream, data) in
            [(Stream::Stdout, &b"out"[..]), (Stream::Stderr, b""), (Stream::Stderr, b"err!")]
        {
            bytes.extend_from_slice(&header(stream, data.len() as u32));
            bytes.extend_from_slice(data);
        }
        let whole = decode(&[&bytes]).unwrap();
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[0], (Stream::Stdout, b"out".to_vec()));
        assert_eq!(whole[2], (Stream::Stderr, b"err!".to_vec()));
        for a in 0..bytes.len() {
            for b in a..bytes.len() {
                assert_eq!(decode(&[&bytes[..a], &bytes[a..b], &bytes[b..]]).unwrap(), whole, "{a} {b}");
            }
        }
    }

    #[test]
    fn an_impossible_header_is_an_error() {
        assert!(FrameDecoder::default().next(&[9, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(FrameDecoder::default().next(b"plain text").is_err());
    }
}

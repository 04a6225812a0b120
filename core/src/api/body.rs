//! Bodies: raw bytes of a connection -> the bytes of one body, for both framings and any split of the input.
//!
//! Pure. A chunk is `SIZE-IN-HEX [;extension] CRLF data CRLF`; a chunk of size 0 is the last and is followed by
//! trailer lines, which are kept.

use alloc::vec::Vec;
use core::ops::Range;

use super::head::Framing;
use crate::{Error, Result};

/// Longest chunk-size or trailer line.
const LINE_BYTES_MAX: u32 = 4096;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: u32 = 16 << 10;

/// Where in a body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In data of which this many bytes are left; then comes the end.
    Fixed(u64),
    /// In data that ends with the connection.
    Open,
    /// In the size of a chunk: value so far, digits so far.
    Size(u64, u32),
    /// In a chunk's extension, which is skipped; value, bytes so far.
    Extension(u64, u32),
    /// Behind the CR of a size line.
    SizeEnd(u64),
    /// In a chunk's data, of which this many bytes are left.
    Data(u64),
    /// Behind a chunk's data: CR, then LF.
    DataCr,
    DataLf,
    /// In the trailers: bytes so far, and whether the present line is empty so far.
    Trailer(u32, bool),
    /// Behind a CR in the trailers; whether its line was empty.
    TrailerLf(u32, bool),
    /// Past the last byte.
    End,
}

/// One step's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are used up.
    pub consumed: usize,
    /// Which of them are the body's.
    pub data: Range<usize>,
}

/// The state of one body.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    place: Place,
    /// The trailers, each with a line break behind it.
    trailers: Vec<u8>,
}

impl BodyDecoder {
    /// A body at its start.
    pub fn new(framing: Framing) -> Self {
        let place = match framing {
            Framing::Length(0) => Place::End,
            Framing::Length(length) => Place::Fixed(length),
            Framing::Chunked => Place::Size(0, 0),
            Framing::UntilClose => Place::Open,
        };
        BodyDecoder { place, trailers: Vec::new() }
    }

    /// The value of a trailer field, if the body has ended with one that is text.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let text = core::str::from_utf8(&self.trailers).ok().filter(|_| self.is_complete())?;
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether the whole body was seen.
    pub fn is_complete(&self) -> bool {
        self.place == Place::End
    }

    /// How many bytes of plain data come next, before anything else, at least; 0 if that is not known.
    pub fn plain_bytes_ahead(&self) -> u64 {
        match self.place {
            Place::Fixed(left) | Place::Data(left) => left,
            Place::Open => u64::MAX,
            _ => 0,
        }
    }

    /// Whether something of the body, or its end, stands in this input: whoever reads it does not have to wait for more.
    pub fn is_at_hand(&self, input: &[u8]) -> bool {
        let mut ahead = self.clone();
        for at in 0..input.len() {
            // What is wrong with it is at hand, too.
            if ahead.is_complete() || ahead.plain_bytes_ahead() > 0 || ahead.step(&input[at..=at]).is_err() {
                return true;
            }
        }
        ahead.is_complete()
    }

    /// Says that the connection has ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the body is not complete.
    pub fn end_of_input(&mut self) -> Result<()> {
        match self.place {
            Place::End => Ok(()),
            Place::Open => {
                self.place = Place::End;
                Ok(())
            }
            _ => Err(Error::Invalid("read body: the connection ended in the middle of it".into())),
        }
    }

    /// Looks at some input, up to and including the next run of data.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed chunk.
    ///
    /// # Spec
    /// RFC 9112, section 7.1.
    pub fn step(&mut self, input: &[u8]) -> Result<Step> {
        let mut at = 0;
        while at < input.len() {
            let rest = (input.len() - at) as u64;
            if let Some(length) = self.run(rest) {
                return Ok(Step { consumed: at + length, data: at..at + length });
            }
            if self.place == Place::End {
                break;
            }
            self.byte(input[at])?;
            at += 1;
        }
        Ok(Step { consumed: at, data: at..at })
    }

    /// Takes a run of up to `available` data bytes, if data is what comes next.
    fn run(&mut self, available: u64) -> Option<usize> {
        let (taken, next) = match self.place {
            Place::Open => (available, Place::Open),
            Place::Fixed(left) if available >= left => (left, Place::End),
            Place::Fixed(left) => (available, Place::Fixed(left - available)),
            Place::Data(left) if available >= left => (left, Place::DataCr),
            Place::Data(left) => (available, Place::Data(left - available)),
            _ => return None,
        };
        self.place = next;
        // `taken` is at most `available`, which was a slice's length.
        Some(taken as usize)
    }

    /// One byte of what stands between the data.
    fn byte(&mut self, byte: u8) -> Result<()> {
        self.place = match (self.place, byte) {
            (Place::Size(size, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                // 15 hex digits can't overflow, and nobody sends an exabyte in one chunk.
                if digits == 15 {
                    return Err(bad("the size is too large"));
                }
                Place::Size(size << 4 | digit, digits + 1)
            }
            (Place::Size(_, 0), _) => return Err(bad("a hexadecimal size was expected")),
            (Place::Size(size, _), b'\r') => Place::SizeEnd(size),
            (Place::Size(size, _), b';') => Place::Extension(size, 0),
            (Place::Size(..), _) => return Err(bad("the size is not a hexadecimal number")),
            (Place::Extension(size, _), b'\r') => Place::SizeEnd(size),
            (Place::Extension(_, length), _) if byte == b'\n' || length == LINE_BYTES_MAX => {
                return Err(bad("its extension is not valid"));
            }
            (Place::Extension(size, length), _) => Place::Extension(size, length + 1),
            (Place::SizeEnd(0), b'\n') => Place::Trailer(0, true),
            (Place::SizeEnd(size), b'\n') => Place::Data(size),
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size(0, 0),
            (Place::Trailer(length, empty), b'\r') => Place::TrailerLf(length, empty),
            (Place::Trailer(length, _), _) if byte == b'\n' || length == TRAILER_BYTES_MAX => {
                return Err(bad("the trailers are not valid"));
            }
            (Place::Trailer(length, _), _) => {
                self.trailers.push(byte);
                Place::Trailer(length + 1, false)
            }
            (Place::TrailerLf(_, true), b'\n') => Place::End,
            (Place::TrailerLf(length, false), b'\n') => {
                self.trailers.push(b'\n');
                Place::Trailer(length, true)
            }
            _ => return Err(bad("a line break was expected")),
        };
        Ok(())
    }
}

fn bad(reason: &str) -> Error {
    Error::Invalid(alloc::format!("read chunk: {reason}"))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Feeds the pieces; the body and what is left behind it.
    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool)> {
        let mut decoder = BodyDecoder::new(framing);
        let (mut body, mut rest) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() && !decoder.is_complete() {
                let step = decoder.step(piece)?;
                body.extend_from_slice(&piece[step.data.clone()]);
                piece = &piece[step.consumed..];
            }
            rest.extend_from_slice(piece);
        }
        Ok((body, rest, decoder.is_complete()))
    }

    #[test]
    fn chunks_with_extensions_and_trailers_decode_the_same_for_any_split() {
        let text = b"5\r\nhello\r\n0A;x=\"y\"\r\n, world\r\n!\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET /next";
        let whole = decode(Framing::Chunked, &[text]).unwrap();
        assert_eq!(whole.0, b"hello, world\r\n!");
        assert_eq!(whole.1, b"GET /next");
        assert!(whole.2);
        for a in 0..text.len() {
            for b in a..text.len() {
                let split = decode(Framing::Chunked, &[&text[..a], &text[a..b], &text[b..]]).unwrap();
                assert_eq!(split, whole, "{a} {b}");
            }
        }
    }

    #[test]
    fn trailers_can_be_asked_for_at_the_end() {
        let text = b"1\r\na\r\n0\r\nX-Sum:  1: 2 \r\nbare\r\nY: 3\r\n\r\n";
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        for (at, byte) in text.iter().enumerate() {
            assert_eq!(decoder.trailer("y"), None, "{at}");
            assert_eq!(decoder.step(&[*byte]).unwrap().consumed, 1);
        }
        let found = ["x-sum", "Y", "bare", "z"].map(|name| decoder.trailer(name));
        assert_eq!(found, [Some("1: 2"), Some("3"), None, None]);
        let endless = [b"0\r\n".as_slice(), &b"A: b\r\n".repeat(5000)].concat();
        assert!(decode(Framing::Chunked, &[&endless]).is_err());
    }

    #[test]
    fn what_can_be_read_at_once_is_known_before() {
        let text = b"3\r\nabc\r\n0\r\n\r\nnext";
        // How much has been decoded, how much more there is.
        let at_hand = |decoded: usize, there: usize| {
            let mut decoder = BodyDecoder::new(Framing::Chunked);
            let mut rest = &text[..decoded];
            while !rest.is_empty() {
                rest = &rest[decoder.step(rest).unwrap().consumed..];
            }
            decoder.is_at_hand(&text[decoded..there])
        };
        assert!(!at_hand(0, 3) && at_hand(0, 4) && at_hand(3, 4) && at_hand(5, 6));
        // Behind the data is no more of it, but perhaps the end.
        assert!(!at_hand(6, 6) && !at_hand(6, 8) && !at_hand(6, 12) && at_hand(6, 13) && at_hand(13, 13));
        assert!(BodyDecoder::new(Framing::Chunked).is_at_hand(b"x"), "an error is at hand");
        let [fixed, open] = [Framing::Length(1), Framing::UntilClose].map(BodyDecoder::new);
        assert!(
            !fixed.is_at_hand(b"")
                && fixed.is_at_hand(b"x")
                && !open.is_at_hand(b"")
                && open.is_at_hand(b"x")
        );
    }

    #[test]
    fn a_fixed_length_ends_where_it_says() {
        let (body, rest, complete) = decode(Framing::Length(3), &[b"ab", b"cdef"]).unwrap();
        assert_eq!((&body[..], &rest[..], complete), (&b"abc"[..], &b"def"[..], true));
        assert!(BodyDecoder::new(Framing::Length(0)).is_complete());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\rX",
            "1\r\nabc",
            "1\r\na\n",
            "1\r\na\rX",
            "1;a\nb",
            "fffffffffffffffff\r\n",
            "0\r\nX: y\n",
            "0\r\n\rX",
        ] {
            assert!(decode(Framing::Chunked, &[text.as_bytes()]).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_connection_that_ends_early_is_an_error() {
        let mut decoder = BodyDecoder::new(Framing::Length(3));
        decoder.step(b"ab").unwrap();
        assert!(decoder.end_of_input().is_err());
        let mut decoder = BodyDecoder::new(Framing::UntilClose);
        decoder.step(b"ab").unwrap();
        assert!(decoder.end_of_input().is_ok() && decoder.is_complete());
    }
}

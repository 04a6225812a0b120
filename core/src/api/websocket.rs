//! WebSockets: the handshake, frames, and a pump between one and a stream. For clients that run in a browser.
//!
//! # Spec
//! RFC 6455. Frames of a message are data as they come: where a message ends means nothing here.

use alloc::{format, vec, vec::Vec};

use rustix::{fd::BorrowedFd, io::Errno, net::Shutdown};
use sha1::{Digest, Sha1};

use super::{
    exchange::{Exchange, Hijacked},
    target::ApiVersion,
    wire,
};
use crate::{Context, Error, Result, base64, file, fork};

/// What a server proves with that it has understood (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How much is read at once.
const PIECE: usize = 16 << 10;

/// What the payload of a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A part of the stream.
    Data,
    /// The end.
    Close,
    /// To be answered with the same.
    Ping,
    /// An answer.
    Pong,
}

/// A part of a frame that came from a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which frame.
    pub kind: Kind,
    /// Where its payload, unmasked, is in the input.
    pub data: core::ops::Range<usize>,
    /// How much of the input it took.
    pub consumed: usize,
    /// Whether the frame ends with it.
    pub last: bool,
}

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: Kind,
    /// Of the payload.
    length: u64,
    mask: [u8; 4],
}

/// Takes frames apart.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What is missing of the frame that is being read: its mask is turned to the next byte.
    frame: Option<Head>,
}

impl Decoder {
    /// The next piece, which is unmasked in place; `None` if more input is needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no frame of a client's.
    pub fn next(&mut self, input: &mut [u8]) -> Result<Option<Piece>> {
        let (mut head, start) = match self.frame.take() {
            Some(head) => (head, 0),
            None => match head(input)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let length = usize::try_from(head.length).unwrap_or(usize::MAX).min(input.len() - start);
        let last = length as u64 == head.length;
        let data = start..start + length;
        for (byte, key) in input[data.clone()].iter_mut().zip(head.mask.iter().cycle()) {
            *byte ^= key;
        }
        let kind = head.kind;
        if !last {
            head.mask.rotate_left(length % 4);
            head.length -= length as u64;
            self.frame = Some(head);
            if data.is_empty() && start == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Piece { kind, consumed: data.end, data, last }))
    }
}

/// The head of a frame, and where its payload begins.
fn head(input: &[u8]) -> Result<Option<(Head, usize)>> {
    let bad = |why: &str| Err(Error::Invalid(format!("websocket: {why}")));
    let Some((&[first, second], rest)) = input.split_first_chunk() else { return Ok(None) };
    let kind = match first & 0x0F {
        0..=2 => Kind::Data,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return bad("a frame of an unknown kind"),
    };
    if first & 0x70 != 0 {
        return bad("a frame of an extension");
    }
    if second & 0x80 == 0 {
        return bad("a frame without a mask");
    }
    let (length, width) = match second & 0x7F {
        126 => (rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes))), 2),
        127 => (rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), 8),
        short => (Some(short.into()), 0),
    };
    let Some((length, mask)) = length.zip(rest.get(width..).and_then(|rest| rest.first_chunk())) else {
        return Ok(None);
    };
    if kind != Kind::Data && (length > 125 || first & 0x80 == 0) {
        return bad("a control frame that is too long or in pieces");
    }
    Ok(Some((Head { kind, length, mask: *mask }, 2 + width + 4)))
}

/// The head of a server's frame with this opcode.
fn put_head(opcode: u8, length: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(length as u8),
        126..65536 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// A connection that carries frames.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    /// With what the client has sent already.
    pub connection: Hijacked<'a>,
    /// What the server's data is sent as.
    opcode: u8,
}

/// Answers a handshake; from there on the connection carries frames.
///
/// # Errors
/// [`Error::Invalid`] if it is none, else the kernel's.
pub(super) fn accept<'e>(exchange: &'e mut Exchange<'_>) -> Result<Accepted<'e>> {
    let bad = |why: &str| Err(Error::Invalid(format!("websocket: {why}")));
    let headers = exchange.headers();
    if !headers.has_word("upgrade", "websocket") || !headers.has_word("connection", "upgrade") {
        return bad("the request asks for no upgrade to one");
    }
    if headers.get("sec-websocket-version") != Some("13") {
        return bad("only version 13 is spoken");
    }
    let key = match headers.get("sec-websocket-key") {
        Some(key) if base64::decode(key).is_some_and(|bytes| bytes.len() == 16) => key,
        _ => return bad("Sec-WebSocket-Key is missing or not 16 bytes"),
    };
    let proof = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let proof = base64::encode(&proof);
    // Clients from before that expect text.
    let opcode = if exchange.version >= ApiVersion(28) { BINARY } else { TEXT };
    let connection = exchange.upgrade(&[
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", &proof),
    ])?;
    Ok(Accepted { connection, opcode })
}

/// Carries a client's data to a stream and the stream's to the client, until one of them ends.
pub(super) fn pump(accepted: &Accepted<'_>, stream: BorrowedFd<'_>) -> Result<()> {
    let Hijacked { fd: client, early } = accepted.connection;
    let mut decoder = Decoder::default();
    let (mut input, mut length) = (vec![0; PIECE + early.len()], early.len());
    input[..length].copy_from_slice(early);
    let mut output = Vec::with_capacity(PIECE + 16);
    let mut data = vec![0; PIECE];
    loop {
        let used = match receive(&mut decoder, &mut input[..length], client, stream) {
            Ok(Some(used)) => used,
            Ok(None) => return Ok(()),
            Err(error) => {
                // 1002: a protocol error.
                let _ = wire::send_all(client, &[&[0x80 | CLOSE, 2, 3, 234]]);
                return Err(error);
            }
        };
        input.copy_within(used..length, 0);
        length -= used;
        let ready = fork::heard([client, stream].into_iter(), None)?;
        if ready[1] {
            let count = file::read_part(stream, &mut data).context("read from", "a container")?;
            output.clear();
            if count == 0 {
                // 1000: all is well.
                return wire::send_all(client, &[&[0x80 | CLOSE, 2, 3, 232]]);
            }
            put_head(accepted.opcode, count, &mut output);
            wire::send_all(client, &[&output, &data[..count]])?;
        }
        if ready[0] {
            match file::read_part(client, &mut input[length..]) {
                Ok(0) | Err(Errno::CONNRESET) => return Ok(()),
                Ok(count) => length += count,
                Err(errno) => return Err(errno).context("read from", "a websocket"),
            }
        }
    }
}

/// Carries what is whole of a client's frames to the stream: how much of the input that was; `None` at its end. The
/// payload of a control frame is small and waits until it is whole.
fn receive(
    decoder: &mut Decoder,
    input: &mut [u8],
    client: BorrowedFd<'_>,
    stream: BorrowedFd<'_>,
) -> Result<Option<usize>> {
    let mut used = 0;
    loop {
        let rest = &mut input[used..];
        if decoder.frame.is_none()
            && let Some((head, start)) = head(rest)?
            && head.kind != Kind::Data
            && ((rest.len() - start) as u64) < head.length
        {
            return Ok(Some(used));
        }
        let Some(piece) = decoder.next(rest)? else { return Ok(Some(used)) };
        let data = &rest[piece.data];
        match piece.kind {
            Kind::Data => {
                if wire::send_all(stream, &[data]).is_err() {
                    // Nobody reads it; what they have written may still come.
                    let _ = rustix::net::shutdown(stream, Shutdown::Write);
                }
            }
            Kind::Ping => wire::send_all(client, &[&[0x80 | PONG, data.len() as u8], data])?,
            Kind::Pong => {}
            Kind::Close => {
                let code = &data[..data.len().min(2)];
                wire::send_all(client, &[&[0x80 | CLOSE, code.len() as u8], code])?;
                return Ok(None);
            }
        }
        used += piece.consumed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = Vec::new();
        put_head(0, payload.len(), &mut out);
        out[0] = first;
        out[1] |= 0x80;
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    /// All data of these bytes, given in steps of this size.
    fn data(bytes: &[u8], step: usize) -> Result<Vec<u8>> {
        let mut decoder = Decoder::default();
        let (mut all, mut input) = (Vec::new(), Vec::new());
        for part in bytes.chunks(step) {
            input.extend_from_slice(part);
            while let Some(piece) = decoder.next(&mut input)? {
                if piece.kind == Kind::Data {
                    all.extend_from_slice(&input[piece.data]);
                }
                input.drain(..piece.consumed);
            }
        }
        Ok(all)
    }

    #[test]
    fn frames_of_every_length_are_data_whatever_their_pieces() {
        let long: Vec<u8> = (0..70_000_u32).map(|number| number as u8).collect();
        let mut bytes = frame(0x81, b"Hello");
        bytes.extend(frame(0x02, b"ab"));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x80, b"c"));
        bytes.extend(frame(0x82, b""));
        bytes.extend(frame(0x82, &long[..300]));
        bytes.extend(frame(0x82, &long));
        let all = [b"Helloabc", &long[..300], &long].concat();
        for step in [1, 2, 3, 7, 1000, usize::MAX] {
            assert_eq!(data(&bytes, step).unwrap(), all, "{step}");
        }
    }

    #[test]
    fn what_no_client_may_send_is_refused() {
        for bytes in [
            &frame(0x83, b"x")[..],
            &frame(0xC1, b"x"),
            &[0x81, 1, b'x'],
            &frame(0x09, b"x"),
            &frame(0x89, &[0; 126]),
            &frame(0x8B, b""),
        ] {
            assert!(data(bytes, usize::MAX).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn any_two_bytes_are_a_head_or_refused() {
        for first in 0..=255 {
            for second in 0..=255 {
                let _ = data(&[&[first, second][..], &[0xFF; 20]].concat(), 3);
            }
        }
    }
}

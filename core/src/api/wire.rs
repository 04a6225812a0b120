//! One end of a connection: a socket and the bytes that were read from it but not used yet.
//!
//! Both the server child and the client own one. All calls block; a process serves one connection.

use alloc::{vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, IoSlice},
    net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, socketpair},
};

use super::{
    body::BodyDecoder,
    head::{HEAD_BYTES_MAX, Method, RequestHead, ResponseHead},
};
use crate::{Context, Error, Result, file};

/// How much is read at once; larger reads go straight to their destination.
const BUFFER_BYTES: usize = 16 << 10;

/// Two sockets that are connected with each other.
///
/// # Errors
/// The kernel's, if there are no more files.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .context("open", "socket pair")
}

/// A socket with a read buffer.
#[derive(Debug)]
pub struct Wire {
    fd: OwnedFd,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Wire {
    /// Takes over a connected stream socket.
    pub fn new(fd: OwnedFd) -> Self {
        Wire::with_early(fd, Vec::new())
    }

    /// Takes over a connected stream socket that these bytes were read from already.
    pub fn with_early(fd: OwnedFd, early: Vec<u8>) -> Self {
        Wire { fd, start: 0, end: early.len(), buffer: early }
    }

    /// The socket, for poll and for handing it on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The socket and what was read from it but not used.
    pub fn into_parts(mut self) -> (OwnedFd, Vec<u8>) {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        (self.fd, self.buffer)
    }

    /// What was read but not used.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads the next request's head; `None` if the peer has closed instead.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed or too long head, else the kernel's error.
    pub fn request_head(&mut self) -> Result<Option<RequestHead>> {
        let head = self.head(RequestHead::parse)?;
        Ok(head)
    }

    /// Reads the head of the response to a request of this method.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed head, ECONNRESET if the peer closed without one.
    pub fn response_head(&mut self, to: Method) -> Result<ResponseHead> {
        self.head(|bytes| ResponseHead::parse(bytes, to))?
            .ok_or_else(|| Error::os("read response", "", Errno::CONNRESET))
    }

    fn head<T>(&mut self, parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>>) -> Result<Option<T>> {
        let mut looked = self.start;
        loop {
            // A head can only have become complete by a line break.
            if memchr::memchr(b'\n', &self.buffer[looked..self.end]).is_some()
                && let Some((head, length)) = parse(self.buffered())?
            {
                self.start += length;
                return Ok(Some(head));
            }
            let length = self.buffered().len();
            if length >= HEAD_BYTES_MAX {
                return Err(Error::Invalid("read head: it is longer than 64 KiB".into()));
            }
            if self.fill()? == 0 {
                if length == 0 {
                    return Ok(None);
                }
                return Err(Error::Invalid("read head: the connection ended in the middle of it".into()));
            }
            looked = self.start + length;
        }
    }

    /// Reads a part of a body into `out`: how many bytes, 0 at its end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed or cut body, else the kernel's error.
    pub fn body(&mut self, decoder: &mut BodyDecoder, out: &mut [u8]) -> Result<usize> {
        while !decoder.is_complete() && !out.is_empty() {
            if self.start < self.end {
                let input = &self.buffer[self.start..self.end];
                // Everything consumed is either copied to `out` or framing, so data must not outgrow `out`.
                let input = if decoder.plain_bytes_ahead() > 0 {
                    &input[..input.len().min(out.len())]
                } else {
                    &input[..1]
                };
                let step = decoder.step(input)?;
                let data = &input[step.data];
                out[..data.len()].copy_from_slice(data);
                let length = data.len();
                self.start += step.consumed;
                if length > 0 {
                    return Ok(length);
                }
                continue;
            }
            let plain = usize::try_from(decoder.plain_bytes_ahead()).unwrap_or(usize::MAX);
            if plain >= BUFFER_BYTES && out.len() >= BUFFER_BYTES {
                let limit = plain.min(out.len());
                let length = receive(self.fd.as_fd(), &mut out[..limit])?;
                if length == 0 {
                    decoder.end_of_input()?;
                    return Ok(0);
                }
                decoder.step(&out[..length])?;
                return Ok(length);
            }
            if self.fill()? == 0 {
                decoder.end_of_input()?;
            }
        }
        Ok(0)
    }

    /// Reads more into the buffer; 0 at the end of the stream.
    fn fill(&mut self) -> Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.end < BUFFER_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let length = self.end + BUFFER_BYTES;
            if self.buffer.len() < length {
                if self.buffer.is_empty() {
                    self.buffer = vec![0; length];
                }
                self.buffer.resize(length, 0);
            }
        }
        let length = receive(self.fd.as_fd(), &mut self.buffer[self.end..])?;
        self.end += length;
        Ok(length)
    }

    /// Sends all the parts, with one call if the socket takes them.
    ///
    /// # Errors
    /// EPIPE if the peer is gone (there is no signal).
    pub fn send(&mut self, parts: &[&[u8]]) -> Result<()> {
        send_all(self.fd.as_fd(), parts)
    }

    /// Ends the connection so that the peer can read what was sent to it even if it is still sending: stops
    /// sending, then drops what comes, up to a limit of bytes and time.
    pub fn linger(mut self) {
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Write);
        let wait = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        for _ in 0..256 {
            let mut poll = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
            (self.start, self.end) = (0, 0);
            if !matches!(rustix::event::poll(&mut poll, Some(&wait)), Ok(1)) || self.fill().unwrap_or(0) == 0
            {
                return;
            }
        }
    }
}

/// Sends all the parts over a stream socket; there is no SIGPIPE.
///
/// # Errors
/// The kernel's, EPIPE if the peer is gone.
pub fn send_all(fd: BorrowedFd<'_>, parts: &[&[u8]]) -> Result<()> {
    let mut sent = 0;
    let total: usize = parts.iter().map(|part| part.len()).sum();
    while sent < total {
        let mut slices = Vec::with_capacity(parts.len());
        let mut skip = sent;
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices.push(IoSlice::new(&part[skipped..]));
            }
        }
        let mut control = SendAncillaryBuffer::default();
        match rustix::net::sendmsg(fd, &slices, &mut control, SendFlags::NOSIGNAL) {
            Ok(length) => sent += length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("send to", "the peer"),
        }
    }
    Ok(())
}

fn receive(fd: BorrowedFd<'_>, out: &mut [u8]) -> Result<usize> {
    file::read_part(fd, out).context("read from", "the peer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::head::Framing;

    fn pair() -> (Wire, OwnedFd) {
        let (near, far) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        (Wire::new(near), far)
    }

    fn read_all(wire: &mut Wire, framing: Framing, step: usize) -> Result<Vec<u8>> {
        let mut decoder = BodyDecoder::new(framing);
        let mut out = vec![0; step];
        let mut body = Vec::new();
        loop {
            match wire.body(&mut decoder, &mut out)? {
                0 => return Ok(body),
                length => body.extend_from_slice(&out[..length]),
            }
        }
    }

    #[test]
    fn pipelined_requests_are_read_one_after_the_other_for_any_size_of_reads() {
        let text = b"POST /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
            PUT /b HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nwxyzGET /c HTTP/1.1\r\nHost: d\r\n\r\n";
        for step in 1..20 {
            for split in 0..text.len() {
                let (mut wire, far) = pair();
                send_all(far.as_fd(), &[&text[..split]]).unwrap();
                // The buffer is filled by the first half alone before the second is there.
                if split > 0 {
                    wire.fill().unwrap();
                }
                send_all(far.as_fd(), &[&text[split..]]).unwrap();
                drop(far);
                for (target, body) in [("/a", &b"abcde"[..]), ("/b", b"wxyz"), ("/c", b"")] {
                    let head = wire.request_head().unwrap().expect("a request");
                    assert_eq!(head.target, target);
                    assert_eq!(read_all(&mut wire, head.framing, step).unwrap(), body);
                }
                assert_eq!(wire.request_head(), Ok(None));
            }
        }
    }

    #[test]
    fn large_bodies_go_straight_to_their_destination() {
        let (mut wire, far) = pair();
        let writer = std::thread::spawn(move || {
            let block = vec![7; 1 << 20];
            send_all(
                far.as_fd(),
                &[b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 2097155\r\n\r\n", &block, &block],
            )
            .unwrap();
            send_all(far.as_fd(), &[b"end"]).unwrap();
        });
        let head = wire.request_head().unwrap().unwrap();
        let body = read_all(&mut wire, head.framing, 256 << 10).unwrap();
        writer.join().unwrap();
        assert_eq!(body.len(), 2_097_155);
        assert!(body.ends_with(b"\x07end"));
        assert!(wire.buffered().is_empty());
    }

    #[test]
    fn a_head_without_end_is_refused_at_the_limit() {
        let (mut wire, far) = pair();
        let writer = std::thread::spawn(move || {
            let _ = send_all(far.as_fd(), &[b"GET / HTTP/1.1\r\nX: ", &vec![b'a'; 1 << 20]]);
        });
        assert_eq!(wire.request_head().unwrap_err().status(), 400);
        drop(wire);
        writer.join().unwrap();
    }

    #[test]
    fn a_cut_head_and_a_cut_body_are_errors() {
        let (mut wire, far) = pair();
        send_all(far.as_fd(), &[b"GET / HT"]).unwrap();
        drop(far);
        assert!(wire.request_head().is_err());
        let (mut wire, far) = pair();
        send_all(far.as_fd(), &[b"ab"]).unwrap();
        drop(far);
        assert!(read_all(&mut wire, Framing::Length(3), 10).is_err());
        assert!(wire.send(&[b"x"]).is_err(), "no signal, an error");
    }
}

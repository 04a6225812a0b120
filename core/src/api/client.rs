//! The client's end of a connection: requests out, responses in. Used by the command line and by tests.

use alloc::{format, string::String, vec::Vec};
use core::{fmt::Write, net::SocketAddr};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{BorrowedFd, OwnedFd},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt::set_tcp_nodelay},
};

use super::{
    address::Address,
    body::BodyDecoder,
    exchange::ERROR_FIELD,
    head::{Framing, Method, ResponseHead},
    target::{Plus, percent_decode},
    wire::Wire,
};
use crate::{
    Context, Error, Result,
    net::{family_of, lookup},
};

/// Connects to a server that listens there.
///
/// # Errors
/// The kernel's: ENOENT or ECONNREFUSED if there is none; [`Error::Unsupported`] for an address that a socket can't connect to.
pub fn connect(address: &Address) -> Result<OwnedFd> {
    let open = |family| {
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .context("open", "socket")
    };
    match address {
        Address::Unix(path) => {
            let socket = open(AddressFamily::UNIX)?;
            let address = SocketAddrUnix::new(path.as_str()).context("connect to", path)?;
            rustix::net::connect(&socket, &address).context("connect to", path)?;
            Ok(socket)
        }
        Address::Tcp(to) => {
            let socket = open(family_of(*to))?;
            rustix::net::connect(&socket, to).context("connect to", address)?;
            // Requests are sent whole: nothing is gained by holding them back.
            set_tcp_nodelay(&socket, true).context("set up", "socket")?;
            Ok(socket)
        }
        Address::Named(name, port) => {
            let mut last = None;
            for found in lookup::addresses(name)? {
                match connect(&Address::Tcp(SocketAddr::new(found, *port))) {
                    Ok(socket) => return Ok(socket),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.expect("a name that is found has an address"))
        }
        Address::Inherited(_) | Address::Ssh(_) => {
            Err(Error::Unsupported(format!("connect to {address}: that is no socket's address")))
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    method: Method,
    body: BodyDecoder,
}

impl Client {
    /// Takes over a connected socket.
    pub fn new(fd: OwnedFd) -> Self {
        Client { wire: Wire::new(fd), method: Method::Get, body: BodyDecoder::new(Framing::Length(0)) }
    }

    /// Sends a request with a whole body. `fields` are extra header fields, such as `Content-Type`.
    ///
    /// # Errors
    /// EPIPE if the server is gone.
    pub fn send(&mut self, method: Method, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Result<()> {
        let mut head = self.head(method, target, fields);
        if !body.is_empty() || matches!(method, Method::Post | Method::Put) {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        self.wire.send(&[head.as_bytes(), body])
    }

    /// Sends a request whose body follows by [`Client::send_chunk`].
    ///
    /// # Errors
    /// EPIPE if the server is gone.
    pub fn begin(&mut self, method: Method, target: &str, fields: &[(&str, &str)]) -> Result<()> {
        let mut head = self.head(method, target, fields);
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        self.wire.send(&[head.as_bytes()])
    }

    /// Sends a part of the body; an empty one ends it.
    ///
    /// # Errors
    /// EPIPE if the server is gone; it may have answered all the same.
    pub fn send_chunk(&mut self, data: &[u8]) -> Result<()> {
        self.wire.send(&[format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"])
    }

    fn head(&mut self, method: Method, target: &str, fields: &[(&str, &str)]) -> String {
        self.method = method;
        let mut head = String::with_capacity(256);
        // Writing to a string can't fail.
        let _ = write!(
            head,
            "{} {target} HTTP/1.1\r\nHost: skiff\r\nUser-Agent: skiff/{}\r\nConnection: TE\r\nTE: trailers\r\n",
            method.name(),
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head
    }

    /// Waits for the head of the response.
    ///
    /// # Errors
    /// [`Error::Invalid`] for something that is no response, ECONNRESET if the server is gone.
    pub fn response(&mut self) -> Result<ResponseHead> {
        if self.wire.buffered().is_empty() {
            // Who waits in read is woken when the server takes the request, too, for nothing.
            let mut answer = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
            let _ = poll(&mut answer, None);
        }
        loop {
            let head = self.wire.response_head(self.method)?;
            if head.status >= 200 || head.status == 101 {
                self.body = BodyDecoder::new(head.framing);
                return Ok(head);
            }
        }
    }

    /// Reads a part of the response's body: how many bytes, 0 at its end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed or cut body; [`Error::Corrupt`] with the server's words if they stand at its end.
    pub fn read_body(&mut self, out: &mut [u8]) -> Result<usize> {
        let length = self.wire.body(&mut self.body, out)?;
        if length == 0
            && let Some(text) = self.body.trailer(ERROR_FIELD)
        {
            let text = percent_decode(text.as_bytes(), Plus::Literal)?;
            return Err(Error::Corrupt(String::from_utf8_lossy(&text).into()));
        }
        Ok(length)
    }

    /// Reads the whole of the response's body.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is longer than `limit` bytes.
    pub fn whole_body(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut part = alloc::vec![0; 16 << 10];
        loop {
            match self.read_body(&mut part)? {
                0 => return Ok(body),
                length => body.extend_from_slice(&part[..length]),
            }
            if body.len() > limit {
                return Err(Error::Corrupt(format!("read response: it is larger than {limit} bytes")));
            }
        }
    }

    /// The socket, for poll. Bytes may be buffered: see [`Client::has_buffered`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wire.fd()
    }

    /// Whether a read of the body would not have to wait for the socket.
    pub fn has_buffered(&self) -> bool {
        self.body.is_at_hand(self.wire.buffered())
    }

    /// The socket of a hijacked connection, and the bytes that already came behind the response's head.
    pub fn into_stream(self) -> (OwnedFd, Vec<u8>) {
        self.wire.into_parts()
    }
}

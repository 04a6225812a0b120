//! One request and its response, as a handler sees it: path parameters, query, body in; a whole answer, a stream or a
//! hijacked connection out.
//!
//! A whole answer is one send with its head. A stream's head is sent at once, before the first chunk: clients wait for
//! it. After a hijack the connection belongs to whoever takes it.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use rustix::fd::BorrowedFd;
use skiff_syscalls::signal::{self, SignalSet};

use super::{
    body::BodyDecoder,
    head::{Headers, Method, RequestHead},
    json::Json,
    target::{ApiVersion, Query, Target, percent_encode},
    wire::Wire,
};
use crate::{Error, Result};

/// Largest JSON body that is read.
pub const JSON_BYTES_MAX: usize = 4 << 20;
/// Header fields of every response.
const OWN_FIELDS: &str = concat!(
    "Api-Version: 1.50\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: skiff/",
    env!("CARGO_PKG_VERSION"),
    " (linux)\r\n"
);

/// The trailer field that says why a stream has broken off, percent-encoded.
pub(super) const ERROR_FIELD: &str = "Skiff-Error";
/// Most bytes of an error's text in there.
const ERROR_BYTES_MAX: usize = 4096;

/// What of an archive may be on its way.
const SEND_BUFFER_BYTES: usize = 2 << 20;

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Whole,
    /// A stream that ends with an empty chunk.
    Chunked,
    /// A stream that ends with the connection.
    Open,
    Hijacked,
}

/// One request and its response.
#[derive(Debug)]
pub struct Exchange<'w> {
    wire: &'w mut Wire,
    method: Method,
    headers: Headers,
    body: BodyDecoder,
    awaits_continue: bool,
    keep_alive: bool,
    old: bool,
    /// The client wants to hear of errors in the middle of a stream.
    reads_trailers: bool,
    sent: Sent,
    /// The signals that were blocked before the request came.
    mask: SignalSet,
    /// The version that the client speaks.
    pub version: ApiVersion,
    /// The path behind the version, by segments.
    pub segments: Vec<String>,
    /// What the route's `{}` stood for.
    pub params: Vec<String>,
    /// The query.
    pub query: Query,
}

/// A connection that is no longer HTTP.
#[derive(Debug)]
pub struct Hijacked<'a> {
    /// The socket.
    pub fd: BorrowedFd<'a>,
    /// Bytes that the client sent behind its request.
    pub early: &'a [u8],
}

impl<'w> Exchange<'w> {
    /// Begins with a request's head. A bad target is the second value; it has to be answered, too.
    pub(super) fn new(wire: &'w mut Wire, head: RequestHead, mask: SignalSet) -> (Self, Option<Error>) {
        let (target, error) = match Target::parse(&head.target) {
            Ok(target) => (target, None),
            Err(error) => {
                let none =
                    Target { version: super::API_VERSION, segments: Vec::new(), query: Query::default() };
                (none, Some(error))
            }
        };
        let exchange = Exchange {
            wire,
            method: head.method,
            reads_trailers: head.headers.has_word("te", "trailers"),
            headers: head.headers,
            body: BodyDecoder::new(head.framing),
            awaits_continue: head.expects_continue,
            keep_alive: head.keep_alive,
            old: head.old,
            sent: Sent::Nothing,
            mask,
            version: target.version,
            segments: target.segments,
            params: Vec::new(),
            query: target.query,
        };
        (exchange, error)
    }

    /// The request's method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The request's header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// What the route's first `{}` stood for.
    pub fn name(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    /// The socket, to see by poll whether the client has gone.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wire.fd()
    }

    /// From here on the answer waits for what may never happen: if the daemon is asked to end, so may this process.
    pub fn may_be_ended(&self) {
        signal::set_mask(self.mask);
    }

    /// Reads a part of the body: how many bytes, 0 at its end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed or cut body, else the kernel's error.
    pub fn read_body(&mut self, out: &mut [u8]) -> Result<usize> {
        if self.awaits_continue && !self.body.is_complete() {
            self.awaits_continue = false;
            self.wire.send(&[b"HTTP/1.1 100 Continue\r\n\r\n"])?;
        }
        self.wire.body(&mut self.body, out)
    }

    /// Reads the whole body, which may have up to `JSON_BYTES_MAX` bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is longer, malformed or cut.
    pub fn whole_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut length = 0;
        loop {
            if body.len() == length {
                if length > JSON_BYTES_MAX {
                    return Err(Error::Invalid("read body: it is larger than 4 MiB".into()));
                }
                body.resize((length * 2).max(4096), 0);
            }
            match self.read_body(&mut body[length..])? {
                0 => break,
                read => length += read,
            }
        }
        if length > JSON_BYTES_MAX {
            return Err(Error::Invalid("read body: it is larger than 4 MiB".into()));
        }
        body.truncate(length);
        Ok(body)
    }

    /// Reads the whole body, which is JSON. A form, which any page in a browser can send anywhere, is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another `Content-Type`, and as [`Exchange::whole_body`].
    pub fn json_text(&mut self) -> Result<Vec<u8>> {
        let kind = self.headers.get("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
        if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/json") {
            return Err(Error::Invalid(format!(
                "unsupported Content-Type header ({kind}): must be 'application/json'"
            )));
        }
        self.whole_body()
    }

    /// Reads the whole body as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let body = self.json_text()?;
        if body.is_empty() {
            return Err(Error::Invalid("invalid JSON: got EOF while reading request body".into()));
        }
        crate::json::from_slice(&body).map_err(invalid_json)
    }

    /// Reads the whole body as JSON; none at all is the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is something else.
    pub fn json_or_default<T: serde::de::DeserializeOwned + Default>(&mut self) -> Result<T> {
        let body = self.json_text()?;
        if body.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        crate::json::from_slice(&body).map_err(invalid_json)
    }

    /// The field that says what becomes of the connection, where it goes without saying for nobody.
    fn connection_field(&self) -> &'static str {
        match self {
            Exchange { keep_alive: false, .. } => "Connection: close\r\n",
            Exchange { old: true, .. } => "Connection: keep-alive\r\n",
            _ => "",
        }
    }

    /// Answers with a whole body and extra header fields.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn reply_with(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) -> Result<()> {
        let head = whole_head(status, self.connection_field(), fields, body.len());
        self.sent = Sent::Whole;
        let body = if self.method == Method::Head { &[] } else { body };
        self.wire.send(&[head.as_bytes(), body])
    }

    /// Answers with JSON.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn reply(&mut self, status: u16, body: Json) -> Result<()> {
        self.reply_with(status, &[("Content-Type", "application/json")], &body.into_bytes())
    }

    /// Answers with a status alone.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn reply_empty(&mut self, status: u16) -> Result<()> {
        self.reply_with(status, &[], &[])
    }

    /// Answers with Docker's error body.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn reply_message(&mut self, status: u16, message: &str) -> Result<()> {
        let mut json = Json::new();
        json.open_object().key("message").string(message).close_object().line_break();
        self.reply(status, json)
    }

    /// Begins an answer of unknown length; its head is sent at once. The stream ends when the handler returns.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn stream(&mut self, content_type: &str) -> Result<()> {
        self.stream_with(&[("Content-Type", content_type)])
    }

    /// Begins an answer of unknown length with these header fields.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn stream_with(&mut self, fields: &[(&str, &str)]) -> Result<()> {
        if self.old {
            self.keep_alive = false;
        }
        let mut head = head(200, self.connection_field(), fields);
        if self.old {
            self.sent = Sent::Open;
        } else {
            self.sent = Sent::Chunked;
            head.push_str("Transfer-Encoding: chunked\r\n");
            if self.reads_trailers {
                let _ = write!(head, "Trailer: {ERROR_FIELD}\r\n");
            }
        }
        head.push_str("\r\n");
        if self.method == Method::Head {
            self.sent = Sent::Whole;
        }
        self.wire.send(&[head.as_bytes()])
    }

    /// Lets more of a stream be on its way, for archives: fewer switches between whoever writes it and whoever reads it.
    pub fn widen(&self) {
        // The kernel gives what its limits allow.
        use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
        let _ = set_socket_send_buffer_size_force(self.wire.fd(), SEND_BUFFER_BYTES)
            .or_else(|_| set_socket_send_buffer_size(self.wire.fd(), SEND_BUFFER_BYTES));
    }

    /// Sends the next part of a stream.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn chunk(&mut self, data: &[u8]) -> Result<()> {
        match self.sent {
            Sent::Chunked if !data.is_empty() => {
                self.wire.send(&[format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"])
            }
            Sent::Open => self.wire.send(&[data]),
            _ => Ok(()),
        }
    }

    /// Turns the connection into a raw stream both ways: `101 UPGRADED` if the client asked for it, else `200 OK`.
    /// The connection ends with the request; `fd` may be handed to another process.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn hijack(&mut self, framed: bool) -> Result<Hijacked<'_>> {
        self.hijack_with(framed, &[])
    }

    /// Hijacks with extra header fields.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn hijack_with(&mut self, framed: bool, fields: &[(&str, &str)]) -> Result<Hijacked<'_>> {
        let kind = if framed && self.version >= ApiVersion(42) {
            "application/vnd.docker.multiplexed-stream"
        } else {
            "application/vnd.docker.raw-stream"
        };
        let mut head = String::with_capacity(256);
        if self.headers.get("upgrade").is_some() {
            let _ = write!(
                head,
                "HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            );
        } else {
            let _ = write!(head, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n");
        }
        head.push_str(OWN_FIELDS);
        self.take_over(head, fields)
    }

    /// Turns the connection into another protocol's, which these header fields agree on.
    ///
    /// # Errors
    /// EPIPE if the client is gone.
    pub fn upgrade(&mut self, fields: &[(&str, &str)]) -> Result<Hijacked<'_>> {
        self.take_over("HTTP/1.1 101 Switching Protocols\r\n".into(), fields)
    }

    /// Ends HTTP on the connection with this head and these fields.
    fn take_over(&mut self, mut head: String, fields: &[(&str, &str)]) -> Result<Hijacked<'_>> {
        // What stands in the body belongs to the request: what follows it is the stream's.
        let mut rest = [0; 4096];
        while self.read_body(&mut rest)? > 0 {}
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        self.sent = Sent::Hijacked;
        self.wire.send(&[head.as_bytes()])?;
        Ok(Hijacked { fd: self.wire.fd(), early: self.wire.buffered() })
    }

    /// Ends the exchange with the handler's result; whether the connection can take another request.
    pub(super) fn finish(mut self, result: Result<()>) -> After {
        match (self.sent, result) {
            (Sent::Nothing, result) => {
                let error =
                    result.err().unwrap_or_else(|| Error::Unsupported("no answer to the request".into()));
                let status = error.status();
                let answered = if status == 304 {
                    self.reply_empty(304)
                } else {
                    self.reply_message(status, &format!("{error}"))
                };
                if answered.is_err() {
                    return After::Close;
                }
            }
            // Too late for a status.
            (Sent::Chunked, Err(error)) if self.reads_trailers => {
                let mut end = format!("0\r\n{ERROR_FIELD}: ");
                let text = format!("{error}");
                percent_encode(&text.as_bytes()[..text.len().min(ERROR_BYTES_MAX)], b" /:;,=()", &mut end);
                end.push_str("\r\n\r\n");
                let _ = self.wire.send(&[end.as_bytes()]);
                return After::Close;
            }
            // What is missing at the end tells the client.
            (_, Err(_)) | (Sent::Hijacked | Sent::Open, Ok(())) => return After::Close,
            (Sent::Chunked, Ok(())) => {
                if self.wire.send(&[b"0\r\n\r\n"]).is_err() {
                    return After::Close;
                }
            }
            (Sent::Whole, Ok(())) => {}
        }
        if self.body.is_complete() {
            return if self.keep_alive { After::Next } else { After::Close };
        }
        if !self.awaits_continue && self.keep_alive && self.drain() { After::Next } else { After::Linger }
    }

    /// Reads a small rest of the body away.
    fn drain(&mut self) -> bool {
        let mut rest = [0; 4096];
        for _ in 0..64 {
            match self.wire.body(&mut self.body, &mut rest) {
                Ok(0) => return self.body.is_complete(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    Next,
    /// It ends.
    Close,
    /// It ends, but the client may still be sending.
    Linger,
}

fn invalid_json(reason: serde_json::Error) -> Error {
    Error::Invalid(format!("invalid JSON: {reason}"))
}

/// The status line and header fields, without the end.
fn head(status: u16, connection_field: &str, fields: &[(&str, &str)]) -> String {
    let mut head = String::with_capacity(320);
    // Writing to a string can't fail.
    let _ = write!(head, "HTTP/1.1 {status} {}\r\n", reason(status));
    head.push_str(OWN_FIELDS);
    head.push_str(connection_field);
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head
}

/// What goes before a body of known length.
pub(super) fn whole_head(
    status: u16,
    connection_field: &str,
    fields: &[(&str, &str)],
    body_bytes: usize,
) -> String {
    let mut head = head(status, connection_field, fields);
    if status != 204 && status != 304 {
        let _ = write!(head, "Content-Length: {body_bytes}\r\n");
    }
    head.push_str("\r\n");
    head
}

/// The words that go with a status.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        406 => "Not Acceptable",
        409 => "Conflict",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

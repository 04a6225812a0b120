//! HTTP/1.1 heads: bytes up to the empty line -> request or status line, header fields, and how the body is framed.
//!
//! Pure: no file descriptor. Both ends of a connection use it. Shapes that two readers could understand differently
//! (`Content-Length` together with `Transfer-Encoding`, repeated or signed lengths, folded lines, a transfer coding
//! other than `chunked`) are refused.

use alloc::{format, string::String, vec::Vec};
use core::mem::MaybeUninit;

use crate::{Error, Result};

/// Largest head that is read, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most header fields that a head may have.
pub const HEADERS_MAX: usize = 100;

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    /// Anything else; no route has it.
    Other,
}

impl Method {
    /// The method as it stands in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other => "OTHER",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// Header fields in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names and values, one after the other.
    bytes: Vec<u8>,
    /// For each field: where its name starts, where its value starts, and where that ends.
    fields: Vec<(u32, u32, u32)>,
}

impl Headers {
    fn collect(parsed: &[httparse::Header<'_>]) -> Self {
        let mut headers =
            Headers { bytes: Vec::with_capacity(256), fields: Vec::with_capacity(parsed.len()) };
        for header in parsed {
            // A head is at most HEAD_BYTES_MAX long, so its offsets fit.
            let name = headers.bytes.len() as u32;
            headers.bytes.extend_from_slice(header.name.as_bytes());
            let value = headers.bytes.len() as u32;
            headers.bytes.extend_from_slice(header.value.trim_ascii());
            headers.fields.push((name, value, headers.bytes.len() as u32));
        }
        headers
    }

    /// Every value of the field, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |&&(start, value, _): &&(u32, u32, u32)| {
            self.bytes[start as usize..value as usize].eq_ignore_ascii_case(name.as_bytes())
        };
        let value = |&(_, value, end): &(u32, u32, u32)| &self.bytes[value as usize..end as usize];
        self.fields.iter().filter(named).map(value)
    }

    /// The first value of the field, if it is text.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next().and_then(|value| core::str::from_utf8(value).ok())
    }

    /// Whether the comma-separated field has this word, in any case.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.all(name).any(|value| {
            value.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    }
}

/// How many bytes of body follow a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// This many.
    Length(u64),
    /// Chunks, until the last one.
    Chunked,
    /// All until the peer closes (responses only).
    UntilClose,
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// Path and query as they were sent, percent signs and all.
    pub target: String,
    /// Its header fields.
    pub headers: Headers,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection may be used again afterwards.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether it speaks HTTP/1.0, which has no chunks.
    pub old: bool,
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Its header fields.
    pub headers: Headers,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection may be used again afterwards.
    pub keep_alive: bool,
}

impl RequestHead {
    /// Reads one head from the start of the bytes: the head and its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything that is not one clear HTTP/1.x request.
    ///
    /// # Spec
    /// RFC 9112, sections 3, 5 and 6.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(reason) => return Err(malformed(reason)),
        };
        let minor = request.version.unwrap_or(0);
        let headers = Headers::collect(request.headers);
        if minor == 1 && headers.all("host").count() != 1 {
            return Err(invalid("parse request: it needs exactly one Host header"));
        }
        let target = request.path.unwrap_or("");
        if !target.starts_with('/') {
            return Err(invalid("parse request: the target must be a path that starts with /"));
        }
        let expects_continue = match headers.get("expect") {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("100-continue") => minor == 1,
            Some(_) => return Err(invalid("parse request: the only Expect that is known is 100-continue")),
        };
        let head = RequestHead {
            method: Method::parse(request.method.unwrap_or("")),
            target: target.into(),
            framing: framing(&headers, minor)?.unwrap_or(Framing::Length(0)),
            keep_alive: keep_alive(&headers, minor),
            expects_continue,
            old: minor == 0,
            headers,
        };
        Ok(Some((head, length)))
    }
}

impl ResponseHead {
    /// Reads one head from the start of the bytes: the head and its length, or `None` if more bytes are needed.
    /// `to` is the method of the request that it answers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything that is not one clear HTTP/1.x response.
    pub fn parse(bytes: &[u8], to: Method) -> Result<Option<(Self, usize)>> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(reason) => return Err(malformed(reason)),
        };
        let minor = response.version.unwrap_or(0);
        let status = response.code.unwrap_or(0);
        let headers = Headers::collect(response.headers);
        let bodiless = to == Method::Head || status < 200 || status == 204 || status == 304;
        let stated = framing(&headers, minor)?;
        let framing = if bodiless { Framing::Length(0) } else { stated.unwrap_or(Framing::UntilClose) };
        let keep_alive = keep_alive(&headers, minor) && framing != Framing::UntilClose;
        Ok(Some((ResponseHead { status, headers, framing, keep_alive }, length)))
    }
}

/// What the header fields say of the body; `None` if they say nothing.
fn framing(headers: &Headers, minor: u8) -> Result<Option<Framing>> {
    let mut codings = headers.all("transfer-encoding");
    let mut lengths = headers.all("content-length");
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(invalid("parse head: Content-Length and Transfer-Encoding exclude each other"))
        }
        (Some(coding), None) => {
            if minor == 0 || codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(invalid("parse head: the only Transfer-Encoding that is known is chunked"));
            }
            Ok(Some(Framing::Chunked))
        }
        (None, Some(length)) => {
            if lengths.next().is_some() {
                return Err(invalid("parse head: more than one Content-Length"));
            }
            // 18 digits can't overflow, and nobody sends an exabyte.
            if length.is_empty() || length.len() > 18 || !length.iter().all(u8::is_ascii_digit) {
                return Err(invalid("parse head: Content-Length must be a decimal number"));
            }
            Ok(Some(Framing::Length(length.iter().fold(0, |sum, b| sum * 10 + u64::from(b - b'0')))))
        }
    }
}

fn keep_alive(headers: &Headers, minor: u8) -> bool {
    if minor == 0 {
        headers.has_word("connection", "keep-alive")
    } else {
        !headers.has_word("connection", "close")
    }
}

fn malformed(reason: httparse::Error) -> Error {
    Error::Invalid(format!("parse head: {reason}"))
}

fn invalid(message: &str) -> Error {
    Error::Invalid(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<RequestHead> {
        RequestHead::parse(text.as_bytes()).map(|head| head.expect("a whole head").0)
    }

    #[test]
    fn a_request_with_a_length_is_read() {
        let head =
            request("POST /v1.41/x?a=b HTTP/1.1\r\nHost: d\r\ncontent-LENGTH: 12\r\n\r\nrest").unwrap();
        assert_eq!(head.method, Method::Post);
        assert_eq!(head.target, "/v1.41/x?a=b");
        assert_eq!(head.framing, Framing::Length(12));
        assert!(head.keep_alive);
        assert_eq!(head.headers.get("HOST"), Some("d"));
    }

    #[test]
    fn a_head_without_its_end_needs_more_bytes() {
        let text = b"GET / HTTP/1.1\r\nHost: d\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(RequestHead::parse(&text[..end]), Ok(None), "{end}");
        }
        assert!(RequestHead::parse(text).unwrap().is_some());
    }

    #[test]
    fn smuggling_shapes_are_refused() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: ",
            "Content-Length: 1 2",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding : chunked",
            "X: a\r\n b",
            "X\r\nY: b",
            "Expect: 200-ok",
            "Host: second",
            "X: a\0b",
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: d\r\n{fields}\r\n\r\n");
            let error = request(&text).expect_err(fields);
            assert_eq!(error.status(), 400, "{fields}");
        }
        assert!(request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(request("GET / HTTP/1.1\r\n\r\n").is_err(), "no host");
        assert!(request("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n").is_err(), "absolute target");
        assert!(request("GET / HTTP/2.0\r\nHost: x\r\n\r\n").is_err(), "version");
    }

    #[test]
    fn more_headers_than_the_limit_are_refused() {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: d\r\n");
        for n in 0..HEADERS_MAX {
            text.push_str(&format!("X{n}: 1\r\n"));
        }
        text.push_str("\r\n");
        assert!(request(&text).is_err());
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        assert!(!request("GET / HTTP/1.1\r\nHost: d\r\nConnection: x, Close\r\n\r\n").unwrap().keep_alive);
        assert!(!request("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let parse = |text: &str, to| ResponseHead::parse(text.as_bytes(), to).unwrap().unwrap().0;
        let head = parse("HTTP/1.1 200 OK\r\n\r\n", Method::Get);
        assert_eq!((head.framing, head.keep_alive), (Framing::UntilClose, false));
        let head = parse("HTTP/1.1 204 No Content\r\n\r\n", Method::Get);
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(0), true));
        let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Method::Head);
        assert_eq!(head.framing, Framing::Length(0));
    }
}

//! The way to the engine: requests of the Docker Engine API in, replies, streams and raw connections out.
//!
//! With `-H ADDRESS` a connection goes to a daemon. Without, each connection is a child of this process that serves the API
//! on a socketpair; it ends when the connection is closed. One connection is kept for the next request where the reply
//! allows it.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use core::cell::RefCell;

use rustix::fd::{BorrowedFd, OwnedFd};
use serde_json::Value;
use skiff_core::{
    api::{
        address::Address,
        client::{self, Client as Connection},
        head::{Headers, Method},
        local::{self, Expect},
        pick,
        target::percent_encode,
        tls,
    },
    file,
};

use crate::{environment::Environment, failure::Failure, host::Host, output, ssh};

/// Most bytes of a reply that is read whole.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// A client of one engine.
pub struct Client {
    host: Host,
    /// Of programs that are started to get there.
    environment: Environment,
    /// Requests and statuses go to stderr.
    debug: bool,
    idle: RefCell<Option<Connection>>,
}

/// What goes up with a request.
pub enum Upload<'a> {
    /// Nothing.
    Nothing,
    /// A JSON body.
    Json(&'a Value),
    /// A JSON body that is text already.
    Text(&'a str),
    /// Bytes of unknown length, in chunks, with their `Content-Type`.
    Stream(&'a str, BorrowedFd<'a>),
    /// Bytes of unknown length that are pushed, with their `Content-Type`.
    Push(&'a str, &'a mut Pusher<'a>),
}

/// Hands all bytes of a body to what it is called with.
pub type Pusher<'a> = dyn FnMut(&mut dyn FnMut(&[u8]) -> skiff_core::Result<()>) -> Result<(), Failure> + 'a;

/// A reply whose head was read; the body comes in parts.
pub struct Reply {
    /// The status code, below 400.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    connection: Connection,
    keep_alive: bool,
    /// Bytes of the body that [`Reply::line`] has read ahead; `at` is the first that is not used.
    ahead: Vec<u8>,
    at: usize,
}

/// A connection that carries raw bytes both ways.
pub struct Hijacked {
    /// The socket; shutting down its write side is the end of input.
    pub socket: OwnedFd,
    /// What came behind the head already.
    pub first: Vec<u8>,
    /// The header fields.
    pub headers: Headers,
}

impl Client {
    /// A client of the engine there; nothing is connected yet.
    pub fn new(host: Host, environment: Environment, debug: bool) -> Self {
        Client { host, environment, debug, idle: RefCell::new(None) }
    }

    /// A connection of one's own.
    pub fn dial(&self) -> Result<OwnedFd, Failure> {
        Ok(self.connect(Expect::Anything)?.into_stream().0)
    }

    /// Begins the connection ahead of the first request: an engine that is a child gets ready while its request is put
    /// together. What is wrong is said when the request is made.
    pub fn begin(&self, expect: Expect) {
        *self.idle.borrow_mut() = self.connect(expect).ok();
    }

    /// Whether the engine is a child of this process.
    pub fn is_local(&self) -> bool {
        matches!(self.host, Host::Local(_))
    }

    /// The JSON that a GET gives.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.bytes(Method::Get, path, Upload::Nothing)?)
    }

    /// Hands the members with these keys of each object in the list that a GET gives to `sink`.
    pub fn each(&self, path: &str, keys: &[&str], sink: pick::Sink<'_>) -> Result<(), Failure> {
        let json = self.bytes(Method::Get, path, Upload::Nothing)?;
        pick::each(&json, keys, sink).map_err(|error| unreadable(&error))
    }

    /// The JSON that a POST gives; null if it gives none.
    pub fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        parse(&self.bytes(Method::Post, path, body.map_or(Upload::Nothing, Upload::Json))?)
    }

    /// The JSON that a POST of JSON text gives.
    pub fn post_text(&self, path: &str, body: &str) -> Result<Value, Failure> {
        parse(&self.bytes(Method::Post, path, Upload::Text(body))?)
    }

    /// The JSON that a DELETE gives; null if it gives none.
    pub fn delete(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.bytes(Method::Delete, path, Upload::Nothing)?)
    }

    /// A request's reply, whole.
    pub fn bytes(&self, method: Method, path: &str, upload: Upload<'_>) -> Result<Vec<u8>, Failure> {
        let mut reply = self.request(method, path, upload)?;
        let body = reply.connection.whole_body(REPLY_BYTES_MAX)?;
        self.keep(reply);
        Ok(body)
    }

    /// Sends a request and reads the reply's head. A status of 400 or more is a failure with the engine's message.
    pub fn request(&self, method: Method, path: &str, upload: Upload<'_>) -> Result<Reply, Failure> {
        let mut connection = self.connection()?;
        match upload {
            Upload::Nothing => connection.send(method, path, &[], b"")?,
            Upload::Json(value) => send_json(&mut connection, method, path, &[], &value.to_string())?,
            Upload::Text(text) => send_json(&mut connection, method, path, &[], text)?,
            Upload::Stream(kind, source) => {
                connection.begin(method, path, &[("Content-Type", kind)])?;
                send_all(&mut connection, source)?;
            }
            Upload::Push(kind, pusher) => {
                connection.begin(method, path, &[("Content-Type", kind)])?;
                push_all(&mut connection, pusher)?;
            }
        }
        self.answer(connection, method, path)
    }

    /// Sends a request, with JSON text if there is some, that turns its connection into a raw one.
    pub fn hijack(&self, path: &str, body: Option<&str>) -> Result<Hijacked, Failure> {
        let upgrade = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
        let mut connection = self.connection()?;
        match body {
            Some(text) => send_json(&mut connection, Method::Post, path, &upgrade, text)?,
            None => connection.send(Method::Post, path, &upgrade, b"")?,
        }
        let reply = self.answer(connection, Method::Post, path)?;
        if reply.status != 101 && reply.status != 200 {
            return Err(Failure::new(format!("{path}: the engine answered {} instead of 101", reply.status)));
        }
        let (socket, first) = reply.connection.into_stream();
        Ok(Hijacked { socket, first, headers: reply.headers })
    }

    fn answer(&self, mut connection: Connection, method: Method, path: &str) -> Result<Reply, Failure> {
        let head = connection.response()?;
        if self.debug {
            output::note(&format!("{} {path}: {}\n", method.name(), head.status));
        }
        let mut reply = Reply {
            status: head.status,
            headers: head.headers,
            connection,
            keep_alive: head.keep_alive,
            ahead: Vec::new(),
            at: 0,
        };
        if reply.status < 400 {
            return Ok(reply);
        }
        let body = reply.connection.whole_body(REPLY_BYTES_MAX)?;
        let failure = Failure { message: engine_message(reply.status, &body), exit: 1, status: reply.status };
        self.keep(reply);
        Err(failure)
    }

    /// Keeps the connection of a reply that was read whole.
    fn keep(&self, reply: Reply) {
        if reply.keep_alive {
            *self.idle.borrow_mut() = Some(reply.connection);
        }
    }

    /// The connection that waits for a request, or a new one.
    fn connection(&self) -> Result<Connection, Failure> {
        let idle = self.idle.borrow_mut().take();
        idle.map_or_else(|| self.connect(Expect::Anything), Ok)
    }

    fn connect(&self, expect: Expect) -> Result<Connection, Failure> {
        match &self.host {
            Host::At(Address::Ssh(to), _) => Ok(Connection::new(ssh::connect(to, &self.environment)?)),
            Host::At(address, certificates) => {
                let socket = client::connect(address).map_err(|error| match error {
                    // The machine itself was not found.
                    skiff_core::Error::NotFound(_) => error.into(),
                    error => {
                        Failure::from(error).hint("`skiff serve` starts a daemon; without -H none is needed")
                    }
                })?;
                let socket = match (address.host(), certificates) {
                    (Some(host), Some(certificates)) => {
                        let complain = |error: &skiff_core::Error| output::complain(&format!("{error}"));
                        tls::connect(socket, &host, certificates, &complain)?
                    }
                    _ => socket,
                };
                Ok(Connection::new(socket))
            }
            Host::Unknown(why) => Err(why.clone()),
            Host::Local(settings) => Ok(Connection::new(local::spawn(settings, expect)?)),
        }
    }
}

fn send_json(
    connection: &mut Connection,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
    json: &str,
) -> Result<(), Failure> {
    let mut all = vec![("Content-Type", "application/json")];
    all.extend_from_slice(fields);
    Ok(connection.send(method, path, &all, json.as_bytes())?)
}

/// Sends what the source gives. An engine that answers before it has everything is not an error here.
fn send_all(connection: &mut Connection, source: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut part = vec![0; 256 << 10];
    loop {
        let length = file::read_part(source, &mut part)
            .map_err(|errno| Failure::io("read what is to be sent", "", errno))?;
        if connection.send_chunk(&part[..length]).is_err() || length == 0 {
            return Ok(());
        }
    }
}

/// Sends what is pushed. An engine that answers before it has everything is not an error here.
fn push_all(connection: &mut Connection, pusher: &mut Pusher<'_>) -> Result<(), Failure> {
    let mut refused = false;
    let pushed = pusher(&mut |part| {
        // An empty chunk would be the last one.
        if part.is_empty() {
            return Ok(());
        }
        connection.send_chunk(part).inspect_err(|_| refused = true)
    });
    if refused {
        return Ok(());
    }
    pushed?;
    let _ = connection.send_chunk(&[]);
    Ok(())
}

impl Reply {
    /// The next bytes of the body; 0 at its end.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        if self.at < self.ahead.len() {
            let length = out.len().min(self.ahead.len() - self.at);
            out[..length].copy_from_slice(&self.ahead[self.at..self.at + length]);
            self.at += length;
            return Ok(length);
        }
        Ok(self.connection.read_body(out)?)
    }

    /// The next line of the body without its end; `None` at the end of the body.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut searched = self.at;
        loop {
            if let Some(length) = self.ahead[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.ahead[self.at..searched + length].to_vec();
                self.at = searched + length + 1;
                return Ok(Some(line));
            }
            searched = self.ahead.len();
            if self.at > 0 {
                self.ahead.drain(..self.at);
                searched -= self.at;
                self.at = 0;
            }
            self.ahead.resize(searched + (16 << 10), 0);
            let length = self.connection.read_body(&mut self.ahead[searched..])?;
            self.ahead.truncate(searched + length);
            if length == 0 {
                let last = core::mem::take(&mut self.ahead);
                return Ok((!last.is_empty()).then_some(last));
            }
        }
    }

    /// The next JSON value of a stream that has one a line; `None` at its end.
    pub fn object(&mut self) -> Result<Option<Value>, Failure> {
        while let Some(line) = self.line()? {
            if !line.trim_ascii().is_empty() {
                return parse(&line).map(Some);
            }
        }
        Ok(None)
    }

    /// The socket below, to wait on.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }

    /// Whether there is something to read without waiting for the socket.
    pub fn has_buffered(&self) -> bool {
        self.at < self.ahead.len() || self.connection.has_buffered()
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    skiff_core::json::from_slice(bytes).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(format!("read the engine's answer: {error}"))
}

/// The message of an error body, `{"message": "..."}`.
fn engine_message(status: u16, body: &[u8]) -> String {
    match skiff_core::json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) if fields.get("message").is_some_and(Value::is_string) => {
            fields["message"].as_str().unwrap_or_default().into()
        }
        _ => format!("the engine answered with status {status}"),
    }
}

/// A path from its parts, percent-encoded; `/` within a part stays, as in names of images.
pub fn path(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        percent_encode(part.as_bytes(), b"/:", &mut path);
    }
    path
}

/// Appends `key=value` to a path's query.
pub fn query(path: &mut String, key: &str, value: &str) {
    path.push(if path.contains('?') { '&' } else { '?' });
    path.push_str(key);
    path.push('=');
    percent_encode(value.as_bytes(), b"", path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        let mut target = path(&["images", "localhost:5000/a b", "json"]);
        assert_eq!(target, "/images/localhost:5000/a%20b/json");
        query(&mut target, "filters", "{\"a\":1}");
        query(&mut target, "all", "1");
        assert_eq!(target, "/images/localhost:5000/a%20b/json?filters=%7B%22a%22%3A1%7D&all=1");
    }

    #[test]
    fn an_error_body_gives_its_message() {
        assert_eq!(engine_message(404, br#"{"message":"no such container: x"}"#), "no such container: x");
        assert_eq!(engine_message(502, b"<html>"), "the engine answered with status 502");
    }
}

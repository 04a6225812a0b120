//! Where connections wait in the daemon itself, as long as they want nothing of it but to hear whether it is there: a ping
//! is answered right here. Whatever else comes is for a child, which gets the connection and what was read of it.
//!
//! No call blocks, and what is held for a guest is a descriptor.

use alloc::vec::Vec;

use memchr::{memchr, memmem};
use rustix::{
    fd::{AsRawFd, OwnedFd},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::api::{
    body::BodyDecoder,
    exchange::whole_head,
    head::{Method, RequestHead},
    system::{PING_BODY, PING_FIELDS},
    target::Target,
};

/// How many may wait here, for the daemon's descriptors are few. Those above have a child from the start.
const GUESTS_MAX: usize = 256;
/// How much is read of a request before a child reads on.
const READ_BYTES: usize = 4096;

/// Connections without a child.
#[derive(Debug)]
pub(super) struct Lobby {
    guests: Vec<Guest>,
    /// The answer to a ping, with its body.
    answer: Vec<u8>,
}

/// A connection, and which of the daemon's listeners it came to.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) connection: OwnedFd,
    pub(super) listener: usize,
}

/// What has come from a guest.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing that is not answered.
    Nothing,
    /// The end of the connection.
    End,
    /// The beginning of a request that is a child's.
    Request(Vec<u8>),
}

impl Lobby {
    pub(super) fn new() -> Self {
        let mut answer = whole_head(200, "", PING_FIELDS, PING_BODY.len()).into_bytes();
        answer.extend_from_slice(PING_BODY);
        Lobby { guests: Vec::new(), answer }
    }

    /// Whether nobody else finds room.
    pub(super) fn is_full(&self) -> bool {
        self.guests.len() >= GUESTS_MAX
    }

    pub(super) fn let_in(&mut self, guest: Guest) {
        self.guests.push(guest);
    }

    /// Which one has this descriptor.
    pub(super) fn find(&self, descriptor: i32) -> Option<usize> {
        self.guests.iter().position(|guest| guest.connection.as_raw_fd() == descriptor)
    }

    /// Reads what has come from the guest at `at`, and answers it if it is a ping.
    pub(super) fn hear(&self, at: usize) -> Heard {
        let connection = &self.guests[at].connection;
        let mut buffer = [0; READ_BYTES];
        let read = match recv(connection, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Heard::End,
            Ok((_, length)) => &buffer[..length],
            Err(Errno::AGAIN | Errno::INTR) => return Heard::Nothing,
            Err(_) => return Heard::End,
        };
        let answer = match pinged(read) {
            Some(Method::Head) => &self.answer[..self.answer.len() - PING_BODY.len()],
            Some(_) => &self.answer[..],
            None => return Heard::Request(read.to_vec()),
        };
        // Who has so much unread that this finds no room does not listen.
        match send(connection, answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) if sent == answer.len() => Heard::Nothing,
            _ => Heard::End,
        }
    }

    pub(super) fn let_out(&mut self, at: usize) -> Guest {
        self.guests.swap_remove(at)
    }
}

/// The method of the ping that these bytes are, if they are one, whole and alone, that leaves the connection open.
fn pinged(bytes: &[u8]) -> Option<Method> {
    // Little of what others ask for is looked at closely.
    memmem::find(&bytes[..memchr(b'\n', bytes)?], b"/_ping")?;
    let (head, length) = RequestHead::parse(bytes).ok()??;
    let kept = head.keep_alive && !head.old && !head.expects_continue;
    let alone = length == bytes.len() && BodyDecoder::new(head.framing).is_complete();
    let asked = matches!(head.method, Method::Get | Method::Head);
    let target = Target::parse(&head.target).ok()?;
    (kept && alone && asked && target.segments == ["_ping"]).then_some(head.method)
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use rustix::fd::AsFd;

    use super::*;
    use crate::api::wire::{pair, send_all};

    #[test]
    fn only_a_whole_ping_on_a_kept_connection_is_one() {
        let ping = |line: &str, fields: &str| pinged(format!("{line}\r\nHost: d\r\n{fields}\r\n").as_bytes());
        assert_eq!(ping("GET /_ping HTTP/1.1", ""), Some(Method::Get));
        assert_eq!(
            ping("HEAD /v1.41/_ping?x=y HTTP/1.1", "A: b\r\nContent-Length: 0\r\n"),
            Some(Method::Head)
        );
        for (line, fields) in [
            ("POST /_ping HTTP/1.1", ""),
            ("GET /v1.99/_ping HTTP/1.1", ""),
            ("GET /_pings HTTP/1.1", ""),
            ("GET /_ping/x HTTP/1.1", ""),
            ("GET /version HTTP/1.1", "Referer: /_ping\r\n"),
            ("GET /x?/_ping HTTP/1.1", ""),
            ("GET /_ping HTTP/1.0", "Connection: keep-alive\r\n"),
            ("GET /_ping HTTP/1.1", "Connection: close\r\n"),
            ("GET /_ping HTTP/1.1", "Expect: 100-continue\r\n"),
            ("GET /_ping HTTP/1.1", "Content-Length: 1\r\n"),
            ("GET /_ping HTTP/1.1", "Transfer-Encoding: chunked\r\n"),
            ("GET /_ping HTTP/1.1", "Host: e\r\n"),
            ("GET /_ping HTTP/1.1", "\r\nGET /"),
        ] {
            assert_eq!(ping(line, fields), None, "{line} {fields}");
        }
        let whole = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
        (0..whole.len()).for_each(|end| assert_eq!(pinged(&whole[..end]), None, "{end}"));
    }

    #[test]
    fn a_guest_is_answered_until_it_wants_more() {
        let (near, far) = pair().unwrap();
        let mut lobby = Lobby::new();
        lobby.let_in(Guest { connection: far, listener: 7 });
        assert!(matches!(lobby.hear(0), Heard::Nothing), "nothing has come");
        let mut buffer = [0; 1024];
        for (method, body) in [("GET", "\r\n\r\nOK"), ("HEAD", "no-cache\r\nContent-Length: 2\r\n\r\n")] {
            let request = format!("{method} /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
            send_all(near.as_fd(), &[request.as_bytes()]).unwrap();
            assert!(matches!(lobby.hear(0), Heard::Nothing));
            let length = rustix::io::read(&near, &mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..length]);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(body), "{answer}");
        }
        send_all(near.as_fd(), &[b"GET /ver"]).unwrap();
        assert!(matches!(lobby.hear(0), Heard::Request(read) if read == b"GET /ver"));
        assert_eq!(lobby.let_out(0).listener, 7);
    }

    #[test]
    fn who_never_reads_is_let_go() {
        let (near, far) = pair().unwrap();
        let mut lobby = Lobby::new();
        lobby.let_in(Guest { connection: far, listener: 0 });
        let answered = (0..100_000).take_while(|_| {
            send_all(near.as_fd(), &[b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"]).unwrap();
            matches!(lobby.hear(0), Heard::Nothing)
        });
        assert!((10..100_000).contains(&answered.count()));
        drop(near);
        assert!(matches!(lobby.hear(0), Heard::End));
    }
}

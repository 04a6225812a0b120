//! The life of one connection in a server child: request after request, each answered by the handler, until the
//! client leaves, asks to close, or takes the connection over.

use alloc::format;

use skiff_syscalls::signal;

use super::{
    exchange::{After, Exchange},
    server::ENDING,
    wire::Wire,
};
use crate::{Error, Result, api::json::Json};

/// Serves a connection with a handler. SIGINT and SIGTERM end the process between two requests; a request that is at work
/// is finished first, unless its answer has no end of its own.
pub fn converse(mut wire: Wire, handle: &mut dyn FnMut(&mut Exchange<'_>) -> Result<()>) {
    loop {
        let head = match wire.request_head() {
            Ok(Some(head)) => head,
            Ok(None) | Err(Error::Os { .. }) => return,
            Err(error) => {
                // Where the next request would begin is not known.
                let mut json = Json::new();
                json.open_object().key("message").string(&format!("{error}")).close_object().line_break();
                let body = json.into_bytes();
                let head = format!(
                    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                if wire.send(&[head.as_bytes(), &body]).is_ok() {
                    wire.linger();
                }
                return;
            }
        };
        let mask = signal::block(ENDING);
        let (mut exchange, error) = Exchange::new(&mut wire, head, mask);
        let result = match error {
            Some(error) => Err(error),
            None => handle(&mut exchange),
        };
        let after = exchange.finish(result);
        signal::set_mask(mask);
        match after {
            After::Next => {}
            After::Close => return,
            After::Linger => return wire.linger(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec, vec::Vec};

    use rustix::fd::{AsFd, OwnedFd};
    use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};

    use super::*;
    use crate::api::{client::Client, exchange::ERROR_FIELD, head::Method, wire::send_all};

    /// Answers as the path's first segment says.
    fn handler(exchange: &mut Exchange<'_>) -> Result<()> {
        match exchange.segments.first().map(String::as_str) {
            Some("echo") => {
                let body = exchange.whole_body()?;
                exchange.reply_with(200, &[("Content-Type", "text/plain")], &body)
            }
            Some("stream") => {
                exchange.stream("text/plain")?;
                for part in ["one ", "", "two"] {
                    exchange.chunk(part.as_bytes())?;
                }
                Ok(())
            }
            Some("broken") => {
                exchange.stream("text/plain")?;
                exchange.chunk(b"half")?;
                Err(Error::Corrupt("lost: 100%".into()).hint("\u{e9}"))
            }
            Some("hijack") => {
                let hijacked = exchange.hijack(true)?;
                let early = hijacked.early.to_vec();
                send_all(hijacked.fd, &[b"raw:", &early])
            }
            Some("same") => Err(Error::Unchanged),
            Some("busy") => Err(Error::Conflict("a \"b\" is busy".into())),
            _ => Err(Error::NotFound("page not found".into())),
        }
    }

    fn served() -> OwnedFd {
        let pair =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (near, far) = pair.unwrap();
        std::thread::spawn(move || converse(Wire::new(far), &mut handler));
        near
    }

    fn read_to_end(fd: &OwnedFd) -> Vec<u8> {
        let mut all = Vec::new();
        let mut part = [0; 4096];
        loop {
            match rustix::io::read(fd, &mut part).unwrap() {
                0 => return all,
                length => all.extend_from_slice(&part[..length]),
            }
        }
    }

    /// Sends raw bytes, says that nothing follows, and reads all.
    fn raw(text: &str) -> String {
        let near = served();
        send_all(near.as_fd(), &[text.as_bytes()]).unwrap();
        rustix::net::shutdown(&near, Shutdown::Write).unwrap();
        String::from_utf8(read_to_end(&near)).unwrap()
    }

    fn client() -> Client {
        Client::new(served())
    }

    #[test]
    fn a_connection_takes_many_requests() {
        let mut client = client();
        for _ in 0..3 {
            client.send(Method::Post, "/v1.41/echo", &[], b"hello").unwrap();
            let head = client.response().unwrap();
            assert_eq!((head.status, head.keep_alive), (200, true));
            assert_eq!(head.headers.get("api-version"), Some("1.50"));
            assert_eq!(client.whole_body(100).unwrap(), b"hello");
            client.send(Method::Get, "/stream", &[], b"").unwrap();
            assert_eq!(client.response().unwrap().status, 200);
            assert_eq!(client.whole_body(100).unwrap(), b"one two");
            client.send(Method::Head, "/echo", &[], b"").unwrap();
            assert_eq!(client.response().unwrap().status, 200);
            client.begin(Method::Put, "/echo", &[]).unwrap();
            client.send_chunk(b"a").unwrap();
            client.send_chunk(b"bc").unwrap();
            client.send_chunk(b"").unwrap();
            assert_eq!(client.response().unwrap().status, 200);
            assert_eq!(client.whole_body(100).unwrap(), b"abc");
            client.send(Method::Post, "/nowhere", &[], b"body that nobody reads").unwrap();
            assert_eq!(client.response().unwrap().status, 404);
            assert_eq!(client.whole_body(100).unwrap(), b"{\"message\":\"page not found\"}\n");
        }
    }

    #[test]
    fn errors_have_dockers_body_and_status() {
        let mut client = client();
        client.send(Method::Post, "/busy", &[], b"").unwrap();
        assert_eq!(client.response().unwrap().status, 409);
        assert_eq!(client.whole_body(100).unwrap(), b"{\"message\":\"a \\\"b\\\" is busy\"}\n");
        client.send(Method::Post, "/same", &[], b"").unwrap();
        assert_eq!(client.response().unwrap().status, 304);
        client.send(Method::Get, "/v1.99/same", &[], b"").unwrap();
        assert_eq!(client.response().unwrap().status, 400);
        assert!(client.whole_body(200).unwrap().windows(7).any(|w| w == b"too new"));
    }

    #[test]
    fn a_malformed_request_is_answered_with_400_and_the_end() {
        let answer = raw(
            "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        let answer = raw("POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let answer = raw("nonsense\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }

    #[test]
    fn a_client_that_expects_100_gets_it_only_if_the_body_is_read() {
        let head = "POST /echo HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
        let answer = raw(&format!("{head}\r\nok"));
        assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
        let answer = raw(&format!("{}\r\n", head.replace("echo", "busy")));
        assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    }

    #[test]
    fn an_old_client_gets_a_stream_that_ends_with_the_connection() {
        let answer = raw("GET /stream HTTP/1.0\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\none two"), "{answer}");
        assert!(answer.contains("Connection: close\r\n") && !answer.contains("chunked"));
    }

    #[test]
    fn a_stream_that_breaks_has_no_last_chunk_or_says_why() {
        let answer = raw("GET /broken HTTP/1.1\r\nHost: d\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");
        let mut client = client();
        client.send(Method::Get, "/broken", &[], b"").unwrap();
        let head = client.response().unwrap();
        assert_eq!((head.status, head.headers.get("trailer")), (200, Some(ERROR_FIELD)));
        assert_eq!(client.whole_body(100), Err(Error::Corrupt("lost: 100%\nhint: \u{e9}".into())));
    }

    #[test]
    fn a_body_larger_than_4_mib_is_refused_where_json_is_read() {
        let mut client = client();
        client.send(Method::Post, "/echo", &[], &vec![b'x'; 4 << 20]).unwrap();
        assert_eq!(client.response().unwrap().status, 200);
        assert_eq!(client.whole_body(5 << 20).unwrap().len(), 4 << 20);
        client.send(Method::Post, "/echo", &[], &vec![b'x'; (4 << 20) + 1]).unwrap();
        assert_eq!(client.response().unwrap().status, 400);
    }

    #[test]
    fn a_hijacked_connection_keeps_early_bytes_both_ways() {
        let mut client = client();
        let fields = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
        let wire = {
            // The early bytes arrive in one piece with the head.
            client.send(Method::Post, "/v1.42/hijack", &fields, b"").unwrap();
            let head = client.response().unwrap();
            assert_eq!(head.status, 101);
            assert_eq!(head.headers.get("content-type"), Some("application/vnd.docker.multiplexed-stream"));
            client.into_stream()
        };
        let mut all = wire.1;
        all.extend(read_to_end(&wire.0));
        assert_eq!(all, b"raw:");
        let answer = raw("POST /v1.41/hijack HTTP/1.1\r\nHost: d\r\n\r\nearly");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"));
        assert!(answer.ends_with("\r\n\r\nraw:early"), "{answer}");
    }

    #[test]
    fn any_split_of_the_input_gives_the_same_answers() {
        let text = "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
            GET /stream HTTP/1.1\r\nHost: d\r\n\r\nPOST /busy HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nxyz\
            HEAD /echo HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
        let whole = raw(text);
        assert_eq!(whole.matches("HTTP/1.1 ").count(), 4);
        for split in (1..text.len()).step_by(3) {
            let near = served();
            send_all(near.as_fd(), &[&text.as_bytes()[..split]]).unwrap();
            std::thread::yield_now();
            send_all(near.as_fd(), &[&text.as_bytes()[split..]]).unwrap();
            assert_eq!(String::from_utf8(read_to_end(&near)).unwrap(), whole, "{split}");
        }
    }
}

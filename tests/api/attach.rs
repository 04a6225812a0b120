//! `POST /containers/{}/attach` with the log in front, and the same over a websocket.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use crate::daemon::Daemon;

/// An attached client.
struct Attached {
    stream: UnixStream,
    seen: Vec<u8>,
}

impl Attached {
    fn new(daemon: &Daemon, query: &str) -> Attached {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let request =
            format!("POST /containers/one/attach?{query} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Attached { stream, seen: Vec::new() }
    }

    /// The next output of these streams, frames joined, until `done` says that it is all or the connection ends.
    fn output(&mut self, done: &dyn Fn(&str) -> bool) -> String {
        let mut buffer = [0; 4096];
        loop {
            let text = unframed(&self.seen);
            if done(&text) {
                return text;
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => return text,
                count => self.seen.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// What is in the whole frames behind the head of the answer.
fn unframed(answer: &[u8]) -> String {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(head) = head else { return String::new() };
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(answer));
    let (mut rest, mut text) = (&answer[head + 4..], String::new());
    while let Some((frame, behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(frame[4..].try_into().unwrap()) as usize;
        let Some(content) = behind.get(..length) else { break };
        text.push_str(std::str::from_utf8(content).unwrap());
        rest = &behind[length..];
    }
    text
}

fn run(daemon: &Daemon, script: &str) {
    let words = ["run", "-d", "--name", "one", "host", "sh", "-c", script];
    let output = daemon.skiff(&words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn remove(daemon: &Daemon) {
    assert!(daemon.skiff(&["rm", "-f", "one"]).output().unwrap().status.success());
}

#[test]
fn the_log_comes_before_the_stream_without_a_gap_and_nothing_comes_twice() {
    let daemon = Daemon::start();
    let count = 20_000;
    let script =
        format!("i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done; printf end; sleep 1000");
    run(&daemon, &script);
    // While it writes, at moments that differ from run to run.
    let clients: Vec<Attached> = (0..4)
        .map(|number| {
            std::thread::sleep(std::time::Duration::from_millis(number * 7));
            Attached::new(&daemon, "logs=1&stream=1&stdout=1&stderr=1")
        })
        .collect();
    let expected = (0..count).map(|number| format!("{number}\n")).collect::<String>() + "end";
    // All at once: one that does not read keeps the container waiting, and so the others.
    std::thread::scope(|scope| {
        for mut client in clients {
            let expected = &expected;
            scope.spawn(move || {
                let output = client.output(&|text| text.ends_with("end"));
                assert!(output == *expected, "lines are missing or doubled");
            });
        }
    });
    // One that comes later gets the line that has not ended, too.
    let mut late = Attached::new(&daemon, "logs=1&stream=1&stdout=1");
    assert!(late.output(&|text| text.ends_with("end")) == expected);
    remove(&daemon);
}

#[test]
fn the_log_alone_is_sent_and_that_was_it() {
    let daemon = Daemon::start();
    run(&daemon, "echo out; sleep 0.1; echo err >&2");
    assert!(daemon.skiff(&["wait", "one"]).output().unwrap().status.success());
    let all = |query: &str| Attached::new(&daemon, query).output(&|_| false);
    assert_eq!(all("logs=1&stdout=1&stderr=1"), "out\nerr\n");
    assert_eq!(all("logs=1&stdout=1"), "out\n");
    assert_eq!(all("logs=1"), "");
    // Neither log nor stream was asked for.
    assert_eq!(all("stdout=1"), "");
    remove(&daemon);
}

#[test]
fn a_log_that_is_not_kept_cannot_be_sent() {
    let daemon = Daemon::start();
    let words = ["create", "--name", "one", "--log-driver", "none", "host", "true"];
    assert!(daemon.skiff(&words).output().unwrap().status.success());
    let reply = daemon.http("POST", "/containers/one/attach?logs=1&stdout=1", "");
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (501, "configured logging driver does not support reading")
    );
}

#[test]
fn the_body_of_the_request_is_not_the_containers_input() {
    let daemon = Daemon::start();
    let body = "{\"Image\": \"host\", \"Cmd\": [\"cat\"], \"OpenStdin\": true, \"StdinOnce\": true}";
    assert_eq!(daemon.http("POST", "/containers/create?name=one", body).status, 201);
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let head = "POST /containers/one/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
    // As dockerode sends its options, with the first input behind them.
    stream.write_all(format!("{head}Content-Length: 14\r\n\r\n{{\"stdin\":true}}").as_bytes()).unwrap();
    stream.write_all(b"input\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(daemon.http("POST", "/containers/one/start", "").status, 204);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n\u{1}\0\0\0\0\0\0\u{6}input\n"), "{answer:?}");
    assert_eq!(daemon.http("DELETE", "/containers/one", "").status, 204);
}

/// A client's end of a websocket.
struct Socket(UnixStream);

impl Socket {
    /// Attaches to `one`; the key and what proves that it was understood are those of RFC 6455, section 1.3.
    fn attach(daemon: &Daemon, path: &str) -> Socket {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        Socket(stream)
    }

    /// Sends a frame with this first byte.
    fn send(&mut self, first: u8, payload: &[u8]) {
        let mask = [7, 77, 177, 250];
        let mut frame = vec![first, 0x80 | payload.len() as u8];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        // In two pieces, neither of which is whole.
        let (start, end) = frame.split_at(frame.len() / 2);
        self.0.write_all(start).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        self.0.write_all(end).unwrap();
    }

    /// The next frame: its first byte and its payload.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    /// All data until the server closes, and the code that it gives.
    fn rest(&mut self) -> (String, Vec<u8>) {
        let mut text = String::new();
        loop {
            match self.next() {
                (0x82, payload) => text.push_str(std::str::from_utf8(&payload).unwrap()),
                (0x88, code) => return (text, code),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_websocket_carries_both_ways() {
    let daemon = Daemon::start();
    let body = "{\"Image\": \"host\", \"Cmd\": [\"sh\", \"-c\", \"cat; echo end >&2\"], \"OpenStdin\": true, \"StdinOnce\": true}";
    assert_eq!(daemon.http("POST", "/containers/create?name=one", body).status, 201);
    let mut socket = Socket::attach(&daemon, "/containers/one/attach/ws?stream=1&stdin=1&stdout=1&stderr=1");
    assert_eq!(daemon.http("POST", "/containers/one/start", "").status, 204);
    socket.send(0x81, b"hello\n");
    assert_eq!(socket.next(), (0x82, b"hello\n".to_vec()));
    socket.send(0x89, b"there?");
    assert_eq!(socket.next(), (0x8A, b"there?".to_vec()));
    socket.send(0x01, b"in ");
    socket.send(0x80, b"pieces\n");
    let mut echoed = Vec::new();
    while echoed != b"in pieces\n" {
        echoed.extend(socket.next().1);
    }
    socket.send(0x88, &[3, 232]);
    assert_eq!(socket.next(), (0x88, vec![3, 232]));
    // The end of its input is the end of cat.
    assert!(daemon.wait("one").contains("\"StatusCode\":0"));
    let mut socket = Socket::attach(&daemon, "/v1.44/containers/one/attach/ws?logs=1&stdout=1&stderr=1");
    assert_eq!(socket.rest(), ("hello\nin pieces\nend\n".into(), vec![3, 232]));
    assert_eq!(daemon.http("DELETE", "/containers/one", "").status, 204);
}

#[test]
fn what_is_no_websocket_is_refused() {
    let daemon = Daemon::start();
    let body = "{\"Image\": \"host\", \"Cmd\": [\"sleep\", \"100\"], \"OpenStdin\": true}";
    assert_eq!(daemon.http("POST", "/containers/create?name=one", body).status, 201);
    let reply = daemon.http("GET", "/containers/one/attach/ws?stream=1", "");
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (400, "websocket: the request asks for no upgrade to one")
    );
    assert_eq!(daemon.http("GET", "/containers/none/attach/ws?stream=1", "").status, 404);
    assert_eq!(daemon.http("POST", "/containers/one/start", "").status, 204);
    let mut socket = Socket::attach(&daemon, "/containers/one/attach/ws?stream=1&stdin=1");
    socket.0.write_all(&[0x81, 1, b'x']).unwrap();
    assert_eq!(socket.next(), (0x88, vec![3, 234]), "frames of a client are masked");
    assert_eq!(socket.0.read(&mut [0]).unwrap(), 0);
    assert_eq!(daemon.http("DELETE", "/containers/one?force=1", "").status, 204);
}

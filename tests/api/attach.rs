//! `POST /containers/{}/attach` with the log in front.

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

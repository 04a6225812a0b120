//! What many clients, slow ones, broken ones and hostile ones do to the daemon: nothing that others notice.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::daemon::{Daemon, until};

/// A connection with a request sent on it.
fn asking(daemon: &Daemon, method: &str, target: &str) -> UnixStream {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream
        .write_all(format!("{method} {target} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").as_bytes())
        .unwrap();
    stream
}

/// Waits for the head of the answer, which has to be good.
fn answered(stream: &mut UnixStream) {
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
}

fn create(daemon: &Daemon, name: &str, script: &str) {
    let body = serde_json::json!({"Image": "host", "Cmd": ["sh", "-c", script]}).to_string();
    assert_eq!(daemon.http("POST", &format!("/containers/create?name={name}"), &body).status, 201);
    assert_eq!(daemon.http("POST", &format!("/containers/{name}/start"), "").status, 204);
}

fn remove(daemon: &Daemon, name: &str) {
    assert_eq!(daemon.http("DELETE", &format!("/containers/{name}?force=1"), "").status, 204);
}

fn is_well(daemon: &Daemon) -> bool {
    daemon.http("GET", "/_ping", "").body == "OK"
}

/// A field of /proc/PID/status, in KiB.
fn kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The one child that the daemon has.
fn only_child(daemon: &Daemon) -> u32 {
    until("there is one child", &mut || daemon.children().len() == 1);
    daemon.children()[0]
}

fn allow_files(count: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|maximum| maximum >= count), "this machine allows {maximum:?} open files");
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).unwrap();
}

#[test]
fn two_thousand_idle_connections_keep_nobody_waiting_and_leave_nothing() {
    let daemon = Daemon::start();
    allow_files(4096);
    let mut idle: Vec<UnixStream> = (0..2000)
        .map(|number| {
            let mut stream = UnixStream::connect(daemon.socket()).unwrap();
            // Half of them have asked something already.
            if number % 2 == 0 {
                stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
                answered(&mut stream);
            }
            stream
        })
        .collect();
    assert!(is_well(&daemon));
    // The first 256 wait in the daemon itself; all others are served, and each costs little memory of its own.
    until("each has its child", &mut || daemon.children().len() == 2000 - 256);
    let one = daemon.children()[0];
    let smaps = std::fs::read_to_string(format!("/proc/{one}/smaps_rollup")).unwrap();
    let dirty = smaps.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    let dirty: u64 = dirty.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(dirty < 300, "an idle connection costs {dirty} KiB");
    let mut last = idle.pop().unwrap();
    last.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    answered(&mut last);
    drop((idle, last));
    until("no child is left", &mut || daemon.children().is_empty());
    assert!(is_well(&daemon));
}

#[test]
fn two_hundred_followers_of_a_log_get_all_of_it() {
    let daemon = Daemon::start();
    create(
        &daemon,
        "talker",
        "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); [ $((i % 50)) = 0 ] && sleep 0.1; done",
    );
    let followers: Vec<UnixStream> =
        (0..200).map(|_| asking(&daemon, "GET", "/v1.24/containers/talker/logs?follow=1&stdout=1")).collect();
    for mut follower in followers {
        let mut all = Vec::new();
        // The stream ends with the container; the connection could take another request.
        let mut buffer = [0; 16 << 10];
        while !all.ends_with(b"0\r\n\r\n") {
            let count = follower.read(&mut buffer).unwrap();
            assert!(count > 0);
            all.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8_lossy(&all);
        assert_eq!(text.matches("line ").count(), 500);
        assert!(text.contains("line 499\n"));
    }
    until("no child is left", &mut || daemon.children().is_empty());
    remove(&daemon, "talker");
}

#[test]
fn who_reads_slowly_costs_no_memory() {
    let daemon = Daemon::start();
    create(
        &daemon,
        "talker",
        "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 30000000",
    );
    let ended = daemon.wait("talker");
    assert!(ended.contains("\"StatusCode\":0"), "{ended}");
    let mut slow = asking(&daemon, "GET", "/containers/talker/logs?stdout=1");
    answered(&mut slow);
    let child = only_child(&daemon);
    // It has filled what is on its way, and waits.
    until("it waits", &mut || {
        std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap().contains(") S ")
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(kib(child, "VmHWM") < 12 << 10, "{} KiB", kib(child, "VmHWM"));
    drop(slow);
    until("no child is left", &mut || daemon.children().is_empty());
    remove(&daemon, "talker");
}

#[test]
fn a_large_body_is_not_kept_in_memory() {
    const MIB: usize = 256;
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let head =
        "POST /images/create?fromSrc=-&repo=large HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut send = |part: &[u8]| {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
        stream.write_all(part).unwrap();
        stream.write_all(b"\r\n").unwrap();
    };
    send(&tar_header("large", MIB << 20));
    let part = vec![0x5A; 1 << 20];
    (0..MIB).for_each(|_| send(&part));
    let child = only_child(&daemon);
    assert!(kib(child, "VmHWM") < 16 << 10, "{} KiB", kib(child, "VmHWM"));
    send(&[0; 1024]);
    stream.write_all(b"0\r\n\r\n").unwrap();
    answered(&mut stream);
    drop(stream);
    let size = daemon.http("GET", "/images/large/json", "").json()["Size"].as_u64();
    assert_eq!(size, Some((MIB as u64) << 20));
}

/// The header of a file in a tar.
fn tar_header(name: &str, size: usize) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, text) in [
        (100, "0000644\0"),
        (108, "0000000\0"),
        (116, "0000000\0"),
        (136, "00000000000\0"),
        (257, "ustar\x0000"),
    ] {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn a_client_that_has_gone_frees_its_child() {
    let daemon = Daemon::start();
    create(&daemon, "sleeper", "sleep 1000");
    for (method, target) in [
        ("GET", "/events"),
        ("POST", "/containers/sleeper/wait"),
        ("GET", "/containers/sleeper/logs?follow=1&stdout=1"),
        ("GET", "/containers/sleeper/stats"),
        ("POST", "/containers/sleeper/attach?stream=1&stdout=1"),
    ] {
        for half in [false, true] {
            let mut stream = asking(&daemon, method, target);
            answered(&mut stream);
            if half {
                stream.shutdown(Shutdown::Write).unwrap();
                // Who attached without stdin has nothing to send, and goes on listening.
                if target.contains("attach") {
                    continue;
                }
                until(&format!("{target} ends"), &mut || daemon.children().is_empty());
            }
            drop(stream);
            until(&format!("the child of {target} ends"), &mut || daemon.children().is_empty());
        }
    }
    // In the middle of a head, and of a body.
    for part in
        ["GET /_ping HT", "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{"]
    {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.write_all(part.as_bytes()).unwrap();
        drop(stream);
    }
    until("no child is left", &mut || daemon.children().is_empty());
    remove(&daemon, "sleeper");
}

#[test]
fn what_is_too_long_is_refused() {
    let daemon = Daemon::start();
    let long = "x".repeat(70_000);
    let many = "A: b\r\n".repeat(200);
    let json = format!("{{\"Image\": \"{}\"}}", "x".repeat(5 << 20));
    for request in [
        format!("GET /_ping HTTP/1.1\r\nHost: d\r\nX: {long}\r\n\r\n"),
        format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: d\r\n\r\n"),
        format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        ),
        format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 5000\r\n\r\n{}",
            "[".repeat(5000)
        ),
    ] {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        // It may answer, and close, before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{:?}: {:.60}", String::from_utf8_lossy(&answer), request);
    }
    assert!(is_well(&daemon));
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn whatever_comes_gets_an_answer_or_the_end_of_its_connection() {
    let daemon = Daemon::start();
    let seeds: [&[u8]; 8] = [
        b"GET /v1.41/containers/json?all=1&filters=%7B%22name%22%3A%5B%22x%22%5D%7D HTTP/1.1\r\nHost: d\r\n\r\n",
        b"POST /containers/create?name=x HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{\"Image\":\"nosuch\",\"Cmd\":[\"true\"],\"HostConfig\":{\"Memory\":1}}",
        b"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"POST /build?t=x&buildargs=%7B%7D HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\n0123456789",
        b"GET /containers/x/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"PUT /containers/x/archive?path=/tmp HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /events?since=1&until=2&filters={\"type\":{\"container\":true}} HTTP/1.1\r\nHost: d\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n",
        b"POST /networks/create HTTP/1.1\r\nHost: d\r\nContent-Length: 53\r\n\r\n{\"Name\":\"\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/x\"}]}}",
    ];
    let mut numbers = Numbers(0x5EED_1234_5678_9ABC);
    for round in 0..1500 {
        let mut request = seeds[round % seeds.len()].to_vec();
        for _ in 0..numbers.below(6) {
            let at = numbers.below(request.len());
            match numbers.below(4) {
                0 => request[at] = numbers.below(256) as u8,
                1 => drop(request.remove(at)),
                2 => request.insert(at, b"\r\n %:/{}\"0"[numbers.below(10)]),
                _ => {
                    let end = at + numbers.below(request.len() - at);
                    let part = request[at..end].to_vec();
                    let to = numbers.below(request.len());
                    request.splice(to..to, part);
                }
            }
        }
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}: {:?}", String::from_utf8_lossy(&request)),
        }
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 "),
            "{:?}",
            String::from_utf8_lossy(&request)
        );
    }
    assert!(is_well(&daemon));
    until("no child is left", &mut || daemon.children().is_empty());
    assert_eq!(daemon.said(), "", "a panic would be told");
}

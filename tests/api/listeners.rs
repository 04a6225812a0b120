//! Where the daemon listens, who may use it, and how it ends.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{UnixDatagram, UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::daemon::{Daemon, signal, until};

const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";

/// What comes back for a ping.
fn ping(mut stream: impl Read + Write) -> String {
    stream.write_all(PING).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_well(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nOK")
}

#[test]
fn it_listens_in_several_places_and_on_the_network_only_if_that_is_said_twice() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let second = format!("unix://{}", daemon.data().with_file_name("second.sock").display());
    let (lines, mut process) = daemon
        .serve(&["-H", &daemon.address(), "-H", &second, "-H", "tcp://127.0.0.1:0", "--insecure-tcp"], 4);
    let mut lines = lines.iter().map(String::as_str);
    assert_eq!(lines.next().unwrap(), format!("listening on {}", daemon.address()));
    assert_eq!(lines.next().unwrap(), format!("listening on {second}"));
    assert!(lines.next().unwrap().starts_with("WARNING: "));
    let tcp = lines.next().unwrap().strip_prefix("listening on tcp://").unwrap().to_owned();
    assert!(is_well(&ping(UnixStream::connect(daemon.socket()).unwrap())));
    assert!(is_well(&ping(UnixStream::connect(&second[7..]).unwrap())));
    assert!(is_well(&ping(TcpStream::connect(&tcp).unwrap())));
    let version =
        daemon.skiff(&["-H", &format!("tcp://{tcp}"), "version", "-f", "{{.Server.Os}}"]).output().unwrap();
    assert_eq!(version.stdout, b"linux\n", "{version:?}");
    signal(&process, "TERM");
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(!daemon.socket().exists() && !Path::new(&second[7..]).exists());
    let refused = daemon.skiff(&["serve", "-H", "tcp://127.0.0.1:0"]).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(
        error.contains("whoever reaches it would be root here") && error.contains("--insecure-tcp"),
        "{error}"
    );
    assert_eq!(refused.status.code(), Some(1));
}

/// `skiff serve` that is handed a listening socket as its descriptor 3, as a service manager does.
fn activated(daemon: &Daemon, listener: &UnixListener, name: &str, address: &str) -> Command {
    let serve = daemon.skiff(&["serve", "-H", address]);
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    command.arg(serve.get_program()).args(serve.get_args()).env("LISTEN_FDNAMES", name);
    for (key, value) in serve.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    command.stdin(listener.try_clone().map(std::os::fd::OwnedFd::from).unwrap()).stderr(Stdio::piped());
    assert!(listener.as_raw_fd() > 2);
    command
}

#[test]
fn it_takes_the_sockets_of_a_service_manager() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let path = daemon.data().with_file_name("activated.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // It waits in the queue until somebody accepts it.
    let early = UnixStream::connect(&path).unwrap();
    for address in ["fd://", "fd://api", "fd://3"] {
        let mut process = activated(&daemon, &listener, "api", address).spawn().unwrap();
        assert!(is_well(&ping(UnixStream::connect(&path).unwrap())), "{address}");
        signal(&process, "TERM");
        assert!(process.wait().unwrap().success());
        assert!(path.exists(), "the name is the service manager's");
    }
    drop(early);
    for (address, name) in [("fd://other", "api"), ("fd://4", "")] {
        let refused = activated(&daemon, &listener, name, address).output().unwrap();
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(error.contains("no such socket was passed"), "{error}");
    }
    let refused = daemon.skiff(&["serve", "-H", "fd://"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no such socket was passed"));
}

#[test]
fn whoever_started_it_hears_when_it_serves_and_when_it_ends() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let path = daemon.data().with_file_name("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = [0; 100];
    let mut command = daemon.skiff(&["serve", "-H", &daemon.address()]);
    let mut process = command.env("NOTIFY_SOCKET", &path).stderr(Stdio::null()).spawn().unwrap();
    let length = told.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1");
    assert!(is_well(&ping(UnixStream::connect(daemon.socket()).unwrap())));
    signal(&process, "TERM");
    let length = told.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"STOPPING=1");
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_request_that_is_at_work_is_finished_before_it_ends() {
    let mut daemon = Daemon::start();
    let mut idle = UnixStream::connect(daemon.socket()).unwrap();
    let mut at_work = UnixStream::connect(daemon.socket()).unwrap();
    let mut endless = UnixStream::connect(daemon.socket()).unwrap();
    idle.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    endless.write_all(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    let head = b"POST /images/create?fromSrc=-&repo=late HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n";
    at_work.write_all(head).unwrap();
    at_work.write_all(b"Transfer-Encoding: chunked\r\n\r\n").unwrap();
    let mut buffer = [0; 4096];
    for stream in [&mut idle, &mut endless, &mut at_work] {
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
    daemon.signal("TERM");
    // They end at once, without an error for the client.
    for stream in [&mut idle, &mut endless] {
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    }
    until("it listens no more", &mut || UnixStream::connect(daemon.socket()).is_err());
    assert_eq!(daemon.has_ended(), None);
    // An empty archive: two empty blocks.
    at_work.write_all(b"400\r\n").unwrap();
    at_work.write_all(&[0; 1024]).unwrap();
    at_work.write_all(b"\r\n0\r\n\r\n").unwrap();
    let mut answer = String::new();
    at_work.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("sha256:"), "{answer}");
    assert_eq!(daemon.terminated(), Some(0));
    daemon.restart();
    assert_eq!(daemon.http("GET", "/images/late/json", "").status, 200);
}

#[test]
fn a_second_signal_ends_it_although_a_request_is_at_work() {
    let mut daemon = Daemon::start();
    let mut at_work = UnixStream::connect(daemon.socket()).unwrap();
    let head = b"POST /images/create?fromSrc=-&repo=late HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n";
    at_work.write_all(head).unwrap();
    at_work.write_all(b"Transfer-Encoding: chunked\r\n\r\n").unwrap();
    assert!(at_work.read(&mut [0; 100]).unwrap() > 0);
    daemon.signal("TERM");
    until("it listens no more", &mut || UnixStream::connect(daemon.socket()).is_err());
    daemon.signal("INT");
    assert_eq!(daemon.terminated(), Some(0));
    drop(at_work);
}

#[test]
fn a_hangup_changes_nothing_and_is_told() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let (_, mut process) = daemon.serve(&["-H", &daemon.address()], 1);
    signal(&process, "HUP");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stderr.take().unwrap()), &mut line)
        .unwrap();
    assert!(line.starts_with("SIGHUP: nothing to read again"), "{line}");
    assert!(is_well(&ping(UnixStream::connect(daemon.socket()).unwrap())));
    signal(&process, "TERM");
    assert!(process.wait().unwrap().success());
}

/// What a ping gives somebody else.
fn ping_as(daemon: &Daemon, user: u32, group: u32) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"]).arg(daemon.socket());
    let output = command.arg("http://d/_ping").uid(user).gid(group).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_sockets_group_may_use_it_and_nobody_else() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let (_, mut process) = daemon.serve(&["-H", &daemon.address(), "--group", "daemon"], 1);
    let metadata = daemon.socket().metadata().unwrap();
    assert_eq!((metadata.gid(), metadata.mode() & 0o777), (1, 0o660));
    assert_eq!(ping_as(&daemon, 65534, 1), "200");
    assert_eq!(ping_as(&daemon, 65534, 65534), "000", "the kernel lets nobody else connect");
    // Whoever could connect before has lost the right to by the time he is seen.
    signal(&process, "STOP");
    let change_mode =
        |mode| std::fs::set_permissions(daemon.socket(), std::fs::Permissions::from_mode(mode)).unwrap();
    change_mode(0o666);
    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| ping_as(&daemon, 65534, 65534));
        // Both ends have the name that it was bound to, which is another in the same directory.
        let directory = daemon.socket().parent().unwrap().display().to_string();
        until("it is in the queue", &mut || {
            let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
            sockets.lines().filter(|line| line.contains(&directory)).count() > 1
        });
        change_mode(0o660);
        signal(&process, "CONT");
        late.join().unwrap()
    });
    assert_eq!(late, "403");
    signal(&process, "TERM");
    assert!(process.wait().unwrap().success());
    let refused = daemon.skiff(&["serve", "-H", &daemon.address(), "--group", "nosuch"]).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("unable to find group nosuch"), "{error}");
}

#[test]
fn containers_outlive_it_and_come_back_with_restore_if_their_policy_says_so() {
    let mut daemon = Daemon::start();
    let status = |daemon: &Daemon, name: &str| {
        daemon.http("GET", &format!("/containers/{name}/json"), "").json()["State"]["Status"].to_string()
    };
    for (name, policy) in [("always", "always"), ("never", "no"), ("stopped", "unless-stopped")] {
        let body = format!(
            "{{\"Image\": \"host\", \"Cmd\": [\"sleep\", \"1000\"], \"HostConfig\": {{\"RestartPolicy\": {{\"Name\": \"{policy}\"}}}}}}"
        );
        assert_eq!(daemon.http("POST", &format!("/containers/create?name={name}"), &body).status, 201);
        assert_eq!(daemon.http("POST", &format!("/containers/{name}/start"), "").status, 204);
    }
    assert_eq!(daemon.http("POST", "/containers/stopped/stop?t=0", "").status, 204);
    daemon.kill();
    daemon.restart();
    assert_eq!(
        ["always", "never", "stopped"].map(|name| status(&daemon, name)),
        ["\"running\"", "\"running\"", "\"exited\""]
    );
    // As after the host has gone down.
    daemon.kill();
    for name in ["always", "never"] {
        daemon.kill_monitor(name);
    }
    daemon.restart();
    assert_eq!(["always", "never", "stopped"].map(|name| status(&daemon, name)), ["\"exited\""; 3]);
    daemon.kill();
    let (_, mut process) = daemon.serve(&["-H", &daemon.address(), "--restore"], 1);
    assert_eq!(
        ["always", "never", "stopped"].map(|name| status(&daemon, name)),
        ["\"running\"", "\"exited\"", "\"exited\""]
    );
    for name in ["always", "never", "stopped"] {
        assert_eq!(daemon.http("DELETE", &format!("/containers/{name}?force=1"), "").status, 204);
    }
    signal(&process, "TERM");
    assert!(process.wait().unwrap().success());
}

//! A daemon on scratch roots, which goes with its containers and files when it is dropped, and ways to talk to it.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// `skiff serve` with its roots.
pub struct Daemon {
    root: PathBuf,
    process: Child,
}

/// A whole HTTP answer.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The text of an error.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().into()
    }
}

impl Daemon {
    pub fn start() -> Daemon {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("skiff-api-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        let process = spawn(&root);
        Daemon { root, process }
    }

    /// Starts it again after its end.
    pub fn restart(&mut self) {
        self.process = spawn(&self.root);
    }

    pub fn socket(&self) -> PathBuf {
        self.root.join("skiff.sock")
    }

    /// The data root.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end: its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.terminated()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Its exit code, once it has ended.
    pub fn terminated(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// `skiff serve` with these arguments in its place, and the first lines that it says.
    pub fn serve(&self, arguments: &[&str], lines: usize) -> (Vec<String>, Child) {
        let mut command = self.skiff(&[&["serve"], arguments].concat());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // A byte at a time: what follows the lines stays in the pipe.
        let stderr = process.stderr.as_mut().unwrap();
        let lines = (0..lines).map(|_| {
            let (mut line, mut byte) = (Vec::new(), [0]);
            while stderr.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
                line.extend(byte);
            }
            assert_eq!(byte, *b"\n", "it has ended: {}", String::from_utf8_lossy(&line));
            String::from_utf8(line).unwrap()
        });
        let lines = lines.collect();
        (lines, process)
    }

    /// What it has said since it began to listen.
    pub fn said(&self) -> String {
        let said = std::fs::read_to_string(self.root.join("said")).unwrap();
        said.split_once('\n').unwrap().1.into()
    }

    /// The processes that serve a connection.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|child| child.parse().unwrap()).collect()
    }

    /// Kills the monitor of a container.
    pub fn kill_monitor(&self, name: &str) {
        let id = self.skiff(&["inspect", "-f", "{{.Id}}", name]).output().unwrap().stdout;
        let path = self.data().join(format!("containers/{}/state", String::from_utf8(id).unwrap().trim()));
        // Behind a sum.
        let state = std::fs::read_to_string(path).unwrap();
        let state: serde_json::Value = serde_json::from_str(&state[17..]).unwrap();
        let monitor = rustix::process::Pid::from_raw(state["monitor"].as_i64().unwrap() as i32).unwrap();
        rustix::process::kill_process(monitor, rustix::process::Signal::KILL).unwrap();
    }

    /// The binary on the daemon's roots, without the daemon.
    pub fn skiff(&self, arguments: &[&str]) -> Command {
        skiff(&self.root, arguments)
    }

    /// Sends bytes, says that no more come, and reads all that comes back.
    pub fn raw(&self, text: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request on a connection of its own. Only for answers with a length.
    pub fn http(&self, method: &str, target: &str, body: &str) -> Reply {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let answer = self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap();
        Reply { status, head: head.into(), body: body.into() }
    }

    /// What a request to wait for the end of a container is answered with.
    pub fn wait(&self, name: &str) -> String {
        // Who says that no more comes has gone, as far as waiting is concerned.
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("POST /containers/{name}/wait HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn docker_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_HOST", self.address()).env("DOCKER_CONFIG", &self.root);
        command.stdin(Stdio::null());
        command
    }

    /// What the stock command line prints; it has to succeed.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.docker_command(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {:?}\n{error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// How the stock command line fails: exit code and stderr.
    pub fn docker_fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.docker_command(arguments).output().unwrap();
        assert!(!output.status.success(), "docker {arguments:?} succeeded");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn skiff(root: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skiff"));
    command.args(arguments).env("SKIFF_ROOT", root.join("data")).env("SKIFF_RUN", root.join("run"));
    command.env("SKIFF_NETWORK", "none");
    command.env_remove("DOCKER_HOST").env_remove("SKIFF_HOST").stdin(Stdio::null());
    command
}

/// Starts `serve` and waits until this very process says that it listens: a connection alone could be to another.
fn spawn(root: &std::path::Path) -> Child {
    let socket = root.join("skiff.sock");
    let address = format!("unix://{}", socket.display());
    let mut command = skiff(root, &["serve", "-H", &address]);
    let said = root.join("said");
    let mut process =
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
    loop {
        let line = std::fs::read_to_string(&said).unwrap();
        if line.ends_with('\n') {
            assert!(line.starts_with("listening on "), "{line}");
            return process;
        }
        assert!(process.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Waits for something to become true.
#[allow(dead_code, reason = "not every test that uses this file needs it")]
pub fn until(what: &str, check: &mut dyn FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !check() {
        assert!(std::time::Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Sends a signal to a process.
pub fn signal(process: &Child, name: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match name {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        other => panic!("signal {other}"),
    };
    kill_process(Pid::from_raw(process.id() as i32).unwrap(), signal).unwrap();
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Whether the stock command line is there; says so if a test is skipped for want of it.
pub fn has_docker() -> bool {
    let found = Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: the docker command line is not installed");
    }
    found
}

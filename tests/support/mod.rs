//! A scratch engine: roots of its own, which are removed at the end, and the real binary run on them.

// Each test file uses its part of this.
#![allow(dead_code)]

pub mod tree;

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// An engine's two roots in a directory that goes with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty one.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skiff-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// A path below the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `skiff` with these arguments, on the scratch roots.
    pub fn skiff(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skiff"));
        command.args(arguments).env("SKIFF_ROOT", self.path("data")).env("SKIFF_RUN", self.path("run"));
        // A bridge for each of all the scratch roots would leave none of the host's addresses free.
        command.env("SKIFF_NETWORK", "none");
        command.env_remove("DOCKER_HOST").env_remove("SKIFF_HOST").stdin(Stdio::null());
        command
    }

    /// What `skiff` with these arguments prints; it has to succeed.
    pub fn text(&self, arguments: &[&str]) -> String {
        let output = self.skiff(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?}\n{error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that `skiff` with these arguments ends with this code and says `words` on stderr.
    pub fn fails(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.skiff(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.starts_with("skiff: ") && error.contains(words), "{arguments:?}: {error}");
    }

    /// A container that runs until the value is dropped: `host`, with a shell that waits for its stdin to end.
    pub fn running(&self, name: &str) -> Running {
        let mut child = self
            .skiff(&["run", "--rm", "-i", "--name", name, "host", "sh", "-c", "echo ready; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
        Running(child)
    }

    /// Runs `skiff run --rm` with these arguments to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.skiff(&[&["run", "--rm"], arguments].concat()).output().unwrap()
    }

    /// What `skiff run --rm ... host sh -c SCRIPT` prints; it has to succeed.
    pub fn sh(&self, flags: &[&str], script: &str) -> String {
        let output = self.run(&[flags, &["host", "sh", "-c", script]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags:?} {script}: {:?}\n{error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that `run` fails like this, with one line on stderr that has `words` in it, and leaves nothing behind.
    pub fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        self.refused_beside(arguments, code, words);
        assert_eq!(self.containers(), 0, "{arguments:?} left a container");
    }

    /// As [`Scratch::refused`], where there are other containers.
    pub fn refused_beside(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(error.lines().count() <= 2, "{arguments:?}: {error}");
    }

    /// Kills the monitor of the container with this id.
    pub fn kill_monitor(&self, id: &str) {
        let state = std::fs::read_to_string(self.path(&format!("data/containers/{id}/state"))).unwrap();
        // Behind a sum.
        let state: serde_json::Value = serde_json::from_str(&state[17..]).unwrap();
        let monitor = rustix::process::Pid::from_raw(state["monitor"].as_i64().unwrap() as i32).unwrap();
        rustix::process::kill_process(monitor, rustix::process::Signal::KILL).unwrap();
    }

    /// How many containers there are on disk, half-made ones included.
    pub fn containers(&self) -> usize {
        let Ok(entries) = std::fs::read_dir(self.path("data/containers")) else { return 0 };
        entries.filter(|entry| entry.as_ref().unwrap().file_name() != "by-name").count()
    }

    /// Runs with input on stdin, all of which has to be taken.
    pub fn with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let (output, written) = self.fed(arguments, input);
        written.unwrap();
        output
    }

    /// Runs with input on stdin, which may be left unread.
    pub fn with_input_that_may_break(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.fed(arguments, input).0
    }

    fn fed(&self, arguments: &[&str], input: &[u8]) -> (Output, std::io::Result<()>) {
        let mut child = self
            .skiff(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.write_all(input));
            (child.wait_with_output().unwrap(), writer.join().unwrap())
        })
    }
}

/// A scratch engine with the image `box`: busybox and the usual directories.
pub fn with_box(changes: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    let root = scratch.path("rootfs");
    for directory in ["bin", "etc", "data", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in [
        "sh", "cat", "ls", "sleep", "id", "pwd", "true", "touch", "stat", "readlink", "echo", "env", "rm",
        "mv", "ln", "mkdir", "rmdir",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(root.join("data/seed"), "seed\n").unwrap();
    let tar = scratch.path("rootfs.tar");
    let status = Command::new("tar")
        // Two machines have the same image.
        .args(["--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1700000000", "-cf"])
        .arg(&tar)
        .arg("-C")
        .arg(&root)
        .arg(".")
        .status();
    assert!(status.unwrap().success());
    let mut arguments = vec!["import"];
    for change in changes {
        arguments.extend(["-c", change]);
    }
    let tar = tar.display().to_string();
    arguments.extend([tar.as_str(), "box"]);
    scratch.text(&arguments);
    scratch
}

/// A container that is removed, whatever it does, when the value is dropped.
pub struct Kept<'a>(pub &'a Scratch, pub &'a str);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let _ = self.0.skiff(&["rm", "-f", "-v", self.1]).output();
    }
}

/// Waits for something that takes its time; `what` is wrong if it never comes.
pub fn until(what: &str, wanted: &mut dyn FnMut() -> bool) {
    let start = Instant::now();
    while !wanted() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A container with a client that is attached to it.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A terminal, as a user sits at it.
pub struct Terminal {
    master: rustix::fd::OwnedFd,
    name: String,
    seen: String,
}

impl Terminal {
    /// One of this size.
    pub fn new(rows: u16, columns: u16) -> Terminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).unwrap();
        Terminal { master, name, seen: String::new() }
    }

    /// Runs a command in it.
    pub fn spawn(&self, mut command: Command) -> Child {
        let open =
            || Stdio::from(std::fs::OpenOptions::new().read(true).write(true).open(&self.name).unwrap());
        command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap()
    }

    /// Types.
    pub fn type_in(&self, keys: &[u8]) {
        assert_eq!(rustix::io::write(&self.master, keys), Ok(keys.len()));
    }

    /// Waits until these words can be read behind those that were waited for last.
    pub fn wait_for(&mut self, words: &str) {
        let mut buffer = [0; 1024];
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return;
            }
            let count = rustix::io::read(&self.master, &mut buffer).unwrap();
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// All that is left to be read, when the programs in it have ended.
    pub fn rest(mut self) -> String {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = rustix::io::read(&self.master, &mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        self.seen
    }
}

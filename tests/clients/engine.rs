//! skiff's daemon and dockerd, each with roots and a network namespace of its own.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Skiff,
    Dockerd,
}

/// A running daemon, which goes with its containers.
pub struct Engine {
    pub kind: Kind,
    root: PathBuf,
    process: Child,
}

pub fn has(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

impl Engine {
    /// Starts one that has the image `box`.
    pub fn start(kind: Kind) -> Engine {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("skiff-clients-{}-{number}", std::process::id()));
        std::fs::create_dir_all(root.join("work")).unwrap();
        let place = |name: &str| root.join(name).display().to_string();
        let serve = match kind {
            Kind::Skiff => format!(
                "exec {} --data-root {} --run-root {} serve -H unix://{}",
                env!("CARGO_BIN_EXE_skiff"),
                place("data"),
                place("run"),
                place("sock")
            ),
            Kind::Dockerd => format!(
                "exec dockerd --data-root {} --exec-root {} --pidfile {} -H unix://{}",
                place("data"),
                place("run"),
                place("pid"),
                place("sock")
            ),
        };
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &format!("ip link set lo up; {serve}")]);
        let log = std::fs::File::create(place("log")).unwrap();
        command.env_remove("SKIFF_NETWORK").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // What a terminal sends to a test is not for its daemons.
        let process = command.process_group(0).spawn().unwrap();
        let engine = Engine { kind, root, process };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.shell("docker version >/dev/null 2>&1").status.success() {
            assert!(
                Instant::now() < deadline,
                "{kind:?} does not answer: {:?}",
                std::fs::read_to_string(engine.root.join("log"))
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        engine.prepare();
        engine
    }

    /// Makes `box`: busybox, and what is usual in an image.
    fn prepare(&self) {
        let script = "set -e; mkdir -p box/bin box/etc box/tmp box/data; cp /bin/busybox box/bin/busybox
            for name in $(busybox --list); do [ -e box/bin/$name ] || ln -s busybox box/bin/$name; done
            printf 'root:x:0:0::/root:/bin/sh\\nnobody:x:65534:65534::/:/bin/false\\n' >box/etc/passwd
            printf 'root:x:0:\\nnobody:x:65534:\\n' >box/etc/group; echo content >box/data/file; chmod 1777 box/tmp
            tar -C box -cf box.tar .
            docker import -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' box.tar box >/dev/null";
        let made = self.shell(script);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.root.join("sock").display())
    }

    /// Where scripts run.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Runs a script that finds the engine in its environment.
    pub fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.work()).stdin(Stdio::null());
        command.env("DOCKER_HOST", self.address()).env("DOCKER_CONFIG", self.root.join("config"));
        command
            .env("DOCKER_BUILDKIT", "0")
            .env("COMPOSE_PROJECT_NAME", "project")
            .env_remove("DOCKER_CONTEXT");
        command.env("DOCKER_CLI_HINTS", "false").env("LC_ALL", "C.UTF-8");
        command.output().unwrap()
    }

    /// What a script prints; it has to succeed.
    pub fn says(&self, script: &str) -> String {
        let output = self.shell(script);
        let told = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{:?}: {script}: {:?}\n{told}", self.kind, output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shell("docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1");
        let pid = Pid::from_raw(self.process.id() as i32).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.process.wait();
        let _ =
            Command::new("umount").arg(self.root.join("run/netns/default")).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

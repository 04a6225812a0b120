//! The daemon beside dockerd, both in this run: how long an answer takes over kept connections, how many come in a second,
//! how much memory the idle daemon has, and how long `docker run --rm IMAGE true` takes with stock clients.
//!
//! `cargo bench --bench api` as root, with dockerd and docker on the PATH; without dockerd skiff is alone. Both run in a
//! network namespace of their own, with roots of their own. CONTAINERS=100 that run during the requests, SECONDS=3 for each
//! measurement, ROUNDS=20 runs.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use memchr::memmem;
use rustix::{buffer::spare_capacity, event::epoll, fd::OwnedFd};
use skiff_core::{
    api::{address::Address, client::connect},
    file,
};
use support::{quietly, root_with_busybox};

const SKIFF: &str = env!("CARGO_BIN_EXE_skiff");
const LATENCY_TARGET: f64 = 0.5;
const RATE_TARGET: f64 = 1.0;
const RUN_TARGET: f64 = 0.2;
/// In KiB.
const MEMORY_TARGET: u64 = 2048;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// A daemon on roots of its own.
struct Daemon {
    name: &'static str,
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(name: &'static str, scratch: &Path) -> Daemon {
        let place = |what: &str| scratch.join(name).join(what).display().to_string();
        fs::create_dir_all(scratch.join(name)).unwrap();
        let address = format!("unix://{}", place("sock"));
        let words = match name {
            "skiff" => text(&[
                SKIFF,
                "--data-root",
                &place("data"),
                "--run-root",
                &place("run"),
                "serve",
                "-H",
                &address,
            ]),
            _ => text(&[
                "dockerd",
                "--data-root",
                &place("data"),
                "--exec-root",
                &place("run"),
                "--pidfile",
                &place("pid"),
                "-H",
                &address,
            ]),
        };
        let mut command = quietly(&words);
        command.env_remove("SKIFF_NETWORK").env_remove("DOCKER_HOST");
        let daemon = Daemon { name, process: command.spawn().unwrap(), socket: place("sock").into() };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !daemon.docker(&["version"]).status().unwrap().success() {
            assert!(Instant::now() < deadline, "{name} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    fn docker(&self, words: &[&str]) -> Command {
        let host = format!("unix://{}", self.socket.display());
        quietly(&text(&[&["docker", "-H", &host], words].concat()))
    }

    fn succeed(&self, words: &[&str]) {
        assert!(self.docker(words).status().unwrap().success(), "{}: docker {words:?}", self.name);
    }

    /// Memory that nobody else has, of the daemon and its children, in KiB.
    fn private_kib(&self) -> u64 {
        let mut processes = vec![self.process.id()];
        let mut total = 0;
        while let Some(pid) = processes.pop() {
            let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let private = smaps.lines().filter(|line| line.starts_with("Private_"));
            total +=
                private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>();
            for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                processes.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        total
    }

    fn remove_containers(&self) {
        let mut list = self.docker(&["ps", "-aq"]);
        let listed = list.stdout(Stdio::piped()).output().unwrap();
        let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
        for some in ids.lines().collect::<Vec<_>>().chunks(20) {
            let _ = self.docker(&[&["rm", "-f"], some].concat()).status();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.remove_containers();
        let pid = rustix::process::Pid::from_raw(self.process.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

/// One kept connection with a request on its way.
struct Connection {
    stream: OwnedFd,
    sent: Instant,
    answer: Vec<u8>,
}

impl Connection {
    fn send(&mut self, request: &[u8]) {
        self.answer.clear();
        self.sent = Instant::now();
        file::write_all(&self.stream, request).unwrap();
    }

    /// Reads what has come; whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let count = rustix::io::read(&self.stream, &mut *buffer).unwrap();
        assert!(count > 0, "the daemon closes a connection");
        self.answer.extend_from_slice(&buffer[..count]);
        let Some(head) = memmem::find(&self.answer, b"\r\n\r\n") else { return false };
        assert!(self.answer.starts_with(b"HTTP/1.1 200 "));
        const LENGTH: &[u8] = b"\r\nContent-Length: ";
        match memmem::find(&self.answer[..head + 2], LENGTH) {
            Some(at) => {
                let digits = self.answer[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
                let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
                self.answer.len() - head - 4 >= length
            }
            None => self.answer.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// What came of requests over some connections.
struct Figures {
    median_us: f64,
    per_second: f64,
}

/// Sends a request again as soon as it is answered, on each of `count` connections.
fn request(socket: &Path, target: &str, count: usize, seconds: f64) -> Figures {
    let request = format!("GET {target} HTTP/1.1\r\nHost: d\r\n\r\n").into_bytes();
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let address = Address::Unix(socket.display().to_string());
    let mut connections: Vec<Connection> = (0..count)
        .map(|number| {
            let stream = connect(&address).unwrap();
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&queue, &stream, data, epoll::EventFlags::IN).unwrap();
            let mut connection = Connection { stream, sent: Instant::now(), answer: Vec::new() };
            connection.send(&request);
            connection
        })
        .collect();
    let mut buffer = vec![0; 256 << 10];
    let mut times = Vec::new();
    // The first answers come before the clock runs.
    let mut warm = count;
    let mut start = Instant::now();
    let mut ready = Vec::with_capacity(count);
    while start.elapsed().as_secs_f64() < seconds {
        ready.clear();
        epoll::wait(&queue, spare_capacity(&mut ready), None).unwrap();
        for event in &ready {
            let connection = &mut connections[event.data.u64() as usize];
            if !connection.receive(&mut buffer) {
                continue;
            }
            match warm {
                0 => times.push(connection.sent.elapsed().as_secs_f64() * 1e6),
                1 => start = Instant::now(),
                _ => {}
            }
            warm = warm.saturating_sub(1);
            connection.send(&request);
        }
    }
    Figures { per_second: times.len() as f64 / start.elapsed().as_secs_f64(), median_us: median(&mut times) }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A line for each daemon's figure, and the ratio of the first to the second.
fn show(what: &str, figures: &[f64], unit: &str, target: f64) {
    print!("{what:44}");
    figures.iter().for_each(|figure| print!(" {figure:10.1}"));
    match figures {
        [ours, theirs] => println!(" {unit:6} {:6.3} (target {target})", ours / theirs),
        _ => println!(" {unit:6}"),
    }
}

fn measure(daemons: &[Daemon], tar: &str) {
    print!("{:44}", "");
    daemons.iter().for_each(|daemon| print!(" {:>10}", daemon.name));
    println!(" {:6} {:>6}", "", "ratio");
    std::thread::sleep(Duration::from_secs(2));
    print!("{:44}", "idle, private");
    daemons.iter().for_each(|daemon| print!(" {:10}", daemon.private_kib()));
    println!(" KiB    (target for skiff {MEMORY_TARGET})");

    daemons.iter().for_each(|daemon| daemon.succeed(&["import", tar, "box"]));
    let mut times: Vec<Vec<f64>> = daemons.iter().map(|_| Vec::new()).collect();
    for round in 0..=number("ROUNDS", 20) {
        for (daemon, times) in daemons.iter().zip(&mut times) {
            let start = Instant::now();
            daemon.succeed(&["run", "--rm", "box", "/bin/true"]);
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let least: Vec<f64> =
        times.iter().map(|times| times.iter().copied().fold(f64::INFINITY, f64::min)).collect();
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    show("docker run --rm box true, median", &medians, "ms", RUN_TARGET);
    show("docker run --rm box true, least", &least, "ms", RUN_TARGET);

    let containers = number("CONTAINERS", 100);
    for daemon in daemons {
        (0..containers).for_each(|_| daemon.succeed(&["run", "-d", "box", "/bin/sleep", "100000"]));
    }
    for target in ["/_ping", "/containers/json"] {
        for count in [1, 10, 100] {
            let seconds = number("SECONDS", 3) as f64;
            let figures: Vec<Figures> =
                daemons.iter().map(|daemon| request(&daemon.socket, target, count, seconds)).collect();
            let what = format!("{target}, {count} connections");
            let column = |of: fn(&Figures) -> f64| figures.iter().map(of).collect::<Vec<_>>();
            show(&format!("{what}, median"), &column(|one| one.median_us), "us", LATENCY_TARGET);
            show(&format!("{what}, in a second"), &column(|one| one.per_second), "", RATE_TARGET);
        }
    }
}

fn main() {
    let Some(scratch) = std::env::var_os("SKIFF_BENCH_SCRATCH").map(PathBuf::from) else {
        // Again, in a network namespace of its own.
        let scratch = std::env::temp_dir().join(format!("skiff-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        let mut again = Command::new("unshare");
        again
            .args(["--net", "--mount"])
            .arg(std::env::current_exe().unwrap())
            .env("SKIFF_BENCH_SCRATCH", &scratch);
        let status = again.status();
        let _ = fs::remove_dir_all(&scratch);
        std::process::exit(status.ok().and_then(|status| status.code()).unwrap_or(1));
    };
    assert!(quietly(&text(&["ip", "link", "set", "lo", "up"])).status().unwrap().success());
    let has = |program| quietly(&text(&["which", program])).status().is_ok_and(|status| status.success());
    if !has("docker") {
        println!("the docker command line is needed");
        return;
    }
    println!("{SKIFF}: {} bytes", fs::metadata(SKIFF).unwrap().len());
    let (_, tar) = root_with_busybox(&scratch);
    let mut daemons = vec![Daemon::start("skiff", &scratch)];
    if has("dockerd") {
        daemons.push(Daemon::start("dockerd", &scratch));
    }
    measure(&daemons, &tar.display().to_string());
}

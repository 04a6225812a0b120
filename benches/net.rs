//! What does a container's network cost? `starts`: how much longer a start takes with it. `many`: the 500th container
//! beside the first. `throughput`: iperf3 between two containers, and to a published port from another host and from this
//! one, beside the same bridge, cables and rules set up by hand with iproute2 and nft. `forwarder`: the process that carries
//! published ports where the kernel has no nf_tables, beside docker-proxy. `names`: how many questions for names are
//! answered in a second. All that is compared is run in turn.
//!
//! `cargo bench --bench net` as root. It runs in a network namespace of its own, and nothing of this host's network is
//! touched. ROUNDS=200 starts, CONTAINERS=500 for `many`, RUNS=5 of each throughput, of 2 s, and of `names`; PARTS says which
//! parts, with commas between, ONLY which throughputs, by a word of their names. iperf3, nft and docker-proxy are used where
//! they are there. All that was made is removed at the end, also if it fails or is interrupted.

#[path = "net/forwarder.rs"]
mod forwarder;
#[path = "net/hosts.rs"]
mod hosts;
#[path = "net/names.rs"]
mod names;
#[path = "net/starts.rs"]
mod starts;
mod support;
#[path = "net/throughput.rs"]
mod throughput;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use skiff_syscalls::signal::{self, SignalSet};
use support::{quietly, root_with_busybox};

const SKIFF: &str = env!("CARGO_BIN_EXE_skiff");
/// The engines, by the names of their directories below the scratch directories: each has a bridge of its own.
const ENGINES: [&str; 2] = ["data", "other"];
/// SIGINT, SIGTERM
const INTERRUPTIONS: SignalSet = SignalSet::EMPTY.with(2).with(15);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default).max(1)
}

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

/// What a command prints; it has to succeed.
fn output(words: &[&str]) -> String {
    let output = command(&text(words)).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// What skiff prints.
fn skiff(words: &[&str]) -> String {
    output(&[&[SKIFF], words].concat())
}

fn is_installed(program: &str) -> bool {
    quietly(&text(&["which", program])).status().is_ok_and(|status| status.success())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Has a command find an engine's roots: the data on a disk, the rest on a tmpfs, as it is wherever /run is one.
fn with_engine<'a>(command: &'a mut Command, scratch: &Path, engine: &str) -> &'a mut Command {
    let run = Path::new("/dev/shm").join(scratch.file_name().unwrap());
    // What is told nothing is on the bridge.
    command
        .env("SKIFF_ROOT", scratch.join(engine))
        .env("SKIFF_RUN", run.join(engine))
        .env_remove("SKIFF_NETWORK")
}

/// Makes an image with busybox in it for all engines.
fn prepare(scratch: &Path) {
    let (_, tar) = root_with_busybox(scratch);
    let tar = tar.display().to_string();
    for engine in ENGINES {
        let mut import = quietly(&text(&[SKIFF, "import", &tar, "box"]));
        assert!(with_engine(&mut import, scratch, engine).status().unwrap().success());
    }
}

/// Removes all containers of an engine.
fn remove_containers(scratch: &Path, engine: &str) {
    let mut list = command(&text(&[SKIFF, "ps", "-aq"]));
    let Ok(listed) = with_engine(&mut list, scratch, engine).output() else { return };
    let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
    for some in ids.lines().collect::<Vec<_>>().chunks(50) {
        let mut remove = quietly(&[text(&[SKIFF, "rm", "-f"]), text(some)].concat());
        let _ = with_engine(&mut remove, scratch, engine).status();
    }
}

/// Runs this program again in a network namespace of its own, and removes what is left of it.
fn run_apart(scratch: &Path) -> i32 {
    // They end the other one, which unblocks them.
    signal::block(INTERRUPTIONS);
    let mut again = Command::new("unshare");
    again.arg("--net").arg(std::env::current_exe().unwrap());
    again.env("SKIFF_BENCH", "1").env("SKIFF_BENCH_SCRATCH", scratch);
    let status = with_engine(&mut again, scratch, ENGINES[0]).status();
    ENGINES.iter().for_each(|engine| remove_containers(scratch, engine));
    let _ = fs::remove_dir_all(scratch);
    let _ = fs::remove_dir_all(Path::new("/dev/shm").join(scratch.file_name().unwrap()));
    status.ok().and_then(|status| status.code()).unwrap_or(1)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["forward", port, target] => return forwarder::serve(port, target),
        ["ask", server, name] => return names::ask(server, name),
        _ => {}
    }
    if std::env::var_os("SKIFF_BENCH").is_none() {
        let scratch = std::env::temp_dir().join(format!("skiff-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        std::process::exit(run_apart(&scratch));
    }
    signal::set_mask(SignalSet::EMPTY);
    let scratch = PathBuf::from(std::env::var_os("SKIFF_BENCH_SCRATCH").unwrap());
    println!("{SKIFF}: {} bytes", fs::metadata(SKIFF).unwrap().len());
    output(&["ip", "link", "set", "lo", "up"]);
    prepare(&scratch);
    let wanted = std::env::var("PARTS").unwrap_or_default();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.split(',').any(|one| one == part);
    if is_wanted("starts") {
        starts::compare(&scratch);
    }
    if is_wanted("many") {
        starts::many(&scratch);
    }
    let (throughput, forwarder) = (is_wanted("throughput"), is_wanted("forwarder"));
    if (throughput || forwarder) && !is_installed("iperf3") {
        println!("\nthroughput and forwarder are left out: iperf3 is not there");
    } else if throughput || forwarder {
        let ours = throughput::Ours::new();
        if throughput {
            throughput::measure(&ours);
        }
        if forwarder {
            forwarder::measure(&ours);
        }
        remove_containers(&scratch, ENGINES[0]);
    }
    if is_wanted("names") {
        names::measure();
        remove_containers(&scratch, ENGINES[0]);
    }
}

//! How long does a container take, from the command to its end? `run --rm --network none IMAGE true`, whole process,
//! beside bwrap, unshare, crun, runc and docker where they are installed, and beside the least that isolates (bare.c,
//! where there is a C compiler). All are run in turn, so that what disturbs one disturbs all.
//!
//! `cargo bench --bench start` as root. ROUNDS=200 by default, CONTAINERS=500 for the part with many at once (0: none).

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use support::{quietly, root_with_busybox};

/// One way to start `true` in a container.
struct Rival {
    name: &'static str,
    words: Vec<String>,
    times: Vec<Duration>,
    processor: Duration,
}

/// User and system time of all children so far.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A root file system with busybox, and the same as an image.
fn prepare(scratch: &Path, skiff: &str) -> PathBuf {
    let (root, tar) = root_with_busybox(scratch);
    assert!(
        quietly(&[skiff.into(), "import".into(), tar.display().to_string(), "box".into()])
            .status()
            .unwrap()
            .success()
    );
    root
}

/// A bundle for the OCI runtimes.
fn bundle(scratch: &Path, root: &Path, runtime: &str) -> Option<PathBuf> {
    let bundle = scratch.join(runtime);
    fs::create_dir_all(&bundle).ok()?;
    let made = Command::new(runtime).arg("spec").current_dir(&bundle).status().ok()?;
    let config = fs::read_to_string(bundle.join("config.json")).ok().filter(|_| made.success())?;
    let config = config
        .replace("\"terminal\": true", "\"terminal\": false")
        .replace("\"sh\"", "\"/bin/true\"")
        .replace("\"path\": \"rootfs\"", &format!("\"path\": \"{}\"", root.display()));
    fs::write(bundle.join("config.json"), config).ok()?;
    Some(bundle)
}

fn compare(scratch: &Path, skiff: &str, root: &Path) {
    let text = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let root = root.display().to_string();
    let mut rivals = vec![
        ("skiff image", text(&[skiff, "run", "--rm", "--network", "none", "box", "true"])),
        ("skiff host", text(&[skiff, "run", "--rm", "--network", "none", "host", "/bin/true"])),
        (
            "bwrap",
            text(&[
                "bwrap",
                "--unshare-all",
                "--bind",
                &root,
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "/bin/true",
            ]),
        ),
        ("unshare", text(&["unshare", "-fpimun", "--root", &root, "/bin/true"])),
    ];
    let (bare, base) = (scratch.join("bare"), scratch.join("base"));
    fs::create_dir_all(&base).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bare.c");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&bare).arg(source).status();
    if built.is_ok_and(|status| status.success()) {
        let (bare, base) = (bare.display().to_string(), base.display().to_string());
        rivals.push(("bare C", text(&[&bare, &root, &base, "/bin/true"])));
    }
    // crun without control groups, which it can't restrict devices in everywhere: that only makes it faster.
    for (runtime, flags) in [("crun", &["--cgroup-manager=disabled"][..]), ("runc", &[])] {
        if let Some(bundle) = bundle(scratch, Path::new(&root), runtime) {
            let bundle = bundle.display().to_string();
            let words = [&[runtime], flags, &["run", "--bundle", &bundle, "skiff-bench"]].concat();
            rivals.push((runtime, text(&words)));
        }
    }
    let mut rivals: Vec<Rival> = rivals
        .into_iter()
        .filter(|(name, words)| {
            let works = quietly(words).status().is_ok_and(|status| status.success());
            if !works {
                println!("{name:12} is left out: it is not there or does not work");
            }
            works
        })
        .map(|(name, words)| Rival { name, words, times: Vec::new(), processor: Duration::ZERO })
        .collect();
    for _ in 0..number("ROUNDS", 200) {
        for rival in &mut rivals {
            let (before, start) = (processor(), Instant::now());
            assert!(quietly(&rival.words).status().unwrap().success(), "{}", rival.name);
            rival.times.push(start.elapsed());
            rival.processor += processor() - before;
        }
    }
    println!("{:12} {:>9} {:>9} {:>9}", "", "median ms", "min ms", "CPU ms");
    for rival in &mut rivals {
        rival.times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let count = rival.times.len();
        let (median, least) = (ms(rival.times[count / 2]), ms(rival.times[0]));
        println!("{:12} {median:9.2} {least:9.2} {:9.2}", rival.name, ms(rival.processor) / count as f64);
    }
}

/// Private memory of a process, in KiB.
fn private_kib(pid: &str) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// The parent of a process.
fn parent(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat[stat.rfind(')').map_or(0, |at| at + 1)..].split_whitespace().nth(1).unwrap_or("0").into()
}

fn many(skiff: &str, count: usize) {
    let text = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut times = Vec::new();
    for number in 0..count {
        let name = format!("many{number}");
        let start = Instant::now();
        let words =
            text(&[skiff, "run", "-d", "--network", "none", "--name", &name, "box", "sleep", "100000"]);
        assert!(quietly(&words).status().unwrap().success());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let few = count.min(21);
    let (first, last) = (median(&times[..few]), median(&times[count - few..]));
    println!(
        "{count} at once: start of the first {few} {first:.2} ms, of the last {few} {last:.2} ms ({:.2})",
        last / first
    );
    let mut listing: Vec<f64> = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        assert!(quietly(&text(&[skiff, "ps"])).status().unwrap().success());
        listing.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("ps with {count}: {:.2} ms", median(&listing));
    let output = Command::new(skiff).args(["ps", "-q"]).output().unwrap();
    let ids = String::from_utf8(output.stdout).unwrap();
    let mut memory: Vec<f64> = Vec::new();
    for id in ids.lines().take(20) {
        let pid = Command::new(skiff).args(["inspect", "-f", "{{.State.Pid}}", id]).output().unwrap();
        let pid = String::from_utf8(pid.stdout).unwrap();
        memory.push(private_kib(&parent(pid.trim())) as f64);
    }
    println!("a monitor's private memory: {:.0} KiB", median(&memory));
    let all: Vec<&str> = ids.lines().collect();
    for some in all.chunks(50) {
        assert!(quietly(&[text(&[skiff, "rm", "-f"]), text(some)].concat()).status().unwrap().success());
    }
}

/// The command that runs this program again. crun wants cgroup2 at /sys/fs/cgroup: where it is below that, everything is
/// run in a mount namespace that has it there.
fn with_pure_cgroup2(own: &Path) -> Command {
    const UNIFIED: &str = "/sys/fs/cgroup/unified";
    if !Path::new(UNIFIED).exists() {
        return Command::new(own);
    }
    let script = format!("mount --bind {UNIFIED} /sys/fs/cgroup && exec \"$0\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(own);
    command
}

fn main() {
    let skiff = env!("CARGO_BIN_EXE_skiff");
    let scratch = std::env::temp_dir().join(format!("skiff-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    // Run again with the engine's roots in the environment, which all that is measured inherits.
    // The run root is on a tmpfs wherever /run is.
    let run = Path::new("/dev/shm").join(scratch.file_name().unwrap());
    let data = scratch.join("data");
    if std::env::var_os("SKIFF_BENCH").is_none() {
        let own = std::env::current_exe().unwrap();
        let status = with_pure_cgroup2(&own)
            .env("SKIFF_BENCH", "1")
            .env("SKIFF_ROOT", data)
            .env("SKIFF_RUN", &run)
            // Most of those beside it have none.
            .env("SKIFF_NETWORK", "none")
            .env("SKIFF_BENCH_SCRATCH", &scratch)
            .status()
            .unwrap();
        let _ = fs::remove_dir_all(&scratch);
        let _ = fs::remove_dir_all(&run);
        std::process::exit(status.code().unwrap_or(1));
    }
    let _ = fs::remove_dir(&scratch);
    let scratch = PathBuf::from(std::env::var_os("SKIFF_BENCH_SCRATCH").unwrap());
    println!("{skiff}: {} bytes", fs::metadata(skiff).unwrap().len());
    let root = prepare(&scratch, skiff);
    compare(&scratch, skiff, &root);
    let count = number("CONTAINERS", 500);
    if count > 0 {
        many(skiff, count);
    }
}

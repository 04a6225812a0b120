//! Processes are killed at random moments: what is told stays true, nothing is left, everything can be removed.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use support::Scratch;

/// How many are killed.
const KILLS: u32 = 120;
/// Longest time for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A generator that is good enough to choose with.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// All processes: number and parent.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
        // A zombie is dead.
        if fields.next()? == "Z" { None } else { fields.next()?.parse().ok() }
    };
    numbers.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// The engine's processes on these roots, and all of their descendants: clients, server children, monitors, payloads.
fn family(scratch: &Scratch) -> Vec<u32> {
    let mark = format!("SKIFF_ROOT={}", scratch.path("data").display());
    let all = processes();
    let is_ours = |pid: u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|one| one == mark.as_bytes()))
    };
    let mut family: BTreeSet<u32> = all.iter().map(|(pid, _)| *pid).filter(|pid| is_ours(*pid)).collect();
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return family.into_iter().collect();
        }
        family.extend(more);
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Nothing of the scratch roots is in the host's mount table.
fn assert_no_mounts(scratch: &Scratch) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = scratch.path("").display().to_string();
    assert!(!mounts.contains(&root), "a mount is left: {mounts}");
}

/// The control groups of containers with these ids.
fn groups(ids: &BTreeSet<String>) -> Vec<String> {
    ["/sys/fs/cgroup/skiff", "/sys/fs/cgroup/unified/skiff"]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()))
        .filter(|name| ids.contains(name))
        .collect()
}

#[test]
fn after_any_kill_the_truth_is_told_and_nothing_is_left() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let scratch = Scratch::new();
    let names = ["alpha", "beta", "gamma"];
    let mut ids = BTreeSet::new();
    let mut killed = 0;
    while killed < KILLS {
        let name = names[dice.below(names.len())];
        let commands: [&[&str]; 9] = [
            &["run", "--rm", "--name", name, "host", "sleep", "0.02"],
            &["run", "--name", name, "host", "sleep", "0.02"],
            &["run", "-d", "--name", name, "host", "sleep", "100"],
            &["run", "-d", "--rm", "--restart", "no", "--name", name, "host", "sleep", "100"],
            &["create", "--name", name, "host", "sleep", "100"],
            &["start", name],
            &["restart", "-t", "0", name],
            &["stop", "-t", "0", name],
            &["rm", "-f", name],
        ];
        let command = commands[dice.below(commands.len())];
        let mut client = scratch.skiff(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(15_000) as u64));
        let family = family(&scratch);
        if !family.is_empty() {
            kill(family[dice.below(family.len())]);
            killed += 1;
        }
        let start = Instant::now();
        while client.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "seed {seed}: {command:?} hangs after a kill");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Who is said to run has a process that lives; names are told once.
        let listed = scratch.text(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]);
        let mut seen = BTreeSet::new();
        for line in listed.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [id, name, state] = fields[..] else { panic!("{line}") };
            ids.insert(id.to_string());
            assert!(seen.insert(name.to_string()), "seed {seed}: {name} twice:\n{listed}");
            if state == "running" {
                let output = scratch
                    .skiff(&["inspect", "-f", "{{.State.Status}} {{.State.Pid}}", id])
                    .output()
                    .unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                // It may have ended by itself since it was listed.
                if let Some(pid) = text.trim().strip_prefix("running ") {
                    let pid: u32 = pid.parse().unwrap();
                    let alive = || processes().iter().any(|(one, _)| *one == pid);
                    let status = || {
                        scratch.skiff(&["inspect", "-f", "{{.State.Status}}", id]).output().unwrap().stdout
                    };
                    assert!(pid != 0, "seed {seed}: {line}");
                    let start = Instant::now();
                    while !alive() && status() == b"running\n" {
                        assert!(start.elapsed() < PATIENCE, "seed {seed}: {line}: process {pid} is gone");
                    }
                }
            }
        }
        if dice.below(4) == 0 && !seen.is_empty() {
            let all: Vec<&str> = seen.iter().map(String::as_str).collect();
            // With --rm one may be gone already.
            let _ = scratch.skiff(&[&["rm", "-f"], &all[..]].concat()).output().unwrap();
        }
        assert_no_mounts(&scratch);
    }
    // Every name can be used again, everything can be removed, and then nothing is there.
    let listed = scratch.text(&["ps", "-aq"]);
    for id in listed.lines() {
        let _ = scratch.skiff(&["rm", "-f", id]).output().unwrap();
    }
    for name in names {
        scratch.text(&["run", "--rm", "--name", name, "host", "true"]);
    }
    let start = Instant::now();
    loop {
        let listed = scratch.text(&["ps", "-aq"]);
        let (family, groups) = (family(&scratch), groups(&ids));
        let run = fs::read_dir(scratch.path("run/containers")).unwrap().count();
        if listed.is_empty() && family.is_empty() && groups.is_empty() && run == 0 {
            break;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "seed {seed}: left: containers {listed:?}, processes {family:?}, groups {groups:?}, run directories {run}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    // Containers half made are removed when they are old enough.
    let halves = fs::read_dir(scratch.path("data/containers")).unwrap().flatten();
    for half in halves.filter(|entry| entry.file_name().to_string_lossy().starts_with(".new-")) {
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(half.path()).unwrap().set_modified(old).unwrap();
    }
    assert_eq!(scratch.text(&["ps", "-aq"]), "");
    assert_eq!(scratch.containers(), 0, "seed {seed}");
    assert_eq!(fs::read_dir(scratch.path("data/trash")).unwrap().count(), 0, "seed {seed}");
}

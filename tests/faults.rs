//! Processes are killed at random moments: what is told stays true, nothing is left, everything can be removed.

#[path = "support/kills.rs"]
mod kills;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use kills::{Dice, family, kill, processes};
use support::Scratch;

/// How many are killed.
const KILLS: u32 = 120;
/// Longest time for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let mut dice = Dice::new();
    let seed = dice.0;
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

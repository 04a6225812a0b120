//! Random moments and random processes of an engine, for tests that kill them.

use std::{
    collections::BTreeSet,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use super::support::Scratch;

/// A generator that is good enough to choose with.
pub struct Dice(pub u64);

impl Dice {
    /// One that nobody has thrown before; it is printed, so that a failure can be looked into.
    pub fn new() -> Dice {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        println!("seed {seed}");
        Dice(seed)
    }

    /// A number below the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// All processes: number and parent.
pub fn processes() -> Vec<(u32, u32)> {
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
pub fn family(scratch: &Scratch) -> Vec<u32> {
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

/// Kills a process.
pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

//! The most memory that any process of a command takes.

use std::{fs, process::Command, thread, time::Duration};

/// Of the process that takes most of each.
#[derive(Default)]
pub struct Peak {
    /// With the pages of the program itself, which all share: the kernel's own high-water mark.
    pub resident_bytes: u64,
    /// What it has written to: as often as it was looked at.
    pub private_bytes: u64,
}

/// Runs the command to its end and looks at it and its descendants all the time.
pub fn watch(command: &mut Command) -> Peak {
    let mut child = command.spawn().unwrap();
    let mut peak = Peak::default();
    loop {
        look(child.id(), &mut peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn look(pid: u32, peak: &mut Peak) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    // Before it has become the command, it is a copy of this one.
    if status.lines().next().is_some_and(|name| name == "Name:\tskiff") {
        peak.resident_bytes = peak.resident_bytes.max(bytes("VmHWM:"));
        peak.private_bytes = peak.private_bytes.max(bytes("RssAnon:"));
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        look(child, peak);
    }
}

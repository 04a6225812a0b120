//! Tests that need a kernel of their own: one boot of Debian's cloud kernel under qemu, with a complete cgroup2, an
//! initramfs and nothing else on the system. The build machine's kernel and its control groups don't matter.
//!
//! ```text
//! cargo test --test guest                     all scenarios
//! cargo test --test guest memory              those whose name contains the word
//! cargo test --test guest -- --nocapture      with what they print
//! ```
//!
//! The host's side (`host`) packs this very binary as `/init`, with `skiff`, busybox and kernel modules, boots it, and
//! reads a line of protocol for each scenario from the second serial port. Inside (`init`), process 1 runs each
//! scenario as a child: this binary again, with the scenario's name.
//!
//! # Adding a scenario
//! Write a function, or a shell script for busybox's `sh -eu`, and a line in [`SCENARIOS`]. A function fails by
//! panicking, a script by a status that is not 0; what it prints is shown then. Status 77 ([`SKIP`]) after printing the
//! reason counts as a skip. Scenarios share the booted system and run one after the other, as root, with
//! an empty environment but for PATH: leave nothing behind. There is `skiff` and all of busybox in the PATH, a disk of
//! 16 MiB of nothing at /dev/vda, tmpfs at /tmp and /run, and no network.
#![forbid(unsafe_code)]

mod cgroup;
mod cpio;
mod devices;
mod host;
mod init;
mod initramfs;
mod modules;
mod running;
mod stats;

/// One scenario.
struct Scenario {
    name: &'static str,
    place: Place,
    body: Body,
}

/// What the root file system is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The kernel's own initial file system, in which pivot_root is refused.
    Initramfs,
    /// A tmpfs, as after a switch_root.
    Tmpfs,
}

/// What is run.
enum Body {
    /// A function of this binary.
    Rust(fn()),
    /// A script for busybox's shell.
    Shell(&'static str),
}

const fn rust(name: &'static str, body: fn()) -> Scenario {
    Scenario { name, place: Place::Tmpfs, body: Body::Rust(body) }
}

const fn shell(name: &'static str, script: &'static str) -> Scenario {
    Scenario { name, place: Place::Tmpfs, body: Body::Shell(script) }
}

impl Scenario {
    const fn in_initramfs(mut self) -> Scenario {
        self.place = Place::Initramfs;
        self
    }
}

/// All of them, in the order in which they run.
const SCENARIOS: &[Scenario] = &[
    rust("pivot_root_is_refused_in_an_initramfs", initramfs::pivot_root_is_refused).in_initramfs(),
    shell("skiff_starts_in_an_initramfs", "skiff --version").in_initramfs(),
    shell("a_container_runs_in_an_initramfs", include_str!("run_in_initramfs.sh")).in_initramfs(),
    shell("files_are_copied_in_an_initramfs", include_str!("copy.sh")).in_initramfs(),
    shell("the_system_is_what_it_says", include_str!("system.sh")),
    rust("cgroup2_is_pure_and_complete", cgroup::pure_and_complete),
    rust("cgroup2_is_found_where_nobody_mounted_it", cgroup::found_where_nobody_mounted_it),
    rust("every_limit_is_written_and_read_back", cgroup::every_limit),
    rust("an_update_changes_a_running_group", cgroup::update),
    rust("the_weight_of_a_device_needs_a_scheduler_for_it", cgroup::weight_of_a_device),
    rust("a_busy_parent_is_named", cgroup::busy_parent),
    rust("memory_limit_kills_a_hog_and_counts_it", running::memory_limit),
    rust("pids_limit_stops_forks", running::pids_limit),
    rust("cpu_limit_throttles", running::cpu_limit),
    rust("cpuset_binds_to_cpus", running::cpuset),
    rust("io_limit_slows_a_disk", running::io_limit),
    rust("freeze_stops_and_kill_ends_everything", running::freeze_and_kill),
    rust("device_rules_deny_what_they_do_not_allow", devices::rules),
    rust("stats_say_what_was_used", stats::all),
    shell("limits_hold_through_the_command", include_str!("limits.sh")),
    shell("ports_are_published_with_a_packet_filter_and_without", include_str!("network.sh")),
    shell("user_and_time_namespaces_know_the_kernel", include_str!("namespaces.sh")).in_initramfs(),
];

/// The status that means: skipped.
const SKIP: i32 = 77;

fn main() -> std::process::ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name] = words.as_slice()
        && first == init::SCENARIO
    {
        let scenario =
            SCENARIOS.iter().find(|scenario| scenario.name == name).expect("the name comes from init");
        if let Body::Rust(body) = scenario.body {
            body();
        }
        return std::process::ExitCode::SUCCESS;
    }
    host::main(&words)
}

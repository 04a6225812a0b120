//! Health checks, through the real binary.

mod support;

use std::time::{Duration, Instant};

use support::Scratch;

/// Longest time for anything here.
const PATIENCE: Duration = Duration::from_secs(30);

fn shown(scratch: &Scratch, field: &str) -> String {
    scratch.text(&["inspect", "-f", &format!("{{{{{field}}}}}"), "checked"]).trim_end().into()
}

fn until(scratch: &Scratch, field: &str, wanted: &str) {
    let start = Instant::now();
    while shown(scratch, field) != wanted {
        assert!(
            start.elapsed() < PATIENCE,
            "{field} is {:?}, not {wanted}: {}",
            shown(scratch, field),
            shown(scratch, "json .State")
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A container `checked` with this check every 20 ms.
fn checked(command: &str, flags: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    let before = ["run", "-d", "--name", "checked", "--health-interval", "20ms", "--health-cmd", command];
    scratch.text(&[&before, flags, &["host", "sleep", "1000"]].concat());
    scratch
}

fn remove(scratch: &Scratch) {
    scratch.text(&["rm", "-f", "checked"]);
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_container_is_healthy_while_its_check_succeeds_and_recovers() {
    let scratch = checked("echo looked; test ! -e /tmp/broken", &["--health-retries", "2"]);
    until(&scratch, ".State.Health.Status", "healthy");
    assert!(scratch.text(&["ps", "--format", "{{.Status}}"]).ends_with("(healthy)\n"));
    assert_eq!(shown(&scratch, "(index .State.Health.Log 0).Output"), "looked");
    assert_eq!(shown(&scratch, "(index .State.Health.Log 0).ExitCode"), "0");
    scratch.text(&["exec", "checked", "touch", "/tmp/broken"]);
    until(&scratch, ".State.Health.Status", "unhealthy");
    assert!(shown(&scratch, ".State.Health.FailingStreak").parse::<u32>().unwrap() >= 2);
    until(&scratch, "len .State.Health.Log", "5");
    scratch.text(&["exec", "checked", "rm", "/tmp/broken"]);
    until(&scratch, ".State.Health.Status", "healthy");
    remove(&scratch);
}

#[test]
fn a_check_that_takes_too_long_is_killed_and_one_that_cannot_run_fails() {
    let scratch = checked("sleep 1000", &["--health-timeout", "30ms", "--health-retries", "1"]);
    until(&scratch, ".State.Health.Status", "unhealthy");
    assert_eq!(shown(&scratch, "(index .State.Health.Log 0).ExitCode"), "-1");
    assert_eq!(shown(&scratch, "(index .State.Health.Log 0).Output"), "Health check exceeded timeout (30ms)");
    // Time for many of them.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let start = Instant::now();
    // One may have begun just now; what was killed is gone.
    while scratch.text(&["top", "checked"]).matches("sleep 1000").count() > 3 {
        assert!(start.elapsed() < PATIENCE, "{}", scratch.text(&["top", "checked"]));
    }
    remove(&scratch);
    let scratch = checked("no-such-program", &["--health-retries", "1"]);
    until(&scratch, ".State.Health.Status", "unhealthy");
    assert_eq!(shown(&scratch, "(index .State.Health.Log 0).ExitCode"), "127");
    remove(&scratch);
}

#[test]
fn a_paused_container_is_not_probed_and_a_restarted_one_begins_anew() {
    let scratch = checked("true", &[]);
    until(&scratch, ".State.Health.Status", "healthy");
    scratch.text(&["pause", "checked"]);
    let last = || shown(&scratch, "json .State.Health.Log");
    let stood = last();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(last(), stood, "it is probed while it is paused");
    scratch.text(&["unpause", "checked"]);
    let start = Instant::now();
    while last() == stood {
        assert!(start.elapsed() < PATIENCE, "it is not probed again");
    }
    scratch.text(&["restart", "-t", "0", "checked"]);
    until(&scratch, ".State.Health.Status", "healthy");
    remove(&scratch);
}

#[test]
fn settings_are_checked_and_can_be_switched_off() {
    let scratch = Scratch::new();
    scratch.refused(&["--health-cmd", "true", "--health-retries", "-1", "host", "true"], 125, "retries");
    scratch.text(&["run", "-d", "--name", "checked", "--no-healthcheck", "host", "sleep", "1000"]);
    assert!(!shown(&scratch, "json .State").contains("Health"));
    remove(&scratch);
}

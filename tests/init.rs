//! `--init`: the first process of a container reaps, passes signals on, and ends as its program does.

mod support;

use std::time::{Duration, Instant};

use support::Scratch;

#[test]
fn the_program_is_its_child_and_ends_it() {
    let scratch = Scratch::new();
    let text = scratch.sh(&["--init"], "echo $$; cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline");
    assert!(text.starts_with("2\ndocker-init\n/sbin/docker-init -- sh -c"), "{text}");
    assert_eq!(scratch.run(&["--init", "host", "sh", "-c", "exit 9"]).status.code(), Some(9));
    assert_eq!(scratch.run(&["--init", "host", "sh", "-c", "kill -TERM $$"]).status.code(), Some(143));
    let output = scratch.run(&["--init", "host", "no-such-program"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("executable file not found in $PATH"));
}

#[test]
fn orphans_are_reaped() {
    let scratch = Scratch::new();
    let script = "( sleep 0.01 & ) ; sleep 0.3; ps -o stat= ax | grep -c Z";
    assert_eq!(
        String::from_utf8(scratch.run(&["--init", "host", "sh", "-c", script]).stdout).unwrap(),
        "0\n"
    );
}

#[test]
fn signals_are_passed_on_real_time_ones_too() {
    let scratch = Scratch::new();
    for (signal, script) in [("USR1", "USR1"), ("40", "RTMIN+6")] {
        let script = format!("trap 'exit 21' {script}; echo ready; while :; do sleep 0.01; done");
        scratch.text(&["run", "-d", "--init", "--name", "init", "host", "bash", "-c", &script]);
        let start = Instant::now();
        let log = || {
            let id = scratch.text(&["inspect", "-f", "{{.Id}}", "init"]);
            std::fs::read_to_string(scratch.path(&format!("data/containers/{}/log.json", id.trim())))
                .unwrap_or_default()
        };
        while !log().contains("ready") {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        scratch.text(&["kill", "-s", signal, "init"]);
        assert_eq!(scratch.text(&["wait", "init"]), "21\n");
        scratch.text(&["rm", "init"]);
    }
}

#[test]
fn the_engines_file_behind_it_is_read_only() {
    let scratch = Scratch::new();
    let script = "grep docker-init /proc/self/mountinfo | cut -d' ' -f6; ( : >> /proc/1/exe ) 2>&1; ( : >> /sbin/docker-init ) 2>&1";
    let output = scratch.run(&["--init", "host", "sh", "-c", script]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ro,nosuid,nodev"), "{text}");
    assert_eq!(text.matches("Read-only file system").count() + text.matches("busy").count(), 2, "{text}");
}

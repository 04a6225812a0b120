//! What a running container's monitor obeys, and what it refuses at once, through the real binary.

mod support;

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use support::{Scratch, until};

/// Runs `skiff` to its end, which has to come; its exit code, stdout and stderr.
fn done(scratch: &Scratch, arguments: &[&str]) -> (i32, String, String) {
    let mut child = scratch.skiff(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&format!("{arguments:?} does not end"), &mut || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A container that runs until its client's stdin is closed, and is there when this returns.
fn started(scratch: &Scratch, name: &str, script: &str) -> Child {
    let arguments = ["run", "--rm", "-i", "--name", name, "host", "sh", "-c", script];
    let child = scratch.skiff(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    until("the container does not run", &mut || done(scratch, &["ps", "-q"]).1.lines().count() == 1);
    child
}

fn ended(child: &mut Child) -> i32 {
    until("the client does not end", &mut || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code().unwrap()
}

#[test]
fn kill_ends_it_and_the_client_hears_137() {
    let scratch = Scratch::new();
    let mut client = started(&scratch, "killed", "cat");
    assert_eq!(done(&scratch, &["kill", "killed"]), (0, "killed\n".into(), String::new()));
    assert_eq!(ended(&mut client), 137);
    let (code, _, error) = done(&scratch, &["kill", "killed"]);
    assert_eq!(code, 1);
    assert!(error.contains("No such container"), "{error}");
}

#[test]
fn a_signal_reaches_process_one() {
    let scratch = Scratch::new();
    let ready = scratch.path("ready");
    std::fs::create_dir(&ready).unwrap();
    let bind = format!("{}:/mnt", ready.display());
    let script = "trap 'exit 42' USR1; : > /mnt/set; while :; do read -r line; done";
    let arguments = ["run", "--rm", "-i", "--name", "trapped", "-v", &bind, "host", "sh", "-c", script];
    let mut client = scratch.skiff(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    until("the trap is not set", &mut || ready.join("set").exists());
    assert_eq!(done(&scratch, &["kill", "-s", "USR1", "trapped"]).0, 0);
    assert_eq!(ended(&mut client), 42);
}

#[test]
fn stop_waits_for_the_end_and_then_kills() {
    let scratch = Scratch::new();
    // A shell that is process 1 ignores SIGTERM without a trap: the time runs out.
    let mut client = started(&scratch, "stubborn", "cat");
    let start = Instant::now();
    assert_eq!(done(&scratch, &["stop", "-t", "1", "stubborn"]).0, 0);
    assert!(start.elapsed() >= Duration::from_secs(1), "stop did not wait: {:?}", start.elapsed());
    assert_eq!(scratch.containers(), 0, "stop came back before the container was gone");
    assert_eq!(ended(&mut client), 137);
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let scratch = Scratch::new();
    let ticks = scratch.path("ticks");
    std::fs::create_dir(&ticks).unwrap();
    let bind = format!("{}:/mnt", ticks.display());
    let script = "while :; do echo x >> /mnt/log; sleep 0.02; done";
    let arguments = ["run", "--rm", "-i", "--name", "frozen", "-v", &bind, "host", "sh", "-c", script];
    let mut client = scratch.skiff(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let length = || std::fs::metadata(ticks.join("log")).map_or(0, |file| file.len());
    until("it does not tick", &mut || length() > 2);
    assert_eq!(done(&scratch, &["pause", "frozen"]).0, 0);
    assert!(done(&scratch, &["ps"]).1.contains("(Paused)"));
    let stood = length();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(length(), stood, "it ticks while it is paused");
    let (code, _, error) = done(&scratch, &["pause", "frozen"]);
    assert_eq!(code, 1);
    assert!(error.contains("already paused"), "{error}");
    assert_eq!(done(&scratch, &["unpause", "frozen"]).0, 0);
    until("it does not go on", &mut || length() > stood);
    assert_eq!(done(&scratch, &["kill", "frozen"]).0, 0);
    assert_eq!(ended(&mut client), 137);
}

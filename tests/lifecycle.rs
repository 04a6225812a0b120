//! Containers that stay: create, start, stop, restart, attach, the restart policy and removal, through the real binary.

mod support;

use std::{
    io::{Read, Write},
    process::Stdio,
};

use support::{Scratch, until};

fn inspect(scratch: &Scratch, name: &str, format: &str) -> String {
    scratch.text(&["inspect", "--format", format, name]).trim_end().into()
}

/// The text of a container's log, without times.
fn log(scratch: &Scratch, name: &str) -> String {
    let id = inspect(scratch, name, "{{.Id}}");
    std::fs::read_to_string(scratch.path(&format!("data/containers/{id}/log.json"))).unwrap_or_default()
}

#[test]
fn a_detached_container_runs_on_its_own_until_it_is_stopped() {
    let scratch = Scratch::new();
    let id = scratch.text(&["run", "-d", "--name", "one", "host", "sh", "-c", "echo begun; exec sleep 1000"]);
    assert_eq!(id.trim_end().len(), 64);
    assert_eq!(
        inspect(&scratch, "one", "{{.State.Status}} {{.State.Running}} {{.Id}}"),
        format!("running true {}", id.trim_end())
    );
    until("its output is not in the log", &mut || {
        log(&scratch, "one").contains("\"log\":\"begun\\n\",\"stream\":\"stdout\"")
    });
    assert_eq!(scratch.text(&["ps", "--format", "{{.Names}}"]), "one\n");
    scratch.fails(&["rm", "one"], 1, "cannot remove a running container");
    assert_eq!(scratch.text(&["start", "one"]), "one\n", "starting what runs is no error");
    assert_eq!(scratch.text(&["stop", "-t", "0", "one"]), "one\n");
    assert_eq!(
        inspect(&scratch, "one", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}"),
        "exited 137 0"
    );
    assert_eq!(scratch.text(&["ps", "-q"]), "");
    assert_eq!(scratch.text(&["restart", "-t", "0", "one"]), "one\n");
    let first = inspect(&scratch, "one", "{{.State.Pid}}");
    assert_eq!(scratch.text(&["restart", "-t", "0", "one"]), "one\n");
    assert_ne!(inspect(&scratch, "one", "{{.State.Pid}}"), first);
    assert_eq!(scratch.text(&["rm", "-f", "one"]), "one\n");
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_created_container_is_started_with_its_output_and_exit_code() {
    let scratch = Scratch::new();
    scratch.text(&["create", "--name", "two", "host", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(
        inspect(&scratch, "two", "{{.State.Status}} {{.State.StartedAt}}"),
        "created 0001-01-01T00:00:00Z"
    );
    for _ in 0..3 {
        let output = scratch.skiff(&["start", "-a", "two"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    }
    assert_eq!(log(&scratch, "two").lines().count(), 6);
    assert_eq!(scratch.text(&["wait", "two"]), "3\n");
    assert_eq!(scratch.text(&["rm", "two"]), "two\n");
}

#[test]
fn what_cannot_be_started_says_so_and_can_be_removed() {
    let scratch = Scratch::new();
    scratch.fails(
        &["run", "-d", "--name", "none", "host", "no-such-program"],
        127,
        "executable file not found in $PATH",
    );
    assert_eq!(inspect(&scratch, "none", "{{.State.Status}} {{.State.ExitCode}}"), "created 127");
    assert!(inspect(&scratch, "none", "{{.State.Error}}").contains("no-such-program"));
    scratch.fails(&["start", "none"], 1, "executable file not found in $PATH");
    scratch.fails(&["run", "--name", "directory", "host", "/etc"], 126, "permission denied");
    scratch.fails(&["run", "-d", "--rm", "host", "no-such-program"], 127, "executable file not found");
    scratch.text(&["rm", "none", "directory"]);
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_container_that_fails_is_started_again_as_often_as_its_policy_says() {
    let scratch = Scratch::new();
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "again",
        "--restart",
        "on-failure:2",
        "host",
        "sh",
        "-c",
        "echo tried; exit 4",
    ]);
    until("it does not give up", &mut || inspect(&scratch, "again", "{{.State.Status}}") == "exited");
    assert_eq!(inspect(&scratch, "again", "{{.RestartCount}} {{.State.ExitCode}}"), "2 4");
    assert_eq!(log(&scratch, "again").matches("tried").count(), 3);
    scratch.text(&["run", "-d", "--name", "always", "--restart", "always", "host", "sh", "-c", "exit 0"]);
    until("it is not restarted", &mut || inspect(&scratch, "always", "{{.RestartCount}}") != "0");
    scratch.text(&["stop", "-t", "0", "always"]);
    assert_eq!(inspect(&scratch, "always", "{{.State.Status}}"), "exited");
    scratch.fails(&["run", "--rm", "--restart", "always", "host", "true"], 125, "restart");
}

#[test]
fn clients_attach_and_detach_and_the_container_goes_on() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "-i", "--name", "cat", "host", "cat"]);
    let attach =
        || scratch.skiff(&["attach", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut first, mut second) = (attach(), attach());
    let mut answer = [0; 6];
    // Whoever is attached by now hears it; it is said until both have.
    first.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    first.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");
    second.stdin.as_mut().unwrap().write_all(b"there\n").unwrap();
    first.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"there\n");
    first.kill().unwrap();
    first.wait().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(inspect(&scratch, "cat", "{{.State.Status}}"), "running");
    let mut third = attach();
    third.stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
    third.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"again\n");
    scratch.text(&["kill", "cat"]);
    assert_eq!(third.wait().unwrap().code(), Some(137));
}

#[test]
fn a_kept_container_is_there_after_an_attached_run() {
    let scratch = Scratch::new();
    let output =
        scratch.with_input(&["run", "-i", "--name", "kept", "host", "sh", "-c", "cat; exit 5"], b"input");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(5), &b"input"[..]));
    assert_eq!(inspect(&scratch, "kept", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    scratch.fails(&["run", "--name", "kept", "host", "true"], 125, "is already in use by container");
    assert!(scratch.text(&["container", "prune", "-f"]).contains("Deleted Containers:"));
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_terminal_is_left_by_its_keys_and_taken_up_again() {
    let scratch = Scratch::new();
    let mut terminal = support::Terminal::new(24, 90);
    let mut client = terminal.spawn(scratch.skiff(&["run", "-it", "--rm", "--name", "term", "host", "sh"]));
    terminal.type_in(b"stty size; echo $TERM\n");
    terminal.wait_for("24 90");
    terminal.wait_for("xterm");
    terminal.type_in(b"\x10\x11");
    terminal.wait_for("read escape sequence");
    assert_eq!(client.wait().unwrap().code(), Some(0));
    assert_eq!(inspect(&scratch, "term", "{{.State.Status}}"), "running");
    let mut client = terminal.spawn(scratch.skiff(&["attach", "term"]));
    terminal.type_in(b"echo ba''ck\n");
    terminal.wait_for("back");
    terminal.type_in(b"exit 3\n");
    assert_eq!(client.wait().unwrap().code(), Some(3));
    assert_eq!(scratch.containers(), 0);
}

//! `skiff logs`, through the real binary.

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use support::{Scratch, until};

/// stdout and stderr of `skiff logs` with these arguments.
fn logs(scratch: &Scratch, arguments: &[&str]) -> (String, String) {
    let output = scratch.skiff(&[&["logs"], arguments].concat()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
    (text(output.stdout), text(output.stderr))
}

#[test]
fn both_streams_are_kept_and_told_apart() {
    let scratch = Scratch::new();
    scratch
        .skiff(&["run", "--name", "one", "host", "sh", "-c", "echo one; echo two >&2; printf three"])
        .output()
        .unwrap();
    assert_eq!(logs(&scratch, &["one"]), ("one\nthree".into(), "two\n".into()));
    // What came first of two streams is not certain; the part without a line break is the last line.
    assert_eq!(logs(&scratch, &["--tail", "1", "one"]), ("three".into(), String::new()));
    assert_eq!(logs(&scratch, &["-n", "0", "one"]), (String::new(), String::new()));
    assert_eq!(logs(&scratch, &["--details", "--tail", "1", "one"]).0, " three");
    let stamped = logs(&scratch, &["-t", "-n1", "one"]).0;
    let (time, text) = stamped.split_once(' ').unwrap();
    assert_eq!((time.len(), text), ("2006-01-02T15:04:05.000000000Z".len(), "three"));
    assert_eq!(logs(&scratch, &["--since", time, "one"]).0, "three");
    assert_eq!(logs(&scratch, &["--until", "1h", "one"]), (String::new(), String::new()));
    assert_eq!(logs(&scratch, &["--since", "1h", "one"]).0, "one\nthree");
    assert_eq!(
        logs(&scratch, &["-f", "one"]).0,
        "one\nthree",
        "a container that has ended is not waited for"
    );
}

#[test]
fn a_terminal_has_one_stream() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "-t", "--name", "one", "host", "sh", "-c", "echo one; echo two >&2"]);
    scratch.text(&["wait", "one"]);
    assert_eq!(logs(&scratch, &["one"]), ("one\r\ntwo\r\n".into(), String::new()));
}

#[test]
fn following_goes_on_to_the_end_of_the_container() {
    let scratch = Scratch::new();
    scratch.text(&[
        "run",
        "-d",
        "-i",
        "--name",
        "one",
        "host",
        "sh",
        "-c",
        "echo first; read word; echo $word",
    ]);
    let mut follower = scratch.skiff(&["logs", "-f", "one"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    scratch.with_input(&["attach", "one"], b"last\n");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn following_ends_well_with_a_container_that_is_removed() {
    let scratch = Scratch::new();
    for round in 0..30 {
        scratch.text(&["run", "-d", "--name", "one", "host", "sh", "-c", "echo line; sleep 1000"]);
        let mut follower = scratch.skiff(&["logs", "-f", "one"]);
        let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 5];
        follower.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        scratch.text(&["rm", "-f", "one"]);
        let ended = follower.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stdout.is_empty(), "round {round}: {ended:?}");
    }
}

#[test]
fn following_ends_with_a_container_whose_monitor_was_killed() {
    let scratch = Scratch::new();
    let id = scratch.text(&["run", "-d", "--name", "one", "host", "sh", "-c", "echo first; exec sleep 1000"]);
    let mut follower = scratch.skiff(&["logs", "-f", "one"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    scratch.kill_monitor(id.trim_end());
    until("it still follows", &mut || follower.try_wait().unwrap().is_some());
    // Its control group goes with it.
    scratch.text(&["rm", "one"]);
}

#[test]
fn what_has_no_log_says_so() {
    let scratch = Scratch::new();
    scratch.text(&["create", "--name", "new", "host", "true"]);
    assert_eq!(logs(&scratch, &["-f", "new"]), (String::new(), String::new()));
    scratch.skiff(&["run", "--name", "quiet", "--log-driver", "none", "host", "echo", "x"]).output().unwrap();
    scratch.fails(&["logs", "quiet"], 1, "configured logging driver does not support reading");
    scratch.fails(&["logs", "nobody"], 1, "No such container: nobody");
    scratch.fails(&["logs", "--since", "yesterday", "new"], 1, "since");
}

//! What happens is told: `skiff events`, through the real binary.

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
};

use support::Scratch;

/// What has been told so far, a line for each event.
fn told(scratch: &Scratch, flags: &[&str]) -> Vec<String> {
    let all = [&["events", "--since", "1h", "--until", "0s"], flags].concat();
    scratch.text(&all).lines().map(String::from).collect()
}

/// The actions, in order.
fn actions(scratch: &Scratch, flags: &[&str]) -> Vec<String> {
    told(scratch, &[&["--format", "{{.Action}}"], flags].concat())
}

/// `skiff events` that goes on; it listens when this returns, for the first event has come.
fn follow(scratch: &Scratch, flags: &[&str]) -> (Child, BufReader<ChildStdout>) {
    scratch.text(&["volume", "create", "first"]);
    let arguments = [&["events", "--since", "1h"], flags].concat();
    let mut child = scratch.skiff(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("volume create first (driver=local)"), "{line}");
    (child, lines)
}

#[test]
fn the_life_of_a_container_is_told() {
    let scratch = Scratch::new();
    let id = scratch.text(&["run", "-d", "--name", "one", "-l", "tier=front", "host", "sleep", "1000"]);
    let id = id.trim_end();
    scratch.text(&["pause", "one"]);
    scratch.text(&["unpause", "one"]);
    scratch.text(&["top", "one"]);
    scratch.text(&["rename", "one", "two"]);
    scratch.text(&["exec", "two", "true"]);
    scratch.text(&["kill", "-s", "WINCH", "two"]);
    scratch.text(&["restart", "-t", "0", "two"]);
    scratch.text(&["stop", "-t", "0", "two"]);
    scratch.text(&["rm", "two"]);
    assert_eq!(
        actions(&scratch, &["--filter", "container=two"]),
        [
            "rename",
            // Docker puts a blank behind a program without arguments.
            "exec_create: true ",
            "exec_start: true ",
            "exec_die",
            "kill",
            "kill",
            "kill",
            "die",
            "stop",
            "start",
            "restart",
            "kill",
            "kill",
            "die",
            "stop",
            "destroy"
        ]
    );
    assert_eq!(
        actions(&scratch, &["--filter", &format!("container={id}"), "--filter", "label=tier=front"])[..6],
        ["create", "start", "pause", "unpause", "top", "rename"]
    );
    let ends = told(&scratch, &["--filter", "event=die"]);
    let attributes = "(execDuration=0, exitCode=137, image=host, name=two, tier=front)";
    assert!(ends[0].ends_with(&format!(" container die {id} {attributes}")), "{}", ends[0]);
    let renamed = told(&scratch, &["--filter", "event=rename"]);
    assert!(renamed[0].ends_with("(image=host, name=two, oldName=/one, tier=front)"), "{}", renamed[0]);
    let killed = told(&scratch, &["--filter", "event=kill", "--format", "{{.Actor.Attributes.signal}}"]);
    assert_eq!(killed, ["28", "15", "9", "15", "9"]);
}

#[test]
fn an_attached_run_is_told_to_its_end() {
    let scratch = Scratch::new();
    scratch.run(&["--name", "one", "host", "sh", "-c", "exit 3"]);
    assert_eq!(actions(&scratch, &[]), ["create", "attach", "start", "die", "destroy"]);
    let json = told(&scratch, &["--format", "json", "--filter", "event=die"]);
    let event: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(event["Actor"]["Attributes"]["exitCode"], "3");
    assert_eq!(
        (&event["status"], &event["from"], &event["scope"]),
        (&"die".into(), &"host".into(), &"local".into())
    );
    scratch.run(&["host", "no-such-program"]);
    assert_eq!(actions(&scratch, &[])[5..], ["create", "attach", "destroy"]);
}

#[test]
fn images_and_volumes_are_told() {
    let scratch = Scratch::new();
    let tar = scratch.path("empty.tar");
    std::fs::write(&tar, [0; 1024]).unwrap();
    scratch.text(&["import", tar.to_str().unwrap(), "a:1"]);
    scratch.text(&["tag", "a:1", "b"]);
    scratch.text(&["rmi", "b"]);
    scratch.text(&["rmi", "a:1"]);
    assert_eq!(
        actions(&scratch, &["-f", "type=image"]),
        ["tag", "import", "tag", "untag", "untag", "delete"]
    );
    scratch.text(&["volume", "create", "data"]);
    scratch.text(&["volume", "create", "data"]);
    scratch.text(&["volume", "rm", "data"]);
    assert_eq!(actions(&scratch, &["-f", "volume=data"]), ["create", "destroy"]);
}

#[test]
fn volumes_tell_who_mounts_them_and_a_command_tells_its_words() {
    let scratch = Scratch::new();
    scratch.text(&["volume", "create", "data"]);
    let flags = ["run", "-d", "--name", "one", "-v", "data:/d:ro", "-v", "/anonymous"];
    let id = scratch.text(&[&flags[..], &["host", "sleep", "1000"]].concat());
    scratch.text(&["exec", "one", "sh", "-c", "exit 0"]);
    let missing = scratch.skiff(&["exec", "one", "no-such-program"]).output().unwrap();
    assert!(!missing.status.success());
    scratch.text(&["rm", "-f", "-v", "one"]);
    let volume = told(&scratch, &["-f", "volume=data", "--format", "{{.Action}} {{json .Actor.Attributes}}"]);
    let container = id.trim_end();
    let mounted = format!(
        "mount {{\"container\":\"{container}\",\"destination\":\"/d\",\"driver\":\"local\",\"propagation\":\"\",\
         \"read/write\":\"false\"}}"
    );
    let unmounted = format!("unmount {{\"container\":\"{container}\",\"driver\":\"local\"}}");
    assert_eq!(volume, ["create {\"driver\":\"local\"}", &mounted, &unmounted]);
    assert_eq!(
        actions(&scratch, &[]),
        [
            "create",
            "create",
            "create",
            "mount",
            "mount",
            "start",
            "exec_create: sh -c exit 0",
            "exec_start: sh -c exit 0",
            "exec_die",
            "exec_create: no-such-program ",
            "exec_start: no-such-program ",
            "kill",
            "die",
            "unmount",
            "unmount",
            "destroy",
            "destroy"
        ]
    );
}

#[test]
fn what_a_prune_has_made_free_is_told() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "--name", "one", "-v", "/anonymous", "host", "true"]);
    scratch.text(&["wait", "one"]);
    scratch.text(&["container", "prune", "-f"]);
    scratch.text(&["volume", "prune", "-f"]);
    let pruned = told(&scratch, &["-f", "event=prune", "--format", "{{json .}}"]);
    for (line, kind) in pruned.iter().zip(["container", "volume"]) {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&event["Type"], &event["Actor"]["ID"]), (&kind.into(), &"".into()), "{line}");
        assert_eq!(event["Actor"]["Attributes"], serde_json::json!({"reclaimed": "0"}), "{line}");
        assert!(event.get("id").is_none() && event.get("from").is_none(), "{line}");
    }
    assert_eq!(pruned.len(), 2);
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let scratch = Scratch::new();
    let (mut child, mut lines) = follow(&scratch, &["-f", "type=volume"]);
    let mut line = String::new();
    scratch.run(&["host", "true"]);
    scratch.text(&["volume", "rm", "first"]);
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("volume destroy first"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lines.read_to_string(&mut line).unwrap(), 0);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let scratch = Scratch::new();
    scratch.fails(&["events", "--since", "0s", "--until", "1h"], 1, "cannot be after `until`");
    scratch.fails(&["events", "--filter", "color=red"], 1, "invalid filter 'color'");
}

//! `commit` through the real binary. What it answers was recorded from dockerd 20.10.

mod support;

use std::fs;

use support::{Kept, Scratch, until, with_box};

fn inspect(scratch: &Scratch, format: &str, name: &str) -> String {
    scratch.text(&["inspect", "-f", format, name]).trim().to_string()
}

fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
    }
    rustix::process::geteuid().is_root()
}

#[test]
fn an_image_has_what_a_container_wrote_and_lacks_what_it_removed() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&["ENV A=1", "CMD [\"sh\"]"]);
    let script =
        "mkdir -p /d/gone /d/kept; echo 1 >/d/gone/f; echo 2 >/d/kept/f; echo 3 >/d/f; ln /d/f /d/hard";
    scratch.text(&["run", "--name", "one", "box", "sh", "-c", script]);
    let first = scratch.text(&["commit", "one", "first"]);
    assert_eq!(first.trim(), inspect(&scratch, "{{.Id}}", "first"));
    let script = "rm -rf /d/gone /etc/passwd; rm -r /d/kept; mkdir /d/kept; echo new >/d/kept/new; mkdir /etc/passwd; \
                  echo changed >>/d/f; ln -s f /d/link";
    scratch.text(&["run", "--name", "two", "first", "sh", "-c", script]);
    assert_eq!(
        scratch.text(&["diff", "two"]),
        "C /d\nC /d/f\nD /d/gone\nC /d/kept\nD /d/kept/f\nA /d/kept/new\nA /d/link\nC /etc\nC /etc/passwd\n"
    );
    scratch.text(&["commit", "two", "two:1"]);
    let look = "cd /d; ls; cat f hard kept/new; ls kept; readlink link; stat -c %F /etc/passwd";
    assert_eq!(
        scratch.text(&["run", "--rm", "two:1", "sh", "-c", look]),
        "f\nhard\nkept\nlink\n3\nchanged\n3\nnew\nnew\nf\ndirectory\n"
    );
    // The same changes are the same layer.
    let layers = "{{json .RootFS.Layers}}";
    scratch.text(&["commit", "two", "again"]);
    assert_eq!(inspect(&scratch, layers, "two:1"), inspect(&scratch, layers, "again"));
    assert_eq!(inspect(&scratch, "{{len .RootFS.Layers}}", "two:1"), "3");
    // The container's image can go before its own.
    scratch.text(&["rm", "one", "two"]);
    scratch.text(&["rmi", "first", "box", "again"]);
    assert_eq!(scratch.text(&["run", "--rm", "two:1", "cat", "/d/kept/new"]), "new\n");
    scratch.text(&["rmi", "two:1"]);
    assert_eq!(fs::read_dir(scratch.path("data/layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(scratch.path("data/tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_said_is_in_the_config_and_the_history() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&["ENV A=1", "WORKDIR /data"]);
    scratch.text(&["create", "--name", "cc", "-h", "named", "-e", "B=2", "-t", "box", "echo", "hi"]);
    let flags =
        ["-a", "Me <m@x>", "-m", "a note", "-c", "ENV Z=1", "--change", "CMD [\"ls\"]", "-c", "LABEL a=b"];
    scratch.text(&[&["commit"], &flags[..], &["cc", "said:1"]].concat());
    let format = "{{json .Config.Env}} {{json .Config.Cmd}} {{.Config.WorkingDir}} {{json .Config.Labels}} \
                  {{.Config.Hostname}} {{.Config.Tty}} {{.Author}} {{.Comment}} {{json .RepoTags}}";
    let expected = r#"["B=2","A=1","Z=1"] ["ls"] /data {"a":"b"}  false Me <m@x> a note ["said:1"]"#;
    assert_eq!(inspect(&scratch, format, "said:1"), expected);
    let history = "{{.CreatedBy}}|{{.Comment}}|{{.Size}}";
    let told = scratch.text(&["history", "--format", history, "said:1"]);
    assert_eq!(told.lines().next(), Some("echo hi|a note|0B"));
    assert_eq!(scratch.text(&["run", "--rm", "said:1"]), "seed\n");
    for (arguments, words) in [
        (&["commit", "cc", "Bad"][..], "must be lowercase"),
        (&["commit", "-c", "RUN x", "cc"], "RUN is not a valid change command"),
        (&["commit", "none"], "No such container: none"),
        (&["commit", "cc", "host"], "stands for this machine's own root file system"),
    ] {
        scratch.fails(arguments, 1, words);
    }
    let told =
        scratch.text(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}"]);
    assert_eq!(told.matches("container commit\n").count(), 1, "{told}");
    assert!(told.contains("image tag\ncontainer commit\n"), "{told}");
}

#[test]
fn the_same_changes_are_the_same_image_if_the_time_is_given() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&[]);
    scratch.text(&["run", "--name", "cc", "box", "sh", "-c", "echo 1 >/data/f; echo 2 >/data/g"]);
    let commit = |epoch: &str| {
        let output = scratch.skiff(&["commit", "cc"]).env("SOURCE_DATE_EPOCH", epoch).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (first, second, later) = (commit("1000000000"), commit("1000000000"), commit("1000000001"));
    assert_eq!(first.0, Some(0));
    assert_eq!(first, second);
    assert_ne!(first.1, later.1);
    assert_eq!(inspect(&scratch, "{{.Created}}", first.1.trim()), "2001-09-09T01:46:40Z");
    let time = scratch.text(&["run", "--rm", first.1.trim(), "busybox", "stat", "-c", "%Y", "/data/f"]);
    assert_eq!(time, "1000000000\n");
    assert_eq!(commit("soon").0, Some(1));
}

#[test]
fn a_container_that_wrote_nothing_has_the_layers_of_its_image() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&[]);
    scratch.text(&["create", "--name", "cc", "box", "sh"]);
    assert_eq!(scratch.text(&["diff", "cc"]), "");
    let id = scratch.text(&["commit", "cc"]);
    let layers = "{{json .RootFS.Layers}} {{.Size}}";
    assert_eq!(inspect(&scratch, layers, id.trim()), inspect(&scratch, layers, "box"));
    assert_ne!(id.trim(), inspect(&scratch, "{{.Id}}", "box"));
    let told = scratch.text(&["history", "--format", "{{.CreatedBy}} {{.Size}}", id.trim()]);
    assert_eq!(told.lines().next(), Some("sh 0B"));
    assert!(scratch.text(&["images"]).contains("<none>"));
}

#[test]
fn a_running_container_is_frozen_meanwhile_unless_told_otherwise() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&[]);
    // Two files that are always changed together look alike in a frozen one.
    let script = "echo ready; i=0; while :; do i=$((i+1)); echo $i >/data/n; done";
    scratch.text(&["run", "-d", "--name", "busy", "box", "sh", "-c", script]);
    let _kept = Kept(&scratch, "busy");
    until("ready", &mut || scratch.text(&["logs", "busy"]) == "ready\n");
    let actions = |image: &str, flags: &[&str]| {
        scratch.text(&[&["commit"], flags, &["busy", image]].concat());
        let told = scratch.text(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]);
        told.matches("pause\nunpause\n").count()
    };
    assert_eq!(actions("frozen", &[]), 1);
    assert_eq!(inspect(&scratch, "{{.State.Status}}", "busy"), "running");
    assert_eq!(actions("going", &["-p=false"]), 1);
    scratch.text(&["pause", "busy"]);
    assert_eq!(actions("paused", &[]), 1);
    assert_eq!(inspect(&scratch, "{{.State.Status}}", "busy"), "paused");
    scratch.text(&["unpause", "busy"]);
    for image in ["frozen", "paused"] {
        let number = scratch.text(&["run", "--rm", image, "cat", "/data/n"]);
        assert!(number.trim().parse::<u64>().is_ok() || number.is_empty(), "{image}: {number:?}");
    }
}

#[test]
fn a_container_goes_on_when_the_commit_that_froze_it_is_killed() {
    if !is_root() {
        return;
    }
    let scratch = with_box(&[]);
    // Much to read, and next to nothing on the disk.
    let script = "busybox dd if=/dev/zero of=/data/big bs=1 count=1 seek=60000000000; echo ready; sleep 1000";
    scratch.text(&["run", "-d", "--name", "big", "box", "sh", "-c", script]);
    let _kept = Kept(&scratch, "big");
    until("ready", &mut || scratch.text(&["logs", "big"]).contains("ready\n"));
    let mut client = scratch.skiff(&["commit", "big", "never"]).spawn().unwrap();
    let status = || inspect(&scratch, "{{.State.Status}}", "big");
    until("paused", &mut || status() == "paused");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", client.id())).unwrap();
    let server =
        children.split_whitespace().next().unwrap().parse().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(server.unwrap(), rustix::process::Signal::KILL).unwrap();
    assert!(!client.wait().unwrap().success());
    until("running again", &mut || status() == "running");
    scratch.fails(&["run", "--rm", "never", "true"], 125, "No such image");
    // What was half made goes with the next command that adds something.
    scratch.text(&["create", "--name", "small", "box", "sh"]);
    until("swept", &mut || {
        scratch.text(&["commit", "small"]);
        fs::read_dir(scratch.path("data/tmp")).unwrap().count() == 0
    });
}

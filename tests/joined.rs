//! Namespaces of other containers, and seccomp profiles of one's own, through the real binary.

mod support;

use support::Scratch;

#[test]
fn namespaces_of_another_container_are_joined() {
    let scratch = Scratch::new();
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "first",
        "--ipc",
        "shareable",
        "--hostname",
        "firsthost",
        "host",
        "sh",
        "-c",
        "echo shared > /dev/shm/f; sleep 1000",
    ]);
    let inside =
        |name: &str, kind: &str| scratch.text(&["exec", name, "readlink", &format!("/proc/self/ns/{kind}")]);
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "second",
        "--network",
        "container:first",
        "--ipc",
        "container:first",
        "--pid",
        "container:first",
        "host",
        "sleep",
        "2000",
    ]);
    for kind in ["net", "ipc", "pid"] {
        assert_eq!(inside("first", kind), inside("second", kind), "{kind}");
    }
    for kind in ["mnt", "uts", "cgroup"] {
        assert_ne!(inside("first", kind), inside("second", kind), "{kind}");
    }
    assert_eq!(scratch.text(&["exec", "second", "hostname"]), "firsthost\n");
    while scratch.text(&["exec", "second", "cat", "/dev/shm/f"]) != "shared\n" {}
    assert!(
        scratch.text(&["exec", "first", "cat", "/etc/hosts"])
            == scratch.text(&["exec", "second", "cat", "/etc/hosts"])
    );
    assert!(scratch.text(&["exec", "second", "ps", "ax"]).contains("sleep 1000"));
    // Its processes live in the first one's pid namespace, and end with it.
    scratch.text(&["rm", "-f", "first"]);
    assert_eq!(scratch.text(&["wait", "second"]), "137\n");
    scratch.fails(&["start", "second"], 1, "No such container");
    scratch.text(&["rm", "second"]);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let scratch = Scratch::new();
    scratch.text(&["create", "--name", "still", "--ipc", "shareable", "host", "true"]);
    scratch.text(&["create", "--name", "private", "host", "true"]);
    for (flags, words) in [
        (["--network", "container:nobody"], "No such container: nobody"),
        (["--network", "container:still"], "cannot join network of a non running container"),
        (["--pid", "container:still"], "cannot join PID of a non running container"),
        (["--ipc", "container:private"], "non-shareable IPC"),
        (["--network", "nosuchnet"], "nosuchnet"),
    ] {
        scratch.refused_beside(&[&flags[..], &["host", "true"]].concat(), 125, words);
    }
    scratch.refused_beside(
        &["--network", "container:still", "--hostname", "x", "host", "true"],
        125,
        "conflicting options: hostname and the network mode",
    );
    scratch.text(&["rm", "still", "private"]);
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn a_seccomp_profile_of_ones_own_is_in_force() {
    let scratch = Scratch::new();
    let profile = scratch.path("profile.json");
    let write = |json: &str| std::fs::write(&profile, json).unwrap();
    let option = format!("seccomp={}", profile.display());
    write(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#,
    );
    let script = "mkdir /tmp/d 2>&1; touch /tmp/f && echo made";
    let text = scratch.sh(&["--security-opt", &option], script);
    assert!(text.contains("No space left on device") && text.ends_with("made\n"), "{text}");
    write(r#"{"defaultAction":"SCMP_ACT_NONSENSE"}"#);
    scratch.refused(&["--security-opt", &option, "host", "true"], 125, "SCMP_ACT_NONSENSE");
    write("{");
    scratch.refused(&["--security-opt", &option, "host", "true"], 125, "seccomp profile");
    assert_eq!(
        scratch.sh(&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status"),
        "Seccomp:\t0\n"
    );
}

//! `cp`, `export` and `diff` through the real binary. The rules and words of `cp` were recorded from docker 28.2 with
//! dockerd 20.10.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode};
use support::{Kept, Scratch, Terminal, until, with_box};

/// The image `box` with things to copy in /srv, and the same on this machine in `h`.
fn with_things() -> (Scratch, PathBuf) {
    let scratch = with_box(&[]);
    let script = "mkdir -p /srv/d/sub; echo one >/srv/f; echo two >/srv/d/x; echo three >/srv/d/sub/y; cd /srv; \
                  ln -s f lf; ln -s d ld; ln -s /srv/d la; ln -s ../../../../etc climb; ln -s nowhere dangling; \
                  ln -s loop loop; ln f hard";
    scratch.text(&["run", "--name", "made", "box", "sh", "-c", script]);
    scratch.text(&["commit", "made", "things"]);
    scratch.text(&["rm", "made"]);
    scratch.text(&["create", "--name", "cc", "things", "sh"]);
    let h = scratch.path("h");
    fs::create_dir_all(h.join("d/sub")).unwrap();
    for (name, text) in [("f", "hf"), ("d/x", "hx"), ("d/sub/y", "hy")] {
        fs::write(h.join(name), text).unwrap();
        std::os::unix::fs::chown(h.join(name), Some(1000), Some(1001)).unwrap();
    }
    for (target, name) in [("f", "lf"), ("d", "ld"), ("nowhere", "dangling")] {
        symlink(target, h.join(name)).unwrap();
    }
    (scratch, h)
}

fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
    }
    rustix::process::geteuid().is_root()
}

/// Runs `skiff cp` in a directory: nothing, or what it says.
fn cp(scratch: &Scratch, here: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = scratch.skiff(&[&["cp"], arguments].concat()).current_dir(here).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
    match output.status.code() {
        Some(0) => {
            assert_eq!(error, "", "{arguments:?}");
            Ok(())
        }
        Some(1) => Err(error),
        other => panic!("{arguments:?}: {other:?} {error}"),
    }
}

/// Paths, kinds, owners and links of a tar, as GNU tar lists them.
fn listed(scratch: &Scratch, archive: &[u8]) -> Vec<String> {
    let file = scratch.path("listed.tar");
    fs::write(&file, archive).unwrap();
    let output = Command::new("tar").args(["--numeric-owner", "-tvPf"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Mode, owner, size, date, time, name ...
        [&[&words[0][..1], words[1]], &words[5..]].concat().join(" ")
    };
    text.lines().map(line).collect()
}

fn exported(scratch: &Scratch, name: &str) -> Vec<String> {
    listed(scratch, &scratch.skiff(&["export", name]).output().unwrap().stdout)
}

fn inside(scratch: &Scratch, container: &str, path: &str) -> String {
    let output = scratch.skiff(&["cp", &format!("{container}:{path}"), "-"]).output().unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    let file = scratch.path("inside.tar");
    fs::write(&file, output.stdout).unwrap();
    let output = Command::new("tar").args(["-xOPf"]).arg(&file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn copies_into_a_container_go_where_docker_puts_them() {
    if !is_root() {
        return;
    }
    let (scratch, h) = with_things();
    let here = scratch.path("");
    for (arguments, words) in [
        (&["h/f", "cc:/srv/new"][..], ""),
        (&["h/f", "cc:/srv/f"], ""),
        (&["h/f", "cc:/srv/d"], ""),
        (&["h/f", "cc:/srv/none/"], "skiff: no such directory"),
        (&["h/f", "cc:/none/none"], "skiff: Could not find the file /none in container cc"),
        (&["h/f", "cc:/srv/f/"], "skiff: no such directory"),
        (&["h/f", "cc:/srv/f/x"], "skiff: extraction point is not a directory"),
        (&["h/d", "cc:/srv/newd"], ""),
        (&["h/d", "cc:/srv/newd2/"], ""),
        (&["h/d", "cc:/srv/d"], ""),
        (&["h/d/.", "cc:/srv/newd3"], ""),
        (&["h/d/.", "cc:/srv/d"], ""),
        (&["h/d", "cc:/srv/f"], "skiff: cannot copy directory"),
        (&["h/lf", "cc:/srv/newl"], ""),
        (&["-L", "h/lf", "cc:/srv/newl2"], ""),
        (&["h/ld", "cc:/srv/newl3"], ""),
        (&["h/ld/", "cc:/srv/newl4"], ""),
        (&["-L", "h/ld", "cc:/srv/newl5"], ""),
        (&["h/dangling", "cc:/srv/newl6"], ""),
        (&["-L", "h/dangling", "cc:/srv/newl7"], "ENOENT (no such file or directory)"),
        (&["h/f", "cc:/srv/climb"], ""),
        (&["h/f", "cc:/srv/dangling"], ""),
        (&["h/f", "cc:/srv/loop"], ""),
        (&["h/f", "cc:srv/rel"], ""),
        (&["h/f", "cc:"], "skiff: no such directory"),
        (&["h/none", "cc:/srv"], "ENOENT (no such file or directory)"),
        (&["h/f", "none:/x"], "skiff: No such container: none"),
        (&["h/f/", "cc:/srv/x"], "ENOTDIR (not a directory)"),
        (&["h/f", "cc:/srv/d/sub/.."], ""),
        (&["h/f", "h/x"], "skiff: must specify at least one container source"),
        (&["cc:/srv/f", "other:/x"], "skiff: copying between containers is not supported"),
        (&["-", "cc:/srv/f"], "skiff: destination \"cc:/srv/f\" must be a directory"),
        (&["-", "cc:/none"], "skiff: destination \"cc:/none\" must be a directory"),
        (&["./cc:f", "cc:/x"], "ENOENT (no such file or directory)"),
        (&["", "cc:/x"], "skiff: source can not be empty"),
        (&["h/f", ""], "skiff: destination can not be empty"),
    ] {
        match cp(&scratch, &here, arguments) {
            Ok(()) => assert_eq!(words, "", "{arguments:?} succeeded"),
            Err(error) => assert!(!words.is_empty() && error.contains(words), "{arguments:?}: {error}"),
        }
    }
    let all = exported(&scratch, "cc");
    let below: Vec<&str> = all.iter().filter(|line| line.contains(" srv/")).map(String::as_str).collect();
    // Numbers of owners come along, as docker's do.
    assert_eq!(
        below,
        [
            "d 0/0 srv/",
            "l 0/0 srv/climb -> ../../../../etc",
            "d 0/0 srv/d/",
            "d 0/0 srv/d/d/",
            "d 0/0 srv/d/d/sub/",
            "- 1000/1001 srv/d/d/sub/y",
            "- 1000/1001 srv/d/d/x",
            "- 1000/1001 srv/d/f",
            "d 0/0 srv/d/sub/",
            "- 1000/1001 srv/d/sub/y",
            "- 1000/1001 srv/d/x",
            "l 0/0 srv/dangling -> nowhere",
            "- 1000/1001 srv/f",
            "- 0/0 srv/hard",
            "l 0/0 srv/la -> /srv/d",
            "l 0/0 srv/ld -> d",
            "l 0/0 srv/lf -> f",
            "- 1000/1001 srv/loop",
            "- 1000/1001 srv/new",
            "d 0/0 srv/newd/",
            "d 0/0 srv/newd/sub/",
            "- 1000/1001 srv/newd/sub/y",
            "- 1000/1001 srv/newd/x",
            "d 0/0 srv/newd2/",
            "d 0/0 srv/newd2/sub/",
            "- 1000/1001 srv/newd2/sub/y",
            "- 1000/1001 srv/newd2/x",
            "d 0/0 srv/newd3/",
            "d 0/0 srv/newd3/sub/",
            "- 1000/1001 srv/newd3/sub/y",
            "- 1000/1001 srv/newd3/x",
            "l 0/0 srv/newl -> f",
            "- 1000/1001 srv/newl2",
            "l 0/0 srv/newl3 -> d",
            "d 0/0 srv/newl4/",
            "d 0/0 srv/newl4/sub/",
            "- 1000/1001 srv/newl4/sub/y",
            "- 1000/1001 srv/newl4/x",
            "d 0/0 srv/newl5/",
            "d 0/0 srv/newl5/sub/",
            "- 1000/1001 srv/newl5/sub/y",
            "- 1000/1001 srv/newl5/x",
            "l 0/0 srv/newl6 -> nowhere",
            "- 1000/1001 srv/nowhere",
            "- 1000/1001 srv/rel",
        ]
    );
    assert!(all.contains(&"- 1000/1001 etc/f".into()), "a climbing link ends at the container's root");
    assert_eq!(inside(&scratch, "cc", "/srv/hard"), "one\n", "another name of what was replaced keeps it");
    let changes = scratch.text(&["diff", "cc"]);
    let changes: Vec<&str> = changes.lines().filter(|line| !line.contains("new")).collect();
    assert_eq!(
        changes,
        [
            "C /etc",
            "A /etc/f",
            "C /srv",
            "C /srv/d",
            "A /srv/d/d",
            "A /srv/d/d/sub",
            "A /srv/d/d/sub/y",
            "A /srv/d/d/x",
            "A /srv/d/f",
            "C /srv/d/sub",
            "C /srv/d/sub/y",
            "C /srv/d/x",
            "C /srv/f",
            "C /srv/loop",
            "A /srv/nowhere",
            "A /srv/rel",
        ]
    );
    assert!(fs::read(h.join("f")).unwrap() == b"hf");
    assert!(
        !fs::read_to_string("/proc/self/mountinfo").unwrap().contains(scratch.path("").to_str().unwrap())
    );
}

#[test]
fn copies_out_of_a_container_go_where_docker_puts_them() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    let out = scratch.path("out");
    fs::create_dir_all(out.join("dir")).unwrap();
    fs::write(out.join("f"), "old").unwrap();
    for (target, name) in [("dir", "ldir"), ("f", "lf"), ("new0", "ldangling")] {
        symlink(target, out.join(name)).unwrap();
    }
    for (arguments, words) in [
        (&["cc:/srv/f", "out/new"][..], ""),
        (&["cc:/srv/f", "out/dir"], ""),
        (&["cc:/srv/f", "out/none/"], "skiff: no such directory"),
        (&["cc:/srv/f", "out/none/x"], "out/none\" does not exist"),
        (&["cc:/srv/d", "out/newd"], ""),
        (&["cc:/srv/d", "out/newd2/"], ""),
        (&["cc:/srv/d", "out/dir"], ""),
        (&["cc:/srv/d", "out/f"], "skiff: cannot copy directory"),
        (&["cc:/srv/d/.", "out/newd3"], ""),
        (&["cc:/srv/d/.", "out/dir"], ""),
        (&["cc:/srv/la", "out/l1"], ""),
        (&["-L", "cc:/srv/la", "out/l2"], ""),
        (&["-L", "cc:/srv/la", "out/dir"], ""),
        (&["cc:/srv/la/", "out/l3"], ""),
        (&["cc:/srv/ld/.", "out/l4"], ""),
        (&["cc:/srv/dangling", "out/l6"], ""),
        (&["-L", "cc:/srv/dangling", "out/l5"], "Could not find the file"),
        (&["cc:/srv/lf", "out/ldir"], ""),
        (&["cc:/srv/f", "out/lf"], ""),
        (&["cc:/srv/f", "out/ldangling"], ""),
        (&["cc:/none", "out/x"], "skiff: Could not find the file /none in container cc"),
        (&["cc:/srv/f/", "out/x"], "ENOTDIR (not a directory)"),
        (&["cc:/srv/f/x", "out/x"], "ENOTDIR (not a directory)"),
        (&["cc:", "out/root"], "skiff: bad parameter: path cannot be empty"),
        (&["cc:srv/f", "out/rel"], ""),
        (&["cc:/srv/f", "/dev/null"], "must be a directory or a regular file: got a device"),
        (&["cc:/srv/f", "out/f/"], "ENOTDIR (not a directory)"),
        (&["cc:/", "out/all"], ""),
        (&["cc:/srv/climb/passwd", "out/passwd"], ""),
    ] {
        match cp(&scratch, &here, arguments) {
            Ok(()) => assert_eq!(words, "", "{arguments:?} succeeded"),
            Err(error) => assert!(!words.is_empty() && error.contains(words), "{arguments:?}: {error}"),
        }
    }
    for (path, text) in [
        ("new", "one\n"),
        ("dir/f", "one\n"),
        ("newd/sub/y", "three\n"),
        ("newd2/x", "two\n"),
        ("dir/d/x", "two\n"),
        ("newd3/sub/y", "three\n"),
        ("dir/sub/y", "three\n"),
        ("l2/x", "two\n"),
        ("dir/la/x", "two\n"),
        ("l3/x", "two\n"),
        ("l4/x", "two\n"),
        ("f", "one\n"),
        ("new0", "one\n"),
        ("rel", "one\n"),
        ("all/srv/d/x", "two\n"),
    ] {
        assert_eq!(fs::read_to_string(out.join(path)).unwrap_or_default(), text, "{path}");
    }
    for (path, target) in
        [("l1", "/srv/d"), ("l6", "nowhere"), ("dir/lf", "f"), ("lf", "f"), ("all/srv/la", "/srv/d")]
    {
        assert_eq!(fs::read_link(out.join(path)).unwrap(), Path::new(target), "{path}");
    }
    assert!(fs::read_to_string(out.join("passwd")).unwrap().contains("app:x:1000"), "the container's own");
    assert!(!out.join("x").exists() && !out.join("root").exists());
}

#[test]
fn owners_are_the_callers_on_the_way_out_and_the_containers_user_with_a() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    scratch.text(&["create", "--name", "user", "-u", "app", "things", "sh"]);
    for (arguments, owner) in [(&["h/f", "user:/plain"][..], 1000), (&["-a", "h/f", "user:/given"], 1000)] {
        cp(&scratch, &here, arguments).unwrap();
        let archive = scratch.skiff(&["cp", arguments[arguments.len() - 1], "-"]).output().unwrap().stdout;
        let group = if arguments[0] == "-a" { 1000 } else { 1001 };
        assert!(listed(&scratch, &archive)[0].starts_with(&format!("- {owner}/{group} ")), "{arguments:?}");
    }
    cp(&scratch, &here, &["user:/plain", "mine"]).unwrap();
    cp(&scratch, &here, &["-a", "user:/plain", "kept"]).unwrap();
    let owner = |name: &str| {
        let meta = fs::metadata(scratch.path(name)).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!((owner("mine"), owner("kept")), ((0, 0), (1000, 1001)));
    // An ordinary user gets what is his own to have.
    let home = scratch.path("home");
    fs::create_dir(&home).unwrap();
    let archive = scratch.skiff(&["cp", "cc:/srv/d", "-"]).output().unwrap().stdout;
    assert_eq!(listed(&scratch, &archive)[0], "d 0/0 d/");
    let again = scratch.with_input(&["cp", "-", "user:/tmp"], &archive);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(inside(&scratch, "user", "/tmp/d/sub/y"), "three\n");
    let garbage = scratch.with_input(&["cp", "-", "user:/tmp"], b"this is no tar");
    assert!(String::from_utf8_lossy(&garbage.stderr).contains("read tar at byte"));
    // Whiteouts' names are names.
    let tree = scratch.path("wh/.wh.d");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join(".wh..wh..opq"), "x").unwrap();
    cp(&scratch, &here, &["wh/.", "user:/tmp"]).unwrap();
    assert_eq!(inside(&scratch, "user", "/tmp/.wh.d/.wh..wh..opq"), "x");
    assert_eq!(inside(&scratch, "user", "/tmp/d/x"), "two\n");
}

#[test]
fn a_running_a_paused_and_a_stopped_container_show_the_same_with_their_volumes() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    let bind = scratch.path("bind");
    fs::create_dir(&bind).unwrap();
    fs::write(bind.join("b"), "bound").unwrap();
    let [writable, read_only] = [":/b", ":/r:ro"].map(|place| format!("{}{place}", bind.display()));
    let flags = ["-v", "vol:/srv/d", "-v", &writable, "-v", &read_only, "--tmpfs", "/t"];
    let script = "echo mine >/srv/mine; echo v >/srv/d/v; echo t >/t/t; echo ready; sleep 1000";
    let command = ["--name", "run", "things", "sh", "-c", script];
    scratch.text(&[&["run", "-d"], &flags[..], &command].concat());
    let _kept = Kept(&scratch, "run");
    until("ready", &mut || scratch.text(&["logs", "run"]) == "ready\n");
    for phase in ["running", "paused", "stopped"] {
        match phase {
            "paused" => drop(scratch.text(&["pause", "run"])),
            "stopped" => {
                scratch.text(&["unpause", "run"]);
                scratch.text(&["kill", "run"]);
                scratch.text(&["wait", "run"]);
            }
            _ => {}
        }
        assert_eq!(inside(&scratch, "run", "/srv/mine"), "mine\n", "{phase}");
        assert_eq!(inside(&scratch, "run", "/srv/d/v"), "v\n", "{phase}");
        assert_eq!(inside(&scratch, "run", "/srv/la/x"), "two\n", "{phase}: the volume was filled");
        assert_eq!(inside(&scratch, "run", "/b/b"), "bound", "{phase}");
        cp(&scratch, &here, &["h/f", &format!("run:/srv/d/{phase}")]).unwrap();
        cp(&scratch, &here, &["h/f", &format!("run:/b/{phase}")]).unwrap();
        cp(&scratch, &here, &["h/f", &format!("run:/{phase}")]).unwrap();
        assert_eq!(fs::read_to_string(bind.join(phase)).unwrap(), "hf");
        let error = cp(&scratch, &here, &["h/f", "run:/r/x"]).unwrap_err();
        assert_eq!(error, "skiff: mounted volume is marked read-only", "{phase}");
        // What is mounted is not part of the root; what it hides is.
        let all = exported(&scratch, "run");
        let d: Vec<&String> = all.iter().filter(|line| line.contains(" srv/d/")).collect();
        assert_eq!(d, ["d 0/0 srv/d/", "d 0/0 srv/d/sub/", "- 0/0 srv/d/sub/y", "- 0/0 srv/d/x"], "{phase}");
        for empty in ["proc/", "sys/", "dev/", "b/", "t/"] {
            let below = all.iter().filter(|line| line.contains(&format!(" {empty}"))).count();
            assert_eq!(below, 1, "{phase} {empty}");
        }
        assert!(all.contains(&format!("- 1000/1001 {phase}")));
        let changes = scratch.text(&["diff", "run"]);
        assert!(changes.contains("A /srv/mine\n") && !changes.contains("/srv/d/"), "{changes}");
    }
    assert!(cp(&scratch, &here, &["run:/t/t", "out"]).is_err(), "memory goes with the process");
    scratch.text(&["create", "--name", "ro", "--read-only", "-v", "vol:/v", "things", "sleep", "1000"]);
    let _ro = Kept(&scratch, "ro");
    for phase in ["stopped", "running"] {
        if phase == "running" {
            scratch.text(&["start", "ro"]);
        }
        let error = cp(&scratch, &here, &["h/f", "ro:/x"]).unwrap_err();
        assert_eq!(error, "skiff: container rootfs is marked read-only", "{phase}");
        cp(&scratch, &here, &["h/f", &format!("ro:/v/ro-{phase}")]).unwrap();
        assert_eq!(inside(&scratch, "ro", &format!("/v/ro-{phase}")), "hf");
    }
    assert!(
        !fs::read_to_string("/proc/self/mountinfo").unwrap().contains(scratch.path("").to_str().unwrap())
    );
}

#[test]
fn several_at_once_on_a_stopped_container_wait_for_each_other() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let place = format!("cc:/srv/n{number}");
            scratch.skiff(&["cp", scratch.path("h/f").to_str().unwrap(), &place]).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(exported(&scratch, "cc").iter().filter(|line| line.contains(" srv/n")).count(), 6);
    scratch.text(&["start", "-a", "cc"]);
}

#[test]
fn links_that_a_container_swaps_for_directories_never_lead_out() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    let outside = scratch.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "secret").unwrap();
    let path = outside.to_str().unwrap();
    let script = format!(
        "mkdir -p /swap/x/deep; echo inner >/swap/x/f; echo inner >/swap/x/deep/f; cd /swap; echo ready; \
         while :; do mv x y; ln -s {path} x; rm x; mv y x; mv x y; ln -s ../../../../../../../..{path} x; rm x; \
         mv y x; done"
    );
    scratch.text(&["run", "-d", "--name", "swap", "things", "sh", "-c", &script]);
    let _kept = Kept(&scratch, "swap");
    until("ready", &mut || scratch.text(&["logs", "swap"]) == "ready\n");
    let (mut read, mut written) = (0, 0);
    for number in 0..40 {
        let new = format!("swap:/swap/x/new{number}");
        written += usize::from(cp(&scratch, &here, &["h/f", &new]).is_ok());
        for source in ["swap:/swap/x/f", "swap:/swap/x/.", "swap:/swap", "swap:/swap/x"] {
            let output = scratch.skiff(&["cp", "-L", source, "-"]).output().unwrap();
            let archive = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!archive.contains("secret"), "{source}");
            read += usize::from(archive.contains("inner"));
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "written outside");
    }
    println!("{read} of 160 read, {written} of 40 written");
    // The name is a directory for a good part of the time.
    assert!(read > 0);
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "secret");
}

#[test]
fn links_of_the_kernel_are_not_followed() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    fs::write(scratch.path("host-file"), "of the host").unwrap();
    scratch.text(&["run", "-d", "--name", "proc", "things", "sleep", "1000"]);
    let _kept = Kept(&scratch, "proc");
    for path in ["/proc/1/root", "/proc/1/root/etc/passwd", "/proc/1/cwd/", "/proc/1/exe/", "/proc/1/fd/0/x"]
    {
        let result = cp(&scratch, &here, &[&format!("proc:{path}"), "out"]);
        match path {
            // A link itself is a link.
            "/proc/1/root" => result.unwrap(),
            _ => assert!(result.unwrap_err().contains("ELOOP"), "{path}"),
        }
        assert!(cp(&scratch, &here, &["host-file", &format!("proc:{path}/x")]).is_err(), "{path}");
    }
    // Whose number that would be is not this process's.
    for path in ["/proc/self/environ", "/proc/self/root/etc/passwd", "/proc/thread-self/cwd/x"] {
        assert!(cp(&scratch, &here, &[&format!("proc:{path}"), "out2"]).is_err(), "{path}");
    }
    // What is there is not written to.
    assert!(cp(&scratch, &here, &["host-file", "proc:/proc/sys/kernel/domainname"]).is_err());
    assert!(cp(&scratch, &here, &["host-file", "proc:/sys/x"]).is_err());
}

#[test]
fn pipes_devices_and_long_names_are_copied_and_nothing_waits() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let here = scratch.path("");
    let odd = scratch.path("odd");
    fs::create_dir(&odd).unwrap();
    let make = |name: &str, kind, device| {
        let path = odd.join(name);
        rustix::fs::mknodat(CWD, path.to_str().unwrap(), kind, Mode::from_raw_mode(0o640), device).unwrap();
        std::os::unix::fs::chown(&path, Some(5), Some(6)).unwrap();
    };
    make("pipe", FileType::Fifo, 0);
    make("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    make("socket", FileType::Socket, 0);
    let long = "n".repeat(255);
    fs::write(odd.join(&long), "long").unwrap();
    fs::write(odd.join("-new\nline\u{fc}"), "odd").unwrap();
    fs::create_dir_all(odd.join(format!("{long}d").split_off(1)).join(&long).join(&long)).unwrap();
    cp(&scratch, &here, &["odd", "cc:/tmp"]).unwrap();
    cp(&scratch, &here, &["cc:/tmp/odd", "back"]).unwrap();
    cp(&scratch, &here, &["-a", "cc:/tmp/odd/pipe", "pipe"]).unwrap();
    let kind = |path: &str| {
        let meta = fs::symlink_metadata(scratch.path(path)).unwrap();
        (FileType::from_raw_mode(meta.mode()), meta.rdev(), meta.uid())
    };
    assert_eq!(kind("back/pipe"), (FileType::Fifo, 0, 0));
    assert_eq!(kind("pipe"), (FileType::Fifo, 0, 5));
    assert_eq!(kind("back/null"), (FileType::CharacterDevice, rustix::fs::makedev(1, 3), 0));
    assert!(!scratch.path("back/socket").exists());
    assert_eq!(fs::read_to_string(scratch.path("back").join(&long)).unwrap(), "long");
    assert_eq!(fs::read_to_string(scratch.path("back/-new\nline\u{fc}")).unwrap(), "odd");
    // A file takes the place of a pipe, whose reader would be waited for.
    cp(&scratch, &here, &["h/f", "cc:/tmp/odd/pipe"]).unwrap();
    assert_eq!(inside(&scratch, "cc", "/tmp/odd/pipe"), "hf");
    for path in [format!("cc:/{long}n"), format!("cc:/{}", "a/".repeat(3000))] {
        assert!(cp(&scratch, &here, &["h/f", &path]).is_err());
        assert!(cp(&scratch, &here, &[&path, "out"]).unwrap_err().contains("ENAMETOOLONG"));
    }
    // Deeper than a path can say.
    let script =
        format!("cd /tmp; i=0; while [ $i -lt 20 ]; do mkdir {long}; cd {long}; i=$((i+1)); done; echo x >f");
    scratch.text(&["run", "--name", "deep", "things", "sh", "-c", &script]);
    let archive = scratch.skiff(&["cp", "deep:/tmp", "-"]).output().unwrap();
    assert!(archive.status.success() && archive.stdout.windows(5000).any(|part| part.ends_with(b"/f\n")));
}

#[test]
fn a_container_on_the_hosts_root_is_copied_from_while_it_runs() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let here = scratch.path("");
    fs::write(scratch.path("f"), "content").unwrap();
    {
        let _running = scratch.running("host");
        cp(&scratch, &here, &["f", "host:/etc/copied"]).unwrap();
        cp(&scratch, &here, &["host:/etc/copied", "back"]).unwrap();
        assert_eq!(fs::read_to_string(scratch.path("back")).unwrap(), "content");
        assert!(!Path::new("/etc/copied").exists());
        scratch.fails(&["diff", "host"], 1, "has no image");
        scratch.fails(&["commit", "host", "x"], 1, "has no image");
    }
    scratch.text(&["create", "--name", "stopped", "host", "true"]);
    for arguments in [&["cp", "stopped:/etc/passwd", "-"][..], &["export", "stopped"]] {
        scratch.fails(arguments, 1, "is not running, and keeps what it changes of the host's root in memory");
    }
}

#[test]
fn an_export_is_the_same_each_time_and_is_not_for_a_terminal() {
    if !is_root() {
        return;
    }
    let (scratch, _) = with_things();
    let file = scratch.path("out.tar");
    assert_eq!(scratch.text(&["export", "-o", file.to_str().unwrap(), "cc"]), "");
    let first = fs::read(&file).unwrap();
    assert!(first == scratch.skiff(&["export", "cc"]).output().unwrap().stdout);
    let mut names: Vec<String> = listed(&scratch, &first).iter().map(|line| line[1..].to_string()).collect();
    assert!(names.iter().any(|line| line.ends_with("srv/hard link to srv/f")), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), listed(&scratch, &first).len());
    let id = scratch.with_input(&["import", "-", "again"], &first);
    assert!(id.status.success());
    scratch.text(&["create", "--name", "again", "again", "sh"]);
    assert!(scratch.skiff(&["export", "again"]).output().unwrap().stdout == first, "there and back");
    scratch.fails(&["export", "-o", "/none/x", "cc"], 1, "directory \"/none\" does not exist");
    scratch.fails(&["export", "-o", "/dev/null", "cc"], 1, "got a device");
    scratch.fails(&["export", "none"], 1, "No such container: none");
    scratch.fails(&["diff", "none"], 1, "No such container: none");
    let mut terminal = Terminal::new(24, 80);
    let mut child = terminal.spawn(scratch.skiff(&["export", "cc"]));
    terminal.wait_for("the archive is not for a terminal");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut child =
        terminal.spawn(scratch.skiff(&["cp", scratch.path("h/f").to_str().unwrap(), "cc:/tmp/q"]));
    terminal.wait_for("Successfully copied ");
    terminal.wait_for("kB to cc:/tmp/q");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

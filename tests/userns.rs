//! User and time namespaces, through the real binary: root inside is nobody on the host.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::Command,
};

use support::{Kept, Scratch, until, with_box};

/// Root inside, on a host whose /etc/subuid says nothing of skiff.
fn base() -> u32 {
    let line = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("skiff:")?.split(':').next()?.parse().ok())
    };
    line("/etc/subuid").unwrap_or(0x7000_0000)
}

fn inside(scratch: &Scratch, flags: &[&str], script: &str) -> String {
    scratch.text(&[&["run", "--rm", "--userns", "auto"], flags, &["box", "sh", "-c", script]].concat())
}

/// Owner and group.
fn ids(path: impl AsRef<std::path::Path>) -> (u32, u32) {
    let data = fs::symlink_metadata(&path).unwrap();
    (data.uid(), data.gid())
}

#[test]
fn root_inside_is_nobody_outside() {
    let scratch = with_box(&[]);
    let text = inside(&scratch, &[], "cat /proc/self/uid_map /proc/self/gid_map; id -u");
    let words: Vec<&str> = text.split_whitespace().collect();
    let base = base().to_string();
    assert_eq!((words[0], words[1], words[3], words[6]), ("0", base.as_str(), "0", "0"), "{text}");

    // What the image has, what every container has and what the engine makes is root's inside.
    let owners = "for f in / /bin/busybox /data/seed /dev /dev/null /dev/pts /dev/pts/ptmx /dev/shm /etc/hosts \
                  /new/work/dir; do stat -c '%u %g' $f; done; pwd; echo 1.2.3.4 x >> /etc/hosts";
    assert_eq!(inside(&scratch, &["-w", "/new/work/dir"], owners), "0 0\n".repeat(10) + "/new/work/dir\n");
    let script = "stat -c %u:%g /etc/passwd; echo seen >/dev/null; echo a >&2; echo b > /dev/stdout; echo c > /dev/full";
    let output = scratch.run(&["--userns", "private", "-t", "host", "sh", "-c", script]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("0:0\r\na\r\nb\r\n"), "{output:?}");

    // Rights are the usual ones, of another namespace.
    let rights = "cat /proc/self/status | while read -r a b; do case $a in Cap*|Seccomp:|Groups:) echo $a $b;; esac; done";
    let standard = scratch.text(&["run", "--rm", "box", "sh", "-c", rights]);
    assert_eq!(inside(&scratch, &[], rights), standard);
    let script = "busybox chown 70000 /bin/busybox; busybox mknod /n c 1 3; busybox mknod /tmp/b b 7 0; \
                  busybox mount -t proc p /tmp; cat /proc/timer_list; ls -A /proc/acpi";
    let output = scratch.run(&["--userns", "auto", "--cap-add", "ALL", "box", "sh", "-c", script]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in
        ["busybox: Invalid argument", "/n: Operation not permitted", "/tmp/b: Operation not permitted"]
    {
        assert!(errors.contains(words), "{errors}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
    let output = scratch.run(&["--userns", "auto", "box", "sh", "-c", "busybox mount -t tmpfs t /tmp"]);
    assert!(!output.status.success());
    // The largest id that may be given: more would be a kernel's no.
    let numbers = inside(&scratch, &[], "cat /proc/sys/net/ipv4/ping_group_range");
    assert_eq!(numbers, format!("0\t{}\n", words[2].parse::<u32>().unwrap() - 1));
}

#[test]
fn files_keep_the_ids_of_the_inside_on_disk_and_outside_they_are_nobodys() {
    let scratch = with_box(&[]);
    let base = base();
    let bind = scratch.path("bind");
    fs::create_dir(&bind).unwrap();
    fs::set_permissions(&bind, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(bind.join("roots"), "secret").unwrap();
    fs::set_permissions(bind.join("roots"), fs::Permissions::from_mode(0o600)).unwrap();
    let mount = format!("{}:/bind", bind.display());
    let flags = ["-v", "vol:/data", "-v", &mount, "--tmpfs", "/t:uid=7,gid=8,mode=700"];
    let script = "busybox chown 1000:1000 /data/seed; touch /data/new /bind/new; stat -c %u:%g /data/seed /data/new /bind/new \
                  /bind/roots /t; cat /bind/roots";
    let output = scratch.run(&[&["--userns", "auto"], &flags[..], &["box", "sh", "-c", script]].concat());
    let expected = "1000:1000\n0:0\n0:0\n65534:65534\n7:8\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"), "{output:?}");
    // The volume was filled from the image, and means the same to a container without a user namespace.
    assert_eq!(ids(scratch.path("data/volumes/vol/_data/seed")), (1000, 1000));
    assert_eq!(ids(scratch.path("data/volumes/vol/_data/new")), (0, 0));
    assert_eq!(ids(bind.join("new")), (base, base));
    let script = "stat -c %u /v/new; cat /v/seed";
    assert_eq!(scratch.text(&["run", "--rm", "-v", "vol:/v", "box", "sh", "-c", script]), "0\nseed\n");
    // Unless told otherwise.
    let mount = format!("{mount}:idmap");
    let script = "cat /bind/roots; touch /bind/mapped; stat -c %u /bind/new";
    assert_eq!(inside(&scratch, &["-v", &mount], script), "secret65534\n");
    assert_eq!(ids(bind.join("mapped")), (0, 0));
    scratch.refused(&["-v", &mount, "box", "true"], 125, "the container has no user namespace");
    scratch.refused(&["--userns", "auto", "--tmpfs", "/t:uid=70000", "box", "true"], 125, "no such id");
}

#[test]
fn a_container_is_looked_at_copied_and_committed_in_its_own_ids() {
    let scratch = with_box(&[]);
    let base = base();
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "looked",
        "--userns",
        "auto",
        "-v",
        "vol:/data",
        "box",
        "sleep",
        "1000",
    ]);
    let kept = Kept(&scratch, "looked");
    assert_eq!(scratch.text(&["inspect", "-f", "{{.HostConfig.UsernsMode}}", "looked"]), "auto\n");
    let pid = scratch.text(&["inspect", "-f", "{{.State.Pid}}", "looked"]);
    assert_eq!(ids(format!("/proc/{}/root/proc/1", pid.trim())), (base, base));
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    assert!(status.contains(&format!("Uid:\t{base}\t{base}\t{base}\t{base}\n")), "{status}");
    assert!(scratch.text(&["top", "looked"]).contains(&base.to_string()));

    let exec = |user: &str, script: &str| scratch.text(&["exec", "-u", user, "looked", "sh", "-c", script]);
    assert_eq!(exec("0", "id -u; echo x > /x; busybox chown 5:6 /x; stat -c %u:%g /x"), "0\n5:6\n");
    assert_eq!(exec("1000", "id -u; id -g; echo out > /dev/stdout"), "1000\n1000\nout\n");
    let map = "read -r a b c < /proc/self/uid_map; echo $a $b";
    assert_eq!(exec("0", map), format!("0 {base}\n"));

    // In and out, while it runs and while it does not.
    let file = scratch.path("file");
    fs::write(&file, "copied").unwrap();
    chown(&file, Some(77), Some(88)).unwrap();
    let file = file.display().to_string();
    let archive = |path: &str| {
        let tar = scratch.path("out.tar");
        let output = scratch.skiff(&["cp", path, "-"]).stdout(fs::File::create(&tar).unwrap()).status();
        assert!(output.unwrap().success());
        let list = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(tar).output().unwrap();
        let text = String::from_utf8(list.stdout).unwrap();
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{} {}", words[1], words[5])
            })
            .collect();
        lines.sort();
        lines
    };
    for state in ["running", "stopped"] {
        scratch.text(&["cp", "-a", &file, &format!("looked:/{state}")]);
        scratch.text(&["cp", "-a", &file, &format!("looked:/data/{state}")]);
        assert_eq!(archive("looked:/x"), ["5/6 x"]);
        assert_eq!(archive(&format!("looked:/{state}")), [format!("77/88 {state}")]);
        assert!(archive("looked:/data").contains(&format!("77/88 data/{state}")));
        scratch.text(&["stop", "-t", "0", "looked"]);
    }
    assert_eq!(ids(scratch.path("data/volumes/vol/_data/stopped")), (77, 88));
    assert_eq!(ids(scratch.path("data/volumes/vol/_data/running")), (77, 88));
    assert_eq!(scratch.text(&["diff", "looked"]), "A /running\nA /stopped\nA /x\n");

    // Its files are there again, and an image of it is an image like others.
    scratch.text(&["start", "looked"]);
    assert_eq!(exec("0", "stat -c %u:%g /x /stopped; cat /x"), "5:6\n77:88\nx\n");
    scratch.text(&["commit", "looked", "made"]);
    let text = scratch.text(&["run", "--rm", "made", "sh", "-c", "stat -c %u:%g /x /running / /bin"]);
    assert_eq!(text, "5:6\n77:88\n0:0\n0:0\n");
    drop(kept);
    assert_eq!(scratch.containers(), 0);
    assert_eq!(fs::read_dir(scratch.path("run/containers")).unwrap().count(), 0);
}

#[test]
fn changes_on_the_hosts_root_outlive_a_restart_by_policy() {
    let scratch = Scratch::new();
    let script = "echo x >> /run-count; test $(wc -l < /run-count) = 3 && stat -c %u:%g / /run-count && exit 0; exit 1";
    let mut run = scratch.skiff(&[
        "run",
        "--name",
        "again",
        "--userns",
        "auto",
        "--restart",
        "on-failure:5",
        "host",
        "sh",
        "-c",
        script,
    ]);
    let output = run.output().unwrap();
    until("three runs", &mut || scratch.text(&["inspect", "-f", "{{.State.Status}}", "again"]) == "exited\n");
    assert_eq!(scratch.text(&["logs", "again"]), "0:0\n0:0\n", "{output:?}");
    scratch.text(&["rm", "again"]);
}

#[test]
fn settings_reach_into_a_user_namespace() {
    let scratch = with_box(&[]);
    let flags = [
        "--sysctl",
        "kernel.shmmax=12345",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--ulimit",
        "nofile=50:60",
        "--hostname",
        "h",
        "--domainname",
        "d",
        "--init",
        "--oom-score-adj",
        "7",
    ];
    let script = "cd /proc/sys; cat kernel/shmmax net/ipv4/ip_forward kernel/hostname kernel/domainname \
                  /proc/self/oom_score_adj; ulimit -Hn; ulimit -n";
    assert_eq!(inside(&scratch, &flags, script), "12345\n1\nh\nd\n7\n60\n50\n");
    // Namespaces of the host that are no way out.
    let shared = ["--ipc", "host", "--uts", "host", "--cgroupns", "host"];
    let own = fs::read_link("/proc/self/ns/ipc").unwrap();
    let text = inside(
        &scratch,
        &shared,
        "readlink /proc/self/ns/ipc; stat -c %u /dev/mqueue; test -e /sys/fs/cgroup/cgroup.procs",
    );
    assert_eq!(text, format!("{}\n65534\n", own.display()));
    // A device is made where the engine can, for those inside who have its owner's numbers.
    let text = inside(
        &scratch,
        &["--device", "/dev/null:/dev/deep/er/x"],
        "stat -c '%u %F' /dev/deep/er/x; echo > /dev/deep/er/x",
    );
    assert_eq!(text, "0 character special file\n");
}

#[test]
fn namespaces_are_joined_by_those_of_the_same_user_namespace() {
    let scratch = with_box(&[]);
    for (name, flags) in
        [("aa", &["--userns", "auto", "--ipc", "shareable"][..]), ("bb", &["--userns", "auto"]), ("cc", &[])]
    {
        scratch.text(&[&["run", "-d", "--name", name], flags, &["box", "sleep", "1000"]].concat());
    }
    let all: Vec<Kept<'_>> = ["aa", "bb", "cc"].map(|name| Kept(&scratch, name)).into();
    let join = ["--network", "container:aa", "--ipc", "container:aa", "--pid", "container:aa"];
    let script = "for k in user net ipc pid; do readlink /proc/self/ns/$k; done; touch /x /dev/shm/x; stat -c %u /x /dev/shm/x";
    let joined = inside(&scratch, &join, script);
    let script =
        "for k in user net ipc pid; do readlink /proc/self/ns/$k; done; stat -c %u /dev/shm/x /dev/shm/x";
    assert_eq!(joined, scratch.text(&["exec", "aa", "sh", "-c", script]));
    scratch.refused_beside(
        &["--userns", "auto", "--network", "container:cc", "box", "true"],
        125,
        "it has no user namespace",
    );
    scratch.refused_beside(
        &["--userns", "auto", "--network", "container:aa", "--pid", "container:bb", "box", "true"],
        125,
        "different user namespaces",
    );
    // Who has all rights may join everybody.
    let text =
        scratch.text(&[&["run", "--rm"], &join[..], &["box", "readlink", "/proc/self/ns/net"]].concat());
    assert!(joined.contains(&text));
    drop(all);
}

#[test]
fn what_a_user_namespace_cannot_have_is_refused() {
    let scratch = with_box(&[]);
    for (flags, words) in [
        (&["--privileged"][..], "privileged mode is incompatible with user namespaces"),
        (
            &["--network", "host"],
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (&["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
        (&["--device", "/dev/null:/opt/x"], "below /dev only"),
    ] {
        scratch.refused(&[&["--userns", "auto"], flags, &["box", "true"]].concat(), 125, words);
    }
    scratch.refused(&["--userns", "keep-id", "box", "true"], 125, "it is one of host, auto, private");
    scratch.refused(&["--timens", "private,realtime=1", "box", "true"], 125, "invalid time namespace mode");
    scratch.refused(
        &["--timens", "private,monotonic=-99999999999", "box", "true"],
        125,
        "a clock would be before 0",
    );
}

#[test]
fn a_time_namespace_has_clocks_of_its_own() {
    let scratch = with_box(&[]);
    let uptime = |text: &str| text.split('.').next().unwrap().parse::<i64>().unwrap();
    let own = uptime(&fs::read_to_string("/proc/uptime").unwrap());
    let clocks = "cat /proc/uptime /proc/self/timens_offsets";
    for flags in [&[][..], &["--userns", "auto"], &["--init"]] {
        let flags = [
            &["run", "--rm", "--timens", "private,boottime=100000,monotonic=5"],
            flags,
            &["box", "sh", "-c", clocks],
        ];
        let text = scratch.text(&flags.concat());
        let ahead = uptime(&text) - own;
        assert!((100_000..100_600).contains(&ahead), "{text}");
        assert!(text.replace(' ', "").contains("boottime1000000\n"), "{text}");
    }
    scratch.text(&[
        "run",
        "-d",
        "--name",
        "later",
        "--timens",
        "private,boottime=100000",
        "box",
        "sleep",
        "1000",
    ]);
    let _kept = Kept(&scratch, "later");
    let text = scratch.text(&[
        "exec",
        "later",
        "sh",
        "-c",
        "cat /proc/uptime; readlink /proc/self/ns/time; readlink /proc/1/ns/time",
    ]);
    assert!(uptime(&text) - own >= 100_000, "{text}");
    let spaces: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(spaces[0], spaces[1]);
    assert_ne!(spaces[0], fs::read_link("/proc/self/ns/time").unwrap().display().to_string());
    assert_eq!(
        scratch.text(&["inspect", "-f", "{{.HostConfig.TimensMode}}", "later"]),
        "private,boottime=100000\n"
    );
}

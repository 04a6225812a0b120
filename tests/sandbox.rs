//! The inside of a container, as Docker makes it, and what must not be possible from there. What is asserted of Docker
//! was seen with Docker 20.10 and runc beside it.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use support::{Scratch, until};

const APPLETS: [&str; 11] =
    ["sh", "cat", "ls", "sleep", "id", "pwd", "true", "touch", "stat", "readlink", "grep"];

/// Imports an image with busybox in it; `change` makes of its root what it wants.
fn image(scratch: &Scratch, name: &str, changes: &[&str], change: impl FnOnce(&Path)) {
    let root = scratch.path(&format!("root-{name}"));
    for directory in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    change(&root);
    let tar = scratch.path(&format!("{name}.tar")).display().to_string();
    let mut pack = Command::new("tar");
    pack.args(["--numeric-owner", "--owner=0", "--group=0", "-cf", &tar, "-C"]).arg(&root).arg(".");
    assert!(pack.status().unwrap().success());
    let mut arguments = vec!["import"];
    for change in changes {
        arguments.extend(["-c", change]);
    }
    arguments.extend([tar.as_str(), name]);
    scratch.text(&arguments);
}

fn in_image(scratch: &Scratch, flags: &[&str], image: &str, script: &str) -> String {
    scratch.text(&[&["run", "--rm"], flags, &[image, "sh", "-c", script]].concat())
}

/// The first process of a container and its parent, the monitor, as the host numbers them.
fn processes(scratch: &Scratch, name: &str) -> [String; 2] {
    let pid = scratch.text(&["inspect", "-f", "{{.State.Pid}}", name]).trim().to_owned();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let monitor = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    [pid, monitor]
}

#[test]
fn the_hosts_null_device_keeps_its_owner() {
    let scratch = Scratch::new();
    let before = fs::metadata("/dev/null").unwrap();
    assert_eq!(scratch.sh(&["-u", "54321"], "id -u; echo seen > /dev/stdout"), "54321\nseen\n");
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
}

#[test]
fn mounts_have_dockers_flags_and_names() {
    let scratch = Scratch::new();
    // Place, flags, file system, source.
    let mounts = |flags: &[&str]| -> Vec<[String; 4]> {
        let text = scratch.sh(flags, "cat /proc/self/mountinfo");
        let field = |line: &str, at: usize| line.split(' ').nth(at).unwrap().to_owned();
        text.lines()
            .map(|line| {
                let (_, behind) = line.split_once(" - ").unwrap();
                [field(line, 4), field(line, 5), field(behind, 0), field(behind, 1)]
            })
            .collect()
    };
    let strict = "rw,nosuid,nodev,noexec,relatime";
    let strict_read_only = "ro,nosuid,nodev,noexec,relatime";
    let standard = mounts(&[]);
    for wanted in [
        ["/", "rw,relatime", "overlay", "overlay"],
        ["/proc", strict, "proc", "proc"],
        ["/dev", "rw,nosuid", "tmpfs", "tmpfs"],
        ["/dev/pts", "rw,nosuid,noexec,relatime", "devpts", "devpts"],
        ["/dev/shm", strict, "tmpfs", "shm"],
        ["/dev/mqueue", strict, "mqueue", "mqueue"],
        ["/sys", strict_read_only, "sysfs", "sysfs"],
        ["/sys/fs/cgroup", strict_read_only, "cgroup2", "cgroup2"],
        ["/proc/bus", strict_read_only, "proc", "proc"],
        ["/proc/fs", strict_read_only, "proc", "proc"],
        ["/proc/irq", strict_read_only, "proc", "proc"],
        ["/proc/sys", strict_read_only, "proc", "proc"],
    ] {
        assert!(standard.iter().any(|mount| mount == &wanted), "{wanted:?}: {standard:#?}");
    }
    let at = |mounts: &[[String; 4]], place: &str| {
        mounts.iter().find(|mount| mount[0] == place).map(|mount| mount[1].clone())
    };
    let read_only = mounts(&["--read-only"]);
    for place in ["/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        assert!(at(&read_only, place).unwrap().starts_with("ro,"), "{place}");
    }
    assert!(at(&read_only, "/dev/shm").unwrap().starts_with("rw,"));
    let privileged = mounts(&["--privileged"]);
    assert_eq!(at(&privileged, "/sys").unwrap(), strict);
    assert_eq!(at(&privileged, "/sys/fs/cgroup").unwrap(), strict);
    assert!(privileged.iter().all(|mount| !mount[0].starts_with("/proc/") && mount[0] != "/sys/firmware"));
    assert_eq!(at(&mounts(&["--ipc", "none"]), "/dev/shm"), None);
    let own = fs::metadata("/dev/shm").unwrap().dev();
    assert_eq!(scratch.sh(&["--ipc", "host"], "stat -c %d /dev/shm").trim(), own.to_string());
}

#[test]
fn privileged_is_all_that_the_engine_has() {
    let scratch = Scratch::new();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let inside = scratch.sh(&["--privileged"], "cat /proc/self/status");
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(inside.contains(&format!("{name}:\t{own}\n")), "{inside}");
    }
    assert!(inside.contains("CapInh:\t0000000000000000\n") && inside.contains("Seccomp:\t0\n"), "{inside}");
    // Every node of the host, but for those that every container has of its own.
    let script = "cd /dev && find . -path ./pts -prune -o \\( -type b -o -type c \\) -print \
                  | grep -v -e ptmx -e console | sort";
    let host = Command::new("sh").args(["-c", script]).output().unwrap();
    assert_eq!(scratch.sh(&["--privileged"], script), String::from_utf8(host.stdout).unwrap());
    scratch.sh(
        &["--privileged"],
        "mount -t tmpfs none /mnt && mknod /mnt/z c 1 5 && head -c 1 /mnt/z >/dev/null",
    );
}

#[test]
fn what_is_masked_stays_masked() {
    let scratch = Scratch::new();
    scratch.sh(
        &[],
        "! umount /proc/timer_list 2>/dev/null && ! umount /sys/firmware 2>/dev/null \
         && ! mount -t proc proc /mnt 2>/dev/null && ! mount --bind /tmp /proc/acpi 2>/dev/null \
         && ! (echo 1 > /proc/sys/vm/swappiness) 2>/dev/null && ! (echo x > /proc/sysrq-trigger) 2>/dev/null",
    );
    let open = scratch.sh(&["--security-opt", "systempaths=unconfined"], "cat /proc/self/mountinfo");
    assert!(!open.contains(" /proc/timer_list ") && !open.contains(" /proc/sys "), "{open}");
    // Also what a mount of the settings covers.
    let text = scratch.sh(&["--tmpfs", "/sys/firmware"], "touch /sys/firmware/x 2>/dev/null || echo refused");
    assert_eq!(text, "refused\n");
}

#[test]
fn nothing_is_mounted_into_proc_not_even_through_links() {
    let scratch = Scratch::new();
    image(&scratch, "links", &[], |root| {
        symlink("proc", root.join("there")).unwrap();
        symlink("/proc/self", root.join("me")).unwrap();
    });
    let place = scratch.path("v").display().to_string();
    fs::create_dir(&place).unwrap();
    for target in ["/proc/acpi", "/proc/./sys", "//proc/self/attr", "/proc/cpuinfo/x"] {
        scratch.refused_beside(&["-v", &format!("{place}:{target}"), "links", "true"], 125, "inside /proc");
    }
    for target in ["/there/bus", "/me/task", "/there"] {
        scratch.refused_beside(&["-v", &format!("{place}:{target}"), "links", "true"], 125, "EPERM");
        scratch.refused_beside(&["--tmpfs", target, "links", "true"], 125, "EPERM");
    }
    image(&scratch, "volume", &["VOLUME /proc/sys"], |_| {});
    scratch.refused_beside(&["volume", "true"], 125, "inside /proc");
    // What shows a container its own share of the machine.
    let info = scratch.path("info").display().to_string();
    fs::write(&info, "processor : 77\n").unwrap();
    let bind = format!("{info}:/proc/cpuinfo:ro");
    assert_eq!(in_image(&scratch, &["-v", &bind], "links", "cat /proc/cpuinfo"), "processor : 77\n");
}

#[test]
fn a_root_of_links_leads_nowhere_outside() {
    let scratch = Scratch::new();
    let outside = scratch.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "untouched\n").unwrap();
    let far = outside.display().to_string();
    image(&scratch, "links", &[], |root| {
        fs::create_dir_all(root.join(&far[1..])).unwrap();
        symlink(&far, root.join("absolute")).unwrap();
        symlink(format!("../../../../../../..{far}"), root.join("relative")).unwrap();
        symlink(format!("{far}/missing/file"), root.join("etc/hosts")).unwrap();
        symlink("../run/resolve/stub.conf", root.join("etc/resolv.conf")).unwrap();
    });
    let bind = scratch.path("bind");
    fs::create_dir(&bind).unwrap();
    fs::write(bind.join("inner"), "bound\n").unwrap();
    for link in ["absolute", "relative"] {
        let target = format!("/{link}/made/here");
        let (volume, tmpfs) = (format!("{}:{target}", bind.display()), format!("/{link}/t"));
        let work = format!("/{link}/work");
        let script = format!(
            "pwd; cat {target}/inner; touch /{link}/t/x; grep -c 127.0.0.1 {far}/missing/file; cat /run/resolve/stub.conf >&2"
        );
        let text = in_image(&scratch, &["-v", &volume, "--tmpfs", &tmpfs, "-w", &work], "links", &script);
        assert_eq!(text, format!("{far}/work\nbound\n1\n"));
    }
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "untouched\n");
    // A link to itself is no file.
    image(&scratch, "loop", &[], |root| symlink("hostname", root.join("etc/hostname")).unwrap());
    scratch.refused_beside(&["loop", "true"], 125, "mount on /etc/hostname: ELOOP");
}

#[test]
fn the_kernels_file_systems_go_onto_ordinary_directories_only() {
    for place in ["proc", "sys", "dev"] {
        let scratch = Scratch::new();
        image(&scratch, "moved", &[], |root| {
            fs::remove_dir(root.join(place)).unwrap();
            symlink("/tmp", root.join(place)).unwrap();
        });
        scratch.refused(&["moved", "true"], 125, &format!("mount on {place}: ELOOP"));
    }
    let scratch = Scratch::new();
    image(&scratch, "bare", &[], |root| {
        for place in ["proc", "sys", "dev"] {
            fs::remove_dir(root.join(place)).unwrap();
        }
    });
    assert_eq!(in_image(&scratch, &[], "bare", "readlink /proc/self/exe"), "/bin/busybox\n");
}

#[test]
fn the_images_user_files_cannot_harm() {
    let scratch = Scratch::new();
    let run = |name: &str, flags: &[&str]| {
        let uid = ["grep", "Uid:", "/proc/self/status"];
        let output = scratch.run(&[flags, &[name], &uid].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text.split('\t').nth(1).unwrap_or("").to_owned())
    };
    image(&scratch, "fifo", &[], |root| {
        fs::remove_file(root.join("etc/passwd")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join("etc/passwd")).status().unwrap().success());
    });
    assert_eq!(run("fifo", &["-u", "7"]), (0, "7".into()));
    assert_eq!(run("fifo", &["-u", "someone"]).0, 125);
    image(&scratch, "link", &[], |root| {
        fs::remove_file(root.join("etc/passwd")).unwrap();
        symlink("/dev/zero", root.join("etc/passwd")).unwrap();
    });
    assert_eq!(run("link", &[]), (0, "0".into()));
    image(&scratch, "overflow", &["USER big"], |root| {
        let lines = "big:x:4294967296:0::/:\nminus:x:-1:0::/:\n4242:x:0:0::/:\n";
        fs::write(root.join("etc/passwd"), lines).unwrap();
    });
    for user in ["big", "minus", "4294967296", "2147483648", "0:4294967296"] {
        assert_eq!(run("overflow", &["-u", user]), (125, String::new()), "{user}");
    }
    assert_eq!(run("overflow", &[]).0, 125);
    // Digits are a number, whatever a file says.
    assert_eq!(run("overflow", &["-u", "4242"]), (0, "4242".into()));
}

#[test]
fn the_engines_file_is_neither_a_program_nor_an_interpreter() {
    let scratch = Scratch::new();
    image(&scratch, "script", &[], |root| {
        let script = |name: &str, mode: u32, text: &str| {
            fs::write(root.join(name), text).unwrap();
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        script("self", 0o755, "#!/proc/self/exe version\n");
        script("thread", 0o755, "#! /proc/thread-self/exe\n");
        script("twice", 0o755, "#!/self\n");
        // The user can't read it; the kernel can.
        script("hidden", 0o711, "#!/proc/1/exe\n");
        script("honest", 0o755, "#!/bin/sh -e\necho honest\n");
        symlink("/proc/self/exe", root.join("link")).unwrap();
    });
    for program in ["/self", "/thread", "/twice", "/hidden", "/link", "/proc/self/exe", "/proc/self/fd/0"] {
        for flags in [&[][..], &["-u", "99"]] {
            scratch.refused_beside(&[flags, &["script", program]].concat(), 126, "magic link");
        }
    }
    assert_eq!(scratch.text(&["run", "--rm", "-u", "99", "script", "/honest"]), "honest\n");
}

#[test]
fn the_engines_file_is_busy_as_long_as_a_container_lives() {
    let scratch = Scratch::new();
    // A copy that only this test's processes run.
    let copy = scratch.path("skiff");
    // By another process: a child of another test would hold this one's descriptor, and the copy could not be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_skiff")).arg(&copy).status().unwrap().success());
    let write = || fs::OpenOptions::new().write(true).open(&copy).map(drop).map_err(|error| error.kind());
    let mut start = Command::new(&copy);
    start.args(["run", "-d", "--name", "busy", "host", "sleep", "1000"]);
    start.env("SKIFF_ROOT", scratch.path("data")).env("SKIFF_RUN", scratch.path("run")).stdin(Stdio::null());
    assert!(start.env("SKIFF_NETWORK", "none").env_remove("DOCKER_HOST").output().unwrap().status.success());
    assert_eq!(write(), Err(std::io::ErrorKind::ExecutableFileBusy));
    let [_, monitor] = processes(&scratch, "busy");
    // One who sees all processes, and may look into them, can't write to it either.
    let script = format!(": < /proc/{monitor}/exe && echo seen; (: >> /proc/{monitor}/exe) 2>&1 || true");
    let seen = scratch.sh(&["--pid", "host", "--cap-add", "SYS_PTRACE"], &script);
    assert!(seen.starts_with("seen\n") && seen.contains("Text file busy"), "{seen}");
    // Without that right it can't even be opened.
    let blind = scratch.sh(&["--pid", "host"], &format!("(: < /proc/{monitor}/exe) 2>&1 || true"));
    assert!(blind.contains("ermission denied"), "{blind}");
    scratch.text(&["rm", "-f", "busy"]);
    until("the monitor still runs", &mut || write().is_ok());
}

#[test]
fn a_profile_needs_to_allow_no_more_than_the_program_does() {
    let scratch = Scratch::new();
    let profile = scratch.path("strict.json");
    let names = [
        "openat2",
        "close_range",
        "rt_sigprocmask",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "fsopen",
        "keyctl",
        "setsid",
        "fstatfs",
        "getcwd",
        "prlimit64",
    ];
    let json = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":{names:?},"action":"SCMP_ACT_ERRNO"}}]}}"#
    );
    fs::write(&profile, json).unwrap();
    let option = format!("seccomp={}", profile.display());
    let script = "grep -c Seccomp:.2 /proc/self/status";
    image(&scratch, "plain", &[], |_| {});
    for flags in [
        &[][..],
        &["-u", "1:1"],
        &["--security-opt", "no-new-privileges", "-u", "1:1"],
        // One's own profile holds even here.
        &["--privileged"],
    ] {
        let flags = [&["--security-opt", &option], flags].concat();
        assert_eq!(in_image(&scratch, &flags, "plain", script), "1\n", "{flags:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_when_the_container_is_made() {
    let scratch = Scratch::new();
    for (flags, words) in [
        (
            &["--sysctl", "kernel.core_pattern=x"][..],
            "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace",
        ),
        (&["--sysctl", "net/../kernel/core_pattern=x"], "invalid sysctl name"),
        (&["--sysctl", "kernel.hostname=x"], "--hostname"),
        (
            &["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"],
            "not allowed in host network namespace",
        ),
        (&["--ipc", "host", "--sysctl", "kernel.shmmax=1"], "not allowed in the hosts ipc namespace"),
        (&["--ulimit", "nofile=5:3"], "soft limit must be less than or equal to hard limit"),
        (&["--ulimit", "nosuch=5"], "invalid ulimit type: nosuch"),
        (&["--oom-score-adj", "1001"], "range for oom score adj is [-1000, 1000]"),
        (&["--uts", "host", "--hostname", "x"], "conflicting options: hostname and the UTS mode"),
        (&["--userns", "nonsense"], "--userns"),
        (&["--ipc", "nonsense"], "--ipc"),
        (&["--security-opt", "apparmor=some"], "apparmor=some"),
        (&["--device", "/dev/null:/dev/x:q"], "/dev/null:/dev/x:q"),
        (&["--network", "container:"], "container:NAME"),
    ] {
        scratch.fails(&[&["create"], flags, &["host", "true"]].concat(), 125, words);
        assert_eq!(scratch.containers(), 0, "{flags:?}");
    }
    for (device, why) in [
        ("/nosuch", "no such file or directory"),
        ("/etc/skel", "not a device node"),
        ("/etc/passwd", "not a device node"),
    ] {
        let words =
            format!("error gathering device information while adding custom device \"{device}\": {why}");
        scratch.refused(&["--device", device, "host", "true"], 125, &words);
    }
}

#[test]
fn settings_of_own_namespaces_are_in_force() {
    let scratch = Scratch::new();
    let text = scratch.sh(
        &["--sysctl", "kernel.shmmax=12345", "--sysctl", "net.ipv4.ip_unprivileged_port_start=99"],
        "cd /proc/sys && cat kernel/shmmax net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range",
    );
    assert_eq!(text, "12345\n99\n0\t2147483647\n");
    let text = scratch.sh(
        &["--ulimit", "nofile=50:60", "--ulimit", "core=0", "--oom-score-adj", "7"],
        "grep -e 'open files' -e 'core file' /proc/self/limits | tr -s ' '; cat /proc/self/oom_score_adj; umask",
    );
    assert_eq!(text, "Max core file size 0 0 bytes \nMax open files 50 60 files \n7\n0022\n");
    // With the host's network comes its name.
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(scratch.sh(&["--network", "host"], "cat /proc/sys/kernel/hostname"), own);
    assert_eq!(scratch.sh(&["--uts", "host"], "cat /proc/sys/kernel/hostname"), own);
    assert_eq!(scratch.sh(&["--domainname", "d.x"], "cat /proc/sys/kernel/domainname"), "d.x\n");
}

#[test]
fn a_device_appears_where_it_was_asked_for() {
    let scratch = Scratch::new();
    let text = scratch.sh(
        &["--device", "/dev/null:/dev/deep/er/n:r", "--device", "/dev/zero:/srv/z"],
        "stat -c '%n %F %t:%T' /dev/deep/er/n /srv/z; head -c 2 /srv/z | wc -c",
    );
    assert_eq!(text, "/dev/deep/er/n character special file 1:3\n/srv/z character special file 1:5\n2\n");
}

#[test]
fn a_container_dies_with_its_monitor_whoever_its_user_is() {
    for flags in [&[][..], &["-u", "0:5"], &["-u", "12:5"]] {
        let scratch = Scratch::new();
        scratch.text(&[&["run", "-d", "--name", "mortal"], flags, &["host", "sleep", "1000"]].concat());
        let [pid, monitor] = processes(&scratch, "mortal");
        assert!(Command::new("kill").args(["-9", &monitor]).status().unwrap().success());
        until("the process lives on", &mut || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
        });
        scratch.text(&["rm", "-f", "mortal"]);
    }
}

#[test]
fn real_time_signals_arrive() {
    let scratch = Scratch::new();
    let script = "trap 'exit 9' 37; echo ready; while :; do sleep 0.01; done";
    scratch.text(&["run", "-d", "--name", "timely", "host", "sh", "-c", script]);
    until("it is not ready", &mut || scratch.text(&["logs", "timely"]) == "ready\n");
    scratch.text(&["kill", "-s", "RTMIN+3", "timely"]);
    assert_eq!(scratch.text(&["wait", "timely"]), "9\n");
    scratch.text(&["rm", "timely"]);
}

#[test]
fn a_start_in_another_pid_namespace_leaves_the_monitor_in_its_own() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "--name", "first", "host", "sleep", "1000"]);
    let flags = ["run", "-d", "--name", "second", "--pid", "container:first"];
    scratch.text(&[&flags[..], &["host", "sleep", "1000"]].concat());
    let [first, _] = processes(&scratch, "first");
    let [second, monitor] = processes(&scratch, "second");
    let namespace = |pid: &str, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    assert_eq!(namespace(&second, "pid"), namespace(&first, "pid"));
    assert_eq!(namespace(&monitor, "pid_for_children"), namespace("self", "pid"));
    scratch.text(&["rm", "-f", "first", "second"]);
}

#[test]
fn the_hosts_proc_can_be_mounted_over_ones_own_and_stays_masked() {
    let scratch = Scratch::new();
    let script = format!(
        "test -e /proc/{}/status && head -c1 /proc/interrupts | wc -c && (echo x > /proc/sys/kernel/domainname) 2>&1 | grep -o 'Read-only.*'",
        std::process::id()
    );
    assert_eq!(scratch.sh(&["-v", "/proc:/proc"], &script), "0\nRead-only file system\n");
    assert_eq!(
        scratch.sh(&["-v", "/proc:/proc:ro"], "(echo x > /proc/self/comm) 2>&1 | grep -o 'Read-only.*'"),
        "Read-only file system\n"
    );
    for flags in [["-v", "/tmp:/proc"], ["--tmpfs", "/proc"], ["-v", "/proc/self:/proc"]] {
        let arguments = [&flags[..], &["host", "true"]].concat();
        scratch.refused(&arguments, 125, "\"/proc\" cannot be mounted over, except by all of the host's");
    }
    scratch.refused(
        &["-v", "/tmp:/proc/self", "host", "true"],
        125,
        "cannot be mounted because it is inside /proc",
    );
}

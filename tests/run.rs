//! `skiff run` against the real kernel: what a container sees from inside, what it can't do, and how it ends.

mod support;

use support::Scratch;

fn field(text: &str, name: &str) -> String {
    let line =
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line[name.len()..].trim().into()
}

#[test]
fn output_and_exit_code_are_the_containers_own() {
    let scratch = Scratch::new();
    let output = scratch.run(&["host", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(7));
    let killed = scratch.run(&["host", "sh", "-c", "kill -9 $$; sleep 5"]);
    // Process 1 of a pid namespace can't kill itself: the shell goes on.
    assert_eq!(killed.status.code(), Some(0));
    assert_eq!(scratch.containers(), 0);
}

#[test]
fn input_reaches_the_container_and_its_end_too() {
    let scratch = Scratch::new();
    let input: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let output = scratch.with_input(&["run", "--rm", "-i", "host", "cat"], &input);
    assert!(output.status.success());
    assert!(output.stdout == input, "{} of {} bytes came back", output.stdout.len(), input.len());
}

#[test]
fn rights_are_dockers_defaults() {
    let scratch = Scratch::new();
    let status = scratch.sh(&[], "cat /proc/self/status");
    for (name, value) in [
        ("CapInh:", "0000000000000000"),
        ("CapPrm:", "00000000a80425fb"),
        ("CapEff:", "00000000a80425fb"),
        ("CapBnd:", "00000000a80425fb"),
        ("CapAmb:", "0000000000000000"),
        ("Seccomp:", "2"),
        ("NoNewPrivs:", "0"),
        ("SigIgn:", "0000000000000000"),
        ("SigBlk:", "0000000000000000"),
    ] {
        assert_eq!(field(&status, name), value, "{name}");
    }
    let user = scratch.sh(&["-u", "65534:65533", "--group-add", "77"], "cat /proc/self/status");
    assert_eq!(field(&user, "CapEff:"), "0000000000000000");
    assert_eq!(field(&user, "CapPrm:"), "0000000000000000");
    assert_eq!(field(&user, "Groups:"), "77 65533");
    let dropped = scratch.sh(&["--cap-drop", "all", "--cap-add", "chown"], "cat /proc/self/status");
    assert_eq!(field(&dropped, "CapEff:"), "0000000000000001");
    let locked = scratch.sh(&["--security-opt", "no-new-privileges"], "cat /proc/self/status");
    assert_eq!(field(&locked, "NoNewPrivs:"), "1");
}

#[test]
fn what_the_client_ignores_is_not_the_containers_business() {
    let scratch = Scratch::new();
    let run = scratch.skiff(&["run", "--rm", "host", "grep", "^Sig[BI]", "/proc/self/status"]);
    let mut deaf = std::process::Command::new("sh");
    deaf.args(["-c", "trap '' HUP INT USR1 PIPE; exec \"$0\" \"$@\""]);
    deaf.arg(run.get_program()).args(run.get_args());
    deaf.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = deaf.output().unwrap();
    let status = String::from_utf8_lossy(&output.stdout);
    for name in ["SigIgn:", "SigBlk:"] {
        assert_eq!(field(&status, name), "0000000000000000", "{name}");
    }
}

#[test]
fn namespaces_are_its_own() {
    let scratch = Scratch::new();
    let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    for name in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let inside = scratch.sh(&[], &format!("readlink /proc/self/ns/{name}"));
        assert_ne!(inside.trim(), own(name), "{name}");
    }
    let shared = scratch.sh(&["--network", "host"], "readlink /proc/self/ns/net");
    assert_eq!(shared.trim(), own("net"));
    assert_eq!(scratch.sh(&[], "echo $$"), "1\n");
    assert_eq!(
        scratch.sh(&["-h", "box"], "cat /etc/hostname /proc/sys/kernel/hostname; echo $HOSTNAME"),
        "box\nbox\nbox\n"
    );
}

#[test]
fn only_the_standard_descriptors_are_open() {
    let scratch = Scratch::new();
    // 3 is the directory that ls itself reads.
    assert_eq!(scratch.sh(&[], "exec ls /proc/self/fd"), "0\n1\n2\n3\n");
}

#[test]
fn dev_proc_and_sys_are_as_docker_makes_them() {
    let scratch = Scratch::new();
    let nodes = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(scratch.sh(&[], "ls /dev | tr '\\n' ' '").trim(), nodes);
    let types = scratch.sh(&[], "cd /dev && stat -c '%n %t:%T %a' null zero full random urandom tty");
    assert_eq!(
        types,
        "null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\n"
    );
    let mounts = scratch.sh(&[], "cat /proc/mounts");
    let options = |place: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(place));
        line.unwrap_or_else(|| panic!("{place} is no mount")).split(' ').nth(3).unwrap().to_owned()
    };
    for (place, wanted) in [
        ("/proc", "rw,nosuid,nodev,noexec"),
        ("/sys", "ro,nosuid,nodev,noexec"),
        ("/sys/fs/cgroup", "ro,nosuid,nodev,noexec"),
        ("/dev/mqueue", "rw,nosuid,nodev,noexec"),
        ("/proc/sys", "ro,nosuid,nodev,noexec"),
        ("/dev/shm", "rw,nosuid,nodev,noexec"),
    ] {
        assert!(options(place).starts_with(wanted), "{place}: {}", options(place));
    }
    for masked in ["/proc/keys", "/proc/timer_list", "/proc/interrupts"] {
        assert_eq!(scratch.sh(&[], &format!("wc -c < {masked}")).trim(), "0", "{masked}");
    }
    assert_eq!(scratch.sh(&[], "ls /sys/firmware | wc -l").trim(), "0");
    let sysctl = scratch.sh(&[], "cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    assert_eq!(sysctl.trim(), "0");
}

#[test]
fn what_the_filter_forbids_fails() {
    let scratch = Scratch::new();
    scratch.sh(&[], "! unshare -m true 2>/dev/null && ! mount -t tmpfs none /mnt 2>/dev/null");
    scratch
        .sh(&["--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN"], "mount -t tmpfs none /mnt");
}

#[test]
fn devices_beyond_the_standard_ones_cannot_be_opened() {
    let scratch = Scratch::new();
    // fuse can't even be made.
    scratch.sh(
        &[],
        "! mknod /dev/probe c 10 229 2>/dev/null && : < /dev/null && mknod /dev/z c 1 5 && : < /dev/z",
    );
    // Any other node can be made, as in Docker, and not opened. That the rules decide, and nothing else, shows where
    // the host has such a device: with a rule for it the same node opens.
    scratch.sh(&[], "mknod /dev/probe c 10 237 && ! (: < /dev/probe) 2>/dev/null");
    if std::fs::File::open("/dev/loop-control").is_ok() {
        scratch.sh(&["--device", "/dev/loop-control"], ": < /dev/loop-control");
        let rule = ["--device-cgroup-rule", "c 10:237 rwm"];
        scratch.sh(&rule, "mknod /dev/probe c 10 237 && : < /dev/probe");
    }
}

#[test]
fn a_limit_is_enforced_or_refused_by_the_controllers_name() {
    let scratch = Scratch::new();
    let there = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for (controller, flags, file, value) in [
        ("memory", ["-m", "64m"], "memory.max", "67108864"),
        ("cpu", ["--cpus", "0.5"], "cpu.max", "50000 100000"),
        ("pids", ["--pids-limit", "50"], "pids.max", "50"),
    ] {
        if there.split_whitespace().any(|one| one == controller) {
            assert_eq!(scratch.sh(&flags, &format!("cat /sys/fs/cgroup/{file}")).trim(), value);
        } else {
            scratch.refused(
                &[&flags[..], &["host", "true"]].concat(),
                125,
                &format!("the {controller} controller"),
            );
        }
    }
}

#[test]
fn all_processors_of_the_machine_are_the_containers_and_can_be_asked_for() {
    let scratch = Scratch::new();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
    for _ in 0..20 {
        assert_eq!(scratch.sh(&[], "grep Cpus_allowed_list /proc/self/status").trim_end(), own);
    }
    let all = std::thread::available_parallelism().unwrap().to_string();
    let there = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if there.split_whitespace().any(|one| one == "cpu") {
        scratch.sh(&["--cpus", &all], "true");
    } else {
        scratch.refused(&["--cpus", &all, "host", "true"], 125, "the cpu controller");
    }
}

#[test]
fn a_container_is_born_in_a_group_of_its_own_that_goes_with_it() {
    let scratch = Scratch::new();
    assert_eq!(scratch.sh(&[], "grep '^0:' /proc/self/cgroup"), "0::/\n");
    let roots = ["/sys/fs/cgroup/skiff", "/sys/fs/cgroup/unified/skiff"];
    let groups = || -> Vec<String> {
        let found = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten();
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.len() == 64).collect()
    };
    let mut child = scratch.skiff(&["run", "--rm", "-i", "--name", "grouped", "host", "cat"]);
    let mut child =
        child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let id = || scratch.text(&["ps", "-q", "--no-trunc", "--filter", "name=grouped"]).trim().to_owned();
    let start = std::time::Instant::now();
    while !groups().contains(&id()) {
        assert!(start.elapsed().as_secs() < 20, "the container has no group");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let id = id();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    while groups().contains(&id) {
        assert!(start.elapsed().as_secs() < 20, "the group is still there");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_was_begun_ahead_of_a_run_that_is_refused_goes_again() {
    let scratch = Scratch::new();
    scratch.refused(&["nosuchimage", "true"], 125, "nosuchimage");
    scratch.refused(&["--cgroup-parent", "../x", "host", "true"], 125, "cgroup-parent");
    assert_eq!(scratch.sh(&["--network", "host", "--pid", "host"], "echo other"), "other\n");
    let left = || std::fs::read_dir(scratch.path("run/containers")).unwrap().count();
    let start = std::time::Instant::now();
    while left() > 0 {
        assert!(start.elapsed().as_secs() < 20, "a run directory is left, and with it a control group");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_the_container_is_to_the_memory_killer_its_monitor_is_not() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "--name", "likely", "--oom-score-adj", "77", "host", "sleep", "1000"]);
    let pid = scratch.text(&["inspect", "-f", "{{.State.Pid}}", "likely"]);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    let monitor = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap();
    let score = |process: &str| std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap();
    let scores = (score(pid.trim()), score(monitor));
    scratch.text(&["rm", "-f", "likely"]);
    assert_eq!(scores, ("77\n".into(), score("self")));
}

#[test]
fn writes_never_reach_the_host() {
    let scratch = Scratch::new();
    let place = format!("/etc/skiff-write-{}", std::process::id());
    assert_eq!(scratch.sh(&[], &format!("echo x > {place} && cat {place}")), "x\n");
    assert!(!std::path::Path::new(&place).exists());
    let refused = scratch.run(&["--read-only", "host", "sh", "-c", &format!("echo x > {place}")]);
    assert!(!refused.status.success());
}

#[test]
fn mounts_are_where_they_were_asked_for() {
    let scratch = Scratch::new();
    let shared = scratch.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("a"), "one\n").unwrap();
    let bind = format!("{}:/mnt/in/side", shared.display());
    assert_eq!(scratch.sh(&["-v", &bind], "cat /mnt/in/side/a; echo two > /mnt/in/side/b"), "one\n");
    assert_eq!(std::fs::read_to_string(shared.join("b")).unwrap(), "two\n");
    let failed = scratch.run(&["-v", &format!("{bind}:ro"), "host", "sh", "-c", "echo x > /mnt/in/side/c"]);
    assert!(!failed.status.success() && !shared.join("c").exists());
    let tmpfs = scratch.sh(&["--tmpfs", "/mnt/t:size=1m"], "grep ' /mnt/t ' /proc/mounts");
    assert!(tmpfs.contains("size=1024k") && tmpfs.contains("noexec"), "{tmpfs}");
}

#[test]
fn the_environment_starts_empty() {
    let scratch = Scratch::new();
    let mut command = scratch.skiff(&["run", "--rm", "-e", "A=1", "-e", "GIVEN", "-h", "box", "host", "env"]);
    let output = command.env("GIVEN", "g").env("SECRET", "s").output().unwrap();
    let mut lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=1", "GIVEN=g", "HOME=/root", "HOSTNAME=box", path]);
}

#[test]
fn a_working_directory_is_made_and_cannot_lead_out() {
    let scratch = Scratch::new();
    assert_eq!(scratch.sh(&["-w", "/new/place"], "pwd"), "/new/place\n");
    for number in 3..20 {
        let output = scratch.run(&["-w", &format!("/proc/self/fd/{number}"), "host", "pwd"]);
        assert_eq!(output.status.code(), Some(125), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn bad_requests_get_one_line_and_leave_nothing() {
    let scratch = Scratch::new();
    for (arguments, code, words) in [
        (&["host", "nosuchprogram"][..], 127, "executable file not found in $PATH"),
        (&["host", "/no/such/program"], 127, "no such file or directory"),
        (&["host", "/etc/passwd"], 126, "permission denied"),
        (&["host"], 125, "no command specified"),
        (&["nosuchimage", "true"], 125, "No such image"),
        (&["--name", "a b", "host", "true"], 125, "Invalid container name"),
        (&["--cap-add", "NOSUCH", "host", "true"], 125, "NOSUCH"),
        (&["--network", "nosuch", "host", "true"], 125, "network nosuch not found"),
        (&["--mount", "type=bind,src=/nosuchplace,dst=/x", "host", "true"], 125, "/nosuchplace"),
        (&["-v", "/tmp:relative", "host", "true"], 125, "must be absolute"),
        (&["-u", "nosuchuser", "host", "true"], 125, "unable to find user nosuchuser"),
        (&["-u", "4294967296", "host", "true"], 125, "range"),
        (&["--security-opt", "nosuch", "host", "true"], 125, "nosuch"),
        (&["--sysctl", "net.no.such=1", "host", "true"], 125, "net/no/such"),
        (&["--nosuchflag", "host", "true"], 125, "nosuchflag"),
        (&["-m", "1m", "host", "true"], 125, "Minimum memory limit allowed is 6MB"),
        (&["--log-driver", "nosuch", "host", "true"], 125, "no log driver named 'nosuch' is registered"),
        (&["--runtime", "nosuch", "host", "true"], 125, "nosuch"),
        (&["--device", "/nosuchdevice", "host", "true"], 125, "/nosuchdevice"),
        (&["--device-cgroup-rule", "nosuch", "host", "true"], 125, "nosuch"),
        (&["--stop-signal", "NOSUCH", "host", "true"], 125, "NOSUCH"),
    ] {
        scratch.refused(arguments, code, words);
    }
}

#[test]
fn a_killed_client_takes_its_container_along() {
    let scratch = Scratch::new();
    let mut client = scratch.skiff(&["run", "--rm", "-i", "host", "sleep", "1000"]);
    let mut client = client.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let wait = |what: &str, wanted: &dyn Fn() -> bool| {
        let start = std::time::Instant::now();
        while !wanted() {
            assert!(start.elapsed().as_secs() < 20, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    wait("the container does not appear", &|| scratch.containers() == 1);
    client.kill().unwrap();
    client.wait().unwrap();
    wait("the container does not go", &|| scratch.containers() == 0);
}

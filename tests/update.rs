//! `skiff update`, and what `inspect` and `ps` show of a container's settings, through the real binary. The limits
//! themselves are tried in the guest, where all controllers are.

mod support;

use support::Scratch;

fn inspect(scratch: &Scratch, name: &str, format: &str) -> String {
    scratch.text(&["inspect", "--format", format, name]).trim_end().into()
}

#[test]
fn the_restart_policy_of_a_running_container_changes() {
    let scratch = Scratch::new();
    scratch.text(&["run", "-d", "-i", "--name", "one", "host", "sh", "-c", "read x; exit 4"]);
    assert_eq!(scratch.text(&["update", "--restart", "on-failure:1", "one"]), "one\n");
    let policy = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(inspect(&scratch, "one", policy), "on-failure 1");
    scratch.with_input(&["attach", "one"], b"go\n");
    let start = std::time::Instant::now();
    while inspect(&scratch, "one", "{{.RestartCount}} {{.State.Running}}") != "1 true" {
        assert!(start.elapsed().as_secs() < 30, "it is not started again");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    scratch.text(&["update", "--restart", "no", "one"]);
    scratch.with_input(&["attach", "one"], b"go\n");
    assert_eq!(scratch.text(&["wait", "one"]), "4\n");
    scratch.text(&["run", "-d", "--rm", "--name", "two", "host", "sleep", "1000"]);
    scratch.fails(
        &["update", "--restart", "always", "two"],
        1,
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
    );
    scratch.text(&["kill", "two"]);
}

#[test]
fn limits_that_make_no_sense_are_refused_and_nothing_changes() {
    let scratch = Scratch::new();
    scratch.text(&["create", "--name", "one", "--label", "a=b", "host", "true"]);
    for (flags, words) in [
        (&["--memory", "1m"][..], "Minimum memory limit allowed is 6MB"),
        (&["--cpus", "1000"], "Range of CPUs is from 0.01 to"),
        (&["--cpuset-cpus", "900"], "Requested CPUs are not available"),
        (&["--restart", "sometimes"], "restart"),
        (&[], "you must provide one or more flags"),
    ] {
        scratch.fails(&[&["update"], flags, &["one"]].concat(), 1, words);
    }
    assert_eq!(inspect(&scratch, "one", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"), "0 0");
    scratch.fails(&["update", "--cpus", "1", "nobody"], 1, "No such container: nobody");
}

#[test]
fn renames_and_updates_at_once_lose_nothing() {
    let scratch = Scratch::new();
    scratch.text(&["create", "--name", "one", "host", "true"]);
    let id = inspect(&scratch, "one", "{{.Id}}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..20).for_each(|number| {
                scratch.text(&["rename", &id, &format!("name{number}")]);
            })
        });
        scope.spawn(|| {
            (1..=20).for_each(|number| {
                scratch.text(&["update", "--restart", &format!("on-failure:{number}"), &id]);
            })
        });
    });
    let shown = inspect(&scratch, &id, "{{.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}");
    assert_eq!(shown, "/name19 20");
    let names = std::fs::read_dir(scratch.path("data/containers/by-name")).unwrap().count();
    assert_eq!(names, 1, "the old names are free");
}

#[test]
fn inspect_shows_every_setting_under_dockers_name() {
    let scratch = Scratch::new();
    scratch.text(&[
        "create",
        "--name",
        "one",
        "-m",
        "64m",
        "--memory-swap",
        "128m",
        "--memory-reservation",
        "32m",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--pids-limit",
        "50",
        "--blkio-weight",
        "300",
        "--cpuset-cpus",
        "0",
        "--shm-size",
        "1m",
        "--oom-score-adj",
        "100",
        "--restart",
        "on-failure:3",
        "--log-opt",
        "max-size=1m",
        "--cap-add",
        "NET_ADMIN",
        "--security-opt",
        "no-new-privileges",
        "--ulimit",
        "nofile=100:200",
        "--read-only",
        "--stop-signal",
        "INT",
        "--stop-timeout",
        "3",
        "-h",
        "box",
        "-e",
        "A=b",
        "-w",
        "/tmp",
        "-u",
        "1:2",
        "host",
        "echo",
        "x",
    ]);
    let json: serde_json::Value = serde_json::from_str(&scratch.text(&["inspect", "one"])).unwrap();
    let one = &json[0];
    for (pointer, value) in [
        ("/HostConfig/Memory", "67108864"),
        ("/HostConfig/MemorySwap", "134217728"),
        ("/HostConfig/MemoryReservation", "33554432"),
        ("/HostConfig/NanoCpus", "500000000"),
        ("/HostConfig/CpuShares", "512"),
        ("/HostConfig/PidsLimit", "50"),
        ("/HostConfig/BlkioWeight", "300"),
        ("/HostConfig/CpusetCpus", "\"0\""),
        ("/HostConfig/ShmSize", "1048576"),
        ("/HostConfig/OomScoreAdj", "100"),
        ("/HostConfig/RestartPolicy/Name", "\"on-failure\""),
        ("/HostConfig/LogConfig/Type", "\"json-file\""),
        ("/HostConfig/LogConfig/Config/max-size", "\"1m\""),
        ("/HostConfig/SecurityOpt/0", "\"no-new-privileges\""),
        ("/HostConfig/Ulimits/0/Hard", "200"),
        ("/HostConfig/ReadonlyRootfs", "true"),
        ("/HostConfig/Binds", "null"),
        ("/HostConfig/CapDrop", "null"),
        ("/HostConfig/NetworkMode", "\"none\""),
        ("/HostConfig/IpcMode", "\"private\""),
        ("/HostConfig/CgroupnsMode", "\"private\""),
        ("/HostConfig/Runtime", "\"skiff\""),
        ("/HostConfig/Isolation", "\"\""),
        ("/Config/Hostname", "\"box\""),
        ("/Config/StopSignal", "\"INT\""),
        ("/Config/StopTimeout", "3"),
        ("/Config/User", "\"1:2\""),
        ("/Config/Env/0", "\"A=b\""),
        ("/Config/WorkingDir", "\"/tmp\""),
        ("/Path", "\"echo\""),
        ("/Args/0", "\"x\""),
        ("/RestartCount", "0"),
        ("/State/OOMKilled", "false"),
        ("/State/Dead", "false"),
        ("/Mounts", "[]"),
        ("/Driver", "\"overlay\""),
    ] {
        let found = one.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        assert_eq!(found.to_string(), value, "{pointer}");
    }
    assert_eq!(one["HostConfig"]["MaskedPaths"].as_array().map(Vec::is_empty), Some(false));
    for path in ["LogPath", "HostnamePath", "HostsPath", "ResolvConfPath"] {
        assert!(one[path].as_str().unwrap().contains(one["Id"].as_str().unwrap()), "{path}");
    }
}

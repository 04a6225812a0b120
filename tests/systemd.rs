//! The README's units under a real systemd, which is the first process of a container: the socket starts the daemon, and
//! neither its restart nor its end is the containers'.

mod support;

use std::fs;

use support::{Scratch, until, with_box};

/// The unit of this name in the README.
fn unit(name: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, after) = readme.split_once(&format!("    # /etc/systemd/system/{name}\n")).expect("it is there");
    let lines = after.lines().map_while(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A container whose first process is systemd.
struct Machine(Scratch);

impl Machine {
    fn boot() -> Machine {
        let scratch = with_box(&[]);
        let file = |name: &str| scratch.path(name).display().to_string();
        for name in ["skiff.socket", "skiff.service"] {
            fs::write(scratch.path(name), unit(name)).unwrap();
        }
        scratch.text(&["save", "-o", &file("box.tar"), "box"]);
        let mounts = [
            (env!("CARGO_BIN_EXE_skiff").to_string(), "/usr/local/bin/skiff"),
            (file("box.tar"), "/box.tar"),
            (file("skiff.socket"), "/etc/systemd/system/skiff.socket"),
            (file("skiff.service"), "/etc/systemd/system/skiff.service"),
        ];
        let mounts = mounts.map(|(from, to)| format!("{from}:{to}:ro"));
        // With all rights but those to change this machine's settings and to announce its devices anew.
        let mut run = vec!["run", "-d", "--name", "machine", "-e", "container=skiff", "--cap-add", "ALL"];
        run.extend(["--security-opt", "seccomp=unconfined"]);
        // It would tidy up all that this machine has there.
        run.extend(["/run", "/tmp", "/var/tmp"].iter().flat_map(|path| ["--tmpfs", path]));
        run.extend(mounts.iter().flat_map(|mount| ["-v", mount]));
        let script = "mount -o remount,rw /sys/fs/cgroup && exec /lib/systemd/systemd --unit=basic.target";
        run.extend(["host", "sh", "-c", script]);
        scratch.text(&run);
        let machine = Machine(scratch);
        until("systemd has started", &mut || machine.has("systemctl is-active sockets.target", "active"));
        // An overlay does not stand on another one.
        machine.sh("systemctl set-environment SKIFF_ROOT=/run/data SKIFF_NETWORK=none");
        machine
    }

    fn has(&self, script: &str, said: &str) -> bool {
        let output = self.0.skiff(&["exec", "machine", "sh", "-c", script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim() == said
    }

    fn sh(&self, script: &str) -> String {
        self.0.text(&["exec", "machine", "sh", "-c", script])
    }

    /// What the command line says as the daemon's client.
    fn client(&self, words: &str) -> String {
        self.sh(&format!("skiff -H unix:///run/skiff.sock {words}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.skiff(&["rm", "-f", "machine"]).output();
    }
}

#[test]
fn the_units_of_the_readme_serve_and_leave_containers_alone() {
    let machine = Machine::boot();
    machine.sh("systemctl start skiff.socket");
    assert!(machine.has("systemctl is-active skiff.service", "inactive"), "nobody has asked for it");
    assert_eq!(machine.sh("stat -c '%a %G' /run/skiff.sock"), "660 docker\n");
    assert_eq!(machine.client("version -f '{{.Server.Os}}'"), "linux\n");
    assert!(machine.has("systemctl is-active skiff.service", "active"));
    machine.client("load -q -i /box.tar");
    machine.client("run -d --restart always --name kept box sleep 1000");
    let pid = || machine.client("inspect -f '{{.State.Running}} {{.State.Pid}}' kept");
    let before = pid();
    assert!(before.starts_with("true "), "{before}");
    machine.sh("systemctl restart skiff.service");
    assert_eq!(pid(), before);
    machine.sh("kill -9 $(systemctl show -p MainPID --value skiff.service)");
    until("it is started again", &mut || {
        machine.has("systemctl show -p NRestarts --value skiff.service", "1")
    });
    assert_eq!(pid(), before);
    machine.sh("systemctl stop skiff.socket skiff.service");
    assert!(machine.has("systemctl is-active skiff.service", "inactive"));
    let own = "SKIFF_ROOT=/run/data skiff inspect -f '{{.State.Running}} {{.State.Pid}}' kept";
    assert_eq!(machine.sh(own), before);
    // As after a boot: what has to run is started with the daemon.
    machine.sh(&format!("kill -9 $(ps -o ppid= -p {})", before.trim().strip_prefix("true ").unwrap()));
    until("it has ended", &mut || machine.sh(own).starts_with("false "));
    machine.sh("systemctl start skiff.service");
    until("it is started again", &mut || pid().starts_with("true "));
    assert_ne!(pid(), before);
    let told = machine.sh("systemctl list-units --failed --no-legend 'skiff*'");
    assert_eq!(told, "");
}

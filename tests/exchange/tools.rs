//! The tools that other people use, on scratch storage and without a network: what they write is loaded as what it is.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use super::{
    count,
    support::{Scratch, until},
};

/// Whether the tools are here: `tests/setup.sh` installs them, which only root can.
pub fn are_there() -> bool {
    let wanted = ["podman", "buildah", "skopeo", "umoci", "dockerd", "docker"];
    let is_there = |tool: &&str| {
        ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"]
            .iter()
            .any(|place| Path::new(place).join(tool).exists())
    };
    let missing: Vec<&str> = wanted.into_iter().filter(|tool| !is_there(tool)).collect();
    let is_root = rustix::process::geteuid().is_root();
    assert!(missing.is_empty() || !is_root, "missing: {missing:?} (tests/setup.sh installs them)");
    if !missing.is_empty() || !is_root {
        println!("skipped: not root");
    }
    is_root
}

/// What a command prints, without blanks around it; it has to succeed.
pub fn said(command: &mut Command) -> String {
    exactly(command).trim().to_string()
}

/// What a command prints; it has to succeed.
fn exactly(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn podman(scratch: &Scratch, program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--root").arg(scratch.path("store")).arg("--runroot").arg(scratch.path("store-run"));
    command.args(["--storage-driver", "vfs"]);
    if program == "podman" {
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
    }
    command
}

/// A daemon of Docker's that can't run anything and need not.
pub struct Dockerd {
    child: Child,
    host: String,
}

impl Dockerd {
    pub fn start(scratch: &Scratch) -> Dockerd {
        let socket = scratch.path("dockerd.sock");
        let host = format!("unix://{}", socket.display());
        let log = std::fs::File::create(scratch.path("dockerd.log")).unwrap();
        let mut command = Command::new("dockerd");
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "-H", &host]);
        for (flag, name) in
            [("--data-root", "dockerd"), ("--exec-root", "dockerd-run"), ("--pidfile", "dockerd.pid")]
        {
            command.arg(flag).arg(scratch.path(name));
        }
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let dockerd = Dockerd { child, host };
        until("dockerd answers", &mut || dockerd.command(&["version"]).output().unwrap().status.success());
        dockerd
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.host]).args(words);
        command
    }

    pub fn say(&self, words: &[&str]) -> String {
        said(&mut self.command(words))
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The tree of a small root file system, as tar.
fn root(scratch: &Scratch) -> String {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    let script = SCRIPT.get_or_init(|| {
        "mkdir -p tree/bin tree/etc tree/d/e; echo 1 > tree/etc/f; ln tree/etc/f tree/d/same; ln -s /etc/f tree/d/link
         cp /bin/busybox tree/bin/; chmod 4755 tree/bin/busybox; chown 7:8 tree/d/e; chmod 2710 tree/d/e
         setfattr -n user.a -v b tree/etc/f 2>/dev/null || true; mkfifo tree/d/pipe; touch -d @1234567890.5 tree/etc/f
         tar -C tree --xattrs --format=pax -cf tree.tar ."
            .into()
    });
    said(Command::new("sh").args(["-ec", script]).current_dir(scratch.path("")));
    scratch.path("tree.tar").display().to_string()
}

/// The id and the layers of an image, as skopeo sees it.
pub fn of_config(at: &str) -> (String, String) {
    let config = exactly(Command::new("skopeo").args(["inspect", "--config", "--raw", at]));
    let layers =
        serde_json::from_str::<serde_json::Value>(&config).unwrap()["rootfs"]["diff_ids"].to_string();
    (skiff_core::digest::Digest::of(config.as_bytes()).to_string(), layers)
}

/// Loads what a tool has written; it has to have this id and these layers.
pub fn loads(scratch: &Scratch, archive: &str, id: &str, layers: &str) {
    scratch.text(&["load", "-i", &scratch.path(archive).display().to_string()]);
    let shown = scratch.text(&["inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", id]);
    assert_eq!(shown.trim(), format!("sha256:{} {layers}", id.trim_start_matches("sha256:")), "{archive}");
    scratch.text(&["rmi", "-f", id]);
}

#[test]
fn what_docker_saves_is_loaded_as_the_same_image() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let tree = root(&scratch);
    let docker = Dockerd::start(&scratch);
    let file = |name: &str| scratch.path(name).display().to_string();
    let id = docker.say(&["import", "-c", "CMD [\"x\"]", "-c", "ENV A=1", &tree, "from/docker:1"]);
    let layers = docker.say(&["inspect", "-f", "{{json .RootFS.Layers}}", "from/docker:1"]);
    docker.say(&["tag", "from/docker:1", "second:2"]);
    docker.say(&["save", "-o", &file("docker.tar"), "from/docker:1", "second:2"]);
    assert_eq!(
        scratch.text(&["load", "-i", &file("docker.tar")]),
        "Loaded image: from/docker:1\nLoaded image: second:2\n"
    );
    scratch.text(&["rmi", "from/docker:1", "second:2"]);
    for program in ["gzip", "zstd", "cat"] {
        said(
            Command::new("sh")
                .args(["-ec", &format!("{program} < docker.tar > packed")])
                .current_dir(scratch.path("")),
        );
        loads(&scratch, "packed", &id, &layers);
    }
    // An image on top of the other, with its layers, in one archive with it.
    docker.say(&["create", "--name", "cc", "from/docker:1"]);
    docker.say(&["cp", &tree, "cc:/new"]);
    docker.say(&["commit", "cc", "third:3"]);
    docker.say(&["save", "-o", &file("several.tar"), "third:3", "second:2"]);
    let said = scratch.text(&["load", "-i", &file("several.tar")]);
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    assert_eq!(said, ["Loaded image: second:2", "Loaded image: third:3"]);
    for name in ["second:2", "third:3"] {
        let words = ["inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", name];
        assert_eq!(scratch.text(&words).trim(), docker.say(&words));
    }
    assert_eq!(count(&scratch, "layers"), 2);
}

#[test]
fn what_podman_buildah_skopeo_and_umoci_write_is_loaded_as_the_same_image() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let tree = root(&scratch);
    let file = |name: &str| scratch.path(name).display().to_string();
    let podman_says = |words: &[&str]| said(podman(&scratch, "podman").args(words));
    podman_says(&["import", "-q", "-c", "CMD=x", &tree, "from/podman:1"]);
    // What an image of podman's is called depends on the form in which it is written.
    let expected = |transport: &str| of_config(&format!("{transport}:{}", file("written")));
    for (form, transport) in
        [("docker-archive", "docker-archive"), ("oci-archive", "oci-archive"), ("oci-dir", "oci")]
    {
        let _ = std::fs::remove_file(file("written"));
        podman_says(&["save", "-q", "--format", form, "-o", &file("written"), "from/podman:1"]);
        let (id, layers) = expected(transport);
        loads(&scratch, "written", &id, &layers);
    }
    let _ = std::fs::remove_dir_all(file("written"));
    said(podman(&scratch, "buildah").args([
        "push",
        "-q",
        "from/podman:1",
        &format!("oci:{}", file("written")),
    ]));
    let (id, layers) = expected("oci");
    loads(&scratch, "written", &id, &layers);
    // An image on top of the other, with its layers, in one archive with it.
    let buildah_says = |words: &[&str]| said(podman(&scratch, "buildah").args(words));
    buildah_says(&["from", "-q", "--name", "w", "from/podman:1"]);
    buildah_says(&["copy", "-q", "w", &tree, "/new"]);
    buildah_says(&["commit", "-q", "w", "on/top:1"]);
    podman_says(&["save", "-q", "-m", "-o", &file("several"), "from/podman:1", "on/top:1"]);
    scratch.text(&["load", "-q", "-i", &file("several")]);
    for name in ["localhost/from/podman:1", "localhost/on/top:1"] {
        let (id, layers) = of_config(&format!("docker-archive:{}:{name}", file("several")));
        let shown = scratch.text(&["inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", name]);
        assert_eq!(shown.trim(), format!("{id} {layers}"));
    }
    assert_eq!(count(&scratch, "layers"), 2);
    scratch.text(&["rmi", "localhost/from/podman:1", "localhost/on/top:1"]);
    for compression in ["gzip", "zstd"] {
        let target = format!("oci:{}:copied:1", file(compression));
        let source = format!("oci:{}", file("written"));
        said(Command::new("skopeo").args([
            "copy",
            "-q",
            "--dest-compress-format",
            compression,
            &source,
            &target,
        ]));
        loads(&scratch, compression, &id, &layers);
    }
    // umoci adds a layer to what buildah wrote.
    let script = "umoci init --layout u; umoci new --image u:x; umoci unpack --image u:x b; cp -a tree/. b/rootfs/
                  umoci repack --image u:x b; rm b/rootfs/etc/f; echo > b/rootfs/new; umoci repack --image u:x b
                  umoci config --image u:x --config.cmd z; mv u written-by-umoci";
    said(Command::new("sh").args(["-ec", script]).current_dir(scratch.path("")));
    let (id, layers) = of_config(&format!("oci:{}:x", file("written-by-umoci")));
    loads(&scratch, "written-by-umoci", &id, &layers);
}

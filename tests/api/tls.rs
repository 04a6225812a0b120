//! The daemon on the network: who has a certificate of the authority's uses it, by docker's own client too; nobody else.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use crate::{
    daemon::{Daemon, signal},
    said,
};

/// A daemon that listens with certificates, and others' certificates beside it.
struct Secured {
    daemon: Daemon,
    process: Child,
    /// `tcp://127.0.0.1:PORT`
    address: String,
    home: PathBuf,
}

/// Has openssl make a key and a certificate for it, that `authority` has signed, or itself.
fn certificate(at: &Path, name: &str, authority: Option<&str>, algorithm: &[&str], extensions: &str) {
    let openssl = |words: &[&str]| {
        let output =
            Command::new("openssl").args(words).current_dir(at).output().expect("openssl is installed");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let file = |kind: &str| format!("{name}{kind}");
    fs::write(at.join(file(".ext")), extensions).unwrap();
    let subject = format!("/CN={name}");
    openssl(&[&["genpkey", "-out", &file("-key.pem")], algorithm].concat());
    openssl(&["req", "-new", "-key", &file("-key.pem"), "-subj", &subject, "-out", &file(".csr")]);
    let mut sign: Vec<String> = ["x509", "-req", "-days", "2", "-set_serial", "7"].map(Into::into).into();
    sign.extend(["-in".into(), file(".csr"), "-out".into(), file(".pem"), "-extfile".into(), file(".ext")]);
    match authority {
        Some(authority) => sign.extend([
            "-CA".into(),
            format!("{authority}.pem"),
            "-CAkey".into(),
            format!("{authority}-key.pem"),
        ]),
        None => sign.extend(["-signkey".into(), file("-key.pem")]),
    }
    openssl(&sign.iter().map(String::as_str).collect::<Vec<_>>());
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const EC: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

impl Secured {
    fn start() -> Secured {
        let daemon = Daemon::start();
        let home = daemon.data().with_file_name("home");
        let docker = home.join(".docker");
        fs::create_dir_all(&docker).unwrap();
        let authority = "basicConstraints=critical,CA:TRUE\n";
        certificate(&docker, "ca", None, RSA, authority);
        certificate(&docker, "other-ca", None, EC, authority);
        certificate(
            &docker,
            "server",
            Some("ca"),
            RSA,
            "subjectAltName=DNS:engine.test,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        );
        let client = "extendedKeyUsage=clientAuth\n";
        certificate(&docker, "client", Some("ca"), RSA, client);
        certificate(&docker, "small", Some("ca"), EC, client);
        certificate(&docker, "stranger", Some("other-ca"), EC, client);
        // Where docker looks.
        for (from, to) in [("client.pem", "cert.pem"), ("client-key.pem", "key.pem")] {
            fs::copy(docker.join(from), docker.join(to)).unwrap();
        }
        let path = |name: &str| docker.join(name).display().to_string();
        let (lines, process) = daemon.serve(
            &[
                "-H",
                "tcp://127.0.0.1:0",
                "--tlsverify",
                "--tlscacert",
                &path("ca.pem"),
                "--tlscert",
                &path("server.pem"),
                "--tlskey",
                &path("server-key.pem"),
            ],
            1,
        );
        let address = lines[0].strip_prefix("listening on ").unwrap();
        let address = address.strip_suffix(", for those who have a certificate").unwrap().to_owned();
        Secured { daemon, process, address, home }
    }

    fn file(&self, name: &str) -> String {
        self.home.join(".docker").join(name).display().to_string()
    }

    fn skiff(&self, words: &[&str]) -> Command {
        let mut command = self.daemon.skiff(words);
        command.env("HOME", &self.home);
        command
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &self.home);
        command.args(["--tlsverify", "-H", &self.address]).args(words);
        command
    }

    /// What the daemon has said since the last time, once it has said this.
    fn hears(&mut self, words: &str) {
        let stderr = self.process.stderr.as_mut().unwrap();
        let (mut said, mut byte) = (String::new(), [0]);
        while !said.contains(words) || !said.ends_with('\n') {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
            said.push(byte[0].into());
        }
    }

    fn port(&self) -> &str {
        self.address.strip_prefix("tcp://").unwrap()
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        signal(&self.process, "TERM");
        let ended = self.process.wait().unwrap();
        assert!(std::thread::panicking() || ended.code() == Some(0), "{ended:?}");
    }
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn with_input(mut command: Command, input: &[u8]) -> String {
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        said(&process.wait_with_output().unwrap())
    })
}

#[test]
fn who_has_a_certificate_uses_it_and_nobody_else_does() {
    let mut secured = Secured::start();
    let address = secured.address.clone();
    let version = ["version", "-f", "{{.Server.Os}}"];
    // By flags, by what docker sets, and with an elliptic key.
    let verified = [&["--tlsverify", "-H", &address][..], &version].concat();
    assert_eq!(said(&secured.skiff(&verified).output().unwrap()), "linux\n");
    let plain = [&["-H", &address][..], &version].concat();
    let mut command = secured.skiff(&plain);
    command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", secured.home.join(".docker"));
    assert_eq!(said(&command.output().unwrap()), "linux\n");
    let (small, key, ca) = (secured.file("small.pem"), secured.file("small-key.pem"), secured.file("ca.pem"));
    let small = ["--tlscert", &small, "--tlskey", &key];
    assert_eq!(said(&secured.skiff(&[&small, verified.as_slice()].concat()).output().unwrap()), "linux\n");
    // By a context, which keeps copies; docker's client knows it too.
    let docker = format!(
        "host={address},ca={ca},cert={},key={}",
        secured.file("client.pem"),
        secured.file("client-key.pem")
    );
    let made = secured.skiff(&["context", "create", "far", "--docker", &docker]).output().unwrap();
    assert_eq!(said(&made), "far\n");
    assert_eq!(said(&secured.skiff(&[&["-c", "far"][..], &version].concat()).output().unwrap()), "linux\n");
    let mut command = Command::new("docker");
    command.env_remove("DOCKER_HOST").env("HOME", &secured.home).args(["-c", "far"]).args(version);
    assert_eq!(said(&command.output().unwrap()), "linux\n");
    // Half of these have an older TLS, or another library.
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", &version.replace('=', " ")].join(" ").split(' '));
        curl.args(["--cacert", &ca, "--cert", &secured.file("client.pem")]);
        curl.args(["--key", &secured.file("client-key.pem")]);
        curl.arg(format!("https://{}/_ping", secured.port()));
        assert_eq!(said(&curl.output().unwrap()), "OK");
    }

    // Without one, with one of somebody else's authority, and to somebody else's engine.
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cacert", &ca]).arg(format!("https://{}/_ping", secured.port()));
    assert!(!curl.output().unwrap().status.success());
    secured.hears("peer sent no certificates");
    let (other, key) = (secured.file("stranger.pem"), secured.file("stranger-key.pem"));
    let stranger = [&["--tlscert", &other, "--tlskey", &key][..], &verified].concat();
    let told = error(&secured.skiff(&stranger).output().unwrap());
    assert!(told.contains("received fatal alert"), "{told}");
    secured.hears("UnknownIssuer");
    let other = secured.file("other-ca.pem");
    let told = error(&secured.skiff(&[&["--tlscacert", &other][..], &verified].concat()).output().unwrap());
    assert!(told.contains("encrypted connection: invalid peer certificate: UnknownIssuer"), "{told}");
    secured.hears("UnknownCA");
    // The authority vouches for it, but it is another machine's.
    let extensions = "subjectAltName=IP:192.0.2.1\nextendedKeyUsage=serverAuth\n";
    certificate(&secured.home.join(".docker"), "elsewhere", Some("ca"), EC, extensions);
    let (own, key) = (secured.file("elsewhere.pem"), secured.file("elsewhere-key.pem"));
    let serve =
        ["-H", "tcp://127.0.0.1:0", "--tlsverify", "--tlscacert", &ca, "--tlscert", &own, "--tlskey", &key];
    let (lines, mut elsewhere) = secured.daemon.serve(&serve, 1);
    let there = lines[0].split([' ', ',']).nth(2).unwrap();
    let told =
        error(&secured.skiff(&[&["--tlsverify", "-H", there][..], &version].concat()).output().unwrap());
    assert!(told.contains("invalid peer certificate") && told.contains("NotValidForName"), "{told}");
    signal(&elsewhere, "TERM");
    elsewhere.wait().unwrap();
    // What speaks no TLS, or nothing that makes sense, is hung up on.
    let told = error(&secured.skiff(&plain).output().unwrap());
    assert!(told.contains("read head: "), "{told}");
    secured.hears("encrypted connection: received corrupt message");
    let mut state = 1_u64;
    for length in [0, 1, 5, 6, 300, 20_000, 100_000] {
        let mut bytes = vec![22, 3, 3, 64, 0];
        bytes.extend((0..length).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        }));
        let mut stream = TcpStream::connect(secured.port()).unwrap();
        // It may have hung up before it has got all.
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(said(&secured.skiff(&verified).output().unwrap()), "linux\n");
}

#[test]
fn an_engine_is_found_by_its_name_which_its_certificate_has_to_have() {
    let secured = Secured::start();
    let (hosts, servers) = (secured.home.join("hosts"), secured.home.join("resolv.conf"));
    fs::write(&hosts, "192.0.2.1 nobody.test\n127.0.0.1 engine.test other.test\n").unwrap();
    fs::write(&servers, "").unwrap();
    // In a mount namespace with other files in /etc.
    let ask = |host: &str| {
        let port = secured.address.rsplit(':').next().unwrap();
        let skiff = secured.skiff(&["--tlsverify", "-H", &format!("tcp://{host}:{port}"), "version"]);
        let mut command = Command::new("unshare");
        let script = "mount --bind $0 /etc/hosts && mount --bind $1 /etc/resolv.conf && shift && exec \"$@\"";
        command.args(["-m", "sh", "-c", script]).args([&hosts, &servers]);
        command.arg(skiff.get_program()).args(skiff.get_args());
        command.envs(skiff.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["-f", "{{.Server.Os}}"]).output().unwrap()
    };
    assert_eq!(said(&ask("engine.test")), "linux\n");
    assert_eq!(said(&ask("Engine.Test.")), "linux\n");
    let told = error(&ask("other.test"));
    assert!(told.contains("invalid peer certificate") && told.contains("NotValidForName"), "{told}");
    let told = error(&ask("unknown.test"));
    assert_eq!(told, "skiff: host unknown.test: no name server answers: 127.0.0.1\n");
}

#[test]
fn streams_go_both_ways_and_end() {
    let secured = Secured::start();
    let tar = secured.home.join("box.tar");
    let root = secured.home.join("rootfs");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "sleep", "head"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    assert!(
        Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&root).arg(".").status().unwrap().success()
    );
    let tar = tar.display().to_string();
    said(&secured.docker(&["import", &tar, "box"]).output().unwrap());
    let run = ["run", "--rm", "--network", "none", "-i", "box"];
    // All that is typed arrives, its end too, and all that comes back.
    let input: Vec<u8> = (0..20 << 20).map(|at| b'a' + (at % 23) as u8).collect();
    let text = String::from_utf8(input.clone()).unwrap();
    let cat = [&run[..], &["cat"]].concat();
    assert!(with_input(secured.docker(&cat), &input) == text);
    let mut skiff = vec!["--tlsverify", "-H", &secured.address];
    skiff.extend(&cat);
    assert!(with_input(secured.skiff(&skiff), &input) == text);
    // What it says after its input has ended, slowly, and its exit code.
    let slow = [&run[..], &["sh", "-c", "cat; sleep 0.3; echo after; exit 7"]].concat();
    let mut process = secured.docker(&slow).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(b"before\n").unwrap();
    let ended = process.wait_with_output().unwrap();
    assert_eq!((ended.stdout.as_slice(), ended.status.code()), (&b"before\nafter\n"[..], Some(7)));
    // Whoever follows a log and goes away is missed, and whoever is followed and ends is told.
    let follow =
        ["run", "-d", "--name", "talks", "--network", "none", "box", "sh", "-c", "echo one; sleep 1000"];
    said(&secured.docker(&follow).output().unwrap());
    let followed = || {
        let mut logs = secured.docker(&["logs", "-f", "talks"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 4];
        logs.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");
        logs
    };
    let mut left = followed();
    left.kill().unwrap();
    left.wait().unwrap();
    let logs = followed();
    said(&secured.docker(&["rm", "-f", "talks"]).output().unwrap());
    assert_eq!(said(&logs.wait_with_output().unwrap()), "");
    let saved = secured.docker(&["save", "box"]).output().unwrap();
    assert!(saved.stdout.len() > 1 << 20);
    assert!(with_input(secured.docker(&["load"]), &saved.stdout).contains("box:latest"));
}

#[test]
fn what_is_wrong_with_the_files_is_said_at_the_start() {
    let secured = Secured::start();
    let (ca, own, key) = (secured.file("ca.pem"), secured.file("server.pem"), secured.file("client-key.pem"));
    let serve = |words: &[&str]| {
        let output =
            secured.skiff(&[&["serve", "-H", "tcp://127.0.0.1:0"], words].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let all = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &own, "--tlskey", &key];
    let (code, told) = serve(&all);
    assert!(code == Some(1) && told.contains("server.pem: keys may not be consistent"), "{told}");
    let nothing = secured.file("client.csr");
    let (code, told) = serve(&["--tlsverify", "--tlscacert", &nothing]);
    assert!(code == Some(1) && told.contains("there is no certificate in it"), "{told}");
    let (code, told) = serve(&["--tlsverify", "--tlskey", &own]);
    assert!(code == Some(1) && told.contains("server.pem: "), "{told}");
    let (code, told) = serve(&["--tlsverify", "--tlscert", "/nowhere.pem"]);
    assert!(code == Some(1) && told.contains("open /nowhere.pem: ENOENT"), "{told}");
    let (code, told) = serve(&["--tlscacert", &ca]);
    assert!(code == Some(125) && told.contains("are for --tlsverify"), "{code:?} {told}");
    let (code, told) = serve(&["--tlsverify", "--insecure-tcp"]);
    assert!(code == Some(125) && told.contains("contradict each other"), "{code:?} {told}");
}

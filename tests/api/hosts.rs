//! How skiff's own client finds its engine: addresses, ssh, docker's contexts.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::{
    daemon::{Daemon, has_docker},
    said,
};

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A daemon with a container, to tell it from others, and `skiff` without its roots.
struct Far {
    daemon: Daemon,
    home: PathBuf,
}

impl Far {
    fn new() -> Far {
        let daemon = Daemon::start();
        let body = "{\"Image\": \"host\", \"Cmd\": [\"true\"]}";
        assert_eq!(daemon.http("POST", "/containers/create?name=far", body).status, 201);
        let home = daemon.data().with_file_name("home");
        std::fs::create_dir(&home).unwrap();
        Far { daemon, home }
    }

    fn skiff(&self, arguments: &[&str]) -> Command {
        let mut command = self.daemon.skiff(arguments);
        for (name, directory) in [("SKIFF_ROOT", "near"), ("SKIFF_RUN", "near-run")] {
            command.env(name, self.home.join(directory));
        }
        for name in ["DOCKER_CONFIG", "DOCKER_CONTEXT"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.home);
        command
    }

    /// The names of the containers that it sees.
    fn names(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let mut command = self.skiff(&[arguments, &["ps", "-a", "--format", "{{.Names}}"]].concat());
        said(&command.envs(variables.iter().copied()).output().unwrap())
    }
}

#[test]
fn a_host_that_is_none_is_refused_with_the_reason() {
    let far = Far::new();
    for (address, words) in [
        ("tcp://there:x", "an IP address or a name, and a port"),
        ("http://x", "http is none of"),
        ("fd://", "that is for `skiff serve`"),
        ("unix:///nowhere/sock", "ENOENT"),
        ("tcp://127.0.0.1:1", "connect to tcp://127.0.0.1:1: ECONNREFUSED"),
    ] {
        let said = error(&far.skiff(&["-H", address, "ps"]).output().unwrap());
        assert!(said.contains(words), "{address}: {said}");
    }
    let both = far.skiff(&["-H", "unix:///x", "--context", "y", "ps"]).output().unwrap();
    assert!(error(&both).contains("one of them is enough"));
}

#[test]
fn stdin_and_stdout_are_a_connection() {
    let far = Far::new();
    for words in [&["dial-stdio"][..], &["system", "dial-stdio"]] {
        for host in [None, Some(far.daemon.address())] {
            let mut command = far.skiff(words);
            command.envs(host.iter().map(|host| ("DOCKER_HOST", host)));
            let mut dial = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            dial.stdin.take().unwrap().write_all(b"GET /containers/json?all=1 HTTP/1.0\r\n\r\n").unwrap();
            let answer = said(&dial.wait_with_output().unwrap());
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert_eq!(answer.contains("/far"), host.is_some(), "{answer}");
        }
    }
}

#[test]
fn an_engine_on_another_machine_is_reached_by_ssh() {
    let far = Far::new();
    let bin = far.home.join("bin");
    std::fs::create_dir(&bin).unwrap();
    // What ssh would do there, and what it was asked for.
    let own = far.skiff(&[]);
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{home}/asked\nwhile [ \"$1\" != skiff ]; do shift; done\nshift\n\
         DOCKER_HOST={address} exec {skiff} \"$@\"\n",
        home = far.home.display(),
        address = far.daemon.address(),
        skiff = own.get_program().to_str().unwrap(),
    );
    std::fs::write(bin.join("ssh"), script).unwrap();
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("/nowhere:{}:/usr/bin:/bin", bin.display());
    assert_eq!(far.names(&["-H", "ssh://me@far.example:2222"], &[("PATH", &path)]), "far\n");
    let variables = [("DOCKER_HOST", "ssh://far"), ("PATH", path.as_str())];
    let mut run = far.skiff(&["run", "--rm", "-i", "host", "sh", "-c", "cat; exit 3"]);
    let mut run = run.envs(variables).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(b"over there").unwrap();
    let run = run.wait_with_output().unwrap();
    assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(3), &b"over there"[..]));
    let asked = std::fs::read_to_string(far.home.join("asked")).unwrap();
    let mut asked = asked.lines();
    assert_eq!(asked.next(), Some("-o ConnectTimeout=30 -T -p 2222 -- me@far.example skiff dial-stdio"));
    assert_eq!(asked.next(), Some("-o ConnectTimeout=30 -T -- far skiff dial-stdio"));
    let missing = far.skiff(&["-H", "ssh://far", "ps"]).env("PATH", "/nowhere").output().unwrap();
    assert!(error(&missing).contains("run ssh: execute: ENOENT"), "{missing:?}");
}

#[test]
fn a_context_is_a_name_for_an_engine() {
    let far = Far::new();
    let address = far.daemon.address();
    let skiff = |words: &[&str]| far.skiff(words).output().unwrap();
    assert_eq!(said(&skiff(&["context", "show"])), "default\n");
    let host = format!("host={address}");
    let made = skiff(&["context", "create", "there", "--docker", &host, "--description", "not here"]);
    assert_eq!(said(&made), "there\n");
    assert_eq!((far.names(&[], &[]), far.names(&["-c", "there"], &[])), (String::new(), "far\n".into()));
    assert_eq!(far.names(&[], &[("DOCKER_CONTEXT", "there")]), "far\n");
    assert_eq!(said(&skiff(&["context", "use", "there"])), "there\n");
    assert_eq!(far.names(&[], &[]), "far\n");
    assert_eq!(far.names(&["--context", "default"], &[]), "");
    let listed = said(&skiff(&["context", "ls"]));
    let cells = |line: &str| {
        line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    let listed: Vec<Vec<String>> = listed.lines().map(cells).collect();
    assert_eq!(listed[0], ["NAME", "DESCRIPTION", "DOCKER ENDPOINT", "ERROR"]);
    assert_eq!(listed[1], ["default", "an engine of the command's own, no daemon"]);
    assert_eq!(listed[2], ["there *", "not here", &address]);
    let inspected = said(&skiff(&["context", "inspect", "-f", "{{.Name}} {{.Endpoints.docker.Host}}"]));
    assert_eq!(inspected, format!("there {address}\n"));
    for (words, complaint) in [
        (&["context", "rm", "there"][..], "context there: it is in use"),
        (&["context", "use", "nosuch"], "context nosuch: not found"),
        (&["context", "create", "there", "--docker", &host], "it exists already"),
        (&["context", "create", "default", "--docker", &host], "that name is for"),
        (&["context", "create", "a/b", "--docker", &host], "a name is a letter or digit"),
        (&["context", "create", "x1", "--docker", "host=nowhere"], "host nowhere: it is unix:///PATH"),
        (&["context", "create", "x1", "--docker", "host=tcp://127.0.0.1,ca=x"], "belong together"),
        (&["context", "create", "x1", "--docker", "ca=x,cert=y,key=z"], "it says no host"),
        (&["-c", "nosuch", "ps"], "context nosuch: not found"),
    ] {
        let said = error(&skiff(words));
        assert!(said.contains(complaint), "{words:?}: {said}");
    }
    assert_eq!(said(&skiff(&["context", "rm", "-f", "there"])), "there\n");
    assert_eq!(far.names(&[], &[]), "");
    assert_eq!(said(&skiff(&["context", "show"])), "default\n");
}

#[test]
fn contexts_are_shared_with_the_docker_command_line() {
    if !has_docker() {
        return;
    }
    let far = Far::new();
    let docker = |words: &[&str]| {
        let mut command = Command::new("docker");
        command.args(words).env("HOME", &far.home);
        for name in ["DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST"] {
            command.env_remove(name);
        }
        said(&command.output().unwrap())
    };
    let host = format!("host={}", far.daemon.address());
    docker(&["context", "create", "theirs", "--docker", &host, "--description", "of docker's"]);
    std::fs::write(far.home.join(".docker/config.json"), "{\"auths\": {\"r\": {}}}").unwrap();
    let made = far.skiff(&["context", "create", "ours", "--docker", &host]).output().unwrap();
    assert_eq!(said(&made), "ours\n");
    said(&far.skiff(&["context", "use", "theirs"]).output().unwrap());
    assert_eq!(docker(&["context", "show"]), "theirs\n");
    assert_eq!(docker(&["ps", "-a", "--format", "{{.Names}}"]), "far\n");
    docker(&["context", "use", "ours"]);
    assert_eq!(far.names(&[], &[]), "far\n");
    assert_eq!(docker(&["--context", "ours", "ps", "-aq"]).lines().count(), 1);
    let settings = std::fs::read_to_string(far.home.join(".docker/config.json")).unwrap();
    assert!(settings.contains("\"auths\""), "{settings}");
    let listed =
        said(&far.skiff(&["context", "ls", "--format", "{{.Name}} {{.Description}}"]).output().unwrap());
    assert!(listed.contains("theirs of docker's\n") && listed.contains("ours \n"), "{listed}");
}

//! `POST /build` and the clients that speak it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    daemon::{Daemon, has_docker},
    pack::Tar,
    support,
};

/// Sends a tar; gives the status, and the lines of the answer or its message.
fn post(daemon: &Daemon, query: &str, tar: &[u8]) -> (u16, Vec<serde_json::Value>) {
    let mut child = Command::new("curl")
        .args(["-s", "-w", "\n%{http_code}", "--unix-socket"])
        .arg(daemon.socket())
        .args(["-H", "Content-Type: application/x-tar", "--data-binary", "@-"])
        .arg(format!("http://d/v1.41/build?{query}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let lines = body.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap());
    (status.parse().unwrap(), lines.collect())
}

fn box_in(daemon: &Daemon) {
    let scratch = support::with_box(&[]);
    let archive = scratch.path("box.tar").display().to_string();
    scratch.text(&["save", "-o", &archive, "box"]);
    assert!(daemon.skiff(&["load", "-q", "-i", &archive]).output().unwrap().status.success());
}

fn streamed(lines: &[serde_json::Value]) -> String {
    lines.iter().filter_map(|line| line["stream"].as_str()).collect()
}

#[test]
fn what_is_wrong_is_an_error_before_the_stream() {
    let daemon = Daemon::start();
    let tar = Tar::default().file("x", "").end();
    for (query, status, words) in [
        ("", 400, "Cannot locate specified Dockerfile: Dockerfile"),
        ("remote=x", 501, "the context has to be the request's own body"),
        ("version=2", 501, "DOCKER_BUILDKIT=0"),
        ("buildargs=x", 400, "error reading buildargs"),
        ("t=UPPER", 400, "invalid reference format"),
        ("platform=linux/s390x", 501, "only this machine's"),
    ] {
        let (code, lines) = post(&daemon, query, &tar);
        let message = lines[0]["message"].as_str().unwrap_or_default();
        assert!(code == status && message.contains(words), "{query}: {code} {message}");
    }
    let (code, lines) = post(&daemon, "", b"no tar at all");
    assert!(code >= 400 && lines[0]["message"].is_string(), "{code} {lines:?}");
    let left = std::fs::read_dir(daemon.data().join("tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "something is left of the contexts");
}

#[test]
fn a_hostile_context_stays_in_its_directory() {
    let daemon = Daemon::start();
    let outside = daemon.data().join("../outside");
    let tar = Tar::default()
        .entry(b'2', "link", daemon.data().join("..").to_str().unwrap(), b"")
        .file("link/outside", "x")
        .file("../../../outside", "x")
        .end();
    post(&daemon, "", &tar);
    assert!(!outside.exists());
}

#[test]
fn a_build_is_told_as_the_classic_builder_tells_it() {
    let daemon = Daemon::start();
    box_in(&daemon);
    let tar = Tar::default().file("dockerfile", "FROM box\nARG A\nRUN echo out $A\n").end();
    let (code, lines) = post(&daemon, "t=made&buildargs=%7B%22A%22%3A%221%22%7D", &tar);
    let text = streamed(&lines);
    assert_eq!(code, 200, "{text}");
    assert!(
        text.starts_with("Step 1/") && text.contains(" : FROM box\n") && text.contains("out 1\n"),
        "{text}"
    );
    let id = lines.iter().find_map(|line| line["aux"]["ID"].as_str()).unwrap();
    let short = &id["sha256:".len()..][..12];
    assert!(
        text.ends_with(&format!("Successfully built {short}\nSuccessfully tagged made:latest\n")),
        "{text}"
    );
    let (_, lines) = post(&daemon, "t=made&buildargs=%7B%22A%22%3A%221%22%7D", &tar);
    assert!(streamed(&lines).contains(" ---> Using cache\n"));
    let (_, lines) = post(&daemon, "q=1", &Tar::default().file("Dockerfile", "FROM box\n").end());
    assert!(lines.len() == 1 && streamed(&lines).starts_with("sha256:"), "{lines:?}");
    let tar = Tar::default().file("Dockerfile", "FROM box\nRUN exit 3\n").end();
    let (code, lines) = post(&daemon, "", &tar);
    let last = lines.last().unwrap();
    assert_eq!((code, &last["errorDetail"]["code"]), (200, &3.into()), "{last}");
    assert_eq!(last["error"], last["errorDetail"]["message"]);
    let (code, lines) = post(&daemon, "", &Tar::default().file("Dockerfile", "FROM box\nRUNN\n").end());
    assert!(
        code == 400 && lines[0]["message"].as_str().unwrap().contains("unknown instruction: RUNN"),
        "{lines:?}"
    );
}

#[test]
fn limits_and_squash_come_with_the_query() {
    let daemon = Daemon::start();
    box_in(&daemon);
    let tar =
        Tar::default().file("Dockerfile", "FROM box\nRUN ulimit -n > /a\nRUN cp /a /b\nCMD cat /b\n").end();
    let ulimits = "ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Soft%22%3A77%2C%22Hard%22%3A88%7D%5D";
    let (code, lines) = post(&daemon, &format!("t=made&squash=1&{ulimits}"), &tar);
    let text = streamed(&lines);
    assert!(code == 200 && text.contains("Step 5/5 : one layer above the base image\n"), "{code} {text}");
    let told = |words: &[&str]| String::from_utf8(daemon.skiff(words).output().unwrap().stdout).unwrap();
    assert_eq!(told(&["run", "--rm", "made"]), "77\n");
    let count =
        |image| told(&["inspect", "-f", "{{len .RootFS.Layers}}", image]).trim().parse::<u32>().unwrap();
    assert_eq!(count("made"), count("box") + 1);
    for (query, words) in [
        ("memory=1048576", "Minimum memory limit allowed is 6MB"),
        ("ulimits=%5B%7B%22Name%22%3A%22x%22%7D%5D", "invalid ulimit type: x"),
    ] {
        let (code, lines) = post(&daemon, query, &tar);
        assert!(code == 400 && lines[0]["message"].as_str().unwrap().contains(words), "{code} {lines:?}");
    }
}

#[test]
fn the_stock_command_line_builds() {
    if !has_docker() {
        return;
    }
    let daemon = Daemon::start();
    box_in(&daemon);
    let directory = daemon.data().join("../context");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("Dockerfile"), "FROM box\nCOPY f /f\nRUN cat /f\n").unwrap();
    std::fs::write(directory.join("f"), "file\n").unwrap();
    let path = directory.display().to_string();
    let output = Command::new("docker")
        .args(["build", "-t", "made", &path])
        .env("DOCKER_HOST", daemon.address())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("file\n") && text.ends_with("Successfully tagged made:latest\n"), "{text}");
    // The same through this command line.
    let address = daemon.address();
    let output = daemon.skiff(&["-H", &address, "build", "-q", &path]).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && id.starts_with("sha256:"), "{id}");
}

/// What a program of docker-py prints, which has the daemon as `client` and a context of the files at `path`.
fn docker_py(daemon: &Daemon, files: &[(&str, &str)], program: &str) -> Option<String> {
    let python = |code: &str| Command::new("/usr/bin/python3").args(["-c", code]).output();
    if !python("import docker").is_ok_and(|output| output.status.success()) {
        println!("skipped: docker-py is not installed");
        return None;
    }
    let path = daemon.data().join("../context");
    for (name, content) in files {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let code = format!(
        "import docker, io\nclient = docker.DockerClient('{}', version='auto')\npath = {path:?}\n{program}",
        daemon.address()
    );
    let output = python(&code).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn docker_py_builds() {
    let daemon = Daemon::start();
    box_in(&daemon);
    let files = [
        (
            "Dockerfile",
            "FROM box\nARG WHO\nCOPY f d /x/\nRUN echo I am $WHO > /who && echo made\nCMD [\"cat\", \"/who\"]\n",
        ),
        ("f", ""),
        ("d/kept", ""),
        ("d/skipped", ""),
        (".dockerignore", "**/skipped\n"),
    ];
    let program = r#"
def build(**more):
    image, log = client.images.build(path=path, tag='made:1', buildargs={'WHO': 'me'}, rm=True, **more)
    log = ''.join(line.get('stream', '') for line in log)
    return image, log, 'Using cache' in log.split('Step 2/')[1]

image, log, cached = build(labels={'a': 'b'})
print(image.tags, image.labels, cached, 'made\n' in log, log.splitlines()[-2:] == [
    'Successfully built ' + image.id[7:19], 'Successfully tagged made:1'])
print(client.containers.run('made:1', remove=True), client.containers.run('made:1', ['ls', '/x'], remove=True))
again, log, cached = build(labels={'a': 'b'})
print(again.id == image.id, cached)
fresh, log, cached = build(labels={'a': 'b'}, nocache=True)
print(fresh.id == image.id, cached)
print([list(line) for line in client.api.build(path=path, decode=True, quiet=True)])
"#;
    let Some(printed) = docker_py(&daemon, &files, program) else { return };
    let wanted = "['made:1'] {'a': 'b'} False True True\nb'I am me\\n' b'f\\nkept\\n'\nTrue True\nFalse False\n[['stream']]\n";
    assert_eq!(printed, wanted);
}

#[test]
fn docker_py_is_told_what_went_wrong() {
    let daemon = Daemon::start();
    box_in(&daemon);
    let program = r#"
for text in ['RUN echo out; exit 7', 'RUN ["nosuch"]', 'COPY missing /', 'RUNN true']:
    try:
        client.images.build(fileobj=io.BytesIO(b'FROM box\n' + text.encode()))
    except docker.errors.BuildError as error:
        log = list(error.build_log)
        print(error.msg.splitlines()[0], {'stream': 'out\n'} in log, log[-1]['errorDetail'].get('code'))
    except docker.errors.APIError as error:
        print(error.status_code, error.explanation.splitlines()[0])
"#;
    let Some(printed) = docker_py(&daemon, &[], program) else { return };
    let wanted = "\
        Dockerfile:2:1: The command '/bin/sh -c echo out; exit 7' returned a non-zero code: 7 True 7\n\
        Dockerfile:2:1: exec: \"nosuch\": executable file not found in $PATH False None\n\
        Dockerfile:2:1: \"/missing\": not found False None\n\
        400 Dockerfile:2:1: unknown instruction: RUNN (did you mean RUN?)\n";
    assert_eq!(printed, wanted);
}

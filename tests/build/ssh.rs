//! `RUN --mount=type=ssh`: the agent of the client inside of a step.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    build, context, ended,
    support::{Scratch, until, with_box},
};

/// Listens where an agent would: what it is told comes back in capitals, behind its name.
fn agent(scratch: &Scratch, name: &'static str) -> PathBuf {
    let path = scratch.path(name);
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut said = String::new();
            connection.read_to_string(&mut said).unwrap();
            write!(connection, "{name}: {}", said.to_uppercase()).unwrap();
        }
    });
    path
}

/// A shell word that says something to the agent and prints the answer.
fn say(text: &str) -> String {
    format!(
        "perl -MIO::Socket::UNIX -e '$s=IO::Socket::UNIX->new($ENV{{SSH_AUTH_SOCK}}) or die $!; print $s \"{text}\"; \
         shutdown $s,1; print <$s>'"
    )
}

#[test]
fn a_step_talks_to_the_agent_that_is_forwarded() {
    let scratch = with_box(&[]);
    let (first, second) = (agent(&scratch, "first"), agent(&scratch, "second"));
    // The box has nothing that opens such a socket; this machine has.
    let file = format!(
        "FROM host AS tools
WORKDIR /agents-of-a-build
RUN --mount=type=ssh {} > first; echo $SSH_AUTH_SOCK >> first; stat -c '%a %u:%g %F' $SSH_AUTH_SOCK >> first
RUN --mount=type=ssh,id=other,target=/agents-of-a-build/here,mode=0640,uid=7,gid=8 --mount=type=ssh \
    {} > second; echo $SSH_AUTH_SOCK >> second; stat -c '%a %u:%g %F' here /run/buildkit/ssh_agent.1 >> second
RUN --mount=type=ssh,id=none env | grep -c SSH_AUTH_SOCK > third; ls /run/buildkit >> third 2>&1; true
RUN chmod 777 .
USER 1234
RUN --mount=type=ssh,uid=1234 {} > fourth
RUN --mount=type=ssh {} > fifth 2>&1; true
FROM box
COPY --from=tools /agents-of-a-build /a
RUN --mount=type=ssh true
RUN test ! -e /run
",
        say("one"),
        say("two"),
        say("three"),
        say("four"),
    );
    context(&scratch, &[("Dockerfile", &file)]);
    let other = format!("other={}", second.display());
    let path = scratch.path("context").display().to_string();
    let built = scratch
        .skiff(&["build", "--ssh", "default", "--ssh", &other, "-t", "it", &path])
        .env("SSH_AUTH_SOCK", &first)
        .output();
    let (code, _, error) = ended(built.unwrap());
    assert_eq!(code, 0, "{error}");
    let seen = |name: &str| scratch.text(&["run", "--rm", "it", "cat", &format!("/a/{name}")]);
    assert_eq!(seen("first"), "first: ONE/run/buildkit/ssh_agent.0\n600 0:0 socket\n");
    assert_eq!(seen("second"), "second: TWO/agents-of-a-build/here\n640 7:8 socket\n600 0:0 socket\n");
    assert!(seen("third").starts_with("0\n") && !seen("third").contains("ssh_agent"), "{}", seen("third"));
    assert_eq!(seen("fourth"), "first: THREE");
    assert!(seen("fifth").starts_with("Permission denied"), "{}", seen("fifth"));
    // The agent's own socket is as it was, and nothing is left of the other ones.
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
    let left = || fs::read_dir(scratch.path("run/containers")).map_or(0, Iterator::count);
    until("run directories are left", &mut || left() == 0);
}

#[test]
fn an_agent_that_is_needed_and_not_forwarded_is_missed() {
    let scratch = with_box(&[]);
    let file = "FROM box\nRUN --mount=type=ssh,required=true true\n";
    context(&scratch, &[("Dockerfile", file)]);
    let (code, _, error) = build(&scratch, &[]);
    assert!(code == 1 && error.contains("no SSH key \"default\" forwarded from the client"), "{error}");
    let there = agent(&scratch, "there").display().to_string();
    let (code, _, error) = build(&scratch, &["--ssh", &format!("default={there}")]);
    assert_eq!(code, 0, "{error}");
    let from_tar = ["build", "--ssh", &format!("default={there}"), "-"];
    let (code, _, error) =
        ended(scratch.with_input(&from_tar, &crate::pack::Tar::default().file("x", "").end()));
    assert!(code == 1 && error.contains("--ssh: only for a build of a directory without -H"), "{error}");
}

#[test]
fn openssh_lists_its_keys_through_it() {
    let has =
        |program: &str| Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !["ssh-agent", "ssh-add", "ssh-keygen"].iter().all(|program| has(program).status.success()) {
        return println!("skipped: openssh-client is not installed");
    }
    let scratch = with_box(&[]);
    let (socket, key) = (scratch.path("socket"), scratch.path("key"));
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    until("ssh-agent listens", &mut || socket.exists());
    assert!(done(
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "a-key", "-f"]).arg(&key)
    ));
    assert!(done(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket)));
    let file = "FROM host AS tools\nRUN --mount=type=ssh ssh-add -l && ssh-add -L\nFROM scratch\nCOPY --from=tools /etc/passwd /\n";
    context(&scratch, &[("Dockerfile", file)]);
    let flags = ["--progress", "plain", "--ssh", &format!("default={}", socket.display())];
    let (code, _, error) = build(&scratch, &flags);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(code == 0 && error.contains("a-key (ED25519)") && error.contains("ssh-ed25519 "), "{error}");
}

fn done(command: &mut Command) -> bool {
    command.status().unwrap().success()
}

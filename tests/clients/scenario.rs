//! The scenario table, on both engines.

use std::process::Output;

use crate::{
    engine::{Engine, Kind, has},
    table::{Compare, SCENARIOS},
};

/// What a line of the table has come to, as far as it is the same on every machine and at any time.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Outcome {
        Outcome {
            code: output.status.code(),
            stdout: plain(&String::from_utf8_lossy(&output.stdout)),
            stderr: plain(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn is_like(&self, other: &Outcome, compare: Compare) -> bool {
        self.code == other.code
            && (compare == Compare::Code || self.stdout == other.stdout)
            && (compare != Compare::All || self.stderr == other.stderr)
    }
}

/// Identifiers and times, which differ from run to run, are replaced.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_alphanumeric() {
            word.push(letter);
            continue;
        }
        let is_id = word.len() >= 12
            && word.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        out.push_str(if is_id { "ID" } else { &word });
        word.clear();
        if letter != '\0' {
            out.push(letter);
        }
    }
    out
}

#[test]
fn every_command_does_on_skiff_what_it_does_on_dockerd() {
    if !has("docker") || !has("dockerd") {
        return;
    }
    let [skiff, dockerd] = [Kind::Skiff, Kind::Dockerd].map(Engine::start);
    let (mut lines, mut differences) = (0, Vec::new());
    for line in SCENARIOS {
        let [ours, theirs] = [&skiff, &dockerd].map(|engine| Outcome::of(&engine.shell(line.script)));
        lines += 1;
        if !ours.is_like(&theirs, line.compare) {
            differences.push(format!("{}\n skiff:   {ours:?}\n dockerd: {theirs:?}\n", line.script));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {lines} lines differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn skiffs_own_command_line_drives_dockerd() {
    if !has("docker") || !has("dockerd") {
        return;
    }
    let dockerd = Engine::start(Kind::Dockerd);
    let skiff = env!("CARGO_BIN_EXE_skiff");
    for (words, wanted) in [
        ("version -f '{{.Server.APIVersion}}' | cut -d. -f1", "1\n"),
        ("images --format '{{.Repository}}:{{.Tag}}'", "box:latest\n"),
        ("run --rm box sh -c 'echo err >&2; exit 3' 2>&1; echo $?", "err\n3\n"),
        ("run --rm -e A=b -w /data box sh -c 'echo $A; pwd'", "b\n/data\n"),
        ("run -d --name one -v vol:/v -p 8080:80 box sh -c 'echo begun; exec sleep 1000' | wc -c", "65\n"),
        ("ps --format '{{.Names}} {{.State}}'", "one running\n"),
        ("logs one", "begun\n"),
        ("exec one sh -c 'echo in; exit 4'; echo $?", "in\n4\n"),
        ("cp one:/data/file - | tar xO", "content\n"),
        ("diff one", "A /v\n"),
        ("port one 80 | head -1", "0.0.0.0:8080\n"),
        ("stats --no-stream --format '{{.Name}}' one", "one\n"),
        (
            "network create net >/dev/null && \"$0\" network connect net one && \"$0\" network ls -q -f name=net | wc -l",
            "1\n",
        ),
        (
            "pause one && \"$0\" unpause one && \"$0\" rename one uno && \"$0\" inspect -f '{{.Name}}' uno",
            "one\none\n/uno\n",
        ),
        ("commit uno made >/dev/null && \"$0\" save made | \"$0\" load", "Loaded image: made:latest\n"),
        ("rm -f uno && \"$0\" network rm net && \"$0\" volume rm vol", "uno\nnet\nvol\n"),
        ("rm nosuch 2>&1", "skiff: No such container: nosuch\n"),
    ] {
        let output =
            dockerd.shell(&format!("sh -c '{}' {skiff}", format!("\"$0\" {words}").replace('\'', "'\\''")));
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told, wanted, "skiff {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

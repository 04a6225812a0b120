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

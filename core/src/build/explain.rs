//! Why a step was not in the cache: what it depends on now, beside what it depended on the last time. Pure.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::store::{StepFile, StepRecord};

/// So many files are told by name.
const FILES_TOLD: usize = 5;

/// What is different from the last time, if the step was built before.
pub fn why(before: Option<&StepRecord>, inputs: &[(String, String)], files: &[StepFile]) -> String {
    let Some(before) = before else { return "this instruction was not built before".into() };
    let values = |all: &[(String, String)], name: &str| -> Vec<String> {
        all.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in before.inputs.iter().chain(inputs) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut reasons = Vec::new();
    for name in names {
        let (old, new) = (values(&before.inputs, name), values(inputs, name));
        if old == new {
            continue;
        }
        reasons.push(match name {
            "parent" => "what it works on has changed: a step before it gave other files".to_string(),
            "files" => files_differ(&before.files, files),
            "environment" => environment_differs(&old, &new),
            name => format!("{name} is {}, was {}", shown(&new), shown(&old)),
        });
    }
    match reasons.as_slice() {
        [] => "what came of it was pruned, or --no-cache was said".into(),
        reasons => reasons.join("; "),
    }
}

fn shown(values: &[String]) -> String {
    match values {
        [] => "nothing".into(),
        [one] => format!("{one:?}"),
        several => format!("{several:?}"),
    }
}

fn environment_differs(old: &[String], new: &[String]) -> String {
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_string();
    let mut told = Vec::new();
    for variable in new.iter().filter(|variable| !old.contains(variable)) {
        match old.iter().find(|other| name(other) == name(variable)) {
            Some(other) => told.push(format!("{variable} was {other}")),
            None => told.push(format!("{variable} is new")),
        }
    }
    for variable in old.iter().filter(|variable| new.iter().all(|other| name(other) != name(variable))) {
        told.push(format!("{} is gone", name(variable)));
    }
    if told.is_empty() { "variables have another order".into() } else { told.join(", ") }
}

fn files_differ(old: &[StepFile], new: &[StepFile]) -> String {
    if old.is_empty() || new.is_empty() {
        return "files have changed".into();
    }
    let (mut told, mut modes) = (Vec::new(), false);
    for file in new {
        match old.iter().find(|other| other.path == file.path) {
            None => told.push(format!("{} is new", file.path)),
            Some(other) if other.hash != file.hash => told.push(format!("{} has changed", file.path)),
            Some(other) if other.mode != file.mode => {
                modes = true;
                let (now, then) = (file.mode & 0o7777, other.mode & 0o7777);
                told.push(format!("{} has mode {now:o}, had {then:o}", file.path));
            }
            Some(_) => {}
        }
    }
    for file in old.iter().filter(|file| new.iter().all(|other| other.path != file.path)) {
        told.push(format!("{} is gone", file.path));
    }
    let count = told.len();
    told.truncate(FILES_TOLD);
    let mut text = told.join(", ");
    if count > FILES_TOLD {
        text.push_str(&format!(" and {} more", count - FILES_TOLD));
    }
    if modes {
        text.push_str(" (a checkout with another umask gives such modes; COPY --chmod makes them the same)");
    }
    if count == 0 { "files have other owners or attributes".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn file(path: &str, mode: u32, hash: &str) -> StepFile {
        StepFile { path: path.into(), mode, hash: hash.into() }
    }

    #[test]
    fn the_difference_is_told_in_a_persons_words() {
        let before = StepRecord {
            inputs: inputs(&[
                ("parent", "1"),
                ("environment", "A=1"),
                ("environment", "B=2"),
                ("files", "x"),
            ]),
            files: [file("a", 0o100_644, "1"), file("b", 0o100_644, "2"), file("c", 0o100_644, "3")].into(),
            ..StepRecord::default()
        };
        let files = [file("a", 0o100_664, "1"), file("b", 0o100_644, "9"), file("d", 0o100_644, "3")];
        let now = [("parent", "1"), ("environment", "A=9"), ("environment", "C=3"), ("files", "y")];
        assert_eq!(
            why(Some(&before), &inputs(&now), &files),
            "A=9 was A=1, C=3 is new, B is gone; a has mode 664, had 644, b has changed, d is new, c is gone \
             (a checkout with another umask gives such modes; COPY --chmod makes them the same)"
        );
        assert!(why(Some(&before), &inputs(&[("parent", "2")]), &[]).contains("a step before it"));
        assert_eq!(why(None, &[], &[]), "this instruction was not built before");
        assert!(why(Some(&before), &before.inputs, &before.files).contains("pruned"));
    }
}

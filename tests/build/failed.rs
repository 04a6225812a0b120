//! A step that fails is shown as one, whatever it failed of.

use crate::{build, context, support::with_box};

/// What a failed build says.
fn failure(scratch: &crate::support::Scratch, file: &str) -> String {
    context(scratch, &[("Dockerfile", file)]);
    let (code, _, error) = build(scratch, &["--progress", "plain"]);
    assert_eq!(code, 1, "{error}");
    error
}

#[test]
fn a_step_that_never_ran_is_shown_with_its_error() {
    let scratch = with_box(&[]);
    for (file, title, why) in [
        ("FROM box\nCOPY missing /\n", "[2/2] COPY missing /", "\"/missing\": not found"),
        ("FROM nothing-there\n", "[1/1] FROM nothing-there", "nothing-there: not found"),
        ("FROM box\nRUN --network=host true\n", "[2/2] RUN --network=host true", "is not allowed"),
    ] {
        let error = failure(&scratch, file);
        let line = error.lines().find(|line| line.ends_with(title)).unwrap_or_else(|| panic!("{error}"));
        let number = line.split(' ').next().unwrap();
        let words = error.lines().find(|line| line.starts_with(&format!("{number} ERROR: ")));
        assert!(words.is_some_and(|words| words.contains(why)), "{error}");
    }
}

#[test]
fn a_trigger_that_fails_is_shown_with_the_base_that_left_it() {
    let scratch = with_box(&["ONBUILD COPY missing /"]);
    let error = failure(&scratch, "ARG X\nFROM box\nRUN true\n");
    assert!(error.contains("Dockerfile:2:1: ONBUILD COPY missing /: \"/missing\": not found"), "{error}");
    assert!(error.contains("[1/2] COPY missing /"), "{error}");
}

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

#[test]
fn a_command_that_cannot_be_started_is_shown_with_its_line() {
    let scratch = with_box(&[]);
    for (file, why) in [
        (
            "RUN [\"nosuch\"]",
            "Dockerfile:2:1: exec: \"nosuch\": executable file not found in $PATH\n  2 | RUN",
        ),
        (
            "USER ann\nRUN true",
            "Dockerfile:3:1: unable to find user ann: no matching entries in passwd file\n  3 | RUN",
        ),
        ("SHELL [\"/nosuch\"]\nRUN true", "Dockerfile:3:1: exec: \"/nosuch\": stat /nosuch: no such file"),
        ("COPY --from=nosuch / /", "Dockerfile:2:1: nosuch: not found\n  2 | COPY"),
    ] {
        let error = failure(&scratch, &format!("FROM box\n{file}\n"));
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_command_that_may_have_missed_the_network_is_told_how_to_get_one() {
    let scratch = with_box(&[]);
    let hint = "hint: RUN has no network unless the build is given one: --network host";
    assert!(!failure(&scratch, "FROM box\nRUN --network=none exit 3\n").contains(hint));
    assert!(failure(&scratch, "FROM box\nRUN exit 3\n").ends_with(&format!("{hint}\n")));
    let (_, _, error) = build(&scratch, &["--network", "none", "--progress", "plain"]);
    assert!(!error.contains(hint), "{error}");
}

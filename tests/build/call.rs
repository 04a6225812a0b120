//! `--check` and `--call`: answers without a build.

use crate::{
    build, context,
    support::{Scratch, with_box},
};

#[test]
fn a_check_finds_what_docker_finds() {
    let scratch = with_box(&["ENV KNOWN=1"]);
    context(
        &scratch,
        &[
            ("Dockerfile", "FROM box AS Big\nRUN echo $KNOWN\nENV A=$UNKNOWN B=$KNOWN\nCOPY secret /\n"),
            (".dockerignore", "secret\n"),
            ("secret", ""),
        ],
    );
    let (code, text, error) = build(&scratch, &["--check"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(
        text.starts_with(
            "Check complete, 3 warnings have been found!\n\nWARNING: StageNameCasing - https://"
        ),
        "{text}"
    );
    for words in
        ["CopyIgnoredFile", "Usage of undefined variable '$UNKNOWN'", "   3 | >>> ENV A=$UNKNOWN B=$KNOWN\n"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("'$KNOWN'"), "what the image sets is known: {text}");
    let (_, json, _) = build(&scratch, &["--check", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 3);
    let (_, sarif, _) = build(&scratch, &["--call", "check", "--format", "sarif"]);
    assert!(sarif.contains("\"version\": \"2.1.0\""));
}

#[test]
fn a_check_fails_if_the_file_or_the_command_wants_it() {
    let scratch = Scratch::new();
    context(&scratch, &[("Dockerfile", "# check=error=true\nFROM scratch AS Big\n")]);
    let (code, text, _) = build(&scratch, &["--check"]);
    assert!(
        code == 1 && text.ends_with("lint violation found for rules: StageNameCasing\n"),
        "{code} {text}"
    );
    let (code, text, _) = build(&scratch, &["--check", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"]);
    assert_eq!((code, text.as_str()), (0, "Check complete, no warnings found.\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_shown_with_a_mark() {
    let scratch = Scratch::new();
    context(&scratch, &[("Dockerfile", "FROM scratch\nRUNN x\n")]);
    let (code, _, error) = build(&scratch, &["--check"]);
    let excerpt = "\n  2 | RUNN x\n    | ^^^^\n";
    assert!(code == 1 && error.starts_with("skiff: Dockerfile:2:1: unknown instruction: RUNN"), "{error}");
    assert!(error.contains(excerpt), "{error}");
}

#[test]
fn outline_and_targets_are_told() {
    let scratch = Scratch::new();
    context(
        &scratch,
        &[(
            "Dockerfile",
            "# base the base\nFROM scratch AS base\n# V a version\nARG V=1\nFROM base AS last\n",
        )],
    );
    let (_, text, _) = build(&scratch, &["--call", "targets"]);
    assert_eq!(text, "TARGET         DESCRIPTION\nbase           the base\nlast (default) \n");
    let (_, text, _) = build(&scratch, &["--print=outline", "--build-arg", "V=2"]);
    assert_eq!(text, "TARGET: last\n\nBUILD ARG   VALUE   DESCRIPTION\nV           2       a version\n");
    let (_, text, _) = build(&scratch, &["--call", "ast"]);
    let ast: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ast[1]["keyword"], "ARG");
}

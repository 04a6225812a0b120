//! What is wrong is said before anything is built.

use std::fs;

use crate::{build, context, ended, support::Scratch};

#[test]
fn a_missing_dockerfile_is_named_and_a_similar_one_is_hinted_at() {
    let scratch = Scratch::new();
    let directory = context(&scratch, &[("x", "")]);
    let (code, _, error) = build(&scratch, &[]);
    let words = "skiff: failed to read dockerfile: open Dockerfile: no such file or directory\n";
    assert_eq!((code, error.as_str()), (1, words));
    fs::write(directory.join("Containerfile"), "FROM scratch\n").unwrap();
    let (_, _, error) = build(&scratch, &[]);
    let hint =
        format!("{words}hint: there is Containerfile: build with -f {}/Containerfile\n", directory.display());
    assert_eq!(error, hint);
    let (code, _, error) = build(&scratch, &["-f", "/no/such"]);
    let words = "skiff: failed to read dockerfile: open /no/such: no such file or directory\n";
    assert_eq!((code, error.as_str()), (1, words));
}

#[test]
fn contexts_that_are_none_are_refused() {
    let scratch = Scratch::new();
    scratch.fails(&["build", "/no/such"], 1, "unable to prepare context: path \"/no/such\" not found");
    scratch.fails(&["build", "/etc/passwd"], 1, "is not a directory");
    scratch.fails(&["build", "https://example.com/a.git"], 1, "nothing is fetched from the network");
    scratch.fails(&["build", "-f", "-", "-"], 1, "can't use stdin for both build context and dockerfile");
    scratch.fails(&["build"], 1, "'skiff build' requires 1 argument");
}

#[test]
fn flags_that_are_not_served_are_refused() {
    let scratch = Scratch::new();
    context(&scratch, &[("Dockerfile", "FROM scratch\n")]);
    for (flags, words) in [
        (&["--pull"][..], "--pull: registries are not supported yet"),
        (&["--ssh", "default=/etc/passwd"], "ssh default: /etc/passwd is a file, and keys are not read"),
        (&["-m", "x"], "invalid argument \"x\" for --memory: invalid size: 'x'"),
        (&["--progress", "fancy"], "invalid progress form"),
        (&["--progress", "tty"], "stderr is not a terminal"),
        (&["--secret", "src=x"], "secret missing ID"),
        (&["--call", "x"], "invalid call"),
    ] {
        let (code, _, error) = build(&scratch, flags);
        assert!(code == 125 && error.contains(words), "{flags:?}: {code} {error}");
    }
    for (flags, words) in [
        (&["--platform", "linux/s390x"][..], "build for platform linux/s390x: only this machine's"),
        (&["--network", "web"], "network web not found"),
        (&["-t", "UPPER"], "invalid reference format"),
        (&["-m", "1m"], "Minimum memory limit allowed is 6MB"),
        (&["--ulimit", "such=1"], "invalid ulimit type: such"),
        (&["--cgroup-parent", "a/../b"], "invalid cgroup-parent 'a/../b'"),
    ] {
        let (code, _, error) = build(&scratch, flags);
        assert!(code == 1 && error.contains(words), "{flags:?}: {code} {error}");
    }
    // What asks for nothing is taken; then the next mistake counts.
    let flags = ["--provenance=false", "--pull=false", "--load", "--rm", "--progress", "fancy"];
    assert!(build(&scratch, &flags).2.contains("invalid progress form"));
}

#[test]
fn a_tar_that_is_none_is_refused() {
    let scratch = Scratch::new();
    let (code, _, error) = ended(scratch.with_input_that_may_break(&["build", "-"], b"\x1f\x8b\x08rubbish"));
    assert!(code == 1 && error.starts_with("skiff: "), "{code} {error}");
    let left = fs::read_dir(scratch.path("data/tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "something is left of the context");
}

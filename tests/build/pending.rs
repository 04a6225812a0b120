//! Commands that follow one another: the layer of one gets its name while the next one runs.

use std::{
    fs,
    io::{BufReader, Lines},
    process::{Child, ChildStderr, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::{
    begun, build, cached, context, id, names_in,
    support::{Scratch, with_box},
};

/// Waits for the file `go` of the context.
const WAIT: &str = "--mount=target=/context until test -e /context/go; do busybox sleep 0.02; done";

fn go_on(scratch: &Scratch, (mut client, told): (Child, Lines<BufReader<ChildStderr>>)) {
    fs::write(scratch.path("context/go"), "").unwrap();
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    assert!(client.wait().unwrap().success(), "{rest:?}");
}

/// How many steps are in the cache.
fn steps(scratch: &Scratch) -> usize {
    let names = fs::read_dir(scratch.path("data/cache")).into_iter().flatten();
    names.filter(|name| name.as_ref().unwrap().file_name().len() == 64).count()
}

#[test]
fn a_step_is_on_the_shelf_while_the_next_command_runs() {
    let scratch = with_box(&[]);
    let text = format!("FROM box\nRUN echo 1 > /one\nRUN {WAIT}; cat /one > /two\nRUN cat /two > /three\n");
    context(&scratch, &[("Dockerfile", &text)]);
    let running = begun(&scratch, "/context/go");
    while steps(&scratch) == 0 {
        sleep(Duration::from_millis(5));
    }
    go_on(&scratch, running);
    assert_eq!((steps(&scratch), scratch.text(&["run", "--rm", "it", "cat", "/three"])), (3, "1\n".into()));
    fs::remove_file(scratch.path("context/go")).unwrap();
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (4, 0));
    scratch.text(&["image", "verify"]);
}

#[test]
fn nothing_goes_from_below_a_command_that_runs() {
    let scratch = with_box(&[]);
    // What was copied up and not changed is in no layer.
    let up = "busybox chmod 644 /data/seed";
    let text = format!(
        "FROM box\nRUN echo 1 > /one; {up}\nRUN {WAIT}; cat /one /data/seed > /two; {up}\nRUN cat /two > /three; {up}\n"
    );
    context(&scratch, &[("Dockerfile", &text)]);
    let running = begun(&scratch, "/context/go");
    sleep(Duration::from_millis(300));
    assert_eq!(steps(&scratch), 0, "the first one has gone on the shelf, with less in it");
    go_on(&scratch, running);
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/three", "/data/seed"]), "1\nseed\nseed\n");
    let layers = scratch.text(&["inspect", "-f", "{{range .RootFS.Layers}}{{.}} {{end}}", "it"]);
    for (layer, name) in layers.split_whitespace().skip(1).zip(["one", "two", "three"]) {
        assert_eq!(names_in(&scratch, layer), [name]);
    }
    scratch.text(&["image", "verify"]);
    assert_eq!(fs::read_dir(scratch.path("data/tmp")).unwrap().count(), 0);
}

#[test]
fn a_step_is_kept_when_the_next_command_fails() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo 1 > /one\nRUN false\nRUN true\n")]);
    let (code, _, told) = build(&scratch, &[]);
    assert!(code == 1 && told.contains("RUN false"), "{told}");
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo 1 > /one\nRUN cat /one\nRUN true\n")]);
    let (code, _, told) = build(&scratch, &[]);
    assert_eq!((code, cached(&told)), (0, (2, 2)), "{told}");
}

#[test]
fn a_step_is_found_behind_one_that_gave_the_same_again() {
    let scratch = with_box(&[]);
    let text = |word: &str| {
        let same = "echo 1 > /one; busybox touch -d @1000 /one";
        format!("FROM box\nRUN {same} # {word}\nENV A=1\nRUN cat /one > /two\nRUN cat /two > /three\n")
    };
    context(&scratch, &[("Dockerfile", &text("first"))]);
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (1, 3));
    context(&scratch, &[("Dockerfile", &text("second"))]);
    let (_, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(cached(&told), (3, 1), "{told}");
    // Without the cache the same layer comes once more, and what stands on the new one does not see it go.
    let (code, _, told) = build(&scratch, &["-t", "it", "--no-cache"]);
    assert_eq!((code, cached(&told)), (0, (1, 3)), "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/three"]), "1\n");
    let history = scratch.text(&["history", "--format", "{{.Size}} {{.CreatedBy}}", "it"]);
    let sizes: Vec<&str> = history.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(sizes[..4], ["2B", "2B", "0B", "2B"], "{history}");
}

#[test]
fn a_command_that_changes_nothing_makes_no_layer() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN true\nRUN echo 1 > /one\nRUN true\nRUN true\n")]);
    // The last one is the one before it once more.
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (2, 3));
    assert_eq!(scratch.text(&["inspect", "-f", "{{len .RootFS.Layers}}", "it"]), "2\n");
    let before = id(&scratch, "it");
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (5, 0));
    assert_eq!(id(&scratch, "it"), before);
}

#[test]
fn of_two_builds_at_the_same_time_each_command_is_run_by_one() {
    let scratch = with_box(&[]);
    let step = |number: usize| {
        let slow = "busybox sleep 0.2";
        format!(
            "RUN --mount=type=cache,target=/cache echo {number} | busybox tee -a /cache/log > /{number}; {slow}\n"
        )
    };
    let text = format!("FROM box\n{}{}{}", step(1), step(2), step(3));
    context(&scratch, &[("Dockerfile", &text)]);
    let path = scratch.path("context").display().to_string();
    let both = ["one", "other"]
        .map(|name| scratch.skiff(&["build", "-t", name, &path]).stderr(Stdio::null()).spawn().unwrap());
    for mut client in both {
        assert!(client.wait().unwrap().success());
    }
    let look = "FROM box\nRUN --mount=type=cache,target=/cache cat /cache/log > /log\n";
    context(&scratch, &[("Dockerfile", look)]);
    assert_eq!(build(&scratch, &["-t", "log"]).0, 0);
    assert_eq!(scratch.text(&["run", "--rm", "log", "cat", "/log"]), "1\n2\n3\n");
    assert_eq!(id(&scratch, "one"), id(&scratch, "other"));
}

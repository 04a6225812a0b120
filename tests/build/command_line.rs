//! The main path, and what is shown of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::{
    build, context, ended,
    pack::Tar,
    support::{Terminal, until, with_box},
};

#[test]
fn an_image_is_built_named_and_run() {
    let scratch = with_box(&[]);
    context(
        &scratch,
        &[
            (
                "Dockerfile",
                "FROM box\nARG WHO\nRUN echo hello $WHO > /hello\nCOPY d/f /f\nCMD [\"cat\", \"/hello\", \"/f\"]\n",
            ),
            ("d/f", "file\n"),
        ],
    );
    let (iid, metadata) = (scratch.path("iid"), scratch.path("metadata"));
    fs::write(&iid, "old").unwrap();
    let (iid_name, metadata_name) = (iid.display().to_string(), metadata.display().to_string());
    let (code, out, error) = build(
        &scratch,
        &[
            "-t",
            "one",
            "-t",
            "two:x",
            "--build-arg",
            "WHO=you",
            "--iidfile",
            &iid_name,
            "--metadata-file",
            &metadata_name,
        ],
    );
    assert_eq!((code, out.as_str()), (0, ""), "{error}");
    assert_eq!(scratch.text(&["run", "--rm", "one"]), "hello you\nfile\n");
    assert_eq!(scratch.text(&["run", "--rm", "two:x", "cat", "/f"]), "file\n");
    let id = fs::read_to_string(iid).unwrap();
    assert_eq!(scratch.text(&["inspect", "-f", "{{.Id}}", "one"]).trim(), id);
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], id);
    assert_eq!(metadata["image.name"], "docker.io/library/one:latest,docker.io/library/two:x");
}

#[test]
fn on_a_terminal_the_running_step_is_drawn_again_and_again() {
    let scratch = with_box(&[]);
    let path = context(&scratch, &[("Dockerfile", "FROM box\nRUN echo shown; sleep 2.5\nRUN true\n")]);
    let terminal = Terminal::new(24, 60);
    let mut build = terminal.spawn(scratch.skiff(&["build", "-t", "new", path.to_str().unwrap()]));
    let text = terminal.rest();
    assert!(build.wait().unwrap().success(), "{text}");
    // Ten in a second are meant; the engine has something to say once in a second.
    let frames = text.matches("[+] Building ").count();
    assert!(frames > 6, "{frames}: {text}");
    let lines =
        ["[2/3] RUN echo shown; sleep 2.5 ", "=> => # ", " shown\x1b[K", "(3/3) FINISHED", "naming to "];
    assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    // No line is as wide as the window, and each frame is drawn over the one before.
    let (drawn, last) = text.rsplit_once("\x1b[J").unwrap();
    assert!(drawn.contains("\x1b[3A\r") && drawn.split("\r\n").all(|line| line.len() < 60 + 12), "{text}");
    assert!(!last.contains('\x1b') && last.starts_with("[+] Building "), "{last}");
}

#[test]
fn plain_progress_is_that_of_buildkit_and_quiet_is_the_id() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box AS base\nRUN echo out; echo err >&2\n")]);
    let (code, _, error) = build(&scratch, &["--progress", "plain"]);
    assert_eq!(code, 0, "{error}");
    let run = error.lines().find(|line| line.contains("] RUN echo out")).unwrap_or_else(|| panic!("{error}"));
    let number = run.split(' ').next().unwrap();
    assert!(error.contains(&format!("\n{number} 0.")), "{error}");
    assert!(error.lines().any(|line| line.starts_with(number) && line.ends_with(" out")), "{error}");
    assert!(error.lines().any(|line| line.starts_with(number) && line.ends_with(" err")), "{error}");
    assert!(error.contains(&format!("\n{number} DONE ")), "{error}");
    let (_, _, again) = build(&scratch, &["--progress", "plain"]);
    assert!(again.contains(&format!("\n{number} CACHED\n")), "{again}");
    let (code, id, error) = build(&scratch, &["-q"]);
    assert_eq!((code, error.as_str(), id.len()), (0, "", 72), "{id}");
    let (_, _, raw) = build(&scratch, &["--progress", "rawjson", "--no-cache"]);
    let records: Vec<serde_json::Value> =
        raw.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.iter().any(|record| record["logs"][0]["data"] == "b3V0Cg=="), "{raw}");
}

#[test]
fn a_failed_step_shows_its_last_lines_and_fails_the_build() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo so far; exit 37\nRUN echo never\n")]);
    for flags in [&["--progress", "plain"][..], &["-q"]] {
        let (code, out, error) = build(&scratch, &[flags, &["-t", "no"]].concat());
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.contains("------\n > "), "{error}");
        assert!(error.contains(" so far\n------\n") && error.contains("exit code: 37"), "{error}");
        assert!(!error.contains("never\n"), "{error}");
    }
    scratch.fails(&["image", "inspect", "no"], 1, "No such image");
}

#[test]
fn the_dockerfile_may_come_from_elsewhere() {
    let scratch = with_box(&[]);
    context(&scratch, &[("f", "kept"), ("g", "left out")]);
    let file = "FROM box\nCOPY . /c/\n";
    fs::write(scratch.path("Other"), file).unwrap();
    fs::write(scratch.path("Other.dockerignore"), "g\n").unwrap();
    let (code, id, error) = build(&scratch, &["-q", "-f", &scratch.path("Other").display().to_string()]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim(), "ls", "/c"]), "f\n");
    let directory = scratch.path("context").display().to_string();
    let (code, id, error) =
        ended(scratch.with_input(&["build", "-q", "-f", "-", &directory], file.as_bytes()));
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim(), "ls", "/c"]), "f\ng\n");
    let (code, id, error) = ended(scratch.with_input(&["build", "-q", "-"], b"FROM box\nCMD echo none\n"));
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim()]), "none\n");
}

#[test]
fn a_context_may_be_a_tar_on_stdin() {
    let scratch = with_box(&[]);
    let tar = Tar::default()
        .file("sub/D", "FROM box\nCOPY .wh.f /c/\nCMD cat /c/.wh.f\n")
        .file(".wh.f", "plain\n")
        .end();
    let (code, id, error) = ended(scratch.with_input(&["build", "-q", "-f", "sub/D", "-"], &tar));
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim()]), "plain\n");
    let (code, _, error) = ended(scratch.with_input(&["build", "-"], &tar));
    assert_eq!((code, error.as_str()), (1, "skiff: Cannot locate specified Dockerfile: Dockerfile\n"));
}

#[test]
fn a_secret_is_there_while_a_step_runs_and_not_in_the_image() {
    let scratch = with_box(&[]);
    context(
        &scratch,
        &[(
            "Dockerfile",
            "FROM box\nRUN --mount=type=secret,id=s cat /run/secrets/s > /seen\nRUN ls /run/secrets > /left 2>&1 || true\n",
        )],
    );
    fs::write(scratch.path("secret"), "hidden").unwrap();
    let from = format!("id=s,src={}", scratch.path("secret").display());
    let (code, id, error) = build(&scratch, &["-q", "--secret", &from]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(scratch.text(&["run", "--rm", id.trim(), "cat", "/seen"]), "hidden");
    assert!(!scratch.text(&["run", "--rm", id.trim(), "cat", "/left"]).starts_with('s'));
}

#[test]
fn explain_tells_of_each_step() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN true\n")]);
    let (code, _, error) = build(&scratch, &["--explain", "--progress", "plain"]);
    assert!(code == 0 && error.contains(" cache: "), "{error}");
}

#[test]
fn a_build_ends_when_its_client_does() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo begun; sleep 1000\n")]);
    let directory = scratch.path("context").display().to_string();
    let mut child =
        scratch.skiff(&["build", "--progress", "plain", &directory]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with(" begun")));
    let left = || fs::read_dir(scratch.path("data/tmp")).map_or(0, Iterator::count) + scratch.containers();
    assert!(left() > 0, "the step has nowhere to run");
    child.kill().unwrap();
    child.wait().unwrap();
    until("the step is still running", &mut || left() == 0);
}

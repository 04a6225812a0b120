//! `--squash`: one layer, in which everything is as it was in many.

use std::{collections::BTreeMap, fs, process::Command};

use crate::{
    build, context,
    support::{Scratch, with_box},
};

/// Files that are made, changed, replaced, removed, and removed and made again, on a base and in between.
const FILE: &str = "FROM box AS base
RUN mkdir -p /d/sub /gone/deep && echo 1 > /d/changed && echo 1 > /d/short-lived && echo 1 > /gone/deep/f
RUN ln /d/changed /d/linked && mkdir /to-file && echo 1 > /to-file/f && echo 1 > /to-directory
FROM base
RUN echo 2 > /d/added && rm /d/short-lived && rm -r /gone && rm -r /data && chmod 700 /d/sub
RUN rm -r /to-file && echo 2 > /to-file && rm /to-directory && mkdir /to-directory && echo 2 > /to-directory/f
COPY --link x /d/sub/x
RUN mkdir /data && echo 3 > /data/new && ln /data/new /data/linked && mkdir /gone && echo 3 > /gone/other
RUN rm /etc/passwd && rm -r /tmp && mkdir -m 1777 /tmp && ln -s nowhere /d/link && mv /d/added /d/moved
RUN touch /only-for-now
RUN rm /only-for-now
LABEL a=b
CMD [\"cat\", \"/data/linked\"]
";

/// The names of a tar with everything that is said of them but for the time, and the content of files.
fn listed(tar: &str) -> BTreeMap<String, String> {
    let text = |flags: &[&str]| {
        let output = Command::new("tar").args(flags).arg(tar).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut all = BTreeMap::new();
    for line in text(&["--numeric-owner", "--full-time", "-tvf"]).lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Directories have the time of what was last made in them, which may be gone.
        let time = if line.starts_with('d') { String::new() } else { fields[3..5].join(" ") };
        all.insert(fields[5..].join(" "), [&fields[..3].join(" "), time.as_str()].join(" "));
    }
    all.insert("contents".into(), text(&["-xO", "--exclude", "./bin", "-f"]));
    all
}

fn layers(scratch: &Scratch, image: &str) -> Vec<String> {
    let text = scratch.text(&["inspect", "-f", "{{json .RootFS.Layers}}", image]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn one_layer_has_all_that_many_have_done() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", FILE), ("x", "x\n")]);
    let at = |name: &str| format!("type=tar,dest={}", scratch.path(name).display());
    let tar = |name: &str| listed(&scratch.path(name).display().to_string());
    let (code, _, error) = build(&scratch, &["-o", &at("many.tar"), "-o", "type=image,name=many"]);
    assert_eq!(code, 0, "{error}");
    let flags = ["--squash", "-o", &at("one.tar"), "-o", "type=image,name=one"];
    let (code, _, error) = build(&scratch, &flags);
    assert_eq!(code, 0, "{error}");
    assert_eq!(tar("one.tar"), tar("many.tar"));
    assert!(
        tar("one.tar").keys().any(|name| name.ends_with("data/new link to data/linked")),
        "{:?}",
        tar("one.tar")
    );

    let (below, one) = (layers(&scratch, "box"), layers(&scratch, "one"));
    assert_eq!(one[..below.len()], below);
    assert_eq!(one.len(), below.len() + 1);
    assert!(layers(&scratch, "many").len() > one.len() + 4);
    assert_eq!(scratch.text(&["run", "--rm", "one"]), "3\n");
    assert_eq!(scratch.text(&["inspect", "-f", "{{.Config.Labels.a}}", "one"]), "b\n");
    // Nothing is in it but what is different from the base.
    let archive = scratch.path("saved.tar").display().to_string();
    scratch.text(&["save", "-o", &archive, "one"]);
    let blob = format!("blobs/{}", one[below.len()].replace(':', "/"));
    let layer = Command::new("tar").args(["-xOf", &archive, &blob]).output().unwrap().stdout;
    let path = scratch.path("layer.tar").display().to_string();
    fs::write(&path, layer).unwrap();
    let names = Command::new("tar").args(["-tf", &path]).output().unwrap().stdout;
    let names = String::from_utf8(names).unwrap();
    assert!(
        !names.contains("bin") && !names.contains("only-for-now") && !names.contains("short-lived"),
        "{names}"
    );
    for name in ["data/.wh..wh..opq", "etc/.wh.passwd"] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }

    let history = |image: &str| scratch.text(&["history", "--format", "{{.CreatedBy}}", "--no-trunc", image]);
    let (first, rest) = history("one").split_once('\n').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    assert!(first.starts_with("squash ") && rest == history("many"), "{first}\n{rest}");

    // The same again is the same image.
    let id = scratch.text(&["inspect", "-f", "{{.Id}}", "one"]);
    let (_, _, again) = build(&scratch, &flags);
    assert!(again.lines().filter(|line| line.contains(" DONE ")).count() == 0, "{again}");
    assert_eq!(scratch.text(&["inspect", "-f", "{{.Id}}", "one"]), id);
}

#[test]
fn what_is_undone_leaves_no_layer_and_nothing_is_below_scratch() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo 1 > /f\nRUN rm /f\n"), ("x", "x"), ("y", "y")]);
    let (code, _, error) = build(&scratch, &["--squash", "-t", "one"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(layers(&scratch, "one"), layers(&scratch, "box"));

    context(&scratch, &[("Dockerfile", "FROM scratch\nCOPY x /d/\nCOPY y /d/\n")]);
    let epoch = ["--squash", "-t", "one", "--source-date-epoch", "1000000000"];
    let (code, _, error) = build(&scratch, &epoch);
    assert_eq!(code, 0, "{error}");
    let first = layers(&scratch, "one");
    assert_eq!(first.len(), 1);
    let out = scratch.path("out").display().to_string();
    build(&scratch, &["--squash", "-o", &out]);
    assert_eq!(
        fs::read_to_string(format!("{out}/d/x")).unwrap()
            + &fs::read_to_string(format!("{out}/d/y")).unwrap(),
        "xy"
    );
    build(&scratch, &[&epoch[..], &["--no-cache"]].concat());
    assert_eq!(layers(&scratch, "one"), first);
}

//! What the steps do: the cache, the mounts of `RUN`, stages, this machine as a stage, the cache's size.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use crate::{
    begun, build, cached, context, id, names_in,
    support::{Scratch, with_box},
};

#[test]
fn only_what_depends_on_a_change_is_built_anew() {
    let scratch = with_box(&[]);
    let text = "FROM box\nRUN echo 1 > /1\nCOPY a /a\nRUN cat /a > /2\nLABEL x=1\nCMD [\"cat\", \"/2\"]\n";
    let directory = context(&scratch, &[("Dockerfile", text), ("a", "one"), ("b", "unused")]);
    let (code, _, first) = build(&scratch, &["-t", "it"]);
    assert_eq!((code, cached(&first)), (0, (1, 3)), "{first}");
    let before = id(&scratch, "it");

    // Nothing changed, and times are not looked at.
    fs::write(directory.join("a"), "one").unwrap();
    fs::write(directory.join("b"), "changed").unwrap();
    let (_, _, again) = build(&scratch, &["-t", "it"]);
    assert_eq!((cached(&again), id(&scratch, "it")), ((4, 0), before.clone()), "{again}");

    // A label is no step.
    fs::write(directory.join("Dockerfile"), text.replace("x=1", "x=2")).unwrap();
    let (_, _, labelled) = build(&scratch, &["-t", "it"]);
    assert_eq!(cached(&labelled), (4, 0), "{labelled}");
    assert_ne!(id(&scratch, "it"), before);

    fs::write(directory.join("a"), "two").unwrap();
    let (_, _, changed) = build(&scratch, &["-t", "it", "--explain"]);
    assert_eq!(cached(&changed), (2, 2), "{changed}");
    assert!(changed.contains("a has changed"), "{changed}");
    assert_eq!(scratch.text(&["run", "--rm", "it"]), "two");

    let (_, _, fresh) = build(&scratch, &["-t", "it", "--no-cache"]);
    assert_eq!(cached(&fresh), (1, 3), "{fresh}");
}

#[test]
fn an_argument_counts_where_it_is_seen() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo before\nARG V=1\nRUN echo $V > /v\n")]);
    build(&scratch, &["-t", "it"]);
    let (_, _, other) = build(&scratch, &["-t", "it", "--build-arg", "V=2", "--explain"]);
    assert_eq!(cached(&other), (2, 1), "{other}");
    assert!(other.contains("V=2 was V=1"), "{other}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/v"]), "2\n");
    let history = scratch.text(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "it"]);
    assert!(history.contains("RUN |1 V=2 /bin/sh -c echo $V > /v # buildkit"), "{history}");
}

#[test]
fn mounts_are_there_while_the_step_runs_and_leave_nothing() {
    let scratch = with_box(&[]);
    let text = "FROM box AS other\nRUN mkdir /o && echo other > /o/f\nFROM box\n\
                RUN --mount=target=/ctx --mount=type=bind,from=other,source=/o,target=/in/o,rw \
                --mount=type=tmpfs,target=/mem,size=1m --mount=type=cache,target=/cache \
                cat /ctx/a /in/o/f; echo x > /in/o/new; echo y > /mem/y; echo line >> /cache/log; cp /cache/log /log\n\
                RUN test ! -e /ctx && test ! -e /in && test ! -e /mem && test ! -e /cache\n";
    let directory = context(&scratch, &[("Dockerfile", text), ("a", "context\n")]);
    let (code, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("context") && told.contains("other"), "{told}");
    // A cache outlives the build, and is not part of what a step depends on; what is bound is.
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (5, 0));
    fs::write(directory.join("a"), "changed\n").unwrap();
    build(&scratch, &["-t", "it"]);
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/log"]), "line\nline\n");
    scratch.text(&["builder", "prune", "-af"]);
    build(&scratch, &["-t", "it"]);
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/log"]), "line\n");
}

#[test]
fn a_stage_on_this_machine_is_copied_from_and_never_the_result() {
    let scratch = with_box(&[]);
    let text = "FROM host AS tools\nWORKDIR /made-by-a-build\nCOPY a .\nRUN cat a a > b\nRUN cat b > c\nFROM box\n\
                COPY --from=tools /made-by-a-build /m\n";
    context(&scratch, &[("Dockerfile", text), ("a", "1\n")]);
    let (code, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/m/c"]), "1\n1\n");
    assert!(!std::path::Path::new("/made-by-a-build").exists());
    context(&scratch, &[("Dockerfile", "FROM host\nRUN true\n")]);
    let (code, _, refused) = build(&scratch, &[]);
    assert_eq!(code, 1);
    assert!(refused.contains("FROM scratch") && !refused.contains("RUN"), "{refused}");
}

#[test]
fn what_a_killed_build_has_finished_is_not_built_again() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo done > /done\nRUN sleep 1000\n")]);
    let (mut client, _) = begun(&scratch, "RUN sleep");
    client.kill().unwrap();
    client.wait().unwrap();
    context(&scratch, &[("Dockerfile", "FROM box\nRUN echo done > /done\nRUN cat /done\n")]);
    let (code, _, told) = build(&scratch, &[]);
    assert_eq!((code, cached(&told)), (0, (2, 1)), "{told}");
}

#[test]
fn what_a_build_at_work_needs_is_not_taken_away() {
    let scratch = with_box(&[]);
    let wait = "RUN --mount=target=/context until test -e /context/go; do sleep 0.02; done";
    let text = format!("FROM box\nRUN echo done > /done\n{wait}\nRUN cat /done > /again\n");
    let directory = context(&scratch, &[("Dockerfile", &text)]);
    let (mut client, told) = begun(&scratch, "RUN --mount");
    scratch.text(&["rmi", "box"]);
    scratch.text(&["builder", "prune", "-a", "-f"]);
    fs::write(directory.join("go"), "").unwrap();
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    assert!(client.wait().unwrap().success(), "{rest:?}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/again"]), "done\n");
    // Afterwards it goes as anything else does.
    scratch.text(&["rmi", "it"]);
    scratch.text(&["builder", "prune", "-a", "-f"]);
    assert_eq!(fs::read_dir(scratch.path("data/layers")).unwrap().count(), 0);
}

#[test]
fn the_cache_is_shown_and_made_smaller() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN head -c 100000 /dev/zero > /big\nRUN echo x > /x\n")]);
    build(&scratch, &["-t", "it"]);
    let size = || scratch.text(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Size}}"]);
    assert!(size().contains("Build Cache 2 "), "{}", size());
    // Both are in an image.
    assert_eq!(scratch.text(&["builder", "prune", "-f"]), "Total reclaimed space: 0B\n");
    scratch.text(&["rmi", "it"]);
    assert_eq!(cached(&build(&scratch, &["-t", "it"]).2), (3, 0));
    scratch.text(&["rmi", "it"]);
    let pruned = scratch.text(&["builder", "prune", "-f"]);
    assert!(pruned.ends_with("Total reclaimed space: 100kB\n"), "{pruned}");
    assert!(size().contains("Build Cache 0 "), "{}", size());
    assert_eq!(scratch.text(&["run", "--rm", "box", "echo", "still"]), "still\n");
}

#[test]
fn the_same_inputs_and_epoch_give_the_same_image_anywhere() {
    let ids = [0, 1].map(|_| {
        let scratch = with_box(&[]);
        context(&scratch, &[("Dockerfile", "FROM scratch\nCOPY . /x\nENV A=1\n"), ("a", "1"), ("d/b", "2")]);
        let (code, _, told) = build(&scratch, &["-t", "it", "--source-date-epoch", "1000000000"]);
        assert_eq!(code, 0, "{told}");
        id(&scratch, "it")
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_layer_may_be_there_twice() {
    let scratch = with_box(&[]);
    let text = "FROM box\nCOPY a /a\nRUN rm /a && echo b > /b\nCOPY a /a\nRUN cat /a /b > /both\n";
    context(&scratch, &[("Dockerfile", text), ("a", "a\n")]);
    let (code, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(code, 0, "{told}");
    let layers = scratch.text(&["inspect", "-f", "{{range .RootFS.Layers}}{{.}}\n{{end}}", "it"]);
    let layers: Vec<&str> = layers.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(layers[1], layers[3], "{layers:?}");
    assert_eq!(scratch.text(&["run", "--rm", "it", "cat", "/both", "/a"]), "a\nb\na\n");
}

#[test]
fn unchanged_files_of_a_copy_are_on_the_disk_once_and_its_layer_is_as_if_they_were_not() {
    let scratch = with_box(&[]);
    let path = context(
        &scratch,
        &[
            ("Dockerfile", "FROM box\nRUN mkdir /there\nCOPY . /app/\nCOPY d /there/\n"),
            ("d/same", "same\n"),
            ("d/changes", "old\n"),
            ("d/deep/also", "also\n"),
        ],
    );
    std::os::unix::fs::symlink("same", path.join("d/link")).unwrap();
    let built = |scratch: &Scratch| {
        let (code, id, error) = build(scratch, &["-q", "-t", "it"]);
        assert_eq!(code, 0, "{error}");
        let layers = scratch.text(&["inspect", "-f", "{{json .RootFS.Layers}}", id.trim()]);
        (id.trim().to_string(), serde_json::from_str::<Vec<String>>(&layers).unwrap())
    };
    let file = |layer: &str, path: &str| {
        let tree = scratch.path("data").join("layers").join(layer.trim_start_matches("sha256:")).join("tree");
        fs::symlink_metadata(tree.join(path)).unwrap()
    };
    let (first, old) = built(&scratch);
    fs::write(path.join("d/changes"), "new\n").unwrap();
    let (_, new) = built(&scratch);
    let [(old_app, old_there), (app, there)] =
        [&old, &new].map(|layers| (&layers[layers.len() - 2], &layers[layers.len() - 1]));
    let inodes = |path: &str| (file(old_app, path).ino(), file(app, path).ino());
    for path in ["app/d/same", "app/d/deep/also", "app/d/link", "app/Dockerfile"] {
        assert!(inodes(path).0 == inodes(path).1, "{path}");
    }
    assert!(inodes("app/d/changes").0 != inodes("app/d/changes").1);
    let inodes = |path: &str| (file(old_there, path).ino(), file(there, path).ino());
    assert!(inodes("there/deep/also").0 == inodes("there/deep/also").1);
    let read = |image: &str| {
        scratch.text(&["run", "--rm", image, "sh", "-c", "cat /app/d/* 2>/dev/null; cat /there/deep/also"])
    };
    assert_eq!(
        (read("it"), read(&first)),
        ("new\nsame\nsame\nalso\n".into(), "old\nsame\nsame\nalso\n".into())
    );
    // What a container does to such a file is its own.
    scratch.text(&[
        "run",
        "--rm",
        "it",
        "sh",
        "-c",
        "echo more >> /app/d/same; busybox chmod 0 /app/d/deep/also",
    ]);
    assert_eq!(read("it"), read("it"));
    assert_eq!(read(&first), "old\nsame\nsame\nalso\n");
    scratch.text(&["image", "verify"]);
    // Somewhere where it was never built before it is the same.
    let elsewhere = with_box(&[]);
    let copied = elsewhere.path("context");
    assert!(Command::new("cp").arg("-a").arg(&path).arg(&copied).status().unwrap().success());
    built(&elsewhere);
    // But for directories that are as old as the build, and what the store lays below all images.
    let files = |scratch: &Scratch| {
        scratch.text(&["create", "--name", "files", "it", "true"]);
        let tar = scratch.path("files.tar");
        scratch.text(&["export", "-o", tar.to_str().unwrap(), "files"]);
        scratch.text(&["rm", "files"]);
        let listed = Command::new("tar").args(["--full-time", "-tvf"]).arg(tar).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let copied =
            |line: &&str| !line.starts_with('d') && (line.contains(" app/") || line.contains(" there/"));
        listed.lines().filter(copied).map(String::from).collect::<Vec<_>>()
    };
    let (here, there) = (files(&scratch), files(&elsewhere));
    assert!(here.iter().any(|line| line.ends_with(" app/d/deep/also")), "{here:#?}");
    assert_eq!(here, there);
    // The first one can go.
    scratch.text(&["rmi", &first]);
    scratch.text(&["builder", "prune", "-af"]);
    assert_eq!(read("it"), "new\nsame\nsame\nalso\n");
    let left: Vec<_> =
        fs::read_dir(scratch.path("data/cache")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(
        left.iter().filter(|name| name.to_string_lossy().starts_with("latest-")).count(),
        2,
        "{left:?}"
    );
}

#[test]
fn a_layer_has_nothing_but_what_has_changed() {
    let scratch = with_box(&[]);
    let text = "FROM box AS below\nRUN echo hi > /my; touch /tmp/x; rm /tmp/x; busybox chmod 644 /data/seed\n\
                RUN cat /my /data/seed > /both; ls -d /tmp\nFROM scratch\nCOPY --from=below /my /my\n";
    context(&scratch, &[("Dockerfile", text)]);
    let (code, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(code, 0, "{told}");
    let layer = scratch.text(&["inspect", "-f", "{{index .RootFS.Layers 0}}", "it"]);
    assert_eq!(names_in(&scratch, layer.trim()), ["my"]);
    build(&scratch, &["-t", "below", "--target", "below"]);
    assert_eq!(scratch.text(&["run", "--rm", "below", "cat", "/both"]), "hi\nseed\n");
}

#[test]
fn an_image_that_begins_with_settings_is_the_same_the_next_time() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM scratch\nENV A=1\nCOPY a /\nCMD [\"/a\"]\n"), ("a", "a")]);
    let (_, first, _) = build(&scratch, &["-q"]);
    assert_eq!(build(&scratch, &["-q"]).1, first);
    let times = scratch.text(&["history", "--format", "{{.CreatedAt}}", first.trim()]);
    let times: Vec<&str> = times.lines().collect();
    assert!(times.len() == 3 && times.iter().all(|time| *time == times[0]), "{times:?}");
}

#[test]
fn settings_that_nobody_has_set_stay_out_of_the_config() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nHEALTHCHECK --interval=30s CMD true\n")]);
    assert_eq!(build(&scratch, &["-t", "it"]).0, 0);
    let format = "{{json .Config.WorkingDir}} {{json .Config.Healthcheck}}";
    let wanted = "\"\" {\"Interval\":30000000000,\"Test\":[\"CMD-SHELL\",\"true\"]}\n";
    assert_eq!(scratch.text(&["inspect", "-f", format, "it"]), wanted);
    context(&scratch, &[("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")]);
    assert_eq!(build(&scratch, &["-t", "it"]).0, 0);
    assert_eq!(scratch.text(&["inspect", "-f", "{{.Config.WorkingDir}}", "it"]), "/\n");
}

#[test]
fn a_working_directory_belongs_to_the_user_of_the_moment() {
    let scratch = with_box(&[]);
    let text = "FROM box\nRUN mkdir /old; echo ann:x:7:8::/:/bin/sh >> /etc/passwd\nUSER ann\nWORKDIR /a/b\nRUN touch mine\n\
                USER 5\nWORKDIR /c\nUSER 5:6\nWORKDIR /a/d\nWORKDIR /old\nUSER nobody-knows-who\nWORKDIR /e\n\
                USER root\nRUN stat -c '%n %u %g %a' /a /a/b /c /a/d /old /e > /owners\n";
    context(&scratch, &[("Dockerfile", text)]);
    let (code, _, told) = build(&scratch, &["-t", "it"]);
    assert_eq!(code, 0, "{told}");
    let owners = scratch.text(&["run", "--rm", "it", "cat", "/owners"]);
    assert_eq!(owners, "/a 7 8 755\n/a/b 7 8 755\n/c 5 5 755\n/a/d 5 6 755\n/old 0 0 755\n/e 0 0 755\n");
}

#[test]
fn nothing_can_be_run() {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", "FROM box\nRUN\nRUN --mount=type=tmpfs,target=/mem\n")]);
    let (code, _, told) = build(&scratch, &[]);
    assert_eq!((code, cached(&told)), (0, (1, 2)), "{told}");
    context(&scratch, &[("Dockerfile", "FROM box\nRUN []\n")]);
    let (code, _, told) = build(&scratch, &[]);
    assert!(code == 1 && told.contains("RUN has no command"), "{code} {told}");
}

//! `--output`: the result as files, as a tar, and as an archive.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use crate::{build, context, support::Scratch, support::with_box};

const FILE: &str = "FROM box AS base\nRUN mkdir /out && echo made > /out/f && rm -r /data && ln -s f /out/l\n\
                    FROM scratch\nCOPY --from=base --chown=7:8 /out /\nCOPY --chmod=600 x /d/x\n";

/// An engine with a context of two stages, the last one small.
fn prepared() -> Scratch {
    let scratch = with_box(&[]);
    context(&scratch, &[("Dockerfile", FILE), ("x", "x\n")]);
    scratch
}

/// The names in a tar, sorted.
fn names(tar: &str) -> Vec<String> {
    let output = Command::new("tar").args(["-tf", tar]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut names: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect();
    names.sort();
    names
}

#[test]
fn files_go_to_a_directory_with_their_owners() {
    let scratch = prepared();
    let out = scratch.path("new/out");
    let shown = out.display().to_string();
    let (code, stdout, error) = build(&scratch, &["-o", &shown, "-t", "unnamed"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{error}");
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "made\n");
    assert_eq!(fs::read_link(out.join("l")).unwrap().to_str(), Some("f"));
    let stat = fs::metadata(out.join("f")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o777), (7, 8, 0o644));
    assert_eq!(fs::metadata(out.join("d/x")).unwrap().mode() & 0o777, 0o600);
    scratch.fails(&["image", "inspect", "unnamed"], 1, "No such image");

    // Again, over what is there; a link in there leads nowhere else.
    fs::remove_file(out.join("d/x")).unwrap();
    fs::remove_dir(out.join("d")).unwrap();
    fs::create_dir(scratch.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(scratch.path("elsewhere"), out.join("d")).unwrap();
    fs::write(out.join("f"), "other").unwrap();
    fs::write(out.join("mine"), "kept").unwrap();
    let (code, _, error) = build(&scratch, &["-q", "--output", &format!("type=local,dest={shown}")]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "made\n");
    assert_eq!(fs::read_to_string(out.join("mine")).unwrap(), "kept");
    assert_eq!(fs::read_dir(scratch.path("elsewhere")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(out.join("d/x")).unwrap(), "x\n");
}

#[test]
fn what_a_layer_removes_is_not_among_the_files() {
    let scratch = prepared();
    let out = scratch.path("out");
    let (code, _, error) = build(&scratch, &["--target", "base", "-o", &out.display().to_string()]);
    assert_eq!(code, 0, "{error}");
    assert!(out.join("bin/busybox").exists() && out.join("out/f").exists() && !out.join("data").exists());
}

#[test]
fn files_go_to_a_tar_in_a_file_and_on_stdout() {
    let scratch = prepared();
    let tar = scratch.path("out.tar").display().to_string();
    let (code, _, error) = build(&scratch, &["-o", &format!("type=tar,dest={tar}")]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(names(&tar), ["d/", "d/x", "f", "l"]);
    let path = scratch.path("context").display().to_string();
    let output = scratch.skiff(&["build", "-q", "-o", "-", &path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, fs::read(&tar).unwrap());
    // Nothing at all is a tar, too.
    context(&scratch, &[("Dockerfile", "FROM scratch\nCMD x\n")]);
    let (code, _, error) = build(&scratch, &["-o", &format!("type=tar,dest={tar}")]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(names(&tar), [""; 0]);
}

#[test]
fn an_image_goes_to_an_archive_and_to_the_store() {
    let scratch = prepared();
    let at = |name: &str| scratch.path(name).display().to_string();
    let (oci, docker) = (at("oci.tar"), at("docker.tar"));
    let flags = [
        "-t",
        "one:x",
        "-o",
        &format!("type=oci,dest={oci}"),
        "-o",
        &format!("type=docker,dest={docker},name=two"),
        "-o",
        "type=image,name=three",
    ];
    let (code, _, error) = build(&scratch, &flags);
    assert_eq!(code, 0, "{error}");
    assert!(names(&oci).iter().any(|name| name == "index.json"));
    assert!(!names(&oci).iter().any(|name| name == "manifest.json"));
    assert!(names(&docker).iter().any(|name| name == "manifest.json"));
    let id = scratch.text(&["inspect", "-f", "{{.Id}}", "three"]);
    let other = Scratch::new();
    for archive in [&oci, &docker] {
        other.text(&["load", "-q", "-i", archive]);
        for name in ["one:x", "two"] {
            assert_eq!(other.text(&["inspect", "-f", "{{.Id}}", name]), id, "{archive}");
            other.text(&["rmi", name]);
        }
    }
}

#[test]
fn annotations_are_in_the_manifest_of_an_archive_and_of_what_is_saved_later() {
    let scratch = prepared();
    let at = |name: &str| scratch.path(name).display().to_string();
    let (direct, saved) = (at("direct.tar"), at("saved.tar"));
    let output = format!("type=oci,dest={direct}");
    let flags =
        |value| ["-t", "it", "--annotation", value, "--annotation", "manifest-descriptor:where=index"];
    let (code, _, error) = build(&scratch, &[&flags("note=a \"b\"")[..], &["-o", &output]].concat());
    assert_eq!(code, 0, "{error}");
    let documents = |tar: &str| {
        let read = |name: &str| -> serde_json::Value {
            let output = Command::new("tar").args(["-xOf", tar, name]).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{name}: {output:?}"))
        };
        let index = read("index.json");
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        (read(&format!("blobs/{digest}")), index)
    };
    let (manifest, index) = documents(&direct);
    assert_eq!(manifest["annotations"], serde_json::json!({"note": "a \"b\""}));
    assert_eq!(index["manifests"][0]["annotations"]["where"], "index");
    assert_eq!(
        index["manifests"][0]["annotations"]["io.containerd.image.name"],
        "docker.io/library/it:latest"
    );
    scratch.text(&["save", "--format", "oci-archive", "-o", &saved, "it"]);
    assert_eq!(fs::read(&direct).unwrap(), fs::read(&saved).unwrap());
    Scratch::new().text(&["load", "-q", "-i", &saved]);

    // The same image, from the cache, with another note.
    assert_eq!(build(&scratch, &flags("note=other")).0, 0);
    scratch.text(&["save", "--format", "oci-archive", "-o", &saved, "it"]);
    assert_eq!(documents(&saved).0["annotations"], serde_json::json!({"note": "other"}));

    for (flags, code, words) in [
        (
            &["--annotation", "index:a=1"][..],
            125,
            "index annotations not supported for single platform export",
        ),
        (&["--annotation", "a=1", "-o", "type=docker,dest=x"], 1, "only an output of type=oci or type=image"),
    ] {
        let (got, _, error) = build(&scratch, flags);
        assert!(got == code && error.contains(words) && !error.contains("#1"), "{flags:?}: {got} {error}");
    }
}

#[test]
fn an_output_that_cannot_be_is_refused_before_anything_is_built() {
    let scratch = prepared();
    let path = scratch.path("context");
    let file = path.join("x").display().to_string();
    let directory = path.display().to_string();
    for (flags, code, words) in [
        (vec!["-o", file.as_str()], 1, format!("destination directory {file} is a file")),
        (vec!["-o", "type=registry"], 125, "--output: registries are not supported yet".into()),
        (vec!["-o", "-", "-o", "type=oci"], 1, "only one result can go to stdout".into()),
        (vec!["-o", "type=tar,dest=/no/such/f"], 1, "directory \"/no/such\" does not exist".into()),
    ] {
        let (got, _, error) = build(&scratch, &flags);
        assert!(got == code && error.contains(&words) && !error.contains("#1"), "{flags:?}: {got} {error}");
    }
    let to_directory = format!("type=tar,dest={directory}");
    let (code, _, error) = build(&scratch, &["-o", &to_directory]);
    assert!(code == 1 && error.contains("can't be written to a directory"), "{error}");
}

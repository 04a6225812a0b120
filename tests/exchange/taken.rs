//! What `save` writes is taken by the tools that other people use, as the same image with the same trees.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    load,
    pack::{Layout, Tar, named},
    support::{
        Scratch,
        tree::{Tree, assert_same, grow, see, tar},
    },
    tools::{Dockerd, are_there, loads, of_config, podman, said},
};

/// An image `x.io/taken:1` of one layer with everything that a layer can have, saved to `file`: its id, its layers, its tree.
struct Taken {
    file: String,
    id: String,
    layers: String,
    tree: Tree,
}

fn taken(scratch: &Scratch) -> Taken {
    let root = scratch.path("tree");
    grow(&root);
    // Go's reader of tars takes an empty value for none.
    rustix::fs::lremovexattr(root.join("suid").to_str().unwrap(), "user.empty").unwrap();
    let file = scratch.path("saved").display().to_string();
    fs::write(&file, tar(&root, &["--format=pax"])).unwrap();
    scratch.text(&["import", "-c", "CMD [\"x\"]", &file, "x.io/taken:1"]);
    fs::remove_file(&file).unwrap();
    scratch.text(&["save", "-o", &file, "x.io/taken:1"]);
    let show = |format: &str| scratch.text(&["inspect", "-f", format, "x.io/taken:1"]).trim().to_string();
    let tree = see(&root);
    Taken { file, id: show("{{.Id}}"), layers: show("{{json .RootFS.Layers}}"), tree }
}

/// Without the root: what it is, is left to whoever unpacks.
fn below_root(mut tree: Tree) -> Tree {
    tree.remove(Path::new("")).unwrap();
    tree
}

fn path_in(scratch: &Scratch, name: &str) -> String {
    scratch.path(name).display().to_string()
}

#[test]
fn skopeo_takes_it_as_a_docker_archive_and_as_an_oci_archive() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let image = taken(&scratch);
    let copy = |from: &str, to: &str| said(Command::new("skopeo").args(["copy", "-q", from, to]));
    let (layout, directory) = (path_in(&scratch, "layout"), path_in(&scratch, "dir"));
    for source in ["", ":1"] {
        copy(&format!("oci-archive:{}{source}", image.file), &format!("oci:{layout}:copied{}", source.len()));
        let expected = (image.id.clone(), image.layers.clone());
        assert_eq!(of_config(&format!("oci:{layout}:copied{}", source.len())), expected);
    }
    loads(&scratch, "layout", &image.id, &image.layers);
    // A directory keeps a docker-archive's documents and layers as they are.
    for source in ["", ":x.io/taken:1"] {
        copy(&format!("docker-archive:{}{source}", image.file), &format!("dir:{directory}"));
        let manifest = fs::read(scratch.path("dir/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["config"]["digest"], image.id.as_str());
        assert_eq!(format!("[{}]", manifest["layers"][0]["digest"]), image.layers);
        fs::remove_dir_all(scratch.path("dir")).unwrap();
    }
    let tags = said(Command::new("skopeo").args(["list-tags", &format!("docker-archive:{}", image.file)]));
    assert!(tags.contains("\"x.io/taken:1\""), "{tags}");
}

#[test]
fn umoci_unpacks_it_to_the_same_tree() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let image = taken(&scratch);
    let script = "mkdir layout; tar -C layout -xf saved; umoci ls --layout layout; umoci unpack --image layout:1 bundle";
    let tags = said(Command::new("sh").args(["-ec", script]).current_dir(scratch.path("")));
    assert_eq!(tags, "1");
    assert_same("umoci", &see(&scratch.path("bundle/rootfs")), &image.tree);
}

#[test]
fn podman_loads_it_in_every_form_and_mounts_the_same_tree() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let image = taken(&scratch);
    let podman_says = |words: &[&str]| said(podman(&scratch, "podman").args(words));
    for form in ["both", "oci", "docker"] {
        let file = path_in(&scratch, form);
        match form {
            "both" => drop(fs::hard_link(&image.file, &file)),
            form => drop(scratch.text(&["save", "--format", form, "-o", &file, "x.io/taken:1"])),
        }
        let loaded = podman_says(&["load", "-q", "-i", &file]);
        assert!(loaded.ends_with("x.io/taken:1") || form == "oci", "{loaded}");
        let shown =
            podman_says(&["image", "inspect", "-f", "sha256:{{.Id}} {{json .RootFS.Layers}}", &image.id]);
        assert_eq!(shown, format!("{} {}", image.id, image.layers), "{form}");
        if form == "both" {
            let mounted = podman_says(&["image", "mount", &image.id]);
            assert_same("podman", &below_root(see(Path::new(&mounted))), &below_root(image.tree.clone()));
            podman_says(&["image", "umount", &image.id]);
        }
        podman_says(&["rmi", "-f", &image.id]);
    }
}

#[test]
fn docker_loads_it_and_makes_the_same_tree() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let image = taken(&scratch);
    let docker = Dockerd::start(&scratch);
    for form in ["both", "docker"] {
        let file = path_in(&scratch, form);
        match form {
            "both" => drop(fs::hard_link(&image.file, &file)),
            form => drop(scratch.text(&["save", "--format", form, "-o", &file, "x.io/taken:1"])),
        }
        assert_eq!(docker.say(&["load", "-q", "-i", &file]), "Loaded image: x.io/taken:1");
        let format = "{{.Id}} {{json .RootFS.Layers}}";
        let shown = docker.say(&["inspect", "-f", format, "x.io/taken:1"]);
        assert_eq!(shown, format!("{} {}", image.id, image.layers), "{form}");
        let driver = docker.say(&["inspect", "-f", "{{json .GraphDriver.Data}}", "x.io/taken:1"]);
        let driver: serde_json::Value = serde_json::from_str(&driver).unwrap();
        if let Some(upper) = driver["UpperDir"].as_str() {
            assert_same("docker", &below_root(see(Path::new(upper))), &below_root(image.tree.clone()));
        }
        docker.say(&["rmi", "x.io/taken:1"]);
    }
    // And back, by Docker's own archive.
    docker.say(&["load", "-q", "-i", &image.file]);
    docker.say(&["save", "-o", &path_in(&scratch, "docker.tar"), "x.io/taken:1"]);
    scratch.text(&["rmi", "x.io/taken:1"]);
    loads(&scratch, "docker.tar", &image.id, &image.layers);
}

#[test]
fn layers_that_hide_others_come_out_as_they_went_in() {
    if !are_there() {
        return;
    }
    let scratch = Scratch::new();
    let lower = Tar::default()
        .entry(b'5', "d/", "", b"")
        .file("d/gone", "1")
        .file("d/kept", "2")
        .entry(b'5', "o/", "", b"")
        .file("o/hidden", "3")
        .end();
    let upper = Tar::default()
        .entry(b'5', "d/", "", b"")
        .file("d/.wh.gone", "")
        .file("o/.wh..wh..opq", "")
        .file("o/new", "4")
        .entry(b'1', "o/same", "o/new", b"")
        .end();
    let mut layout = Layout::default();
    let image = layout.image(&[(&lower, &lower), (&upper, &upper)]);
    load(&scratch, &layout.end(&[named(&image, "hides:1")]));
    scratch.text(&["save", "-o", &path_in(&scratch, "saved"), "hides:1"]);
    let script = "mkdir layout; tar -C layout -xf saved; umoci unpack --image layout:1 bundle; cd bundle/rootfs; find | sort";
    let found = said(Command::new("sh").args(["-ec", script]).current_dir(scratch.path("")));
    assert_eq!(found.lines().collect::<Vec<_>>(), [".", "./d", "./d/kept", "./o", "./o/new", "./o/same"]);
    let podman_says = |words: &[&str]| said(podman(&scratch, "podman").args(words));
    podman_says(&["load", "-q", "-i", &path_in(&scratch, "saved")]);
    let mounted = PathBuf::from(podman_says(&["image", "mount", "hides:1"]));
    let unpacked = see(&scratch.path("bundle/rootfs"));
    assert!(see(&mounted).keys().eq(unpacked.keys()));
    podman_says(&["image", "umount", "hides:1"]);
}

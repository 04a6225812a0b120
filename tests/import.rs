//! `skiff import` against GNU tar on a real file system: what tar packs and unpacks, skiff unpacks to the same tree. And
//! what happens when something goes wrong in the middle.

mod support;

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use support::{
    Scratch,
    tree::{assert_same, grow, is_root, see, tar},
};

fn import(scratch: &Scratch, archive: &[u8], name: &str) -> String {
    let output = scratch.with_input(&["import", "-", name], archive);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn layers(scratch: &Scratch) -> Vec<PathBuf> {
    let Ok(all) = fs::read_dir(scratch.path("data/layers")) else { return Vec::new() };
    all.map(|entry| entry.unwrap().path()).collect()
}

/// What is on the shelves that should be empty after a failure.
fn assert_nothing_is_left(scratch: &Scratch) {
    assert_eq!(layers(scratch), Vec::<PathBuf>::new());
    for shelf in ["tmp", "images", "names", "blobs/sha256"] {
        let left = fs::read_dir(scratch.path("data").join(shelf)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{shelf}");
    }
}

fn failed(output: &Output, words: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(words), "{error}");
}

#[test]
fn a_tree_is_the_same_as_tar_makes_it_in_every_format() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    grow(&tree);
    for (name, options) in
        [("pax", &["--format=pax"][..]), ("gnu", &["--format=gnu"]), ("zipped", &["--format=pax", "-z"])]
    {
        let archive = tar(&tree, options);
        import(&scratch, &archive, name);
        let unpacked = scratch.path(name);
        fs::create_dir(&unpacked).unwrap();
        let file = scratch.path("archive");
        fs::write(&file, &archive).unwrap();
        let mut command = Command::new("tar");
        command
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
            .arg(&file)
            .arg("-C")
            .arg(&unpacked);
        assert!(command.status().unwrap().success());
        let layer = layers(&scratch).pop().unwrap();
        assert_same(name, &see(&layer.join("tree")), &see(&unpacked));
        scratch.text(&["rmi", name]);
        assert_nothing_is_left(&scratch);
    }
}

#[test]
fn the_same_tar_is_the_same_layer_however_it_is_compressed_and_by_whomever_it_comes() {
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("f"), "content").unwrap();
    let plain = tar(&tree, &["--sort=name"]);
    let mut gzip =
        Command::new("gzip").arg("-n").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(&plain).unwrap();
    let zipped = gzip.wait_with_output().unwrap().stdout;
    std::thread::scope(|scope| {
        for (number, archive) in [&plain, &zipped, &plain, &zipped].into_iter().enumerate() {
            let scratch = &scratch;
            scope.spawn(move || import(scratch, archive, &format!("image:{number}")));
        }
    });
    assert_eq!(layers(&scratch).len(), 1);
    assert_eq!(scratch.text(&["images", "-q", "image"]).lines().count(), 4);
    assert_eq!(fs::read_dir(scratch.path("data/tmp")).unwrap().count(), 0);
    for number in 0..4 {
        scratch.text(&["rmi", &format!("image:{number}")]);
    }
    assert_nothing_is_left(&scratch);
}

#[test]
fn what_was_said_of_an_image_is_in_its_config() {
    let scratch = Scratch::new();
    let archive = scratch.path("empty.tar");
    fs::write(&archive, [0; 1024]).unwrap();
    let file = archive.to_str().unwrap();
    let changes = ["-c", "ENV A=1", "--change", r#"CMD ["sh"]"#, "-c", "EXPOSE 80"];
    let id = scratch.text(&[&["import"], &changes[..], &["-m", "made by hand", file, "said:1"]].concat());
    let format =
        "{{.Id}} {{json .Config.Env}} {{json .Config.Cmd}} {{.Comment}} {{json .RepoTags}} {{.Size}}";
    let shown = scratch.text(&["inspect", "-f", format, "said:1"]);
    assert_eq!(shown, format!("{} [\"A=1\"] [\"sh\"] made by hand [\"said:1\"] 0\n", id.trim()));
    let before = layers(&scratch);
    for (arguments, words) in [
        (&["import", "-c", "RUN x", file, "bad"][..], "RUN is not a valid change command"),
        (&["import", file, "Bad"], "must be lowercase"),
        (&["import", file, "host"], "stands for this machine's own root file system"),
        (&["import", "--platform", "windows", file, "bad"], "invalid platform"),
    ] {
        failed(&scratch.skiff(arguments).output().unwrap(), words);
    }
    assert_eq!(layers(&scratch), before);
    assert_eq!(scratch.text(&["images", "-q"]).lines().count(), 1);
}

#[test]
fn a_bad_archive_is_refused_in_one_line_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    grow(&tree);
    let plain = tar(&tree, &[]);
    let zipped = tar(&tree, &["-z"]);
    let mut damaged = plain.clone();
    damaged[1024] ^= 1;
    let mut flipped = zipped.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    for (archive, words) in [
        (&plain[..plain.len() / 2], "read tar at byte"),
        (&zipped[..zipped.len() / 2], "read gzip: truncated"),
        (&flipped, "read gzip:"),
        (&damaged, "read tar at byte"),
        (&b"this is no tar at all, but long enough to be taken for a header".repeat(20), "wrong"),
        (b"\x28\xb5\x2f\xfd0123456789", "read zstd: "),
    ] {
        failed(&scratch.with_input(&["import", "-", "bad"], archive), words);
        assert_nothing_is_left(&scratch);
    }
}

#[test]
fn a_killed_import_leaves_nothing_that_the_next_does_not_sweep() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    grow(&tree);
    let archive = scratch.path("archive");
    fs::write(&archive, tar(&tree, &[])).unwrap();
    let file = archive.to_str().unwrap();
    for number in 0..20_u64 {
        let mut child = scratch
            .skiff(&["import", file, "killed"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(1500 * number));
        let _ = child.kill();
        child.wait().unwrap();
    }
    // Whoever was at work notices that nobody wants it any more, sooner or later.
    let deadline = SystemTime::now() + Duration::from_secs(10);
    loop {
        scratch.text(&["import", file, "whole"]);
        let left = fs::read_dir(scratch.path("data/tmp")).unwrap().count();
        if left == 0 {
            break;
        }
        assert!(SystemTime::now() < deadline, "{left} left");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(layers(&scratch).len(), 1);
    let layer = layers(&scratch).pop().unwrap();
    assert_eq!(see(&layer.join("tree")).len(), see(&tree).len());
}

/// Runs a script in a mount namespace of its own, with `skiff` and the scratch directory in `$SKIFF` and `$DIR`.
fn in_own_mounts(scratch: &Scratch, script: &str) -> Output {
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-ec", script])
        .env("SKIFF", env!("CARGO_BIN_EXE_skiff"))
        .env("DIR", scratch.path(""));
    command
        .env("SKIFF_ROOT", scratch.path("data"))
        .env("SKIFF_RUN", scratch.path("run"))
        .env("SKIFF_NETWORK", "none")
        .env_remove("DOCKER_HOST");
    command.output().unwrap()
}

#[test]
fn a_whiteout_is_never_seen_even_where_nothing_lies_below() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    fs::create_dir_all(tree.join("d/e")).unwrap();
    for name in ["d/.wh.gone", "d/kept", "d/e/.wh.gone", "d/e/.wh..wh..opq", ".wh.gone"] {
        fs::write(tree.join(name), "").unwrap();
    }
    import(&scratch, &tar(&tree, &[]), "whiteouts");
    let layer = layers(&scratch).pop().unwrap();
    let output = in_own_mounts(
        &scratch,
        &format!(
            r#"cd "$DIR"; mkdir fs; mount -t tmpfs none fs; mkdir fs/u fs/w fs/m
               mount -t overlay -o lowerdir={}/tree,upperdir=fs/u,workdir=fs/w none fs/m
               cd fs/m; find . | sort; rm d/kept; mkdir d/gone; ls d"#,
            layer.display()
        ),
    );
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((text.as_ref(), error.as_ref()), (".\n./d\n./d/e\n./d/kept\ne\ngone\n", ""));
}

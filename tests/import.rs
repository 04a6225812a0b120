//! `skiff import` against GNU tar on a real file system: what tar packs and unpacks, skiff unpacks to the same tree. And
//! what happens when something goes wrong in the middle.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use support::Scratch;

/// Everything that can be seen of one node, but for its name and its number of links.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    changed: (i64, i64),
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path that is the same node.
    same_as: PathBuf,
}

fn see(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut nodes = BTreeMap::new();
    let mut all = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let mut content = Vec::new();
        if meta.is_dir() {
            let mut children: Vec<_> =
                fs::read_dir(&full).unwrap().map(|entry| path.join(entry.unwrap().file_name())).collect();
            children.sort();
            waiting.extend(children.into_iter().rev());
        } else if meta.is_symlink() {
            content = fs::read_link(&full).unwrap().into_os_string().into_encoded_bytes();
        } else if meta.is_file() {
            content = fs::read(&full).unwrap();
        }
        let same_as = nodes.entry(meta.ino()).or_insert_with(|| path.clone()).clone();
        let seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            device: if FileType::from_raw_mode(meta.mode()) == FileType::CharacterDevice {
                meta.rdev()
            } else {
                0
            },
            changed: (meta.mtime(), meta.mtime_nsec()),
            content,
            xattrs: xattrs(&full),
            same_as,
        };
        all.insert(path, seen);
    }
    all
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut names, mut value) = (vec![0; 4096], vec![0; 4096]);
    let count = rustix::fs::llistxattr(path.as_os_str().as_bytes(), names.as_mut_slice()).unwrap_or(0);
    let names = String::from_utf8(names[..count].to_vec()).unwrap();
    let names = names.split('\0').filter(|name| !name.is_empty());
    names
        .map(|name| {
            let count =
                rustix::fs::lgetxattr(path.as_os_str().as_bytes(), name, value.as_mut_slice()).unwrap();
            (name.to_string(), value[..count].to_vec())
        })
        .collect()
}

/// A tree with everything that a layer may have.
fn grow(root: &Path) {
    let directory = |path: &str, mode| {
        fs::create_dir_all(root.join(path)).unwrap();
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let long = "long-".repeat(40);
    fs::create_dir_all(root).unwrap();
    directory("", 0o751);
    directory("etc", 0o755);
    directory("sticky", 0o1777);
    directory("group", 0o2755);
    directory("closed", 0o000);
    directory(&format!("{long}/{long}/{long}"), 0o700);
    let names =
        ["plain", "with space", "new\nline", "-dash", "quote\"'\\", "\u{fc}n\u{ef}", ".hidden", "*?[", &long];
    for (number, name) in names.iter().enumerate() {
        let path = root.join("etc").join(name);
        fs::write(&path, "x".repeat(number * 700)).unwrap();
        let uid = [0, 1, 1000, 65534, 100_000][number % 5];
        std::os::unix::fs::chown(&path, Some(uid), Some(uid + 1)).unwrap();
    }
    fs::write(root.join(format!("{long}/{long}/{long}/{long}")), "deep").unwrap();
    fs::write(root.join("large"), (0..3_000_000_u32).map(|n| (n >> 4) as u8).collect::<Vec<_>>()).unwrap();
    fs::write(root.join("suid"), "#!").unwrap();
    fs::set_permissions(root.join("suid"), fs::Permissions::from_mode(0o6755)).unwrap();
    symlink("/etc/plain", root.join("absolute")).unwrap();
    symlink("../../../..", root.join("etc/climbing")).unwrap();
    symlink(&long, root.join("dangling")).unwrap();
    fs::hard_link(root.join("large"), root.join("etc/same")).unwrap();
    fs::hard_link(root.join("absolute"), root.join("same-link")).unwrap();
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(
            CWD,
            root.join(name).as_os_str().as_bytes(),
            kind,
            Mode::from_raw_mode(0o640),
            device,
        )
        .unwrap();
    };
    node("fifo", FileType::Fifo, 0);
    node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join(path).as_os_str().as_bytes(), name, value, XattrFlags::empty())
            .unwrap();
    };
    set("suid", "user.note", b"a\0b\n=");
    set("suid", "user.empty", b"");
    set("etc", "user.of-a-directory", b"1");
    let net_raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set("etc/plain", "security.capability", &net_raw);
    let when = |seconds, nanos| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    for (path, time) in
        [("etc/plain", when(0, 0)), ("suid", when(1_234_567_890, 123_456_789)), ("etc", when(5, 6))]
    {
        fs::File::open(root.join(path)).unwrap().set_modified(time).unwrap();
    }
}

fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
    }
    rustix::process::geteuid().is_root()
}

/// Packs a tree with GNU tar.
fn tar(root: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    let has_xattrs = !options.contains(&"--format=gnu");
    command.args(["--xattrs", "--xattrs-include=*"].iter().filter(|_| has_xattrs));
    command.arg("-C").arg(root).args(options).args(["-cf", "-", "."]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

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
        let (ours, theirs) = (see(&layer.join("tree")), see(&unpacked));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (path, seen) in &ours {
            assert!(seen == &theirs[path], "{name} {path:?}: {:.300?} {:.300?}", seen, theirs[path]);
        }
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
        .env_remove("DOCKER_HOST");
    command.output().unwrap()
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_plainly_and_the_store_stays_whole() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.path("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::create_dir_all(scratch.path("data")).unwrap();
    fs::write(tree.join("small"), vec![7; 100_000]).unwrap();
    fs::write(scratch.path("small.tar"), tar(&tree, &[])).unwrap();
    fs::write(tree.join("large"), vec![7; 30_000_000]).unwrap();
    fs::write(scratch.path("large.tar"), tar(&tree, &[])).unwrap();
    let output = in_own_mounts(
        &scratch,
        r#"mount -t tmpfs -o size=8m none "$SKIFF_ROOT"
           "$SKIFF" import "$DIR/small.tar" small >/dev/null
           "$SKIFF" import "$DIR/large.tar" large && exit 1
           ls "$SKIFF_ROOT/tmp" && "$SKIFF" images
           mount -o remount,ro "$SKIFF_ROOT"
           "$SKIFF" import "$DIR/small.tar" again && exit 1
           "$SKIFF" rmi small && exit 1
           "$SKIFF" images -q && echo end"#,
    );
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.ends_with("end\n"), "{text} {error}");
    assert!(text.contains("small") && !text.contains("large"), "{text}");
    assert!(error.contains("ENOSPC (no space left on device)"), "{error}");
    assert_eq!(error.matches("EROFS (read-only file system)").count(), 2, "{error}");
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

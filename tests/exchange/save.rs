//! `save`: what it writes, and that nothing wrong is ever written.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use super::{
    count, load,
    pack::{Layout, compressed, config, layer, named},
    support::{self, Scratch},
};
use serde_json::{Value, json};
use skiff_core::digest::Digest;

/// What `save` with these arguments writes to stdout.
pub fn saved(scratch: &Scratch, arguments: &[&str]) -> Vec<u8> {
    let output = scratch.skiff(&[&["save"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// GNU tar at the archive.
fn tar(scratch: &Scratch, archive: &[u8], arguments: &[&str]) -> Output {
    let file = scratch.path("looked-at");
    fs::write(&file, archive).unwrap();
    Command::new("tar").arg("-f").arg(&file).args(arguments).output().unwrap()
}

/// The names of an archive's files, without directories.
fn listed(scratch: &Scratch, archive: &[u8]) -> Vec<String> {
    let output = tar(scratch, archive, &["-t"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.ends_with('/')).map(Into::into).collect()
}

fn document(scratch: &Scratch, archive: &[u8], name: &str) -> Value {
    serde_json::from_slice(&tar(scratch, archive, &["-xO", name]).stdout).unwrap()
}

/// Bytes that no compression makes less of.
fn noise(count: usize) -> String {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 24) as u8 % 95)
    };
    (0..count).map(|_| byte()).collect()
}

/// Loads an image of these layers.
fn loaded(scratch: &Scratch, layers: &[Vec<u8>], name: &str) -> Digest {
    let mut layout = Layout::default();
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| compressed("gzip", layer)).collect();
    let both: Vec<(&[u8], &[u8])> =
        packed.iter().zip(layers).map(|(packed, plain)| (packed.as_slice(), plain.as_slice())).collect();
    let image = layout.image(&both);
    load(scratch, &layout.end(&[named(&image, name)]));
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    Digest::of(config(&ids).as_bytes())
}

/// The directory of a layer.
fn shelf(scratch: &Scratch, layer: &[u8]) -> PathBuf {
    scratch.path("data/layers").join(Digest::of(layer).hex().as_str())
}

fn names_in(directory: &Path) -> Vec<String> {
    let all = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn images_are_saved_by_tag_repository_and_id_and_what_they_share_once() {
    let scratch = Scratch::new();
    let layers = [layer("a", "1"), layer("b", "2"), layer("c", "3")];
    let one = loaded(&scratch, &layers[..2], "one:1");
    let two = loaded(&scratch, &[layers[0].clone(), layers[2].clone(), layers[0].clone()], "x.io/two");
    scratch.text(&["tag", "one:1", "one:2"]);
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex().as_str());
    let [a, b, c] = [0, 1, 2].map(|at: usize| blob(&Digest::of(&layers[at])));
    // By tag, by repository, by id; an image that is named twice is there once.
    let hex = two.hex();
    for (arguments, ones, twos) in [
        (&["one:1"][..], Some(json!(["one:1"])), None),
        (&["one"], Some(json!(["one:1", "one:2"])), None),
        (&["one:2", "one:1", one.hex().short()], Some(json!(["one:1", "one:2"])), None),
        (&[hex.short()], None, Some(json!(null))),
        (&[&two.to_string()], None, Some(json!(null))),
        (
            &["docker.io/library/one:1", hex.as_str(), "x.io/two"],
            Some(json!(["one:1"])),
            Some(json!(["x.io/two:latest"])),
        ),
    ] {
        let archive = saved(&scratch, arguments);
        let mut expected = Vec::new();
        if let Some(names) = &ones {
            expected.push(json!({"Config": blob(&one), "RepoTags": names, "Layers": [a, b]}));
        }
        if let Some(names) = &twos {
            expected.push(json!({"Config": blob(&two), "RepoTags": names, "Layers": [a, c, a]}));
        }
        assert_eq!(document(&scratch, &archive, "manifest.json"), Value::Array(expected), "{arguments:?}");
        let index = document(&scratch, &archive, "index.json");
        let named = |names: &Option<Value>| {
            names.as_ref().map_or(0, |names| names.as_array().map_or(1, |names| names.len()))
        };
        assert_eq!(index["manifests"].as_array().unwrap().len(), named(&ones) + named(&twos));
        let mut files = listed(&scratch, &archive);
        let all = files.len();
        files.sort();
        files.dedup();
        assert_eq!(files.len(), all, "{arguments:?}");
        assert!(
            files.contains(&a)
                && files.contains(&b) == ones.is_some()
                && files.contains(&c) == twos.is_some()
        );
        // What it says is what is there, and nothing else, to the byte.
        let other = Scratch::new();
        load(&other, &archive);
        assert_eq!(count(&other, "images"), usize::from(ones.is_some()) + usize::from(twos.is_some()));
        let again: Vec<&str> =
            if ones.is_some() && twos.is_some() { vec!["one", "x.io/two"] } else { arguments.to_vec() };
        assert!(saved(&other, &again) == archive, "{arguments:?}");
    }
    let both = saved(&scratch, &["one:1", "x.io/two"]);
    let file = scratch.path("out/archive");
    fs::create_dir(scratch.path("out")).unwrap();
    assert_eq!(
        scratch.text(&["image", "save", "-q", "--output", file.to_str().unwrap(), "one:1", "x.io/two"]),
        ""
    );
    assert!(fs::read(&file).unwrap() == both);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names_in(&scratch.path("out")), ["archive"]);
    let documents = ["oci-layout", "index.json", "manifest.json", "repositories"];
    for (format, expected) in
        [("oci", &documents[..2]), ("docker", &documents[2..]), ("docker-archive", &documents[2..])]
    {
        let archive = saved(&scratch, &["--format", format, "one"]);
        let mut files = listed(&scratch, &archive);
        files.retain(|name| !name.starts_with("blobs/"));
        assert_eq!(files, expected, "{format}");
        let other = Scratch::new();
        assert_eq!(load(&other, &archive), "Loaded image: one:1\nLoaded image: one:2\n");
    }
}

#[test]
fn what_can_not_be_saved_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    loaded(&scratch, &[layer("a", "1")], "one:1");
    for (arguments, words) in [
        (&["none"][..], "skiff: No such image: none\n"),
        (&["none:1"], "No such image: none:1"),
        (&["one:2"], "No such image: one:2"),
        (&["one:1", "ffffffffffff"], "No such image: ffffffffffff"),
        (&["Upper"], "repository name (library/Upper) must be lowercase"),
        (&["../x"], "invalid reference format"),
        (&["--format", "zip", "one:1"], "invalid format \"zip\": it is oci or docker"),
        (&["--platform", "linux/arm64", "one:1"], "an image here is for one platform"),
        (&["-o", "/none/x", "one:1"], "directory \"/none\" does not exist"),
        (&["-o", "/dev/null", "one:1"], "got a device"),
        (&["-o", scratch.path("data").to_str().unwrap(), "one:1"], "can't be written to a directory"),
    ] {
        let output = scratch.skiff(&[&["save"], arguments].concat()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(words) && output.stdout.is_empty(), "{arguments:?}: {error}");
    }
    scratch.fails(&["save"], 1, "'skiff save' requires at least 1 argument");
    // A file that is there stays as it is when the image is not.
    let file = scratch.path("kept");
    fs::write(&file, "kept").unwrap();
    scratch.fails(&["save", "-o", file.to_str().unwrap(), "none"], 1, "No such image: none");
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    let link = scratch.path("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    scratch.fails(&["save", "-o", link.to_str().unwrap(), "one:1"], 1, "can't be written to a symbolic link");
    let mut terminal = support::Terminal::new(24, 80);
    let mut child = terminal.spawn(scratch.skiff(&["save", "one:1"]));
    terminal.wait_for("save: the archive is not for a terminal");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_layer_that_has_changed_on_the_disk_is_never_saved_whole() {
    let scratch = Scratch::new();
    let layers = [layer("a", "1"), layer("b", &noise(700_000)), layer("c", &noise(3000))];
    loaded(&scratch, &layers, "one:1");
    let file = scratch.path("out/archive");
    fs::create_dir(scratch.path("out")).unwrap();
    let fails = |words: &str, begun: bool| {
        fs::write(&file, "kept").unwrap();
        scratch.fails(&["save", "-o", file.to_str().unwrap(), "one:1"], 1, words);
        assert_eq!(fs::read(&file).unwrap(), b"kept");
        assert_eq!(names_in(&scratch.path("out")), ["archive"]);
        let output = scratch.skiff(&["save", "one:1"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(words), "{error}");
        // Nothing comes before a layer that is wrong from its beginning.
        assert!(begun || output.stdout.is_empty(), "{words}");
        if !output.stdout.is_empty() {
            let listed = tar(&scratch, &output.stdout, &["-t"]);
            assert!(String::from_utf8_lossy(&listed.stderr).contains("Unexpected EOF"), "{listed:?}");
        }
    };
    for (name, layer) in ["a", "b", "c"].iter().zip(&layers) {
        let damaged = format!("layer {} is damaged", Digest::of(layer));
        let (directory, path) = (shelf(&scratch, layer), shelf(&scratch, layer).join("tree").join(name));
        let before = fs::read(&path).unwrap();
        let mut changed = before.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, &changed).unwrap();
        fails(&format!("{damaged}: its files are not what they were"), true);
        changed.push(0);
        fs::write(&path, &changed).unwrap();
        fails(&format!("{damaged}: read tree: {name}: it has another length"), true);
        fs::remove_file(&path).unwrap();
        fails(&format!("{damaged}: read tree: {name}: it is missing"), true);
        fs::write(&path, &before).unwrap();
        let skeleton = directory.join("skeleton");
        let whole = fs::read(&skeleton).unwrap();
        fs::write(&skeleton, &whole[..whole.len() - 9]).unwrap();
        fails(&damaged, true);
        fs::remove_file(&skeleton).unwrap();
        fails("did not keep its archive", false);
        fs::write(&skeleton, &whole).unwrap();
        // A length that is not the archive's.
        let facts = fs::read_to_string(directory.join("layer.json")).unwrap();
        for length in [layer.len() - 512, layer.len() + 512] {
            let lie =
                facts.replace(&format!("\"tar_bytes\":{}", layer.len()), &format!("\"tar_bytes\":{length}"));
            fs::write(directory.join("layer.json"), lie).unwrap();
            fails(&format!("{damaged}: its archive has another length"), true);
        }
        fs::write(directory.join("layer.json"), facts).unwrap();
        fs::rename(&directory, scratch.path("away")).unwrap();
        fails("is missing from the data root", false);
        fs::rename(scratch.path("away"), &directory).unwrap();
    }
    let other = Scratch::new();
    load(&other, &saved(&scratch, &["one:1"]));
}

#[test]
fn an_image_can_be_removed_while_it_is_saved() {
    let scratch = Scratch::new();
    let layers = [layer("a", &noise(5_000_000)), layer("b", &noise(5_000_000))];
    loaded(&scratch, &layers, "one:1");
    let archive = saved(&scratch, &["one:1"]);
    let mut child = scratch.skiff(&["save", "one:1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).unwrap();
    scratch.text(&["rmi", "one:1"]);
    assert_eq!(count(&scratch, "layers"), 0);
    assert!(!scratch.skiff(&["save", "one:1"]).output().unwrap().status.success());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!([&first[..], &rest].concat() == archive);
    assert_eq!(count(&scratch, "tmp"), 0);
}

#[test]
fn a_save_that_is_killed_leaves_nothing() {
    let scratch = Scratch::new();
    loaded(&scratch, &[layer("a", &noise(2_000_000))], "one:1");
    fs::create_dir(scratch.path("out")).unwrap();
    let file = scratch.path("out/archive");
    let whole = saved(&scratch, &["one:1"]).len() as u64;
    for number in 0..12_u64 {
        let mut child = scratch.skiff(&["save", "-o", file.to_str().unwrap(), "one:1"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(2500 * number));
        let _ = child.kill();
        child.wait().unwrap();
        match names_in(&scratch.path("out")).as_slice() {
            [] => {}
            [name] if name == "archive" => assert_eq!(fs::metadata(&file).unwrap().len(), whole),
            // Killed between its two names.
            [name] => assert_eq!(fs::metadata(scratch.path("out").join(name)).unwrap().len(), whole),
            more => panic!("{more:?}"),
        }
        for name in names_in(&scratch.path("out")) {
            fs::remove_file(scratch.path("out").join(name)).unwrap();
        }
    }
}

#[test]
fn a_daemon_gives_archives_by_both_routes_and_breaks_off_what_is_damaged() {
    let scratch = Scratch::new();
    let layers = [layer("a", "1"), layer("b", &noise(700_000))];
    loaded(&scratch, &layers, "x.io/one:1");
    let archive = saved(&scratch, &["x.io/one:1"]);
    let socket = scratch.path("sock");
    let host = format!("unix://{}", socket.display());
    let mut daemon = scratch.skiff(&["serve", "-H", &host]).spawn().unwrap();
    support::until("the daemon listens", &mut || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let ask = |target: &str, version: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        write!(stream, "GET {target} HTTP/{version}\r\nHost: d\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let body = answer.split_off(at);
        (String::from_utf8(answer).unwrap(), body)
    };
    for target in [
        "/images/get?names=x.io/one:1",
        "/v1.41/images/x.io/one:1/get",
        "/images/get?names=x.io%2Fone&names=x.io/one:1",
    ] {
        let (head, body) = ask(target, "1.0");
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("\r\nContent-Type: application/x-tar\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("\r\nX-Skiff-Archive-Size: {}\r\n", archive.len())), "{head}");
        assert!(body == archive, "{target}");
    }
    for (target, status, words) in [
        ("/images/none/get", 404, "No such image: none"),
        ("/images/get", 400, "names is missing"),
        ("/images/get?names=x.io/one&format=x", 400, "invalid format"),
        ("/images/get?names=x.io/one&platform=%7B%22os%22:%22linux%22%7D", 501, "one platform"),
        ("/images/get?names=%ff", 400, "not valid UTF-8"),
    ] {
        let (head, body) = ask(target, "1.1");
        let text = String::from_utf8_lossy(&body);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(words),
            "{target}: {head}{text}"
        );
    }
    let events = scratch.text(&["events", "--since", "1h", "--until", "0s", "--filter", "event=save"]);
    assert_eq!(events.matches("image save sha256:").count(), 4, "{events}");
    let path = shelf(&scratch, &layers[1]).join("tree/b");
    fs::write(&path, noise(700_000).replace('a', "b")).unwrap();
    let (head, body) = ask("/images/get?names=x.io/one", "1.1");
    assert!(head.starts_with("HTTP/1.1 200") && body.len() > 1000 && !body.ends_with(b"0\r\n\r\n"));
    scratch.fails(
        &["-H", &host, "save", "-o", scratch.path("none").to_str().unwrap(), "x.io/one"],
        1,
        "is damaged",
    );
    assert!(!scratch.path("none").exists());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn what_takes_its_time_shows_a_bar_beside_the_archive() {
    let scratch = Scratch::new();
    loaded(&scratch, &[layer("a", &noise(4_000_000))], "one:1");
    let archive = saved(&scratch, &["one:1"]);
    let pipe = scratch.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe.to_str().unwrap(), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    for (flags, is_shown) in [(&[][..], true), (&["-q"], false)] {
        let terminal = support::Terminal::new(24, 200);
        let mut shell = Command::new("sh");
        let skiff = scratch.skiff(&[&["save"], flags, &["one:1"]].concat());
        shell.args(["-c", "exec \"$0\" \"$@\" > pipe; "]).arg(skiff.get_program()).args(skiff.get_args());
        shell
            .current_dir(scratch.path(""))
            .envs(skiff.get_envs().filter_map(|(key, value)| Some((key, value?))));
        for (key, _) in skiff.get_envs().filter(|(_, value)| value.is_none()) {
            shell.env_remove(key);
        }
        let mut child = terminal.spawn(shell);
        let mut from = fs::File::open(&pipe).unwrap();
        let (mut all, mut part) = (Vec::new(), vec![0; 200_000]);
        std::thread::sleep(Duration::from_millis(1100));
        loop {
            let count = from.read(&mut part).unwrap();
            all.extend_from_slice(&part[..count]);
            if count == 0 {
                break;
            }
        }
        assert!(child.wait().unwrap().success() && all == archive);
        let shown = terminal.rest();
        assert_eq!((shown.contains("archive: ["), shown.is_empty()), (is_shown, !is_shown), "{shown}");
    }
}

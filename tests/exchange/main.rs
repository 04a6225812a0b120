//! Images that come from other engines, and archives that were made by hand: as they should be, and as nobody should.

mod hostile;
mod large;
mod pack;
mod save;
#[path = "../support/mod.rs"]
mod support;
mod taken;
mod tools;

use std::{
    fs,
    io::{Read, Write},
    process::Stdio,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use pack::{Layout, Tar, compressed, config, docker, index, layer, named};
use skiff_core::digest::Digest;
use support::Scratch;

/// What `load` of this archive says.
fn load(scratch: &Scratch, archive: &[u8]) -> String {
    let output = scratch.with_input(&["load"], archive);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn count(scratch: &Scratch, shelf: &str) -> usize {
    fs::read_dir(scratch.path("data").join(shelf)).map_or(0, Iterator::count)
}

/// What is on the shelves that should be empty after a failure.
fn assert_nothing_is_left(scratch: &Scratch, case: &str) {
    for shelf in ["layers", "tmp", "images", "names", "blobs/sha256"] {
        assert_eq!(count(scratch, shelf), 0, "{case}: {shelf}");
    }
}

#[test]
fn an_old_archive_with_links_and_compressed_layers_is_loaded_in_any_order() {
    let scratch = Scratch::new();
    let (a, b) = (layer("a", "1"), layer("b", "2"));
    let config = config(&[Digest::of(&a), Digest::of(&b), Digest::of(&a)]);
    let layers = r#"["x/layer.tar","./y/layer.tar","z/layer.tar"]"#;
    let archive = Tar::default()
        .file("./manifest.json", docker("config.json", r#"["r/a:1","b"]"#, layers))
        .entry(b'5', "z/", "", b"")
        .entry(b'2', "z/layer.tar", "../x/layer.tar", b"")
        .file("y/layer.tar", compressed("zstd", &b))
        .file("x/layer.tar", compressed("gzip", &a))
        .file("config.json", &config);
    assert_eq!(load(&scratch, &archive.clone().end()), "Loaded image: r/a:1\nLoaded image: b:latest\n");
    let id = scratch.text(&["inspect", "-f", "{{.Id}} {{len .RootFS.Layers}}", "b"]);
    // The config is kept to the byte.
    assert_eq!(id, format!("{} 3\n", Digest::of(config.as_bytes())));
    assert_eq!((count(&scratch, "layers"), count(&scratch, "tmp")), (2, 0));
    let file = scratch.path("archive.tar.gz");
    fs::write(&file, compressed("gzip", &archive.end())).unwrap();
    scratch.text(&["rmi", "b", "r/a:1"]);
    scratch.text(&["load", "-q", "-i", file.to_str().unwrap()]);
    assert_eq!(scratch.text(&["images", "-q", "--no-trunc"]).lines().collect::<Vec<_>>().len(), 2);
}

#[test]
fn a_layout_is_loaded_as_tar_and_as_directory_and_its_index_chooses_the_machine() {
    let scratch = Scratch::new();
    let (a, b) = (layer("a", "1"), layer("b", "2"));
    let mut layout = Layout::default();
    let other = layout.image(&[(&b, &b)]) + r#","platform":{"os":"linux","architecture":"mips"}}"#;
    let attestation = layout.blob(b"{}") + r#","platform":{"os":"unknown","architecture":"unknown"}}"#;
    let here = layout.image(&[(&compressed("gzip", &a), &a)]);
    let platform = skiff_core::image::config::ARCHITECTURE;
    let here_for = format!("{here},\"platform\":{{\"os\":\"linux\",\"architecture\":\"{platform}\"}}}}");
    let inner = layout.blob(index(&[other.clone(), attestation, here_for]).as_bytes());
    let tops = [named(&inner, "inner:1"), named(&here, "latest"), named(&here, "direct:2")];
    assert_eq!(load(&scratch, &layout.clone().end(&tops)), "Loaded image: inner:1\nLoaded image: direct:2\n");
    assert_eq!(count(&scratch, "layers"), 1);
    scratch.text(&["rmi", "inner:1", "direct:2"]);
    let directory = scratch.path("layout");
    for (name, content) in layout.clone().files(&tops[1..2]) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let said = scratch.text(&["load", "-i", directory.to_str().unwrap()]);
    let id = Digest::of(config(&[Digest::of(&a)]).as_bytes());
    assert_eq!(said, format!("Loaded image ID: {id}\n"));
    let alone = layout.blob(index(&[other]).as_bytes());
    let output = scratch.with_input(&["load"], &layout.end(&[named(&alone, "x:1")]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains(&format!("no image for linux/{platform} in the index: it has linux/mips")),
        "{error}"
    );
}

#[test]
fn an_image_that_only_the_docker_manifest_names_has_that_name() {
    let scratch = Scratch::new();
    let layer = Tar::default().file("a", "1").end();
    let mut layout = Layout::default();
    let manifest = layout.image(&[(&layer, &layer)]) + "}";
    let config = Digest::of(config(&[Digest::of(&layer)]).as_bytes());
    let path = format!("blobs/sha256/{}", config.hex().as_str());
    let tar = layout
        .files(&[manifest])
        .into_iter()
        .fold(Tar::default(), |tar, (name, content)| tar.file(&name, content));
    let saved =
        docker(&path, "[\"both:1\"]", &format!("[\"blobs/sha256/{}\"]", Digest::of(&layer).hex().as_str()));
    let archive = tar.file("manifest.json", saved).end();
    std::fs::write(scratch.path("both.tar"), archive).unwrap();
    scratch.text(&["load", "-i", scratch.path("both.tar").to_str().unwrap()]);
    assert_eq!(scratch.text(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "both:1\n");
}

#[test]
fn a_name_that_moves_to_another_image_is_told() {
    let scratch = Scratch::new();
    let archive = |content| {
        let (a, mut layout) = (layer("a", content), Layout::default());
        let image = layout.image(&[(&a, &a)]);
        layout.end(&[named(&image, "moved:1")])
    };
    load(&scratch, &archive("1"));
    let first = scratch.text(&["inspect", "-f", "{{.Id}}", "moved:1"]);
    let said = load(&scratch, &archive("2"));
    let first = first.trim();
    assert_eq!(
        said,
        format!(
            "The image moved:1 already exists, renaming the old one with ID {first} to empty string\n\
             Loaded image: moved:1\n"
        )
    );
    scratch.text(&["inspect", first]);
}

#[test]
fn an_image_of_before_1_10_is_loaded() {
    let scratch = Scratch::new();
    let (low, top) = ("1".repeat(64), "2".repeat(64));
    let (a, b) = (layer("a", "1"), layer("b", "2"));
    let said = |id: &str, parent: &str, command: &str| {
        format!(
            r#"{{"id":"{id}",{parent}"created":"2014-01-01T00:00:00Z","container_config":{{"Cmd":["/bin/sh","-c","{command}"]}},
                "config":{{"Cmd":["run"]}},"architecture":"amd64","os":"linux","Size":3}}"#
        )
    };
    let archive = Tar::default()
        .file("repositories", format!(r#"{{"old/image":{{"1":"{top}"}}}}"#))
        .file(&format!("{top}/json"), said(&top, &format!(r#""parent":"{low}","#), "second"))
        .file(&format!("{top}/VERSION"), "1.0")
        .file(&format!("{top}/layer.tar"), &b)
        .file(&format!("{low}/json"), said(&low, "", "first"))
        .file(&format!("{low}/layer.tar"), &a);
    assert_eq!(load(&scratch, &archive.end()), "Loaded image: old/image:1\n");
    let format = "{{json .Config.Cmd}} {{json .RootFS.Layers}} {{.Created}}";
    assert_eq!(
        scratch.text(&["inspect", "-f", format, "old/image:1"]),
        format!("[\"run\"] [\"{}\",\"{}\"] 2014-01-01T00:00:00Z\n", Digest::of(&a), Digest::of(&b))
    );
    let history = scratch.text(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "old/image:1"]);
    assert_eq!(history, "/bin/sh -c second\n/bin/sh -c first\n");
}

#[test]
fn an_image_has_up_to_127_layers() {
    let scratch = Scratch::new();
    let archive = |count: usize| {
        let plain: Vec<Vec<u8>> = (0..count).map(|n| layer(&format!("f{n}"), &n.to_string())).collect();
        let layers: Vec<(&[u8], &[u8])> = plain.iter().map(|layer| (&layer[..], &layer[..])).collect();
        let mut layout = Layout::default();
        let image = layout.image(&layers);
        layout.end(&[named(&image, "many:1")])
    };
    let output = scratch.with_input(&["load"], &archive(128));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than 127 layers"));
    assert_nothing_is_left(&scratch, "128 layers");
    assert_eq!(load(&scratch, &archive(127)), "Loaded image: many:1\n");
    assert_eq!(count(&scratch, "layers"), 127);
}

#[test]
fn a_killed_load_leaves_nothing_that_the_next_does_not_sweep() {
    let scratch = Scratch::new();
    let content: String = (0..20_000_u32).map(|n| format!("{n:x}")).collect();
    let plain: Vec<Vec<u8>> = (0..6).map(|n| layer(&format!("f{n}"), &content[n..])).collect();
    let layers: Vec<(&[u8], &[u8])> = plain.iter().map(|layer| (&layer[..], &layer[..])).collect();
    let mut layout = Layout::default();
    let image = layout.image(&layers);
    let file = scratch.path("archive");
    fs::write(&file, layout.end(&[named(&image, "whole:1")])).unwrap();
    let file = file.to_str().unwrap();
    for number in 0..20_u64 {
        let mut child =
            scratch.skiff(&["load", "-i", file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(1500 * number));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let deadline = SystemTime::now() + Duration::from_secs(10);
    loop {
        scratch.text(&["load", "-i", file]);
        let left = count(&scratch, "tmp");
        if left == 0 {
            break;
        }
        assert!(SystemTime::now() < deadline, "{left} left");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((count(&scratch, "layers"), count(&scratch, "images")), (6, 1));
}

#[test]
fn a_daemon_gets_files_and_directories_through_its_socket() {
    let scratch = Scratch::new();
    let (a, mut layout) = (layer("a", "1"), Layout::default());
    let image = layout.image(&[(&compressed("zstd", &a), &a)]);
    let tops = [named(&image, "sent:1")];
    let (file, directory) = (scratch.path("archive"), scratch.path("layout"));
    fs::write(&file, layout.clone().end(&tops)).unwrap();
    for (name, content) in layout.files(&tops) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let socket = scratch.path("sock");
    let host = format!("unix://{}", socket.display());
    let mut daemon = scratch.skiff(&["serve", "-H", &host]).spawn().unwrap();
    support::until("the daemon listens", &mut || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    for path in [&file, &directory] {
        let said = scratch.text(&["-H", &host, "load", "-i", path.to_str().unwrap()]);
        assert_eq!(said, "Loaded image: sent:1\n");
        scratch.text(&["-H", &host, "rmi", "sent:1"]);
        assert_nothing_is_left(&scratch, "sent");
    }
    scratch.fails(&["-H", &host, "load", "-i", "/nonexistent"], 1, "open /nonexistent: ENOENT");
    // What takes its time shows a bar on a terminal: zeros behind the end go on until it is seen.
    let (pipe, archive) = (scratch.path("pipe"), fs::read(&file).unwrap());
    rustix::fs::mknodat(rustix::fs::CWD, pipe.to_str().unwrap(), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let mut terminal = support::Terminal::new(24, 200);
    let mut client = terminal.spawn(scratch.skiff(&["-H", &host, "load", "-i", pipe.to_str().unwrap()]));
    let seen = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut to = fs::File::create(&pipe).unwrap();
            to.write_all(&archive).unwrap();
            while !seen.load(Ordering::Relaxed) {
                to.write_all(&[0; 512]).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        terminal.wait_for("pipe: [");
        seen.store(true, Ordering::Relaxed);
        terminal.wait_for("Loaded image: sent:1");
    });
    assert!(client.wait().unwrap().success());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn the_progress_of_a_layer_ends_with_all_of_it() {
    let scratch = Scratch::new();
    let plain = layer("large", &"0123456789abcdef".repeat(100_000));
    let mut layout = Layout::default();
    let image = layout.image(&[(&plain, &plain)]);
    let file = scratch.path("archive");
    fs::write(&file, layout.end(&[named(&image, "told:1")])).unwrap();
    let socket = scratch.path("sock");
    let host = format!("unix://{}", socket.display());
    let mut daemon = scratch.skiff(&["serve", "-H", &host]).spawn().unwrap();
    support::until("the daemon listens", &mut || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let body = fs::read(&file).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let head = format!("POST /images/load HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let lines: Vec<serde_json::Value> =
        answer.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (last, steps) = lines.split_last().unwrap();
    assert_eq!(last["stream"], "Loaded image: told:1\n");
    let far: Vec<u64> =
        steps.iter().map(|step| step["progressDetail"]["current"].as_u64().unwrap()).collect();
    assert!(far.is_sorted() && far.last() == Some(&(plain.len() as u64)), "{far:?}");
    let short = Digest::of(&plain).hex().short().to_string();
    assert!(steps.iter().all(|step| step["id"] == short.as_str() && step["status"] == "Loading layer"));
}

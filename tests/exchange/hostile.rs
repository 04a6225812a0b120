//! Archives that want to do harm or are damaged: each gets one message and leaves nothing.

use skiff_core::digest::Digest;

use super::{
    assert_nothing_is_left,
    pack::{Layout, Tar, compressed, config, docker, index, layer, manifest, named},
    support::Scratch,
};

/// Loads an archive from stdin and from a file; both have to fail with these words, in one line and a hint at most.
fn refused(scratch: &Scratch, case: &str, archive: &[u8], words: &str) {
    let file = scratch.path("archive");
    std::fs::write(&file, archive).unwrap();
    let outputs = [
        scratch.with_input_that_may_break(&["load"], archive),
        scratch.skiff(&["load", "-i", file.to_str().unwrap()]).output().unwrap(),
    ];
    for output in outputs {
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{case}: {error}");
        assert!(error.contains(words), "{case}: {error}");
        assert!(error.lines().count() <= 2 && output.stdout.is_empty(), "{case}: {error}");
        assert_nothing_is_left(scratch, case);
    }
}

/// A docker-archive with one layer and this manifest.
fn docker_archive(manifest: String) -> Tar {
    let plain = layer("a", "1");
    Tar::default()
        .file("manifest.json", manifest)
        .file("config.json", config(&[Digest::of(&plain)]))
        .file("layer.tar", plain)
}

#[test]
fn docker_archives_that_lie_are_refused() {
    let scratch = Scratch::new();
    let one = r#"["layer.tar"]"#;
    let names = r#"["a:1"]"#;
    let good = || docker_archive(docker("config.json", names, one));
    let with_config = |text: String| {
        Tar::default()
            .file("manifest.json", docker("config.json", names, one))
            .file("config.json", text)
            .file("layer.tar", layer("a", "1"))
            .end()
    };
    let id = Digest::of(&layer("a", "1"));
    let linked = |kind, target: &str| {
        docker_archive(docker("config.json", names, r#"["l/layer.tar"]"#))
            .entry(kind, "l/layer.tar", target, b"")
            .end()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("another DiffID", with_config(config(&[Digest::of(b"x")])), "the config says sha256:"),
        ("a layer too few", with_config(config(&[id, id])), "the config names 2 layers, the manifest 1"),
        ("a layer too many", with_config(config(&[])), "the config names 0 layers, the manifest 1"),
        (
            "a DiffID that is a path",
            with_config(config(&[id]).replace("sha256:", "sha256:../")),
            "read image config",
        ),
        ("no rootfs", with_config("{}".into()), "the config names 0 layers"),
        ("a config for windows", with_config(config(&[id]).replace("linux", "windows")), "made for windows"),
        ("a config that is no JSON", with_config("x".into()), "read image config"),
        ("a deep config", with_config(format!("{{\"x\":{}", "[".repeat(10_000))), "nested more than 64 deep"),
        ("a large config", with_config(format!("{{\"x\":\"{}\"}}", "x".repeat(5 << 20))), "too large"),
        ("a config outside", docker_archive(docker("../../etc/passwd", names, one)).end(), "name with .."),
        (
            "an absolute layer",
            docker_archive(docker("config.json", names, r#"["/etc/passwd"]"#)).end(),
            "is missing",
        ),
        ("a missing config", docker_archive(docker("none.json", names, one)).end(), "none.json is missing"),
        ("a link out", linked(b'2', "../../../../etc/passwd"), "a link that leads out"),
        ("an absolute link", linked(b'2', "/etc/passwd"), "a link that leads out"),
        ("a link to itself", linked(b'2', "layer.tar"), "too many links"),
        ("a link to nothing", linked(b'2', "../none"), "is missing"),
        ("a hard link out", linked(b'1', "../../etc/passwd"), "name with .."),
        ("a device", good().entry(b'3', "device", "", b"").end(), "neither file, directory nor link"),
        ("an entry outside", good().file("../evil", "x").end(), "name with .."),
        ("a second manifest", good().file("./manifest.json", "[]").end(), "two files of one name"),
        ("no images", docker_archive("[]".into()).end(), "there is no image in it"),
        (
            "no documents",
            Tar::default().file("etc/passwd", "x").end(),
            "it has neither index.json, manifest.json nor",
        ),
        ("nothing at all", Vec::new(), "it has neither index.json, manifest.json nor"),
        (
            "a reserved name",
            docker_archive(docker("config.json", r#"["host"]"#, one)).end(),
            "invalid image name",
        ),
        (
            "a name that climbs",
            docker_archive(docker("config.json", r#"["../x"]"#, one)).end(),
            "invalid reference",
        ),
        (
            "a hostile layer",
            {
                let evil = layer("../../evil", "1");
                Tar::default()
                    .file("manifest.json", docker("config.json", names, one))
                    .file("config.json", config(&[Digest::of(&evil)]))
                    .file("layer.tar", evil)
                    .end()
            },
            "name with ..",
        ),
        (
            "a blob that lies",
            {
                let path = format!("blobs/sha256/{}", Digest::of(b"x").hex().as_str());
                let plain = layer("a", "1");
                Tar::default()
                    .file("manifest.json", docker("config.json", names, &format!("[\"{path}\"]")))
                    .file("config.json", config(&[Digest::of(&plain)]))
                    .file(&path, plain)
                    .end()
            },
            "is not what its name says",
        ),
        ("truncated", good().end()[..2500].to_vec(), "truncated"),
        (
            "truncated gzip",
            {
                let all = compressed("gzip", &good().end());
                all[..all.len() / 2].to_vec()
            },
            "read gzip",
        ),
        (
            "truncated zstd",
            {
                let all = compressed("zstd", &good().end());
                all[..all.len() / 2].to_vec()
            },
            "read zstd",
        ),
        ("xz", compressed("xz", &good().end()), "xz is not supported"),
    ];
    for (case, archive, words) in cases {
        refused(&scratch, case, &archive, words);
    }
}

#[test]
fn old_archives_that_lie_are_refused() {
    let scratch = Scratch::new();
    let id = "1".repeat(64);
    let top = |id: &str| format!(r#"{{"a":{{"1":"{id}"}}}}"#);
    let with = |json: &str| {
        Tar::default()
            .file("repositories", top(&id))
            .file(&format!("{id}/json"), json)
            .file(&format!("{id}/layer.tar"), layer("a", "1"))
            .end()
    };
    for (case, archive, words) in [
        ("a path", Tar::default().file("repositories", top("../../x")).end(), "not 64 hexadecimal digits"),
        ("a missing layer", Tar::default().file("repositories", top(&id)).end(), "layer.tar is missing"),
        ("a circle", with(&format!(r#"{{"parent":"{id}"}}"#)), "a circle of them"),
        ("a parent that is a path", with(r#"{"parent":"../x"}"#), "not 64 hexadecimal digits"),
        ("no object", with("[]"), "not JSON of this kind"),
        ("another system", with(r#"{"os":"windows"}"#), "made for windows"),
    ] {
        refused(&scratch, case, &archive, words);
    }
}

#[test]
fn layouts_that_lie_are_refused() {
    let scratch = Scratch::new();
    let plain = layer("a", "1");
    let packed = compressed("gzip", &plain);
    let good = || {
        let mut layout = Layout::default();
        let image = layout.image(&[(&packed, &plain)]);
        (layout, image)
    };
    let with_index = |change: &dyn Fn(String) -> String| {
        let (layout, image) = good();
        layout.end(&[change(named(&image, "a:1"))])
    };
    // A manifest of these descriptors, wrong in one place.
    let with_manifest = |change: &dyn Fn(String) -> String| {
        let mut layout = Layout::default();
        let settings = layout.blob(config(&[Digest::of(&plain)]).as_bytes()) + "}";
        let only = layout.blob(&packed) + "}";
        let text = change(manifest(&settings, &[only]));
        let image = layout.blob(text.as_bytes());
        layout.end(&[named(&image, "a:1")])
    };
    let size = format!("\"size\":{}", packed.len());
    let mut damaged = packed.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let swapped = |content: &[u8]| {
        let (layout, image) = good();
        let wanted = format!("blobs/sha256/{}", Digest::of(&packed).hex().as_str());
        let files = layout.files(&[named(&image, "a:1")]);
        let tar = files.into_iter().fold(Tar::default(), |tar, (name, bytes)| {
            if name == wanted { tar.file(&name, content) } else { tar.file(&name, bytes) }
        });
        tar.end()
    };
    // The same plain bytes in other clothes of the same length.
    let mut renamed = packed.clone();
    renamed[9] ^= 1;
    let nested = {
        let (mut layout, image) = good();
        let top = (0..8).fold(image, |inner, _| layout.blob(index(&[inner + "}"]).as_bytes()));
        layout.end(&[named(&top, "a:1")])
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a digest that is a path",
            with_index(&|text| text.replace("sha256:", "sha256:../../")),
            "invalid digest",
        ),
        (
            "another algorithm",
            with_index(&|text| text.replace("sha256:", "md5:")),
            "only sha256 is supported",
        ),
        (
            "a wrong size of the manifest",
            with_index(&|text| text.replace("\"size\":", "\"size\":1")),
            "is not what its name says",
        ),
        (
            "a wrong size of the layer",
            with_manifest(&|text| text.replace(&size, "\"size\":1")),
            "not the size that is told",
        ),
        ("a negative size", with_manifest(&|text| text.replace(&size, "\"size\":-1")), "read manifest"),
        (
            "manifests and layers",
            with_manifest(&|text| text.replacen('{', "{\"manifests\":[],", 1)),
            "it has manifests and layers",
        ),
        (
            "another media type",
            with_manifest(&|text| {
                text.replacen('{', "{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",", 1)
            }),
            "not what its media type says",
        ),
        (
            "layers too many",
            with_manifest(&|text| {
                let at = text.find("[{").unwrap();
                let one = text[at + 1..text.rfind(']').unwrap()].to_string();
                text.replacen("[{", &format!("[{one},{{"), 1)
            }),
            "the config names 1 layers, the manifest 2",
        ),
        (
            "a missing blob",
            with_manifest(&|text| {
                text.replace(&Digest::of(&packed).to_string(), &Digest::of(b"x").to_string())
            }),
            "is missing",
        ),
        ("a damaged layer", swapped(&damaged), "read"),
        ("other bytes of the layer", swapped(&renamed), "is not what its name says"),
        ("an index that is none", Layout::default().end(&["3".into()]), "read manifest"),
        ("no images", Layout::default().end(&[]), "there is no image in it"),
        ("nested indexes", nested, "nested too deep"),
        (
            "another version",
            Tar::default().file("oci-layout", r#"{"imageLayoutVersion":"9"}"#).file("index.json", "{}").end(),
            "its version is",
        ),
    ];
    for (case, archive, words) in cases {
        refused(&scratch, case, &archive, words);
    }
}

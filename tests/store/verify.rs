//! What is damaged is told, dropped with what needs it, and comes again with the next load.

use std::{fs, os::unix::fs::FileExt};

use super::{archive, assert_sound, count, layer_directory, pack, saved};
use crate::support::{Scratch, with_box};

fn verify(scratch: &Scratch, arguments: &[&str]) -> (Option<i32>, String) {
    let output = scratch.skiff(&[&["image", "verify"], arguments].concat()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn damage(path: impl AsRef<std::path::Path>) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_at(b"\xff", 3).unwrap();
}

#[test]
fn damage_of_every_kind_is_told_and_dropped_and_a_load_brings_it_again() {
    let scratch = Scratch::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| pack::layer(name, &name.repeat(1000)));
    let one = saved(&scratch, "one", &archive("one:1", &[&a, &b]));
    let two = saved(&scratch, "two", &archive("two:1", &[&a, &c]));
    let again = || {
        scratch.text(&["load", "-q", "-i", &one]);
        scratch.text(&["load", "-q", "-i", &two]);
        assert_sound(&scratch, "after a load");
        assert_eq!((count(&scratch, "layers"), count(&scratch, "images")), (3, 2));
    };
    again();
    assert_eq!(
        verify(&scratch, &[]),
        (Some(0), "Verified 3 layers, 2 blobs, 2 images, 2 names: nothing is damaged\n".into())
    );
    assert_eq!(
        verify(&scratch, &["one:1"]).1,
        "Verified 2 layers, 1 blob, 1 image, 0 names: nothing is damaged\n"
    );
    scratch.fails(&["image", "verify", "gone"], 1, "No such image: gone:latest");

    // A layer that both have: both go, and with them what is sound.
    damage(layer_directory(&scratch, &a).join("tree/a"));
    let (code, text) = verify(&scratch, &["two:1"]);
    let layer =
        format!("damaged layer sha256:{}: ", layer_directory(&scratch, &a).file_name().unwrap().display());
    assert!(code == Some(1) && text.starts_with(&layer) && text.contains("(one:1, two:1)\n"), "{text}");
    assert!(text.ends_with("Verified 2 layers, 1 blob, 1 image, 0 names: 1 damaged\n"), "{text}");
    let json = verify(&scratch, &["--format", "json"]).1;
    let finding: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&finding["Kind"], finding["Images"].as_array().unwrap().len()), (&"layer".into(), 2));
    let (code, text) = verify(&scratch, &["-q", "--remove"]);
    assert!(
        code == Some(1) && text.contains("\ndropped layer ") && text.contains("\nUntagged: two:1\n"),
        "{text}"
    );
    for shelf in ["images", "layers", "names", "blobs/sha256", "tmp"] {
        assert_eq!(count(&scratch, shelf), 0, "{shelf}");
    }
    again();

    // What only one of them has: the other one stays.
    fs::remove_file(layer_directory(&scratch, &c).join("skeleton")).unwrap();
    let (code, text) = verify(&scratch, &["--remove"]);
    assert!(code == Some(1) && text.contains("Untagged: two:1\n") && !text.contains("one:1"), "{text}");
    assert_eq!((count(&scratch, "layers"), count(&scratch, "images")), (2, 1));
    again();
    fs::remove_dir_all(layer_directory(&scratch, &b)).unwrap();
    let (_, text) = verify(&scratch, &["--remove"]);
    assert!(text.starts_with("damaged image ") && text.contains("is missing (one:1)\n"), "{text}");
    again();

    // Documents and names.
    let id = scratch.text(&["inspect", "-f", "{{.Id}}", "one:1"]);
    let id = id.trim().strip_prefix("sha256:").unwrap();
    damage(scratch.path("data/blobs/sha256").join(id));
    let (_, text) = verify(&scratch, &["--remove"]);
    assert!(text.starts_with(&format!("damaged image sha256:{id}: ")), "{text}");
    assert!(text.contains(&format!("\ndropped blob sha256:{id}\nUntagged: one:1\n")), "{text}");
    again();
    fs::write(scratch.path("data/images").join(id), "{").unwrap();
    assert!(verify(&scratch, &["--remove"]).1.contains("Untagged: one:1\n"));
    again();
    fs::write(scratch.path("data/names").join("0".repeat(64)), "nonsense").unwrap();
    fs::remove_file(scratch.path("data/images").join(id)).unwrap();
    let (_, text) = verify(&scratch, &["--remove"]);
    assert!(
        text.contains("damaged name 0000") && text.contains("damaged name one:1: image sha256:"),
        "{text}"
    );
    assert!(text.contains("\ndropped name 0000") && text.contains("\nUntagged: one:1\n"), "{text}");
    again();
}

#[test]
fn a_damaged_layer_stays_as_long_as_a_container_runs_on_it() {
    let scratch = with_box(&[]);
    let id = scratch.text(&["inspect", "-f", "{{index .RootFS.Layers 0}}", "box"]);
    let layer = scratch.path("data/layers").join(id.trim().strip_prefix("sha256:").unwrap());
    scratch.text(&["run", "-d", "--name", "busy", "box", "sleep", "1000"]);
    scratch.text(&["create", "--name", "idle", "box", "true"]);
    damage(layer.join("tree/data/seed"));
    let (code, text) = verify(&scratch, &["--remove"]);
    assert!(
        code == Some(1) && text.contains("\nkept layer ") && text.contains("runs on it (box:latest)\n"),
        "{text}"
    );
    assert!(!text.contains("dropped"), "{text}");
    assert_eq!(scratch.text(&["exec", "busy", "echo", "alive"]), "alive\n");
    scratch.text(&["rm", "-f", "busy"]);
    let (_, text) = verify(&scratch, &["--remove"]);
    assert!(text.contains("\ndropped layer ") && text.contains("\nUntagged: box:latest\n"), "{text}");
    scratch.fails(&["start", "idle"], 1, "is missing from the data root");
    assert_sound(&scratch, "after dropping");
    // It starts as soon as the layer is there again: the same import gives the same layer.
    scratch.text(&["import", scratch.path("rootfs.tar").to_str().unwrap(), "box"]);
    scratch.text(&["start", "-a", "idle"]);
    scratch.text(&["rm", "idle"]);
}

#[test]
fn a_layer_in_which_a_file_took_the_place_of_a_directory_is_sound() {
    let scratch = Scratch::new();
    let layer = pack::Tar::default().file("d/e/f", "gone").file("d", "stays").end();
    scratch.text(&["load", "-q", "-i", &saved(&scratch, "one", &archive("one:1", &[&layer]))]);
    assert_sound(&scratch, "after a load");
    damage(layer_directory(&scratch, &layer).join("tree/d"));
    assert_eq!(verify(&scratch, &[]).0, Some(1));
}

//! The store as its user sees it: what is listed, pruned and counted; what is damaged; full and read-only disks; kills and
//! commands side by side.

mod killed;
#[path = "../support/kills.rs"]
mod kills;
#[path = "../exchange/pack.rs"]
mod pack;
mod places;
mod prune;
#[path = "../support/mod.rs"]
mod support;
mod verify;

use std::{fs, path::PathBuf};

use skiff_core::digest::Digest;
use support::Scratch;

/// How many things lie on a shelf of the store.
fn count(scratch: &Scratch, shelf: &str) -> usize {
    fs::read_dir(scratch.path("data").join(shelf)).map_or(0, Iterator::count)
}

/// Asserts that everything is what its name says.
fn assert_sound(scratch: &Scratch, when: &str) {
    let output = scratch.skiff(&["image", "verify"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.ends_with(": nothing is damaged\n"), "{when}: {text}{error}");
}

/// An archive of an image with these layers.
fn archive(name: &str, layers: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let names: Vec<String> = (0..layers.len()).map(|number| format!("\"{number}/layer.tar\"")).collect();
    let manifest = pack::docker("config.json", &format!("[\"{name}\"]"), &format!("[{}]", names.join(",")));
    let mut tar =
        pack::Tar::default().file("manifest.json", manifest).file("config.json", pack::config(&ids));
    for (number, layer) in layers.iter().enumerate() {
        tar = tar.file(&format!("{number}/layer.tar"), layer);
    }
    tar.end()
}

/// The directory of a layer in the store.
fn layer_directory(scratch: &Scratch, layer: &[u8]) -> PathBuf {
    scratch.path("data/layers").join(Digest::of(layer).hex().as_str())
}

/// Writes an archive to a file, and gives its path.
fn saved(scratch: &Scratch, file: &str, archive: &[u8]) -> String {
    let path = scratch.path(file);
    fs::write(&path, archive).unwrap();
    path.display().to_string()
}

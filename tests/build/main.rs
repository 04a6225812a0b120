//! `build` as its users see it: the command line, the API, and Docker's own clients.

mod api;
mod caches;
mod call;
mod carried;
mod command_line;
mod contexts;
#[path = "../api/daemon.rs"]
#[allow(dead_code)]
mod daemon;
mod failed;
mod limits;
mod link;
mod output;
#[path = "../exchange/pack.rs"]
mod pack;
mod pending;
mod refused;
mod squash;
mod ssh;
mod stages;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStderr, Output, Stdio},
};

use support::Scratch;

/// Makes a context with these files; the path is the directory's.
fn context(scratch: &Scratch, files: &[(&str, &str)]) -> PathBuf {
    let directory = scratch.path("context");
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

/// Builds the context `context`: exit code, stdout, stderr.
fn build(scratch: &Scratch, flags: &[&str]) -> (i32, String, String) {
    let path = scratch.path("context").display().to_string();
    ended(scratch.skiff(&[&["build"], flags, &[path.as_str()]].concat()).output().unwrap())
}

/// Begins to build the context `context` as `it`, until a line with these words is told: the client, and what it tells.
fn begun(scratch: &Scratch, words: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let path = scratch.path("context").display().to_string();
    let mut client = scratch.skiff(&["build", "-t", "it", &path]).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(client.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains(words)));
    (client, told)
}

/// What an image's id is.
fn id(scratch: &Scratch, name: &str) -> String {
    scratch.text(&["inspect", "-f", "{{.Id}}", name])
}

/// What lies at the top of a layer's tree.
fn names_in(scratch: &Scratch, layer: &str) -> Vec<OsString> {
    let tree = scratch.path("data/layers").join(&layer["sha256:".len()..]).join("tree");
    fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// How many steps of a build came from the cache, as each `FROM` does, and how many did not.
fn cached(stderr: &str) -> (usize, usize) {
    let of = |word: &str| stderr.lines().filter(|line| line.split(' ').nth(1) == Some(word)).count();
    (of("CACHED"), of("DONE"))
}

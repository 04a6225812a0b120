//! `images`, `rmi`, `history`, `image prune`, `system df` and `system prune`: main paths and what is refused.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use super::{archive, count, pack, saved};
use crate::support::{Kept, Scratch, with_box};

fn answered(scratch: &Scratch, arguments: &[&str], answer: &str) -> Output {
    let mut child = scratch.skiff(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Two images that share a layer, and one that has lost its name.
fn three() -> Scratch {
    let scratch = Scratch::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| pack::layer(name, &name.repeat(1000)));
    for (name, layers) in [("old:1", [&d[..]].as_slice()), ("old:1", &[&a, &b]), ("new:1", &[&a, &c])] {
        let file = saved(&scratch, "archive", &archive(name, layers));
        scratch.text(&["load", "-q", "-i", &file]);
    }
    scratch
}

#[test]
fn images_without_a_name_are_pruned_and_with_all_the_others_too() {
    let scratch = three();
    let dangling = scratch.text(&["images", "-q", "--no-trunc", "-f", "dangling=true"]);
    let id = dangling.trim();
    let refused = answered(&scratch, &["image", "prune"], "n\n");
    assert_eq!(
        String::from_utf8_lossy(&refused.stdout),
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    );
    assert_eq!(refused.status.code(), Some(0));
    assert_eq!(
        scratch.text(&["image", "prune", "-f", "--filter", "until=24h"]),
        "Total reclaimed space: 0B\n"
    );
    scratch.fails(&["image", "prune", "-f", "--filter", "color=red"], 1, "invalid filter 'color'");
    scratch.fails(
        &["image", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h"],
        1,
        "more than one until filter specified",
    );
    let pruned = answered(&scratch, &["image", "prune"], "y\n");
    let text = String::from_utf8_lossy(&pruned.stdout);
    assert!(text.contains(&format!("Deleted Images:\ndeleted: {id}\ndeleted: sha256:")), "{text}");
    assert!(text.ends_with("\n\nTotal reclaimed space: 1kB\n"), "{text}");
    assert_eq!((count(&scratch, "images"), count(&scratch, "layers")), (2, 3));
    let all = scratch.text(&["image", "prune", "-af"]);
    assert!(
        all.contains("untagged: new:1\ndeleted: ") && all.contains("untagged: old:1\ndeleted: "),
        "{all}"
    );
    assert!(all.ends_with("Total reclaimed space: 3kB\n"), "{all}");
    for shelf in ["images", "layers", "names", "blobs/sha256", "tmp"] {
        assert_eq!(count(&scratch, shelf), 0, "{shelf}");
    }
    let events = scratch.text(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "type=image",
        "--format",
        "{{.Action}} {{index .Actor.Attributes \"reclaimed\"}}",
    ]);
    let events: Vec<&str> = events.lines().map(str::trim).collect();
    assert!(events.ends_with(&["untag", "delete", "untag", "delete", "prune 3000"]), "{events:?}");
}

#[test]
fn lists_show_what_their_filters_let_through() {
    let scratch = three();
    let images = |arguments: &[&str]| {
        let all = [&["images", "--format", "{{.Repository}}:{{.Tag}}"], arguments].concat();
        let mut names: Vec<String> = scratch.text(&all).lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(images(&[]), "<none>:<none> new:1 old:1");
    assert_eq!(images(&["-f", "dangling=false"]), "new:1 old:1");
    assert_eq!(images(&["-f", "reference=[m-o]??"]), "new:1 old:1");
    assert_eq!(images(&["new"]), "new:1");
    assert_eq!(images(&["-f", "since=new:1"]), "");
    scratch.fails(&["images", "-f", "before=gone"], 1, "No such image: gone:latest");
    scratch.fails(&["images", "-f", "reference=["], 1, "syntax error in pattern");
    let table = scratch.text(&["images", "--digests", "old"]);
    assert!(table.starts_with("REPOSITORY   TAG       DIGEST    IMAGE ID"), "{table}");
    assert_eq!(scratch.text(&["images", "-q", "old"]).trim().len(), 12);
    scratch.text(&["history", "--platform", "linux", "old:1"]);
    scratch.text(&["image", "inspect", "--platform", "linux", "old:1"]);
    scratch.fails(
        &["image", "inspect", "--platform", "linux/s390x", "old:1"],
        1,
        "specified platform (linux/s390x)",
    );
    scratch.fails(&["inspect", "--platform", "linux", "old:1"], 1, "use `image inspect`");
    scratch.fails(
        &["history", "--platform", "plan9/mips", "old:1"],
        1,
        "does not provide the specified platform",
    );
    // What is not there is no failure with force.
    scratch.fails(&["rmi", "gone"], 1, "No such image: gone:latest");
    let forced = scratch.skiff(&["rmi", "-f", "gone", "old:1"]).output().unwrap();
    assert_eq!(forced.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&forced.stdout).starts_with("Untagged: old:1\nDeleted: sha256:"));
    assert_eq!(String::from_utf8_lossy(&forced.stderr), "skiff: No such image: gone:latest\n");
}

#[test]
fn the_system_tells_what_takes_room_and_makes_it_free() {
    let scratch = with_box(&["LABEL keep=yes"]);
    scratch.text(&["tag", "box", "box:2"]);
    scratch.text(&["run", "--name", "done", "box", "sh", "-c", "echo 12345 > /file"]);
    let running = Kept(&scratch, "busy");
    scratch.text(&["run", "-d", "--name", "busy", "-v", "data:/data", "box", "sleep", "1000"]);
    scratch.text(&["volume", "create"]);
    let rows =
        scratch.text(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Reclaimable}}"]);
    assert_eq!(
        rows,
        "Images 1 1 0B (0%)\nContainers 2 1 6B (100%)\nLocal Volumes 2 1 0B (0%)\nBuild Cache 0 0 0B\n"
    );
    let long = scratch.text(&["system", "df", "-v"]);
    assert!(
        long.contains("\nContainers space usage:\n\n")
            && long.lines().any(|line| line.starts_with("data ") && line.ends_with(" 1         5B")),
        "{long}"
    );
    let containers = "{{range .Containers}}{{.Names}} {{.Size}};{{end}}";
    let all = scratch.text(&["system", "df", "-v", "--format", containers]);
    assert!(all.contains("done 6B;") && all.contains("busy 0B;"), "{all}");
    scratch.fails(&["system", "prune", "-f", "--volumes", "--filter", "until=1h"], 1, "not supported with");
    let kept = scratch.text(&["system", "prune", "-af", "--filter", "label!=keep"]);
    assert_eq!(kept, "Total reclaimed space: 0B\n");
    let pruned = scratch.text(&["system", "prune", "-f", "--volumes"]);
    assert!(
        pruned.starts_with("Deleted Containers:\n") && pruned.contains("\nDeleted Volumes:\n"),
        "{pruned}"
    );
    assert!(pruned.ends_with("\n\nTotal reclaimed space: 6B\n"), "{pruned}");
    // What the running container has stays, with all its names.
    assert_eq!(scratch.text(&["system", "prune", "-af"]), "Total reclaimed space: 0B\n");
    assert_eq!(scratch.text(&["images", "-q"]).lines().count(), 2);
    drop(running);
    assert!(scratch.text(&["system", "prune", "-af"]).contains("untagged: box:2\n"));
    assert_eq!(count(&scratch, "layers"), 0);
}

//! A data root on a full disk, on a read-only one, and one of another version.

use std::{fs, path::PathBuf, process::Command};

use super::{archive, assert_sound, count, pack, saved};
use crate::support::{Kept, Scratch, with_box};

/// A mount that goes with the value.
struct Mounted(PathBuf);

impl Mounted {
    fn new(arguments: &[&str], at: PathBuf) -> Mounted {
        fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount").args(arguments).arg(&at).status().unwrap();
        assert!(status.success(), "mount {arguments:?}");
        Mounted(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills the disk below a path to the last byte.
fn fill(path: PathBuf) {
    let mut file = fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![b'x'; size]).is_ok() {}
    }
}

fn on_a_full_disk(scratch: &Scratch) {
    let rootfs = scratch.path("rootfs.tar").display().to_string();
    scratch.text(&["import", &rootfs, "box"]);
    let noise: String = (0..3_000_000_u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    let layers =
        [pack::layer("small", "x"), pack::layer("large", &noise), pack::layer("larger", &(noise.repeat(4)))];
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let file = saved(scratch, "archive", &archive("large:1", &layers));
    let large = saved(scratch, "large.tar", layers[2]);
    let shelves = ["layers", "images", "names", "blobs/sha256", "tmp"];
    let before = shelves.map(|shelf| count(scratch, shelf));
    let unchanged = |when: &str| {
        assert_eq!(shelves.map(|shelf| count(scratch, shelf)), before, "{when}");
        assert_sound(scratch, when);
    };
    scratch.fails(&["load", "-i", &file], 1, "ENOSPC (no space left on device)");
    unchanged("load");
    scratch.fails(&["import", &large, "large"], 1, "ENOSPC (no space left on device)");
    unchanged("import");
    let output = scratch.with_input_that_may_break(&["load"], &fs::read(&file).unwrap());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("ENOSPC"), "{error}");
    unchanged("load from stdin");
    let half = scratch.text(&[
        "run",
        "--name",
        "half",
        "box",
        "sh",
        "-c",
        "cat /bin/busybox /bin/busybox > /twice; echo $?",
    ]);
    assert_eq!(half, "0\n");
    fill(scratch.path("data/filler"));
    scratch.fails(&["commit", "half", "half:1"], 1, "ENOSPC (no space left on device)");
    unchanged("commit");
    let containers = scratch.containers();
    scratch.refused_beside(&["box", "true"], 125, "ENOSPC (no space left on device)");
    assert_eq!(scratch.containers(), containers);
    assert_eq!(scratch.text(&["images", "-q"]).lines().count(), 1);
    // What makes room works without any.
    scratch.text(&["rm", "half"]);
    scratch.text(&["rmi", "box"]);
    assert_eq!(shelves.map(|shelf| count(scratch, shelf)), [0; 5]);
    fs::remove_file(scratch.path("data/filler")).unwrap();
    scratch.text(&["import", &rootfs, "box"]);
    assert_eq!(scratch.text(&["run", "--rm", "box", "echo", "again"]), "again\n");
    assert_eq!(count(scratch, "tmp"), 0);
}

/// A scratch engine without an image, but with the tar of one.
fn without_images() -> Scratch {
    let scratch = with_box(&[]);
    fs::remove_dir_all(scratch.path("data")).unwrap();
    scratch
}

#[test]
fn a_full_tmpfs_leaves_the_store_as_it_was() {
    let scratch = without_images();
    let _data = Mounted::new(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], scratch.path("data"));
    on_a_full_disk(&scratch);
}

#[test]
fn a_full_ext4_leaves_the_store_as_it_was() {
    let scratch = without_images();
    let image = scratch.path("disk");
    fs::File::create(&image).unwrap().set_len(12 << 20).unwrap();
    let image = image.to_str().unwrap();
    // All of it for everybody: root would have a reserve.
    let made = Command::new("mkfs.ext4").args(["-q", "-m", "0", image]).status();
    if !made.is_ok_and(|status| status.success()) || !std::path::Path::new("/dev/loop-control").exists() {
        println!("skipped: no mkfs.ext4 or no loop devices");
        return;
    }
    let _data = Mounted::new(&["-o", "loop", image], scratch.path("data"));
    on_a_full_disk(&scratch);
}

#[test]
fn on_a_read_only_data_root_everything_can_be_read_and_nothing_is_half_done() {
    let scratch = with_box(&[]);
    scratch.text(&["create", "--name", "old", "box", "true"]);
    let _old = Kept(&scratch, "old");
    let file = saved(&scratch, "archive", &archive("x:1", &[&pack::layer("x", "x")]));
    let rootfs = scratch.path("rootfs.tar").display().to_string();
    let data = scratch.path("data");
    let mounted = Mounted::new(&["--bind", data.to_str().unwrap()], data.clone());
    assert!(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&data).status().unwrap().success());
    assert_eq!(scratch.text(&["images", "-q"]).lines().count(), 1);
    assert_eq!(scratch.text(&["ps", "-aq"]).lines().count(), 1);
    scratch.text(&["system", "df"]);
    scratch.text(&["history", "box"]);
    assert_sound(&scratch, "read-only");
    for (arguments, code) in [
        (&["import", &rootfs, "box:2"][..], 1),
        (&["load", "-i", &file], 1),
        (&["tag", "box", "box:2"], 1),
        (&["rm", "old"], 1),
        (&["rmi", "-f", "box"], 1),
        (&["start", "old"], 1),
        (&["commit", "old", "new"], 1),
        (&["run", "--rm", "box", "true"], 125),
        (&["run", "--rm", "host", "true"], 125),
    ] {
        scratch.fails(arguments, code, "EROFS (read-only file system)");
    }
    drop(mounted);
    assert_sound(&scratch, "writable again");
    assert_eq!((count(&scratch, "tmp"), count(&scratch, "images"), scratch.containers()), (0, 1, 1));
    scratch.text(&["run", "--rm", "box", "true"]);
    scratch.text(&["load", "-q", "-i", &file]);
}

#[test]
fn a_data_root_of_another_format_is_refused_and_not_touched() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("data")).unwrap();
    fs::write(scratch.path("data/version"), "2\n").unwrap();
    let words = "open data root: its format is \"2\", this skiff reads \"1\"";
    scratch.fails(&["images"], 1, words);
    scratch.fails(&["ps"], 1, words);
    scratch.fails(&["image", "prune", "-af"], 1, words);
    scratch.fails(&["run", "--rm", "host", "true"], 125, words);
    assert_eq!(fs::read_dir(scratch.path("data")).unwrap().count(), 1);
}

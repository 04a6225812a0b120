//! What several benches need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A command that says nothing and is told nothing.
pub fn quietly(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A root file system with busybox, and a tar of it.
pub fn root_with_busybox(scratch: &Path) -> (PathBuf, PathBuf) {
    let root = scratch.join("rootfs");
    for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is needed");
    for applet in ["true", "sleep"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let tar = scratch.join("rootfs.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&root).arg(".").status();
    assert!(made.unwrap().success());
    (root, tar)
}

//! Trees with everything that a layer may have, and what can be seen of a tree.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

/// Everything that can be seen of one node, but for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    changed: (i64, i64),
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path that is the same node.
    same_as: PathBuf,
    /// How many names it has, if it is no directory.
    links: u64,
}

/// The nodes of a tree, by their paths.
pub type Tree = BTreeMap<PathBuf, Seen>;

/// Looks at a tree.
pub fn see(root: &Path) -> Tree {
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
        let kind = FileType::from_raw_mode(meta.mode());
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        let seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            device: if is_device { meta.rdev() } else { 0 },
            changed: (meta.mtime(), meta.mtime_nsec()),
            content,
            xattrs: xattrs(&full),
            same_as,
            links: if meta.is_dir() { 0 } else { meta.nlink() },
        };
        all.insert(path, seen);
    }
    all
}

/// Asserts that two trees are the same, node by node.
pub fn assert_same(case: &str, ours: &Tree, theirs: &Tree) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{case}");
    for (path, seen) in ours {
        assert!(seen == &theirs[path], "{case} {path:?}: {:.300?} {:.300?}", seen, theirs[path]);
    }
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

/// Makes a tree with everything that a layer may have.
pub fn grow(root: &Path) {
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
    node("disk", FileType::BlockDevice, rustix::fs::makedev(7, 300));
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

/// Whether trees can be made as they should be.
pub fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
    }
    rustix::process::geteuid().is_root()
}

/// Packs a tree with GNU tar.
pub fn tar(root: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    let has_xattrs = !options.contains(&"--format=gnu");
    command.args(["--xattrs", "--xattrs-include=*"].iter().filter(|_| has_xattrs));
    command.arg("-C").arg(root).args(options).args(["-cf", "-", "."]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

//! The container's root file system and its /dev, made by the parent as mounts that are attached nowhere, so that nothing
//! is left on the host whatever happens.

use alloc::{ffi::CString, format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, open_tree,
    },
};

use crate::{
    Context, Error, Result,
    container::config::Device,
    file::{self, CWD},
};

/// Whether the upper directory has to survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As the file system below gives it.
    Kept,
    /// The container goes when it ends: nothing has to be written back.
    ThrownAway,
}

/// An overlay of `lowers` (the top one first) with the changes in `upper`, which needs `work` beside it. All are
/// paths of the host.
///
/// # Kernel
/// fsopen("overlay"); `lowerdir+` since 6.5, one `lowerdir` string before, of which fsconfig takes 255 bytes.
///
/// # Errors
/// Of the kernel, with its own explanation where it gives one.
pub fn overlay(lowers: &[String], upper: &str, work: &str, durability: Durability) -> Result<OwnedFd> {
    stack(lowers, Some(Over { upper, work, durability }))
}

/// What `lowers` (the top one first, at least two) show together, read-only.
///
/// # Errors
/// As [`overlay`].
pub fn stacked(lowers: &[String]) -> Result<OwnedFd> {
    stack(lowers, None)
}

/// What changes go to.
#[derive(Clone, Copy)]
struct Over<'a> {
    upper: &'a str,
    work: &'a str,
    durability: Durability,
}

fn stack(lowers: &[String], over: Option<Over<'_>>) -> Result<OwnedFd> {
    match overlay_with(&one_by_one(lowers), over) {
        // An old kernel may say so only at the end, about all of the options: they are given anew.
        Err((Errno::INVAL, _)) => {
            let together = |context: BorrowedFd<'_>| {
                let escaped: Vec<String> = lowers.iter().map(|lower| escape(lower)).collect();
                fsconfig_set_string(context, c"lowerdir", escaped.join(":").as_str())
            };
            overlay_with(&together, over)
        }
        other => other,
    }
    .map_err(|(_, error)| error)
}

/// What [`overlay`] is mounted from, configured for kernels since 6.5.
///
/// # Errors
/// Of the kernel.
pub fn overlay_context(
    lowers: &[String],
    upper: &str,
    work: &str,
    durability: Durability,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    configure(context.as_fd(), &one_by_one(lowers), Some(Over { upper, work, durability }))?;
    Ok(context)
}

/// Gives the layers to a context.
type Lowers<'a> = dyn Fn(BorrowedFd<'_>) -> Result<(), Errno> + 'a;

fn one_by_one(lowers: &[String]) -> impl Fn(BorrowedFd<'_>) -> Result<(), Errno> {
    |context| lowers.iter().try_for_each(|lower| fsconfig_set_string(context, c"lowerdir+", lower.as_str()))
}

fn configure(context: BorrowedFd<'_>, set_lowers: &Lowers<'_>, over: Option<Over<'_>>) -> Result<(), Errno> {
    fsconfig_set_string(context, c"source", c"overlay")?;
    set_lowers(context)?;
    if let Some(Over { upper, work, durability }) = over {
        // Whatever the kernel's defaults are: all of a change is in the upper directory, so that a layer can be made of it.
        fsconfig_set_string(context, c"redirect_dir", c"off")?;
        fsconfig_set_string(context, c"metacopy", c"off")?;
        fsconfig_set_string(context, c"upperdir", upper)?;
        fsconfig_set_string(context, c"workdir", work)?;
        if durability == Durability::ThrownAway {
            fsconfig_set_flag(context, c"volatile")?;
        }
    }
    Ok(())
}

fn overlay_with(set_lowers: &Lowers<'_>, over: Option<Over<'_>>) -> Result<OwnedFd, (Errno, Error)> {
    let open = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC);
    let context = open.map_err(|errno| (errno, Error::os("open file system", "overlay", errno)))?;
    let make = || -> Result<OwnedFd, Errno> {
        configure(context.as_fd(), set_lowers, over)?;
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    make().map_err(|errno| {
        let (what, subject) = match over {
            Some(over) => ("mount overlay with upper directory", over.upper),
            None => ("mount overlay of", "the image's layers"),
        };
        let error = Error::os(what, subject, errno);
        let error = match explanation(context.as_fd()) {
            Some(why) => error.hint(&why),
            None => error,
        };
        (errno, error)
    })
}

/// The `lowerdir` option uses colons and backslashes for itself.
fn escape(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:")
}

/// What the kernel has to say about a file system context.
fn explanation(context: BorrowedFd<'_>) -> Option<String> {
    let mut last = None;
    let mut buffer = [0_u8; 512];
    while let Ok(count) = rustix::io::read(context, &mut buffer) {
        let line = buffer.get(2..count)?;
        last = Some(String::from_utf8_lossy(line).trim_end().into());
    }
    last
}

/// A tmpfs with these options, such as `size=64m,mode=1777`.
///
/// # Errors
/// EINVAL for an option that tmpfs doesn't know.
pub fn tmpfs(options: &str, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !options.contains("source=") {
        fsconfig_set_string(&context, c"source", c"tmpfs")?;
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value)?,
            None => fsconfig_set_flag(&context, option)?,
        }
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A node of the host that is to appear inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Absolute path inside.
    pub path: String,
    /// Character or block device.
    pub kind: FileType,
    /// Major and minor number.
    pub number: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// Completes a /dev with those of `nodes` that belong there, and a place for the console if there is one.
///
/// # Errors
/// EPERM if this process may not make nodes.
pub fn complete_devices(dev: BorrowedFd<'_>, nodes: &[Node], console: bool) -> Result<()> {
    if console {
        file::create(dev, "console", &[], 0o600).context("create", "/dev/console")?;
    }
    for node in nodes {
        if let Some(path) = node.path.strip_prefix("/dev/") {
            make_node(dev, path, node).context("create device node", &node.path)?;
        }
    }
    Ok(())
}

/// Makes a node at `path` in the tree of `root`, in place of a node that is there.
///
/// # Errors
/// As mknodat(2); EEXIST if something else is there.
pub fn make_node(root: BorrowedFd<'_>, path: &str, node: &Node) -> Result<(), Errno> {
    let path = path.trim_matches('/');
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    let parent = file::make_directories(root, parent.as_bytes())?;
    let mode = Mode::from_raw_mode(node.mode);
    match rustix::fs::mknodat(&parent, name, node.kind, mode, node.number) {
        Err(Errno::EXIST) => return Ok(()),
        other => other?,
    }
    if node.owner != (0, 0) {
        let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    }
    // mknod is subject to the umask.
    rustix::fs::chmodat(&parent, name, mode, rustix::fs::AtFlags::empty())
}

/// The nodes behind one `--device`: the node itself, or all nodes of a directory and of those below it.
///
/// # Errors
/// [`Error::Invalid`] if there is no device.
pub fn host_nodes(device: &Device) -> Result<Vec<Node>> {
    let inside =
        if device.path_in_container.is_empty() { &device.path_on_host } else { &device.path_in_container };
    let mut found = Vec::new();
    let missing = |errno: Errno| match errno {
        Errno::NOENT => Error::Invalid(format!(
            "error gathering device information while adding custom device \"{}\": no such file or directory",
            device.path_on_host
        )),
        errno => Error::os("open", &device.path_on_host, errno),
    };
    let opened =
        rustix::fs::openat(CWD, device.path_on_host.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(missing)?;
    let stat = rustix::fs::fstat(&opened).map_err(missing)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => nodes_below(opened.as_fd(), inside, &mut found)?,
        FileType::CharacterDevice | FileType::BlockDevice => found.push(node(&stat, inside.into())),
        _ => {}
    }
    if found.is_empty() {
        return Err(Error::Invalid(format!(
            "error gathering device information while adding custom device \"{}\": not a device node",
            device.path_on_host
        )));
    }
    Ok(found)
}

/// All nodes of the host's /dev, for a privileged container.
///
/// # Errors
/// Of the file system.
pub fn all_host_nodes() -> Result<Vec<Node>> {
    let mut found = Vec::new();
    let dev = file::directory(CWD, "/dev").context("open", "/dev")?;
    nodes_below(dev.as_fd(), "/dev", &mut found)?;
    Ok(found)
}

fn nodes_below(directory: BorrowedFd<'_>, inside: &str, found: &mut Vec<Node>) -> Result<()> {
    for (name, kind) in file::entries(directory, ".").context("list", inside)? {
        let Ok(text) = name.to_str() else { continue };
        // What every container has of its own.
        if inside == "/dev" && matches!(text, "pts" | "shm" | "fd" | "mqueue" | "console" | "ptmx") {
            continue;
        }
        let path = format!("{}/{text}", inside.trim_end_matches('/'));
        match kind {
            FileType::Directory => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(below) = rustix::fs::openat(directory, &name, flags, Mode::empty()) {
                    nodes_below(below.as_fd(), &path, found)?;
                }
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                if let Ok(stat) = rustix::fs::statat(directory, &name, flags) {
                    found.push(node(&stat, path));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn node(stat: &rustix::fs::Stat, path: String) -> Node {
    Node {
        path,
        kind: FileType::from_raw_mode(stat.st_mode),
        number: stat.st_rdev,
        mode: stat.st_mode & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
    }
}

/// A copy of the mount at `path` of the host, attached nowhere.
///
/// # Errors
/// As open_tree(2).
pub fn clone_mount(at: impl AsFd, path: &str, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags)
}

/// A path as C takes it; paths of settings have no zero byte, which is checked where they come in.
pub(super) fn c_path(path: &str) -> Result<CString> {
    CString::new(path).map_err(|_| Error::Invalid(format!("path {path:?} has a zero byte in it")))
}

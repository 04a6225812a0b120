//! What the child does between clone3 and execve: a list of steps that the parent has decided on, run by one loop.
//!
//! The child runs [`run`] in the parent's memory (vfork) or in a copy of it. It makes no decisions and reports the first
//! step that failed. Targets are paths inside the container's root; each is resolved once, by openat2 beneath the root,
//! and then only its descriptor is used. The standard file systems go onto ordinary directories only, and what a link
//! leads into /proc is not mounted there: so nothing that an image or a volume brings along moves /proc away from the
//! paths that are masked afterwards.

use alloc::{ffi::CString, vec::Vec};
use core::ffi::CStr;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{
        MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_move, move_mount, open_tree,
        unmount,
    },
    process::{DumpableBehavior, Resource, Rlimit},
    thread::ThreadNameSpaceType,
};
use skiff_syscalls::{
    clone, descriptor, keyring,
    mount::{self, MountAttributes, Propagation, Reach, set_attributes},
    namespace,
    processor::Processors,
    working_directory,
};

use super::rights::{Failed, Identity, Rights};
use crate::{
    file::{self, CWD},
    fork,
};

/// What a mount is put onto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// A directory with no link on the way: of the standard file systems.
    Ordinary,
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// linux/magic.h
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// The inode of the root of every procfs.
pub(super) const PROC_ROOT_INODE: u64 = 1;
/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;
/// How a mount is copied by its descriptor.
const CLONE_ONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_EMPTY_PATH);

/// One thing that the child does.
#[derive(Debug)]
pub enum Step {
    /// Join namespaces of a process of another container, by its pidfd.
    Join(OwnedFd, ThreadNameSpaceType),
    /// Leave the control group namespace of the engine for one whose root is the container's group.
    NewCgroupNamespace,
    /// Cut the mount namespace off from the host's.
    PrivateMounts,
    /// Attach the container's root, made by the parent, at a path of the host.
    AttachRoot(CString),
    /// Be root of the own user namespace, and on the host nobody any more.
    BecomeRoot,
    /// Make a directory.
    Directory(CString),
    /// Mount a file system that belongs to the child's own namespaces.
    Mount {
        /// The file system's name.
        kind: &'static CStr,
        /// The mount, if the child has made it already.
        made: Option<OwnedFd>,
        /// Flags of one that has still to be made.
        attributes: MountAttrFlags,
        /// Where.
        target: CString,
    },
    /// Attach a mount that the parent has made.
    Attach {
        /// The mount.
        mount: OwnedFd,
        /// Where.
        target: CString,
        /// Onto what.
        onto: Onto,
        /// Whether that may be a place in /proc.
        in_proc: bool,
    },
    /// Put the terminal, which is of the container's own devpts, at dev/console.
    Console(OwnedFd),
    /// Hide a path: a directory behind an empty read-only one, a file behind the null device.
    Mask(CString),
    /// Make a path read-only with what is mounted below it.
    ReadOnly(CString),
    /// Write a value below /proc.
    Proc {
        /// Path below /proc.
        path: CString,
        /// What is written.
        value: Vec<u8>,
        /// Whether a kernel that refuses stops the start.
        required: bool,
    },
    /// Make the root read-only.
    ReadOnlyRoot,
    /// Make the container's root the root, and take the host's away.
    Pivot(CString),
    /// The host name.
    Hostname(Vec<u8>),
    /// The NIS domain name.
    Domainname(Vec<u8>),
    /// Be the leader of a session, with this terminal if there is one.
    Session(Option<OwnedFd>),
    /// The three standard descriptors.
    Stdio([OwnedFd; 3]),
    /// A resource limit.
    Limit(Resource, Rlimit),
    /// A session keyring of its own.
    Keyring,
    /// Start in this directory.
    WorkingDirectory(CString),
    /// Become the user, with these rights.
    Become(Identity, Rights),
    /// Die with the parent; the descriptor is the parent's pidfd.
    DieWithParent(OwnedFd),
    /// Run on every processor that the engine was given.
    Roam,
    /// Default signal actions, nothing blocked, no other descriptors after execve.
    Clean,
}

impl Step {
    /// The words for an error message: operation and subject.
    pub fn describe(&self) -> (&'static str, &[u8]) {
        match self {
            Step::Join(..) => ("join namespace", b""),
            Step::NewCgroupNamespace => ("create cgroup namespace", b""),
            Step::PrivateMounts => ("make mounts private", b"/"),
            Step::AttachRoot(at) => ("attach root file system at", at.as_bytes()),
            Step::BecomeRoot => ("become root of", b"the user namespace"),
            Step::Directory(path) => ("create directory", path.as_bytes()),
            Step::Mount { target, .. } => ("mount on", target.as_bytes()),
            Step::Attach { target, .. } => ("mount on", target.as_bytes()),
            Step::Console(_) => ("mount on", b"/dev/console"),
            Step::Mask(path) => ("mask", path.as_bytes()),
            Step::ReadOnly(path) => ("make read-only", path.as_bytes()),
            Step::Proc { path, .. } => ("write /proc/", path.as_bytes()),
            Step::ReadOnlyRoot => ("make read-only", b"/"),
            Step::Pivot(_) => ("pivot_root", b""),
            Step::Hostname(name) => ("set hostname", name),
            Step::Domainname(name) => ("set domainname", name),
            Step::Session(_) => ("create session", b""),
            Step::Stdio(_) => ("redirect standard streams", b""),
            Step::Limit(..) => ("set resource limit", b""),
            Step::Keyring => ("create session keyring", b""),
            Step::Roam => ("use processors", b""),
            Step::WorkingDirectory(path) => ("change directory to", path.as_bytes()),
            Step::Become(..) => ("change identity", b""),
            Step::DieWithParent(_) => ("set parent death signal", b""),
            Step::Clean => ("clean up before execve", b""),
        }
    }
}

/// What steps hand to later ones.
struct Progress<'a> {
    /// The container's root.
    root: BorrowedFd<'a>,
    /// The container's own /proc.
    proc: Option<MaybeOwned<'a>>,
    /// The container's own /dev.
    dev: Option<BorrowedFd<'a>>,
    /// The empty directory that masks are copies of, once it is attached.
    empty: Option<OwnedFd>,
}

/// Runs the steps.
///
/// # Errors
/// The index of the first step that failed and what failed in it; the operation is empty where the step says it all.
pub fn run(steps: &[Step], root: BorrowedFd<'_>) -> Result<(), (usize, Failed)> {
    let mut progress = Progress { root, proc: None, dev: None, empty: None };
    for (index, step) in steps.iter().enumerate() {
        let done = match step {
            Step::Become(identity, rights) => rights.apply(identity),
            other => progress.step(other).map_err(|errno| Failed { operation: "", errno }),
        };
        done.map_err(|failed| (index, failed))?;
    }
    Ok(())
}

impl<'a> Progress<'a> {
    fn step(&mut self, step: &'a Step) -> Result<(), Errno> {
        match step {
            Step::Join(process, kinds) => {
                rustix::thread::move_into_thread_name_spaces(process.as_fd(), *kinds)
            }
            Step::NewCgroupNamespace => namespace::unshare_cgroup(),
            Step::PrivateMounts => set_attributes(
                CWD,
                c"/",
                Reach::Recursive,
                MountAttributes::empty(),
                MountAttributes::empty(),
                Propagation::Private,
            ),
            Step::AttachRoot(at) => {
                move_mount(self.root, c"", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            }
            Step::BecomeRoot => {
                Identity::root().apply().map_err(|failed| failed.errno)?;
                // Which a change of user may have undone.
                rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            }
            Step::Directory(path) => file::make_directories(self.root, path.to_bytes()).map(drop),
            Step::Mount { kind, made, attributes, target } => {
                let target = self.target(target, Onto::Ordinary)?;
                let mount = match made {
                    Some(mount) => MaybeOwned::Borrowed(mount.as_fd()),
                    None => MaybeOwned::Owned(mount::new(kind, &[], *attributes)?),
                };
                if *kind == c"proc" && rustix::fs::fstat(&mount)?.st_ino != PROC_ROOT_INODE {
                    return Err(Errno::INVAL);
                }
                attach(&mount, &target)?;
                if *kind == c"proc" {
                    self.proc = Some(mount);
                }
                Ok(())
            }
            Step::Attach { mount, target, onto, in_proc } => {
                let place = self.target(target, *onto)?;
                if !in_proc && is_of_proc(place.as_fd())? {
                    return Err(Errno::PERM);
                }
                attach(mount, &place)?;
                if target.as_c_str() == c"dev" {
                    self.dev = Some(mount.as_fd());
                }
                Ok(())
            }
            Step::Console(terminal) => self.console(terminal),
            Step::Mask(path) => self.mask(path),
            Step::ReadOnly(path) => self.read_only(path),
            Step::Proc { path, value, required } => {
                let proc = self.proc.as_ref().ok_or(Errno::NOENT)?;
                match write_proc(proc.as_fd(), path.as_c_str(), value) {
                    Err(Errno::PERM | Errno::ACCESS | Errno::ROFS | Errno::NOENT) if !required => Ok(()),
                    other => other,
                }
            }
            Step::ReadOnlyRoot => set_read_only(self.root, Reach::One),
            Step::Pivot(attached_at) => self.pivot(attached_at),
            Step::Hostname(name) => rustix::system::sethostname(name),
            Step::Domainname(name) => rustix::system::setdomainname(name),
            Step::Session(terminal) => {
                rustix::process::setsid()?;
                terminal.as_ref().map_or(Ok(()), rustix::process::ioctl_tiocsctty)
            }
            Step::Stdio([stdin, stdout, stderr]) => {
                rustix::stdio::dup2_stdin(stdin)?;
                rustix::stdio::dup2_stdout(stdout)?;
                rustix::stdio::dup2_stderr(stderr)
            }
            Step::Limit(resource, limit) => set_limit(*resource, limit),
            Step::Keyring => match keyring::join_new_session() {
                // A kernel without keys has none to leak; a quota or an outer filter is no reason not to start.
                Err(Errno::NOSYS | Errno::DQUOT | Errno::PERM) => Ok(()),
                other => other,
            },
            Step::WorkingDirectory(path) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let directory = file::in_root(CWD, path, flags, Mode::empty())?;
                rustix::process::fchdir(directory)?;
                working_directory::check_reachable()
            }
            Step::Become(identity, rights) => rights.apply(identity).map_err(|failed| failed.errno),
            Step::DieWithParent(parent) => clone::die_with(parent.as_fd()),
            Step::Roam => {
                Processors::own().roam();
                Ok(())
            }
            Step::Clean => {
                fork::plain_signals();
                descriptor::close_on_exec_from(3)
            }
        }
    }

    /// The place to mount onto, made if it is missing.
    fn target(&self, path: &CStr, onto: Onto) -> Result<OwnedFd, Errno> {
        let directory = OFlags::PATH | OFlags::DIRECTORY;
        let bytes = path.to_bytes();
        match onto {
            Onto::Ordinary => match file::without_links(self.root, path, directory) {
                Err(Errno::NOENT) => {
                    file::make_directories(self.root, bytes)?;
                    file::without_links(self.root, path, directory)
                }
                other => other,
            },
            Onto::Directory => file::make_directories(self.root, bytes),
            Onto::File => self.file_target(bytes.into()),
        }
    }

    /// A file to mount onto. A link that leads to none is followed as far as it goes.
    fn file_target(&self, mut path: Vec<u8>) -> Result<OwnedFd, Errno> {
        for _ in 0..MOST_LINKS {
            match file::in_root(self.root, path.as_slice(), OFlags::PATH, Mode::empty()) {
                Err(Errno::NOENT) => {}
                other => return other,
            }
            let at = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            let (parent, name) = path.split_at(at);
            let parent = file::make_directories(self.root, if at == 0 { b"." } else { parent })?;
            match file::create(&parent, name, &[], 0o644) {
                Err(Errno::EXIST) => {}
                other => return other,
            }
            let link = rustix::fs::readlinkat(&parent, name, Vec::new())?.into_bytes();
            if !link.starts_with(b"/") {
                path.truncate(at);
                path.extend_from_slice(&link);
            } else {
                path = link;
            }
        }
        Err(Errno::LOOP)
    }

    /// Copies the terminal's own mount by its descriptor: no path is looked up that somebody could have changed.
    fn console(&self, terminal: &OwnedFd) -> Result<(), Errno> {
        let target = file::without_links(self.root, c"dev/console", OFlags::PATH)?;
        let copy = open_tree(terminal, c"", CLONE_ONE)?;
        attach(&copy, &target)
    }

    /// A place that is to be hidden or made read-only. Below /proc and /sys no link is followed.
    fn place(&self, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
        let of_kernel = [&b"/proc/"[..], b"/sys/"].iter().any(|start| path.to_bytes().starts_with(start));
        let found = match of_kernel {
            true => file::without_links(self.root, path, OFlags::PATH),
            false => file::in_root(self.root, path, OFlags::PATH, Mode::empty()),
        };
        match found {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            other => other.map(Some),
        }
    }

    fn mask(&mut self, path: &CStr) -> Result<(), Errno> {
        let Some(target) = self.place(path)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&target)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return attach(&self.null_device()?, &target);
        }
        if let Some(empty) = &self.empty {
            return attach(&open_tree(empty, c"", CLONE_ONE)?, &target);
        }
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let empty =
            mount::new(c"tmpfs", &[(c"size", c"0k"), (c"nr_inodes", c"2"), (c"mode", c"755")], attributes)?;
        attach(&empty, &target)?;
        self.empty = Some(empty);
        Ok(())
    }

    /// A copy of the mount of our own dev/null, after a look at what it really is.
    fn null_device(&self) -> Result<OwnedFd, Errno> {
        let dev = self.dev.ok_or(Errno::NOENT)?;
        let node = file::without_links(dev, c"null", OFlags::PATH)?;
        let stat = rustix::fs::fstat(&node)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
            || stat.st_rdev != rustix::fs::makedev(1, 3)
        {
            return Err(Errno::NODEV);
        }
        open_tree(&node, c"", CLONE_ONE)
    }

    fn read_only(&self, path: &CStr) -> Result<(), Errno> {
        let Some(target) = self.place(path)? else { return Ok(()) };
        let copy = open_tree(&target, c"", CLONE_ONE | OpenTreeFlags::AT_RECURSIVE)?;
        set_read_only(copy.as_fd(), Reach::Recursive)?;
        attach(&copy, &target)
    }

    fn pivot(&self, attached_at: &CStr) -> Result<(), Errno> {
        rustix::process::fchdir(self.root)?;
        match rustix::process::pivot_root(c".", c".") {
            Ok(()) => {
                unmount(c".", UnmountFlags::DETACH)?;
                rustix::process::chdir(c"/")
            }
            // The kernel's initial root file system can't be pivoted away; it is covered instead.
            Err(Errno::INVAL) => {
                mount_move(attached_at, c"/")?;
                rustix::process::chroot(c".")?;
                rustix::process::chdir(c"/")
            }
            Err(errno) => Err(errno),
        }
    }
}

/// A descriptor that the steps have brought along, or one that was opened on the way.
enum MaybeOwned<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
}

impl AsFd for MaybeOwned<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            MaybeOwned::Borrowed(fd) => *fd,
            MaybeOwned::Owned(fd) => fd.as_fd(),
        }
    }
}

/// Writes to a file below `proc`, the root of a procfs that nobody else can mount in.
///
/// # Errors
/// ENODEV for what is no file of a procfs, otherwise as openat2(2) and write(2).
pub(super) fn write_proc(
    proc: BorrowedFd<'_>,
    path: impl rustix::path::Arg,
    value: &[u8],
) -> Result<(), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let open = rustix::fs::openat2(proc, path, flags, Mode::empty(), resolve)?;
    if !is_of_proc(open.as_fd())? {
        return Err(Errno::NODEV);
    }
    file::write_all(open, value)
}

/// Whether a file is of procfs.
pub(super) fn is_of_proc(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatfs(file)?.f_type as u64 == PROC_SUPER_MAGIC)
}

fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Makes a mount read-only.
pub(super) fn set_read_only(mount: BorrowedFd<'_>, reach: Reach) -> Result<(), Errno> {
    set_attributes(
        mount,
        c"",
        reach,
        MountAttributes::RDONLY,
        MountAttributes::empty(),
        Propagation::Unchanged,
    )
}

fn set_limit(resource: Resource, wanted: &Rlimit) -> Result<(), Errno> {
    match rustix::process::setrlimit(resource, *wanted) {
        // An engine without CAP_SYS_RESOURCE cannot go beyond its own hard limit, and goes as far as it can.
        Err(Errno::PERM) => {
            let own = rustix::process::getrlimit(resource).maximum;
            let least = |limit: Option<u64>| match (limit, own) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let limit = Rlimit { current: least(wanted.current), maximum: least(wanted.maximum) };
            rustix::process::setrlimit(resource, limit)
        }
        other => other,
    }
}

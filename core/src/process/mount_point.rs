//! One of a container's own mounts: a directory or file of the host, a volume, or memory -> the step that attaches it.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags},
    io::Errno,
    mount::MountAttrFlags,
};
use skiff_syscalls::mount::{MountAttributes, Propagation, Reach, set_attributes};

use super::{
    rootfs::{self, c_path},
    step::{Onto, PROC_ROOT_INODE, Step, is_of_proc},
    user_namespace::UserNamespace,
};
use crate::{
    Context, Error, Result,
    container::record::{MountKind, MountPoint},
    file::{self, CWD},
};

/// The step that puts one of the settings' mounts in place.
///
/// # Errors
/// Of the kernel, with the path.
pub(super) fn mount_point(
    point: &MountPoint,
    root: BorrowedFd<'_>,
    space: Option<&UserNamespace>,
) -> Result<Step> {
    let mut in_proc = IN_PROC.contains(&point.destination.as_str());
    let (mount, onto) = if point.kind == MountKind::Tmpfs {
        let (options, attributes) = tmpfs_options(point, space)?;
        let mount = rootfs::tmpfs(&options, attributes).context("mount tmpfs for", &point.destination)?;
        (mount, Onto::Directory)
    } else {
        let open =
            || rustix::fs::openat(CWD, point.source.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let base = match open() {
            Err(Errno::NOENT) if point.create_source => file::make_host_directories(&point.source, 0o755)?,
            other => other.context("open mount source", &point.source)?,
        };
        if point.kind == MountKind::Volume && !point.no_copy && point.subpath.is_empty() {
            fill_volume(&base, root, &point.destination, space)?;
        }
        let source = if point.subpath.is_empty() {
            base
        } else {
            file::beneath(&base, point.subpath.as_str(), OFlags::PATH, Mode::empty())
                .context("open volume subpath", &point.subpath)?
        };
        let stat = rustix::fs::fstat(&source).context("stat", &point.source)?;
        let onto = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Onto::Directory,
            _ => Onto::File,
        };
        in_proc |= point.destination == "/proc" && is_root_of_proc(&source).context("stat", &point.source)?;
        let recursive = !point.non_recursive;
        let mount = rootfs::clone_mount(&source, "", recursive).context("bind mount", &point.source)?;
        if let Some(space) = space
            && (point.kind == MountKind::Volume || point.id_mapped)
        {
            space.map(&mount, &point.source)?;
        }
        let reach = if recursive && !point.read_only_top { Reach::Recursive } else { Reach::One };
        let set = if point.read_only { MountAttributes::RDONLY } else { MountAttributes::empty() };
        let kind = match point.propagation.trim_start_matches('r') {
            "" | "private" => Propagation::Private,
            "slave" => Propagation::Slave,
            "shared" => Propagation::Shared,
            other => return Err(Error::Invalid(format!("invalid propagation mode: {other}"))),
        };
        set_attributes(mount.as_fd(), c"", reach, set, MountAttributes::empty(), kind)
            .context("set mount attributes of", &point.source)?;
        (mount, onto)
    };
    if point.destination == "/proc" && !in_proc {
        return Err(Error::Invalid(
            "invalid mount path: \"/proc\" cannot be mounted over, except by all of the host's".into(),
        ));
    }
    Ok(Step::Attach { mount, target: c_path(&point.destination)?, onto, in_proc })
}

/// Files in /proc that something may be mounted over, as runc has them; nothing else there.
const IN_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Checks that something may be mounted there, as far as the path alone tells.
///
/// # Errors
/// [`Error::Invalid`] for most of /proc.
pub fn check_place(destination: &str) -> Result<()> {
    let mut parts = destination.split('/').filter(|part| !matches!(*part, "" | "."));
    if parts.next() == Some("proc") && parts.next().is_some() && !IN_PROC.contains(&destination) {
        return Err(Error::Invalid(format!(
            "invalid mount path: \"{destination}\" cannot be mounted because it is inside /proc"
        )));
    }
    Ok(())
}

/// Whether this is all of a procfs, which may take the place of the container's own.
fn is_root_of_proc(source: &OwnedFd) -> Result<bool, Errno> {
    Ok(is_of_proc(source.as_fd())? && rustix::fs::fstat(source)?.st_ino == PROC_ROOT_INODE)
}

/// Puts what the image has at a place into a volume that is mounted there for the first time.
fn fill_volume(
    data: &OwnedFd,
    root: BorrowedFd<'_>,
    destination: &str,
    space: Option<&UserNamespace>,
) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let source = match file::in_root(root, destination, flags, Mode::empty()) {
        Ok(source) => source,
        // There is no directory, and so nothing in it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(Error::os("open", destination, errno)),
    };
    let volume = file::directory(data, "..").context("open", "volume")?;
    let Some(space) = space else { return crate::store::fill(volume.as_fd(), source.as_fd()).map(drop) };
    let volume = space.mapped(&volume, "", "a volume")?;
    let fill = || crate::store::fill(volume.as_fd(), source.as_fd()).map(drop);
    space.begin_within(&[volume.as_fd(), source.as_fd()], fill)?.end()
}

/// The options of a tmpfs apart: those of the mount as attributes, those of the file system as they are, with ids as they
/// are on the host.
fn tmpfs_options(point: &MountPoint, space: Option<&UserNamespace>) -> Result<(String, MountAttrFlags)> {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mut options: Vec<&str> = Vec::new();
    for option in point.mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "exec" => attributes -= MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "suid" => attributes -= MountAttrFlags::MOUNT_ATTR_NOSUID,
            "dev" => attributes -= MountAttrFlags::MOUNT_ATTR_NODEV,
            "ro" => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
            "rw" | "nosuid" | "nodev" | "noexec" => {}
            "noatime" => attributes |= MountAttrFlags::MOUNT_ATTR_NOATIME,
            other => options.push(other),
        }
    }
    if point.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    if !options.iter().any(|option| option.starts_with("mode=")) {
        options.push("mode=1777");
    }
    let mut text = options.join(",");
    if let Some(space) = space {
        text = space.host_options(&text)?;
    }
    Ok((text, attributes))
}

//! The file system of a container that does not run, as the container would see it: the overlay with its volumes and
//! binds. They are mounted in a mount namespace of their own, which lives as long as the value, so that nothing is ever
//! mounted on the host.

use alloc::{format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
};
use skiff_syscalls::clone::CloneFlags;

use super::{
    mount_point::mount_point,
    rootfs::{self, Durability, c_path},
    step::{self, Step},
    user_namespace::{Changes, UserNamespace},
};
use crate::{
    Context, Error, Result,
    container::record::{MountKind, Record},
    file::CWD,
    fork::lend::lent,
};

/// A file system that is mounted nowhere on the host.
#[derive(Debug)]
pub struct Assembled {
    /// Its root.
    pub root: OwnedFd,
    /// The user namespace whose ids it shows, if not the host's.
    pub space: Option<UserNamespace>,
    /// Keeps what is mounted below the root.
    _namespace: Option<OwnedFd>,
}

/// Mounts a container's layers, and its mounts if they are wanted. What is in memory while it runs is not there.
/// `cover` is some directory of the host that is covered in the new namespace.
///
/// # Errors
/// Of the kernel, with the path.
pub fn assemble(
    record: &Record,
    lowers: &[alloc::string::String],
    [upper, work]: [&str; 2],
    with_mounts: bool,
    cover: &str,
) -> Result<Assembled> {
    let space = if record.host.has_user_namespace() { Some(UserNamespace::empty()?) } else { None };
    let root = match &space {
        None => rootfs::overlay(lowers, upper, work, Durability::Kept)?,
        Some(space) => space.overlay(lowers, [upper, work], (Changes::Kept, Durability::Kept), cover)?,
    };
    let mut steps = vec![Step::PrivateMounts, Step::AttachRoot(c_path(cover)?)];
    let (none, mut mounts) = (steps.len(), record.mounts.iter());
    while let Some(point) = mounts.next().filter(|_| with_mounts) {
        if point.kind != MountKind::Tmpfs {
            steps.push(mount_point(point, root.as_fd(), space.as_ref())?);
        }
    }
    if steps.len() == none {
        return Ok(Assembled { root, space, _namespace: None });
    }
    let mut keep: Vec<BorrowedFd<'_>> = vec![root.as_fd()];
    keep.extend(steps.iter().filter_map(|step| match step {
        Step::Attach { mount, .. } => Some(mount.as_fd()),
        _ => None,
    }));
    let namespace = lent(CloneFlags::NEWNS, &keep, || {
        step::run(&steps, root.as_fd()).map_err(|(index, failed)| {
            let (operation, subject) = steps[index].describe();
            Error::os(operation, format!("{}", subject.escape_ascii()), failed.errno)
        })?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::openat(CWD, "/proc/self/ns/mnt", flags, Mode::empty());
        own.context("open", "mount namespace")
    })?;
    Ok(Assembled { root, space, _namespace: Some(namespace) })
}

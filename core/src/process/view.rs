//! The file system of a container that does not run, as the container would see it: the overlay with its volumes and
//! binds. They are mounted in a mount namespace of their own, which lives as long as the value, so that nothing is ever
//! mounted on the host.

use alloc::{format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::{clone::CloneFlags, descriptor};

use super::{
    mount_point::mount_point,
    rootfs::{self, Durability, c_path},
    step::{self, Step},
};
use crate::{
    Context, Error, Result,
    container::record::{MountKind, Record},
    file::{self, CWD},
    fork,
};

const REPORT_MAX: usize = 64 << 10;
const READY: &[u8] = b"ready";

/// A file system that is mounted nowhere on the host.
#[derive(Debug)]
pub struct Assembled {
    /// Its root.
    pub root: OwnedFd,
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
    let root = rootfs::overlay(lowers, upper, work, Durability::Kept)?;
    let mut steps = vec![Step::PrivateMounts, Step::AttachRoot(c_path(cover)?)];
    let (none, mut mounts) = (steps.len(), record.mounts.iter());
    while let Some(point) = mounts.next().filter(|_| with_mounts) {
        if point.kind != MountKind::Tmpfs {
            steps.push(mount_point(point, root.as_fd())?);
        }
    }
    if steps.len() == none {
        return Ok(Assembled { root, _namespace: None });
    }
    let pipe = || pipe_with(PipeFlags::CLOEXEC).context("create", "pipe");
    let ((report, reporter), (end, ender)) = (pipe()?, pipe()?);
    let mut keep: Vec<BorrowedFd<'_>> = vec![root.as_fd(), reporter.as_fd(), end.as_fd()];
    keep.extend(steps.iter().filter_map(|step| match step {
        Step::Attach { mount, .. } => Some(mount.as_fd()),
        _ => None,
    }));
    let child = fork::child_in(CloneFlags::NEWNS, &keep, || {
        let answer = match step::run(&steps, root.as_fd()) {
            Ok(()) => READY.to_vec(),
            Err((index, failed)) => {
                let (operation, subject) = steps[index].describe();
                Error::os(operation, format!("{}", subject.escape_ascii()), failed.errno).to_bytes()
            }
        };
        let _ = file::write_all(&reporter, &answer);
        // Only now does the report end.
        let _ = descriptor::close_all_but(&mut [end.as_fd()]);
        i32::from(rustix::io::read(&end, &mut [0]).is_err())
    })?;
    drop((reporter, end));
    let opened = match file::read_all(&report, REPORT_MAX).context("read from", "the mounting process")? {
        answer if answer == READY => {
            let path = format!("/proc/{}/ns/mnt", child.pid.as_raw_nonzero());
            rustix::fs::openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .context("open", path)
        }
        answer => Err(Error::from_bytes(&answer)
            .unwrap_or_else(|| Error::Corrupt("mount volumes: the process was killed".into()))),
    };
    drop(ender);
    let _ = fork::wait(&child.pidfd);
    Ok(Assembled { root, _namespace: Some(opened?) })
}

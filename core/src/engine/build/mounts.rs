//! `RUN --mount`: what a command sees beside the stage's files, and what of that is no part of its layer.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{super::root::Root, Build, layer::Bench, stage::Done};
use crate::{
    Context, Error, Result,
    build::{
        cache::Key,
        plan,
        state::join,
        transfer::{self, Request},
    },
    container::{
        record::{MountKind as PointKind, MountPoint},
        shelf::Lock,
    },
    digest::Digest,
    dockerfile::{
        Line, command,
        ignore::Patterns,
        mount::{Mount, MountKind, Sharing},
    },
    file,
    process::rootfs::Durability,
    store::Scratch,
};

/// The directory of the data root with the caches of `--mount=type=cache`.
pub(super) const CACHES: &str = "cache-mounts";
/// Where secrets appear if nobody says where.
const SECRETS: &str = "/run/secrets";

/// Mounts of a command that are open, as long as it runs.
#[derive(Default)]
pub(super) struct Opened {
    /// For the container's record.
    pub points: Vec<MountPoint>,
    /// Variables that secrets are put into.
    pub variables: Vec<(String, String)>,
    /// What the points' sources name by number.
    held: Vec<OwnedFd>,
    scratches: Vec<Scratch>,
}

impl Build<'_> {
    /// Reads the flags of a command.
    pub(super) fn mounts(&self, line: &Line<'_>, run: &command::Run<'_>, done: &Done) -> Result<Vec<Mount>> {
        let read = |text: &str| -> Result<Mount> {
            let mut mount = Mount::parse(text, |value| done.state.expand(value, self.task.said))
                .map_err(|why| self.wrong(line, why))?;
            let id = if mount.id.is_empty() { mount.source.clone() } else { mount.id.clone() };
            if matches!(mount.kind, MountKind::Secret | MountKind::Ssh) {
                mount.id = match (id.as_str(), mount.target.rsplit('/').next()) {
                    ("", Some(name)) if mount.kind == MountKind::Secret => name.into(),
                    ("", _) => "default".into(),
                    (id, _) => id.into(),
                };
            }
            if mount.kind == MountKind::Secret && mount.target.is_empty() && mount.env.is_none() {
                mount.target = format!("{SECRETS}/{}", mount.id);
            }
            if !mount.target.is_empty() {
                mount.target = join(&done.state.config.working_dir, &mount.target);
            }
            let why = match (mount.kind, mount.target.as_str()) {
                (MountKind::Ssh, _) => "RUN --mount=type=ssh is not there yet",
                (MountKind::Cache, _) if !mount.from.is_empty() => {
                    "RUN --mount=type=cache,from= is not there yet: an empty cache stays empty"
                }
                (_, "/") => "invalid mount target \"/\"",
                (MountKind::Secret, "") => return Ok(mount),
                (_, "") => "mount target is required",
                _ => return Ok(mount),
            };
            Err(self.wrong(line, why.into()))
        };
        run.mounts.iter().map(|text| read(text)).collect()
    }

    /// Adds what the mounts are to a key: definitions, and the content of what is bound, but no secrets and no caches.
    pub(super) fn describe_mounts(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        mounts: &[Mount],
        key: &mut Key,
    ) -> Result<()> {
        for mount in mounts {
            key.add("mount", format!("{mount:?}").as_bytes());
            if mount.kind == MountKind::Bind {
                let (tree, in_context) = self.mount_tree(stage, line, mount)?;
                let source = if mount.source.is_empty() { "." } else { &mount.source };
                let request = Request {
                    sources: vec![source.into()],
                    destination: "/".into(),
                    excludes: Patterns::default(),
                    keep_owner: !in_context,
                    ..Request::default()
                };
                let ignore = in_context.then_some(&self.task.context.ignore);
                let selection = transfer::select(tree.as_fd(), ignore, &request)
                    .map_err(|error| self.wrong(line, error.to_string()))?;
                let digest = selection.digest(self.hashes)?;
                key.add("mounted files", digest.to_string().as_bytes());
            }
        }
        Ok(())
    }

    /// What is bound from, and whether that is the context.
    fn mount_tree(&mut self, stage: usize, line: &Line<'_>, mount: &Mount) -> Result<(OwnedFd, bool)> {
        if mount.from.is_empty() {
            return Ok((self.task.context.root.try_clone().context("duplicate", "context")?, true));
        }
        let base = plan::from(self.task.file, stage, &mount.from).map_err(|why| self.wrong(line, why))?;
        Ok((self.tree_of(&base, line)?, false))
    }

    /// Opens what is to be mounted.
    pub(super) fn open_mounts(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        mounts: &[Mount],
        lock: &Lock,
    ) -> Result<Opened> {
        let mut opened = Opened::default();
        for (index, mount) in mounts.iter().enumerate() {
            let source = match mount.kind {
                MountKind::Bind => {
                    let (tree, _) = self.mount_tree(stage, line, mount)?;
                    let path = if mount.source.is_empty() { "." } else { &mount.source };
                    let source = file::in_root(&tree, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                    let source = source.map_err(|_| self.wrong(line, format!("{path:?}: not found")))?;
                    if mount.read_only { source } else { self.thrown_away(&source, &mut opened)? }
                }
                MountKind::Cache => self.cache_directory(mount)?,
                MountKind::Secret => {
                    let found = self.task.options.secrets.iter().find(|(id, _)| *id == mount.id);
                    let Some((_, content)) = found else {
                        if mount.required {
                            return Err(self.wrong(line, format!("secret {}: not found", mount.id)));
                        }
                        continue;
                    };
                    if let Some(name) = &mount.env {
                        let name = if name.is_empty() { &mount.id } else { name };
                        let text = String::from_utf8_lossy(content).into_owned();
                        opened.variables.push((name.clone(), text));
                    }
                    if mount.target.is_empty() {
                        continue;
                    }
                    secret(lock, index, content, mount)?
                }
                MountKind::Tmpfs | MountKind::Ssh => {
                    let mode = match mount.size_bytes {
                        0 => String::new(),
                        size => format!("size={size}"),
                    };
                    let point = MountPoint { kind: PointKind::Tmpfs, mode, ..MountPoint::default() };
                    opened.points.push(MountPoint { destination: mount.target.clone(), ..point });
                    continue;
                }
            };
            opened.points.push(MountPoint {
                kind: PointKind::Bind,
                source: format!("/proc/self/fd/{}", source.as_raw_fd()),
                destination: mount.target.clone(),
                read_only: mount.read_only || mount.kind == MountKind::Secret,
                ..MountPoint::default()
            });
            opened.held.push(source);
        }
        Ok(opened)
    }

    /// The same directory with changes that nobody keeps.
    fn thrown_away(&self, source: &OwnedFd, opened: &mut Opened) -> Result<OwnedFd> {
        let store = &self.engine.store;
        let scratch = store.scratch(&store.share()?)?;
        let copy = |fd: &OwnedFd| fd.try_clone().context("duplicate", "directory");
        let root = Root::new(vec![copy(source)?], copy(scratch.directory())?)?;
        opened.scratches.push(scratch);
        root.view(Durability::ThrownAway)
    }

    /// The directory of a cache, locked as its mount says as long as it is open.
    fn cache_directory(&self, mount: &Mount) -> Result<OwnedFd> {
        let data = &self.engine.data;
        let id = if mount.id.is_empty() { &mount.target } else { &mount.id };
        let caches = file::subdirectory(data, CACHES, 0o700).context("create directory", CACHES)?;
        let make = |name: &str| -> Result<()> {
            let is_new = file::directory(&caches, name).is_err();
            if is_new {
                file::subdirectory(&caches, name, 0o755).context("create directory", name)?;
                let (uid, gid) = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
                let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::chownat(&caches, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                    .context("change owner of", name)?;
                rustix::fs::chmodat(
                    &caches,
                    name,
                    Mode::from_raw_mode(mount.mode.unwrap_or(0o755)),
                    AtFlags::empty(),
                )
                .context("change mode of", name)?;
            }
            Ok(())
        };
        let name = Digest::of(id.as_bytes()).hex();
        for attempt in 0_u32.. {
            let name = match attempt {
                0 => name.as_str().to_string(),
                number => format!("{}-{number}", name.as_str()),
            };
            make(&name)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let locked =
                rustix::fs::openat(&caches, name.as_str(), flags, Mode::empty()).context("open", &name)?;
            let how = match mount.sharing {
                Some(Sharing::Locked) => FlockOperation::LockExclusive,
                Some(Sharing::Private) => FlockOperation::NonBlockingLockExclusive,
                Some(Sharing::Shared) | None => FlockOperation::LockShared,
            };
            match file::lock(&locked, how) {
                Ok(()) => return Ok(locked),
                // Somebody else has it for himself: another one.
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(Error::os("lock", name, errno)),
            }
        }
        unreachable!("there is always another number")
    }

    /// Takes away what was made in the changes for mounts to be put on, if nothing else has come there.
    pub(super) fn forget_places(&self, bench: &Bench, mounts: &[Mount]) -> Result<()> {
        if mounts.is_empty() {
            return Ok(());
        }
        let (upper, lower) = (bench.upper()?, bench.lower()?);
        for mount in mounts {
            let mut path = mount.target.trim_matches('/');
            loop {
                let was_there = file::in_root(&lower, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
                if path.is_empty() || was_there.is_ok() || !take_empty(&upper, path) {
                    break;
                }
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        Ok(())
    }
}

/// Removes an empty file or an empty directory. Whether that was done.
fn take_empty(upper: &OwnedFd, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    let Ok(parent) = file::without_links(upper, parent, OFlags::PATH | OFlags::DIRECTORY) else {
        return false;
    };
    let is_empty_file = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
            && stat.st_size == 0
    });
    let flags = if is_empty_file { AtFlags::empty() } else { AtFlags::REMOVEDIR };
    rustix::fs::unlinkat(&parent, name, flags).is_ok()
}

/// A file in memory with the content of a secret.
fn secret(lock: &Lock, index: usize, content: &[u8], mount: &Mount) -> Result<OwnedFd> {
    let name = format!("secret-{index}");
    file::create(&lock.directory, name.as_str(), content, mount.mode.unwrap_or(0o400))
        .context("write", &name)?;
    let (uid, gid) = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(&lock.directory, name.as_str(), owner.0, owner.1, nofollow)
        .context("change owner of", &name)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&lock.directory, name.as_str(), flags, Mode::empty()).context("open", &name)
}

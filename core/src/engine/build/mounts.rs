//! `RUN --mount`: what a command sees beside the stage's files, and what of that is no part of its layer.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid, renameat_with},
    io::Errno,
};

use super::{super::root::Root, Build, agent::Agent, layer::Bench, stage::Done, turn::wait_for_lock};
use crate::{
    Context, Result,
    build::{
        cache::Key,
        progress::Event,
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
/// Where agents do, with their number behind it.
const AGENTS: &str = "/run/buildkit/ssh_agent";

/// Mounts of a command that are open, as long as it runs.
#[derive(Default)]
pub(super) struct Opened {
    /// For the container's record.
    pub points: Vec<MountPoint>,
    /// Variables that secrets are put into.
    pub variables: Vec<(String, String)>,
    /// Where the first agent is.
    pub agent: Option<String>,
    /// What the points' sources name by number.
    held: Vec<OwnedFd>,
    scratches: Vec<Scratch>,
    agents: Vec<Agent>,
}

impl<'a> Build<'a> {
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
                (_, "/") => "invalid mount target \"/\"",
                (MountKind::Secret | MountKind::Ssh, "") => return Ok(mount),
                (_, "") => "mount target is required",
                _ => return Ok(mount),
            };
            Err(self.wrong(line, why.into()))
        };
        let mut mounts = run.mounts.iter().map(|text| read(text)).collect::<Result<Vec<_>>>()?;
        let agents = mounts.iter_mut().filter(|mount| mount.kind == MountKind::Ssh);
        for (number, mount) in agents.enumerate().filter(|(_, mount)| mount.target.is_empty()) {
            mount.target = format!("{AGENTS}.{number}");
        }
        Ok(mounts)
    }

    /// Adds what the mounts are to a key: definitions, and the content of what is bound and of what caches
    /// begin with, but no secrets, and not what is in a cache.
    pub(super) fn describe_mounts(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        mounts: &mut [Mount],
        key: &mut Key,
    ) -> Result<()> {
        for mount in mounts {
            key.add("mount", format!("{mount:?}").as_bytes());
            let is_cache = mount.kind == MountKind::Cache;
            if mount.kind == MountKind::Bind || is_cache && !mount.from.is_empty() {
                let (tree, ignore) = self.mount_tree(stage, line, mount)?;
                let request = content_of(mount, ignore.is_none());
                let mut selection = transfer::select(tree.as_fd(), ignore, &request)
                    .map_err(|error| self.wrong(line, error.to_string()))?;
                let digest = selection.digest(self.hashes, None)?;
                key.add("mounted files", digest.to_string().as_bytes());
                if is_cache {
                    // What begins with other files is another cache.
                    mount.id = format!("{} {digest}", cache_id(mount));
                }
            }
        }
        Ok(())
    }

    /// What a mount is from, and what is left out of it.
    fn mount_tree(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        mount: &Mount,
    ) -> Result<(OwnedFd, Option<&'a Patterns>)> {
        let from = match mount.from.as_str() {
            "" => None,
            name => Some(self.from(stage, name, line)?),
        };
        self.tree_of(from.as_ref(), line)
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
        let mut caches: Vec<(usize, &Mount)> =
            mounts.iter().enumerate().filter(|(_, mount)| mount.kind == MountKind::Cache).collect();
        // All commands take their locks in the same order, and nobody waits for who waits for him.
        crate::sort::by(&mut caches, |(_, a), (_, b)| cache_id(a).cmp(cache_id(b)));
        let mut caches = caches
            .into_iter()
            .map(|(index, mount)| Ok((index, self.cache_directory(stage, line, mount)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        for (index, mount) in mounts.iter().enumerate() {
            let source = match mount.kind {
                MountKind::Bind => {
                    let (tree, _) = self.mount_tree(stage, line, mount)?;
                    let path = if mount.source.is_empty() { "." } else { &mount.source };
                    let source = file::in_root(&tree, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                    let source = source.map_err(|_| self.wrong(line, format!("{path:?}: not found")))?;
                    if mount.read_only { source } else { self.thrown_away(&source, &mut opened)? }
                }
                MountKind::Cache => caches.remove(&index).expect("all caches are open"),
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
                MountKind::Ssh => {
                    let Some((_, path)) = self.task.options.ssh.iter().find(|(id, _)| *id == mount.id) else {
                        if mount.required {
                            let why = format!("no SSH key {:?} forwarded from the client", mount.id);
                            return Err(self
                                .wrong(line, why)
                                .hint("--ssh ID forwards the agent of SSH_AUTH_SOCK"));
                        }
                        continue;
                    };
                    let name = format!("agent-{index}");
                    opened.agents.push(Agent::pass_on(path, &lock.directory, &name)?);
                    opened.agent.get_or_insert_with(|| mount.target.clone());
                    owned(lock, &name, mount, 0o600)?
                }
                MountKind::Tmpfs => {
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
    fn cache_directory(&mut self, stage: usize, line: &Line<'_>, mount: &Mount) -> Result<OwnedFd> {
        let caches =
            file::subdirectory(&self.engine.data, CACHES, 0o700).context("create directory", CACHES)?;
        let hex = Digest::of(cache_id(mount).as_bytes()).hex();
        let mut number = 0_u32;
        loop {
            let name = match number {
                0 => hex.as_str().to_string(),
                number => format!("{}-{number}", hex.as_str()),
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = match rustix::fs::openat(&caches, name.as_str(), flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    self.make_cache(&caches, &name, stage, line, mount)?;
                    continue;
                }
                found => found.context("open", &name)?,
            };
            let mut idle = || self.tell(Event::Idle);
            let alone = FlockOperation::NonBlockingLockExclusive;
            match mount.sharing {
                Some(Sharing::Locked) => wait_for_lock(&found, alone, &mut idle)?,
                Some(Sharing::Shared) | None => {
                    wait_for_lock(&found, FlockOperation::NonBlockingLockShared, &mut idle)?;
                }
                Some(Sharing::Private) => match file::lock(&found, alone) {
                    // Somebody else has it for himself: another one.
                    Err(Errno::AGAIN) => {
                        number += 1;
                        continue;
                    }
                    locked => locked.context("lock", &name)?,
                },
            }
            // Unless it was pruned meanwhile.
            if is_named(&found, &caches, &name) {
                return Ok(found);
            }
        }
    }

    /// Makes a cache, which nobody sees before it is complete. Somebody else may be faster.
    fn make_cache(
        &mut self,
        caches: &OwnedFd,
        name: &str,
        stage: usize,
        line: &Line<'_>,
        mount: &Mount,
    ) -> Result<()> {
        let store = &self.engine.store;
        let scratch = store.scratch(&store.share()?)?;
        let at = scratch.directory();
        let made = file::subdirectory(at, name, 0o755).context("create directory", name)?;
        let (mut uid, mut gid, mut mode) = (0, 0, 0o755);
        if !mount.from.is_empty() {
            let (tree, _) = self.mount_tree(stage, line, mount)?;
            let request = content_of(mount, true);
            let selection = transfer::select(tree.as_fd(), None, &request)
                .map_err(|error| self.wrong(line, error.to_string()))?;
            if let Some(path) = selection.copy(transfer::Ground::plain(made.as_fd()))?.changed {
                return Err(transfer::changed(&path));
            }
            let path = request.sources[0].as_str();
            let from = file::in_root(&tree, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
            let from = from.map_err(|_| self.wrong(line, format!("{path:?}: not a directory")))?;
            let stat = rustix::fs::fstat(&from).context("stat", path)?;
            (uid, gid, mode) = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
        }
        let owner = (mount.uid.unwrap_or(uid), mount.gid.unwrap_or(gid));
        give(at, name, owner, mount.mode.unwrap_or(mode))?;
        match renameat_with(at, name, caches, name, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Ok(()),
            moved => moved.context("create directory", name),
        }
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

/// What a cache is found by.
fn cache_id(mount: &Mount) -> &str {
    if mount.id.is_empty() { &mount.target } else { &mount.id }
}

/// What a mount has of the tree that it is from. Owners are those of a stage or an image.
fn content_of(mount: &Mount, keep_owner: bool) -> Request {
    let source = if mount.source.is_empty() { "." } else { &mount.source };
    Request { sources: vec![source.into()], destination: "/".into(), keep_owner, ..Request::default() }
}

/// Whether that is still the name of an open directory.
fn is_named(directory: &OwnedFd, at: &OwnedFd, name: &str) -> bool {
    let named = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    match (rustix::fs::fstat(directory), named) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// Sets who a file or a directory belongs to, and its mode, which a change of the owner may have changed.
fn give(at: &OwnedFd, name: &str, (uid, gid): (u32, u32), mode: u32) -> Result<()> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(at, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
        .context("change owner of", name)?;
    rustix::fs::chmodat(at, name, Mode::from_raw_mode(mode), AtFlags::empty()).context("change mode of", name)
}

/// A file in memory with the content of a secret.
fn secret(lock: &Lock, index: usize, content: &[u8], mount: &Mount) -> Result<OwnedFd> {
    let name = format!("secret-{index}");
    file::create(&lock.directory, name.as_str(), content, 0o400).context("write", &name)?;
    owned(lock, &name, mount, 0o400)
}

/// Opens what was made in a run directory for a mount, whose owner and mode it gets.
fn owned(lock: &Lock, name: &str, mount: &Mount, usual_mode: u32) -> Result<OwnedFd> {
    let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    give(&lock.directory, name, owner, mount.mode.unwrap_or(usual_mode))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&lock.directory, name, flags, Mode::empty()).context("open", name)
}

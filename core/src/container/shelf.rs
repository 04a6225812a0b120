//! The containers on disk: finding, making, renaming, removing them, so that any process may be killed at any time.
//!
//! ```text
//! <data root>/containers/<id>/             a container: record.json, state, log.json, upper/, work/
//!                        .new-<id>/        one in the making: its record.json is locked by whoever makes it
//!                        by-name/<name>    a link whose text is the id in base64; it counts only if that record carries the name
//! <data root>/trash/<id>/                  removed, still to be deleted
//! <run root>/containers/<id>/              of a running one: lock (held by its monitor), sock, hosts, ...
//! ```

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};
use serde::de::DeserializeOwned;
use skiff_syscalls::descriptor;

use super::{
    names::{self, is_id},
    record::Record,
    state::{State, Status},
};
use crate::{Context, Error, Result, clock, file};

/// Largest record that is read, in bytes.
const RECORD_LIMIT: usize = 4 << 20;

/// How long the making of a container may take whose name somebody else wants.
const PATIENCE_NS: i64 = clock::SECOND;

/// How the small files are opened that every list looks into. Their names are made of ids.
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// All containers of one data root.
#[derive(Debug)]
pub struct Shelf {
    containers: OwnedFd,
    by_name: OwnedFd,
    trash: OwnedFd,
    running: OwnedFd,
}

/// One container that exists.
#[derive(Debug)]
pub struct Container {
    /// What it was created as.
    pub record: Record,
    /// Its directory.
    pub directory: OwnedFd,
}

/// Whose a name is.
enum Owner {
    Nobody,
    /// Of the container with this id, which is being made.
    Making(String),
    /// Of the container with this id, which carries it.
    Container(String),
}

/// The name of a container's directory in the making.
fn making(id: &str) -> String {
    format!(".new-{id}")
}

/// A container in the making. Dropped, it goes.
#[derive(Debug)]
pub struct Making<'a> {
    shelf: &'a Shelf,
    id: String,
    /// There until the container is.
    directory: Option<OwnedFd>,
    /// Its record, locked to show that somebody is at it.
    record: OwnedFd,
}

impl Making<'_> {
    /// The directory, which will have another name.
    fn directory(&self) -> &OwnedFd {
        self.directory.as_ref().expect("it is there until the container is")
    }

    /// Takes a name for the container.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another container has it.
    pub fn claim(&self, name: &str) -> Result<()> {
        self.shelf.claim_name(name, &self.id)
    }

    /// Puts the container with its first state on the shelf, under its id and the name that it has claimed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(mut self, record: Record) -> Result<Container> {
        file::write_all(&self.record, &record.to_json()).context("write", "record.json")?;
        State::default().create(self.directory(), "state").context("create", "state")?;
        let (containers, making) = (&self.shelf.containers, making(&self.id));
        rustix::fs::renameat(containers, making.as_str(), containers, self.id.as_str())
            .context("rename", &making)?;
        Ok(Container {
            record,
            directory: self.directory.take().expect("it is there until the container is"),
        })
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.directory.is_some() {
            let _ = file::remove_tree(&self.shelf.containers, making(&self.id).as_str());
        }
    }
}

impl Shelf {
    /// Opens the shelf below the two roots, and makes what is missing.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(data: impl AsFd, run: impl AsFd) -> Result<Shelf> {
        let make = |at: &dyn Fn() -> Result<OwnedFd, Errno>, name: &str| at().context("open", name);
        let containers = make(&|| file::subdirectory(&data, "containers", 0o711), "containers")?;
        Ok(Shelf {
            by_name: make(&|| file::subdirectory(&containers, "by-name", 0o700), "containers/by-name")?,
            trash: make(&|| file::subdirectory(&data, "trash", 0o700), "trash")?,
            running: make(&|| file::subdirectory(&run, "containers", 0o711), "containers")?,
            containers,
        })
    }

    /// Makes the directory of a new container, which nobody sees until it is [finished](Making::finish). `begin` is called
    /// with it at once.
    ///
    /// # Errors
    /// Of the file system.
    pub fn make(&self, id: &str, begin: impl FnOnce(&OwnedFd)) -> Result<Making<'_>> {
        let name = making(id);
        rustix::fs::mkdirat(&self.containers, name.as_str(), Mode::from_raw_mode(0o710))
            .context("create directory", format_args!("containers/{name}"))?;
        let make = || {
            let directory = file::directory(&self.containers, name.as_str()).context("open", &name)?;
            begin(&directory);
            let record =
                file::create(&directory, "record.json", &[], 0o600).context("create", "record.json")?;
            descriptor::lock(record.as_fd()).context("lock", "record.json")?;
            Ok(Making { shelf: self, id: id.into(), directory: Some(directory), record })
        };
        make().inspect_err(|_| {
            let _ = file::remove_tree(&self.containers, name.as_str());
        })
    }

    /// Makes a container and adds it.
    #[cfg(test)]
    pub fn add(&self, record: &Record) -> Result<Container> {
        let making = self.make(&record.id, |_| {})?;
        making.claim(&record.name)?;
        making.finish(record.clone())
    }

    /// Makes `name` a name of the container `id`.
    fn claim_name(&self, name: &str, id: &str) -> Result<()> {
        let link = names::to_link(id);
        match rustix::fs::symlinkat(link.as_str(), &self.by_name, name) {
            Err(Errno::EXIST) => {}
            other => return other.context("create link", name),
        }
        // Somebody has it, or is about to, or was killed.
        let deadline = clock::monotonic() + PATIENCE_NS;
        loop {
            let list = self.lock_names()?;
            match self.name_owner(name)? {
                Owner::Nobody => {
                    match rustix::fs::unlinkat(&self.by_name, name, AtFlags::empty()) {
                        Ok(()) | Err(Errno::NOENT) => {}
                        other => return other.context("remove link", name),
                    }
                    return rustix::fs::symlinkat(link.as_str(), &self.by_name, name)
                        .context("create link", name);
                }
                // It may be dying, and its children, which hold the lock as well, a moment later.
                Owner::Making(_) if clock::monotonic() < deadline => drop(list),
                Owner::Making(owner) | Owner::Container(owner) => {
                    return Err(Error::Conflict(format!(
                        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". \
                         You have to remove (or rename) that container to be able to reuse that name."
                    )));
                }
            }
            clock::sleep(1_000_000);
        }
    }

    /// The id that `name` is linked to.
    fn linked(&self, name: &str) -> Result<String, Errno> {
        names::from_link(&file::link_target(&self.by_name, name)?).ok_or(Errno::ILSEQ)
    }

    fn name_owner(&self, name: &str) -> Result<Owner> {
        let id = match self.linked(name) {
            Ok(id) => id,
            Err(Errno::NOENT | Errno::INVAL | Errno::ILSEQ) => return Ok(Owner::Nobody),
            Err(errno) => return Err(Error::os("read link", name, errno)),
        };
        let making = format!("{}/record.json", making(&id));
        if let Ok(record) = file::beneath(&self.containers, making.as_str(), OFlags::RDONLY, Mode::empty())
            && descriptor::is_locked(record.as_fd()).unwrap_or(false)
        {
            return Ok(Owner::Making(id));
        }
        let carried = self.load::<Named>(&id)?.is_some_and(|record| record.name == name);
        Ok(if carried { Owner::Container(id) } else { Owner::Nobody })
    }

    /// Reads the record of `id` as far as `T` goes; `None` if there is no such container.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is there and no record.
    pub fn load<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = format!("{id}/record.json");
        match file::read_still(&self.containers, path.as_str(), RECORD_LIMIT) {
            Ok(bytes) => crate::json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::Corrupt(format!("container {id}: record.json: {error}"))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::os("read", path, errno)),
        }
    }

    /// The ids of all containers, in no order.
    ///
    /// # Errors
    /// Of the file system.
    pub fn ids(&self) -> Result<Vec<String>> {
        let names = file::names(&self.containers, ".").context("list", "containers")?;
        Ok(names.into_iter().filter(|name| is_id(name)).collect())
    }

    /// The id that a user means: a whole id, a name, or the beginning of one id only.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] if several ids begin like this.
    pub fn resolve(&self, wanted: &str) -> Result<String> {
        let name = wanted.strip_prefix('/').unwrap_or(wanted);
        if is_id(name) && file::directory(&self.containers, name).is_ok() {
            return Ok(name.into());
        }
        if !name.is_empty() && !name.contains('/') && name != ".." {
            if let Ok(id) = self.linked(name)
                && self.load::<Named>(&id)?.is_some_and(|record| record.name == name)
            {
                return Ok(id);
            }
            if names::is_id_prefix(name) {
                let ids = self.ids()?;
                return match names::by_prefix(name, ids.iter().map(String::as_str)) {
                    Ok(id) => Ok(id.into()),
                    Err(none_or_several) => Err(none_or_several.error("container", wanted)),
                };
            }
        }
        Err(Error::NotFound(format!("No such container: {wanted}")))
    }

    /// Finds a container by id, name or beginning of an id.
    ///
    /// # Errors
    /// As [`Shelf::resolve`].
    pub fn find(&self, wanted: &str) -> Result<Container> {
        let id = self.resolve(wanted)?;
        let gone = || Error::NotFound(format!("No such container: {wanted}"));
        let record = self.load::<Record>(&id)?.ok_or_else(gone)?;
        let directory = file::directory(&self.containers, id.as_str()).map_err(|_| gone())?;
        Ok(Container { record, directory })
    }

    /// Opens the state file of a container, for reading or (by the holder of the lock) for writing.
    ///
    /// # Errors
    /// Of the file system.
    pub fn state_file(container: &Container, flags: OFlags) -> Result<OwnedFd> {
        file::beneath(&container.directory, "state", flags, Mode::empty()).context("open", "state")
    }

    /// What the container `id` is doing: what its monitor wrote, unless that is gone.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn state(&self, id: &str) -> Result<State> {
        let mut state = self.written_state(id)?;
        if state.status.is_active() && !self.is_monitored(id) {
            // The monitor may have ended properly between the two looks.
            if let Ok(again) = self.written_state(id) {
                state = again;
            }
            if state.status.is_active() {
                state.orphaned();
            }
        }
        Ok(state)
    }

    /// What the last monitor of the container `id` wrote down.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn written_state(&self, id: &str) -> Result<State> {
        let path = format!("{id}/state");
        match rustix::fs::openat(&self.containers, path.as_str(), LOOK, Mode::empty()) {
            Ok(open) => State::read(&open),
            Err(Errno::NOENT) => Err(Error::NotFound(format!("No such container: {id}"))),
            Err(errno) => Err(Error::os("open", path, errno)),
        }
    }

    /// Whether a living monitor holds the lock of the container `id`.
    pub fn is_monitored(&self, id: &str) -> bool {
        let path = format!("{id}/lock");
        rustix::fs::openat(&self.running, path.as_str(), LOOK, Mode::empty())
            .is_ok_and(|lock| descriptor::is_locked(lock.as_fd()).unwrap_or(false))
    }

    /// Takes the lock of the container `id`, which makes the caller the only one who may change its state, and gives
    /// its directory in the run root.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else holds it.
    pub fn lock(&self, id: &str) -> Result<Lock> {
        let directory = file::subdirectory(&self.running, id, 0o711).context("create directory", id)?;
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file =
            file::beneath(&directory, "lock", flags, Mode::from_raw_mode(0o600)).context("open", "lock")?;
        match descriptor::lock(file.as_fd()) {
            Ok(()) => Ok(Lock { file, directory }),
            Err(Errno::AGAIN | Errno::ACCESS) => {
                Err(Error::Conflict(format!("container {id} is busy: another command is working on it")))
            }
            Err(errno) => Err(Error::os("lock", id, errno)),
        }
    }

    /// As [`Shelf::lock`], for a container that is about to be made: only a sweep can be in the way, which has come across
    /// the directory before it was locked.
    ///
    /// # Errors
    /// Of the file system.
    pub fn lock_new(&self, id: &str) -> Result<Lock> {
        loop {
            match self.lock(id) {
                Ok(lock) if rustix::fs::fstat(&lock.file).is_ok_and(|stat| stat.st_nlink > 0) => {
                    return Ok(lock);
                }
                Ok(_) | Err(Error::Conflict(_) | Error::Os { errno: Errno::NOENT, .. }) => {
                    rustix::thread::sched_yield();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory that has those of running containers, by their ids.
    pub fn run_root(&self) -> &OwnedFd {
        &self.running
    }

    /// The directory of a running container in the run root.
    ///
    /// # Errors
    /// ENOENT.
    pub fn run_directory(&self, id: &str) -> Result<OwnedFd, Errno> {
        file::directory(&self.running, id)
    }

    /// Removes the run directory of a container that is gone, which [`Shelf::lock`] has made.
    pub fn forget_run_directory(&self, id: &str, lock: Lock) {
        let _ = file::remove_tree(&self.running, id);
        drop(lock);
    }

    /// Gives a container another name, and tells the one that it had. The name itself is what is fought for.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the name is taken.
    pub fn rename(&self, container: &mut Container, name: &str) -> Result<String> {
        self.claim_name(name, &container.record.id)?;
        let mut old = String::new();
        self.change(container, &mut |record| {
            old = core::mem::replace(&mut record.name, name.into());
            Ok(())
        })?;
        self.release_name(&old, &container.record.id)?;
        Ok(old)
    }

    /// Changes a record as it is on the shelf now, and the caller's copy with it. Changes come one after the other.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the container was removed meanwhile; what `change` says, and then nothing is changed.
    pub fn change(
        &self,
        container: &mut Container,
        change: &mut dyn FnMut(&mut Record) -> Result<()>,
    ) -> Result<()> {
        // The state file is the one that is never replaced.
        let state = Self::state_file(container, OFlags::RDONLY)?;
        file::lock(&state, FlockOperation::LockExclusive).context("lock", "state")?;
        let id = &container.record.id;
        let mut record: Record =
            self.load(id)?.ok_or_else(|| Error::NotFound(format!("No such container: {id}")))?;
        change(&mut record)?;
        let json = record.to_json();
        file::replace(&container.directory, "record.json", &json, 0o600).context("write", "record.json")?;
        container.record = record;
        Ok(())
    }

    /// Takes a name away from the container `id`, if it still has it.
    fn release_name(&self, name: &str, id: &str) -> Result<()> {
        let _list = self.lock_names()?;
        if self.linked(name).is_ok_and(|owner| owner == id) {
            let _ = rustix::fs::unlinkat(&self.by_name, name, AtFlags::empty());
        }
        Ok(())
    }

    /// Only the holder of this lock takes names away.
    fn lock_names(&self) -> Result<OwnedFd> {
        let list = file::beneath(&self.by_name, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .context("open", "by-name")?;
        file::lock(&list, FlockOperation::LockExclusive).context("lock", "by-name")?;
        Ok(list)
    }

    /// Takes a container off the shelf at once. Its name is free and its files are out of sight when this returns;
    /// [`Shelf::clear`] deletes them. The caller holds the lock. False if somebody else had taken it off before.
    ///
    /// # Errors
    /// Of the file system.
    pub fn discard(&self, record: &Record, _lock: &Lock) -> Result<bool> {
        let id = record.id.as_str();
        let state = format!("{id}/state");
        let state = file::beneath(&self.containers, state.as_str(), OFlags::RDWR, Mode::empty());
        let was_there = match rustix::fs::renameat(&self.containers, id, &self.trash, id) {
            Ok(()) => true,
            Err(Errno::NOENT) => false,
            Err(errno) => return Err(errno).context("rename", id),
        };
        if self.linked(&record.name).is_ok_and(|owner| owner == id) {
            let _ = rustix::fs::unlinkat(&self.by_name, record.name.as_str(), AtFlags::empty());
        }
        if let Ok(state) = state {
            let mut last = State::read(&state).unwrap_or_default();
            last.status = Status::Removed;
            let _ = last.write(&state);
        }
        Ok(was_there)
    }

    /// Deletes what is left of a container that was discarded.
    pub fn clear(&self, id: &str, lock: Lock) {
        self.forget_run_directory(id, lock);
        self.empty_trash(id);
    }

    fn empty_trash(&self, id: &str) {
        let _ = file::remove_tree(&self.trash, id);
    }

    /// The ids with a directory in the run root.
    pub fn run_ids(&self) -> Vec<String> {
        let names = file::names(&self.running, ".").unwrap_or_default();
        names.into_iter().filter(|name| is_id(name)).collect()
    }

    /// Removes those of these run directories whose container is gone.
    pub fn sweep_run_directories(&self, ids: &[String]) {
        for id in ids {
            // Who has the lock is about to make or to remove the container.
            if let Ok(lock) = self.lock(id)
                && file::directory(&self.containers, id.as_str()).is_err()
            {
                self.forget_run_directory(id, lock);
            }
        }
    }

    /// Finishes what killed processes left: containers half made, trash.
    pub fn sweep(&self) {
        for name in file::names(&self.containers, ".").unwrap_or_default() {
            if !name.starts_with(".new-") {
                continue;
            }
            let record = format!("{name}/record.json");
            let alive = file::beneath(&self.containers, record.as_str(), OFlags::RDONLY, Mode::empty())
                .is_ok_and(|record| descriptor::is_locked(record.as_fd()).unwrap_or(true));
            // A directory without a record may have been made this very moment: it is left until it is old.
            let old = rustix::fs::statat(&self.containers, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| {
                    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
                    now - stat.st_mtime > 10
                });
            if !alive && old {
                let _ = file::remove_tree(&self.containers, name.as_str());
            }
        }
        for name in file::names(&self.trash, ".").unwrap_or_default() {
            self.empty_trash(&name);
        }
    }
}

impl State {
    /// What is true of an active container whose monitor is gone: it was killed with it.
    pub fn orphaned(&mut self) {
        self.status = Status::Exited;
        self.exit_code = 137;
        self.pid = 0;
        self.monitor = 0;
        if self.error.is_empty() {
            self.error = "the container's monitor was killed".into();
        }
        if self.finished_ns < self.started_ns {
            self.finished_ns = self.started_ns;
        }
    }
}

/// The right to change a container's state. The kernel takes it back when the last holder is gone.
#[derive(Debug)]
pub struct Lock {
    /// The locked file.
    pub file: OwnedFd,
    /// The container's directory in the run root.
    pub directory: OwnedFd,
}

/// As much of a record as a name check needs.
#[derive(serde::Deserialize)]
struct Named {
    name: String,
}

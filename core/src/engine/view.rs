//! A container's file system, as a directory that the engine can look into: of one that runs the root of its process's
//! mount namespace, of one that doesn't an overlay that is mounted nowhere on the host.

use alloc::{format, string::String};

use rustix::{fd::OwnedFd, process::Pid};

use super::{Engine, joined::from_within};
use crate::{
    Error, Result,
    clock::{self, SECOND},
    container::{
        shelf::{Container, Lock},
        state::Status,
    },
    process::{
        namespaces::{self, Scope},
        user_namespace::UserNamespace,
        view::{Assembled, assemble},
    },
};

/// How long another command that works on the container may take.
const PATIENCE_NS: i64 = 60 * SECOND;

/// The root of a container's file system. Paths below it are only ever opened by openat2 inside it.
#[derive(Debug)]
pub struct View(Held);

#[derive(Debug)]
enum Held {
    Running(OwnedFd, Option<UserNamespace>),
    /// The lock keeps it from being started meanwhile; it goes last.
    Stopped(Assembled, #[allow(dead_code)] Lock),
}

impl View {
    /// The root.
    pub fn root(&self) -> &OwnedFd {
        match &self.0 {
            Held::Running(root, _) => root,
            Held::Stopped(assembled, _) => &assembled.root,
        }
    }

    /// The user namespace whose ids it shows, if not the host's.
    pub(super) fn space(&self) -> Option<&UserNamespace> {
        match &self.0 {
            Held::Running(_, space) => space.as_ref(),
            Held::Stopped(assembled, _) => assembled.space.as_ref(),
        }
    }
}

impl Engine {
    /// Opens the file system of a container, whatever it is doing.
    ///
    /// # Errors
    /// [`Error::Conflict`] while it restarts or somebody works on it, and for one on the host's own root that does not run.
    pub fn look_into(&self, container: &Container, scope: Scope) -> Result<View> {
        let (record, id) = (&container.record, container.record.id.as_str());
        let deadline = clock::monotonic() + PATIENCE_NS;
        loop {
            let state = self.shelf.state(id)?;
            match state.status {
                Status::Running | Status::Paused => {
                    let Ok(process) = self.hold(id, &state) else {
                        // It has just ended; its monitor will say so.
                        if clock::monotonic() > deadline {
                            return Err(Error::Conflict(format!("container {id} is not running")));
                        }
                        clock::sleep(2_000_000);
                        continue;
                    };
                    let pid = Pid::from_raw(state.pid).filter(|_| record.host.has_user_namespace());
                    let space = pid.map(UserNamespace::of);
                    // What was opened by its number belongs to the process if that still lives.
                    if space.is_some() && self.hold(id, &state).is_err() {
                        continue;
                    }
                    let space = space.transpose()?;
                    let open = |process: &OwnedFd| namespaces::open_root(process, scope);
                    let root = from_within(&process, &open, "the container's root")?;
                    return Ok(View(Held::Running(root, space)));
                }
                Status::Restarting => {
                    return Err(Error::Conflict(format!(
                        "Container {id} is restarting, wait until the container is running"
                    )));
                }
                _ => {}
            }
            if record.image.is_empty() {
                return Err(Error::Conflict(format!(
                    "container {id} is not running, and keeps what it changes of the host's root in memory"
                ))
                .hint("start it first"));
            }
            match self.shelf.lock(id) {
                Ok(lock) => return self.view_of_stopped(container, lock, scope),
                Err(Error::Conflict(_)) if clock::monotonic() < deadline => clock::sleep(2_000_000),
                Err(error) => return Err(error),
            }
        }
    }

    fn view_of_stopped(&self, container: &Container, lock: Lock, scope: Scope) -> Result<View> {
        let id = &container.record.id;
        if let Err(error) = self.shelf.find(id) {
            // It was removed meanwhile, and the lock has made its run directory again.
            self.shelf.forget_run_directory(id, lock);
            return Err(error);
        }
        let root = self.root(&container.record, &container.directory)?;
        let (upper, work): (String, String) = (root.changes("upper"), root.changes("work"));
        let with_mounts = scope == Scope::WithMounts;
        let cover = &self.run_path;
        let assembled = assemble(&container.record, &root.lowers(), [&upper, &work], with_mounts, cover)?;
        Ok(View(Held::Stopped(assembled, lock)))
    }
}

//! A container's process before it is one: made in a control group and in namespaces of its own, it waits for what it is
//! to be. The kernel needs most of a millisecond for that, so it is begun as early as can be: as soon as the settings are
//! known, or even [ahead](Engine::foresee) of them.

use alloc::{string::String, vec::Vec};

use rustix::fd::OwnedFd;

use super::{Engine, devices::Devices, root::Root};
use crate::{
    Context, Result,
    container::{names, record::Record, shelf::Lock},
    file,
    process::{
        cgroup::{Controllers, Group, Host, limits},
        launch::{self, Unborn},
        rootfs::Node,
    },
};

/// A process that waits in its control group for what it is to be.
#[derive(Debug)]
pub struct Prepared {
    pub(super) unborn: Unborn,
    pub(super) group: Group,
    host: Host,
    limits: Limits,
    /// What its root file system is made of, if that was opened.
    pub(super) root: Option<Root>,
}

/// The process of a container that nobody has asked for yet, in namespaces as most containers have them.
#[derive(Debug)]
pub struct Ahead {
    id: String,
    lock: Lock,
    host: Host,
    group: Group,
    unborn: Unborn,
}

impl Prepared {
    /// Ends it.
    pub fn abandon(self) {
        drop(self.unborn);
        end_group(&self.group);
    }

    /// Puts the limits of its group in force. What comes with it are the host's devices that it gets.
    ///
    /// # Errors
    /// A limit that the kernel does not take.
    pub(super) fn restrict(self) -> Result<(Unborn, Group, Vec<Node>)> {
        let Limits { plan, devices } = &self.limits;
        let restricted = self.group.apply(plan).and_then(|()| match &devices.rules {
            Some(rules) => self.group.restrict_devices(&self.host, rules),
            None => Ok(()),
        });
        match restricted {
            Ok(()) => Ok((self.unborn, self.group, self.limits.devices.nodes)),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }
}

/// The file in a run directory that says where the group is of a container without a record, if it is not in the usual
/// place.
const GROUP_PARENT: &str = "group-parent";

impl Engine {
    /// Makes a container's control group, and has its process made in there. The caller holds its lock.
    ///
    /// # Errors
    /// A limit that the host can't enforce; of the kernel.
    pub fn prepare(&self, record: &Record) -> Result<Prepared> {
        let host = Host::find()?;
        let limits = Limits::of(record, &host)?;
        let unborn = launch::conceive(&record.host, self.joined(record)?)?;
        let parent = record.host.cgroup_parent.as_str();
        let group = Group::create(&host, parent, &record.id, limits.controllers(), Controllers::ACCOUNTING)?;
        unborn.enter(group.directory());
        Ok(Prepared { unborn, group, host, limits, root: None })
    }

    /// Has the root file system mounted of a container that is being made in this directory. What goes wrong is tried
    /// again, and complained about, when it begins.
    pub fn lay_root(&self, prepared: &mut Prepared, record: &Record, directory: &OwnedFd) {
        if let Ok(root) = self.root(record, directory) {
            prepared.unborn.mount(
                &record.host,
                &root.lowers(),
                &root.changes("upper"),
                &root.changes("work"),
            );
            prepared.root = Some(root);
        }
    }

    /// As [`Engine::prepare`], for a container that is not on the shelf yet: the kernel is busy with the process while
    /// that is done. The container gets its lock, too, and perhaps another id. If this process is killed meanwhile, the
    /// sweep finds the group by the container's run directory.
    ///
    /// # Errors
    /// Of the file system. What is wrong with the process is for later, when there is a container that it is wrong with.
    pub fn prepare_ahead(&self, record: &mut Record) -> Result<(Lock, Result<Prepared>)> {
        match self.ahead.take() {
            Some(ahead) if launch::is_usual(&record.host) && record.host.cgroup_parent.is_empty() => {
                let Ahead { id, lock, host, group, unborn } = ahead;
                record.id = id;
                let adopt = || {
                    let limits = Limits::of(record, &host)?;
                    group.require(&host, "", limits.controllers())?;
                    Ok(limits)
                };
                let limits = adopt();
                let prepared = match limits {
                    Ok(limits) => Ok(Prepared { unborn, group, host, limits, root: None }),
                    Err(error) => {
                        drop(unborn);
                        end_group(&group);
                        Err(error)
                    }
                };
                Ok((lock, prepared))
            }
            other => {
                self.forget(other);
                let lock = self.lock_unshelved(record)?;
                let prepared = self.prepare(record);
                Ok((lock, prepared))
            }
        }
    }

    /// Locks a container that is on no shelf. Its run directory says where the sweep finds its group.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn lock_unshelved(&self, record: &Record) -> Result<Lock> {
        let lock = self.shelf.lock_new(&record.id)?;
        let parent = record.host.cgroup_parent.as_str();
        if !parent.is_empty() {
            file::create(&lock.directory, GROUP_PARENT, parent.as_bytes(), 0o600)
                .context("create", GROUP_PARENT)?;
        }
        Ok(lock)
    }

    /// Has a container's process made in a control group before anybody has said what it is to be: one that was
    /// conceived for usual settings. What can't be done now is tried again, and complained about, when somebody has.
    pub fn foresee(&self, unborn: Unborn) {
        let foresee = || -> Result<Ahead> {
            let id = names::new_id()?;
            let lock = self.shelf.lock_new(&id)?;
            let group = Host::find().and_then(|host| {
                let group = Group::create(&host, "", &id, Controllers::empty(), Controllers::ACCOUNTING)?;
                Ok((host, group))
            });
            match group {
                Ok((host, group)) => {
                    unborn.enter(group.directory());
                    Ok(Ahead { id, lock, host, group, unborn })
                }
                Err(error) => {
                    self.shelf.forget_run_directory(&id, lock);
                    Err(error)
                }
            }
        };
        self.ahead.replace(foresee().ok());
    }

    /// Ends what was foreseen and has not come.
    pub fn forget_ahead(&self) {
        self.forget(self.ahead.take());
    }

    fn forget(&self, ahead: Option<Ahead>) {
        if let Some(Ahead { id, lock, group, unborn, .. }) = ahead {
            drop(unborn);
            end_group(&group);
            self.shelf.forget_run_directory(&id, lock);
        }
    }

    /// The parent of the control group that was made for a container that has no record.
    pub(super) fn group_parent(&self, id: &str) -> String {
        let read = self.shelf.run_directory(id).and_then(|run| file::read(&run, GROUP_PARENT, 4096));
        read.ok().and_then(|path| String::from_utf8(path).ok()).unwrap_or_default()
    }
}

/// What holds for all processes of a container together.
#[derive(Debug)]
struct Limits {
    devices: Devices,
    plan: Vec<limits::Write>,
}

impl Limits {
    fn of(record: &Record, host: &Host) -> Result<Limits> {
        let devices = Devices::of(record)?;
        let plan = limits::plan(&record.resources, &mut device_numbers)?;
        host.can_enforce(&plan)?;
        Ok(Limits { devices, plan })
    }

    /// What the group needs for them.
    fn controllers(&self) -> Controllers {
        self.plan.iter().map(|write| write.controller).fold(Controllers::empty(), |all, one| all | one)
    }
}

/// How long the last processes of a group may take to go, in milliseconds.
const GROUP_GRACE_MS: u32 = 2000;

/// Ends what is left in a container's group, and the group. A group that can't be removed now is empty and in nobody's
/// way.
pub(super) fn end_group(group: &Group) {
    // Processes that share the host's pid namespace outlive their first one.
    if group.remove(0).is_err() {
        let _ = group.kill();
        let _ = group.remove(GROUP_GRACE_MS);
    }
}

/// Major and minor number of a block device of the host.
pub(super) fn device_numbers(path: &str) -> Result<(u32, u32)> {
    let device = rustix::fs::stat(path).context("stat", path)?.st_rdev;
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}

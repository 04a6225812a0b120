//! One run of a container's process: its control group, its network files, its root file system, and the launch.

use alloc::{format, string::String, vec::Vec};

use rustix::fd::AsFd;

use super::{Engine, create, devices::Devices, root::Root};
use crate::{
    Context, Result,
    container::{
        record::Record,
        shelf::{Container, Lock},
    },
    file::{self, CWD},
    process::{
        cgroup::{Controllers, Group, Host, limits},
        launch::{self, Launch, Started, Unborn},
        monitor::Running,
        rootfs::Node,
    },
};

/// A process that waits in its control group for what it is to be.
#[derive(Debug)]
pub struct Prepared {
    unborn: Unborn,
    group: Group,
    nodes: Vec<Node>,
}

impl Prepared {
    /// Ends it.
    pub fn abandon(self) {
        drop(self.unborn);
        end_group(&self.group);
    }
}

/// The file in a run directory that [`Engine::prepare_ahead`] writes if the group is not in the usual place.
const GROUP_PARENT: &str = "group-parent";

impl Engine {
    /// Makes a container's control group, and has its process made in there. The caller holds its lock.
    ///
    /// # Errors
    /// A limit that the host can't enforce; of the kernel.
    pub fn prepare(&self, record: &Record) -> Result<Prepared> {
        let devices = Devices::of(record)?;
        let group = control_group(record, &devices)?;
        match self.joined(record).and_then(|joined| launch::conceive(record, joined, group.directory())) {
            Ok(unborn) => Ok(Prepared { unborn, group, nodes: devices.nodes }),
            Err(error) => {
                end_group(&group);
                Err(error)
            }
        }
    }

    /// As [`Engine::prepare`], for a container that is not on the shelf yet: the kernel is busy with the process while
    /// that is done. If this process is killed meanwhile, the sweep finds the group by the container's run directory.
    ///
    /// # Errors
    /// As [`Engine::prepare`].
    pub fn prepare_ahead(&self, record: &Record, lock: &Lock) -> Result<Prepared> {
        let parent = record.host.cgroup_parent.as_str();
        if !parent.is_empty() {
            file::create(&lock.directory, GROUP_PARENT, parent.as_bytes(), 0o600)
                .context("create", GROUP_PARENT)?;
        }
        self.prepare(record)
    }

    /// The parent of the control group that was made for a container that has no record.
    pub(super) fn group_parent(&self, id: &str) -> String {
        let read = self.shelf.run_directory(id).and_then(|run| file::read(&run, GROUP_PARENT, 4096));
        read.ok().and_then(|path| String::from_utf8(path).ok()).unwrap_or_default()
    }

    /// Lets the process that was prepared become the container's program. The caller watches it from here on.
    ///
    /// # Errors
    /// As [`launch::start`].
    pub fn launch(
        &self,
        container: &Container,
        lock: &Lock,
        root: &Root,
        prepared: Prepared,
    ) -> Result<Running> {
        let Prepared { unborn, group, nodes } = prepared;
        let start = || -> Result<Started> {
            self.write_network_files(&container.record, lock)?;
            launch::start(Launch {
                record: &container.record,
                lowers: &root.lowers(),
                upper: &root.changes("upper"),
                work: &root.changes("work"),
                run_directory: lock.directory.as_fd(),
                nodes: &nodes,
                cover: &self.run_path,
                unborn,
            })
        };
        match start() {
            Ok(started) => Ok(Running { started, group }),
            Err(error) => {
                end_group(&group);
                Err(error)
            }
        }
    }

    /// hosts, hostname and resolv.conf, in the container's directory of the run root.
    fn write_network_files(&self, record: &Record, lock: &Lock) -> Result<()> {
        if self.copy_network_files(record, lock)? {
            return Ok(());
        }
        let own = |path: &str| file::read(CWD, path, 1 << 16).unwrap_or_default();
        let hosts = if record.host.network_mode == "host" && record.host.extra_hosts.is_empty() {
            own("/etc/hosts")
        } else {
            create::hosts(record)?.into_bytes()
        };
        let resolv_conf = create::resolv_conf(&record.host, &own("/etc/resolv.conf"));
        let hostname = format!("{}\n", record.hostname()).into_bytes();
        for (name, text) in [("hosts", hosts), ("resolv.conf", resolv_conf), ("hostname", hostname)] {
            file::replace(&lock.directory, name, &text, 0o644).context("write", name)?;
        }
        Ok(())
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

/// The group of a container, with its limits and device rules in force.
fn control_group(record: &Record, devices: &Devices) -> Result<Group> {
    let host = Host::find()?;
    let plan = limits::plan(&record.resources, &mut device_numbers)?;
    host.can_enforce(&plan)?;
    let needs = plan.iter().map(|write| write.controller).fold(Controllers::empty(), |all, one| all | one);
    let group = Group::create(&host, &record.host.cgroup_parent, &record.id, needs, Controllers::ACCOUNTING)?;
    let restrict = || -> Result<()> {
        group.apply(&plan)?;
        match &devices.rules {
            Some(rules) => group.restrict_devices(&host, rules),
            None => Ok(()),
        }
    };
    match restrict() {
        Ok(()) => Ok(group),
        Err(error) => {
            end_group(&group);
            Err(error)
        }
    }
}

/// Major and minor number of a block device of the host.
pub(super) fn device_numbers(path: &str) -> Result<(u32, u32)> {
    let device = rustix::fs::stat(path).context("stat", path)?.st_rdev;
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}

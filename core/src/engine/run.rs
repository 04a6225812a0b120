//! One run of a container's process: its control group, its network files, its root file system, and the launch.

use alloc::format;

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
        launch::{self, Launch, Started},
        monitor::Running,
        rootfs::Node,
    },
};

impl Engine {
    /// Starts a container's process in a control group of its own. The caller holds its lock and watches it from here
    /// on.
    ///
    /// # Errors
    /// A limit that the host can't enforce; as [`launch::start`].
    pub fn launch(&self, container: &Container, lock: &Lock, root: &Root) -> Result<Running> {
        let devices = Devices::of(&container.record)?;
        let group = control_group(&container.record, &devices)?;
        match self.launch_in(&group, &devices.nodes, container, lock, root) {
            Ok(started) => Ok(Running { started, group }),
            Err(error) => {
                end_group(&group);
                Err(error)
            }
        }
    }

    fn launch_in(
        &self,
        group: &Group,
        nodes: &[Node],
        container: &Container,
        lock: &Lock,
        root: &Root,
    ) -> Result<Started> {
        let record = &container.record;
        let joined = self.joined(record)?;
        self.write_network_files(record, lock)?;
        launch::start(Launch {
            record,
            lowers: &root.lowers(),
            upper: &root.changes("upper"),
            work: &root.changes("work"),
            run_directory: lock.directory.as_fd(),
            nodes,
            cover: &self.run_path,
            cgroup: group.directory(),
            joined,
        })
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

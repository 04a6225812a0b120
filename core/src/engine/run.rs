//! One run of a container's process, which was prepared: its network files, its root file system, and the launch.

use alloc::format;

use rustix::{fd::AsFd, io::Errno};

use super::{
    Engine, create,
    network::Connection,
    prepare::{Prepared, end_group},
    root::Root,
};
use crate::{
    Context, Result,
    container::{
        endpoint::Endpoint,
        record::Record,
        shelf::{Container, Lock},
    },
    file::{self, CWD},
    process::{
        launch::{self, Launch, Started},
        monitor::Running,
    },
};

impl Engine {
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
    ) -> Result<(Running, Option<Connection>)> {
        let Prepared { mut unborn, group, nodes, root: _ } = prepared;
        let start = || -> Result<(Started, Option<Connection>)> {
            let connection = self.connect(&container.record, lock, &mut unborn)?;
            self.write_network_files(&container.record, lock, connection.as_ref().map(|one| &one.endpoint))?;
            let started = launch::start(Launch {
                record: &container.record,
                lowers: &root.lowers(),
                upper: &root.changes("upper"),
                work: &root.changes("work"),
                run_directory: lock.directory.as_fd(),
                nodes: &nodes,
                cover: &self.run_path,
                unborn,
            })?;
            Ok((started, connection))
        };
        match start() {
            Ok((started, connection)) => Ok((Running { started, group }, connection)),
            Err(error) => {
                self.disconnect(&container.record.id, &lock.directory);
                end_group(&group);
                Err(error)
            }
        }
    }

    /// hosts, hostname and resolv.conf, in the container's directory of the run root.
    pub(super) fn write_network_files(
        &self,
        record: &Record,
        lock: &Lock,
        endpoint: Option<&Endpoint>,
    ) -> Result<()> {
        if self.copy_network_files(record, lock)? {
            return Ok(());
        }
        let own = |path: &str| file::read(CWD, path, 1 << 16).unwrap_or_default();
        let hosts = if record.host.network_mode == "host" && record.host.extra_hosts.is_empty() {
            own("/etc/hosts")
        } else {
            create::hosts(record, endpoint)?.into_bytes()
        };
        let mut servers = own("/etc/resolv.conf");
        if endpoint.is_some() {
            servers = create::reachable_servers(&servers);
        }
        let resolv_conf = create::resolv_conf(&record.host, &servers);
        let hostname = format!("{}\n", record.hostname()).into_bytes();
        for (name, text) in [("hosts", hosts), ("resolv.conf", resolv_conf), ("hostname", hostname)] {
            match file::create(&lock.directory, name, &text, 0o644) {
                // From the run before.
                Err(Errno::EXIST) => file::replace(&lock.directory, name, &text, 0o644),
                other => other.map(drop),
            }
            .context("write", name)?;
        }
        Ok(())
    }
}

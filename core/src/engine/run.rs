//! One run of a container's process, which was prepared: its network files, its root file system, and the launch.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    Engine, create,
    link::{self, Link},
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
        let (mut unborn, group, nodes) = prepared.restrict()?;
        let start = || -> Result<(Started, Option<Connection>)> {
            let connection = self.connect(&container.record, lock, &mut unborn)?;
            let endpoints = connection.as_ref().map_or(&[][..], |one| &one.endpoints);
            let links = self.links(&container.record, endpoints)?;
            self.write_network_files(&container.record, lock, endpoints, &links)?;
            let started = launch::start(Launch {
                record: &container.record,
                lowers: &root.lowers(),
                upper: &root.changes("upper"),
                work: &root.changes("work"),
                run_directory: lock.directory.as_fd(),
                nodes: &nodes,
                environment: &link::variables(&links),
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
    fn write_network_files(
        &self,
        record: &Record,
        lock: &Lock,
        endpoints: &[Endpoint],
        links: &[Link],
    ) -> Result<()> {
        if self.copy_network_files(record, lock)? {
            return Ok(());
        }
        let own = |path: &str| file::read(CWD, path, 1 << 16).unwrap_or_default();
        let hosts = if record.host.network_mode == "host" && record.host.extra_hosts.is_empty() {
            own("/etc/hosts")
        } else {
            let mut text = create::hosts(record, endpoints)?;
            text.extend(links.iter().map(Link::line));
            text.into_bytes()
        };
        let resolv_conf = self.resolv_conf(record, endpoints);
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

    /// What `resolv.conf` says of a container with these endpoints.
    fn resolv_conf(&self, record: &Record, endpoints: &[Endpoint]) -> Vec<u8> {
        let mut own = file::read(CWD, "/etc/resolv.conf", 1 << 16).unwrap_or_default();
        if !endpoints.is_empty() {
            own = create::reachable_servers(&own);
        }
        create::resolv_conf(&record.host, &own, self.responder_of(endpoints))
    }

    /// Changes the files for other endpoints of a container that runs. They are mounted there: they are written in place,
    /// and only where the container has not written itself.
    pub(super) fn rewrite_network_files(
        &self,
        record: &Record,
        run_directory: &OwnedFd,
        before: &[Endpoint],
        after: &[Endpoint],
    ) -> Result<()> {
        let read = |name: &str| file::read(run_directory, name, 1 << 20).context("read", name);
        let write = |name: &str, text: &[u8]| {
            let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = rustix::fs::openat(run_directory, name, flags, Mode::empty());
            open.and_then(|open| file::write_all(open, text)).context("write", name)
        };
        let hosts = String::from_utf8(read("hosts")?).unwrap_or_default();
        let mut lines: Vec<&str> = hosts.split_inclusive('\n').collect();
        let own = |endpoints: &[Endpoint]| -> Vec<String> {
            endpoints.iter().flat_map(|endpoint| create::own_lines(record, endpoint)).collect()
        };
        let (gone, now) = (own(before), own(after));
        lines.retain(|line| !gone.iter().any(|gone| gone == line) || now.iter().any(|now| now == line));
        let new: Vec<&str> = now.iter().map(String::as_str).filter(|now| !lines.contains(now)).collect();
        write("hosts", [lines, new].concat().concat().as_bytes())?;
        if read("resolv.conf")? == self.resolv_conf(record, before) {
            write("resolv.conf", &self.resolv_conf(record, after))?;
        }
        Ok(())
    }
}

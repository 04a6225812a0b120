//! `run`: create, start and stay with a container, for a client on the same connection. The process that calls this
//! becomes the container's monitor.

use alloc::{format, string::String};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::Mode,
    mount::MountAttrFlags,
};

use super::{Engine, create};
use crate::{
    Context, Result,
    container::{
        record::Record,
        shelf::{Container, Lock},
    },
    file::{self, CWD},
    process::{
        launch::{self, Joined, Launch, Started},
        monitor, rootfs,
    },
};

impl Engine {
    /// Starts a container's process. The caller holds its lock and watches it from here on.
    ///
    /// # Errors
    /// As [`launch::start`].
    pub fn launch(&self, container: &Container, lock: &Lock) -> Result<Started> {
        let record = &container.record;
        self.write_network_files(record, lock)?;
        // A container on the host's own root keeps its changes in memory: overlayfs refuses an upper inside its lower.
        let memory =
            rootfs::tmpfs("mode=755", MountAttrFlags::empty()).context("mount", "tmpfs for changes")?;
        for name in ["upper", "work"] {
            rustix::fs::mkdirat(&memory, name, Mode::from_raw_mode(0o755))
                .context("create directory", name)?;
        }
        let path = |name: &str| format!("/proc/self/fd/{}/{name}", memory.as_raw_fd());
        launch::start(Launch {
            record,
            lowers: &[String::from("/")],
            upper: &path("upper"),
            work: &path("work"),
            run_directory: lock.directory.as_fd(),
            cover: &self.run_path,
            cgroup: None,
            joined: Joined::default(),
        })
    }

    /// hosts, hostname and resolv.conf, in the container's directory of the run root.
    fn write_network_files(&self, record: &Record, lock: &Lock) -> Result<()> {
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

    /// Watches a started container to its end; see [`monitor::watch`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn watch(
        &self,
        container: &Container,
        lock: Lock,
        started: Started,
        client: Option<(OwnedFd, alloc::vec::Vec<u8>)>,
    ) -> Result<()> {
        let attached = client.map(|(connection, early)| monitor::Attached { connection, early });
        monitor::watch(&self.shelf, container, lock, started, attached)
    }

    /// Takes back a container that was created and could not be started.
    pub fn take_back(&self, container: &Container, lock: Lock) {
        let id = container.record.id.clone();
        if self.shelf.discard(&container.record, lock).is_ok() {
            self.shelf.empty_trash(&id);
        }
    }
}

//! The verbs, one file each: the only place that strings the stages together. A server child opens one [`Engine`] and
//! runs the verbs of one client on it.

pub mod attach;
pub mod build;
pub mod changes;
pub mod commit;
pub mod context;
pub mod copy;
pub mod create;
mod devices;
pub mod events;
pub mod exec;
pub mod export;
pub mod host;
pub mod image;
pub mod import;
mod joined;
mod link;
pub mod list;
pub mod load;
pub mod logs;
pub mod network;
pub mod pause;
pub mod prepare;
pub mod remove;
pub mod rename;
pub mod root;
pub mod run;
pub mod save;
pub mod signal;
pub mod size;
pub mod start;
pub mod stats;
pub mod supervise;
pub mod sweep;
pub mod top;
pub mod tree;
pub mod update;
pub mod view;
pub mod volume;
pub mod wait;
mod within;

use alloc::{format, string::String};
use core::cell::RefCell;

use rustix::{fd::OwnedFd, io::Errno};

use crate::{
    Error, Result,
    container::shelf::Shelf,
    events::Events,
    file,
    store::{Store, networks::BRIDGE},
};

/// Where an engine's things are, and what goes without saying there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The data root: what stays, images, containers, volumes.
    pub data_root: String,
    /// The run root: what lives until the next boot.
    pub run_root: String,
    /// The network of containers that name none.
    pub default_network: String,
}

/// The two roots, opened, and what lies on their shelves.
#[derive(Debug)]
pub struct Engine {
    /// Path of the data root, for messages and for mounts' display.
    pub data_path: String,
    /// Path of the run root.
    pub run_path: String,
    /// The data root.
    pub data: OwnedFd,
    /// The run root.
    pub run: OwnedFd,
    /// The containers.
    pub shelf: Shelf,
    /// The images.
    pub store: Store,
    /// Where it is told what happens.
    pub events: Events,
    /// The network of containers that name none.
    pub default_network: String,
    /// The process of a container that somebody is about to ask for.
    ahead: RefCell<Option<prepare::Ahead>>,
}

impl Engine {
    /// Where the data lives unless told otherwise.
    pub const DATA_ROOT: &str = "/var/lib/skiff";
    /// Where the state of what runs lives unless told otherwise.
    pub const RUN_ROOT: &str = "/run/skiff";

    /// As [`Engine::open`], with what goes without saying.
    ///
    /// # Errors
    /// Of the file system.
    pub fn with(settings: &Settings) -> Result<Engine> {
        let Settings { data_root, run_root, default_network } = settings;
        let opened = Engine::open(data_root, run_root).map_err(|error| match error {
            Error::Os { errno: Errno::ACCESS | Errno::PERM, .. } if !rustix::process::geteuid().is_root() => {
                let hint =
                    format!("containers are root's: sudo, or -H unix://{run_root}/skiff.sock for a daemon");
                Error::Forbidden(format!("use {data_root} and {run_root}: permission denied")).hint(&hint)
            }
            other => other,
        })?;
        Ok(Engine { default_network: default_network.clone(), ..opened })
    }

    /// Opens the same roots once more, for a process of its own.
    ///
    /// # Errors
    /// Of the file system.
    pub fn again(&self) -> Result<Engine> {
        let default_network = self.default_network.clone();
        Ok(Engine { default_network, ..Engine::open(&self.data_path, &self.run_path)? })
    }

    /// Opens the roots, and makes what is missing.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(data_path: &str, run_path: &str) -> Result<Engine> {
        let data = file::make_host_directories(data_path, 0o711)?;
        let run = file::make_host_directories(run_path, 0o711)?;
        // First, since nothing is written to a data root of another format.
        let store = Store::open(&data)?;
        let shelf = Shelf::open(&data, &run)?;
        let events = Events::new(&run)?;
        Ok(Engine {
            data_path: data_path.into(),
            run_path: run_path.into(),
            data,
            run,
            shelf,
            store,
            events,
            default_network: BRIDGE.into(),
            ahead: RefCell::new(None),
        })
    }
}

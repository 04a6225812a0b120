//! `network connect` and `disconnect`: a container comes to a network, or leaves it, while it runs, too.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FlockOperation, Mode, OFlags},
};

use super::{bridge, connect::Part, lease::Lease};
use crate::{
    Context, Error, Result,
    clock::{self, SECOND},
    container::{
        endpoint::{Endpoint, EndpointSettings},
        record::Record,
        state::{State, Status},
    },
    engine::{Engine, create},
    file, fork,
    process::control::Question,
    store::networks::{Driver, Network},
};

/// Most that is read of a file of endpoints.
const ENDPOINTS_MAX: usize = 1 << 20;
/// How long a container may take to start.
const PATIENCE_NS: i64 = 10 * SECOND;

/// The right to change the endpoints of a container that runs.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: OwnedFd,
}

impl Turn {
    /// Waits for it.
    pub fn wait(run_directory: &OwnedFd) -> Result<Turn> {
        let lock = file::lock_directory(run_directory, ".", FlockOperation::LockExclusive);
        Ok(Turn { _lock: lock.context("lock", "run directory")? })
    }
}

/// The endpoints of the container whose directory in the run root this is.
pub(super) fn endpoints_in(run_directory: &OwnedFd) -> Vec<Endpoint> {
    endpoints_at(run_directory, Endpoint::FILE)
}

/// The endpoints in the file of this path. It is never written to in place.
pub(super) fn endpoints_at(directory: &OwnedFd, path: &str) -> Vec<Endpoint> {
    let text = file::read_still(directory, path, ENDPOINTS_MAX).unwrap_or_default();
    crate::json::from_slice(&text).unwrap_or_default()
}

/// Writes them down.
pub(super) fn write_endpoints<'a>(
    run_directory: &OwnedFd,
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Result<()> {
    let all: Vec<&Endpoint> = endpoints.collect();
    let text = serde_json::to_vec(&all)
        .map_err(|error| Error::Invalid(format!("write {}: {error}", Endpoint::FILE)))?;
    file::replace(run_directory, Endpoint::FILE, &text, 0o600).context("create", Endpoint::FILE)
}

impl Engine {
    /// Connects a container to a network, now if it runs, and whenever it starts.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] if it is connected already or shares the network of something else;
    /// [`Error::Conflict`] if the address is taken.
    pub fn connect_network(&self, wanted: &str, container: &str, settings: &EndpointSettings) -> Result<()> {
        let network = self.store.find_network(wanted)?;
        let mut container = self.shelf.find(container)?;
        check_mode(&container.record, &network)?;
        create::networks::check(&network, settings)?;
        let name = network.name.as_str();
        let mut before = None;
        self.shelf.change(&mut container, &mut |record| {
            if record.network_names().contains(&name) {
                return Err(Error::Forbidden(format!(
                    "endpoint with name {} already exists in network {name}",
                    record.name
                )));
            }
            before = record.networks.clone();
            record.own_networks().insert(name.into(), settings.clone());
            Ok(())
        })?;
        match self.join_network(&container.record, &network, settings) {
            Ok(true) => self.tell_of_network(&network, "connect", &[("container", &container.record.id)]),
            Ok(false) => {}
            Err(error) => {
                self.shelf.change(&mut container, &mut |record| {
                    record.networks = before.take();
                    Ok(())
                })?;
                return Err(error);
            }
        }
        self.ask(&container.record, &Question::Update).map(drop)
    }

    /// Takes a container off a network.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] if it is not connected.
    pub fn disconnect_network(&self, wanted: &str, container: &str) -> Result<()> {
        let network = self.store.find_network(wanted)?;
        let mut container = self.shelf.find(container)?;
        check_mode(&container.record, &network)?;
        let name = network.name.as_str();
        self.shelf.change(&mut container, &mut |record| {
            if !record.network_names().contains(&name) {
                return Err(Error::Forbidden(format!(
                    "container {} is not connected to the network {name}",
                    record.id
                )));
            }
            record.own_networks().remove(name);
            Ok(())
        })?;
        if self.leave_network(&container.record, &network)? {
            self.tell_of_network(&network, "disconnect", &[("container", &container.record.id)]);
        }
        self.ask(&container.record, &Question::Update).map(drop)
    }

    /// Tells the networks that a container has another name.
    pub(in crate::engine) fn rename_on_networks(&self, record: &Record) -> Result<()> {
        for endpoint in self.endpoints(&record.id) {
            if let Some(network) = self.store.network(&endpoint.network)? {
                let settings = record.endpoint_settings(&network.name).cloned().unwrap_or_default();
                if let Some(leases) = self.present_leases(&endpoint.bridge) {
                    let lease = Lease::of(record, &settings, &network)?;
                    endpoint.addresses().try_for_each(|address| leases.rename(address, &lease))?;
                }
            }
        }
        Ok(())
    }

    /// Connects a container if it runs; whether it did.
    fn join_network(&self, record: &Record, network: &Network, settings: &EndpointSettings) -> Result<bool> {
        let Some(state) = self.settled(&record.id)? else { return Ok(false) };
        let Some(live) = self.live(record, &state)? else { return Ok(false) };
        let mut endpoints = endpoints_in(&live.run_directory);
        if endpoints.iter().any(|endpoint| endpoint.network_id == network.id) {
            // It has started meanwhile, and knew of it.
            return Ok(true);
        }
        let is_free = |name: &String| !endpoints.iter().any(|endpoint| endpoint.interface == *name);
        let mut names = settings
            .interface()
            .map(String::from)
            .into_iter()
            .chain((0..).map(|number| format!("eth{number}")));
        let part = Part {
            interface: names.find(is_free).unwrap_or_default(),
            has_default_route: !network.internal && !endpoints.iter().any(|one| one.has_default_route),
            ports: Vec::new(),
        };
        let before = endpoints.clone();
        let (endpoint, bridge) = self.endpoint(record, network, settings, part)?;
        endpoints.push(endpoint.clone());
        let joined = write_endpoints(&live.run_directory, endpoints.iter())
            .and_then(|()| bridge.attach(&endpoint, &live.namespace))
            .and_then(|()| self.rewrite_network_files(record, &live.run_directory, &before, &endpoints));
        if let Err(error) = joined {
            let _ = bridge::detach(&endpoint, &live.namespace);
            self.release(&record.id, core::slice::from_ref(&endpoint));
            write_endpoints(&live.run_directory, before.iter())?;
            return Err(error);
        }
        Ok(true)
    }

    /// Takes a container off a network if it runs; whether it did.
    fn leave_network(&self, record: &Record, network: &Network) -> Result<bool> {
        let Some(state) = self.settled(&record.id)? else { return Ok(false) };
        let Some(live) = self.live(record, &state)? else { return Ok(false) };
        let before = endpoints_in(&live.run_directory);
        let mut endpoints = before.clone();
        let Some(at) = endpoints.iter().position(|endpoint| endpoint.network_id == network.id) else {
            return Ok(false);
        };
        let gone = endpoints.remove(at);
        bridge::detach(&gone, &live.namespace)?;
        self.release(&record.id, core::slice::from_ref(&gone));
        if gone.has_default_route {
            for endpoint in &mut endpoints {
                if self.store.network(&endpoint.network)?.is_some_and(|network| !network.internal) {
                    bridge::lead_out(endpoint, &live.namespace)?;
                    endpoint.has_default_route = true;
                    break;
                }
            }
        }
        write_endpoints(&live.run_directory, endpoints.iter())?;
        self.rewrite_network_files(record, &live.run_directory, &before, &endpoints)?;
        Ok(true)
    }

    /// The state of a container, as soon as it is not about to start. None if it does not run.
    fn settled(&self, id: &str) -> Result<Option<State>> {
        let deadline = clock::monotonic() + PATIENCE_NS;
        loop {
            let state = self.shelf.state(id)?;
            match state.status {
                Status::Running | Status::Paused => return Ok(Some(state)),
                // Whoever starts it again reads what there is to connect.
                Status::Restarting => return Ok(None),
                _ if self.shelf.is_monitored(id) && clock::monotonic() < deadline => clock::sleep(2_000_000),
                _ => return Ok(None),
            }
        }
    }

    /// Takes hold of a container that runs. None if it has ended meanwhile.
    fn live(&self, record: &Record, state: &State) -> Result<Option<Live>> {
        let Ok(process) = self.hold(&record.id, state) else { return Ok(None) };
        let Ok(run_directory) = self.shelf.run_directory(&record.id) else { return Ok(None) };
        let turn = Turn::wait(&run_directory)?;
        let path = format!("/proc/{}/ns/net", state.pid);
        let namespace = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        // The number is its own as long as it has not ended; whoever disconnects it for that reason waits for us.
        if fork::heard([process.as_fd()].into_iter(), Some(&clock::timespec(0)))?.contains(&true) {
            return Ok(None);
        }
        Ok(Some(Live { namespace: namespace.context("open", path)?, run_directory, _turn: turn }))
    }
}

/// A container that runs, and whose endpoints nobody else changes.
struct Live {
    namespace: OwnedFd,
    run_directory: OwnedFd,
    _turn: Turn,
}

/// Whether a container can be on a network that was not said when it was made.
fn check_mode(record: &Record, network: &Network) -> Result<()> {
    let mode = record.host.network_mode.as_str();
    if network.driver != Driver::Bridge || matches!(mode, "host" | "none" | "") {
        return Err(Error::Forbidden(match (network.driver, mode) {
            (Driver::Host, _) | (_, "host") => {
                "container cannot be connected to host network or disconnected from it".into()
            }
            _ => String::from(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ),
        }));
    }
    if mode.starts_with("container:") {
        return Err(Error::Forbidden(
            "container sharing network namespace with another container or host cannot be connected to any other network"
                .into(),
        ));
    }
    Ok(())
}

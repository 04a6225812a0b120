//! Which networks a new container is to be on.

use alloc::{format, string::String, vec::Vec};
use core::net::IpAddr;

use serde::Deserialize;

use crate::{
    Error, Result,
    container::{
        config::{HostConfig, Map, nullable},
        endpoint::EndpointSettings,
    },
    engine::Engine,
    store::networks::{BRIDGE, Driver, Network},
};

/// What the body of a create request says of networks beside the network mode.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Wanted {
    /// The hardware address on the network of the mode.
    #[serde(deserialize_with = "nullable")]
    mac_address: String,
    #[serde(deserialize_with = "nullable")]
    networking_config: NetworkingConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingConfig {
    #[serde(deserialize_with = "nullable")]
    endpoints_config: Map<Option<EndpointSettings>>,
}

impl Engine {
    /// Completes the network mode, and tells what is asked for on which network; None if that is nothing special.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a network; [`Error::Invalid`] for what makes no sense on it.
    pub(super) fn wanted_networks(
        &self,
        wanted: Wanted,
        host: &mut HostConfig,
    ) -> Result<Option<Map<EndpointSettings>>> {
        let Wanted { mac_address, networking_config: NetworkingConfig { endpoints_config } } = wanted;
        if matches!(host.network_mode.as_str(), "" | "default") {
            host.network_mode.clone_from(&self.default_network);
        }
        let is_joined = host.network_mode.starts_with("container:");
        let mode = match is_joined {
            true => None,
            false => Some(self.named_network(&host.network_mode)?),
        };
        if let Some(network) = &mode {
            host.network_mode.clone_from(&network.name);
        }
        let of_bridge = mode.as_ref().filter(|network| network.driver == Driver::Bridge);
        let mut all: Vec<(Network, EndpointSettings)> = Vec::new();
        for (name, settings) in endpoints_config {
            let network = match name.as_str() {
                "default" => mode.clone(),
                name if is_joined && name == host.network_mode => None,
                name => Some(self.named_network(name)?),
            };
            all.extend(network.map(|network| (network, settings.unwrap_or_default())));
        }
        let Some(own) = of_bridge else {
            let is_own = |network: &Network| mode.as_ref().is_some_and(|mode| mode.name == network.name);
            return match all.iter().find(|(network, _)| !is_own(network)) {
                Some((network, _)) => Err(Error::Invalid(format!(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes: {} and {}",
                    host.network_mode, network.name
                ))),
                None if !mac_address.is_empty() => {
                    Err(Error::Invalid("conflicting options: mac-address and the network mode".into()))
                }
                None => Ok(None),
            };
        };
        if !all.iter().any(|(network, _)| network.name == own.name) {
            all.push((own.clone(), EndpointSettings::default()));
        }
        let mut networks = Map::new();
        for (network, mut settings) in all {
            if network.name == own.name {
                if settings.mac_address.is_empty() {
                    settings.mac_address.clone_from(&mac_address);
                }
                let others: Vec<String> =
                    host.links.iter().filter(|link| !settings.links.contains(link)).cloned().collect();
                settings.links.extend(others);
            }
            check(&network, &settings)?;
            networks.insert(network.name, settings);
        }
        let is_usual =
            networks.len() == 1 && networks.values().all(|one| *one == EndpointSettings::default());
        Ok((!is_usual).then_some(networks))
    }
}

impl Engine {
    /// The network that a request to make a container names. "Not found" is what clients take for a missing image.
    fn named_network(&self, name: &str) -> Result<Network> {
        self.store.find_network(name).map_err(|error| match error {
            Error::NotFound(why) => Error::Invalid(why),
            other => other,
        })
    }
}

/// Checks what a container asks for on a network.
///
/// # Errors
/// [`Error::Invalid`].
pub(in crate::engine) fn check(network: &Network, settings: &EndpointSettings) -> Result<()> {
    if network.driver != Driver::Bridge {
        return Err(Error::Invalid(format!(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes: {}",
            network.name
        )));
    }
    settings.check()?;
    let (v4, v6) = settings.addresses()?;
    let v6 = v6.map(IpAddr::V6);
    if network.name == BRIDGE {
        if v4.is_some() || v6.is_some() {
            return Err(Error::Invalid(
                "user specified IP address is supported on user defined networks only".into(),
            ));
        }
        if !settings.aliases.is_empty() {
            return Err(Error::Invalid(
                "network-scoped alias is supported only for containers in user defined networks".into(),
            ));
        }
    }
    if network.v6.is_none() && v6.is_some() {
        return Err(Error::Invalid(format!("network {} has no IPv6", network.name)));
    }
    for (address, pool) in [(v4.map(IpAddr::V4), Some(&network.v4)), (v6, network.v6.as_ref())] {
        if let (Some(address), Some(subnet)) = (address, pool.and_then(|pool| pool.subnet))
            && !subnet.has_host(address)
        {
            return Err(Error::Invalid(format!(
                "invalid IP address {address}: it does not belong to subnet {subnet} of network {}",
                network.name
            )));
        }
    }
    Ok(())
}

//! What a container has on its networks, as `inspect` and lists of containers show it.

use alloc::{collections::BTreeSet, format, string::String};

use super::{json::Json, network};
use crate::{
    container::{
        config::{Empty, Map},
        endpoint::{Endpoint, EndpointSettings, Published},
    },
    digest::Digest,
    engine::Engine,
};

/// `[{"PrivatePort": 80, "Type": "tcp"}]`, with the host's side of those that are published.
pub(super) fn write_ports<V>(json: &mut Json, exposed: &Map<V>, endpoints: &[Endpoint]) {
    let published = || endpoints.iter().flat_map(|endpoint| &endpoint.ports);
    json.open_array();
    let mut write = |inside: &str, outside: Option<&Published>| {
        let (port, kind) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let Ok(port) = port.parse::<u16>() else { return };
        json.open_object();
        if let Some(published) = outside {
            json.key("IP").string(&format!("{}", published.host_address));
            json.key("PrivatePort").number(port.into()).key("PublicPort").number(published.host_port.into());
        } else {
            json.key("PrivatePort").number(port.into());
        }
        json.key("Type").string(kind).close_object();
    };
    for published in published() {
        write(&published.inside, Some(published));
    }
    for inside in exposed.keys().filter(|inside| !published().any(|one| one.inside == **inside)) {
        write(inside, None);
    }
    json.close_array();
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`, null for those that are not published; of what runs.
pub(super) fn write_port_map(json: &mut Json, exposed: &Map<Empty>, endpoints: &[Endpoint]) {
    json.open_object();
    if endpoints.is_empty() {
        json.close_object();
        return;
    }
    let published = || endpoints.iter().flat_map(|endpoint| &endpoint.ports);
    let insides = published().map(|one| one.inside.as_str());
    let all: BTreeSet<&str> = exposed.keys().map(String::as_str).chain(insides).collect();
    for inside in all {
        json.key(inside);
        let mut bindings = published().filter(|one| one.inside == inside).peekable();
        if bindings.peek().is_none() {
            json.null();
            continue;
        }
        json.open_array();
        for binding in bindings {
            json.open_object().key("HostIp").string(&format!("{}", binding.host_address));
            json.key("HostPort").string(&format!("{}", binding.host_port)).close_object();
        }
        json.close_array();
    }
    json.close_object();
}

/// The id of what a container has on a network; both by their ids.
pub(super) fn endpoint_id(container: &str, network: &str) -> String {
    Digest::of(format!("{container} {network}").as_bytes()).hex().as_str().into()
}

/// What a container has on a network, or the same members with nothing in them but the hardware address that it wants.
pub(super) fn write_endpoint(json: &mut Json, id: &str, endpoint: Option<&Endpoint>, hardware: &str) {
    let text = |get: &dyn Fn(&Endpoint) -> String| endpoint.map(get).unwrap_or_default();
    json.key("MacAddress").string(endpoint.map_or(hardware, |one| &one.hardware_address));
    json.key("EndpointID").string(&text(&|one| endpoint_id(id, &one.network_id)));
    json.key("Gateway").string(&text(&|one| format!("{}", one.v4.gateway)));
    json.key("IPAddress").string(&text(&|one| format!("{}", one.v4.address)));
    json.key("IPPrefixLen").number(endpoint.map_or(0, |one| one.v4.prefix.into()));
    let six = endpoint.and_then(|one| one.v6);
    json.key("IPv6Gateway").string(&six.map_or_else(String::new, |six| format!("{}", six.gateway)));
    json.key("GlobalIPv6Address").string(&six.map_or_else(String::new, |six| format!("{}", six.address)));
    json.key("GlobalIPv6PrefixLen").number(six.map_or(0, |six| six.prefix.into()));
}

/// `{"none": {...}}`: the networks that a container is on, and what it asks for there.
pub(super) fn write_networks<'a>(
    json: &mut Json,
    engine: &Engine,
    id: &str,
    networks: impl Iterator<Item = (&'a str, EndpointSettings)>,
    endpoints: &[Endpoint],
) {
    json.open_object();
    for (name, settings) in networks {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.network == name);
        json.key(name).open_object().key("IPAMConfig").value(&settings.ipam_config);
        for (key, list) in [("Links", &settings.links), ("Aliases", &settings.aliases)] {
            match json.key(key) {
                json if list.is_empty() => json.null(),
                json => json.strings(list),
            };
        }
        json.key("DriverOpts");
        match settings.driver_opts.is_empty() {
            true => json.null(),
            false => json.value(&settings.driver_opts),
        };
        json.key("NetworkID");
        match endpoint {
            Some(endpoint) => json.string(&endpoint.network_id),
            None => json.string(&network::id_of(engine, name)),
        };
        write_endpoint(json, id, endpoint, &settings.mac_address);
        json.key("GwPriority").number(settings.gw_priority).key("DNSNames");
        match endpoint.map(|endpoint| &endpoint.names) {
            Some(names) if !names.is_empty() => json.strings(names),
            _ => json.null(),
        };
        json.close_object();
    }
    json.close_object();
}

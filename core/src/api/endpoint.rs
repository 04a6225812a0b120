//! What a container has on its network, as `inspect` and lists of containers show it.

use alloc::{collections::BTreeSet, format, string::String};

use super::{json::Json, network};
use crate::{
    container::{
        config::{Empty, Map},
        endpoint::{Endpoint, Published},
    },
    digest::Digest,
    engine::BRIDGE,
};

/// The networks that a container is on.
pub(super) fn network_names(mode: &str) -> &'static [&'static str] {
    match mode {
        "host" => &["host"],
        BRIDGE => &[BRIDGE],
        mode if mode.starts_with("container:") => &[],
        _ => &["none"],
    }
}

/// `[{"PrivatePort": 80, "Type": "tcp"}]`, with the host's side of those that are published.
pub(super) fn write_ports<V>(json: &mut Json, exposed: &Map<V>, endpoint: Option<&Endpoint>) {
    let published = endpoint.map_or(&[][..], |endpoint| &endpoint.ports);
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
    for published in published {
        write(&published.inside, Some(published));
    }
    for inside in exposed.keys().filter(|inside| !published.iter().any(|one| one.inside == **inside)) {
        write(inside, None);
    }
    json.close_array();
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`, null for those that are not published; of what runs.
pub(super) fn write_port_map(json: &mut Json, exposed: &Map<Empty>, endpoint: Option<&Endpoint>) {
    json.open_object();
    let Some(endpoint) = endpoint else {
        json.close_object();
        return;
    };
    let published = endpoint.ports.iter().map(|one| one.inside.as_str());
    let all: BTreeSet<&str> = exposed.keys().map(String::as_str).chain(published).collect();
    for inside in all {
        json.key(inside);
        let mut bindings = endpoint.ports.iter().filter(|one| one.inside == inside).peekable();
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

/// The id of what the container with this id has on its network.
pub(super) fn endpoint_id(container: &str) -> String {
    Digest::of(container.as_bytes()).hex().as_str().into()
}

/// What a container has on a network, or the same members with nothing in them.
pub(super) fn write_endpoint(json: &mut Json, id: &str, endpoint: Option<&Endpoint>) {
    let text = |get: &dyn Fn(&Endpoint) -> String| endpoint.map(get).unwrap_or_default();
    json.key("MacAddress").string(&text(&|one| one.hardware_address.clone()));
    json.key("EndpointID").string(&text(&|_| endpoint_id(id)));
    json.key("Gateway").string(&text(&|one| format!("{}", one.gateway)));
    json.key("IPAddress").string(&text(&|one| format!("{}", one.address)));
    json.key("IPPrefixLen").number(endpoint.map_or(0, |one| one.prefix.into()));
    json.key("IPv6Gateway").string("").key("GlobalIPv6Address").string("");
    json.key("GlobalIPv6PrefixLen").number(0);
}

/// `{"none": {...}}`
pub(super) fn write_networks(json: &mut Json, mode: &str, id: &str, endpoint: Option<&Endpoint>) {
    json.open_object();
    for &name in network_names(mode) {
        json.key(name).open_object();
        for key in ["IPAMConfig", "Links", "Aliases", "DriverOpts"] {
            json.key(key).null();
        }
        json.key("NetworkID").string(network::id_of(name));
        write_endpoint(json, id, endpoint);
        json.key("GwPriority").number(0).key("DNSNames").null().close_object();
    }
    json.close_object();
}

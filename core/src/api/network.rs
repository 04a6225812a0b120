//! `/networks`: those that are always there, `bridge`, `host` and `none`.

use super::{endpoint::endpoint_id, exchange::Exchange, filters::Filters, json::Json};
use crate::{
    Error, Result,
    clock::Time,
    engine::{BRIDGE, BRIDGE_ID, Engine},
    events::Kind,
};

/// Name, driver and id of a network that is always there. The ids are the SHA-256 sums of the names.
const NETWORKS: [(&str, &str, &str); 3] = [
    (BRIDGE, "bridge", BRIDGE_ID),
    ("host", "host", "4740ae6347b0172c01254ff55bae5aff5199f4446e7f6d643d40185b3f475145"),
    ("none", "null", "140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe"),
];

/// The id of a network.
pub(super) fn id_of(name: &str) -> &'static str {
    NETWORKS.iter().find(|(known, ..)| *known == name).map_or("", |(.., id)| id)
}

fn write(json: &mut Json, (name, driver, id): (&str, &str, &str), engine: &Engine) {
    // They are as old as the data root.
    let created = rustix::fs::fstat(&engine.data)
        .map_or(Time::NEVER, |stat| Time::from_unix(stat.st_ctime, stat.st_ctime_nsec as u32));
    json.open_object().key("Name").string(name).key("Id").string(id);
    json.key("Created").string(&alloc::format!("{created}")).key("Scope").string("local");
    json.key("Driver").string(driver).key("EnableIPv4").boolean(true).key("EnableIPv6").boolean(false);
    json.key("IPAM").open_object().key("Driver").string("default").key("Options").null();
    json.key("Config").open_array();
    let bridge = (name == BRIDGE).then(|| engine.bridge_name());
    if bridge.is_some()
        && let Some(subnet) = engine.bridge_subnet()
    {
        json.open_object().key("Subnet").string(&alloc::format!("{subnet}"));
        json.key("Gateway").string(&alloc::format!("{}", subnet.gateway())).close_object();
    }
    json.close_array().close_object();
    json.key("Internal").boolean(false).key("Attachable").boolean(false).key("Ingress").boolean(false);
    json.key("ConfigFrom").open_object().key("Network").string("").close_object();
    json.key("ConfigOnly").boolean(false).key("Containers").open_object();
    let connected = bridge.is_some().then(|| engine.on_bridge());
    for (record, endpoint) in connected.iter().flatten() {
        json.key(&record.id).open_object().key("Name").string(&record.name);
        json.key("EndpointID").string(&endpoint_id(&record.id));
        json.key("MacAddress").string(&endpoint.hardware_address);
        let address = alloc::format!("{}/{}", endpoint.address, endpoint.prefix);
        json.key("IPv4Address").string(&address).key("IPv6Address").string("").close_object();
    }
    json.close_object();
    json.key("Options").open_object();
    if let Some(bridge) = bridge {
        json.key("com.docker.network.bridge.name").string(&bridge);
        json.key("com.docker.network.bridge.default_bridge").string("true");
    }
    json.close_object().key("Labels").open_object().close_object();
    json.close_object();
}

/// `GET /networks`
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let known = ["name", "id", "driver", "type", "scope", "label", "dangling"];
    let filters = Filters::parse(exchange.query.text("filters")?, &known)?;
    let unused = filters.flag("dangling")?;
    let mut json = Json::new();
    json.open_array();
    for network in NETWORKS {
        let (name, driver, id) = network;
        if filters.allows_if("name", |part| name.contains(part))
            && filters.allows_if("id", |part| id.starts_with(part))
            && filters.allows("driver", driver)
            && filters.allows("type", "builtin")
            && filters.allows("scope", "local")
            && filters.allows_labels(|_| None)
            && unused != Some(true)
        {
            write(&mut json, network, engine);
        }
    }
    json.close_array();
    exchange.reply(200, json)
}

/// `GET /networks/{}`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let wanted = exchange.name();
    let found = NETWORKS.into_iter().find(|(name, _, id)| *name == wanted || is_prefix(wanted, id));
    let network = found.ok_or_else(|| Error::NotFound(alloc::format!("network {wanted} not found")))?;
    let mut json = Json::new();
    write(&mut json, network, engine);
    exchange.reply(200, json)
}

fn is_prefix(text: &str, id: &str) -> bool {
    !text.is_empty() && id.starts_with(text)
}

/// `DELETE /networks/{}`
pub(super) fn remove(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let wanted = exchange.name();
    if NETWORKS.iter().any(|(name, _, id)| *name == wanted || is_prefix(wanted, id)) {
        let message = alloc::format!("{wanted} is a pre-defined network and cannot be removed");
        return exchange.reply_message(403, &message);
    }
    Err(Error::NotFound(alloc::format!("network {wanted} not found")))
}

/// `POST /networks/prune`
pub(super) fn prune(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    Filters::parse(exchange.query.text("filters")?, &["label", "label!", "until"])?;
    let mut json = Json::new();
    engine.tell_prune(Kind::Network, 0);
    json.open_object().key("NetworksDeleted").null().close_object();
    exchange.reply(200, json)
}

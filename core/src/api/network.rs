//! `/networks`: create, list, inspect, remove, prune, connect, disconnect.

use alloc::{format, string::String};

use serde::Deserialize;

use super::{endpoint::endpoint_id, exchange::Exchange, filters::Filters, json::Json};
use crate::{
    Result,
    clock::Time,
    container::{config::nullable, endpoint::EndpointSettings},
    engine::{
        Engine,
        network::{CreateNetwork, LIST_FILTERS, PRUNE_FILTERS},
    },
    events::Kind,
    store::networks::{BRIDGE, Driver, Network},
};

/// `POST /networks/create`
pub(super) fn create(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let request: CreateNetwork = exchange.json()?;
    let network = engine.create_network(&request)?;
    let mut json = Json::new();
    json.open_object().key("Id").string(&network.id).key("Warning").string("").close_object();
    exchange.reply(201, json)
}

/// Whether it is told which containers are on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Told,
    Left,
}

fn write(json: &mut Json, network: &Network, engine: &Engine, members: Members) {
    let created = match network.is_built_in() {
        // They are as old as the data root.
        true => rustix::fs::fstat(&engine.data)
            .map_or(Time::NEVER, |stat| Time::from_unix(stat.st_ctime, stat.st_ctime_nsec as u32)),
        false => network.created,
    };
    json.open_object().key("Name").string(&network.name).key("Id").string(&network.id);
    json.key("Created").string(&format!("{created}")).key("Scope").string("local");
    json.key("Driver").string(network.driver.name());
    json.key("EnableIPv4").boolean(true).key("EnableIPv6").boolean(network.v6.is_some());
    json.key("IPAM").open_object().key("Driver").string("default").key("Options").null();
    json.key("Config").open_array();
    let is_bridge = network.driver == Driver::Bridge;
    for pool in network.pools().filter(|_| is_bridge) {
        let Some(subnet) = pool.subnet.or_else(|| engine.given_subnet(network)) else { continue };
        json.open_object().key("Subnet").string(&format!("{subnet}"));
        if let Some(range) = pool.ip_range {
            json.key("IPRange").string(&format!("{range}"));
        }
        json.key("Gateway").string(&format!("{}", pool.gateway_in(subnet)));
        if !pool.auxiliary.is_empty() {
            json.key("AuxiliaryAddresses").value(&pool.auxiliary);
        }
        json.close_object();
    }
    json.close_array().close_object();
    json.key("Internal").boolean(network.internal).key("Attachable").boolean(network.attachable);
    json.key("Ingress").boolean(false);
    json.key("ConfigFrom").open_object().key("Network").string("").close_object();
    json.key("ConfigOnly").boolean(false).key("Containers").open_object();
    let connected = (is_bridge && members == Members::Told).then(|| engine.connected(network));
    for (id, name, endpoint) in connected.iter().flatten() {
        json.key(id).open_object().key("Name").string(name);
        json.key("EndpointID").string(&endpoint_id(id, &network.id));
        json.key("MacAddress").string(&endpoint.hardware_address);
        json.key("IPv4Address").string(&format!("{}/{}", endpoint.v4.address, endpoint.v4.prefix));
        let six = endpoint.v6.map_or_else(String::new, |six| format!("{}/{}", six.address, six.prefix));
        json.key("IPv6Address").string(&six).close_object();
    }
    json.close_object();
    let mut options = network.options.clone();
    if network.name == BRIDGE {
        let own = |name: &str| format!("com.docker.network.bridge.{name}");
        options.insert(own("name"), engine.bridge_name(network));
        options.insert(own("default_bridge"), "true".into());
    }
    json.key("Options").value(&options).key("Labels").value(&network.labels);
    json.close_object();
}

/// `GET /networks`
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &LIST_FILTERS)?;
    let networks = engine.list_networks(&filters)?;
    let mut json = Json::new();
    json.open_array();
    networks.iter().for_each(|network| write(&mut json, network, engine, Members::Left));
    json.close_array();
    exchange.reply(200, json)
}

/// `GET /networks/{}`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let network = engine.store.find_network(exchange.name())?;
    let mut json = Json::new();
    write(&mut json, &network, engine, Members::Told);
    exchange.reply(200, json)
}

/// `DELETE /networks/{}`
pub(super) fn remove(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    engine.remove_network(exchange.name())?;
    exchange.reply_empty(204)
}

/// `POST /networks/prune`
pub(super) fn prune(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &PRUNE_FILTERS)?;
    let removed = engine.prune_networks(&filters)?;
    engine.tell_prune(Kind::Network, 0);
    let mut json = Json::new();
    json.open_object().key("NetworksDeleted");
    match removed.is_empty() {
        true => json.null(),
        false => json.strings(&removed),
    };
    json.close_object();
    exchange.reply(200, json)
}

/// The body of connect and disconnect requests.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Membership {
    #[serde(deserialize_with = "nullable")]
    container: String,
    #[serde(deserialize_with = "nullable")]
    endpoint_config: EndpointSettings,
}

/// `POST /networks/{}/connect`
pub(super) fn connect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let Membership { container, endpoint_config } = exchange.json()?;
    engine.connect_network(exchange.name(), &container, &endpoint_config)?;
    exchange.reply_empty(200)
}

/// `POST /networks/{}/disconnect`. There is no container that can't be taken off without `Force`.
pub(super) fn disconnect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let Membership { container, .. } = exchange.json()?;
    engine.disconnect_network(exchange.name(), &container)?;
    exchange.reply_empty(200)
}

/// The id of a network; empty if it is gone.
pub(super) fn id_of(engine: &Engine, name: &str) -> String {
    engine.store.network(name).ok().flatten().map_or_else(String::new, |network| network.id)
}

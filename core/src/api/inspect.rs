//! `GET /containers/{}/json`: everything about one container, in the shape that Docker gives it.

use alloc::{format, string::String};

use super::{
    container_list::{time, write_mounts},
    endpoint::{write_endpoint, write_networks, write_port_map},
    exchange::Exchange,
    json::Json,
};
use crate::{
    Result,
    container::{
        config::Config,
        record::Record,
        state::{State, Status},
    },
    engine::Engine,
    file,
    process::{
        file_systems::{MASKED, READ_ONLY},
        monitor::health::FILE_NAME,
    },
    store::networks::BRIDGE,
};

/// `GET /containers/{}/json`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let record = engine.shelf.find(exchange.name())?.record;
    let state = engine.shelf.state(&record.id)?;
    let mut json = Json::new();
    write(&mut json, &record, &state, engine);
    if exchange.query.flag("size") {
        let [changed, total] = engine.container_size(&record);
        json.key("SizeRw").unsigned(changed).key("SizeRootFs").unsigned(total);
    }
    json.close_object();
    exchange.reply(200, json)
}

fn write(json: &mut Json, record: &Record, state: &State, engine: &Engine) {
    let id = &record.id;
    let in_run = |name: &str| format!("{}/containers/{id}/{name}", engine.run_path);
    let in_data = |name: &str| format!("{}/containers/{id}/{name}", engine.data_path);
    let mut words = record.arguments();
    json.open_object().key("Id").string(id);
    json.key("Created").string(&format!("{}", time(record.created_ns)));
    json.key("Path").string(words.next().unwrap_or("")).key("Args").open_array();
    for word in words {
        json.string(word);
    }
    json.close_array().key("State");
    write_state(json, state, &health(engine, record, state));
    json.key("Image").string(&record.image);
    json.key("ResolvConfPath").string(&in_run("resolv.conf"));
    json.key("HostnamePath").string(&in_run("hostname"));
    json.key("HostsPath").string(&in_run("hosts"));
    let has_log = record.host.log_config.driver != "none";
    json.key("LogPath").string(&if has_log { in_data("log.json") } else { "".into() });
    json.key("Name").string(&format!("/{}", record.name));
    json.key("RestartCount").unsigned(state.restarts.into());
    json.key("Driver").string("overlay").key("Platform").string("linux");
    for key in ["MountLabel", "ProcessLabel", "AppArmorProfile"] {
        json.key(key).string("");
    }
    json.key("ExecIDs");
    match engine.running_execs(&record.id) {
        none if none.is_empty() => json.null(),
        some => json.strings(&some),
    };
    json.key("HostConfig");
    write_host_config(json, record);
    json.key("GraphDriver").open_object().key("Name").string("overlay").key("Data").open_object();
    json.key("UpperDir").string(&in_data("upper")).key("WorkDir").string(&in_data("work"));
    json.close_object().close_object();
    json.key("Mounts");
    write_mounts(json, &record.mounts, &|place| record.host.tmpfs.contains_key(place));
    json.key("Config").value(&Config { hostname: record.hostname().into(), ..record.config.clone() });
    json.key("NetworkSettings").open_object();
    for key in ["Bridge", "SandboxID", "SandboxKey"] {
        json.key(key).string("");
    }
    json.key("HairpinMode").boolean(false);
    json.key("LinkLocalIPv6Address").string("").key("LinkLocalIPv6PrefixLen").number(0);
    let endpoints = engine.endpoints(id);
    // Docker's clients of long ago know of one network only.
    write_endpoint(json, id, endpoints.iter().find(|endpoint| endpoint.network == BRIDGE), "");
    json.key("Ports");
    write_port_map(json, &record.config.exposed_ports, &endpoints);
    json.key("SecondaryIPAddresses").null().key("SecondaryIPv6Addresses").null();
    json.key("Networks");
    let networks = record.network_names().into_iter();
    let networks = networks.map(|name| (name, record.endpoint_settings(name).cloned().unwrap_or_default()));
    write_networks(json, engine, id, networks, &endpoints);
    json.close_object();
}

/// The settings that belong to this host and the limits, with the defaults that are in force.
fn write_host_config(json: &mut Json, record: &Record) {
    let mut host = record.host.clone();
    for (field, default) in [
        (&mut host.network_mode, "none"),
        (&mut host.ipc_mode, "private"),
        (&mut host.cgroupns_mode, "private"),
        (&mut host.runtime, "skiff"),
        (&mut host.log_config.driver, "json-file"),
        (&mut host.restart_policy.name, "no"),
    ] {
        if field.is_empty() || field == "default" {
            *field = default.into();
        }
    }
    if host.shm_size == 0 {
        host.shm_size = 64 << 20;
    }
    if !host.privileged {
        let all = |paths: &[&str]| Some(paths.iter().map(|path| (*path).into()).collect());
        host.masked_paths = host.masked_paths.or_else(|| all(&MASKED));
        host.readonly_paths = host.readonly_paths.or_else(|| all(&READ_ONLY));
    }
    // Two structures here, one object there; and what can't be set on Linux or with cgroup2.
    let (mut whole, mut limits) = (Json::new(), Json::new());
    whole.value(&host);
    limits.value(&record.resources);
    let (first, second) = (whole.as_str(), limits.as_str());
    json.raw(&format!(
        "{},{},\"Cgroup\":\"\",\"CpuRealtimePeriod\":0,\"CpuRealtimeRuntime\":0,\"CpuCount\":0,\
         \"CpuPercent\":0,\"IOMaximumIOps\":0,\"IOMaximumBandwidth\":0}}",
        first.strip_suffix('}').unwrap_or(first),
        second.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(second),
    ));
}

/// What is known of a container's health, as JSON; empty without health checks.
fn health(engine: &Engine, record: &Record, state: &State) -> String {
    if state.health.is_empty() {
        return String::new();
    }
    let written = engine.shelf.run_directory(&record.id).and_then(|run| file::read(&run, FILE_NAME, 1 << 20));
    match written.map(String::from_utf8) {
        Ok(Ok(json)) => json,
        // Gone with the run root, over a boot.
        _ => format!(
            "{{\"Status\":\"{}\",\"FailingStreak\":{},\"Log\":[]}}",
            state.health, state.failing_streak
        ),
    }
}

fn write_state(json: &mut Json, state: &State, health: &str) {
    let status = state.status;
    json.open_object().key("Status").string(status.name());
    json.key("Running").boolean(status.is_active());
    json.key("Paused").boolean(status == Status::Paused);
    json.key("Restarting").boolean(status == Status::Restarting);
    json.key("OOMKilled").boolean(state.oom_killed).key("Dead").boolean(false);
    json.key("Pid").number(state.pid.into()).key("ExitCode").number(state.exit_code.into());
    json.key("Error").string(&state.error);
    json.key("StartedAt").string(&format!("{}", time(state.started_ns)));
    json.key("FinishedAt").string(&format!("{}", time(state.finished_ns)));
    if !health.is_empty() {
        json.key("Health").raw(health);
    }
    json.close_object();
}

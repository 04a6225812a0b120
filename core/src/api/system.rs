//! `/_ping`, `/version` and `/info`.

use alloc::format;

use super::{API_VERSION, API_VERSION_MIN, exchange::Exchange, json::Json};
use crate::{
    Result,
    clock::Time,
    engine::{
        Engine,
        host::Host,
        network::{Obstacle, WITHOUT_FILTER},
    },
    file::{self, CWD},
    process::cgroup::{self, Controllers, Layout},
};

/// skiff's own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Header fields of the answer to a ping.
pub(super) const PING_FIELDS: &[(&str, &str)] = &[
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Builder-Version", "1"),
    ("Swarm", "inactive"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
];
/// Its body.
pub(super) const PING_BODY: &[u8] = b"OK";

/// `GET|HEAD /_ping`
pub(super) fn ping(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    exchange.reply_with(200, PING_FIELDS, PING_BODY)
}

/// `OPTIONS` of anything, as Docker's engine whether it is there or not.
pub(super) fn options(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    exchange.reply_empty(200)
}

/// `GET /version`
pub(super) fn version(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let host = Host::look();
    let newest = alloc::format!("1.{}", API_VERSION.0);
    let oldest = alloc::format!("1.{}", API_VERSION_MIN.0);
    let mut json = Json::new();
    json.open_object();
    json.key("Platform").open_object().key("Name").string("skiff").close_object();
    json.key("Components").open_array().open_object();
    json.key("Name").string("Engine").key("Version").string(VERSION);
    json.key("Details").open_object();
    for (key, value) in details(&host, &newest, &oldest) {
        json.key(key).string(value);
    }
    json.key("Experimental").string("false");
    json.close_object().close_object().close_array();
    json.key("Version").string(VERSION);
    for (key, value) in details(&host, &newest, &oldest) {
        json.key(key).string(value);
    }
    json.close_object();
    exchange.reply(200, json)
}

fn details<'a>(host: &'a Host, newest: &'a str, oldest: &'a str) -> [(&'static str, &'a str); 8] {
    [
        ("ApiVersion", newest),
        ("MinAPIVersion", oldest),
        ("GitCommit", ""),
        ("GoVersion", ""),
        ("Os", "linux"),
        ("Arch", host.architecture()),
        ("KernelVersion", &host.kernel),
        ("BuildTime", ""),
    ]
}

/// `GET /info`
pub(super) fn info(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let host = Host::look();
    let [running, paused, stopped] = engine.container_counts()?;
    let cgroup = cgroup::Host::find().ok();
    let mut json = Json::new();
    json.open_object();
    json.key("ID").string(&host.hostname);
    json.key("Containers").unsigned((running + paused + stopped) as u64);
    json.key("ContainersRunning").unsigned(running as u64);
    json.key("ContainersPaused").unsigned(paused as u64);
    json.key("ContainersStopped").unsigned(stopped as u64);
    json.key("Images").unsigned(engine.store.image_ids()?.len() as u64);
    json.key("Driver").string("overlay").key("DriverStatus").open_array().close_array();
    json.key("Plugins").open_object();
    json.key("Volume").strings(&["local"]).key("Network").strings(&["bridge", "host", "null"]);
    json.key("Authorization").null().key("Log").strings(&["json-file", "none"]).close_object();
    let controllers = cgroup.as_ref().map_or(Controllers::empty(), cgroup::Host::controllers);
    let has = |controller| controllers.contains(controller);
    json.key("MemoryLimit")
        .boolean(has(Controllers::MEMORY))
        .key("SwapLimit")
        .boolean(has(Controllers::MEMORY));
    json.key("CpuCfsPeriod").boolean(has(Controllers::CPU)).key("CpuCfsQuota").boolean(has(Controllers::CPU));
    json.key("CPUShares").boolean(has(Controllers::CPU)).key("CPUSet").boolean(has(Controllers::CPUSET));
    json.key("PidsLimit").boolean(has(Controllers::PIDS)).key("OomKillDisable").boolean(false);
    let is_on = |setting: &str| file::read(CWD, setting, 16).is_ok_and(|text| text.starts_with(b"1"));
    json.key("IPv4Forwarding").boolean(is_on("/proc/sys/net/ipv4/ip_forward")).key("Debug").boolean(false);
    json.key("BridgeNfIptables").boolean(is_on("/proc/sys/net/bridge/bridge-nf-call-iptables"));
    json.key("BridgeNfIp6tables").boolean(is_on("/proc/sys/net/bridge/bridge-nf-call-ip6tables"));
    json.key("NFd").number(0).key("NGoroutines").number(1).key("NEventsListener").number(0);
    json.key("SystemTime").string(&alloc::format!("{}", Time::now()));
    json.key("LoggingDriver").string("json-file").key("CgroupDriver").string("cgroupfs");
    json.key("CgroupVersion").string(if cgroup.is_some() { "2" } else { "1" });
    json.key("KernelVersion").string(&host.kernel).key("OperatingSystem").string(&host.system);
    json.key("OSVersion").string(&host.system_version).key("OSType").string("linux");
    json.key("Architecture").string(&host.machine).key("NCPU").unsigned(host.processors as u64);
    json.key("MemTotal").unsigned(host.memory_bytes).key("IndexServerAddress").string("");
    json.key("RegistryConfig").open_object();
    for list in [
        "AllowNondistributableArtifactsCIDRs",
        "AllowNondistributableArtifactsHostnames",
        "InsecureRegistryCIDRs",
    ] {
        json.key(list).open_array().close_array();
    }
    json.key("IndexConfigs").open_object().close_object().key("Mirrors").open_array().close_array();
    json.close_object().key("GenericResources").null();
    json.key("DockerRootDir").string(&engine.data_path);
    json.key("HttpProxy").string("").key("HttpsProxy").string("").key("NoProxy").string("");
    json.key("Name").string(&host.hostname).key("Labels").open_array().close_array();
    json.key("ExperimentalBuild").boolean(false).key("ServerVersion").string(VERSION);
    json.key("Runtimes").open_object().key("skiff").open_object().key("path").string("skiff");
    json.close_object().close_object().key("DefaultRuntime").string("skiff");
    json.key("Swarm").open_object().key("NodeID").string("").key("NodeAddr").string("");
    json.key("LocalNodeState").string("inactive").key("ControlAvailable").boolean(false);
    json.key("Error").string("").key("RemoteManagers").null().close_object();
    json.key("LiveRestoreEnabled").boolean(true).key("Isolation").string("");
    json.key("InitBinary").string("skiff");
    json.key("SecurityOptions").strings(&["name=seccomp,profile=builtin", "name=cgroupns"]);
    json.key("Warnings").open_array();
    match cgroup.map(|host| host.layout()) {
        None => {
            json.string("WARNING: no cgroup2 tree: containers can't be limited or counted");
        }
        Some(Layout::Hybrid | Layout::Detached) => {
            json.string("WARNING: hybrid cgroups: controllers that are mounted as version 1 can't be used");
        }
        Some(Layout::Pure) => {}
    }
    match engine.network_obstacle() {
        None => {}
        Some(Obstacle::NoFilter) => _ = json.string(&format!("WARNING: {WITHOUT_FILTER}")),
        Some(Obstacle::Dropped(table)) => {
            let why = "containers reach nothing but their own networks, unless a rule there lets it through";
            json.string(&format!(
                "WARNING: table {table} of the packet filter drops what is forwarded: {why}"
            ));
        }
    }
    json.close_array().close_object();
    exchange.reply(200, json)
}

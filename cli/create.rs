//! The settings of a new container: flags of `run` and `create` -> the body of `POST /containers/create`. What only the
//! engine can know (whether an image, device or group exists, what the host can enforce) is left to it.

pub mod devices;
pub mod environment;
pub mod flags;
pub mod mounts;
pub mod networks;
pub mod policies;
pub mod ports;
pub use skiff_core::units;

use alloc::{string::String, vec::Vec};

use crate::environment::Environment;
use flags::{Flags, invalid};
use mounts::Volumes;
use networks::Networks;
use policies::each;
use ports::Ports;
use skiff_core::{
    container::{
        config::{Config, HostConfig, LogConfig, Map, Ulimit},
        endpoint::EndpointSettings,
    },
    process::cgroup::resources::Resources,
};

/// A container that is to be made.
#[derive(Debug, Default)]
pub struct Creation {
    /// The portable settings.
    pub config: Config,
    /// The settings that belong to this host.
    pub host: HostConfig,
    /// Its limits.
    pub resources: Resources,
    /// What is asked for on its networks.
    pub networks: Map<EndpointSettings>,
}

impl Creation {
    /// The JSON body, without its last brace, so that more can follow.
    pub fn open_body(&self) -> String {
        // Only maps with keys that are no strings fail, and there are none.
        let mut body = serde_json::to_string(&self.config).unwrap_or_default();
        let mut host = serde_json::to_string(&self.host).unwrap_or_default();
        let resources = serde_json::to_string(&self.resources).unwrap_or_default();
        body.pop();
        host.pop();
        let mut all = [&body, ",\"HostConfig\":", &host, ",", resources.get(1..).unwrap_or("}")].concat();
        if !self.networks.is_empty() {
            let networks = serde_json::to_string(&self.networks).unwrap_or_default();
            all.extend([",\"NetworkingConfig\":{\"EndpointsConfig\":", &networks, "}"]);
        }
        all
    }
}

/// Reads the flags. `words` are the image and the command.
pub fn creation(flags: &Flags, words: &[String], own: &Environment) -> Result<Creation, String> {
    let (image, command) = words.split_first().ok_or("an image is needed")?;
    if flags.on("--rm") && !matches!(flags.one("--restart"), None | Some("" | "no")) {
        return Err("conflicting options: cannot specify both --restart and --rm".into());
    }
    let mut volumes = Volumes::default();
    for text in flags.all("--volume") {
        volumes.add(text).map_err(|reason| invalid("--volume", text, &reason))?;
    }
    let ports = Ports::read(flags)?;
    let mut config = config(flags, image, command, own)?;
    config.volumes = Some(volumes.anonymous);
    config.exposed_ports = ports.exposed;
    let mut host = host(flags)?;
    host.binds = volumes.binds;
    host.port_bindings = ports.bindings;
    let networks = Networks::read(flags)?;
    host.network_mode = networks.mode;
    Ok(Creation { config, host, resources: resources(flags)?, networks: networks.settings })
}

fn config(flags: &Flags, image: &str, command: &[String], own: &Environment) -> Result<Config, String> {
    let streams = each(flags, "--attach", policies::stream)?;
    let detach = flags.on("--detach");
    if detach && !streams.is_empty() {
        return Err("conflicting options: cannot specify both --attach and --detach".into());
    }
    let interactive = flags.on("--interactive");
    let everything = !detach && streams.is_empty();
    let attaches = |stream: &str| streams.iter().any(|given| given == stream);
    let attach_stdin = attaches("stdin") || everything && interactive;
    Ok(Config {
        hostname: flags.text("--hostname"),
        domainname: flags.text("--domainname"),
        user: flags.text("--user"),
        attach_stdin,
        attach_stdout: everything || attaches("stdout"),
        attach_stderr: everything || attaches("stderr"),
        tty: flags.on("--tty"),
        open_stdin: interactive,
        stdin_once: interactive && attach_stdin,
        env: environment::environment(flags.all("--env-file"), flags.all("--env"), own)?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: policies::health(flags)?,
        image: image.into(),
        working_dir: flags.text("--workdir"),
        entrypoint: flags.one("--entrypoint").map(|program| vec![program.into()]),
        labels: environment::labels(flags.all("--label-file"), flags.all("--label"))?,
        stop_signal: flags.text("--stop-signal"),
        stop_timeout: match flags.on("--stop-timeout") {
            true => Some(flags.number("--stop-timeout", units::integer)?),
            false => None,
        },
        ..Config::default()
    })
}

fn host(flags: &Flags) -> Result<HostConfig, String> {
    // Not collected: that sorts, which is code of its own for each kind of map.
    let mut tmpfs = Map::new();
    tmpfs.extend(flags.all("--tmpfs").map(mounts::tmpfs));
    let mut host = HostConfig {
        container_id_file: flags.text("--cidfile"),
        log_config: LogConfig { driver: flags.text("--log-driver"), config: pairs(flags, "--log-opt") },
        auto_remove: flags.on("--rm"),
        volumes_from: flags.list("--volumes-from"),
        mounts: each(flags, "--mount", mounts::mount)?,
        cap_add: flags.list("--cap-add"),
        cap_drop: flags.list("--cap-drop"),
        cgroupns_mode: mode(flags, "--cgroupns", &["", "host", "private"])?,
        dns: each(flags, "--dns", policies::name_server)?,
        dns_options: flags.list("--dns-option"),
        dns_search: each(flags, "--dns-search", policies::search_domain)?,
        extra_hosts: each(flags, "--add-host", policies::extra_host)?,
        group_add: flags.list("--group-add"),
        links: each(flags, "--link", policies::link)?,
        ipc_mode: mode(flags, "--ipc", &["", "host", "private", "shareable", "none"])?,
        pid_mode: mode(flags, "--pid", &["", "host"])?,
        privileged: flags.on("--privileged"),
        readonly_rootfs: flags.on("--read-only"),
        tmpfs,
        uts_mode: mode(flags, "--uts", &["", "host"])?,
        userns_mode: mode(flags, "--userns", &["", "host", "auto", "private"])?,
        timens_mode: flags.text("--timens"),
        shm_size: flags.number("--shm-size", units::size)?,
        sysctls: pairs(flags, "--sysctl"),
        runtime: flags.text("--runtime"),
        publish_all_ports: flags.on("--publish-all"),
        init: flags.on("--init").then_some(true),
        ulimits: ulimits(flags)?,
        devices: each(flags, "--device", devices::device)?,
        device_cgroup_rules: each(flags, "--device-cgroup-rule", devices::rule)?,
        cgroup_parent: flags.text("--cgroup-parent"),
        ..HostConfig::default()
    };
    let score = flags.number("--oom-score-adj", units::integer)?;
    host.oom_score_adj = i32::try_from(score).unwrap_or(i32::MAX);
    if host.log_config.driver == "none" && !host.log_config.config.is_empty() {
        return Err("invalid logging opts for driver none".into());
    }
    if let Some(text) = flags.one("--restart") {
        host.restart_policy = policies::restart(text)?;
    }
    for text in flags.all("--security-opt") {
        policies::security(text, &mut host)?;
    }
    Ok(host)
}

/// The limits that `build` has as well.
pub fn limits(flags: &Flags) -> Result<Resources, String> {
    let integer = |long: &'static str| flags.number(long, units::integer);
    Ok(Resources {
        cpu_shares: integer("--cpu-shares")?,
        cpu_period: integer("--cpu-period")?,
        cpu_quota: integer("--cpu-quota")?,
        cpuset_cpus: flags.text("--cpuset-cpus"),
        cpuset_mems: flags.text("--cpuset-mems"),
        memory: flags.number("--memory", units::size)?,
        memory_swap: flags.number("--memory-swap", units::size_or_unlimited)?,
        ..Resources::default()
    })
}

fn resources(flags: &Flags) -> Result<Resources, String> {
    let integer = |long: &'static str| flags.number(long, units::integer);
    Ok(Resources {
        nano_cpus: flags.number("--cpus", units::processors)?,
        blkio_weight: integer("--blkio-weight")?,
        blkio_weight_device: each(flags, "--blkio-weight-device", devices::weight)?,
        blkio_device_read_bps: each(flags, "--device-read-bps", devices::bytes_limit)?,
        blkio_device_write_bps: each(flags, "--device-write-bps", devices::bytes_limit)?,
        blkio_device_read_iops: each(flags, "--device-read-iops", devices::operations_limit)?,
        blkio_device_write_iops: each(flags, "--device-write-iops", devices::operations_limit)?,
        memory_reservation: flags.number("--memory-reservation", units::size)?,
        oom_kill_disable: flags.on("--oom-kill-disable").then_some(true),
        pids_limit: match integer("--pids-limit")? {
            0 => None,
            limit => Some(limit),
        },
        ..limits(flags)?
    })
}

/// A namespace's mode: one of the words, or `container:NAME` where containers can share it.
fn mode(flags: &Flags, long: &'static str, words: &[&str]) -> Result<String, String> {
    let text = flags.one(long).unwrap_or_default();
    let shares = matches!(long, "--pid" | "--ipc");
    let of_container = text.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if words.contains(&text) || shares && of_container {
        return Ok(text.into());
    }
    let mut choice = words[1..].join(", ");
    if shares {
        choice.push_str(", container:NAME");
    }
    Err(invalid(long, text, &format!("it is one of {choice}")))
}

fn pairs(flags: &Flags, long: &'static str) -> Map<String> {
    let mut map = Map::new();
    flags.all(long).for_each(|text| mounts::insert(&mut map, text));
    map
}

/// `--ulimit`; the last one of a name counts.
pub fn ulimits(flags: &Flags) -> Result<Vec<Ulimit>, String> {
    let mut all: Vec<Ulimit> = Vec::new();
    for limit in each(flags, "--ulimit", policies::ulimit)? {
        all.retain(|other| other.name != limit.name);
        all.push(limit);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(words: &[&str]) -> Result<Value, String> {
        let mut words = words.to_vec();
        words.extend(["--", "alpine", "true", "-x"]);
        let (flags, rest) = Flags::collect(&words)?;
        let body = creation(&flags, &rest, &Environment::default())?.open_body() + "}";
        Ok(serde_json::from_str(&body).expect("the body is JSON"))
    }

    #[test]
    fn each_flag_has_its_place_in_the_body() {
        let rows: &[(&[&str], &str, Value)] = &[
            (&[], "/Image", json!("alpine")),
            (&[], "/Cmd", json!(["true", "-x"])),
            (&[], "/AttachStdout", json!(true)),
            (&[], "/HostConfig/NetworkMode", json!("default")),
            (&["--interactive"], "/StdinOnce", json!(true)),
            (&["--interactive", "--detach"], "/StdinOnce", json!(false)),
            (&["--interactive", "--attach", "STDOUT"], "/AttachStdin", json!(false)),
            (&["--detach"], "/AttachStdout", json!(false)),
            (&["--tty"], "/Tty", json!(true)),
            (&["--hostname", "h"], "/Hostname", json!("h")),
            (&["--domainname", "d"], "/Domainname", json!("d")),
            (&["--user", "1:2"], "/User", json!("1:2")),
            (&["--env", "A=1"], "/Env", json!(["A=1"])),
            (&["--health-cmd", "x"], "/Healthcheck/Test", json!(["CMD-SHELL", "x"])),
            (&["--volume", "/v"], "/Volumes", json!({"/v": {}})),
            (&["--volume", "v:/v:ro"], "/HostConfig/Binds", json!(["v:/v:ro"])),
            (&["--workdir", "/w"], "/WorkingDir", json!("/w")),
            (&["--entrypoint", "sh"], "/Entrypoint", json!(["sh"])),
            (&["--entrypoint", ""], "/Entrypoint", json!([""])),
            (&["--label", "a=b"], "/Labels", json!({"a": "b"})),
            (&["--stop-signal", "INT"], "/StopSignal", json!("INT")),
            (&["--stop-timeout", "0"], "/StopTimeout", json!(0)),
            (&["--cidfile", "/nonexistent/c"], "/HostConfig/ContainerIDFile", json!("/nonexistent/c")),
            (&["--log-driver", "none"], "/HostConfig/LogConfig/Type", json!("none")),
            (&["--log-opt", "max-size=1m"], "/HostConfig/LogConfig/Config", json!({"max-size": "1m"})),
            (&["--network", "host"], "/HostConfig/NetworkMode", json!("host")),
            (&["--link", "db:sql"], "/HostConfig/Links", json!(["db:sql"])),
            (
                &["--network", "a", "--network-alias", "b"],
                "/NetworkingConfig/EndpointsConfig/a/Aliases",
                json!(["b"]),
            ),
            (&["--restart", "on-failure:2"], "/HostConfig/RestartPolicy/MaximumRetryCount", json!(2)),
            (&["--rm", "--restart", "no"], "/HostConfig/AutoRemove", json!(true)),
            (&["--volumes-from", "a:ro"], "/HostConfig/VolumesFrom", json!(["a:ro"])),
            (&["--mount", "type=tmpfs,dst=/t"], "/HostConfig/Mounts/0/Target", json!("/t")),
            (&["--tmpfs", "/t:size=1m"], "/HostConfig/Tmpfs", json!({"/t": "size=1m"})),
            (&["--cap-add", "net_admin"], "/HostConfig/CapAdd", json!(["net_admin"])),
            (&["--cap-drop", "ALL"], "/HostConfig/CapDrop", json!(["ALL"])),
            (&["--cgroupns", "host"], "/HostConfig/CgroupnsMode", json!("host")),
            (&["--cgroup-parent", "/p"], "/HostConfig/CgroupParent", json!("/p")),
            (&["--dns", "1.1.1.1"], "/HostConfig/Dns", json!(["1.1.1.1"])),
            (&["--dns-option", "ndots:2"], "/HostConfig/DnsOptions", json!(["ndots:2"])),
            (&["--dns-search", "x.y"], "/HostConfig/DnsSearch", json!(["x.y"])),
            (&["--add-host", "a=1.2.3.4"], "/HostConfig/ExtraHosts", json!(["a:1.2.3.4"])),
            (&["--group-add", "5"], "/HostConfig/GroupAdd", json!(["5"])),
            (&["--ipc", "container:x"], "/HostConfig/IpcMode", json!("container:x")),
            (&["--pid", "host"], "/HostConfig/PidMode", json!("host")),
            (&["--uts", "host"], "/HostConfig/UTSMode", json!("host")),
            (&["--userns", "host"], "/HostConfig/UsernsMode", json!("host")),
            (&["--userns", "auto"], "/HostConfig/UsernsMode", json!("auto")),
            (&["--timens", "private"], "/HostConfig/TimensMode", json!("private")),
            (&["--privileged"], "/HostConfig/Privileged", json!(true)),
            (&["--read-only"], "/HostConfig/ReadonlyRootfs", json!(true)),
            (
                &["--security-opt", "seccomp=unconfined"],
                "/HostConfig/SecurityOpt/0",
                json!("seccomp=unconfined"),
            ),
            (&["--security-opt", "systempaths=unconfined"], "/HostConfig/MaskedPaths", json!([])),
            (&[], "/HostConfig/MaskedPaths", json!(null)),
            (&["--shm-size", "1m"], "/HostConfig/ShmSize", json!(1 << 20)),
            (&["--sysctl", "net.a=1"], "/HostConfig/Sysctls", json!({"net.a": "1"})),
            (&["--publish-all"], "/HostConfig/PublishAllPorts", json!(true)),
            (&["--publish", "81:80"], "/HostConfig/PortBindings/80~1tcp/0/HostPort", json!("81")),
            (&["--publish", "81:80/udp"], "/ExposedPorts/80~1udp", json!({})),
            (&["--expose", "80"], "/ExposedPorts/80~1tcp", json!({})),
            (&["--runtime", "runc"], "/HostConfig/Runtime", json!("runc")),
            (&["--init"], "/HostConfig/Init", json!(true)),
            (&["--oom-score-adj", "5"], "/HostConfig/OomScoreAdj", json!(5)),
            (&["--ulimit", "nofile=1:2"], "/HostConfig/Ulimits/0/Hard", json!(2)),
            (&["--ulimit", "nofile=1", "--ulimit", "nofile=7"], "/HostConfig/Ulimits/0/Soft", json!(7)),
            (&["--device", "/dev/null:r"], "/HostConfig/Devices/0/CgroupPermissions", json!("r")),
            (&["--device-cgroup-rule", "c 1:3 r"], "/HostConfig/DeviceCgroupRules/0", json!("c 1:3 r")),
            (&["--memory", "10m"], "/HostConfig/Memory", json!(10 << 20)),
            (&["--memory-swap", "-1"], "/HostConfig/MemorySwap", json!(-1)),
            (&["--memory-reservation", "1k"], "/HostConfig/MemoryReservation", json!(1024)),
            (&["--oom-kill-disable"], "/HostConfig/OomKillDisable", json!(true)),
            (&["--cpus", "1.5"], "/HostConfig/NanoCpus", json!(1_500_000_000)),
            (&["--cpu-shares", "512"], "/HostConfig/CpuShares", json!(512)),
            (&["--cpu-quota", "5"], "/HostConfig/CpuQuota", json!(5)),
            (&["--cpu-period", "6"], "/HostConfig/CpuPeriod", json!(6)),
            (&["--cpuset-cpus", "0"], "/HostConfig/CpusetCpus", json!("0")),
            (&["--cpuset-mems", "0"], "/HostConfig/CpusetMems", json!("0")),
            (&["--pids-limit", "-1"], "/HostConfig/PidsLimit", json!(-1)),
            (&["--blkio-weight", "100"], "/HostConfig/BlkioWeight", json!(100)),
            (&["--blkio-weight-device", "/dev/a:10"], "/HostConfig/BlkioWeightDevice/0/Weight", json!(10)),
            (&["--device-read-bps", "/dev/a:1k"], "/HostConfig/BlkioDeviceReadBps/0/Rate", json!(1024)),
            (&["--device-write-bps", "/dev/a:1k"], "/HostConfig/BlkioDeviceWriteBps/0/Path", json!("/dev/a")),
            (&["--device-read-iops", "/dev/a:1"], "/HostConfig/BlkioDeviceReadIOps/0/Rate", json!(1)),
            (&["--device-write-iops", "/dev/a:1"], "/HostConfig/BlkioDeviceWriteIOps/0/Rate", json!(1)),
        ];
        for (words, place, expected) in rows {
            let body = body(words).unwrap();
            assert_eq!(body.pointer(place), Some(expected), "{words:?} {place}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_flag() {
        let rows: &[(&[&str], &str)] = &[
            (&["--memory", "abc"], "invalid argument \"abc\" for --memory: invalid size: 'abc'"),
            (&["--cpus", "x"], "invalid argument \"x\" for --cpus: 'x' is not a decimal number"),
            (&["--pid", "bogus"], "invalid argument \"bogus\" for --pid: it is one of host, container:NAME"),
            (&["--uts", "container:x"], "invalid argument \"container:x\" for --uts: it is one of host"),
            (
                &["--attach", "x"],
                "invalid argument \"x\" for --attach: valid streams are STDIN, STDOUT and STDERR",
            ),
            (
                &["--attach", "stdin", "--detach"],
                "conflicting options: cannot specify both --attach and --detach",
            ),
            (&["--rm", "--restart", "always"], "conflicting options: cannot specify both --restart and --rm"),
            (&["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
            (&["--network", "a", "--network", "a"], "network \"a\" is specified multiple times"),
            (
                &["--oom-score-adj", "x"],
                "invalid argument \"x\" for --oom-score-adj: 'x' is not a whole number",
            ),
            (
                &["--volume", ":/d"],
                "invalid argument \":/d\" for --volume: invalid spec: :/d: empty section between colons",
            ),
        ];
        for (words, expected) in rows {
            assert_eq!(body(words).unwrap_err(), *expected);
        }
    }
}

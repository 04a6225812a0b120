//! `GET /containers/json`: what `ps` shows, and its filters.

use alloc::{format, string::String, vec::Vec};
use core::cell::OnceCell;

use super::{
    endpoint::{write_networks, write_ports},
    exchange::Exchange,
    filters::Filters,
    json::Json,
    network,
};
use crate::{
    Error, Result,
    clock::{Time, duration},
    container::{
        endpoint::{Endpoint, EndpointSettings},
        record::{Listed, MountKind, MountPoint, Record},
        state::{State, Status},
    },
    engine::{
        Engine,
        list::{Which, command_line},
    },
    fork, sort,
};

const FILTERS: [&str; 16] = [
    "id",
    "name",
    "label",
    "label!",
    "status",
    "ancestor",
    "health",
    "exited",
    "volume",
    "network",
    "before",
    "since",
    "is-task",
    "publish",
    "expose",
    "isolation",
];
/// Rows that take about as long as it takes to start a process for them.
const ROWS_WORTH_A_PROCESS: usize = 50;
const STATUSES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// `GET /containers/json`
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &FILTERS)?;
    let limit = usize::try_from(exchange.query.integer("limit")?.unwrap_or(0)).unwrap_or(0);
    check(&filters)?;
    let all = exchange.query.flag("all")
        || limit > 0
        || ["status", "exited", "before", "since"].iter().any(|name| !filters.values(name).is_empty());
    let with_size = exchange.query.flag("size");
    if all {
        engine.sweep();
    }
    let which = if all { Which::All } else { Which::Active };
    let created = |name: &String| engine.shelf.find(name).map(|container| container.record.created_ns);
    let before = filters.values("before").iter().map(created).collect::<Result<Vec<_>>>()?;
    let since = filters.values("since").iter().map(created).collect::<Result<Vec<_>>>()?;
    let now = Time::now();
    let wanted: Option<Vec<&str>> =
        exchange.query.text("members")?.map(|members| members.split(',').collect());
    let row = |id: &String| -> Result<Option<Vec<u8>>> {
        let Some((record, state)) = engine.listed(id, which)? else { return Ok(None) };
        if !before.iter().all(|time| record.created_ns < *time)
            || !since.iter().all(|time| record.created_ns > *time)
            || !fits(engine, &filters, &record, &state)
        {
            return Ok(None);
        }
        let mut json = Json::with_room(1024);
        write(&mut json, engine, &record, &state, now, wanted.as_deref());
        if with_size {
            write_size(&mut json, engine, &record)?;
        }
        json.close_object();
        // What rows are sorted by stands in front.
        Ok(Some([&record.created_ns.to_be_bytes()[..], json.as_str().as_bytes()].concat()))
    };
    let mut rows = fork::spread(&engine.shelf.ids()?, ROWS_WORTH_A_PROCESS, &row)?;
    sort::by(&mut rows, |one, other| other.cmp(one));
    if limit > 0 {
        rows.truncate(limit);
    }
    let mut body = Vec::with_capacity(rows.iter().map(Vec::len).sum::<usize>() + 2);
    for row in &rows {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(row.get(8..).unwrap_or_default());
    }
    body.extend_from_slice(if rows.is_empty() { b"[]" } else { b"]" });
    exchange.reply_with(200, &[("Content-Type", "application/json")], &body)
}

/// All containers with their sizes.
pub(super) fn write_all(json: &mut Json, engine: &Engine, found: &[(Listed, State)]) -> Result<()> {
    let now = Time::now();
    json.open_array();
    for (record, state) in found {
        write(json, engine, record, state, now, None);
        write_size(json, engine, record)?;
        json.close_object();
    }
    json.close_array();
    Ok(())
}

fn write_size(json: &mut Json, engine: &Engine, record: &Listed) -> Result<()> {
    let whole = engine.shelf.load::<Record>(&record.id)?.unwrap_or_default();
    let [changed, total] = engine.container_size(&whole);
    json.key("SizeRw").unsigned(changed).key("SizeRootFs").unsigned(total);
    Ok(())
}

/// Refuses values that no container could have.
fn check(filters: &Filters) -> Result<()> {
    for (name, known) in [("status", &STATUSES[..]), ("health", &HEALTHS)] {
        if let Some(value) = filters.values(name).iter().find(|value| !known.contains(&value.as_str())) {
            return Err(Error::Invalid(format!(
                "invalid filter '{name}={value}': one of {}",
                known.join(", ")
            )));
        }
    }
    if let Some(value) = filters.values("exited").iter().find(|value| value.parse::<i32>().is_err()) {
        return Err(Error::Invalid(format!("invalid filter 'exited={value}': an exit code is a number")));
    }
    Ok(())
}

fn fits(engine: &Engine, filters: &Filters, record: &Listed, state: &State) -> bool {
    let networks = record.network_names();
    filters.allows_if("id", |part| record.id.contains(part))
        && filters.allows_if("name", |pattern| matches_name(pattern, &record.name))
        && filters.allows_labels(|key| record.config.labels.get(key).map(String::as_str))
        && filters.allows("status", state.status.name())
        && filters.allows_if("ancestor", |image| is_ancestor(image, record))
        && filters.allows("health", if state.health.is_empty() { "none" } else { &state.health })
        && filters.allows_if("exited", |code| {
            state.status == Status::Exited && code.parse() == Ok(state.exit_code)
        })
        && filters.allows_if("volume", |wanted| {
            record.mounts.iter().any(|mount| {
                mount.destination == wanted
                    || if mount.kind == MountKind::Volume { mount.name == wanted } else { mount.source == wanted }
            })
        })
        && filters.allows_if("network", |wanted| {
            networks.iter().any(|name| {
                *name == wanted || (wanted.len() > 3 && network::id_of(engine, name).starts_with(wanted))
            })
        })
        && filters.allows_if("publish", |port| record.host.port_bindings.keys().any(|key| is_port(port, key)))
        && filters.allows_if("expose", |port| record.config.exposed_ports.keys().any(|key| is_port(port, key)))
        // There are no swarm tasks here.
        && filters.allows_if("is-task", |value| value == "false" || value == "0")
}

/// Docker takes a regular expression; the anchors are the part of it that people use.
fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, at_start) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let (pattern, at_end) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    match (at_start, at_end) {
        (true, true) => name == pattern,
        (true, false) => name.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    }
}

/// Whether the image is the one that the container was made from, by name or by id.
fn is_ancestor(image: &str, record: &Listed) -> bool {
    let own = record.config.image.as_str();
    let tagged = |name: &str| name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    let id = record.image.strip_prefix("sha256:").unwrap_or("");
    let wanted = image.strip_prefix("sha256:").unwrap_or(image);
    own == image
        || !tagged(image) && own.strip_prefix(image) == Some(":latest")
        || !tagged(own) && image.strip_prefix(own) == Some(":latest")
        || wanted.len() >= 4 && id.starts_with(wanted)
}

/// Whether `80/tcp` is the wanted port: `80`, `80/tcp`, `80-90`, `80-90/tcp`.
fn is_port(wanted: &str, key: &str) -> bool {
    let (numbers, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (number, of) = key.split_once('/').unwrap_or((key, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>(), number.parse::<u16>()) {
        (Ok(first), Ok(last), Ok(number)) => protocol == of && (first..=last).contains(&number),
        _ => false,
    }
}

/// Opens the object of a container and writes those of its members that are wanted.
fn write(json: &mut Json, engine: &Engine, record: &Listed, state: &State, now: Time, wanted: Wanted<'_>) {
    json.open_object();
    // Read from a file, for those members that show it.
    let found = OnceCell::new();
    let endpoints = || -> &[Endpoint] {
        found.get_or_init(|| match record.is_bridged() && state.status.is_active() {
            true => engine.endpoints(&record.id),
            false => Vec::new(),
        })
    };
    let networks = |json: &mut Json| {
        json.open_object().key("Networks");
        let networks = record.network_names().into_iter();
        let networks = networks.map(|name| (name, EndpointSettings::default()));
        write_networks(json, engine, &record.id, networks, endpoints());
        json.close_object();
    };
    let mode = record.host.network_mode.as_str();
    let created = record.created_ns.div_euclid(crate::clock::SECOND);
    let is_tmpfs = |place: &str| record.host.tmpfs.contains_key(place);
    let members: [Member<'_>; 13] = [
        ("Id", &|json| _ = json.string(&record.id)),
        ("Names", &|json| _ = json.open_array().string(&format!("/{}", record.name)).close_array()),
        ("Image", &|json| _ = json.string(&record.config.image)),
        ("ImageID", &|json| _ = json.string(&record.image)),
        ("Command", &|json| _ = json.string(&command_line(record))),
        ("Created", &|json| _ = json.number(created)),
        ("Ports", &|json| write_ports(json, &record.config.exposed_ports, endpoints())),
        ("Labels", &|json| _ = json.value(&record.config.labels)),
        ("State", &|json| _ = json.string(state.status.name())),
        ("Status", &|json| _ = json.string(&status_text(state, now))),
        ("HostConfig", &|json| _ = json.open_object().key("NetworkMode").string(mode).close_object()),
        ("NetworkSettings", &networks),
        ("Mounts", &|json| write_mounts(json, &record.mounts, &is_tmpfs)),
    ];
    for (name, write) in members {
        if wanted.is_none_or(|wanted| wanted.contains(&name)) {
            write(json.key(name));
        }
    }
}

/// A name, and what writes the value.
type Member<'a> = (&'a str, &'a dyn Fn(&mut Json));

/// The members that a client of ours wants; all if nothing is said.
type Wanted<'a> = Option<&'a [&'a str]>;

/// The time that nanoseconds since 1970 mean, 0 being never.
pub(super) fn time(ns: i64) -> Time {
    if ns == 0 { Time::NEVER } else { Time::from_unix(0, 0).plus(ns) }
}

/// `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`.
fn status_text(state: &State, now: Time) -> String {
    let since = |ns: i64| duration::in_words(now.since(time(ns)).max(0));
    match state.status {
        Status::Created => "Created".into(),
        Status::Running => {
            let health = match state.health.as_str() {
                "" | "none" => "",
                "starting" => " (health: starting)",
                "healthy" => " (healthy)",
                _ => " (unhealthy)",
            };
            format!("Up {}{health}", since(state.started_ns))
        }
        Status::Paused => format!("Up {} (Paused)", since(state.started_ns)),
        Status::Restarting => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_ns)),
        Status::Exited if state.finished_ns == 0 => format!("Exited ({})", state.exit_code),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_ns)),
        Status::Removed => "Removal In Progress".into(),
    }
}

/// `[{"Type": ...}]`. As with Docker those of `--tmpfs` stand among the host's settings only: `is_tmpfs` tells which.
pub(super) fn write_mounts(json: &mut Json, mounts: &[MountPoint], is_tmpfs: &dyn Fn(&str) -> bool) {
    json.open_array();
    for mount in mounts {
        if mount.kind == MountKind::Tmpfs && is_tmpfs(&mount.destination) {
            continue;
        }
        json.open_object().key("Type").value(&mount.kind);
        if mount.kind == MountKind::Volume {
            json.key("Name").string(&mount.name);
        }
        json.key("Source").string(&mount.source).key("Destination").string(&mount.destination);
        if mount.kind == MountKind::Volume {
            json.key("Driver").string("local");
        }
        let propagation = match (mount.kind, mount.propagation.as_str()) {
            (MountKind::Bind, "") => "rprivate",
            (_, word) => word,
        };
        // Docker's word for a volume of its own that nobody said anything about.
        let plain = mount.kind == MountKind::Volume && !mount.anonymous && mount.mode.is_empty();
        json.key("Mode").string(if plain { "z" } else { &mount.mode }).key("RW").boolean(!mount.read_only);
        json.key("Propagation").string(propagation).close_object();
    }
    json.close_array();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_reads_as_dockers() {
        let now = Time::from_unix(1_000_000, 0);
        let ago = |seconds: i64| (1_000_000 - seconds) * crate::clock::SECOND;
        let text = |state: State| status_text(&state, now);
        let running = |health: &str, status| State {
            status,
            started_ns: ago(300),
            health: health.into(),
            ..State::default()
        };
        assert_eq!(text(State::default()), "Created");
        assert_eq!(text(running("", Status::Running)), "Up 5 minutes");
        assert_eq!(text(running("healthy", Status::Running)), "Up 5 minutes (healthy)");
        assert_eq!(text(running("starting", Status::Running)), "Up 5 minutes (health: starting)");
        assert_eq!(text(running("healthy", Status::Paused)), "Up 5 minutes (Paused)");
        let ended = |status| State { status, exit_code: 3, finished_ns: ago(7200), ..State::default() };
        assert_eq!(text(ended(Status::Exited)), "Exited (3) 2 hours ago");
        assert_eq!(text(ended(Status::Restarting)), "Restarting (3) 2 hours ago");
    }

    #[test]
    fn names_match_by_part_or_anchored() {
        assert!(matches_name("eb", "web") && matches_name("^/web$", "web") && matches_name("^we", "web"));
        assert!(!matches_name("^eb", "web") && !matches_name("we$", "web") && !matches_name("x", "web"));
    }

    #[test]
    fn an_ancestor_is_an_images_name_or_id() {
        let mut record = Listed { image: "sha256:abcdef012345".into(), ..Listed::default() };
        record.config.image = "repo:5000/alpine".into();
        for image in ["repo:5000/alpine", "repo:5000/alpine:latest", "sha256:abcdef012345", "abcdef"] {
            assert!(is_ancestor(image, &record), "{image}");
        }
        for image in ["alpine", "repo:5000/alpine:3", "abcdee", "repo"] {
            assert!(!is_ancestor(image, &record), "{image}");
        }
        record.config.image = "alpine:latest".into();
        assert!(is_ancestor("alpine", &record));
    }

    #[test]
    fn ports_match_alone_and_by_range() {
        assert!(is_port("80", "80/tcp") && is_port("70-90/udp", "80/udp") && is_port("80/tcp", "80/tcp"));
        assert!(!is_port("80", "80/udp") && !is_port("81", "80/tcp") && !is_port("x", "80/tcp"));
    }

    #[test]
    fn values_that_none_can_have_are_refused() {
        for text in [r#"{"status":["up"]}"#, r#"{"health":["good"]}"#, r#"{"exited":["x"]}"#] {
            assert!(check(&Filters::parse(Some(text), &FILTERS).unwrap()).is_err(), "{text}");
        }
    }
}

//! `--publish` and `--expose`: ports as people write them -> the API's maps.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use skiff_core::container::config::{Empty, Map, PortBinding};

use super::{flags::Flags, policies::each};

/// What `--publish` and `--expose` gave.
#[derive(Debug, Default)]
pub struct Ports {
    /// Those of both.
    pub exposed: Map<Empty>,
    /// The published ones, and where on the host.
    pub bindings: Map<Option<Vec<PortBinding>>>,
}

impl Ports {
    /// Reads the flags.
    pub fn read(flags: &Flags) -> Result<Ports, String> {
        let mut ports = Ports::default();
        for inside in each(flags, "--expose", expose)?.into_iter().flatten() {
            ports.exposed.insert(inside, Empty {});
        }
        for (inside, outside) in each(flags, "--publish", publish)?.into_iter().flatten() {
            ports.exposed.insert(inside.clone(), Empty {});
            ports.bindings.entry(inside).or_default().get_or_insert_default().push(outside);
        }
        Ok(ports)
    }
}

/// A published port: the container's, as in `80/tcp`, and the host's side.
type Published = (String, PortBinding);

/// Reads `[IP:][HOST:]CONTAINER[/PROTOCOL]`; HOST and CONTAINER may be ranges of the same length, and HOST one from which
/// a port is chosen for one of the container's.
fn publish(text: &str) -> Result<Vec<Published>, String> {
    let (ports, protocol) = protocol(text)?;
    let (rest, inside) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (address, outside),
        None if rest.contains('.') => (rest, ""),
        None => ("", rest),
    };
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<core::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let (first, last) = range(inside).ok_or_else(|| format!("invalid containerPort: {inside}"))?;
    let host = match outside {
        "" | "0" => None,
        text => Some(range(text).ok_or_else(|| format!("invalid hostPort: {text}"))?),
    };
    let binding = |inside: u16, host_port: String| {
        (format!("{inside}/{protocol}"), PortBinding { host_ip: address.into(), host_port })
    };
    let count = last - first;
    match host {
        None => Ok((first..=last).map(|inside| binding(inside, String::new())).collect()),
        Some((from, to)) if to - from == count => {
            Ok((first..=last).map(|inside| binding(inside, (from + (inside - first)).to_string())).collect())
        }
        Some(_) if count == 0 => Ok(vec![binding(first, outside.into())]),
        Some(_) => {
            Err(format!("invalid ranges specified for container and host Ports: {inside} and {outside}"))
        }
    }
}

/// Reads `PORT[-PORT][/PROTOCOL]`.
fn expose(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = protocol(text)?;
    let (first, last) = range(ports).ok_or_else(|| format!("invalid range format for --expose: {ports}"))?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol(text: &str) -> Result<(&str, String), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok((ports, protocol)),
        _ => Err(format!("invalid proto: {protocol}")),
    }
}

/// Ports from 1 on.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_published_as_docker_reads_them() {
        let shown = |text: &str| {
            let all = publish(text)?;
            let each =
                all.iter().map(|(inside, host)| format!("{}:{}>{inside}", host.host_ip, host.host_port));
            Ok::<_, String>(each.collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [
            ("80", ":>80/tcp"),
            ("8080:80", ":8080>80/tcp"),
            ("8080:80/UDP", ":8080>80/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1:>80/tcp"),
            ("0:80", ":>80/tcp"),
            ("[::1]:8080:80", "::1:8080>80/tcp"),
            ("8080-8081:80-81", ":8080>80/tcp :8081>81/tcp"),
            ("8080-8090:80", ":8080-8090>80/tcp"),
            ("80-81", ":>80/tcp :>81/tcp"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "invalid containerPort: "),
            ("8080:", "invalid containerPort: "),
            ("0-1:80", "invalid hostPort: 0-1"),
            ("x:80", "invalid hostPort: x"),
            ("70000", "invalid containerPort: 70000"),
            ("80/icmp", "invalid proto: icmp"),
            ("1.2.3:1:2", "invalid IP address: 1.2.3"),
            ("1-3:1-2", "invalid ranges specified for container and host Ports: 1-2 and 1-3"),
        ] {
            assert_eq!(shown(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(expose("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert!(expose("81-80").is_err() && expose("x").is_err());
    }
}

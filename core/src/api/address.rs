//! Where an engine is, or is to be: the values of `-H` and `DOCKER_HOST`. Pure.

use alloc::{format, string::String};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::{Error, Result};

/// The port of engines on the network that don't say another one.
const TCP_PORT: u16 = 2375;
/// The same, where the connection is encrypted.
const TLS_PORT: u16 = 2376;

/// A place where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///PATH`: a socket in the file system.
    Unix(String),
    /// `tcp://ADDRESS[:PORT]`
    Tcp(SocketAddr),
    /// `tcp://NAME[:PORT]`: on a machine that is known by name.
    Named(String, u16),
    /// `fd://[NAME]`: sockets that whoever starts the daemon has opened; all of them, or those with this name or number.
    Inherited(String),
    /// `ssh://[USER@]HOST[:PORT]`: an engine on another machine.
    Ssh(Ssh),
}

/// A machine that is reached by ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `[USER@]HOST`
    pub destination: String,
    /// The port, if it is not the usual one.
    pub port: Option<u16>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn parse(text: &str) -> Result<Self> {
        Address::parse_for(text, false)
    }

    /// Reads an address of the network whose connections are encrypted or not, or any other.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn parse_for(text: &str, encrypted: bool) -> Result<Self> {
        let port = if encrypted { TLS_PORT } else { TCP_PORT };
        let bad = |why: &str| Error::Invalid(format!("host {text}: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("it is unix:///PATH, tcp://ADDRESS:PORT, ssh://[USER@]HOST or fd://[NAME]"));
        };
        match scheme {
            "unix" if rest.starts_with('/') && !rest.ends_with('/') => Ok(Address::Unix(rest.into())),
            "unix" => Err(bad("the absolute path of a socket follows, as in unix:///run/skiff.sock")),
            "tcp" => parse_tcp(rest.strip_suffix('/').unwrap_or(rest), port)
                .ok_or_else(|| bad("an IP address or a name, and a port follow, as in tcp://127.0.0.1:2375")),
            "fd" => Ok(Address::Inherited(if rest == "*" { "" } else { rest }.into())),
            "ssh" => match parse_ssh(rest.strip_suffix('/').unwrap_or(rest)) {
                Some(ssh) => Ok(Address::Ssh(ssh)),
                None => Err(bad("[USER@]HOST[:PORT] follows")),
            },
            _ => Err(bad(&format!("{scheme} is none of unix, tcp, ssh and fd"))),
        }
    }

    /// The machine on the network that it is on, by its address or its name.
    pub fn host(&self) -> Option<String> {
        match self {
            Address::Tcp(address) => Some(format!("{}", address.ip())),
            Address::Named(name, _) => Some(name.strip_suffix('.').unwrap_or(name).into()),
            _ => None,
        }
    }
}

fn parse_tcp(text: &str, port: u16) -> Option<Address> {
    if let Ok(address) = text.parse() {
        return Some(Address::Tcp(address));
    }
    let address = |text: &str| match text {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok(),
    };
    let (name, port) = match (address(text), text.rsplit_once(':')) {
        (None, Some((name, port))) => (name, port.parse().ok()?),
        _ => (text, port),
    };
    match address(name) {
        Some(address) => Some(Address::Tcp(SocketAddr::new(address, port))),
        None => is_host_name(name).then(|| Address::Named(name.into(), port)),
    }
}

/// Letters, digits, dashes and underscores between dots. What ends with a number would be a bad IPv4 address.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A host that began with a dash would be an option of ssh's.
fn parse_ssh(text: &str) -> Option<Ssh> {
    let (destination, port) = match text.rsplit_once(':') {
        Some((destination, port)) if !port.ends_with(']') => (destination, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let (user, host) = destination.rsplit_once('@').unwrap_or(("u", destination));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]@%\\+".contains(&byte))
    };
    (is_name(user) && is_name(host)).then(|| Ssh { destination: destination.into(), port })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{path}"),
            Address::Tcp(address) => write!(f, "tcp://{address}"),
            Address::Named(name, port) => write!(f, "tcp://{name}:{port}"),
            Address::Inherited(name) => write!(f, "fd://{name}"),
            Address::Ssh(Ssh { destination, port: None }) => write!(f, "ssh://{destination}"),
            Address::Ssh(Ssh { destination, port: Some(port) }) => write!(f, "ssh://{destination}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("unix:///run/skiff.sock", "unix:///run/skiff.sock"),
            ("tcp://127.0.0.1:80", "tcp://127.0.0.1:80"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://localhost:1/", "tcp://127.0.0.1:1"),
            ("tcp://localhost", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:80", "tcp://[::1]:80"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("tcp://build-1.example.org:80", "tcp://build-1.example.org:80"),
            ("tcp://build_1", "tcp://build_1:2375"),
            ("fd://", "fd://"),
            ("fd://*", "fd://"),
            ("fd://api.socket", "fd://api.socket"),
            ("ssh://root@host.example", "ssh://root@host.example"),
            ("ssh://host:22", "ssh://host:22"),
            ("ssh://me@[fe80::1]", "ssh://me@[fe80::1]"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), written);
        }
        for (text, written) in
            [("tcp://[::1]", "tcp://[::1]:2376"), ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375")]
        {
            assert_eq!(Address::parse_for(text, true).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, words) in [
            ("", "it is unix:///PATH"),
            ("/run/skiff.sock", "it is unix:///PATH"),
            ("unix://run/skiff.sock", "the absolute path"),
            ("unix:///run/", "the absolute path"),
            ("tcp://:2375", "an IP address"),
            ("tcp://", "an IP address"),
            ("tcp://127.0.0.1:99999", "an IP address"),
            ("tcp://127.0.0.256:80", "an IP address"),
            ("tcp://example..org:80", "an IP address"),
            ("tcp://-v:80", "an IP address"),
            ("tcp://me@example.org:80", "an IP address"),
            ("tcp://::1:80x", "an IP address"),
            ("npipe:////./pipe/docker_engine", "npipe is none of"),
            ("ssh://", "[USER@]HOST[:PORT]"),
            ("ssh://-oProxyCommand=x", "[USER@]HOST[:PORT]"),
            ("ssh://a@-v", "[USER@]HOST[:PORT]"),
            ("ssh://-l@host", "[USER@]HOST[:PORT]"),
            ("ssh://host:x", "[USER@]HOST[:PORT]"),
            ("ssh://host/path", "[USER@]HOST[:PORT]"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("host ") && error.contains(words), "{text}: {error}");
        }
    }
}

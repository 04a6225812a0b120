//! Networks that people make, and the three that are always there.
//!
//! ```text
//! networks/<name>   what it is, as JSON; what can't stand in the name of a file stands there as %XX
//! ```

use alloc::{format, string::String, vec::Vec};
use core::net::{IpAddr, Ipv4Addr};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, unlinkat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::Store;
use crate::{
    Context, Error, Result,
    clock::Time,
    container::{config::Map, names},
    file,
    net::{link::is_interface, subnet::Subnet, table::Rules},
};

/// The name of the network that containers are on if nothing else is said.
pub const BRIDGE: &str = "bridge";
/// Longest file of a network, in bytes.
const LIMIT: usize = 1 << 20;
const WHERE: &str = "networks";

/// What carries a network's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// An interface of this host that the containers' cables go to.
    #[default]
    Bridge,
    /// The host's own interfaces.
    Host,
    /// Nothing.
    Null,
}

impl Driver {
    /// As the API shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created: Time,
    /// What carries it.
    #[serde(skip)]
    pub driver: Driver,
    /// Without a way to other networks.
    pub internal: bool,
    /// Free-form; it has no meaning without a swarm.
    pub attachable: bool,
    /// Its IPv4 addresses.
    pub v4: Pool,
    /// Its IPv6 addresses, if it has any.
    pub v6: Option<Pool>,
    /// Options of the driver, see [`OPTIONS`].
    pub options: Map<String>,
    /// Free-form notes.
    pub labels: Map<String>,
}

/// Addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// All of them. None of [`BRIDGE`], which gets some when it is first used.
    pub subnet: Option<Subnet>,
    /// The part of them that containers get theirs from; all if none is said.
    pub ip_range: Option<Subnet>,
    /// The bridge's address; the first one if none is said.
    pub gateway: Option<IpAddr>,
    /// Addresses that no container gets, and what for.
    pub auxiliary: Map<IpAddr>,
}

impl Pool {
    /// The address of the bridge in this subnet, which is the pool's.
    #[must_use]
    pub fn gateway_in(&self, subnet: Subnet) -> IpAddr {
        self.gateway.unwrap_or_else(|| subnet.gateway())
    }

    fn check(&self) -> Result<()> {
        let Some(subnet) = self.subnet else {
            let alone = self.ip_range.is_some() || self.gateway.is_some() || !self.auxiliary.is_empty();
            let why = "every ip-range, gateway or aux-address must have a corresponding subnet";
            return if alone { Err(Error::Invalid(why.into())) } else { Ok(()) };
        };
        if subnet.prefix > if subnet.is_ipv4() { 30 } else { 126 } {
            return Err(Error::Invalid(format!(
                "invalid subnet {subnet}: it has no address for a container"
            )));
        }
        if let Some(range) = self.ip_range.filter(|range| !subnet.covers(*range)) {
            return Err(Error::Invalid(format!("no matching subnet for range {range}")));
        }
        if let Some(gateway) = self.gateway.filter(|gateway| !subnet.has_host(*gateway)) {
            return Err(Error::Invalid(format!("no matching subnet for gateway {gateway}")));
        }
        match self.auxiliary.values().find(|address| !subnet.has_host(**address)) {
            Some(address) => Err(Error::Invalid(format!("no matching subnet for aux-address {address}"))),
            None => Ok(()),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Network {
            name: String::new(),
            id: String::new(),
            created: Time::NEVER,
            driver: Driver::Bridge,
            internal: false,
            attachable: false,
            v4: Pool::default(),
            v6: None,
            options: Map::new(),
            labels: Map::new(),
        }
    }
}

/// The name of the bridge.
const NAME: &str = "com.docker.network.bridge.name";
/// Whether containers reach each other.
const CONNECTIVITY: &str = "com.docker.network.bridge.enable_icc";
/// Whether they reach the world under this host's address.
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// The address of the host that ports are published on.
const HOST_ADDRESS: &str = "com.docker.network.bridge.host_binding_ipv4";
/// The longest packet.
const MTU: &str = "com.docker.network.driver.mtu";
/// Options that a network can have.
pub const OPTIONS: [&str; 5] = [NAME, CONNECTIVITY, MASQUERADE, HOST_ADDRESS, MTU];

/// Names, drivers and ids of the networks that are always there. The ids are the SHA-256 sums of the names.
const BUILT_IN: [(&str, Driver, &str); 3] = [
    (BRIDGE, Driver::Bridge, "17f29b073143d8cd97b5bbe492bdeffec1c5fee55cc1fe2112c8b9335f8b6121"),
    ("host", Driver::Host, "4740ae6347b0172c01254ff55bae5aff5199f4446e7f6d643d40185b3f475145"),
    ("none", Driver::Null, "140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe"),
];

impl Network {
    /// The network of this name, if it is one that is always there.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Network> {
        let (name, driver, id) = BUILT_IN.into_iter().find(|(known, ..)| *known == name)?;
        Some(Network { name: name.into(), driver, id: id.into(), ..Network::default() })
    }

    /// Whether it is always there.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        BUILT_IN.iter().any(|(name, ..)| *name == self.name)
    }

    /// The name of its bridge, if it is not the one that is always there.
    #[must_use]
    pub fn bridge_name(&self) -> String {
        match self.options.get(NAME) {
            Some(name) => name.clone(),
            None => format!("br-{}", names::short(&self.id)),
        }
    }

    /// The longest packet, in bytes.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.options.get(MTU).and_then(|text| text.parse().ok()).unwrap_or(1500)
    }

    /// Whether its containers can't reach each other.
    #[must_use]
    pub fn isolates(&self) -> bool {
        self.is_off(CONNECTIVITY)
    }

    /// The host's address that ports are published on if nothing else is said.
    #[must_use]
    pub fn host_address(&self) -> Ipv4Addr {
        self.options.get(HOST_ADDRESS).and_then(|text| text.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// What the packet filter has to know of it.
    #[must_use]
    pub fn rules(&self, subnet: Subnet, gateway: IpAddr) -> Rules {
        Rules { subnet, gateway, internal: self.internal, masquerade: !self.is_off(MASQUERADE) }
    }

    /// Its pools.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        [&self.v4].into_iter().chain(&self.v6)
    }

    fn is_off(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|value| !is_true(value))
    }

    /// Checks what somebody asks for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what makes no sense, [`Error::Unsupported`] for options that there are not,
    /// [`Error::Conflict`] for the name of one that is always there.
    pub fn check(&self) -> Result<()> {
        let name = self.name.as_str();
        if BUILT_IN.iter().any(|(known, ..)| *known == name) || matches!(name, "default" | "container") {
            return Err(Error::Forbidden(format!("operation is not permitted on predefined {name} network")));
        }
        let is_whole = !name.is_empty() && name.trim() == name && !name.contains(char::is_control);
        if !is_whole || file_name(name).len() > 255 {
            return Err(Error::Invalid(format!("invalid network name {name:?}")));
        }
        for (option, value) in &self.options {
            let is_good = match option.as_str() {
                NAME => is_interface(value),
                CONNECTIVITY | MASQUERADE => matches!(value.as_str(), "true" | "false" | "1" | "0"),
                HOST_ADDRESS => value.parse::<Ipv4Addr>().is_ok(),
                MTU => value.parse::<u32>().is_ok_and(|mtu| (68..=65535).contains(&mtu)),
                _ => {
                    return Err(Error::Unsupported(format!("network option {option} is not there"))
                        .hint(&format!("there are {}", OPTIONS.join(", "))));
                }
            };
            if !is_good {
                return Err(Error::Invalid(format!("invalid value {value:?} of network option {option}")));
            }
        }
        self.pools().try_for_each(Pool::check)
    }
}

/// The name of a network's file.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at > 0 => file.push('.'),
            _ if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) => file.push(char::from(byte)),
            _ => file.push_str(&format!("%{byte:02X}")),
        }
    }
    file
}

/// The name of the network that has this file; none if no network can have it.
fn name_of_file(file: &str) -> Option<String> {
    let mut parts = file.split('%');
    let mut name: Vec<u8> = parts.next()?.into();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        name.extend(rest.bytes());
    }
    String::from_utf8(name).ok().filter(|name| file_name(name) == file)
}

fn is_true(text: &str) -> bool {
    matches!(text, "true" | "1")
}

/// The right to make networks, and to remove them.
#[derive(Debug)]
pub struct NetworksLocked(OwnedFd);

impl Store {
    /// Waits for the right to change which networks there are.
    ///
    /// # Errors
    /// Of the file system.
    pub fn lock_networks(&self) -> Result<NetworksLocked> {
        file::subdirectory(&self.root, WHERE, 0o700).context("open", WHERE)?;
        let own = file::lock_directory(&self.root, WHERE, FlockOperation::LockExclusive);
        own.context("lock", WHERE).map(NetworksLocked)
    }

    /// Adds a network, whose name nobody has.
    ///
    /// # Errors
    /// Of the file system.
    pub fn add_network(&self, _locked: &NetworksLocked, network: &Network) -> Result<()> {
        let json = serde_json::to_vec(network).expect("a network has only string keys");
        let path = format!("{WHERE}/{}", file_name(&network.name));
        self.publication(&self.share()?)?.file(&path, &json)?.commit()
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_network(&self, locked: &NetworksLocked, name: &str) -> Result<()> {
        unlinkat(&locked.0, file_name(name), AtFlags::empty()).context("remove network", name)
    }

    /// The network of this name; also one that is always there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn network(&self, name: &str) -> Result<Option<Network>> {
        if let Some(found) = Network::built_in(name) {
            return Ok(Some(found));
        }
        let file = file_name(name);
        if file.is_empty() || file.len() > 255 {
            return Ok(None);
        }
        let path = format!("{WHERE}/{file}");
        match file::read(&self.root, path.as_str(), LIMIT) {
            Ok(json) => {
                let read: Network = crate::json::from_slice(&json)
                    .map_err(|error| Error::Corrupt(format!("network {name}: {error}")))?;
                Ok(Some(Network { name: name.into(), ..read }))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR) => Ok(None),
            Err(errno) => Err(Error::os("read", path, errno)),
        }
    }

    /// All networks, by name.
    ///
    /// # Errors
    /// Of the file system.
    pub fn networks(&self) -> Result<Vec<Network>> {
        let mut all: Vec<Network> =
            BUILT_IN.iter().filter_map(|(name, ..)| Network::built_in(name)).collect();
        for name in self.listed(WHERE)? {
            // Between them there may be what a killed process was about to write.
            if let Some(name) = name_of_file(&name)
                && let Ok(Some(network)) = self.network(&name)
            {
                all.push(network);
            }
        }
        crate::sort::by(&mut all, |a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The network that somebody means: by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] if several ids begin like this.
    pub fn find_network(&self, wanted: &str) -> Result<Network> {
        if let Some(network) = self.network(wanted)? {
            return Ok(network);
        }
        let missing = || Error::NotFound(format!("network {wanted} not found"));
        if !names::is_id_prefix(wanted) {
            return Err(missing());
        }
        let all = self.networks()?;
        let id = match names::by_prefix(wanted, all.iter().map(|network| network.id.as_str())) {
            Ok(id) => id,
            Err(names::NoMatch::None) => return Err(missing()),
            Err(several) => return Err(several.error("network", wanted)),
        };
        all.iter().find(|network| network.id == id).cloned().ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::ScratchStore;

    fn network(name: &str, subnet: &str) -> Network {
        let v4 = Pool { subnet: subnet.parse().ok(), ..Pool::default() };
        Network { name: name.into(), v4, ..Network::default() }
    }

    #[test]
    fn a_network_is_found_by_its_name_and_by_its_id() {
        let scratch = ScratchStore::new("networks");
        let store = &scratch.store;
        let locked = store.lock_networks().unwrap();
        let mut made = network("front", "10.1.0.0/16");
        made.id = "ab".repeat(32);
        made.labels.insert("a".into(), "b".into());
        store.add_network(&locked, &made).unwrap();
        assert_eq!(store.find_network("front").unwrap(), made);
        assert_eq!(store.find_network("abab").unwrap(), made);
        assert_eq!(store.find_network("17f29b").unwrap().name, BRIDGE);
        for missing in ["fron", "ba", "", "..", "front/x"] {
            assert!(matches!(store.find_network(missing), Err(Error::NotFound(_))), "{missing}");
        }
        store.add_network(&locked, &network("../a b%", "")).unwrap();
        assert_eq!(store.network("../a b%").unwrap().unwrap().name, "../a b%");
        store.remove_network(&locked, "../a b%").unwrap();
        for file in ["a%2F", ".a", "a%2", "a%zz", "%61"] {
            assert!(name_of_file(file).is_none_or(|name| name.contains('/')), "{file}");
        }
        let names: Vec<String> = store.networks().unwrap().into_iter().map(|network| network.name).collect();
        assert_eq!(names, ["bridge", "front", "host", "none"]);
        store.remove_network(&locked, "front").unwrap();
        assert!(store.network("front").unwrap().is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let fails = |network: Network| network.check().unwrap_err();
        assert!(network("front", "10.1.0.0/16").check().is_ok() && network("front", "").check().is_ok());
        for name in ["bridge", "default", "", " a", "a\n", &"x".repeat(256)] {
            fails(network(name, ""));
        }
        fails(network("front", "10.1.0.0/31"));
        let of = |change: &dyn Fn(&mut Network)| {
            let mut network = network("front", "10.1.0.0/16");
            change(&mut network);
            network
        };
        fails(of(&|one| one.v4.gateway = Some([10, 2, 0, 1].into())));
        fails(of(&|one| one.v4.gateway = Some([10, 1, 255, 255].into())));
        fails(of(&|one| one.v4.ip_range = "10.0.0.0/8".parse().ok()));
        fails(of(&|one| _ = one.v4.auxiliary.insert("x".into(), [10, 2, 0, 1].into())));
        fails(of(&|one| (one.v4.subnet, one.v4.gateway) = (None, Some([10, 1, 0, 1].into()))));
        for (option, value) in [
            (MTU, "0"),
            (MTU, "x"),
            (NAME, "a/b"),
            (NAME, "sixteen-letters-"),
            (CONNECTIVITY, "yes"),
            ("x", "y"),
        ] {
            fails(of(&|one| _ = one.options.insert(option.into(), value.into())));
        }
        let mut masked = of(&|one| _ = one.options.insert(MASQUERADE.into(), "false".into()));
        masked.options.insert(MTU.into(), "1400".into());
        assert!(
            masked.check().is_ok()
                && !masked.rules(Subnet::LOOPBACK, Subnet::LOOPBACK.gateway()).masquerade
                && masked.mtu() == 1400
        );
    }
}

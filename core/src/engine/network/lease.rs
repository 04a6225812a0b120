//! Who has which address of a network. A lease is a link in the run root, called by the address: it names the container
//! and what others know it by, so one look at the directory says all that the [responder](super::responder) has to know. The
//! lease of a container that nobody monitors is free.
//!
//! ```text
//! networks/<bridge>/<address> -> <id> [<name>...] [<name>=<container>...] [@<server>...]
//!                                     its names    links that it has      its name servers
//! ```

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, statat, unlinkat},
    io::Errno,
};

use crate::{
    Context, Error, Result,
    container::{endpoint::EndpointSettings, record::Record},
    engine::Engine,
    file,
    net::subnet::Subnet,
    store::networks::{Network, Pool},
};

/// Longest text of a link.
const LIMIT: usize = 4095;

/// The directory of a network's leases, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Leases(pub OwnedFd);

/// What a lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// The container.
    pub id: String,
    /// What it is known by on this network.
    pub names: Vec<String>,
    /// What it knows others by: the name, and the other's.
    pub links: Vec<(String, String)>,
    /// The name servers that it asked for.
    pub servers: Vec<IpAddr>,
}

impl Lease {
    /// What a container has on a network where it asks for that.
    pub fn of(record: &Record, settings: &EndpointSettings, network: &Network) -> Result<Lease> {
        let mut names: Vec<String> = Vec::new();
        if !network.is_built_in() {
            let own = [record.name.as_str(), record.short_id(), record.config.hostname.as_str()];
            let all = own.into_iter().chain(settings.aliases.iter().map(String::as_str));
            for name in all.filter(|name| !name.is_empty() && !name.contains([' ', '='])) {
                if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    names.push(name.into());
                }
            }
        }
        let links = settings.linked().map(|(container, alias)| (alias.into(), container.into())).collect();
        let servers = record.host.dns.iter().filter_map(|server| server.parse().ok()).collect();
        let lease = Lease { id: record.id.clone(), names, links, servers };
        match lease.to_string().len() {
            0..=LIMIT => Ok(lease),
            _ => Err(Error::Invalid(format!("container {}: too many names on a network", record.name))),
        }
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Lease> {
        let mut words = text.split(' ');
        let id = words.next().filter(|id| !id.is_empty())?.into();
        let mut lease = Lease { id, names: Vec::new(), links: Vec::new(), servers: Vec::new() };
        for word in words {
            if let Some(server) = word.strip_prefix('@') {
                lease.servers.extend(server.parse::<IpAddr>());
            } else if let Some((name, container)) = word.split_once('=') {
                lease.links.push((name.into(), container.into()));
            } else {
                lease.names.push(word.into());
            }
        }
        Some(lease)
    }
}

impl core::fmt::Display for Lease {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.id)?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))?;
        self.links.iter().try_for_each(|(name, container)| write!(f, " {name}={container}"))?;
        self.servers.iter().try_for_each(|server| write!(f, " @{server}"))
    }
}

/// All leases in a directory.
pub(super) fn all(leases: &OwnedFd) -> Result<Vec<(IpAddr, Lease)>, Errno> {
    let read = |name: String| {
        let address = name.parse().ok()?;
        Some((address, Lease::parse(&file::link_target(leases, name.as_str()).ok()?)?))
    };
    Ok(file::names(leases, ".")?.into_iter().filter_map(read).collect())
}

/// A place that is free, with one before it that is not, or the first of all; `probe` tells of a place whether it is free,
/// or that it is behind the last one. `None` if none was found, which there may be all the same. Looks at few of many.
fn free_place(probe: &dyn Fn(u128) -> Option<bool>) -> Option<u128> {
    // Taken is all that is looked at below `least`.
    let (mut least, mut free) = (0, 0);
    while !probe(free)? {
        least = free + 1;
        free = 2 * free + 1;
    }
    while least < free {
        let middle = least.midpoint(free);
        match probe(middle)? {
            true => free = middle,
            false => least = middle + 1,
        }
    }
    Some(free)
}

impl Leases {
    /// Gives a container an address of a pool: the one that it wants, or one that is free, the lowest if those that are not
    /// are all below it. None if none is.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another has the one that it wants.
    pub fn take(
        &self,
        engine: &Engine,
        (pool, subnet): (&Pool, Subnet),
        lease: &Lease,
        wanted: Option<IpAddr>,
    ) -> Result<Option<IpAddr>> {
        let text = lease.to_string();
        let link = |address: IpAddr| rustix::fs::symlinkat(text.as_str(), &self.0, format!("{address}"));
        let gateway = pool.gateway_in(subnet);
        let is_reserved =
            |address: IpAddr| address == gateway || pool.auxiliary.values().any(|other| *other == address);
        if let Some(wanted) = wanted {
            if self.holder(wanted).is_some_and(|holder| !engine.shelf.is_monitored(&holder)) {
                self.end(wanted);
            }
            return match if is_reserved(wanted) { Err(Errno::EXIST) } else { link(wanted) } {
                Ok(()) => Ok(Some(wanted)),
                Err(Errno::EXIST) => Err(Error::Conflict(format!("Address already in use: {wanted}"))),
                Err(errno) => Err(Error::os("lease", format!("{wanted}"), errno)),
            };
        }
        let range = pool.ip_range.unwrap_or(subnet);
        let host = |at| range.host_within(subnet, at);
        let is_free = |address: &IpAddr| !is_reserved(*address) && !self.has(*address);
        let near = free_place(&|at| host(at).as_ref().map(is_free)).and_then(host);
        let found = near.or_else(|| range.hosts_within(subnet).find(is_free));
        let Some(address) = found else { return Ok(None) };
        link(address).context("lease", address)?;
        Ok(Some(address))
    }

    fn has(&self, address: IpAddr) -> bool {
        statat(&self.0, format!("{address}"), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The container that has an address.
    fn holder(&self, address: IpAddr) -> Option<String> {
        let text = file::link_target(&self.0, format!("{address}")).ok()?;
        Lease::parse(&text).map(|lease| lease.id)
    }

    /// Gives an address back.
    fn end(&self, address: IpAddr) {
        let _ = unlinkat(&self.0, format!("{address}"), AtFlags::empty());
    }

    /// Gives an address back, if the container has it.
    pub fn give_back(&self, address: IpAddr, id: &str) {
        if self.holder(address).is_some_and(|holder| holder == id) {
            self.end(address);
        }
    }

    /// Says otherwise what others know a container by.
    pub fn rename(&self, address: IpAddr, lease: &Lease) -> Result<()> {
        let temporary = format!(".{address}");
        let _ = unlinkat(&self.0, &temporary, AtFlags::empty());
        rustix::fs::symlinkat(lease.to_string(), &self.0, &temporary).context("lease", address)?;
        rustix::fs::renameat(&self.0, &temporary, &self.0, format!("{address}")).context("lease", address)
    }

    /// Ends the leases of containers that nobody monitors. How many are left?
    pub fn free(&self, engine: &Engine) -> Result<usize> {
        let mut left = 0;
        for (address, lease) in all(&self.0).context("read", "leases")? {
            if engine.shelf.is_monitored(&lease.id) {
                left += 1;
            } else {
                self.end(address);
            }
        }
        Ok(left)
    }
}

impl Engine {
    /// The leases on a bridge; the directory is made if it is missing.
    pub(super) fn leases(&self, bridge: &str) -> Result<Leases> {
        let networks = file::subdirectory(&self.run, "networks", 0o700).context("open", "networks")?;
        loop {
            file::subdirectory(&networks, bridge, 0o700).context("open leases of", bridge)?;
            if let Some(leases) = self.lock_leases(bridge)? {
                return Ok(leases);
            }
        }
    }

    /// The leases on a bridge, if there is a directory of them.
    pub(super) fn present_leases(&self, bridge: &str) -> Option<Leases> {
        self.lock_leases(bridge).ok().flatten()
    }

    fn lock_leases(&self, bridge: &str) -> Result<Option<Leases>> {
        let path = format!("networks/{bridge}");
        let leases = match file::lock_directory(&self.run, path, FlockOperation::LockExclusive) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.context("lock leases of", bridge)?,
        };
        // The network may have been removed before the lock was there.
        Ok(rustix::fs::fstat(&leases).is_ok_and(|stat| stat.st_nlink > 0).then_some(Leases(leases)))
    }

    /// The leases on a bridge, just to be looked at. None if there is no directory of them.
    pub(super) fn look_at_leases(&self, bridge: &str) -> Option<OwnedFd> {
        file::directory(&self.run, format!("networks/{bridge}")).ok()
    }

    /// Removes the directory of the leases, in which there are none any more.
    pub(super) fn forget_leases(&self, bridge: &str, _leases: Leases) {
        let _ = unlinkat(&self.run, format!("networks/{bridge}"), AtFlags::REMOVEDIR);
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn a_free_place_is_found_by_looking_at_few() {
        for (count, taken) in
            [(0, 0), (1, 0), (1, 1), (2, 1), (1000, 450), (1000, 511), (1 << 64, 3), (600, 599)]
        {
            let looks = Cell::new(0);
            let place = free_place(&|at| {
                looks.set(looks.get() + 1);
                (at < count).then_some(at >= taken)
            });
            // Behind the last power of two it gives up.
            let next = (taken + 1).next_power_of_two() - 1;
            assert_eq!(place, (next < count).then_some(taken), "{count} {taken}");
            assert!(looks.get() <= 20);
        }
        // With gaps it is any that follows a taken one.
        let gaps = [2, 5];
        let place = free_place(&|at| Some(at > 9 || gaps.contains(&at))).unwrap();
        assert!(place == 10 || gaps.contains(&place));
    }

    #[test]
    fn a_lease_reads_as_it_was_written() {
        let mut record = Record { id: "a1".repeat(32), name: "web".into(), ..Record::default() };
        record.host.dns = ["10.0.0.1".into(), "::1".into()].into();
        let settings: EndpointSettings =
            serde_json::from_str(r#"{"Aliases": ["www", "WEB"], "Links": ["db:sql"]}"#).unwrap();
        let network = Network { name: "front".into(), ..Network::default() };
        let lease = Lease::of(&record, &settings, &network).unwrap();
        assert_eq!(lease.names, ["web", "a1a1a1a1a1a1", "www"]);
        assert_eq!(lease.links, [("sql".into(), "db".into())]);
        assert_eq!(Lease::parse(&lease.to_string()), Some(lease));
        assert_eq!(Lease::parse(""), None);
        record.name = "x".repeat(5000);
        assert!(Lease::of(&record, &settings, &network).is_err());
        let bridge = Network::built_in("bridge").unwrap();
        assert!(Lease::of(&record, &settings, &bridge).unwrap().names.is_empty());
    }
}

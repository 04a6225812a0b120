//! Ranges of IPv4 addresses (RFC 4632).

use alloc::{borrow::Cow, format, string::String};
use core::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result};

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The first address: the bits that all have, then zeros.
    first: u32,
    /// How many bits all have.
    pub prefix: u8,
}

impl Subnet {
    /// The host itself.
    pub const LOOPBACK: Subnet = Subnet { first: u32::from_be_bytes([127, 0, 0, 0]), prefix: 8 };

    /// The subnet of an address.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 32 bits.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Result<Subnet> {
        if prefix > 32 {
            return Err(Error::Invalid(format!(
                "invalid subnet {address}/{prefix}: the prefix is at most 32"
            )));
        }
        Ok(Subnet { first: address.to_bits() & mask(prefix), prefix })
    }

    /// Whether the address is one of it.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.first
    }

    /// Whether the address can be a host's: one of it that does not stand for all.
    #[must_use]
    pub fn has_host(self, address: Ipv4Addr) -> bool {
        self.contains(address) && address.to_bits() != self.first && address != self.broadcast()
    }

    /// Whether all addresses of `other` are of this one.
    #[must_use]
    pub fn covers(self, other: Subnet) -> bool {
        other.prefix >= self.prefix && self.contains(Ipv4Addr::from_bits(other.first))
    }

    /// What all its addresses have in common, and where.
    #[must_use]
    pub fn value_and_mask(self) -> (u32, u32) {
        (self.first, mask(self.prefix))
    }

    /// The gateway's address: the first that a host can have.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first | 1)
    }

    /// The address that reaches all.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first | !mask(self.prefix))
    }

    /// Those of its addresses that hosts of another subnet, which it is part of, can have; the lowest first.
    pub fn hosts_within(self, whole: Subnet) -> impl Iterator<Item = Ipv4Addr> {
        let all = (self.first..=self.broadcast().to_bits()).map(Ipv4Addr::from_bits);
        all.filter(move |address| whole.has_host(*address))
    }

    /// Whether the two have addresses in common.
    #[must_use]
    pub fn overlaps(self, other: Subnet) -> bool {
        let common = mask(self.prefix.min(other.prefix));
        self.first & common == other.first & common
    }

    /// Those that a network may get if nobody says which, as Docker has them: 172.17 to 172.31 in sixteens, then
    /// 192.168 in twenties.
    pub fn pool() -> impl Iterator<Item = Subnet> {
        let large = (17..32).map(|part| Subnet { first: u32::from_be_bytes([172, part, 0, 0]), prefix: 16 });
        let small =
            (0..16).map(|part| Subnet { first: u32::from_be_bytes([192, 168, part << 4, 0]), prefix: 20 });
        large.chain(small)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    /// `172.17.0.0/16`; of an address in it, it is the subnet.
    fn from_str(text: &str) -> Result<Subnet> {
        let invalid = || Error::Invalid(format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| is_number && *prefix <= 32).ok_or_else(invalid)?;
        Subnet::of(address.parse().map_err(|_| invalid())?, prefix)
    }
}

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(from)?.parse().map_err(|error| de::Error::custom(format!("{error}")))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The hardware address of who has this address, in Docker's form: locally administered, 02:42 and the address.
#[must_use]
pub fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// `02:42:ac:11:00:02`
#[must_use]
pub fn hardware_text(address: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = address;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// Reads what [`hardware_text`] writes; also with hyphens. None for what is no address of one interface.
#[must_use]
pub fn read_hardware(text: &str) -> Option<[u8; 6]> {
    let mut parts = text.split([':', '-']);
    let mut address = [0; 6];
    for byte in &mut address {
        let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // The lowest bit is that of addresses of groups.
    (parts.next().is_none() && address[0] & 1 == 0 && address != [0; 6]).then_some(address)
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec::Vec};

    use super::*;

    fn subnet(address: [u8; 4], prefix: u8) -> Subnet {
        Subnet::of(address.into(), prefix).unwrap()
    }

    #[test]
    fn a_subnet_has_a_gateway_hosts_and_a_broadcast_address() {
        let small = subnet([10, 1, 2, 13], 29);
        assert_eq!(small.to_string(), "10.1.2.8/29");
        assert_eq!((small.gateway(), small.broadcast()), ([10, 1, 2, 9].into(), [10, 1, 2, 15].into()));
        let hosts = |part: Subnet| part.hosts_within(small).map(|host| host.octets()[3]).collect::<Vec<_>>();
        assert_eq!(hosts(small), [9, 10, 11, 12, 13, 14]);
        assert_eq!(hosts(subnet([10, 1, 2, 12], 30)), [12, 13, 14]);
        assert!(small.has_host([10, 1, 2, 9].into()) && !small.has_host([10, 1, 2, 8].into()));
        assert!(!small.has_host([10, 1, 2, 15].into()) && !small.has_host([10, 1, 2, 16].into()));
        assert!(subnet([10, 1, 0, 0], 16).covers(small) && !small.covers(subnet([10, 1, 0, 0], 16)));
        assert_eq!(subnet([1; 4], 0).to_string(), "0.0.0.0/0");
        assert!(Subnet::of([1; 4].into(), 33).is_err());
    }

    #[test]
    fn a_subnet_is_read_as_it_is_written() {
        for (text, read) in
            [("10.1.2.13/29", "10.1.2.8/29"), ("0.0.0.0/0", "0.0.0.0/0"), ("1.2.3.4/32", "1.2.3.4/32")]
        {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), read);
        }
        for text in
            ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/0", "10.0.0.0/8/8"]
        {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_hardware_address_is_of_one_interface() {
        let address = hardware_address([172, 17, 0, 2].into());
        assert_eq!(read_hardware(&hardware_text(address)), Some(address));
        assert_eq!(read_hardware("02-42-AC-11-00-02"), Some(address));
        for text in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "01:00:00:00:00:01",
            "00:00:00:00:00:00",
            "2:42:ac:11:0:2",
        ] {
            assert_eq!(read_hardware(text), None, "{text}");
        }
    }

    #[test]
    fn subnets_overlap_if_one_is_in_the_other() {
        let large = subnet([172, 17, 0, 0], 16);
        assert!(large.overlaps(subnet([172, 17, 9, 0], 24)) && subnet([172, 17, 9, 0], 24).overlaps(large));
        assert!(!large.overlaps(subnet([172, 18, 0, 0], 16)) && large.overlaps(subnet([0; 4], 0)));
        let pool: Vec<Subnet> = Subnet::pool().collect();
        assert_eq!((pool.len(), pool[0].to_string()), (31, "172.17.0.0/16".into()));
        assert!(
            pool.iter().enumerate().all(|(at, one)| !pool[at + 1..].iter().any(|two| two.overlaps(*one)))
        );
    }
}

//! Ranges of addresses (RFC 4632, RFC 4291).

use alloc::{borrow::Cow, format, string::String};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result};

/// The addresses of one protocol that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The first address: the bits that all have, then zeros.
    first: IpAddr,
    /// How many bits all have.
    pub prefix: u8,
}

/// How many bits an address of this protocol has.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of the same protocol as `like` that this number is. Higher bits than that has don't count.
fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

impl Subnet {
    /// The host itself.
    pub const LOOPBACK: Subnet = Subnet { first: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 };

    /// The subnet of an address.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more bits than it has.
    pub fn of(of: IpAddr, prefix: u8) -> Result<Subnet> {
        if prefix > bits(of) {
            return Err(Error::Invalid(format!(
                "invalid subnet {of}/{prefix}: the prefix is at most {}",
                bits(of)
            )));
        }
        let whole = Subnet { first: of, prefix };
        Ok(Subnet { first: address(number(of) & !whole.host_bits(), of), prefix })
    }

    /// A subnet that is this host's own, RFC 4193: `fd`, 40 bits that nobody else is likely to have, and zeros.
    #[must_use]
    pub fn unique_local(random: u64) -> Subnet {
        let first = 0xfd << 120 | u128::from(random & 0xff_ffff_ffff) << 80;
        Subnet { first: Ipv6Addr::from_bits(first).into(), prefix: 64 }
    }

    /// The bits that addresses don't have in common.
    fn host_bits(self) -> u128 {
        let count = u32::from(bits(self.first) - self.prefix);
        u128::MAX.checked_shl(count).map_or(u128::MAX, |higher| !higher)
    }

    /// Whether the address is one of it.
    #[must_use]
    pub fn contains(self, of: IpAddr) -> bool {
        of.is_ipv4() == self.first.is_ipv4() && number(of) & !self.host_bits() == number(self.first)
    }

    /// Whether the address can be a host's: one of it that stands neither for all nor for the subnet.
    #[must_use]
    pub fn has_host(self, of: IpAddr) -> bool {
        self.contains(of) && of != self.first && (of.is_ipv6() || of != self.last())
    }

    /// Whether all addresses of `other` are of this one.
    #[must_use]
    pub fn covers(self, other: Subnet) -> bool {
        other.prefix >= self.prefix && self.contains(other.first)
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.first.is_ipv4()
    }

    /// What all its addresses have in common.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// Where they have it in common.
    #[must_use]
    pub fn mask(self) -> IpAddr {
        address(!self.host_bits(), self.first)
    }

    /// The gateway's address: the first that a host can have.
    #[must_use]
    pub fn gateway(self) -> IpAddr {
        address(number(self.first) | 1, self.first)
    }

    /// The last address; of IPv4 it reaches all.
    #[must_use]
    pub fn last(self) -> IpAddr {
        address(number(self.first) | self.host_bits(), self.first)
    }

    /// Those of its addresses that hosts of another subnet, which it is part of, can have; the lowest first.
    pub fn hosts_within(self, whole: Subnet) -> impl Iterator<Item = IpAddr> {
        (0..).map_while(move |at| self.host_within(whole, at))
    }

    /// One of [these](Self::hosts_within), by its place.
    #[must_use]
    pub fn host_within(self, whole: Subnet, at: u128) -> Option<IpAddr> {
        // Only the first and the last address of a subnet may be no host's.
        let first = number(self.first).checked_add(u128::from(!whole.has_host(self.first)))?;
        let found = first.checked_add(at).filter(|found| *found <= number(self.last()))?;
        Some(address(found, self.first)).filter(|address| whole.has_host(*address))
    }

    /// Whether the two have addresses in common.
    #[must_use]
    pub fn overlaps(self, other: Subnet) -> bool {
        self.is_ipv4() == other.is_ipv4() && (self.contains(other.first) || other.contains(self.first))
    }

    /// Those that a network may get if nobody says which, as Docker has them: 172.17 to 172.31 in sixteens, then
    /// 192.168 in twenties.
    pub fn pool() -> impl Iterator<Item = Subnet> {
        let large = (17..32).map(|part| (Ipv4Addr::new(172, part, 0, 0), 16));
        let small = (0..16).map(|part| (Ipv4Addr::new(192, 168, part << 4, 0), 20));
        large.chain(small).map(|(first, prefix)| Subnet { first: first.into(), prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    /// `172.17.0.0/16`; of an address in it, it is the subnet.
    fn from_str(text: &str) -> Result<Subnet> {
        let invalid = || Error::Invalid(format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_number).ok_or_else(invalid)?;
        Subnet::of(address.parse().map_err(|_| invalid())?, prefix).map_err(|_| invalid())
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

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_has_a_gateway_hosts_and_a_last_address() {
        let small = subnet("10.1.2.13/29");
        assert_eq!((small.gateway(), small.last()), (ip("10.1.2.9"), ip("10.1.2.15")));
        assert_eq!((small.first(), small.mask()), (ip("10.1.2.8"), ip("255.255.255.248")));
        let hosts = |part: &str, whole| {
            let all = subnet(part).hosts_within(whole).take(6);
            all.map(|host| host.to_string().rsplit(['.', ':']).next().unwrap().into())
                .collect::<Vec<String>>()
        };
        assert_eq!(hosts("10.1.2.8/29", small), ["9", "10", "11", "12", "13", "14"]);
        assert_eq!(hosts("10.1.2.12/30", small), ["12", "13", "14"]);
        let six = subnet("fd00:1::5/125");
        assert_eq!((six.gateway(), six.last()), (ip("fd00:1::1"), ip("fd00:1::7")));
        assert_eq!(hosts("fd00:1::4/126", six), ["4", "5", "6", "7"]);
        assert_eq!(hosts("fd00::/64", subnet("fd00::/64")), ["1", "2", "3", "4", "5", "6"]);
        let last = subnet("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
        assert!(last.hosts_within(last).count() <= 1);
        assert!(small.has_host(ip("10.1.2.9")) && !small.has_host(ip("10.1.2.8")));
        assert!(!small.has_host(ip("10.1.2.15")) && !small.has_host(ip("10.1.2.16")));
        assert!(
            six.has_host(ip("fd00:1::7")) && !six.has_host(ip("fd00:1::")) && !six.has_host(ip("10.1.2.9"))
        );
        assert!(subnet("10.1.0.0/16").covers(small) && !small.covers(subnet("10.1.0.0/16")));
    }

    #[test]
    fn subnets_overlap_if_one_is_in_the_other() {
        let (large, small) = (subnet("172.17.0.0/16"), subnet("172.17.9.0/24"));
        assert!(large.overlaps(small) && small.overlaps(large));
        assert!(!large.overlaps(subnet("172.18.0.0/16")) && large.overlaps(subnet("0.0.0.0/0")));
        assert!(!subnet("::/0").overlaps(subnet("0.0.0.0/0")) && subnet("::/0").overlaps(subnet("fd00::/8")));
        let pool: Vec<Subnet> = Subnet::pool().collect();
        assert_eq!((pool.len(), pool[0].to_string()), (31, "172.17.0.0/16".into()));
        assert!(
            pool.iter().enumerate().all(|(at, one)| !pool[at + 1..].iter().any(|two| two.overlaps(*one)))
        );
        assert_eq!(
            Subnet::unique_local(0x77_1234_5678_9abc).to_string(),
            "fd12:3456:789a:bc00::/64".replace("12:3456:789a:bc00", "34:5678:9abc")
        );
    }

    #[test]
    fn a_subnet_is_read_as_it_is_written() {
        for (text, read) in [
            ("10.1.2.13/29", "10.1.2.8/29"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("1.2.3.4/32", "1.2.3.4/32"),
            ("fd00::1:2/64", "fd00::/64"),
            ("::1/128", "::1/128"),
            ("::1/0", "::/0"),
        ] {
            assert_eq!(subnet(text).to_string(), read);
        }
        for text in
            ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "10.0.0.0/8/8"]
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
}

//! Ranges of IPv4 addresses (RFC 4632).

use alloc::{format, string::String};
use core::{fmt, net::Ipv4Addr};

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

    /// The addresses for hosts but the gateway, the lowest first.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first.saturating_add(2)..self.broadcast().to_bits()).map(Ipv4Addr::from_bits)
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
        assert_eq!(small.hosts().map(|host| host.octets()[3]).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
        assert_eq!(subnet([255; 4], 32).hosts().count(), 0);
        assert_eq!(subnet([1; 4], 0).to_string(), "0.0.0.0/0");
        assert!(Subnet::of([1; 4].into(), 33).is_err());
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

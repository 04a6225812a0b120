//! Interfaces, addresses and routes: rtnetlink(7), linux/if_link.h, linux/rtnetlink.h.

use core::net::IpAddr;

use super::{
    message::{Attributes, Flags, Message, Messages, number},
    subnet::Subnet,
};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

/// AF_INET, AF_INET6
const INET: u8 = 2;
const INET6: u8 = 10;
/// IFF_UP
const UP: u32 = 1;
/// `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg`.
const LINK_PART: usize = 16;
const ADDRESS_PART: usize = 8;
const ROUTE_PART: usize = 12;

/// IFLA_*
mod attribute {
    pub const ADDRESS: u16 = 1;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const MASTER: u16 = 10;
    pub const LINKINFO: u16 = 18;
    pub const AF_SPEC: u16 = 26;
    pub const NET_NS_FD: u16 = 28;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_SLAVE_KIND: u16 = 4;
    pub const INFO_SLAVE_DATA: u16 = 5;
    pub const VETH_PEER: u16 = 1;
    pub const MULTICAST_SNOOPING: u16 = 23;
    pub const PORT_MODE: u16 = 4;
    pub const PORT_ISOLATED: u16 = 33;
    pub const ADDR_GEN_MODE: u16 = 8;
}

/// The longest name of an interface, without the zero.
const NAME_MAX: usize = 15;

/// Whether an interface can be called that.
#[must_use]
pub fn is_interface(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
}

/// `struct ifinfomsg` for an interface that is to be up, or for one that is only named.
fn link(index: u32, up: bool) -> [u8; LINK_PART] {
    let flags = if up { UP } else { 0 };
    let mut part = [0; LINK_PART];
    part[4..8].copy_from_slice(&index.to_ne_bytes());
    part[8..12].copy_from_slice(&flags.to_ne_bytes());
    part[12..16].copy_from_slice(&flags.to_ne_bytes());
    part
}

/// Reads an answer to [`ask_link`]: the interface's number.
#[must_use]
pub fn read_link(message: &Message<'_>) -> Option<u32> {
    number(message.body.get(4..)?).filter(|_| message.kind == NEWLINK)
}

/// Asks for the interface of a name.
pub fn ask_link(to: &mut Messages, name: &str) {
    to.add(GETLINK, Flags::empty(), &link(0, false), |all| _ = all.text(attribute::IFNAME, name));
}

/// Which protocols an interface has addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// IPv4
    V4,
    /// IPv4 and IPv6
    Both,
}

impl Protocols {
    /// IPv4, and IPv6 if that is asked for.
    #[must_use]
    pub fn with(ipv6: bool) -> Protocols {
        if ipv6 { Protocols::Both } else { Protocols::V4 }
    }
}

/// Has an interface that is down yet get no address of IPv6 by itself, if it is to have none: the kernel would work for
/// those of each container, and tell all others of them.
fn choose(all: &mut Attributes<'_>, protocols: Protocols) {
    if protocols == Protocols::V4 {
        // IN6_ADDR_GEN_MODE_NONE
        all.nested(attribute::AF_SPEC, |families| {
            families.nested(INET6.into(), |six| _ = six.bytes(attribute::ADDR_GEN_MODE, &[1]));
        });
    }
}

/// Makes a bridge that is up. It keeps its hardware address, whatever is attached to it. Nobody asks there who wants to hear
/// which multicast, so all hear it; that it listens for answers would only make each port dearer than the one before.
pub fn add_bridge(to: &mut Messages, name: &str, hardware_address: [u8; 6], mtu: u32, protocols: Protocols) {
    to.add(NEWLINK, Flags::ACK | Flags::CREATE | Flags::EXCLUSIVE, &link(0, false), |all| {
        all.text(attribute::IFNAME, name).number(attribute::MTU, mtu);
        all.bytes(attribute::ADDRESS, &hardware_address);
        all.nested(attribute::LINKINFO, |info| {
            info.text(attribute::INFO_KIND, "bridge").nested(attribute::INFO_DATA, |data| {
                data.bytes(attribute::MULTICAST_SNOOPING, &[0]);
            });
        });
    });
    to.add(NEWLINK, Flags::ACK, &link(0, false), |all| {
        all.text(attribute::IFNAME, name);
        choose(all, protocols);
    });
    to.add(NEWLINK, Flags::ACK, &link(0, true), |all| _ = all.text(attribute::IFNAME, name));
}

/// Removes an interface.
pub fn remove(to: &mut Messages, index: u32) {
    to.add(DELLINK, Flags::ACK, &link(index, false), |_| {});
}

/// Brings an interface up.
pub fn set_up(to: &mut Messages, index: u32, protocols: Protocols) {
    if protocols == Protocols::V4 {
        to.add(NEWLINK, Flags::ACK, &link(index, false), |all| choose(all, protocols));
    }
    to.add(NEWLINK, Flags::ACK, &link(index, true), |_| {});
}

/// The two ends of a virtual cable.
#[derive(Debug)]
pub struct Cable<'a> {
    /// Name of the end that stays here.
    pub name: &'a str,
    /// The bridge that it is attached to.
    pub bridge: u32,
    /// Name of the other end, in its namespace.
    pub peer: &'a str,
    /// Its hardware address.
    pub peer_address: [u8; 6],
    /// That namespace, a descriptor of this process.
    pub namespace: u32,
    /// The longest packet, in bytes, of both.
    pub mtu: u32,
    /// Nothing goes from one such cable of the bridge to another.
    pub isolated: bool,
}

/// Makes a virtual cable. The end that stays is up; the other can only be [raised](set_up) when the cable is there. The
/// bridge sends packets back to where they came from, too: with bridge-nf-call-iptables those to a port that the same
/// container publishes turn round in the bridge.
pub fn add_cable(to: &mut Messages, cable: &Cable<'_>) {
    to.add(NEWLINK, Flags::ACK | Flags::CREATE | Flags::EXCLUSIVE, &link(0, false), |all| {
        all.text(attribute::IFNAME, cable.name).number(attribute::MTU, cable.mtu);
        all.number(attribute::MASTER, cable.bridge);
        all.nested(attribute::LINKINFO, |info| {
            info.text(attribute::INFO_KIND, "veth").nested(attribute::INFO_DATA, |data| {
                data.nested(attribute::VETH_PEER, |peer| {
                    peer.fixed(&link(0, false));
                    peer.text(attribute::IFNAME, cable.peer).number(attribute::MTU, cable.mtu);
                    peer.bytes(attribute::ADDRESS, &cable.peer_address);
                    peer.number(attribute::NET_NS_FD, cable.namespace);
                });
            });
        });
    });
    to.add(NEWLINK, Flags::ACK, &link(0, false), |all| {
        // This end has no address at all.
        all.text(attribute::IFNAME, cable.name);
        choose(all, Protocols::V4);
        all.nested(attribute::LINKINFO, |info| {
            info.text(attribute::INFO_SLAVE_KIND, "bridge");
            info.nested(attribute::INFO_SLAVE_DATA, |port| {
                port.bytes(attribute::PORT_MODE, &[1]);
                if cable.isolated {
                    port.bytes(attribute::PORT_ISOLATED, &[1]);
                }
            });
        });
    });
    to.add(NEWLINK, Flags::ACK, &link(0, true), |all| _ = all.text(attribute::IFNAME, cable.name));
}

/// Gives an interface an address in a subnet.
pub fn add_address(to: &mut Messages, index: u32, address: IpAddr, subnet: Subnet) {
    let [a, b, c, d] = index.to_ne_bytes();
    // IFA_F_NODAD: nobody else has it, and it is good at once.
    let flags = if address.is_ipv6() { 2 } else { 0 };
    let part: [u8; ADDRESS_PART] = [family(address), subnet.prefix, flags, 0, a, b, c, d];
    to.add(NEWADDR, Flags::ACK | Flags::CREATE | Flags::EXCLUSIVE, &part, |all| {
        // IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST
        put(all, 2, address);
        put(all, 1, address);
        if address.is_ipv4() {
            put(all, 4, subnet.last());
        }
    });
}

/// Sends everything that has no better way over a gateway.
pub fn add_default_route(to: &mut Messages, index: u32, gateway: IpAddr) {
    // To anywhere, from anywhere, in the main table; made by an administrator, for the universe, to one host.
    let part: [u8; ROUTE_PART] = [family(gateway), 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    to.add(NEWROUTE, Flags::ACK | Flags::CREATE | Flags::EXCLUSIVE, &part, |all| {
        // RTA_GATEWAY, RTA_OIF
        put(all, 5, gateway);
        all.number(4, index);
    });
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}

fn put(all: &mut Attributes<'_>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => all.bytes(kind, &address.octets()),
        IpAddr::V6(address) => all.bytes(kind, &address.octets()),
    };
}

/// The address of this family that the bytes begin with.
fn take(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        INET => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        INET6 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

/// Asks for the addresses of an interface, or of all. Kernels before 4.20 tell of all in any case.
pub fn ask_addresses(to: &mut Messages, index: Option<u32>) {
    let [a, b, c, d] = index.unwrap_or(0).to_ne_bytes();
    let part: [u8; ADDRESS_PART] = [0, 0, 0, 0, a, b, c, d];
    to.add(GETADDR, Flags::DUMP, &part, |_| {});
}

/// Reads an answer to [`ask_addresses`]: the interface's number, the address and its subnet.
#[must_use]
pub fn read_address(message: &Message<'_>) -> Option<(u32, IpAddr, Subnet)> {
    let &[family, prefix, ..] = message.body.first_chunk::<ADDRESS_PART>()?;
    if message.kind != NEWADDR {
        return None;
    }
    // IFA_LOCAL, or IFA_ADDRESS where the two are the same.
    let find = |wanted: u16| message.attributes(ADDRESS_PART).find(|(kind, _)| *kind == wanted);
    let (_, local) = find(2).or_else(|| find(1))?;
    let address = take(family, local)?;
    Some((number(&message.body[4..])?, address, Subnet::of(address, prefix).ok()?))
}

/// Asks for all routes.
pub fn ask_routes(to: &mut Messages) {
    to.add(GETROUTE, Flags::DUMP, &[0; ROUTE_PART], |_| {});
}

/// Reads an answer to [`ask_routes`]: where one leads to. None for those that lead anywhere.
#[must_use]
pub fn read_route(message: &Message<'_>) -> Option<Subnet> {
    let &[family, prefix, ..] = message.body.first_chunk::<ROUTE_PART>()?;
    if message.kind != NEWROUTE {
        return None;
    }
    // RTA_DST
    let (_, to) = message.attributes(ROUTE_PART).find(|(kind, _)| *kind == 1)?;
    Subnet::of(take(family, to)?, prefix).ok()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::net::message::messages;

    #[test]
    fn addresses_and_links_are_read_as_they_are_written() {
        let subnet: Subnet = "172.17.0.0/16".parse().unwrap();
        let six: Subnet = "fd00::/64".parse().unwrap();
        let mut sent = Messages::default();
        add_address(&mut sent, 7, [172, 17, 0, 2].into(), subnet);
        ask_link(&mut sent, "skiff0");
        add_address(&mut sent, 7, six.gateway(), six);
        let all: Vec<Message<'_>> = messages(sent.bytes()).collect();
        assert_eq!(read_address(&all[0]), Some((7, [172, 17, 0, 2].into(), subnet)));
        assert_eq!(read_address(&all[2]), Some((7, six.gateway(), six)));
        let link = Message { kind: NEWLINK, ..all[1] };
        assert_eq!(read_link(&link), Some(0));
        assert_eq!((read_link(&all[0]), read_address(&all[1]), read_route(&all[1])), (None, None, None));
        for one in [all[0], all[2]] {
            for end in 0..one.body.len() {
                let cut = Message { body: &one.body[..end], ..one };
                let _ = read_address(&cut);
                let _ = read_link(&Message { kind: NEWLINK, ..cut });
                let _ = read_route(&Message { kind: NEWROUTE, ..cut });
            }
        }
    }
}

//! The packet filter: nf_tables over nfnetlink (linux/netfilter/nf_tables.h). One table of skiff's own for each bridge;
//! what leads to containers stands in maps, so that a container comes and goes without a rule being touched.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use super::{
    message::{Attributes, Flags, Message, Messages, attributes},
    subnet::Subnet,
};

/// NFNL_SUBSYS_NFTABLES
const SUBSYSTEM: u16 = 10;
/// NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// NFT_MSG_*
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWELEMENT: u16 = 12;
const DELELEMENT: u16 = 14;
/// A protocol whose packets a table is for; there is one table of each name for each of them. NFPROTO_IPV4, NFPROTO_IPV6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4
    V4 = 2,
    /// IPv6
    V6 = 10,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// How many bytes an address has.
    fn length(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// The register behind an address that begins in the first.
    fn behind(self) -> u32 {
        R0 + self.length() / 4
    }

    /// NFT's type of addresses, as `nft` shows it: ipv4_addr, ipv6_addr.
    fn address_type(self) -> u32 {
        match self {
            Family::V4 => 7,
            Family::V6 => 8,
        }
    }
}

/// The maps: from protocol and port, and from address, protocol and port, to a container's address and port.
const PORTS: &str = "ports";
const BOUND: &str = "bound";
/// How `nft` shows what is in them: six bits for each type. inet_proto is 12, inet_service 13.
const PORTS_TYPE: u32 = 12 << 6 | 13;

/// A register of four bytes, NFT_REG32_00 and the next one.
const R0: u32 = 8;
const R1: u32 = 9;

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

/// `struct nfgenmsg`
fn general(family: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [family, 0, high, low]
}

/// A transaction: all of it happens, or nothing.
#[derive(Debug)]
pub struct Transaction<'a> {
    table: &'a str,
    family: Family,
    messages: Messages,
}

/// What goes through a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The addresses of its containers.
    pub subnet: Subnet,
    /// The bridge's address among them.
    pub gateway: IpAddr,
    /// Nothing comes in from other interfaces, and nothing goes out.
    pub internal: bool,
    /// What goes out has this host's address.
    pub masquerade: bool,
}

/// How many elements of a map are told in one message: its attribute has a length of 16 bits.
const TOGETHER: usize = 1000;

/// A protocol that has ports, by its number (RFC 1700).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Transport {
    /// TCP
    Tcp = 6,
    /// UDP
    Udp = 17,
}

/// What comes to a port of this host goes to one of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Over which protocol.
    pub transport: Transport,
    /// To which address of this host; unspecified for all.
    pub host_address: IpAddr,
    /// To which port of this host.
    pub host_port: u16,
    /// The container's.
    pub address: IpAddr,
    /// The container's.
    pub port: u16,
}

impl Forward {
    /// The map that it stands in.
    fn map(&self) -> &'static str {
        if self.host_address.is_unspecified() { PORTS } else { BOUND }
    }

    /// Its key there, and its value. Each part has a multiple of four bytes.
    fn element(&self) -> (Vec<u8>, Vec<u8>) {
        let mut key = if self.host_address.is_unspecified() { Vec::new() } else { octets(self.host_address) };
        let [high, low] = self.host_port.to_be_bytes();
        key.extend([self.transport as u8, 0, 0, 0, high, low, 0, 0]);
        let mut value = octets(self.address);
        let [high, low] = self.port.to_be_bytes();
        value.extend([high, low, 0, 0]);
        (key, value)
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// Asks whether there is a table.
pub fn ask_table(to: &mut Messages, family: Family, table: &str) {
    let general = general(family as u8, 0);
    to.add(SUBSYSTEM << 8 | GETTABLE, Flags::empty(), &general, |all| _ = all.text(1, table));
}

/// Asks for all chains of all tables.
pub fn ask_chains(to: &mut Messages) {
    // NFPROTO_UNSPEC
    to.add(SUBSYSTEM << 8 | GETCHAIN, Flags::DUMP, &general(0, 0), |_| {});
}

/// Reads an answer to [`ask_chains`]: the table of a chain that drops what is forwarded over IPv4 if no rule of it says
/// otherwise. None for all others.
#[must_use]
pub fn read_forward_drop<'a>(message: &Message<'a>) -> Option<&'a str> {
    let family = *message.body.first()?;
    // NFPROTO_INET has the hooks of both protocols.
    if message.kind != SUBSYSTEM << 8 | NEWCHAIN || !(family == 1 || family == Family::V4 as u8) {
        return None;
    }
    let find = |kind: u16| message.attributes(4).find(|(found, _)| *found == kind).map(|(_, value)| value);
    let network_number = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    // NFTA_CHAIN_HOOK with NFTA_HOOK_HOOKNUM, NFTA_CHAIN_POLICY
    let hook = attributes(find(4)?).find(|(kind, _)| *kind == 1)?.1;
    let is_one = network_number(hook)? == FORWARD && network_number(find(5)?)? == DROP;
    let name = find(1).filter(|_| is_one)?;
    core::str::from_utf8(name.strip_suffix(&[0]).unwrap_or(name)).ok()
}

impl<'a> Transaction<'a> {
    /// Begins one on a table.
    #[must_use]
    pub fn new(table: &'a str) -> Self {
        let mut messages = Messages::default();
        messages.add(BEGIN, Flags::empty(), &general(0, SUBSYSTEM), |_| {});
        Transaction { table, family: Family::V4, messages }
    }

    /// The messages, with the end.
    #[must_use]
    pub fn finish(mut self) -> Messages {
        self.messages.add(END, Flags::empty(), &general(0, SUBSYSTEM), |_| {});
        self.messages
    }

    fn add(&mut self, kind: u16, flags: Flags, fill: impl FnOnce(&mut Attributes<'_>)) {
        let general = general(self.family as u8, 0);
        self.messages.add(SUBSYSTEM << 8 | kind, flags | Flags::ACK, &general, fill);
    }

    /// Makes the table of a bridge, or makes its rules anew; what stands in its maps stays.
    pub fn set_up(&mut self, bridge: &str, Rules { subnet, gateway, internal, masquerade }: Rules) {
        let table = self.table;
        self.family = Family::of(subnet.first());
        let (length, behind) = (self.family.length(), self.family.behind());
        self.add(NEWTABLE, Flags::CREATE, |all| _ = all.text(1, table));
        // The hooks are those of linux/netfilter.h, the priorities those of linux/netfilter_ipv4.h.
        self.chain("guard", "filter", 0, -300);
        self.chain("prerouting", "nat", 0, -100);
        self.chain("forward", "filter", FORWARD, 0);
        self.chain("output", "nat", 3, -100);
        self.chain("postrouting", "nat", 4, 100);
        self.map(PORTS, PORTS_TYPE, 8);
        self.map(BOUND, self.family.address_type() << 12 | PORTS_TYPE, length + 8);
        // Without a chain: all rules.
        self.add(DELRULE, Flags::empty(), |all| _ = all.text(1, table));

        // The host's loopback of IPv6 is never routed.
        let loopback = subnet.is_ipv4().then_some(Subnet::LOOPBACK);
        if let Some(loopback) = loopback {
            // Containers don't reach what listens on the host's loopback only, which the bridge would route.
            self.rule("guard", |rule| {
                _ = rule.input_interface(EQUAL, bridge).destination_in(loopback).verdict(DROP)
            });
        }
        // Where bridged packets come by here (br_netfilter), those between containers need no look at connections.
        self.rule("guard", |rule| {
            rule.input_interface(EQUAL, bridge).source_in(subnet).destination_in(subnet);
            rule.destination().compare(DIFFERENT, &octets(gateway)).without_tracking();
        });
        // First, as it is what there is most of where bridged packets come by.
        self.rule("forward", |rule| {
            _ = rule.output_interface(EQUAL, bridge).input_interface(EQUAL, bridge).verdict(ACCEPT)
        });
        if internal {
            self.rule("forward", |rule| {
                _ = rule.input_interface(EQUAL, bridge).output_interface(DIFFERENT, bridge).verdict(DROP)
            });
            self.rule("forward", |rule| {
                _ = rule.output_interface(EQUAL, bridge).input_interface(DIFFERENT, bridge).verdict(DROP)
            });
        }
        for chain in ["prerouting", "output"] {
            self.rule(chain, |rule| {
                _ = rule.destination().transport(behind).port(behind + 1).map(BOUND).translate()
            });
            self.rule(chain, |rule| {
                if chain == "output" && loopback.is_none() {
                    // What has the loopback address of IPv6 can't leave this host.
                    rule.destination().compare(DIFFERENT, &Ipv6Addr::LOCALHOST.octets());
                }
                rule.goes_to_this_host().transport(R0).port(R1).map(PORTS).translate();
            });
        }
        self.rule("forward", |rule| _ = rule.output_interface(EQUAL, bridge).is_known().verdict(ACCEPT));
        self.rule("forward", |rule| {
            _ = rule.output_interface(EQUAL, bridge).was_translated().verdict(ACCEPT)
        });
        self.rule("forward", |rule| _ = rule.output_interface(EQUAL, bridge).verdict(DROP));
        if masquerade {
            self.rule("postrouting", |rule| {
                _ = rule.source_in(subnet).output_interface(DIFFERENT, bridge).masquerade()
            });
        }
        // From a container to a published port, perhaps its own: the answer has to come back over this host.
        self.rule("postrouting", |rule| {
            _ = rule.source_in(subnet).output_interface(EQUAL, bridge).was_translated().masquerade()
        });
        if let Some(loopback) = loopback {
            self.rule("postrouting", |rule| {
                _ = rule.source_in(loopback).output_interface(EQUAL, bridge).masquerade()
            });
        }
    }

    /// Removes the table of a protocol and all that is in it.
    pub fn remove(&mut self, family: Family) {
        let table = self.table;
        self.family = family;
        self.add(DELTABLE, Flags::empty(), |all| _ = all.text(1, table));
    }

    /// Has packets go to containers.
    pub fn forward(&mut self, all: &[Forward]) {
        self.elements(NEWELEMENT, Flags::CREATE | Flags::EXCLUSIVE, all);
    }

    /// Undoes [`Transaction::forward`].
    pub fn end_forward(&mut self, all: &[Forward]) {
        self.elements(DELELEMENT, Flags::empty(), all);
    }

    fn elements(&mut self, kind: u16, flags: Flags, forwards: &[Forward]) {
        let table = self.table;
        for (family, map) in
            [(Family::V4, PORTS), (Family::V4, BOUND), (Family::V6, PORTS), (Family::V6, BOUND)]
        {
            let is_there = |forward: &&Forward| Family::of(forward.address) == family && forward.map() == map;
            let of_map: Vec<&Forward> = forwards.iter().filter(is_there).collect();
            self.family = family;
            for together in of_map.chunks(TOGETHER) {
                self.add(kind, flags, |all| {
                    all.text(1, table).text(2, map).nested(3, |list| {
                        for forward in together {
                            let (key, target) = forward.element();
                            list.nested(1, |element| {
                                element.nested(1, |data| _ = data.bytes(1, &key));
                                if kind == NEWELEMENT {
                                    element.nested(2, |data| _ = data.bytes(1, &target));
                                }
                            });
                        }
                    });
                });
            }
        }
    }

    fn chain(&mut self, name: &str, kind: &str, hook: u32, priority: i32) {
        let table = self.table;
        self.add(NEWCHAIN, Flags::CREATE, |all| {
            all.text(1, table).text(3, name);
            all.nested(4, |at| _ = at.network_number(1, hook).network_number(2, priority as u32));
            all.network_number(5, ACCEPT).text(7, kind);
        });
    }

    fn map(&mut self, name: &str, kind: u32, length: u32) {
        let table = self.table;
        let (data_type, data_length) = (self.family.address_type() << 6 | 13, self.family.length() + 4);
        self.add(NEWSET, Flags::CREATE, |all| {
            // NFT_SET_MAP; the number by which the transaction would know it.
            all.text(1, table).text(2, name).network_number(3, 8).network_number(4, kind);
            all.network_number(5, length).network_number(6, data_type).network_number(7, data_length);
            all.network_number(10, length);
        });
    }

    fn rule(&mut self, chain: &str, fill: impl FnOnce(&mut Rule<'_, '_>)) {
        let (table, family) = (self.table, self.family);
        self.add(NEWRULE, Flags::CREATE | Flags::APPEND, |all| {
            all.text(1, table).text(2, chain);
            all.nested(4, |list| {
                let mut rule = Rule(list, family);
                fill(&mut rule);
            });
        });
    }
}

/// NF_INET_FORWARD
const FORWARD: u32 = 2;
/// NF_DROP, NF_ACCEPT
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// NFTA_DATA_VALUE, NFTA_DATA_VERDICT
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
/// IPS_DST_NAT
const TRANSLATED: u32 = 1 << 5;
/// NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED
const KNOWN: u32 = 1 << 1 | 1 << 2;
/// RTN_LOCAL
const LOCAL: u32 = 2;

/// The expressions of a rule, which all have to hold, and its end.
struct Rule<'a, 'b>(&'a mut Attributes<'b>, Family);

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.0.nested(1, |one| _ = one.text(1, name).nested(2, fill));
        self
    }

    /// Compares what the first register holds.
    fn compare(&mut self, how: u32, with: &[u8]) -> &mut Self {
        self.expression("cmp", |all| {
            all.network_number(1, R0).network_number(2, how).nested(3, |data| _ = data.bytes(VALUE, with));
        })
    }

    fn meta(&mut self, key: u32, to: u32) -> &mut Self {
        self.expression("meta", |all| _ = all.network_number(1, to).network_number(2, key))
    }

    /// Part of a packet: of its network header (1) or its transport header (2).
    fn packet(&mut self, header: u32, offset: u32, length: u32, to: u32) -> &mut Self {
        self.expression("payload", |all| {
            all.network_number(1, to).network_number(2, header);
            all.network_number(3, offset).network_number(4, length);
        })
    }

    /// Keeps these bits of the first register, and of those behind it.
    fn mask(&mut self, mask: &[u8]) -> &mut Self {
        self.expression("bitwise", |all| {
            all.network_number(1, R0).network_number(2, R0).network_number(3, mask.len() as u32);
            all.nested(4, |data| _ = data.bytes(VALUE, mask))
                .nested(5, |data| _ = data.bytes(VALUE, &[0; 16][..mask.len()]));
        })
    }

    fn interface(&mut self, key: u32, how: u32, name: &str) -> &mut Self {
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        // From the first register on there is place for the whole name.
        self.meta(key, R0).compare(how, &padded)
    }

    fn input_interface(&mut self, how: u32, name: &str) -> &mut Self {
        self.interface(6, how, name)
    }

    fn output_interface(&mut self, how: u32, name: &str) -> &mut Self {
        self.interface(7, how, name)
    }

    fn source_in(&mut self, subnet: Subnet) -> &mut Self {
        let offset = match self.1 {
            Family::V4 => 12,
            Family::V6 => 8,
        };
        self.packet(1, offset, self.1.length(), R0).is_in(subnet)
    }

    /// The address that it goes to, from the first register on.
    fn destination(&mut self) -> &mut Self {
        let offset = match self.1 {
            Family::V4 => 16,
            Family::V6 => 24,
        };
        self.packet(1, offset, self.1.length(), R0)
    }

    fn destination_in(&mut self, subnet: Subnet) -> &mut Self {
        self.destination().is_in(subnet)
    }

    fn is_in(&mut self, subnet: Subnet) -> &mut Self {
        self.mask(&octets(subnet.mask())).compare(EQUAL, &octets(subnet.first()))
    }

    fn transport(&mut self, to: u32) -> &mut Self {
        self.meta(16, to)
    }

    /// The port that it goes to.
    fn port(&mut self, to: u32) -> &mut Self {
        self.packet(2, 2, 2, to)
    }

    fn goes_to_this_host(&mut self) -> &mut Self {
        // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR
        self.expression("fib", |all| _ = all.network_number(1, R0).network_number(2, 3).network_number(3, 2))
            .compare(EQUAL, &LOCAL.to_ne_bytes())
    }

    /// A state or status of the connection has one of these bits.
    fn connection(&mut self, key: u32, bits: u32) -> &mut Self {
        self.expression("ct", |all| _ = all.network_number(1, R0).network_number(2, key))
            .mask(&bits.to_ne_bytes())
            .compare(DIFFERENT, &[0; 4])
    }

    fn is_known(&mut self) -> &mut Self {
        self.connection(0, KNOWN)
    }

    fn was_translated(&mut self) -> &mut Self {
        self.connection(2, TRANSLATED)
    }

    /// Looks the registers up, and has what stands there in them instead.
    fn map(&mut self, name: &str) -> &mut Self {
        self.expression("lookup", |all| _ = all.text(1, name).network_number(2, R0).network_number(3, R0))
    }

    /// Changes the destination to what is in the registers.
    fn translate(&mut self) -> &mut Self {
        let family = self.1;
        self.expression("nat", |all| {
            all.network_number(1, 1).network_number(2, u32::from(family as u8));
            all.network_number(3, R0).network_number(5, family.behind());
        })
    }

    fn without_tracking(&mut self) -> &mut Self {
        self.expression("notrack", |_| {})
    }

    fn masquerade(&mut self) -> &mut Self {
        self.expression("masq", |_| {})
    }

    fn verdict(&mut self, code: u32) -> &mut Self {
        self.expression("immediate", |all| {
            // NFT_REG_VERDICT
            all.network_number(1, 0);
            all.nested(2, |data| _ = data.nested(VERDICT, |verdict| _ = verdict.network_number(1, code)));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::messages;

    #[test]
    fn a_chain_that_drops_what_is_forwarded_is_found() {
        let chain = |family: u8, hook: u32, policy: u32| {
            let mut all = Messages::default();
            all.add(SUBSYSTEM << 8 | NEWCHAIN, Flags::empty(), &general(family, 0), |all| {
                all.text(1, "filter").text(3, "FORWARD");
                all.nested(4, |at| _ = at.network_number(1, hook).network_number(2, 0));
                all.network_number(5, policy);
            });
            all
        };
        let table = |all: &Messages| {
            messages(all.bytes())
                .find_map(|message| read_forward_drop(&message).map(alloc::string::String::from))
        };
        const IPV4: u8 = Family::V4 as u8;
        assert_eq!(table(&chain(IPV4, FORWARD, DROP)).as_deref(), Some("filter"));
        assert_eq!(table(&chain(1, FORWARD, DROP)).as_deref(), Some("filter"));
        for other in [chain(IPV4, FORWARD, ACCEPT), chain(IPV4, 1, DROP), chain(10, FORWARD, DROP)] {
            assert_eq!(table(&other), None);
        }
        let whole = chain(IPV4, FORWARD, DROP);
        for end in 0..whole.bytes().len() {
            messages(&whole.bytes()[..end]).for_each(|message| _ = read_forward_drop(&message));
        }
    }

    #[test]
    fn elements_are_told_in_as_many_messages_as_are_needed() {
        let forward = |port: u16| Forward {
            transport: Transport::Tcp,
            host_address: IpAddr::from([0; 4]),
            host_port: port,
            address: IpAddr::from([10, 0, 0, 2]),
            port,
        };
        let forwards: Vec<Forward> = (1..=2001).map(forward).collect();
        let mut all = Transaction::new("t");
        all.forward(&forwards);
        // Begin, three of at most a thousand elements, end.
        assert_eq!(messages(all.finish().bytes()).count(), 5);
    }
}

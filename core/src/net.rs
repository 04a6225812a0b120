//! What the kernel is told about networks, and what containers are told about names. [`counters`], [`message`], [`link`]
//! and [`table`] are pure: they turn values into the bytes of netlink and bytes into values; [`socket`] sends and receives.
//! [`dns`] does the same for the messages of name servers; [`responder`] is such a server, and [`lookup`] asks them.
//! [`forwarder`] does by hand what the packet filter of a [`table`] does, for kernels that have none.

pub mod counters;
pub mod dns;
pub mod forwarder;
pub mod link;
pub mod lookup;
pub mod message;
pub mod responder;
pub mod socket;
pub mod subnet;
pub mod table;

use core::net::SocketAddr;

use rustix::net::AddressFamily;

/// The family of sockets for an address.
pub(crate) fn family_of(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

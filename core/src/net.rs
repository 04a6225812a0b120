//! What the kernel is told about networks, and what containers are told about names. [`counters`], [`message`], [`link`]
//! and [`table`] are pure: they turn values into the bytes of netlink and bytes into values; [`socket`] sends and receives.
//! [`dns`] does the same for the messages of name servers; [`responder`] is such a server.

pub mod counters;
pub mod dns;
pub mod link;
pub mod message;
pub mod responder;
pub mod socket;
pub mod subnet;
pub mod table;

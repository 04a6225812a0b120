//! What the kernel is told about networks: netlink messages, and the sockets that carry them. [`counters`],
//! [`message`], [`link`] and [`table`] are pure: they turn values into bytes and bytes into values; [`socket`] sends and receives.
//!
//! [`forwarder`] does by hand what the packet filter of a [`table`] does, for kernels that have none.

pub mod counters;
pub mod forwarder;
pub mod link;
pub mod message;
pub mod socket;
pub mod subnet;
pub mod table;

//! Telling whoever has started the daemon how far it is: sd_notify(3). The socket's name is in `NOTIFY_SOCKET`.

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
};

/// It serves.
pub const READY: &str = "READY=1";
/// It is about to end.
pub const STOPPING: &str = "STOPPING=1";

/// Sends a message to the socket with this name; `@` stands for the 0 that an abstract one begins with.
///
/// # Errors
/// The kernel's, if nobody listens there.
pub fn send(to: &str, message: &str) -> Result<(), Errno> {
    let address = match to.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(to)?,
    };
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sendto(&socket, message.as_bytes(), SendFlags::NOSIGNAL, &address).map(drop)
}

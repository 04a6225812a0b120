//! A socket to the kernel's own networking (netlink(7)). It answers before sendmsg returns: nothing here waits.

use alloc::{vec, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send},
};

use skiff_syscalls::network;

use super::message::{DONE, Messages, messages};

/// More than the kernel puts into one datagram (32 KiB).
const DATAGRAM: usize = 64 << 10;

/// A socket in the network namespace that it was opened in.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// For interfaces, addresses and routes.
    ///
    /// # Errors
    /// Of socket(2).
    pub fn route() -> Result<Socket, Errno> {
        let socket = open(None)?;
        // For answers about what was asked for, and nothing else. Kernels that can't, tell more.
        let _ = network::answer_strictly(socket.0.as_fd());
        Ok(socket)
    }

    /// For tables of the packet filter.
    ///
    /// # Errors
    /// Of socket(2); EPROTONOSUPPORT for a kernel without.
    pub fn netfilter() -> Result<Socket, Errno> {
        open(Some(netlink::NETFILTER))
    }

    /// Has messages done, one after the other.
    ///
    /// # Errors
    /// The first that the kernel reports.
    pub fn request(&self, all: &Messages) -> Result<(), Errno> {
        let mut done = 0;
        self.exchange(all, &mut |answers| {
            for error in messages(answers).filter_map(|message| message.error()) {
                if error != 0 {
                    return Err(Errno::from_raw_os_error(error));
                }
                done += 1;
            }
            Ok(done == all.acknowledged())
        })
    }

    /// Has a question answered: the datagrams of the answer, one behind the other.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn ask(&self, question: &Messages) -> Result<Vec<u8>, Errno> {
        let mut all = Vec::new();
        self.exchange(question, &mut |answers| {
            all.extend(answers);
            let mut ended = !question.dumps();
            for message in messages(answers) {
                match message.error() {
                    Some(0) | None => ended |= message.kind == DONE,
                    Some(error) => return Err(Errno::from_raw_os_error(error)),
                }
            }
            Ok(ended)
        })?;
        Ok(all)
    }

    /// Sends, and hands over datagrams until `take` has had enough.
    fn exchange(
        &self,
        all: &Messages,
        take: &mut dyn FnMut(&[u8]) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        send(&self.0, all.bytes(), SendFlags::empty())?;
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let (length, _) = recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT)?;
            if take(&buffer[..length])? {
                return Ok(());
            }
        }
    }
}

/// Without a protocol: NETLINK_ROUTE, which is number 0.
fn open(protocol: Option<Protocol>) -> Result<Socket, Errno> {
    rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
        .map(Socket)
}

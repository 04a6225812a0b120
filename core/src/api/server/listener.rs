//! A listening socket of the daemon: one with a name in the file system, one on the network, or one that whoever started
//! the daemon has opened.
//!
//! A named socket appears only when it listens: it is bound to a temporary name and renamed, under a lock on its directory.
//! A socket that somebody listens on is not replaced; one that nobody listens on is.

use alloc::{
    format,
    string::{String, ToString},
};
use core::net::SocketAddr;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
        sockopt::{
            set_socket_reuseaddr, set_tcp_nodelay, socket_acceptconn, socket_domain, socket_peercred,
            socket_type,
        },
    },
    process::Gid,
};
use skiff_syscalls::peer;

use crate::{
    Context, Error, Result,
    api::{address::Address, client, wire},
    file,
    net::family_of,
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that connections come to.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    place: Place,
}

/// Where it is.
#[derive(Debug)]
enum Place {
    /// A name in the file system, made here: device and inode, to remove no other's.
    Named { path: String, identity: (u64, u64) },
    /// A socket of whoever started the daemon, with its name if it has one.
    Inherited(Option<String>),
    /// Everybody who can send packets here.
    Network,
}

impl Listener {
    /// Listens on the path; its directory is made if it is missing. The socket has mode 0660 and belongs to the group.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a server listens there already or the path is no socket.
    pub fn bind(path: &str, group: Option<Gid>) -> Result<Self> {
        let (directory, name) = match path.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some((directory, name)) => (directory, name),
            None => (".", path),
        };
        if name.is_empty() {
            return Err(Error::Invalid(format!("listen on {path}: the path of a socket file is needed")));
        }
        file::make_host_directories(directory, 0o755)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let locked = rustix::fs::openat(CWD, directory, flags, Mode::empty()).context("open", directory)?;
        file::lock(&locked, FlockOperation::LockExclusive).context("lock", directory)?;
        refuse_if_taken(path)?;

        let temporary = format!("{directory}/.{name}.{}", rustix::process::getpid().as_raw_nonzero());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .context("open", "socket")?;
        let address = SocketAddrUnix::new(temporary.as_str()).context("listen on", path)?;
        match rustix::net::bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                // Left by a process that had our number and died right here.
                rustix::fs::unlinkat(CWD, temporary.as_str(), AtFlags::empty())
                    .context("remove", &temporary)?;
                rustix::net::bind(&socket, &address).context("listen on", path)?;
            }
            other => other.context("listen on", path)?,
        }
        let publish = || -> Result<(u64, u64)> {
            if group.is_some() {
                rustix::fs::chownat(CWD, temporary.as_str(), None, group, AtFlags::SYMLINK_NOFOLLOW)
                    .context("change group of", &temporary)?;
            }
            rustix::fs::chmodat(CWD, temporary.as_str(), Mode::from_raw_mode(0o660), AtFlags::empty())
                .context("change mode of", &temporary)?;
            rustix::net::listen(&socket, BACKLOG).context("listen on", path)?;
            let identity = identity(&temporary).context("look at", &temporary)?;
            rustix::fs::renameat(CWD, temporary.as_str(), CWD, path).context("rename to", path)?;
            Ok(identity)
        };
        match publish() {
            Ok(identity) => Ok(Listener { socket, place: Place::Named { path: path.to_string(), identity } }),
            Err(error) => {
                let _ = rustix::fs::unlinkat(CWD, temporary.as_str(), AtFlags::empty());
                Err(error)
            }
        }
    }

    /// Listens on an address of the network.
    ///
    /// # Errors
    /// The kernel's: EADDRINUSE if somebody does already.
    pub fn network(address: SocketAddr) -> Result<Self> {
        let what = format!("tcp://{address}");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family_of(address), SocketType::STREAM, flags, None)
            .context("open", "socket")?;
        set_socket_reuseaddr(&socket, true).context("set up", "socket")?;
        rustix::net::bind(&socket, &address).context("listen on", &*what)?;
        rustix::net::listen(&socket, BACKLOG).context("listen on", &*what)?;
        Ok(Listener { socket, place: Place::Network })
    }

    /// Takes over a socket that listens already, from whoever started the daemon.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not.
    pub fn inherit(socket: OwnedFd) -> Result<Self> {
        let listens =
            socket_acceptconn(&socket) == Ok(true) && socket_type(&socket) == Ok(SocketType::STREAM);
        if !listens {
            return Err(Error::Invalid(
                "listen on an inherited descriptor: it is no listening socket".into(),
            ));
        }
        rustix::io::ioctl_fionbio(&socket, true).context("set up", "inherited socket")?;
        let place = match socket_domain(&socket).context("look at", "inherited socket")? {
            AddressFamily::UNIX => {
                let address = rustix::net::getsockname(&socket).ok();
                let address = address.and_then(|address| SocketAddrUnix::try_from(address).ok());
                let path = address.as_ref().and_then(SocketAddrUnix::path_bytes);
                Place::Inherited(path.and_then(|path| core::str::from_utf8(path).ok()).map(Into::into))
            }
            _ => Place::Network,
        };
        Ok(Listener { socket, place })
    }

    /// Whether it is open to everybody who can send packets here.
    pub fn is_on_network(&self) -> bool {
        matches!(self.place, Place::Network)
    }

    /// Where it listens, as an address, for display.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Named { path, .. } | Place::Inherited(Some(path)) => {
                Address::Unix(path.clone()).to_string()
            }
            Place::Inherited(None) => "a socket without a name".to_string(),
            Place::Network => {
                let address = rustix::net::getsockname(&self.socket).ok();
                let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                address.map_or_else(String::new, |address| Address::Tcp(address).to_string())
            }
        }
    }

    /// The next connection, without waiting for one.
    ///
    /// # Errors
    /// EAGAIN if there is none.
    pub fn accept(&self) -> Result<OwnedFd, Errno> {
        let connection = rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        if self.is_on_network() {
            // Answers are sent whole: nothing is gained by holding them back.
            set_tcp_nodelay(&connection, true)?;
        }
        Ok(connection)
    }

    /// Whether whoever has connected may use the engine: root, the daemon's own user, and those whom the socket's owner,
    /// group and mode let in, as they are now.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all others.
    pub fn admit(&self, connection: &OwnedFd) -> Result<()> {
        let path = match &self.place {
            Place::Network => return Ok(()),
            Place::Named { path, .. } => Some(path),
            Place::Inherited(path) => path.as_ref(),
        };
        let peer = socket_peercred(connection).context("look at", "the peer of a connection")?;
        if peer.uid.is_root() || peer.uid == rustix::process::geteuid() {
            return Ok(());
        }
        let may = path.is_some_and(|path| {
            rustix::fs::stat(path.as_str()).is_ok_and(|stat| {
                let mode = stat.st_mode;
                let (owner, group) = (peer.uid.as_raw() == stat.st_uid, stat.st_gid);
                match () {
                    () if owner => mode & 0o200 != 0,
                    () if peer.gid.as_raw() == group || peer::is_member(connection, group) => {
                        mode & 0o020 != 0
                    }
                    () => mode & 0o002 != 0,
                }
            })
        });
        match may {
            true => Ok(()),
            false => Err(Error::Forbidden(format!(
                "user {} may not use this engine: it is for root and the socket's group",
                peer.uid.as_raw()
            ))),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Place::Named { path, identity: own } = &self.place
            && identity(path) == Ok(*own)
        {
            let _ = rustix::fs::unlinkat(CWD, path.as_str(), AtFlags::empty());
        }
    }
}

/// Who has connected from the network, for display.
pub fn peer_of(connection: &OwnedFd) -> String {
    let address = rustix::net::getpeername(connection).ok().flatten();
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    address.map_or_else(|| "somebody who has gone".into(), |address| address.to_string())
}

fn identity(path: &str) -> Result<(u64, u64), Errno> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Fails if somebody listens on the path, or if it is something other than a socket.
fn refuse_if_taken(path: &str) -> Result<()> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).context("look at", path),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(Error::Conflict(format!("listen on {path}: it exists and is not a socket")));
        }
        Ok(_) => {}
    }
    let taken = || Error::Conflict(format!("listen on {path}: a server is listening there already"));
    loop {
        match client::connect(&Address::Unix(path.into())) {
            Err(Error::Os { errno: Errno::CONNREFUSED | Errno::NOENT, .. }) => return Ok(()),
            Ok(connection) if !is_abandoned(&connection) => return Err(taken()),
            // The kernel closed it with the last copy of the socket; the next try finds nobody.
            Ok(_) => {}
            Err(_) => return Err(taken()),
        }
    }
}

/// Whether nobody accepts on the other side: a child of a killed server has the socket for a moment longer. A server
/// answers a ping; one that does not within a second is there all the same.
fn is_abandoned(connection: &OwnedFd) -> bool {
    const PATIENCE_NS: i64 = 1_000_000_000;
    let ping = b"HEAD /_ping HTTP/1.1\r\nHost: skiff\r\nConnection: close\r\n\r\n";
    if wire::send_all(connection.as_fd(), &[ping]).is_err() {
        return true;
    }
    let mut ready = [PollFd::new(connection, PollFlags::IN)];
    let patience = crate::clock::timespec(PATIENCE_NS);
    match poll(&mut ready, Some(&patience)) {
        Ok(0) | Err(_) => false,
        Ok(_) => !matches!(rustix::io::read(connection, &mut [0_u8; 1]), Ok(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork;

    fn connect(path: &str) -> Result<OwnedFd> {
        client::connect(&Address::Unix(path.into()))
    }

    fn own_identity(listener: &Listener) -> (u64, u64) {
        match &listener.place {
            Place::Named { identity, .. } => *identity,
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_socket_that_only_a_dying_child_still_holds_is_not_a_server() {
        let path = format!("/tmp/skiff-server-held-{}/sock", rustix::process::getpid().as_raw_nonzero());
        let killed = Listener::bind(&path, None).unwrap();
        // As a child of a connection has it between the fork and the closing of what is not its own.
        let child = fork::child(&[killed.socket.as_fd()], || {
            let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 200_000_000 });
            0
        })
        .unwrap();
        // SIGKILL leaves the name and closes the socket.
        let (directory, _) = path.rsplit_once('/').unwrap();
        rustix::fs::renameat(CWD, path.as_str(), CWD, format!("{path}.kept")).unwrap();
        drop(killed);
        rustix::fs::renameat(CWD, format!("{path}.kept"), CWD, path.as_str()).unwrap();
        let next = Listener::bind(&path, None).unwrap();
        assert!(
            matches!(Listener::bind(&path, None), Err(Error::Conflict(_))),
            "one that is listened on is refused"
        );
        drop(next);
        fork::wait(&child.pidfd).unwrap();
        file::remove_tree(CWD, directory).unwrap();
    }

    fn scratch(name: &str) -> String {
        let path = format!("/tmp/skiff-server-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        path
    }

    #[test]
    fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let directory = scratch("live");
        let path = format!("{directory}/deep/skiff.sock");
        let first = Listener::bind(&path, None).unwrap();
        assert!(connect(&path).is_ok());
        assert_eq!(Listener::bind(&path, None).unwrap_err().status(), 409);
        let stat = rustix::fs::statat(CWD, path.as_str(), AtFlags::empty()).unwrap();
        assert_eq!(stat.st_mode & 0o777, 0o660);
        // As after a crash: the name stays, nobody listens.
        let (socket, identity) = (rustix::io::dup(&first.socket).unwrap(), own_identity(&first));
        rustix::fs::linkat(CWD, path.as_str(), CWD, format!("{path}.kept"), AtFlags::empty()).unwrap();
        drop(first);
        drop(socket);
        rustix::fs::renameat(CWD, format!("{path}.kept"), CWD, path.as_str()).unwrap();
        assert!(connect(&path).is_err());
        let second = Listener::bind(&path, None).unwrap();
        assert_ne!(own_identity(&second), identity);
        assert!(connect(&path).is_ok());
        drop(second);
        assert_eq!(file::names(CWD, format!("{directory}/deep")).unwrap(), [""; 0]);
        file::remove_tree(CWD, directory.as_str()).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = scratch("file");
        let at = file::make_host_directories(&directory, 0o700).unwrap();
        file::create(&at, "f", b"x", 0o600).unwrap();
        let error = Listener::bind(&format!("{directory}/f"), None).unwrap_err();
        assert!(error.to_string().ends_with("it exists and is not a socket"), "{error}");
        assert_eq!(file::read(&at, "f", 10).unwrap(), b"x");
        file::remove_tree(CWD, directory.as_str()).unwrap();
    }
}

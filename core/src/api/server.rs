//! The daemon: a listening unix socket, and one child for each connection. It holds nothing else: kill it, start it
//! again, containers don't notice.
//!
//! The socket appears under its name only when it listens: it is bound to a temporary name and renamed, under a lock on
//! its directory. A socket that somebody listens on is not replaced; one that nobody listens on is.

use alloc::{
    format,
    string::{String, ToString},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::{WaitId, WaitIdOptions},
};
use skiff_syscalls::{
    descriptor,
    signal::{self, SignalSet},
};

use crate::{Context, Error, Result, file, fork};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A listening unix socket with a name.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    /// Reads the signals that are for the daemon.
    signals: OwnedFd,
    /// The mask from before they were blocked: that of its children.
    mask: SignalSet,
    path: String,
    /// Device and inode of the name, to remove no other's.
    identity: (u64, u64),
}

impl Listener {
    /// Listens on the path; its directory is made if it is missing. The socket has mode 0660.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a server listens there already or the path is no socket.
    pub fn bind(path: &str) -> Result<Self> {
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

        // Before the name can be seen: who sees it may ask the daemon to end.
        let signals = SignalSet::EMPTY.with(SIGINT).with(SIGTERM).with(SIGCHLD);
        let mask = signal::block(signals);
        let signals = signal::signalfd(signals).context("open", "signalfd")?;
        let temporary = format!("{directory}/.{name}.{}", rustix::process::getpid().as_raw_nonzero());
        let socket = stream_socket()?;
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
            rustix::fs::chmodat(CWD, temporary.as_str(), Mode::from_raw_mode(0o660), AtFlags::empty())
                .context("change mode of", &temporary)?;
            rustix::net::listen(&socket, BACKLOG).context("listen on", path)?;
            let identity = identity(&temporary).context("look at", &temporary)?;
            rustix::fs::renameat(CWD, temporary.as_str(), CWD, path).context("rename to", path)?;
            Ok(identity)
        };
        match publish() {
            Ok(identity) => Ok(Listener { socket, signals, mask, path: path.to_string(), identity }),
            Err(error) => {
                let _ = rustix::fs::unlinkat(CWD, temporary.as_str(), AtFlags::empty());
                Err(error)
            }
        }
    }

    /// Accepts connections and gives each to a child, until SIGTERM or SIGINT; then the socket's name is removed.
    /// Children that are at work go on.
    ///
    /// # Errors
    /// The kernel's, if it can't wait for connections at all.
    pub fn run(self, serve: &mut dyn FnMut(OwnedFd)) -> Result<()> {
        loop {
            let mut ready =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for connections on", &self.path),
            }
            let (connections, signals) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
            if signals {
                while let Some((number, _)) =
                    signal::next_signal(&self.signals).context("read", "signalfd")?
                {
                    if number != SIGCHLD {
                        return Ok(());
                    }
                }
                reap();
            }
            if connections {
                self.accept(serve);
            }
        }
    }

    fn accept(&self, serve: &mut dyn FnMut(OwnedFd)) {
        let connection = match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(connection) => connection,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => return breathe(),
            // The client has gone again, or another wake-up was for nothing.
            Err(_) => return,
        };
        let [stdin, stdout, stderr] = descriptor::standard();
        let keep = [stdin, stdout, stderr, connection.as_fd()];
        let child = fork::child(&keep, || {
            fork::own_signals(self.mask);
            // The borrowed one lasts as long as the process; the owned one can be closed.
            if let Ok(connection) = rustix::io::fcntl_dupfd_cloexec(&connection, 3) {
                serve(connection);
            }
            0
        });
        if child.is_err() {
            breathe();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path) == Ok(self.identity) {
            let _ = rustix::fs::unlinkat(CWD, self.path.as_str(), AtFlags::empty());
        }
    }
}

/// Takes the status of every child that has ended, ours or an orphan's.
fn reap() {
    while let Ok(Some(_)) =
        rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    {}
}

/// Lets a shortage of descriptors or processes pass, instead of spinning on it.
fn breathe() {
    let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let _ = poll(&mut [], Some(&pause));
}

fn stream_socket() -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .context("open", "socket")
}

/// Connects to a server that listens on the path.
///
/// # Errors
/// The kernel's: ENOENT or ECONNREFUSED if there is none.
pub fn connect(path: &str) -> Result<OwnedFd> {
    let socket = stream_socket()?;
    let address = SocketAddrUnix::new(path).context("connect to", path)?;
    rustix::net::connect(&socket, &address).context("connect to", path)?;
    Ok(socket)
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
        match connect(path) {
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
    if super::wire::send_all(connection.as_fd(), &[ping]).is_err() {
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

    #[test]
    fn a_socket_that_only_a_dying_child_still_holds_is_not_a_server() {
        let path = format!("/tmp/skiff-server-held-{}/sock", rustix::process::getpid().as_raw_nonzero());
        let killed = Listener::bind(&path).unwrap();
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
        let next = Listener::bind(&path).unwrap();
        assert!(
            matches!(Listener::bind(&path), Err(Error::Conflict(_))),
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
        let first = Listener::bind(&path).unwrap();
        assert!(connect(&path).is_ok());
        assert_eq!(Listener::bind(&path).unwrap_err().status(), 409);
        let stat = rustix::fs::statat(CWD, path.as_str(), AtFlags::empty()).unwrap();
        assert_eq!(stat.st_mode & 0o777, 0o660);
        // As after a crash: the name stays, nobody listens.
        let (socket, identity) = (rustix::io::dup(&first.socket).unwrap(), first.identity);
        rustix::fs::linkat(CWD, path.as_str(), CWD, format!("{path}.kept"), AtFlags::empty()).unwrap();
        drop(first);
        drop(socket);
        rustix::fs::renameat(CWD, format!("{path}.kept"), CWD, path.as_str()).unwrap();
        assert!(connect(&path).is_err());
        let second = Listener::bind(&path).unwrap();
        assert_ne!(second.identity, identity);
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
        let error = Listener::bind(&format!("{directory}/f")).unwrap_err();
        assert!(error.to_string().ends_with("it exists and is not a socket"), "{error}");
        assert_eq!(file::read(&at, "f", 10).unwrap(), b"x");
        file::remove_tree(CWD, directory.as_str()).unwrap();
    }
}

//! The addresses of a machine that is known by name, found where the C library finds them: in /etc/hosts, then with the
//! servers that /etc/resolv.conf names, one after the other.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with},
    rand::{GetRandomFlags, getrandom},
};

use super::{
    dns::{
        Code, DATAGRAM_MAX, Flags, INTERNET, PORT,
        kind::{A, AAAA},
        labels,
        query::{Edns, Query},
        records,
    },
    family_of,
};
use crate::{
    Error, Result, clock,
    file::{self, CWD},
};

const HOSTS: &str = "/etc/hosts";
const SETTINGS: &str = "/etc/resolv.conf";
/// Longest file that is read, in bytes.
const FILE_MAX: usize = 1 << 20;
/// How long a server may take.
const PATIENCE_NS: i64 = 5 * clock::SECOND;
/// How often all of them are asked.
const ROUNDS: usize = 2;

/// The addresses of the machine with this name; at least one.
///
/// # Errors
/// [`Error::NotFound`] if there is no such name, or nobody who can be asked.
pub fn addresses(name: &str) -> Result<Vec<IpAddr>> {
    let known = in_hosts(&text_of(HOSTS), name.strip_suffix('.').unwrap_or(name));
    if !known.is_empty() {
        return Ok(known);
    }
    let mut settings = Settings::own();
    if settings.servers.is_empty() {
        settings.servers.push(Ipv4Addr::LOCALHOST.into());
    }
    let servers: Vec<SocketAddr> =
        settings.servers.iter().map(|server| SocketAddr::new(*server, PORT)).collect();
    find(name, &settings.search, &servers)
}

/// What resolv.conf(5) says, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who is to be asked, in this order.
    pub servers: Vec<IpAddr>,
    /// The domains that a name without dots may be in.
    pub search: Vec<String>,
}

impl Settings {
    /// This machine's.
    pub fn own() -> Settings {
        Settings::parse(&text_of(SETTINGS))
    }

    fn parse(text: &str) -> Settings {
        let mut settings = Settings::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    settings.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                // The last one counts.
                Some("search" | "domain") => settings.search = words.map(ToOwned::to_owned).collect(),
                _ => {}
            }
        }
        settings
    }
}

/// A file that may be missing.
fn text_of(path: &str) -> String {
    String::from_utf8_lossy(&file::read(CWD, path, FILE_MAX).unwrap_or_default()).into_owned()
}

/// The addresses that hosts(5) has for a name.
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

/// The names that may be meant: one with a dot first as it is, others first in the domains that are searched.
fn candidates(name: &str, search: &[String]) -> Vec<String> {
    if name.ends_with('.') {
        return vec![name.into()];
    }
    let mut all: Vec<String> = search.iter().map(|domain| format!("{name}.{domain}")).collect();
    let at = if name.contains('.') { 0 } else { all.len() };
    all.insert(at, name.into());
    all
}

fn find(name: &str, search: &[String], servers: &[SocketAddr]) -> Result<Vec<IpAddr>> {
    for name in candidates(name, search) {
        let mut found = Vec::new();
        for kind in [A, AAAA] {
            match ask(&name, kind, servers) {
                Ok(Some(addresses)) => found.extend(addresses),
                Ok(None) => break,
                // With the addresses of one kind one can begin.
                Err(()) if !found.is_empty() => {}
                Err(()) => {
                    let servers: Vec<String> = servers.iter().map(|server| server.ip().to_string()).collect();
                    let why = format!("host {name}: no name server answers: {}", servers.join(", "));
                    return Err(Error::NotFound(why));
                }
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Error::NotFound(format!("host {name}: there is no such name")))
}

/// The addresses of one kind of a name; `None` if there is no such name. An error if nobody answers.
fn ask(name: &str, kind: u16, servers: &[SocketAddr]) -> Result<Option<Vec<IpAddr>>, ()> {
    let Some(mut question) = labels(name.strip_suffix('.').unwrap_or(name)) else { return Ok(None) };
    question.extend(kind.to_be_bytes());
    question.extend(INTERNET.to_be_bytes());
    for server in (0..ROUNDS).flat_map(|_| servers) {
        let query = Query {
            id: new_number().map_err(drop)?,
            flags: Flags::RECURSION_DESIRED,
            question: &question,
            name: None,
            kind,
            class: INTERNET,
            edns: Some(Edns { datagram_bytes: DATAGRAM_MAX as u16, version: 0, signatures: false }),
        };
        match exchange(&query, *server) {
            Ok((message, Code::DONE)) => return Ok(Some(records::addresses(&query, &message))),
            Ok((_, Code::NO_NAME)) => return Ok(None),
            // Another one may know better.
            Ok(_) | Err(_) => {}
        }
    }
    Err(())
}

/// A number for a question that nobody can guess.
///
/// # Errors
/// Of the kernel, which has none.
pub(super) fn new_number() -> Result<u16, Errno> {
    let mut bytes = [0; 2];
    // Two bytes are given whole, once the kernel has any.
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(u16::from_be_bytes(bytes))
}

/// Sends a question over UDP; the socket takes what that server answers, and no read waits for it.
///
/// # Errors
/// Of the kernel.
pub(super) fn send_to(server: SocketAddr, message: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family_of(server), SocketType::DGRAM, flags, None)?;
    connect(&socket, &server)?;
    send(&socket, message, SendFlags::DONTWAIT)?;
    Ok(socket)
}

/// Asks a server over UDP: its answer, and how it went.
fn exchange(query: &Query<'_>, server: SocketAddr) -> Result<(Vec<u8>, Code), Errno> {
    let mut message = Vec::new();
    query.write(&mut message);
    let socket = send_to(server, &message)?;
    let deadline = clock::monotonic() + PATIENCE_NS;
    loop {
        let mut polled = [PollFd::new(&socket, PollFlags::IN)];
        match poll(&mut polled, Some(&clock::timeout_until(deadline))) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Err(Errno::INTR) => continue,
            other => other?,
        };
        message.resize(DATAGRAM_MAX, 0);
        let (length, _) = recv(&socket, &mut message[..], RecvFlags::DONTWAIT)?;
        // Others may send as well.
        if let Some(code) = query.answer(&message[..length]) {
            message.truncate(length);
            return Ok((message, code));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, thread};

    use super::*;

    #[test]
    fn the_files_are_read_as_the_c_library_reads_them() {
        let hosts =
            "127.0.0.1 localhost\n10.0.0.1\tBuild.example build # old 10.0.0.9 other\nx y\n::1 build\n";
        assert_eq!(in_hosts(hosts, "build"), [IpAddr::from([10, 0, 0, 1]), "::1".parse().unwrap()]);
        assert_eq!(in_hosts(hosts, "build.EXAMPLE"), [IpAddr::from([10, 0, 0, 1])]);
        assert!(in_hosts(hosts, "other").is_empty() && in_hosts(hosts, "y").is_empty());
        let text = "domain a\nnameserver 10.0.0.1\n;nameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch b c\n\
                    nameserver ::1 x";
        let settings = Settings {
            servers: vec![[10, 0, 0, 1].into(), "::1".parse().unwrap()],
            search: vec!["b".into(), "c".into()],
        };
        assert_eq!(Settings::parse(text), settings);
    }

    #[test]
    fn a_name_without_dots_is_looked_for_in_the_domains_first() {
        let search = ["x".into(), "y.z".into()];
        assert_eq!(candidates("web", &search), ["web.x", "web.y.z", "web"]);
        assert_eq!(candidates("web.org", &search), ["web.org", "web.org.x", "web.org.y.z"]);
        assert_eq!(candidates("web.", &search), ["web."]);
    }

    /// A server that knows `web.x`, and one that knows nothing and says so in three ways.
    fn servers() -> [SocketAddr; 2] {
        let sockets = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        for (at, socket) in sockets.into_iter().enumerate() {
            thread::spawn(move || {
                let mut buffer = [0; 512];
                loop {
                    let (length, asker) = socket.recv_from(&mut buffer).unwrap();
                    let query = Query::parse(&buffer[..length]).unwrap();
                    let knows = query.name.as_deref() == Some("web.x");
                    let mut answer = Vec::new();
                    let code = match (at, knows) {
                        (0, _) => Code::REFUSED,
                        (_, false) => Code::NO_NAME,
                        _ => Code::DONE,
                    };
                    if code == Code::DONE {
                        let known = [[10, 0, 0, 7].into(), [10, 0, 0, 8].into()];
                        super::super::dns::answer::addresses(&query, &known, 512, &mut answer);
                    } else {
                        super::super::dns::answer::code(&query, code, 512, &mut answer);
                    }
                    // Somebody else's answer comes first.
                    let mut other = answer.clone();
                    other[0] ^= 1;
                    socket.send_to(&other, asker).unwrap();
                    socket.send_to(&answer, asker).unwrap();
                }
            });
        }
        addresses
    }

    #[test]
    fn the_server_that_knows_a_name_gives_its_addresses() {
        let servers = servers();
        let found = find("web", &["x".into()], &servers).unwrap();
        assert_eq!(found, [IpAddr::from([10, 0, 0, 7]), IpAddr::from([10, 0, 0, 8])]);
        let error = find("other", &[], &servers).unwrap_err().to_string();
        assert!(error.contains("there is no such name"), "{error}");
        let error = find("web", &[], &servers[..1]).unwrap_err().to_string();
        assert!(error.contains("no name server answers: 127.0.0.1"), "{error}");
        assert!(find("a..b", &[], &servers).unwrap_err().to_string().contains("there is no such name"));
    }
}

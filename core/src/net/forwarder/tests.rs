use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
};

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with},
    pipe::{PipeFlags, pipe_with},
};

use rustix::net::SocketAddrV4;

use super::*;
use crate::digest::Digest;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A forwarder in a thread; it ends when this is dropped.
struct Running {
    /// Where its first port is.
    address: SocketAddr,
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    fn to(transport: Transport, target: SocketAddr) -> Running {
        Running::within(Limits { connections: 1000, clients: 10 }, transport, target)
    }

    fn within(limits: Limits, transport: Transport, target: SocketAddr) -> Running {
        let kind = match transport {
            Transport::Tcp => SocketType::STREAM,
            Transport::Udp => SocketType::DGRAM,
        };
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrV4::new(LOCAL, 0)).unwrap();
        let address = SocketAddrV4::try_from(getsockname(&socket).unwrap()).unwrap().into();
        let (heard, end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let forwarder =
            Forwarder::new(vec![Forwarded { socket, transport, target }], heard.as_fd(), limits).unwrap();
        let thread = thread::spawn(move || forwarder.run(heard.as_fd()));
        Running { address, end: Some(end), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    fn end(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server that does this with each connection.
fn server(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((LOCAL, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let each = each.clone();
            thread::spawn(move || each(connection.unwrap()));
        }
    });
    address
}

fn echo(mut connection: TcpStream) {
    let mut buffer = vec![0; 100_000];
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        if connection.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// A port where no other test has anything.
fn lonely(port: u16) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    ([127, 99, high, low], port).into()
}

/// Bytes that look like chance.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn read_to_end(mut connection: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    connection.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn keys_go_through_epoll_and_back() {
    for key in [
        Key::port(0),
        Key::port(131_069),
        Key { port: 7, serial: 1, side: Side::Target },
        Key { port: 7, serial: 1 << 40, side: Side::Client },
    ] {
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_ne!(key.to_bits(), Key::END);
    }
}

#[test]
fn a_large_payload_goes_there_and_back_unchanged() {
    let running = Running::to(Transport::Tcp, server(echo));
    let connection = running.connect();
    let sent = noise(16 << 20);
    let sum = Digest::of(&sent);
    let mut writer = connection.try_clone().unwrap();
    let writes = thread::spawn(move || {
        // Pieces of all sizes.
        let mut rest = &sent[..];
        for length in (1..).map(|number: usize| number * number % 300_007 + 1) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            writer.write_all(piece).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let received = read_to_end(&connection);
    writes.join().unwrap();
    assert_eq!(received.len(), 16 << 20);
    assert_eq!(Digest::of(&received), sum);
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_all_of_the_answer() {
    let address = server(|mut connection| {
        let asked = read_to_end(&connection);
        connection.write_all(&asked.repeat(50_000)).unwrap();
    });
    let running = Running::to(Transport::Tcp, address);
    let mut connection = running.connect();
    connection.write_all(b"a question").unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let answer = read_to_end(&connection);
    assert!(answer == b"a question".repeat(50_000));
}

#[test]
fn a_container_that_has_ended_its_side_still_gets_all_that_is_sent() {
    let (tell, told) = std::sync::mpsc::channel();
    let address = server(move |mut connection| {
        connection.write_all(b"greeting").unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        tell.send(read_to_end(&connection)).unwrap();
    });
    let running = Running::to(Transport::Tcp, address);
    let mut connection = running.connect();
    assert_eq!(read_to_end(&connection), b"greeting");
    let sent = noise(1 << 20);
    connection.write_all(&sent).unwrap();
    drop(connection);
    assert!(told.recv().unwrap() == sent);
}

#[test]
fn where_nobody_listens_inside_the_connection_is_reset() {
    let running = Running::to(Transport::Tcp, lonely(20_000));
    for _ in 0..3 {
        if let Ok(mut connection) = TcpStream::connect(running.address) {
            let error = connection.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_reset_comes_after_what_was_sent_before_it() {
    let address = server(|mut connection| {
        connection.peek(&mut [0]).unwrap();
        connection.write_all(b"last words").unwrap();
        // Closed with something unread.
    });
    let running = Running::to(Transport::Tcp, address);
    let mut connection = running.connect();
    connection.write_all(b"unread").unwrap();
    let mut all = Vec::new();
    let error = connection.read_to_end(&mut all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(all, b"last words");
}

#[test]
fn a_client_that_vanishes_ends_the_connection_inside() {
    let (tell, told) = std::sync::mpsc::channel();
    let address = server(move |mut connection| {
        // More than fits anywhere on the way.
        let zeros = [0; 1 << 16];
        while connection.write_all(&zeros).is_ok() {}
        tell.send(()).unwrap();
    });
    let running = Running::to(Transport::Tcp, address);
    let mut connection = running.connect();
    connection.read_exact(&mut [0]).unwrap();
    drop(connection);
    told.recv().unwrap();
}

#[test]
fn many_connections_at_once_get_their_own_answers() {
    let running = Running::to(Transport::Tcp, server(echo));
    let connections: Vec<TcpStream> = (0..200).map(|_| running.connect()).collect();
    let name = |number: usize| std::format!("{number:0999}");
    for (number, mut connection) in connections.iter().enumerate() {
        connection.write_all(name(number).as_bytes()).unwrap();
    }
    for (number, mut connection) in connections.iter().enumerate().rev() {
        let mut answer = vec![0; 999];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), name(number));
    }
}

#[test]
fn a_connection_too_many_waits_for_one_to_end() {
    let limits = Limits { connections: 1, clients: 1 };
    let running = Running::within(limits, Transport::Tcp, server(echo));
    let ask = |mut connection: &TcpStream| {
        connection.write_all(b"?").unwrap();
        let mut answer = [0];
        connection.read_exact(&mut answer).map(|()| answer)
    };
    let first = running.connect();
    assert_eq!(ask(&first).unwrap(), *b"?");
    let second = running.connect();
    second.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(ask(&second).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    second.set_read_timeout(None).unwrap();
    assert_eq!(ask(&second).unwrap(), *b"?");
}

#[test]
fn two_clients_of_a_datagram_port_get_their_own_answers() {
    let inside = UdpSocket::bind((LOCAL, 0)).unwrap();
    let running = Running::to(Transport::Udp, inside.local_addr().unwrap());
    let client = || UdpSocket::bind((LOCAL, 0)).unwrap();
    let (one, other) = (client(), client());
    one.send_to(b"one", running.address).unwrap();
    other.send_to(b"other", running.address).unwrap();
    let mut buffer = [0; 100];
    for _ in 0..2 {
        let (length, from) = inside.recv_from(&mut buffer).unwrap();
        inside.send_to(&buffer[..length], from).unwrap();
        inside.send_to(b"again", from).unwrap();
    }
    for (client, name) in [(&other, &b"other"[..]), (&one, b"one")] {
        for expected in [name, b"again"] {
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected);
            assert_eq!(from, running.address);
        }
    }
}

#[test]
fn a_datagram_that_was_refused_does_not_keep_the_next_one_back() {
    let target = lonely(20_001);
    let running = Running::to(Transport::Udp, target);
    let client = UdpSocket::bind((LOCAL, 0)).unwrap();
    for _ in 0..3 {
        client.send_to(b"lost", running.address).unwrap();
    }
    let inside = UdpSocket::bind(target).unwrap();
    client.send_to(b"found", running.address).unwrap();
    let mut buffer = [0; 10];
    while inside.recv(&mut buffer).unwrap() != 5 {}
    assert_eq!(&buffer[..5], b"found");
}

#[test]
fn at_the_end_what_has_come_before_it_is_carried() {
    let (tell, told) = std::sync::mpsc::channel();
    let address = server(move |mut connection| {
        connection.write_all(b"farewell").unwrap();
        tell.send(()).unwrap();
        let _ = connection.read(&mut [0]);
    });
    let mut running = Running::to(Transport::Tcp, address);
    let connection = running.connect();
    told.recv().unwrap();
    running.end();
    assert_eq!(read_to_end(&connection), b"farewell");
}

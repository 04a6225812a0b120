use core::{
    net::Ipv6Addr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use std::{
    eprintln, format,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use rustix::{
    fd::AsFd,
    net::{AddressFamily, SocketType, bind, listen, socket_with},
};

use super::*;
use crate::net::dns::kind::{A, AAAA};

/// What the threads of a test have in common.
#[derive(Default)]
struct Shared {
    refreshed: AtomicUsize,
    over: AtomicBool,
}

/// Knows `web` and the names of 10.0.0.2; everybody else is asked of `servers`.
struct Table {
    servers: Vec<SocketAddr>,
    changes: OwnedFd,
    shared: Arc<Shared>,
}

impl Names for Table {
    fn addresses(&mut self, asker: Ipv4Addr, name: &str) -> Option<Vec<IpAddr>> {
        assert!(asker.is_loopback());
        let web = || (2..5).map(|last| [10, 0, 0, last].into()).collect();
        (name == "web").then(web)
    }

    fn name_of(&mut self, _: Ipv4Addr, address: IpAddr) -> Option<String> {
        (address == IpAddr::from([10, 0, 0, 2])).then(|| "web.net".into())
    }

    fn servers(&mut self, _: Ipv4Addr) -> Vec<SocketAddr> {
        self.servers.clone()
    }

    fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    fn refresh(&mut self) -> bool {
        rustix::io::read(&self.changes, &mut [0; 8][..]).unwrap();
        self.shared.refreshed.fetch_add(1, SeqCst);
        !self.shared.over.load(SeqCst)
    }
}

/// A responder in a thread.
struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    change: OwnedFd,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    fn start(servers: &[SocketAddr]) -> Running {
        Running::with(|_| servers.to_vec())
    }

    fn with(servers: impl FnOnce(SocketAddr) -> Vec<SocketAddr>) -> Running {
        let (udp, tcp, address) = own_sockets();
        let (changes, change) = rustix::pipe::pipe().unwrap();
        let shared = Arc::new(Shared::default());
        let mut table = Table { servers: servers(address), changes, shared: shared.clone() };
        let thread = Some(thread::spawn(move || serve(&udp, &tcp, &mut table)));
        Running { address, shared, change, thread }
    }

    fn change(&self) {
        rustix::io::write(&self.change, &[1]).unwrap();
    }

    fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(self.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }

    fn ask(&self, question: &[u8]) -> Vec<u8> {
        let client = self.client();
        client.send(question).unwrap();
        received(&client)
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        self.change();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Both on the same port.
fn sockets() -> (UdpSocket, TcpListener, SocketAddr) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address) {
            return (udp, tcp, address);
        }
    }
}

/// The same without the standard library, whose descriptors are others.
fn own_sockets() -> (OwnedFd, OwnedFd, SocketAddr) {
    loop {
        let [udp, tcp] = [SocketType::DGRAM, SocketType::STREAM]
            .map(|kind| socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).unwrap());
        bind(&udp, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address: SocketAddr = getsockname(&udp).unwrap().try_into().unwrap();
        if bind(&tcp, &address).is_ok() {
            listen(&tcp, 128).unwrap();
            return (udp, tcp, address);
        }
    }
}

fn received(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; MESSAGE_MAX];
    let length = client.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend(b"\x01\0\0\x01\0\0\0\0\0\0");
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    message
}

fn with_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// What a server answers: the question with bits set, and something behind it.
fn answered(question: &[u8], code: u8, behind: &[u8]) -> Vec<u8> {
    let mut message = [question, behind].concat();
    (message[2], message[3]) = (0x81, 0x80 | code);
    message
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

fn code(message: &[u8]) -> u8 {
    message[3] & 0xf
}

/// A server in a thread for as many questions over UDP as `answers` has answers.
fn upstream(answers: impl IntoIterator<Item: Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static>) -> SocketAddr {
    let answers: Vec<_> = answers.into_iter().collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        for answer in answers {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            for message in answer(&buffer[..length]) {
                socket.send_to(&message, from).unwrap();
            }
        }
    });
    address
}

fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn known_names_are_answered_and_take_turns() {
    let running = Running::start(&[]);
    let firsts: Vec<u8> = (0..4)
        .map(|n| {
            let answer = running.ask(&question(n, "WEB", A));
            assert_eq!((id(&answer), answer[7], &answer[12..17]), (n, 3, &b"\x03WEB\0"[..]));
            answer[21 + 15]
        })
        .collect();
    assert_eq!(firsts, [2, 3, 4, 2]);
    let answer = running.ask(&question(5, "web", AAAA));
    assert_eq!((code(&answer), answer[7], answer[2] & 4), (0, 0, 4));
    let answer = running.ask(&question(6, "2.0.0.10.in-addr.arpa", PTR));
    assert!(answer.ends_with(b"\x03web\x03net\0"));
    assert_eq!(code(&running.ask(&question(7, "web", AXFR))), 5);
}

#[test]
fn many_questions_share_a_connection() {
    let running = Running::start(&[]);
    let mut stream = running.stream();
    let all: Vec<u8> = (0..500).flat_map(|n| with_length(&question(n, "web", A))).collect();
    // In two pieces, one of which ends in the middle of a length.
    let middle = 250 * (question(0, "web", A).len() + 2) + 1;
    stream.write_all(&all[..middle]).unwrap();
    thread::sleep(Duration::from_millis(20));
    stream.write_all(&all[middle..]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    for n in 0..500 {
        let answer = read_message(&mut stream).unwrap();
        assert_eq!((id(&answer), answer[7]), (n, 3));
    }
    assert_eq!(read_message(&mut stream), None);
}

#[test]
fn other_questions_go_to_a_server_under_another_number() {
    let server = upstream([|question: &[u8]| {
        let right = answered(question, 3, b"");
        let changed = |at: usize| {
            let mut message = right.clone();
            message[at] ^= 0x41;
            message
        };
        // Garbage: another number, another name, a question, too little.
        let mut all = vec![changed(0), changed(13), changed(right.len() - 3), question.to_vec(), vec![1; 3]];
        all.push(vec![]);
        let mut right = right.clone();
        right[12..].make_ascii_uppercase();
        all.push(right);
        all
    }]);
    let running = Running::start(&[server]);
    let asked = question(0x1234, "Some.Name", A);
    let mut answer = running.ask(&asked);
    assert_eq!((id(&answer), code(&answer)), (0x1234, 3));
    answer[2..4].copy_from_slice(&asked[2..4]);
    assert_eq!(answer, asked);
}

#[test]
fn the_next_server_is_asked_if_one_does_not_know() {
    let fails = || upstream([|question: &[u8]| vec![answered(question, 2, b"")]]);
    let knows = || upstream([|question: &[u8]| vec![answered(question, 0, b"known")]]);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let running = Running::start(&[nobody(), fails(), knows()]);
    assert!(running.ask(&question(1, "name", A)).ends_with(b"known"));
    assert!(start.elapsed() < Duration::from_secs(2), "nobody was waited for");
    let running = Running::start(&[silent.local_addr().unwrap(), knows()]);
    assert!(running.ask(&question(1, "name", A)).ends_with(b"known"));
    // The last one's answer, or that there is none.
    for servers in [vec![nobody(), fails()], vec![nobody()], vec![]] {
        let answer = Running::start(&servers).ask(&question(7, "name", A));
        assert_eq!((id(&answer), code(&answer)), (7, 2), "{servers:?}");
    }
}

#[test]
fn nobody_asks_himself() {
    let running = Running::with(|own| vec![own]);
    assert_eq!(code(&running.ask(&question(1, "name", A))), 2);
}

#[test]
fn what_is_too_long_is_asked_for_over_tcp() {
    let (udp, tcp, server) = sockets();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        for _ in 0..2 {
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            udp.send_to(&answered(&buffer[..length], 0, &[7; 1000]), from).unwrap();
        }
    });
    thread::spawn(move || {
        // The first connection says nothing that makes sense, the second one says it byte by byte.
        let mut stream = tcp.accept().unwrap().0;
        read_message(&mut stream).unwrap();
        stream.write_all(b"\0\x02no").unwrap();
        let mut stream = tcp.accept().unwrap().0;
        let question = read_message(&mut stream).unwrap();
        let mut answer = with_length(&answered(&question, 0, &[7; 60_000]));
        let last = answer.split_off(3);
        for byte in answer {
            stream.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        stream.write_all(&last).unwrap();
        // Until the other side has enough.
        let _ = stream.read(&mut [0]);
    });
    let running = Running::start(&[server, server]);
    let short = question(1, "name", A);
    let answer = running.ask(&short);
    assert_eq!((answer.len(), answer[2] & 2), (short.len(), 2));
    let mut long = [&short[..], b"\0\0\x29\x10\0\0\0\0\0\0\0"].concat();
    long[11] = 1;
    assert_eq!(running.ask(&long).len(), long.len() + 1000);
    let mut stream = running.stream();
    // Both are answered, though the client says no more after them.
    stream.write_all(&[with_length(&short), with_length(&question(2, "web", A))].concat()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_message(&mut stream).unwrap(), answered(&short, 0, &[7; 60_000]));
    assert_eq!(id(&read_message(&mut stream).unwrap()), 2);
    assert_eq!(read_message(&mut stream), None);
}

#[test]
fn only_so_many_questions_of_a_client_are_open_at_a_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let running = Running::start(&[silent.local_addr().unwrap()]);
    let client = running.client();
    // In portions that a socket has room for.
    for n in 0..FLIGHTS_EACH as u16 {
        client.send(&question(n, "name", A)).unwrap();
        if n % 16 == 0 {
            client.send(&question(1000, "web", A)).unwrap();
            assert_eq!(id(&received(&client)), 1000);
        }
    }
    client.send(&question(FLIGHTS_EACH as u16, "name", A)).unwrap();
    let refused = received(&client);
    assert_eq!((id(&refused), code(&refused)), (FLIGHTS_EACH as u16, 2));
    // Another client's is asked all the same.
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.connect(running.address).unwrap();
    other.send(&question(1, "name", A)).unwrap();
    (0..=FLIGHTS_EACH).for_each(|_| assert!(silent.recv(&mut [0; 512]).unwrap() > 0));
    // Then the others, whose server has said nothing.
    assert!((0..FLIGHTS_EACH).all(|_| code(&received(&client)) == 2));
    assert_eq!(code(&running.ask(&question(1, "web", A))), 0);
}

#[test]
fn only_so_many_connections_of_a_client_are_let_in() {
    let running = Running::start(&[]);
    let ask = |stream: &mut TcpStream| {
        let _ = stream.write_all(&with_length(&question(1, "web", A)));
        read_message(stream)
    };
    let mut all: Vec<TcpStream> = (0..CONNECTIONS_EACH).map(|_| running.stream()).collect();
    assert!(all.iter_mut().all(|stream| ask(stream).is_some()));
    assert_eq!(ask(&mut running.stream()), None);
    // Whoever goes makes room.
    all.pop();
    let start = Instant::now();
    while ask(&mut running.stream()).is_none() {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn changes_are_heard_of() {
    let running = Running::start(&[]);
    for n in 1..4 {
        running.change();
        let start = Instant::now();
        while running.shared.refreshed.load(SeqCst) < n {
            assert!(start.elapsed() < Duration::from_secs(5));
            thread::yield_now();
        }
    }
    // That it ends when it is told to is what dropping it waits for.
}

#[test]
fn messages_that_are_no_questions_do_no_harm() {
    let running = Running::start(&[]);
    let client = running.client();
    for bad in [&b""[..], b"x", &[0xff; 600], &[0; 11]] {
        client.send(bad).unwrap();
    }
    client.send(&[0; 12]).unwrap();
    assert_eq!(received(&client), b"\0\0\x80\x81\0\0\0\0\0\0\0\0");
    // Over TCP nothing is said to an answer, and those behind it are read.
    let mut stream = running.stream();
    let all = [with_length(&[0xff; 600]), with_length(b""), with_length(&question(3, "web", A))].concat();
    stream.write_all(&all).unwrap();
    assert_eq!(id(&read_message(&mut stream).unwrap()), 3);
}

#[test]
fn servers_have_addresses_of_both_families() {
    let Ok(socket) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("skipped: no IPv6");
        return;
    };
    let server = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&answered(&buffer[..length], 0, format!("{from}").as_bytes()), from).unwrap();
    });
    let answer = Running::start(&[server]).ask(&question(1, "name", A));
    assert!(answer.windows(5).any(|bytes| bytes == b"[::1]"));
}

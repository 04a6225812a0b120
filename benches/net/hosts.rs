//! Hosts that are network namespaces, without names, so that nothing is left of them when this program ends.

use std::{
    fs,
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use super::{output, quietly, text};

/// In a session of its own, as what runs in a container is: the scheduler may share processors out by session.
pub const SESSION: &str = "setsid";

/// A process that ends with the value, and with this program.
pub struct Server(Child);

impl Server {
    pub fn start(words: &[String]) -> Self {
        let prefix = text(&["setpriv", "--pdeathsig", "KILL", SESSION]);
        Server(quietly(&[prefix, words.to_vec()].concat()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace: another one, which a process keeps, or that of this program.
pub struct Namespace(Option<Server>);

impl Namespace {
    pub const OWN: Namespace = Namespace(None);

    pub fn new() -> Self {
        let made = Namespace(Some(Server::start(&text(&["unshare", "--net", "sleep", "infinity"]))));
        let [other, own] = [made.path(), Namespace::OWN.path()].map(|path| move || fs::read_link(&path).ok());
        until("there is a network namespace", || other().is_some_and(|other| Some(other) != own()));
        made.ip("link set lo up");
        made
    }

    /// Of the process that is there.
    fn pid(&self) -> u32 {
        self.0.as_ref().map_or_else(std::process::id, |server| server.0.id())
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    /// The command that does this there.
    pub fn words(&self, words: &[&str]) -> Vec<String> {
        [text(&["nsenter", &format!("--net={}", self.path().display())]), text(words)].concat()
    }

    pub fn run(&self, words: &[&str]) {
        let words = self.words(words);
        output(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// iproute2 there.
    pub fn ip(&self, words: &str) {
        self.run(&[&["ip"][..], &words.split(' ').collect::<Vec<_>>()].concat());
    }

    /// Lays a cable from here to another.
    fn cable(&self, here: &str, other: &Namespace, there: &str) {
        self.ip(&format!("link add {here} type veth peer name {there} netns {}", other.pid()));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("link set {there} up"));
    }

    /// A host that is connected to this one by a cable: this one is 10.9.0.1 to it.
    pub fn neighbour(&self) -> Namespace {
        let outside = Namespace::new();
        self.cable("out0", &outside, "eth0");
        self.ip("addr add 10.9.0.1/24 dev out0");
        outside.ip("addr add 10.9.0.2/24 dev eth0");
        outside
    }
}

/// What leads to port 5201 of the first container, and from both to the world.
const TABLE: &str = "
table ip hand {
    chain prerouting {
        type nat hook prerouting priority -100;
        fib daddr type local tcp dport 5201 dnat to 172.30.0.2:5201
    }
    chain output {
        type nat hook output priority -100;
        fib daddr type local tcp dport 5201 dnat to 172.30.0.2:5201
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        ip saddr 172.30.0.0/16 oifname != hand0 masquerade
        ip saddr 127.0.0.0/8 oifname hand0 masquerade
    }
}";

/// A host with two containers' networks on a bridge, as one sets them up by hand: 172.30.0.2 and 172.30.0.3.
pub struct ByHand {
    pub host: Namespace,
    pub containers: [Namespace; 2],
}

impl ByHand {
    pub fn new() -> Self {
        let (host, containers) = (Namespace::new(), [Namespace::new(), Namespace::new()]);
        host.ip("link add hand0 type bridge");
        host.ip("addr add 172.30.0.1/16 dev hand0");
        host.ip("link set hand0 up");
        for (number, container) in containers.iter().enumerate() {
            host.cable(&format!("port{number}"), container, "eth0");
            host.ip(&format!("link set port{number} master hand0"));
            container.ip(&format!("addr add 172.30.0.{}/16 dev eth0", number + 2));
            container.ip("route add default via 172.30.0.1");
        }
        ByHand { host, containers }
    }

    /// The same with a published port and a way to the world.
    pub fn with_table() -> Self {
        let made = ByHand::new();
        for setting in ["ip_forward", "conf/hand0/route_localnet"] {
            made.host.run(&["sh", "-c", &format!("echo 1 > /proc/sys/net/ipv4/{setting}")]);
        }
        made.host.run(&["nft", TABLE]);
        made
    }
}

/// Waits until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! The bridge network, with real packets. Each test has network namespaces of its own: the host that skiff runs on, and
//! one outside.

#[path = "support/kills.rs"]
mod kills;
mod support;

use std::process::{Child, Command, Output, Stdio};

use kills::Dice;
use support::{Scratch, until, with_box};

/// A host without any network, and one that is connected to it: 10.9.0.1 and 10.9.0.2.
struct Hosts {
    scratch: Scratch,
    names: [String; 2],
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is needed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Hosts {
    fn new() -> Self {
        let scratch = with_box(&[]);
        let base = scratch.path("").file_name().unwrap().to_str().unwrap().to_owned();
        let names = [format!("{base}-in"), format!("{base}-out")];
        let [inside, outside] = &names;
        for words in [
            format!("netns add {inside}"),
            format!("netns add {outside}"),
            format!("-n {inside} link set lo up"),
            format!("-n {inside} link add out0 type veth peer name eth0 netns {outside}"),
            format!("-n {inside} addr add 10.9.0.1/24 dev out0"),
            format!("-n {inside} link set out0 up"),
            format!("-n {outside} link set lo up"),
            format!("-n {outside} addr add 10.9.0.2/24 dev eth0"),
            format!("-n {outside} link set eth0 up"),
            format!("-n {outside} route add 172.16.0.0/12 via 10.9.0.1"),
        ] {
            ip(&words);
        }
        Hosts { scratch, names }
    }

    /// A command on one of the hosts.
    fn on(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.names[host])).args(words).stdin(Stdio::null());
        command
    }

    /// A server on one of the hosts.
    fn server(&self, host: usize, words: &[&str]) -> Server {
        let mut command = self.on(host, words);
        Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn skiff(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        self.with_roots(&[&[env!("CARGO_BIN_EXE_skiff")], words].concat())
    }

    /// A command on the first host that finds the engine's roots in its environment.
    fn with_roots(&self, words: &[&str]) -> Command {
        let mut all = self.on(0, words);
        for (name, value) in self.scratch.skiff(&[]).get_envs() {
            match value {
                Some(value) => all.env(name, value),
                None => all.env_remove(name),
            };
        }
        all.env_remove("SKIFF_NETWORK");
        all
    }

    /// Does many commands; they have to succeed.
    fn shell(&self, words: &[&str]) {
        let output = self.with_roots(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn text(&self, words: &[&str]) -> String {
        let output = self.skiff(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A container that answers on port 80 with `text`, and its address.
    fn web(&self, name: &str, text: &str, flags: &[&str]) -> String {
        let script =
            format!("mkdir -p /www && echo {text} > /www/index.html && exec busybox httpd -f -p 80 -h /www");
        let start = ["run", "-d", "--name", name];
        self.text(&[&start[..], flags, &["box", "sh", "-c", &script]].concat());
        let addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = self.text(&["inspect", "-f", addresses, name]).trim().to_owned();
        until("the server answers", &mut || self.get(0, &format!("{address}:80")).is_some());
        address
    }

    /// What a host gets from an address, within a second.
    fn get(&self, host: usize, place: &str) -> Option<String> {
        let url = format!("http://{place}");
        let output =
            self.on(host, &["timeout", "1", "busybox", "wget", "-q", "-O", "-", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
    }

    /// What a container gets.
    fn get_inside(&self, name: &str, place: &str) -> Option<String> {
        let url = format!("http://{place}");
        let output =
            self.skiff(&["exec", name, "busybox", "timeout", "1", "busybox", "wget", "-q", "-O", "-", &url]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
    }

    /// The rules and maps of the host.
    fn rules(&self) -> String {
        let output = self.on(0, &["nft", "list", "ruleset"]).output().expect("nftables is needed");
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many cables there are.
    fn cables(&self) -> usize {
        let output = self.on(0, &["ip", "-o", "link", "show", "type", "veth"]).output().unwrap();
        // Without that to the other host.
        String::from_utf8(output.stdout).unwrap().lines().count() - 1
    }

    fn leases(&self) -> usize {
        self.left().0.len()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if let Ok(output) = self.scratch.skiff(&["ps", "-aq"]).output() {
            let ids = String::from_utf8(output.stdout).unwrap_or_default();
            for id in ids.lines() {
                let _ = self.skiff(&["rm", "-f", id]);
            }
        }
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let hosts = Hosts::new();
    let flags = ["-p", "8080:80", "-p", "127.0.0.1:9090:80", "-p", "7000-7010:80"];
    let address = hosts.web("web", "hello", &flags);
    let hello = Some("hello".to_owned());
    assert_eq!(hosts.get(0, "127.0.0.1:8080"), hello, "this host");
    assert_eq!(hosts.get(0, "10.9.0.1:8080"), hello, "this host, by its address");
    assert_eq!(hosts.get(1, "10.9.0.1:8080"), hello, "another host");
    assert_eq!(hosts.get(1, "10.9.0.1:7000"), hello, "the first of a range");
    assert_eq!(hosts.get_inside("web", "172.17.0.1:8080"), hello, "the container itself");
    let other = hosts.web("other", "other", &[]);
    assert_eq!(hosts.get_inside("other", "10.9.0.1:8080"), hello, "another container");
    assert_eq!(hosts.get_inside("web", &other), Some("other".into()), "another container, by its address");

    assert_eq!(hosts.get(0, "127.0.0.1:9090"), hello);
    assert_eq!(hosts.get(1, "10.9.0.1:9090"), None, "published on the loopback only");
    assert_eq!(hosts.get(1, &address), None, "not published, though there is a route");
    assert_eq!(hosts.get_inside("other", "172.17.0.1:9090"), None, "the host's loopback is its own");

    let on_bridge = hosts.text(&[
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{.Name}} {{.IPv4Address}};{{end}}",
        "bridge",
    ]);
    assert!(
        on_bridge.contains(&format!("web {address}/16;"))
            && on_bridge.contains(&format!("other {other}/16;"))
    );
    let stats = hosts.text(&["stats", "--no-stream", "--format", "{{.NetIO}}", "web"]);
    assert!(stats.contains("kB / "), "{stats}");
    let ports = "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:9090\n80/tcp -> 0.0.0.0:7000\n";
    assert_eq!(hosts.text(&["port", "web"]), ports);
    hosts.text(&["rm", "-f", "web"]);
    assert_eq!(hosts.get(0, "127.0.0.1:8080"), None);
    assert!(!hosts.rules().contains("8080") && hosts.leases() == 1);
    let told = ["events", "--since", "1h", "--until", "0s", "-f", "type=network"];
    let told = hosts.text(&[&told[..], &["--format", "{{.Action}} {{.Actor.Attributes.name}}"]].concat());
    assert_eq!(told, "connect bridge\nconnect bridge\ndisconnect bridge\n");
}

#[test]
fn a_container_reaches_the_world_under_the_hosts_address() {
    let hosts = Hosts::new();
    // The other host has no way back but to this one's address.
    ip(&format!("-n {} route del 172.16.0.0/12", hosts.names[1]));
    let mut server =
        hosts.on(1, &["busybox", "nc", "-l", "-p", "7", "-e", "echo", "it's me"]).spawn().unwrap();
    let ask =
        "for i in 1 2 3 4 5 6 7 8 9; do busybox nc -w 1 10.9.0.2 7 && exit; busybox sleep 0.2; done; exit 1";
    let answer = hosts.text(&["run", "--rm", "--network", "bridge", "box", "sh", "-c", ask]);
    assert_eq!(answer, "it's me\n");
    server.wait().unwrap();

    let inside = "ip() { busybox ip \"$@\"; }; ip -o -4 addr show eth0; ip route; cat /etc/hosts";
    let shown = hosts.text(&["run", "--rm", "--network", "bridge", "-h", "me", "box", "sh", "-c", inside]);
    for part in ["172.17.0.2/16", "default via 172.17.0.1 dev eth0", "172.17.0.2\tme\n"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn udp_is_published_as_well() {
    let hosts = Hosts::new();
    let serve = "from socket import *; s = socket(AF_INET, SOCK_DGRAM); s.bind(('', 53))\n\
                 while True: data, who = s.recvfrom(99); s.sendto(b'got ' + data, who)";
    let start = ["run", "-d", "--network", "bridge", "-p", "5353:53/udp", "host", "/usr/bin/python3", "-c"];
    hosts.text(&[&start[..], &[serve]].concat());
    let ask = "from socket import *; s = socket(AF_INET, SOCK_DGRAM); s.settimeout(1)\n\
               s.sendto(b'ping', ('10.9.0.1', 5353)); print(s.recv(99))";
    until("the server answers", &mut || {
        let output = hosts.on(1, &["/usr/bin/python3", "-c", ask]).stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("got ping")
    });
}

#[test]
fn a_port_that_is_taken_is_a_conflict_and_leaves_nothing() {
    let hosts = Hosts::new();
    hosts.web("web", "hello", &["-p", "8080:80"]);
    let fails = |flags: &[&str], code: i32, words: &str| {
        let output =
            hosts.skiff(&[&["run", "--rm", "--network", "bridge"], flags, &["box", "true"]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && error.contains(words), "{flags:?}: {error}");
    };
    fails(&["-p", "8080:80"], 125, "Bind for 0.0.0.0:8080 failed: port is already allocated");
    fails(&["-p", "8081:80", "-p", "8080:80"], 125, "port is already allocated");
    fails(&["-p", "1.2.3.4:81:80"], 125, "1.2.3.4:81");
    fails(&["-p", "x:80"], 125, "invalid hostPort: x");
    fails(&["-p", "[1::2]:81:80"], 125, "[1::2]:81");
    let listener = hosts.server(0, &["busybox", "nc", "-l", "-p", "9000"]);
    // 9000
    let listens = ["grep", "-q", ":2328 ", "/proc/net/tcp", "/proc/net/tcp6"];
    until("somebody listens", &mut || hosts.on(0, &listens).status().unwrap().success());
    fails(&["-p", "9000:80"], 125, "port is already allocated");
    drop(listener);
    assert_eq!(hosts.leases(), 1);
    until("only the web server has a cable", &mut || hosts.cables() == 1);
    assert!(!hosts.rules().contains("8081"));
}

#[test]
fn what_a_killed_monitor_had_is_free_again() {
    let hosts = Hosts::new();
    for round in 0..20 {
        let name = format!("web{round}");
        let address = hosts.web(&name, &name, &["-p", "8080:80"]);
        assert!(address.starts_with("172.17.0."), "{address}");
        // Whoever is buried now takes nothing away.
        hosts.text(&["system", "df"]);
        assert_eq!(hosts.get(1, "10.9.0.1:8080"), Some(name.clone()));
        let id = hosts.text(&["inspect", "-f", "{{.Id}}", &name]);
        hosts.scratch.kill_monitor(id.trim());
        until("it has ended", &mut || {
            hosts.text(&["inspect", "-f", "{{.State.Running}}", &name]).trim() == "false"
        });
    }
    hosts.text(&["system", "prune", "-f"]);
    assert!(hosts.leases() == 0 && !hosts.rules().contains("8080"));
    until("no cable is left", &mut || hosts.cables() == 0);
}

#[test]
fn the_rules_of_others_stay_and_ours_come_back() {
    let hosts = Hosts::new();
    let nft = |words: &str| assert!(hosts.on(0, &["nft", words]).status().unwrap().success(), "{words}");
    nft("add table ip theirs; add chain ip theirs c { type filter hook forward priority 0; }");
    nft("add rule ip theirs c tcp dport 1 drop");
    hosts.web("web", "hello", &["-p", "8080:80"]);
    let (theirs, ours) = ("tcp dport 1 drop", "masquerade");
    assert!(hosts.rules().contains(theirs) && hosts.rules().contains(ours));
    nft("flush ruleset");
    hosts.text(&["restart", "-t", "0", "web"]);
    until("it is published again", &mut || hosts.get(1, "10.9.0.1:8080").is_some());
    assert!(hosts.rules().contains(ours));
}

#[test]
fn the_bridge_takes_a_subnet_that_nobody_has() {
    let hosts = Hosts::new();
    ip(&format!("-n {} route add 172.17.128.0/24 via 10.9.0.2", hosts.names[0]));
    assert!(hosts.web("web", "hello", &[]).starts_with("172.18.0.2"));
    let subnet = hosts.text(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge"]);
    assert_eq!(subnet, "172.18.0.0/16\n");
}

/// A container of this host's own files on networks, which sleeps.
fn sleeper(hosts: &Hosts, name: &str, flags: &[&str]) -> String {
    let start = ["run", "-d", "--name", name];
    hosts.text(&[&start[..], flags, &["host", "sleep", "1000"]].concat()).trim().into()
}

impl Hosts {
    /// What a name means to a container, in order.
    fn addresses(&self, container: &str, name: &str) -> Vec<String> {
        let output = self.skiff(&["exec", container, "getent", "ahostsv4", name]);
        let text = String::from_utf8(output.stdout).unwrap();
        let stream = text.lines().filter(|line| line.contains("STREAM"));
        let mut all: Vec<String> = stream.map(|line| line.split(' ').next().unwrap().into()).collect();
        all.sort();
        all
    }

    fn address(&self, container: &str, network: &str) -> String {
        let template = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
        self.text(&["inspect", "-f", &template, container]).trim().into()
    }

    fn fails(&self, words: &[&str], code: i32, says: &str) {
        let output = self.skiff(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && error.contains(says), "{words:?}: {error}");
    }

    /// What is left of networks: leases, cables, tables, processes that answer for names.
    fn left(&self) -> (Vec<String>, usize, String, Vec<u32>) {
        let networks = std::fs::read_dir(self.scratch.path("run/networks")).into_iter().flatten();
        let all =
            networks.flat_map(|network| std::fs::read_dir(network.unwrap().path()).into_iter().flatten());
        let leases = all.map(|lease| lease.unwrap().file_name().into_string().unwrap()).collect();
        let output = self.on(0, &["nft", "list", "tables"]).output().unwrap();
        let processes = kills::family(&self.scratch);
        (leases, self.cables(), String::from_utf8(output.stdout).unwrap(), processes)
    }
}

#[test]
fn containers_find_each_other_by_name() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    hosts.text(&["network", "create", "--subnet", "10.5.0.0/24", "--internal", "back"]);
    let web = ["--network", "front", "--network", "name=back,alias=inner", "--network-alias", "www"];
    let id = sleeper(&hosts, "web", &web);
    sleeper(
        &hosts,
        "db",
        &["--network", "back", "--network-alias", "pool", "--link", "web:server", "-h", "database"],
    );
    sleeper(&hosts, "db2", &["--network", "back", "--network-alias", "pool"]);
    sleeper(&hosts, "plain", &[]);
    let [front, back] = ["front", "back"].map(|network| hosts.address("web", network));
    let [db, db2] = ["db", "db2"].map(|name| hosts.address(name, "back"));
    for (asker, name, expected) in [
        ("db", "web", vec![&back]),
        ("db", "WEB.back", vec![&back]),
        ("db", "inner", vec![&back]),
        ("db", &id[..12], vec![&back]),
        ("db", "server", vec![&back]),
        ("db2", "server", vec![]),
        ("db", "www", vec![]),
        ("web", "www", vec![&front]),
        ("web", "db", vec![&db]),
        ("web", "database", vec![&db]),
        ("web", "pool", vec![&db, &db2]),
        ("db", "db", vec![&db]),
        ("plain", "web", vec![]),
        ("db", "plain", vec![]),
    ] {
        let mut expected: Vec<String> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(hosts.addresses(asker, name), expected, "{name} for {asker}");
    }
    let reverse = hosts.text(&["exec", "db", "getent", "hosts", &back]);
    assert!(reverse.contains("web.back"), "{reverse}");
    // (getaddrinfo has an order of its own.)
    let gateway = hosts.text(&["inspect", "-f", "{{.NetworkSettings.Networks.back.Gateway}}", "web"]);
    let gateway = gateway.trim();
    let mut orders = std::collections::BTreeSet::new();
    until("both are the first", &mut || {
        let told = hosts.text(&["exec", "web", "busybox", "nslookup", "pool", gateway]);
        let address = |line: &&str| line.contains("Address") && (line.contains(&db) || line.contains(&db2));
        orders.insert(told.lines().find(address).unwrap().to_owned());
        orders.len() == 2
    });

    hosts.text(&["rename", "db2", "other"]);
    assert!(hosts.addresses("web", "other").contains(&db2));
    assert!(hosts.addresses("web", "db2").is_empty());
    hosts.text(&["rm", "-f", "other"]);
    assert_eq!(hosts.addresses("web", "pool"), [db]);

    // Whoever is killed is replaced.
    let before = kills::family(&hosts.scratch);
    let is_responder = |pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.any(|link| link.extension().is_some_and(|name| name == "names"))
    };
    let responders: Vec<u32> = before.into_iter().filter(is_responder).collect();
    assert_eq!(responders.len(), 2);
    responders.iter().for_each(|pid| kills::kill(*pid));
    hosts.text(&["ps", "-a"]);
    assert_eq!(hosts.addresses("db", "web"), [back]);
}

#[test]
fn what_is_not_known_here_is_asked_elsewhere() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    let serve = "
from socket import *
import struct
s = socket(AF_INET, SOCK_DGRAM); s.bind(('10.9.0.2', 53))
while True:
    data, who = s.recvfrom(999)
    question = data[12:]
    end = question.index(0) + 5
    answer = b'\\xc0\\x0c\\x00\\x01\\x00\\x01\\x00\\x00\\x00\\x3c\\x00\\x04\\x01\\x02\\x03\\x04'
    has = question[:end].endswith(b'\\x00\\x01\\x00\\x01')
    s.sendto(data[:2] + struct.pack('>HHHHH', 0x8180, 1, int(has), 0, 0) + question[:end] + (answer if has else b''), who)
";
    let _server = hosts.server(1, &["/usr/bin/python3", "-c", serve]);
    sleeper(&hosts, "web", &["--network", "front", "--dns", "10.9.0.2"]);
    until("the other server answers", &mut || hosts.addresses("web", "example.org") == ["1.2.3.4"]);
    assert_eq!(hosts.addresses("web", "web").len(), 1);
    let conf = hosts.text(&["exec", "web", "cat", "/etc/resolv.conf"]);
    assert!(conf.contains("nameserver 172.18.0.1") && !conf.contains("10.9.0.2"), "{conf}");
    // On a bridge where nobody answers for names the container asks there itself.
    let conf = hosts.text(&["run", "--rm", "--dns", "10.9.0.2", "box", "cat", "/etc/resolv.conf"]);
    assert!(conf.contains("nameserver 10.9.0.2"), "{conf}");
}

#[test]
fn somebody_else_may_have_the_port_for_names() {
    let hosts = Hosts::new();
    let serve = "from socket import *\nimport time\na = socket(AF_INET, SOCK_DGRAM); a.bind(('', 53)); \
                 b = socket(AF_INET, SOCK_STREAM); b.bind(('', 53)); b.listen(); time.sleep(60)";
    let _other = hosts.server(0, &["/usr/bin/python3", "-c", serve]);
    // 53
    let listens = ["grep", "-q", ":0035 ", "/proc/net/tcp"];
    until("somebody listens", &mut || hosts.on(0, &listens).status().unwrap().success());
    hosts.text(&["network", "create", "front"]);
    sleeper(&hosts, "web", &["--network", "front"]);
    assert_eq!(hosts.addresses("web", "web"), [hosts.address("web", "front")]);
}

#[test]
fn networks_are_apart_from_each_other() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    hosts.text(&["network", "create", "--internal", "back"]);
    hosts.text(&["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart"]);
    hosts.web("web", "hello", &["--network", "front"]);
    let place = hosts.address("web", "front");
    let hello = Some("hello".to_owned());
    hosts.web("near", "near", &["--network", "front"]);
    assert_eq!(hosts.get_inside("near", &place), hello);
    hosts.web("far", "far", &["--network", "bridge"]);
    assert_eq!(hosts.get_inside("far", &place), None);
    hosts.web("hidden", "hidden", &["--network", "back", "-p", "8080:80"]);
    let hidden = hosts.address("hidden", "back");
    assert_eq!(hosts.get_inside("far", &hidden), None);
    assert_eq!(hosts.get_inside("hidden", &place), None);
    assert_eq!((hosts.get(1, &hidden), hosts.get(1, "10.9.0.1:8080")), (None, None));
    assert_eq!(hosts.get(0, &hidden), Some("hidden".into()), "this host has an address there");
    for name in ["one", "two"] {
        hosts.web(name, name, &["--network", "apart"]);
    }
    let one = hosts.address("one", "apart");
    assert_eq!((hosts.get_inside("two", &one), hosts.get(0, &one)), (None, Some("one".into())));
}

#[test]
fn a_container_comes_and_goes_while_it_runs() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "--subnet", "10.5.0.0/24", "--gateway", "10.5.0.9", "front"]);
    hosts.text(&["network", "create", "--internal", "back"]);
    hosts.web("web", "hello", &["--network", "bridge", "-p", "8080:80"]);
    hosts.text(&["network", "connect", "--ip", "10.5.0.77", "--alias", "www", "front", "web"]);
    hosts.text(&["network", "connect", "back", "web"]);
    let other = "name=front,mac-address=02:00:00:00:00:77,link-local-ip=169.254.8.8,\
                 driver-opt=com.docker.network.endpoint.ifname=up0";
    sleeper(&hosts, "other", &["--network", other]);
    let hello = Some("hello".to_owned());
    assert_eq!(hosts.get_inside("other", "10.5.0.77"), hello);
    assert_eq!(hosts.addresses("other", "www"), ["10.5.0.77"]);
    let inside = |script: &str| hosts.text(&["exec", "other", "sh", "-c", script]);
    assert!(inside("ip link show up0").contains("02:00:00:00:00:77"));
    assert!(inside("ip addr show up0").contains("169.254.8.8/16"));
    assert!(inside("ip route").contains("default via 10.5.0.9 dev up0"));
    let names = hosts.text(&["exec", "web", "cat", "/etc/hosts"]);
    assert_eq!(names.matches("10.5.0.77").count(), 1, "{names}");
    hosts.text(&["restart", "-t", "0", "web"]);
    until("it is back", &mut || hosts.get_inside("other", "www") == hello);
    assert_eq!(hosts.get(1, "10.9.0.1:8080"), hello);

    // The way to the world goes on over the next network that has one.
    hosts.text(&["network", "disconnect", "bridge", "web"]);
    let route = hosts.text(&["exec", "web", "busybox", "ip", "route"]);
    assert!(route.contains("default via 10.5.0.9") && !route.contains("172.17"), "{route}");
    assert_eq!(hosts.get(1, "10.9.0.1:8080"), None);
    hosts.text(&["network", "disconnect", "front", "web"]);
    hosts.text(&["network", "disconnect", "-f", "back", "web"]);
    assert_eq!(hosts.text(&["exec", "web", "busybox", "ip", "-o", "link"]).lines().count(), 1);
    assert_eq!(hosts.text(&["inspect", "-f", "{{len .NetworkSettings.Networks}}", "web"]), "0\n");
    hosts.text(&["network", "connect", "front", "web"]);
    hosts.text(&["stop", "-t", "0", "web"]);
    hosts.text(&["network", "disconnect", "front", "web"]);
    hosts.text(&["network", "connect", "back", "web"]);
    hosts.text(&["start", "web"]);
    assert_eq!(
        hosts.text(&["inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}", "web"]),
        "back \n"
    );
    hosts.text(&["rm", "-f", "web", "other"]);
    hosts.text(&["network", "rm", "front", "back"]);
    let actions = "{{.Action}} {{.Actor.Attributes.name}}";
    let told = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "type=network",
        "-f",
        "network=front",
        "--format",
        actions,
    ];
    let told = hosts.text(&told);
    assert!(told.starts_with("create front\nconnect front\n") && told.ends_with("destroy front\n"), "{told}");
}

#[test]
fn a_network_that_makes_no_sense_is_refused() {
    let hosts = Hosts::new();
    hosts.text(&[
        "network",
        "create",
        "--subnet",
        "10.5.0.0/29",
        "--aux-address",
        "router=10.5.0.4",
        "small",
    ]);
    for (words, says) in [
        (&["small"][..], "network with name small already exists"),
        (&["--subnet", "10.5.0.0/16", "over"], "Pool overlaps with other one on this address space"),
        (&["--subnet", "10.9.0.0/30", "over"], "Pool overlaps with other one on this address space"),
        (&["--subnet", "10.6.0.0", "bad"], "invalid CIDR address: 10.6.0.0"),
        (&["--subnet", "10.6.0.0/40", "bad"], "invalid CIDR address"),
        (&["--subnet", "10.6.0.0/24", "--gateway", "10.7.0.1", "bad"], "no matching subnet for 10.7.0.1"),
        (&["--gateway", "10.7.0.1", "bad"], "must have a corresponding subnet"),
        (&["--driver", "overlay", "bad"], "plugin \"overlay\" not found"),
        (&["--subnet", "fd00::/64", "bad"], "needs a network with IPv6"),
        (&["-o", "x=y", "bad"], "option x is not there"),
        (&["-o", "com.docker.network.bridge.name=out0", "bad"], "interface out0 exists already"),
        (&["bridge"], "predefined bridge network"),
        (&[" a"], "invalid network name"),
    ] {
        hosts.fails(&[&["network", "create"], words].concat(), 1, says);
    }
    hosts.fails(&["network", "rm", "nosuch"], 1, "network nosuch not found");
    hosts.fails(&["network", "rm", "bridge"], 1, "bridge is a pre-defined network and cannot be removed");
    hosts.fails(&["run", "--rm", "--network", "nosuch", "box", "true"], 125, "network nosuch not found");
    let on = ["run", "--rm", "--network", "small"];
    let run =
        |flags: &[&str], says: &str| hosts.fails(&[&on[..], flags, &["box", "true"]].concat(), 125, says);
    run(&["--ip", "10.5.1.1"], "does not belong to subnet 10.5.0.0/29");
    run(&["--ip", "10.5.0.1"], "Address already in use: 10.5.0.1");
    run(&["--ip", "10.5.0.4"], "Address already in use: 10.5.0.4");
    run(&["--network-alias", "a b"], "invalid network alias");
    run(&["--mac-address", "01:00:00:00:00:00"], "is not a valid mac address");
    run(&["--network", "small"], "specified multiple times");
    run(&["--network", "host"], "conflicting options");
    hosts.fails(
        &["run", "--rm", "--ip", "172.17.0.9", "box", "true"],
        125,
        "supported on user defined networks only",
    );
    hosts.fails(
        &["run", "--rm", "--network-alias", "a", "box", "true"],
        125,
        "only for containers in user defined networks",
    );
    // Six addresses for hosts: one is the gateway's, one the router's.
    for number in 0..4 {
        sleeper(&hosts, &format!("c{number}"), &["--network", "small"]);
    }
    run(&[], "no available IPv4 addresses on this network's address pools: small");
    let taken = hosts.address("c0", "small");
    run(&["--ip", &taken], "Address already in use");
    hosts.fails(&["network", "rm", "small"], 1, "has active endpoints");
    hosts.fails(&["network", "connect", "small", "c0"], 1, "already exists in network small");
    hosts.fails(&["network", "disconnect", "bridge", "c0"], 1, "is not connected to the network bridge");
    hosts.fails(&["network", "connect", "none", "c0"], 1, "private (none) mode");
    let (leases, cables, ..) = hosts.left();
    assert_eq!((leases.len(), cables), (4, 4));
}

#[test]
fn nothing_is_left_of_two_hundred_containers() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    let start = "for i in $(seq 200); do \
                 \"$0\" run -d --name c$i -p $((20000 + i)):80 --network front host sleep 1000 > /dev/null || exit 1; done";
    let program = env!("CARGO_BIN_EXE_skiff");
    hosts.shell(&["sh", "-c", start, program]);
    let places = hosts.text(&["network", "inspect", "-f", "{{len .Containers}}", "front"]);
    assert_eq!(places, "200\n");
    let (leases, cables, ..) = hosts.left();
    let different: std::collections::BTreeSet<&String> = leases.iter().collect();
    assert_eq!((leases.len(), different.len(), cables), (200, 200, 200));
    assert_eq!(hosts.addresses("c1", "c200"), [hosts.address("c200", "front")]);
    assert_eq!(hosts.rules().matches(" . 80").count(), 200);
    hosts.shell(&["sh", "-c", "\"$0\" rm -f $(\"$0\" ps -q) > /dev/null", program]);
    hosts.text(&["network", "rm", "front"]);
    until("nothing is left", &mut || hosts.left() == (vec![], 0, String::new(), vec![]));
}

#[test]
fn a_thousand_times_to_a_network_and_back_leaves_nothing() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    sleeper(&hosts, "web", &["--network", "none"]);
    hosts.text(&["rm", "-f", "web"]);
    sleeper(&hosts, "web", &["--network", "bridge"]);
    let before = hosts.left();
    let turns = "for i in $(seq 1000); do \
                 \"$0\" network connect front web && \"$0\" network disconnect front web || exit 1; done";
    hosts.shell(&["sh", "-c", turns, env!("CARGO_BIN_EXE_skiff")]);
    let shown = hosts.text(&["exec", "web", "ip", "-o", "link"]);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let names = hosts.text(&["exec", "web", "cat", "/etc/hosts"]);
    assert_eq!(names.matches("172.").count(), 1, "{names}");
    hosts.text(&["network", "rm", "front"]);
    until("all is as before", &mut || hosts.left() == before);
}

#[test]
fn whatever_is_killed_leaves_nothing_after_the_next_command() {
    let hosts = Hosts::new();
    hosts.text(&["network", "create", "front"]);
    let mut dice = Dice::new();
    for _ in 0..40 {
        let words = [
            "run",
            "--rm",
            "--network",
            "front",
            "--network",
            "bridge",
            "-p",
            "8080:80",
            "box",
            "sleep",
            "0.02",
        ];
        let mut client = hosts.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_micros(dice.below(60_000) as u64);
        while std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let family = kills::family(&hosts.scratch);
        if !family.is_empty() {
            kills::kill(family[dice.below(family.len())]);
        }
        client.wait().unwrap();
    }
    // What is free in the end is what the next one gets.
    let words = ["run", "--rm", "--network", "front", "-p", "8080:80", "box", "echo", "works"];
    until("everything has ended", &mut || hosts.skiff(&words).stdout == b"works\n");
    until("no lease, cable or port is left", &mut || {
        // The last of them may only just have died.
        hosts.text(&["system", "prune", "-f"]);
        let (leases, cables, ..) = hosts.left();
        leases.is_empty() && cables == 0 && !hosts.rules().contains("8080")
    });
    assert!(hosts.text(&["network", "ls", "-q", "-f", "name=front"]).is_empty());
}

#[test]
fn dockers_own_client_makes_networks() {
    let hosts = Hosts::new();
    let socket = format!("unix://{}", hosts.scratch.path("skiff.sock").display());
    let mut serve = hosts.command(&["serve", "-H", &socket]);
    let _server = Server(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let run = |words: &[&str]| Command::new("docker").args(["-H", &socket]).args(words).output().unwrap();
    until("it serves", &mut || run(&["version"]).status.success());
    let docker = |words: &[&str]| {
        let output = run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    docker(&["network", "create", "--subnet", "172.30.0.0/24", "--label", "a=b", "front"]);
    docker(&["network", "create", "--ipv6", "--subnet", "fd00:7::/64", "back"]);
    docker(&["run", "-d", "--name", "one", "-p", "8080:80", "host", "sleep", "1000"]);
    docker(&["network", "connect", "--alias", "al", "--ip", "172.30.0.9", "front", "one"]);
    let words = ["run", "--rm", "--network", "front", "--network", "back", "--network-alias", "zz"];
    let told =
        docker(&[&words[..], &["host", "sh", "-c", "getent hosts one al; ip -br -o addr show"]].concat());
    assert!(
        told.matches("172.30.0.9").count() == 2 && told.contains("eth1") && told.contains("fd00:7::"),
        "{told}"
    );
    let format = "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}} {{.Labels}}";
    assert_eq!(docker(&["network", "inspect", "-f", format, "front"]), "one 172.30.0.9/24 map[a:b]\n");
    assert_eq!(docker(&["port", "one"]), "80/tcp -> 0.0.0.0:8080\n");
    let listed = docker(&["network", "ls", "--format", "{{.Name}} {{.Driver}}", "-f", "type=custom"]);
    assert_eq!(listed, "back bridge\nfront bridge\n");
    assert_eq!(docker(&["ps", "-q", "-f", "network=front"]).lines().count(), 1);
    for (words, says) in [
        (&["network", "rm", "front"][..], "has active endpoints"),
        (&["network", "connect", "front", "one"], "already exists in network front"),
        (&["network", "inspect", "nosuch"], "network nosuch not found"),
        (&["run", "--rm", "--network", "nosuch", "host", "true"], "network nosuch not found"),
        (&["network", "create", "--subnet", "172.30.0.0/16", "over"], "Pool overlaps with other one"),
    ] {
        let error = run(words).stderr;
        assert!(
            String::from_utf8_lossy(&error).contains(says),
            "{words:?}: {}",
            String::from_utf8_lossy(&error)
        );
    }
    docker(&["pause", "one"]);
    docker(&["network", "disconnect", "-f", "front", "one"]);
    docker(&["unpause", "one"]);
    assert_eq!(docker(&["exec", "one", "ip", "-br", "-o", "link"]).lines().count(), 2);
    docker(&["network", "prune", "-f"]);
    assert_eq!(docker(&["network", "ls", "-q", "-f", "type=custom"]), "");
    docker(&["rm", "-f", "one"]);
    links_of_old(&docker, &run);
}

/// `--link` on the usual bridge: a line of /etc/hosts, variables, and what takes one away again.
fn links_of_old(docker: &dyn Fn(&[&str]) -> String, run: &dyn Fn(&[&str]) -> std::process::Output) {
    let exposed = ["--expose", "5432", "--expose", "53/udp", "-e", "FOO=bar"];
    docker(&[&["run", "-d", "--name", "base"], &exposed[..], &["host", "sleep", "1000"]].concat());
    let address = docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "base"]);
    let address = address.trim();
    docker(&[
        "create",
        "--name",
        "app",
        "--link",
        "base:my-db",
        "host",
        "sh",
        "-c",
        "env; grep my-db /etc/hosts",
    ]);
    let told = docker(&["start", "-a", "app"]);
    for line in [
        "MY_DB_NAME=/app/my-db".to_string(),
        "MY_DB_ENV_FOO=bar".into(),
        format!("MY_DB_PORT=udp://{address}:53"),
        format!("MY_DB_PORT_5432_TCP=tcp://{address}:5432"),
        format!("MY_DB_PORT_5432_TCP_ADDR={address}"),
        "MY_DB_PORT_5432_TCP_PORT=5432".into(),
        "MY_DB_PORT_53_UDP_PROTO=udp".into(),
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is missing:\n{told}");
    }
    assert!(told.contains("my-db") && !told.contains("MY_DB_ENV_PATH"), "{told}");
    docker(&["rm", "--link", "app/my-db"]);
    let again = run(&["rm", "--link", "app/my-db"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("Cannot get parent /app for name: /app/my-db"));
    assert!(!run(&["start", "-a", "app"]).stdout.windows(5).any(|part| part == b"MY_DB"));
    docker(&["rm", "-f", "app", "base"]);
}

/// A dockerd in the first host's namespace, with everything of its own.
struct Dockerd(Child, String);

impl Dockerd {
    fn new(hosts: &Hosts) -> Dockerd {
        let place = |name: &str| hosts.scratch.path("docker").join(name).display().to_string();
        std::fs::create_dir_all(place("")).unwrap();
        let socket = format!("unix://{}", place("sock"));
        let log = std::fs::File::create(place("log")).unwrap();
        let words = [
            "dockerd",
            "--data-root",
            &place("data"),
            "--exec-root",
            &place("exec"),
            "--pidfile",
            &place("pid"),
            "-H",
            &socket,
        ];
        let mut command = hosts.on(0, &words);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let docker = Dockerd(child, socket);
        until("dockerd answers", &mut || docker.docker(&["version"]).output().unwrap().status.success());
        docker
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.1]).args(words).stdin(Stdio::null());
        command
    }

    fn does(&self, words: &[&str]) {
        let output = self.docker(words).output().unwrap();
        assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn dockerd_and_skiff_leave_each_other_alone() {
    let hosts = Hosts::new();
    let forwarding = |value: &str| {
        let script = format!("echo {value} > /proc/sys/net/ipv4/ip_forward");
        assert!(hosts.on(0, &["sh", "-c", &script]).status().unwrap().success());
    };
    let theirs = || {
        let output = hosts.on(0, &["iptables-save"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rules = text.lines().filter(|line| !line.starts_with('#'));
        let without_counters = |line: &str| line.split('[').next().unwrap().to_owned();
        rules.map(without_counters).collect::<Vec<_>>()
    };
    // Who finds forwarding switched off switches it on, and drops what is forwarded but to its own.
    forwarding("0");
    let docker = Dockerd::new(&hosts);
    let archive = hosts.scratch.path("box.tar").display().to_string();
    hosts.text(&["save", "-o", &archive, "box"]);
    docker.does(&["load", "-i", &archive]);
    let serve = "mkdir -p /www && echo docker > /www/index.html && exec busybox httpd -f -p 80 -h /www";
    docker.does(&["run", "-d", "--name", "theirs", "-p", "8082:80", "box", "sh", "-c", serve]);
    until("docker's container answers", &mut || hosts.get(1, "10.9.0.1:8082") == Some("docker".into()));
    let before = theirs();
    assert!(before.iter().any(|line| line.starts_with(":FORWARD DROP")), "{before:?}");
    let address = hosts.web("web", "hello", &["-p", "8080:80"]);
    assert!(!address.starts_with("172.17."), "docker has that");
    let hello = Some("hello".to_owned());
    for (host, place) in [(0, "127.0.0.1:8080"), (0, "10.9.0.1:8080"), (1, "10.9.0.1:8080")] {
        assert_eq!(hosts.get(host, place), hello, "{place}");
    }
    assert_eq!(hosts.get(1, "10.9.0.1:8082"), Some("docker".into()));
    let said = hosts.skiff(&["info"]).stderr;
    assert!(
        String::from_utf8(said)
            .unwrap()
            .contains("table filter of the packet filter drops what is forwarded")
    );
    assert_eq!(theirs(), before);
    // What its administrator lets through goes through.
    let _server = hosts.server(1, &["busybox", "httpd", "-f", "-p", "7", "-h", "/usr/share/common-licenses"]);
    let ask = || hosts.get_inside("web", "10.9.0.2:7/BSD");
    assert_eq!(ask(), None);
    let bridge = hosts.text(&[
        "network",
        "inspect",
        "-f",
        "{{index .Options \"com.docker.network.bridge.name\"}}",
        "bridge",
    ]);
    for direction in ["-i", "-o"] {
        let rule = ["iptables", "-I", "DOCKER-USER", direction, bridge.trim(), "-j", "ACCEPT"];
        assert!(hosts.on(0, &rule).status().unwrap().success());
    }
    until("the other host answers", &mut || ask().is_some());
    docker.does(&["rm", "-f", "theirs"]);
    drop(docker);

    // Who finds it switched on drops nothing.
    assert!(hosts.on(0, &["nft", "flush", "ruleset"]).status().unwrap().success());
    hosts.text(&["restart", "-t", "0", "web"]);
    until("it is published again", &mut || hosts.get(1, "10.9.0.1:8080") == hello);
    let docker = Dockerd::new(&hosts);
    docker.does(&["run", "-d", "--rm", "--name", "theirs", "-p", "8082:80", "box", "sh", "-c", serve]);
    until("docker's container answers", &mut || hosts.get(1, "10.9.0.1:8082") == Some("docker".into()));
    assert_eq!(hosts.get(1, "10.9.0.1:8080"), hello);
    assert!(ask().is_some());
    docker.does(&["rm", "-f", "theirs"]);
    hosts.text(&["rm", "-f", "web"]);
    assert!(hosts.rules().contains("DOCKER-USER"));
}

#[test]
fn a_network_has_ipv6_if_it_is_asked_for() {
    let hosts = Hosts::new();
    ip(&format!("-n {} addr add fd09::1/64 dev out0 nodad", hosts.names[0]));
    ip(&format!("-n {} addr add fd09::2/64 dev eth0 nodad", hosts.names[1]));
    hosts.text(&["network", "create", "--ipv6", "--subnet", "fd05::/64", "--gateway", "fd05::9", "six"]);
    hosts.text(&["network", "create", "--ipv6", "--internal", "own"]);
    hosts.web("web", "hello", &["--network", "six", "-p", "8080:80", "-p", "[::1]:9090:80"]);
    hosts.web("four", "four", &["--network", "bridge", "-p", "[::]:7070:80"]);
    sleeper(&hosts, "other", &["--network", "six", "--network", "own", "--ip6", "fd05::77"]);
    let six = |container: &str, network: &str| {
        let template = format!("{{{{.NetworkSettings.Networks.{network}.GlobalIPv6Address}}}}");
        hosts.text(&["inspect", "-f", &template, container]).trim().to_owned()
    };
    let address = six("web", "six");
    assert_eq!((address.as_str(), six("other", "six").as_str()), ("fd05::1", "fd05::77"));
    assert!(six("other", "own").starts_with("fd"));
    let get = |host: usize, place: &str| {
        let url = format!("http://{place}/");
        let output = hosts.on(host, &["curl", "-sgm", "2", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(get(0, "[fd05::1]:80"), "hello", "by its address");
    assert_eq!(get(0, "[fd09::1]:8080"), "hello", "this host, by its address");
    assert_eq!(get(0, "[::1]:8080"), "hello", "this host");
    assert_eq!(get(0, "[::1]:9090"), "hello", "this host alone");
    assert_eq!(get(0, "127.0.0.1:8080"), "hello");
    assert_eq!(get(1, "[fd09::1]:8080"), "hello", "another host");
    assert_eq!(get(1, "[fd09::1]:9090"), "", "published on the loopback only");
    assert_eq!(get(1, "[fd09::1]:7070"), "four", "to a container without IPv6");
    ip(&format!("-n {} route add fd05::/64 via fd09::1", hosts.names[1]));
    assert_eq!(get(1, "[fd05::1]:80"), "", "not published, though there is a route");
    ip(&format!("-n {} route del fd05::/64", hosts.names[1]));
    // A name has both addresses, and a container the world, under this host's address.
    let inside = |script: &str| hosts.text(&["exec", "other", "sh", "-c", script]);
    assert!(inside("getent ahostsv6 web").contains("fd05::1"));
    assert!(inside("getent hosts fd05::1").contains("web.six"));
    assert!(inside("cat /etc/hosts").contains("fd05::77\t"));
    let serve = "from socket import *\ns = socket(AF_INET6, SOCK_STREAM); s.bind(('fd09::2', 7)); s.listen()\n\
                 while True: c, who = s.accept(); c.send(who[0].encode()); c.close()";
    let _server = hosts.server(1, &["/usr/bin/python3", "-c", serve]);
    let ask = "from socket import *; s = create_connection(('fd09::2', 7), 1); print(s.recv(99).decode())";
    let ask = format!("/usr/bin/python3 -c \"{ask}\"");
    until("the other host answers", &mut || {
        hosts.skiff(&["exec", "other", "sh", "-c", &ask]).stdout == b"fd09::1\n"
    });
    let ports = hosts.text(&["port", "web"]);
    for line in ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080", "80/tcp -> [::1]:9090"] {
        assert!(ports.contains(line), "{ports}");
    }
    hosts.fails(
        &["run", "--rm", "--network", "six", "--ip6", "fd05::77", "box", "true"],
        125,
        "Address already in use: fd05::77",
    );
    hosts.fails(
        &["run", "--rm", "--network", "six", "--ip6", "fd06::1", "box", "true"],
        125,
        "does not belong to subnet fd05::/64",
    );
    hosts.text(&["rm", "-f", "web", "four", "other"]);
    hosts.text(&["network", "rm", "six", "own"]);
    until("nothing is left", &mut || {
        let (leases, cables, tables, _) = hosts.left();
        leases.is_empty() && cables == 0 && !tables.contains("ip6")
    });
}

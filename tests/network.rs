//! The bridge network, with real packets. Each test has network namespaces of its own: the host that skiff runs on, and
//! one outside.

mod support;

use std::process::{Command, Output, Stdio};

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

    fn skiff(&self, words: &[&str]) -> Output {
        let command = self.scratch.skiff(words);
        let mut all = self.on(0, &[command.get_program().to_str().unwrap()]);
        all.args(words);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => all.env(name, value),
                None => all.env_remove(name),
            };
        }
        all.output().unwrap()
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
        let start = ["run", "-d", "--name", name, "--network", "bridge"];
        self.text(&[&start[..], flags, &["box", "sh", "-c", &script]].concat());
        let address = self.text(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", name]).trim().to_owned();
        until("the server answers", &mut || self.get(0, &format!("{address}:80")).is_some());
        address
    }

    /// What a host gets from an address, within a second.
    fn get(&self, host: usize, place: &str) -> Option<String> {
        let url = format!("http://{place}/");
        let output =
            self.on(host, &["timeout", "1", "busybox", "wget", "-q", "-O", "-", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
    }

    /// What a container gets.
    fn get_inside(&self, name: &str, place: &str) -> Option<String> {
        let url = format!("http://{place}/");
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
        std::fs::read_dir(self.scratch.path("run/networks/bridge")).unwrap().count()
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
    fails(&["-p", "[::1]:1:80"], 125, "IPv6 is not there yet");
    // At most so long, should this test fail.
    let listen = ["timeout", "30", "busybox", "nc", "-l", "-p", "9000"];
    let mut listener = hosts.on(0, &listen).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // 9000
    let listens = ["grep", "-q", ":2328 ", "/proc/net/tcp", "/proc/net/tcp6"];
    until("somebody listens", &mut || hosts.on(0, &listens).status().unwrap().success());
    fails(&["-p", "9000:80"], 125, "port is already allocated");
    listener.kill().unwrap();
    listener.wait().unwrap();
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

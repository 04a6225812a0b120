//! The process that carries published ports where the kernel has no nf_tables, beside docker-proxy. It is run here without
//! an engine around it, which would use it only there.

use std::{
    net::SocketAddrV4,
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    fd::AsFd,
    fs::{Mode, OFlags, open},
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with},
};
use skiff_core::net::{
    forwarder::{Forwarded, serve as forward},
    table::Transport,
};

use super::{
    hosts::Server,
    text,
    throughput::{Ours, Pair, compare},
};

const TARGET: f64 = 0.9;
const PROXIES: [&str; 2] = ["/usr/sbin/docker-proxy", "/usr/bin/docker-proxy"];

/// Carries what comes to a port until standard input ends.
pub fn serve(port: &str, target: &str) {
    let target: SocketAddrV4 = target.parse().unwrap();
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrV4::new([0, 0, 0, 0].into(), port.parse().unwrap())).unwrap();
    let ports = vec![Forwarded { socket, transport: Transport::Tcp, target: target.into() }];
    // By its name, as a value of this library's.
    let end = open("/dev/stdin", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    forward(ports, end.as_fd()).unwrap();
}

pub fn measure(ours: &Ours) {
    let Some(proxy) = PROXIES.into_iter().find(|proxy| Path::new(proxy).exists()) else {
        println!("\nforwarder is left out: docker-proxy is not there");
        return;
    };
    let own = std::env::current_exe().unwrap();
    let target = format!("{}:5201", ours.address);
    let mut carrier =
        Command::new(own).args(["forward", "5301", &target]).stdin(Stdio::piped()).spawn().unwrap();
    let flags = ["-proto", "tcp", "-host-ip", "0.0.0.0", "-host-port", "5302", "-container-ip"];
    // It closes descriptor 3, by which dockerd is told that it has begun, and which has to be something else's.
    let start = ["sh", "-c", "exec \"$0\" \"$@\" 3> /dev/null", proxy];
    let words = [&start, &flags[..], &[&ours.address, "-container-port", "5201"]].concat();
    let _proxy = Server::start(&text(&words));
    let client = |port| ours.outside.words(&["iperf3", "-c", "10.9.0.1", "-p", port]);
    let pair = Pair { name: "another host", ours: client("5301"), other: client("5302") };
    compare("userland forwarding, Gbit/s", ["skiff", "docker"], TARGET, &[pair]);
    drop(carrier.stdin.take());
    assert!(carrier.wait().unwrap().success());
}

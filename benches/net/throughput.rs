//! What iperf3 gets through.

use super::{
    SKIFF, command,
    hosts::{ByHand, Namespace, SESSION, Server, until},
    median, number, skiff, text,
};

const TARGET: f64 = 0.95;

/// The same way, ours and another's: commands that run an iperf3 client.
pub struct Pair {
    pub name: &'static str,
    pub ours: Vec<String>,
    pub other: Vec<String>,
}

/// What came of a run.
struct Run {
    /// Gbit/s
    rate: f64,
    /// Gbit in a second of processor time, of client and server together: what else runs here hardly changes it.
    per_processor: f64,
}

/// Lets a client run for two seconds; none if it gets nowhere.
fn run(client: &[String], reverse: bool) -> Option<Run> {
    let flags = ["-J", "-t", "2", "-R"];
    let flags = text(if reverse { &flags } else { &flags[..3] });
    let output = command(&[client.to_vec(), flags].concat()).output().ok()?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let end = &told["end"];
    let rate = end["sum_received"]["bits_per_second"].as_f64()? / 1e9;
    let percent = |side: &str| end["cpu_utilization_percent"][side].as_f64();
    let processors = (percent("host_total")? + percent("remote_total")?) / 100.0;
    Some(Run { rate, per_processor: rate / processors })
}

fn median_of(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(value).collect::<Vec<_>>())
}

/// Runs all of them in turn, in both directions.
pub fn compare(title: &str, names: [&str; 2], target: f64, pairs: &[Pair]) {
    let [ours, other] = names;
    println!("\n{title:50} {ours:>7} {other:>7} {:>6} {:>10} {:>13}", "ratio", "rounds", "per CPU time");
    let mut all: Vec<(&Pair, bool, [Vec<Run>; 2])> = Vec::new();
    for pair in pairs {
        for client in [&pair.ours, &pair.other] {
            until("a server answers", || run(client, false).is_some());
        }
        all.extend([false, true].map(|reverse| (pair, reverse, [Vec::new(), Vec::new()])));
    }
    for round in 0..number("RUNS", 5) {
        for (pair, reverse, runs) in &mut all {
            for turn in 0..2 {
                // Neither is always the first.
                let which = (round + turn) % 2;
                let client = [&pair.ours, &pair.other][which];
                let run = run(client, *reverse);
                runs[which].push(run.unwrap_or_else(|| panic!("{}: {client:?}", pair.name)));
            }
        }
    }
    for (pair, reverse, [ours, other]) in &all {
        let name = format!("{}{}", pair.name, if *reverse { ", back" } else { "" });
        let mut rounds: Vec<f64> =
            ours.iter().zip(other).map(|(ours, other)| ours.rate / other.rate).collect();
        rounds.sort_by(f64::total_cmp);
        let per_processor =
            median_of(ours, |run| run.per_processor) / median_of(other, |run| run.per_processor);
        let (ours, other) = (median_of(ours, |run| run.rate), median_of(other, |run| run.rate));
        println!(
            "{name:50} {ours:7.2} {other:7.2} {:6.3} {:5.2}-{:.2} {per_processor:13.3} (target {target})",
            ours / other,
            rounds[0],
            rounds[rounds.len() - 1]
        );
    }
}

/// A container with a server, one for clients, and another host.
pub struct Ours {
    pub outside: Namespace,
    pub address: String,
}

impl Ours {
    pub fn new() -> Self {
        let outside = Namespace::OWN.neighbour();
        let server = ["run", "-d", "--name", "server", "--network", "bridge", "-p", "5201:5201"];
        skiff(&[&server[..], &["host", "iperf3", "-s"]].concat());
        skiff(&["run", "-d", "--name", "client", "--network", "bridge", "host", "sleep", "100000"]);
        let address = skiff(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "server"]);
        Ours { outside, address }
    }
}

/// Beside networks that were set up by hand.
pub fn measure(ours: &Ours) {
    let plain = ByHand::new();
    let _server = Server::start(&plain.containers[0].words(&["iperf3", "-s"]));
    let inside = || text(&[SKIFF, "exec", "client", "iperf3", "-c", &ours.address]);
    let within = |by_hand: &ByHand| by_hand.containers[1].words(&[SESSION, "iperf3", "-c", "172.30.0.2"]);
    let pair = |name, ours, other| Pair { name, ours, other };
    let mut pairs = vec![pair("container to container", inside(), within(&plain))];
    let ruled = super::is_installed("nft").then(ByHand::with_table);
    let others = ruled.as_ref().map(|ruled| {
        let server = Server::start(&ruled.containers[0].words(&["iperf3", "-s"]));
        (server, ruled.host.neighbour())
    });
    if let (Some(ruled), Some((_, outside))) = (&ruled, &others) {
        let from_outside = ["iperf3", "-c", "10.9.0.1"];
        let from_here = ["iperf3", "-c", "127.0.0.1"];
        pairs.extend([
            pair("container to container, table by hand", inside(), within(ruled)),
            pair(
                "another host to a published port",
                ours.outside.words(&from_outside),
                outside.words(&from_outside),
            ),
            pair(
                "this host to 127.0.0.1 and a published port",
                Namespace::OWN.words(&from_here),
                ruled.host.words(&from_here),
            ),
        ]);
    } else {
        println!("\npublished ports are left out: nft is not there");
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    pairs.retain(|pair| pair.name.contains(&only));
    compare("Gbit/s", ["skiff", "by hand"], TARGET, &pairs);
}

//! How long a start takes on each kind of network, and with many containers there.

use std::{path::Path, time::Instant};

use super::{ENGINES, SKIFF, least, median, number, quietly, remove_containers, skiff, text, with_engine};

/// In milliseconds.
const OVER_NONE_TARGET: f64 = 3.0;
const MANY_TARGET: f64 = 1.3;

struct Rival {
    name: &'static str,
    engine: &'static str,
    words: Vec<String>,
    times: Vec<f64>,
}

impl Rival {
    /// `run --rm FLAGS IMAGE true`, whole process.
    fn new(name: &'static str, engine: &'static str, flags: &[&str]) -> Rival {
        let words = text(&[&[SKIFF, "run", "--rm"], flags, &["box", "true"]].concat());
        Rival { name, engine, words, times: Vec::new() }
    }
}

/// Runs all of them in turn, whose number is prime: what is left of a network is taken down in the background, so each
/// comes equally often after each of the others.
fn race(title: &str, scratch: &Path, mut rivals: Vec<Rival>) -> Vec<Rival> {
    let count = rivals.len();
    for rival in &rivals {
        assert!(with_engine(&mut quietly(&rival.words), scratch, rival.engine).status().unwrap().success());
    }
    for round in 0..number("ROUNDS", 200) {
        let stride = 1 + round % (count - 1);
        for step in 0..count {
            let rival = &mut rivals[step * stride % count];
            let mut command = quietly(&rival.words);
            let command = with_engine(&mut command, scratch, rival.engine);
            let start = Instant::now();
            assert!(command.status().unwrap().success(), "{}", rival.name);
            rival.times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    println!("\n{title:22} {:>9} {:>9} {:>10} {:>9}", "median ms", "min ms", "over none", "min");
    let (none, none_least) = (median(&rivals[0].times), least(&rivals[0].times));
    for Rival { name, times, .. } in &rivals {
        let (median, least) = (median(times), least(times));
        print!("{name:22} {median:9.2} {least:9.2}");
        match *name {
            "none" => println!(),
            _ => {
                println!(" {:+10.2} {:+9.2} (target +{OVER_NONE_TARGET})", median - none, least - none_least)
            }
        }
    }
    rivals
}

/// Kinds of networks.
pub fn compare(scratch: &Path) {
    for network in ["front", "lonely"] {
        skiff(&["network", "create", network]);
    }
    // Who answers for names is there as long as there is a container on the network.
    skiff(&["run", "-d", "--name", "resident", "--network", "front", "box", "sleep", "100000"]);
    let rivals: [(&str, &[&str]); 5] = [
        ("none", &["--network", "none"]),
        ("bridge", &[]),
        ("bridge, -p 8080:80", &["-p", "8080:80"]),
        ("front", &["--network", "front"]),
        ("front, alone there", &["--network", "lonely"]),
    ];
    race("start", scratch, rivals.map(|(name, flags)| Rival::new(name, ENGINES[0], flags)).into());
    skiff(&["rm", "-f", "resident"]);
    for network in ["front", "lonely"] {
        skiff(&["network", "rm", network]);
    }
}

/// With many containers on the bridge, beside the first on the bridge of another engine: both on the same machine, which has
/// to look after all of them.
pub fn many(scratch: &Path) {
    let count = number("CONTAINERS", 500);
    for _ in 0..count {
        skiff(&["run", "-d", "box", "sleep", "100000"]);
    }
    let rivals = vec![
        Rival::new("none", ENGINES[1], &["--network", "none"]),
        Rival::new("alone on its bridge", ENGINES[1], &[]),
        Rival::new("beside all the others", ENGINES[0], &[]),
    ];
    let rivals = race(&format!("{count} containers"), scratch, rivals);
    let [_, first, last] = &rivals[..] else { unreachable!("they are three") };
    let ratio = |of: fn(&[f64]) -> f64| of(&last.times) / of(&first.times);
    println!("last/first: {:.2}, of the least {:.2} (target {MANY_TARGET})", ratio(median), ratio(least));
    ENGINES.iter().for_each(|engine| remove_containers(scratch, engine));
}

//! How long a start takes on each kind of network, and with many containers there.

use std::{path::Path, time::Instant};

use super::{ENGINES, SKIFF, least, median, number, quietly, remove_containers, skiff, text, with_engine};

/// In milliseconds.
const OVER_NONE_TARGET: f64 = 3.0;
const MANY_TARGET: f64 = 1.3;
/// How many of the first and of the last are looked at.
const FEW: usize = 20;

struct Rival {
    name: &'static str,
    words: Vec<String>,
    times: Vec<f64>,
}

/// Their number is prime, see [`compare`].
const RIVALS: [(&str, &[&str]); 5] = [
    ("none", &["--network", "none"]),
    ("bridge", &[]),
    ("bridge, -p 8080:80", &["-p", "8080:80"]),
    ("front", &["--network", "front"]),
    ("front, alone there", &["--network", "lonely"]),
];

/// `run --rm IMAGE true`, whole process.
pub fn compare() {
    for network in ["front", "lonely"] {
        skiff(&["network", "create", network]);
    }
    // Who answers for names is there as long as there is a container on the network.
    skiff(&["run", "-d", "--name", "resident", "--network", "front", "box", "sleep", "100000"]);
    let mut rivals = RIVALS.map(|(name, flags)| {
        let words = text(&[&[SKIFF, "run", "--rm"], flags, &["box", "true"]].concat());
        skiff(&words[1..].iter().map(String::as_str).collect::<Vec<_>>());
        Rival { name, words, times: Vec::new() }
    });
    // What is left of a network is taken down in the background: each comes equally often after each of the others.
    for round in 0..number("ROUNDS", 200) {
        let stride = 1 + round % (RIVALS.len() - 1);
        for step in 0..RIVALS.len() {
            let rival = &mut rivals[step * stride % RIVALS.len()];
            let start = Instant::now();
            assert!(quietly(&rival.words).status().unwrap().success(), "{}", rival.name);
            rival.times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    println!("\n{:20} {:>9} {:>9} {:>10} {:>9}", "start", "median ms", "min ms", "over none", "min");
    let (none, none_least) = (median(&rivals[0].times), least(&rivals[0].times));
    for Rival { name, times, .. } in &rivals {
        let (median, least) = (median(times), least(times));
        print!("{name:20} {median:9.2} {least:9.2}");
        match *name {
            "none" => println!(),
            _ => {
                println!(" {:+10.2} {:+9.2} (target +{OVER_NONE_TARGET})", median - none, least - none_least)
            }
        }
    }
    skiff(&["rm", "-f", "resident"]);
    for network in ["front", "lonely"] {
        skiff(&["network", "rm", network]);
    }
}

/// `run -d` again and again, in turn on the bridge and, by an engine of its own, on no network. What the kernel does in the
/// background for those on the bridge slows down the others, too: benches/start.rs has them alone.
pub fn many(scratch: &Path) {
    let count = number("CONTAINERS", 500);
    let names = ["bridge", "none"];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..count {
        for ((network, engine), times) in names.iter().zip(ENGINES).zip(&mut times) {
            let words = text(&[SKIFF, "run", "-d", "--network", network, "box", "sleep", "1000"]);
            let mut command = quietly(&words);
            let start = Instant::now();
            assert!(with_engine(&mut command, scratch, engine).status().unwrap().success(), "{network}");
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let few = count.min(FEW);
    println!(
        "\n{:20} {:>9} {:>9} {:>10}",
        format!("{count} containers"),
        "first ms",
        "last ms",
        "last/first"
    );
    for (name, times) in names.iter().zip(&times) {
        let (first, last) = (median(&times[..few]), median(&times[count - few..]));
        let target = if *name == "bridge" { format!(" (target {MANY_TARGET})") } else { String::new() };
        println!("{name:20} {first:9.2} {last:9.2} {:10.2}{target}", last / first);
    }
    ENGINES.iter().for_each(|engine| remove_containers(scratch, engine));
}

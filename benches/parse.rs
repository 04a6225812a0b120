//! How fast is a Dockerfile read? `cargo bench --bench parse`: MB/s of each step, the best of some runs.

use std::{hint::black_box, time::Instant};

use skiff_core::dockerfile::{Dockerfile, Source, ignore::Patterns};

/// So large that a run takes a while.
const SIZE_BYTES: usize = 32 << 20;

fn main() {
    let file = include_str!("parse/Dockerfile");
    let text = file.repeat(SIZE_BYTES / file.len());
    let source = Source::read("Dockerfile", text.as_bytes()).expect("the file is good");
    let count: usize = Dockerfile::parse(&source)
        .expect("the file is good")
        .stages
        .iter()
        .map(|s| s.instructions.len())
        .sum();
    println!("{} MiB, {} lines, {count} instructions", text.len() >> 20, text.lines().count());
    measure("lines", text.len(), || Source::read("Dockerfile", text.as_bytes()).unwrap().lines.len());
    measure("lines and instructions", text.len(), || {
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        Dockerfile::parse(&source).unwrap().stages.len()
    });

    let patterns = Patterns::parse(include_bytes!("parse/dockerignore")).expect("the file is good");
    let paths: Vec<String> = (0..100_000)
        .map(|n| format!("packages/p{}/src/components/c{}/index{}.test.tsx", n % 97, n % 1013, n))
        .collect();
    let best = best(|| paths.iter().filter(|path| patterns.matches(path.as_bytes())).count());
    println!("{:<24} {:8.0} ns a path", ".dockerignore", best * 1e9 / paths.len() as f64);
}

fn measure(name: &str, length: usize, work: impl FnMut() -> usize) {
    println!("{name:<24} {:8.0} MB/s", length as f64 / best(work) / 1e6);
}

/// Seconds of the fastest run.
fn best(mut work: impl FnMut() -> usize) -> f64 {
    let run = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..7).map(run).fold(f64::INFINITY, f64::min)
}

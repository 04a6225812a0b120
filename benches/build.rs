//! How long does a build take? `cold`: ten steps with nothing in the cache; `warm`: the same again, with all of them in it;
//! `one`: a context of 2,000 files (16 MB), one of which changes before each build; `large`: a context of 50,000 small
//! files where nothing changes, beside `git status` on the same tree. The rivals are Docker's two builders, if DOCKER_HOST
//! names an engine, and buildah. All are run in turn, with nothing left to be written from whoever came before.
//!
//! `cargo bench --bench build` as root. ROUNDS=5 by default; PARTS says which of `cold`, `warm`, `one` and `large`, with
//! commas between. **The build cache of the engine behind DOCKER_HOST is emptied.** DOCKER names the client: from version
//! 23 on it speaks to BuildKit only by way of its buildx plugin. All that was made is deleted at the end.

#[path = "build/content.rs"]
mod content;
#[path = "build/engine.rs"]
mod engine;
#[path = "layer/content.rs"]
mod layer;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use engine::Engine;

const SKIFF: &str = env!("CARGO_BIN_EXE_skiff");

/// What the others are compared with.
const YARDSTICKS: [&str; 2] = ["docker, BuildKit", "git status"];

/// One way to do it.
struct Rival<'a> {
    name: &'a str,
    /// Before each run, and not measured.
    before: Box<dyn Fn() + 'a>,
    run: Box<dyn Fn() -> Result<(), String> + 'a>,
    times: Vec<Duration>,
}

impl<'a> Rival<'a> {
    fn new(name: &'a str, before: impl Fn() + 'a, run: impl Fn() -> Result<(), String> + 'a) -> Self {
        Rival { name, before: Box::new(before), run: Box::new(run), times: Vec::new() }
    }

    /// In milliseconds: the median and the least.
    fn result(&self) -> (f64, f64) {
        let mut times: Vec<f64> = self.times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[0])
    }
}

fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5).max(1)
}

/// Runs it to its end, or says why it does not work.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().find(|line| line.to_lowercase().contains("error"));
    Err(why.or(said.lines().last()).unwrap_or("it does not say why").trim().into())
}

/// Runs all of them in turn, and leaves out who does not work here.
fn compare(scratch: &Path, title: &str, mut rivals: Vec<Rival<'_>>) {
    println!("\n{title}:");
    // That also fills their caches.
    rivals.retain(|rival| {
        (rival.before)();
        let result = (rival.run)();
        if let Err(why) = &result {
            println!("{:18} is left out: {why}", rival.name);
        }
        result.is_ok()
    });
    for _ in 0..rounds() {
        for rival in &mut rivals {
            (rival.before)();
            run(Command::new("sync").arg("-f").arg(scratch)).unwrap();
            let start = Instant::now();
            let result = (rival.run)();
            rival.times.push(start.elapsed());
            assert_eq!(result, Ok(()), "{}", rival.name);
        }
    }
    let yardstick = rivals.iter().find(|rival| YARDSTICKS.contains(&rival.name));
    let yardstick = yardstick.map(Rival::result);
    println!("{:18} {:>9} {:>9} {:>9}", "", "median ms", "min ms", "ratio");
    for rival in &rivals {
        let (median, least) = rival.result();
        let ratio = yardstick.map_or("-".into(), |(other, _)| format!("{:.3}", median / other));
        println!("{:18} {median:9.1} {least:9.1} {ratio:>9}", rival.name);
    }
}

/// The engines of this machine that work, with the image that is built on.
fn engines(scratch: &Path) -> Vec<Engine> {
    let tar = content::base(scratch);
    let trial = content::ten_steps(&scratch.join("ten"));
    let mut engines = Engine::all(scratch);
    engines.retain(|engine| {
        let result = engine.import(&tar).and_then(|()| engine.build(&trial, false));
        if let Err(why) = &result {
            println!("{:18} is left out: {why}", engine.name);
        }
        result.is_ok()
    });
    engines
}

fn cold(scratch: &Path, engines: &[Engine]) {
    let context = content::ten_steps(&scratch.join("ten"));
    let rival = |engine| {
        let engine: &Engine = engine;
        Rival::new(engine.name, || engine.forget(), || engine.build(&context, true))
    };
    compare(scratch, "10 steps (4 RUN, 2 COPY), nothing cached", engines.iter().map(rival).collect());
}

fn warm(scratch: &Path, engines: &[Engine]) {
    let context = content::ten_steps(&scratch.join("ten"));
    let rival = |engine| {
        let engine: &Engine = engine;
        Rival::new(engine.name, || (), || engine.build(&context, false))
    };
    compare(scratch, "the same, everything cached", engines.iter().map(rival).collect());
}

fn one(scratch: &Path, engines: &[Engine]) {
    let context = content::sources(&scratch.join("one"), 2_000, 8_000);
    let changes = Cell::new(0);
    let change = || {
        changes.set(changes.get() + 1);
        content::change(&context, changes.get());
    };
    let rival = |engine| {
        let engine: &Engine = engine;
        Rival::new(engine.name, change, || engine.build(&context, false))
    };
    compare(scratch, "2,000 files (16 MB), one changed", engines.iter().map(rival).collect());
}

fn large(scratch: &Path, engines: &[Engine]) {
    let context = content::sources(&scratch.join("large"), 50_000, 400);
    let repository = scratch.join("git");
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&repository).arg("--work-tree").arg(&context).args(words);
        run(command.current_dir(&context))
    };
    let committed = git(&["init", "-q"]).and_then(|()| git(&["add", "-A"])).and_then(|()| {
        git(&["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "all"])
    });
    let skiff = &engines[0];
    let status = || committed.clone().and_then(|()| git(&["status", "--porcelain"]));
    let rivals = vec![
        Rival::new(skiff.name, || (), || skiff.build(&context, false)),
        Rival::new("git status", || (), status),
    ];
    // What has changed just now is read again by whoever is careful.
    std::thread::sleep(Duration::from_secs(3));
    compare(scratch, "50,000 small files, nothing changed", rivals);
}

fn main() {
    let scratch = std::env::temp_dir().join(format!("skiff-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    println!("{SKIFF}: {} bytes", fs::metadata(SKIFF).unwrap().len());
    let parts = std::env::var("PARTS").unwrap_or_else(|_| "cold,warm,one,large".into());
    let engines = engines(&scratch);
    assert_eq!(engines.first().map(|engine| engine.name), Some("skiff"));
    for (name, part) in
        [("cold", cold as fn(&Path, &[Engine])), ("warm", warm), ("one", one), ("large", large)]
    {
        if parts.split([',', ' ']).any(|word| word == name) {
            part(&scratch, &engines);
        }
    }
    for engine in Engine::all(&scratch) {
        engine.remove();
    }
    let places: [PathBuf; 2] = [engine::run_root(&scratch), scratch];
    for place in places {
        if let Err(error) = fs::remove_dir_all(&place) {
            println!("{}: {error}", place.display());
        }
    }
}

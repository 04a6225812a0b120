//! How long does it take until the layers of an image are there? `load` and `import` of a compressed layer of 100 MB with
//! 10,000 files, beside `tar -xz` (with and without a sync of what it wrote, which skiff always does), umoci, podman and,
//! if DOCKER_HOST names one that runs, a Docker daemon. Then: eight such layers beside one, on all processors and on one;
//! and the most memory that any of skiff's processes takes. All are run in turn, each into a directory that nobody has used
//! before, with nothing left to be written from whoever came before.
//!
//! `cargo bench --bench layer` as root. ROUNDS=5 by default; PARTS says which of `one`, `many`, `save` and `memory`; KEEP
//! leaves everything where it is. About 6 GB are needed below TMPDIR, all of which is deleted at the end, and 2 GB of
//! memory. ext4 without a journal is slow at making files for some minutes after many were deleted.

#[path = "layer/archive.rs"]
mod archive;
#[path = "layer/content.rs"]
mod content;
#[path = "layer/memory.rs"]
mod memory;

use std::{
    cell::Cell,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use archive::{Archive, make};
use content::Shape;
use skiff_core::digest::Hasher;

const SKIFF: &str = env!("CARGO_BIN_EXE_skiff");

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One way to do it, into a fresh directory.
struct Rival<'a> {
    name: &'a str,
    /// Before each run, and not measured.
    before: fn(),
    run: Box<dyn Fn(&Path) -> bool + 'a>,
    times: Vec<Duration>,
}

impl<'a> Rival<'a> {
    fn new(name: &'a str, run: impl Fn(&Path) -> bool + 'a) -> Self {
        Rival { name, before: || (), run: Box::new(run), times: Vec::new() }
    }

    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times[times.len() / 2]
    }
}

/// Fresh directories for all that is measured.
struct Ground {
    scratch: PathBuf,
    used: Cell<usize>,
    /// What was made is deleted at once, which on a disk would slow down who comes next.
    clears: bool,
}

impl Ground {
    fn disk(scratch: &Path) -> Self {
        Ground { scratch: scratch.into(), used: Cell::new(0), clears: false }
    }

    /// Where no disk has a say.
    fn memory() -> Self {
        let scratch = Path::new("/dev/shm").join(format!("skiff-bench-ground-{}", std::process::id()));
        Ground { scratch, used: Cell::new(0), clears: true }
    }

    fn clear(&self, place: &Path) {
        if self.clears {
            fs::remove_dir_all(place).unwrap();
        }
    }

    fn fresh(&self) -> PathBuf {
        self.used.set(self.used.get() + 1);
        let place = self.scratch.join(format!("run-{}", self.used.get()));
        fs::create_dir_all(&place).unwrap();
        place
    }

    /// Waits until nobody's data is on its way to the disk.
    fn settle(&self) {
        assert!(quiet("sync").arg("-f").arg(&self.scratch).status().unwrap().success());
    }

    /// Runs all of them in turn, and leaves out who does not work here.
    fn compare(&self, mut rivals: Vec<Rival<'_>>) {
        rivals.retain(|rival| {
            let place = self.fresh();
            (rival.before)();
            let works = (rival.run)(&place);
            self.clear(&place);
            if !works {
                println!("{:24} is left out: it is not there or does not work", rival.name);
            }
            works
        });
        for _ in 0..number("ROUNDS", 5) {
            for rival in &mut rivals {
                let place = self.fresh();
                (rival.before)();
                self.settle();
                let start = Instant::now();
                assert!((rival.run)(&place), "{}", rival.name);
                rival.times.push(start.elapsed());
                self.clear(&place);
            }
        }
        let Some(first) = rivals.first().map(Rival::median) else { return };
        println!("{:24} {:>9} {:>9} {:>9}", "", "median ms", "min ms", "ratio");
        for rival in &rivals {
            let (median, least) = (rival.median(), rival.times.iter().min().expect("at least one round"));
            let ratio = median.as_secs_f64() / first.as_secs_f64();
            println!("{:24} {:9.0} {:9.0} {ratio:9.2}", rival.name, ms(median), ms(*least));
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn works(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// skiff with a store of its own.
fn skiff(place: &Path) -> Command {
    at(place, quiet(SKIFF))
}

fn at(place: &Path, mut command: Command) -> Command {
    // The run root is on a tmpfs wherever /run is.
    let run = Path::new("/dev/shm").join(format!("skiff-bench-{}", std::process::id()));
    command.env("SKIFF_ROOT", place.join("data")).env("SKIFF_RUN", run);
    // That is for the docker beside it.
    command.env_remove("DOCKER_HOST");
    command
}

/// skiff on one processor.
fn pinned(place: &Path) -> Command {
    let mut command = at(place, quiet("taskset"));
    command.args(["-c", "0", SKIFF]);
    command
}

fn load(mut command: Command, archive: &Archive) -> bool {
    works(command.args(["load", "-q", "-i"]).arg(&archive.tar))
}

fn untar(place: &Path, archive: &Archive) -> bool {
    works(quiet("tar").arg("-xzf").arg(&archive.layer).arg("-C").arg(place))
}

fn podman(place: &Path, archive: &Archive) -> bool {
    let (root, run) = (place.join("root"), place.join("run"));
    let loaded = works(
        quiet("podman")
            .arg("--root")
            .arg(&root)
            .arg("--runroot")
            .arg(run)
            .args(["load", "-i"])
            .arg(&archive.tar),
    );
    // Its root is a mount of its own.
    let _ = works(quiet("umount").arg(root.join("overlay")));
    loaded
}

/// The engine behind DOCKER_HOST, which must not have the image.
fn docker(archive: &Archive) -> Rival<'_> {
    let load = |_: &Path| works(quiet("docker").args(["load", "-q", "-i"]).arg(&archive.tar));
    let before = || {
        let _ = works(quiet("docker").args(["rmi", "-f", "bench"]));
    };
    Rival { before, ..Rival::new("docker load", load) }
}

fn one_layer(ground: &Ground, one: &Archive) {
    let mut rivals = vec![
        Rival::new("tar -xz", |place| untar(place, one)),
        Rival::new("tar -xz; sync", |place| untar(place, one) && works(quiet("sync").arg("-f").arg(place))),
        Rival::new("skiff load", |place| load(skiff(place), one)),
        Rival::new("skiff import", |place| works(skiff(place).arg("import").arg(&one.layer).arg("bench"))),
        Rival::new("umoci unpack", |place| {
            let image = format!("{}:latest", one.layout.display());
            works(quiet("umoci").args(["unpack", "--image", &image]).arg(place.join("bundle")))
        }),
        Rival::new("podman load", |place| podman(place, one)),
    ];
    if std::env::var_os("DOCKER_HOST").is_some() {
        rivals.push(docker(one));
    } else {
        println!("docker load is left out: DOCKER_HOST is not set");
    }
    ground.compare(rivals);
}

fn many_layers(one: &Archive, many: &Archive) {
    println!(
        "\n8 layers of that kind beside 1, on all processors and on one; in memory, so that no disk has a say:"
    );
    let ground = Ground::memory();
    ground.compare(vec![
        Rival::new("8 layers", |place| load(skiff(place), many)),
        Rival::new("8 layers, 1 processor", |place| load(pinned(place), many)),
        Rival::new("1 layer", |place| load(skiff(place), one)),
        Rival::new("1 layer, 1 processor", |place| load(pinned(place), one)),
        Rival::new("1 layer, tar -xz", |place| untar(place, one)),
    ]);
    let _ = fs::remove_dir_all(&ground.scratch);
}

/// Reads all files below a directory and hashes them once.
fn hash_all(directory: &Path, hash: &mut Hasher, part: &mut [u8]) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            hash_all(&entry.path(), hash, part);
        } else if kind.is_file() {
            let mut file = fs::File::open(entry.path()).unwrap();
            loop {
                match file.read(part).unwrap() {
                    0 => break,
                    count => hash.update(&part[..count]),
                }
            }
        }
    }
}

fn save(ground: &Ground, one: &Archive) {
    let place = ground.fresh();
    assert!(load(skiff(&place), one));
    println!("\nsave:");
    if !works(skiff(&place).args(["save", "--help"])) {
        println!("skiff save is left out: there is no such command");
        return;
    }
    ground.compare(vec![
        Rival::new("read and hash all files", |_| {
            let mut hash = Hasher::new();
            hash_all(&place.join("data/layers"), &mut hash, &mut vec![0; 256 << 10]);
            std::hint::black_box(hash.finish());
            true
        }),
        Rival::new("skiff save", |other| {
            works(skiff(&place).args(["save", "bench", "-o"]).arg(other.join("saved.tar")))
        }),
    ]);
}

fn most_memory(one: &Archive, large: &Archive) {
    let ground = Ground::memory();
    println!("\nthe most memory of any process, MiB:");
    println!("{:24} {:>9} {:>9}", "", "all", "private");
    for (name, archive) in [("100 MB", one), ("1 GB", large)] {
        for way in ["load", "import"] {
            let place = ground.fresh();
            let mut command = skiff(&place);
            match way {
                "load" => command.args(["load", "-q", "-i"]).arg(&archive.tar),
                _ => command.arg("import").arg(&archive.layer),
            };
            let peak = memory::watch(&mut command);
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            println!(
                "{:24} {:9.1} {:9.1}",
                format!("{way} of {name}"),
                mib(peak.resident_bytes),
                mib(peak.private_bytes)
            );
            ground.clear(&place);
        }
    }
    let _ = fs::remove_dir_all(&ground.scratch);
}

fn describe(name: &str, archive: &Archive) {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!("{name}: {:.0} MB, {:.0} MB compressed", mb(archive.plain_bytes), mb(archive.packed_bytes));
}

fn main() {
    let scratch = std::env::temp_dir().join(format!("skiff-bench-{}", std::process::id()));
    let ground = Ground::disk(&scratch);
    println!("{SKIFF}: {} bytes", fs::metadata(SKIFF).unwrap().len());
    let shape = |seed| Shape { seed, files: 10_000, mean_bytes: 10_000 };
    let one = make(&scratch.join("one"), &[shape(1)], 6);
    describe("a layer with 10,000 files", &one);
    let parts = std::env::var("PARTS").unwrap_or_else(|_| "one many save memory".into());
    let asked = |part: &str| parts.split(' ').any(|word| word == part);
    if asked("one") {
        one_layer(&ground, &one);
    }
    if asked("many") {
        let many = make(&scratch.join("many"), &(1..=8).map(shape).collect::<Vec<_>>(), 6);
        many_layers(&one, &many);
    }
    if asked("save") {
        save(&ground, &one);
    }
    if asked("memory") {
        let large = make(&scratch.join("large"), &[Shape { seed: 9, files: 10_000, mean_bytes: 100_000 }], 1);
        describe("a layer with 10,000 files", &large);
        most_memory(&one, &large);
    }
    if std::env::var_os("KEEP").is_some() {
        println!("kept: {}", scratch.display());
        return;
    }
    let _ = fs::remove_dir_all(&scratch);
    let run = Path::new("/dev/shm").join(format!("skiff-bench-{}", std::process::id()));
    let _ = fs::remove_dir_all(run);
}

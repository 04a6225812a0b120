//! Commands that change the store are killed at random moments, and run side by side.

use std::{
    collections::BTreeSet,
    fs,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{archive, assert_sound, count, pack, saved};
use crate::{
    kills::{Dice, family, kill},
    support::{Scratch, with_box},
};

/// How many are killed.
const KILLS: u32 = 40;
/// Longest time for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

/// An archive of `more:1`: these layers, one of 400 files and a large one.
fn more(scratch: &Scratch, below: &[&[u8]]) -> String {
    let large: String = (0..50_000_u32).map(|number| format!("{number:x}")).collect();
    let mut many = pack::Tar::default();
    for number in 0..400 {
        many = many.file(&format!("many/{number}"), number.to_string());
    }
    let (many, large) = (many.end(), pack::layer("large", &large));
    saved(scratch, "archive", &archive("more:1", &[below, &[&many, &large]].concat()))
}

/// What lies on a shelf of the store.
fn on_shelf(scratch: &Scratch, shelf: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(scratch.path("data").join(shelf)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The layers that the listed images have.
fn needed(scratch: &Scratch) -> BTreeSet<String> {
    let ids = scratch.text(&["images", "-q", "--no-trunc"]);
    let ids: BTreeSet<&str> = ids.lines().collect();
    if ids.is_empty() {
        return BTreeSet::new();
    }
    let format = "{{range .RootFS.Layers}}{{.}} {{end}}";
    let arguments: Vec<&str> = ["image", "inspect", "-f", format].into_iter().chain(ids).collect();
    let layers = scratch.text(&arguments);
    layers.split_whitespace().map(|layer| layer.strip_prefix("sha256:").unwrap().to_owned()).collect()
}

#[test]
fn after_any_kill_the_store_is_sound_and_the_next_command_sweeps_it() {
    let mut dice = Dice::new();
    let seed = dice.0;
    let scratch = with_box(&[]);
    let rootfs = scratch.path("rootfs.tar").display().to_string();
    let (file, small) = (more(&scratch, &[]), saved(&scratch, "small.tar", &pack::layer("small", "x")));
    let mut killed = 0;
    while killed < KILLS {
        let commands: [&[&str]; 9] = [
            &["load", "-i", &file],
            &["load", "-i", &file],
            &["import", &small, "small"],
            &["rmi", "-f", "more:1"],
            &["rmi", "-f", "small"],
            &["image", "prune", "-af"],
            &["tag", "more:1", "again:1"],
            &["tag", "small", "more:1"],
            &["image", "verify", "--remove"],
        ];
        let command = commands[dice.below(commands.len())];
        let mut client = scratch.skiff(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(60_000) as u64));
        let alive = family(&scratch);
        if !alive.is_empty() {
            kill(alive[dice.below(alive.len())]);
            killed += 1;
        }
        let start = Instant::now();
        while client.try_wait().unwrap().is_none() || !family(&scratch).is_empty() {
            assert!(start.elapsed() < PATIENCE, "seed {seed}: {command:?} hangs after a kill");
            std::thread::sleep(Duration::from_millis(1));
        }
        let needed = needed(&scratch);
        assert_eq!(on_shelf(&scratch, "layers"), needed, "seed {seed}: {command:?}");
        assert_eq!(on_shelf(&scratch, "tmp"), BTreeSet::new(), "seed {seed}: {command:?}");
        assert_eq!(
            on_shelf(&scratch, "images"),
            on_shelf(&scratch, "blobs/sha256"),
            "seed {seed}: {command:?}"
        );
        if dice.below(6) == 0 {
            assert_sound(&scratch, &format!("seed {seed}: {command:?}"));
        }
    }
    assert_sound(&scratch, &format!("seed {seed}"));
    scratch.text(&["import", &rootfs, "box"]);
    assert_eq!(scratch.text(&["run", "--rm", "box", "cat", "/data/seed"]), "seed\n");
    scratch.text(&["image", "prune", "-af"]);
    for shelf in ["images", "layers", "names", "blobs/sha256", "tmp"] {
        assert_eq!(count(&scratch, shelf), 0, "seed {seed}: {shelf}");
    }
}

#[test]
fn commands_side_by_side_never_take_away_what_another_one_uses() {
    let scratch = with_box(&[]);
    let file = more(&scratch, &[&fs::read(scratch.path("rootfs.tar")).unwrap()]);
    let (begun, runs, gone) = (Instant::now(), AtomicU32::new(0), AtomicU32::new(0));
    let is_enough = || runs.load(Ordering::Relaxed) >= 8 && gone.load(Ordering::Relaxed) > 0;
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let again = |arguments: &[&str], pause_ms: u64, seen: &(dyn Fn(&Output) + Sync)| {
        while !is_enough() && begun.elapsed() < PATIENCE / 2 {
            seen(&scratch.skiff(arguments).output().unwrap());
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
    };
    let succeeds = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", said(output));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| again(&["load", "-q", "-i", &file], 0, &succeeds));
        scope.spawn(|| again(&["rmi", "-f", "more:1"], 70, &succeeds));
        scope.spawn(|| again(&["image", "prune", "-af"], 150, &succeeds));
        scope.spawn(|| again(&["image", "verify", "--remove"], 20, &succeeds));
        scope.spawn(|| {
            let script = "/bin/cat /many/399 /large | /bin/cat > /x; /bin/cat /many/7";
            again(
                &["run", "--rm", "more:1", "/bin/sh", "-c", script],
                0,
                &|output| match output.status.code() {
                    Some(0) => {
                        assert_eq!(String::from_utf8_lossy(&output.stdout), "7", "{}", said(output));
                        runs.fetch_add(1, Ordering::Relaxed);
                    }
                    code => {
                        assert_eq!(code, Some(125), "{}", said(output));
                        assert!(said(output).contains("No such image: more:1"), "{}", said(output));
                        gone.fetch_add(1, Ordering::Relaxed);
                    }
                },
            );
        });
    });
    println!("{runs:?} runs, {gone:?} without the image");
    assert!(runs.load(Ordering::Relaxed) > 0, "nothing ever ran");
    assert_sound(&scratch, "side by side");
    assert_eq!(scratch.text(&["ps", "-aq"]), "");
    scratch.text(&["load", "-q", "-i", &file]);
    assert_eq!(scratch.text(&["run", "--rm", "more:1", "/bin/cat", "/many/7"]), "7");
    scratch.text(&["images"]);
    assert_eq!(count(&scratch, "tmp"), 0);
}

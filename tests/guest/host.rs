//! The host's side: packs an initramfs, boots it under qemu, and turns the guest's lines into test results.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{Body, SCENARIOS, Scenario, cpio::Archive, modules};

/// Longer than all of it takes on a slow machine.
const OVERALL: Duration = Duration::from_secs(300);

/// What a scenario came to.
enum Verdict {
    Passed,
    Skipped,
    Failed,
}

struct Wishes {
    scenarios: Vec<&'static Scenario>,
    show_output: bool,
}

/// Runs the scenarios that the command line asks for, and reports as the built-in test runner does.
pub fn main(words: &[String]) -> ExitCode {
    let Some(wishes) = wishes(words) else { return ExitCode::SUCCESS };
    let count = wishes.scenarios.len();
    println!("\nrunning {count} guest scenario{}", if count == 1 { "" } else { "s" });
    if count == 0 {
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored\n");
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let machine = match Machine::prepare(&wishes.scenarios) {
        Ok(machine) => machine,
        Err(reason) => {
            for scenario in &wishes.scenarios {
                println!("test {} ... ignored, {reason}", scenario.name);
            }
            println!("\ntest result: ok. 0 passed; 0 failed; {count} ignored\n");
            return ExitCode::SUCCESS;
        }
    };
    let outcome = machine.run(wishes.show_output, started);
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for scenario in &wishes.scenarios {
        match outcome.verdicts.get(scenario.name) {
            Some(Verdict::Passed) => passed += 1,
            Some(Verdict::Skipped) => skipped += 1,
            Some(Verdict::Failed) => failed.push(scenario.name),
            None => {
                println!("test {} ... FAILED, no answer", scenario.name);
                failed.push(scenario.name);
            }
        }
    }
    if !outcome.complete {
        println!("\nthe guest ended early: {}\n---- console\n{}", outcome.end, machine.console());
    }
    let word = if failed.is_empty() && outcome.complete { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; {skipped} ignored; booted in {:.1}s, finished in {:.1}s\n",
        failed.len(),
        outcome.boot.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    if word == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Understands as much of the built-in test runner's command line as people use. `None`: nothing is to be run.
fn wishes(words: &[String]) -> Option<Wishes> {
    let (mut filters, mut skips, mut exact, mut show_output) = (Vec::new(), Vec::new(), false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => {
                SCENARIOS.iter().for_each(|scenario| println!("{}: test", scenario.name));
                return None;
            }
            "--exact" => exact = true,
            "--nocapture" | "--no-capture" | "--show-output" => show_output = true,
            // Scenarios are never of the kind that runs only when asked for.
            "--ignored" => return None,
            "--skip" => skips.extend(words.next()),
            "--test-threads" | "--format" | "--color" | "-Z" | "--logfile" => drop(words.next()),
            option if option.starts_with('-') => {}
            _ => filters.push(word),
        }
    }
    let matches = |name: &str, filter: &str| if exact { name == filter } else { name.contains(filter) };
    let scenarios = SCENARIOS.iter().filter(|scenario| {
        (filters.is_empty() || filters.iter().any(|filter| matches(scenario.name, filter)))
            && !skips.iter().any(|filter| matches(scenario.name, filter))
    });
    Some(Wishes { scenarios: scenarios.collect(), show_output })
}

/// What a boot came to.
struct Outcome {
    verdicts: BTreeMap<String, Verdict>,
    boot: Duration,
    complete: bool,
    end: String,
}

/// Everything that qemu needs, in files.
struct Machine {
    kernel: PathBuf,
    initramfs: PathBuf,
    disk: PathBuf,
    console: PathBuf,
}

impl Machine {
    /// Finds or fetches the parts and packs them.
    ///
    /// # Errors
    /// Why the tests have to be skipped.
    fn prepare(scenarios: &[&Scenario]) -> Result<Machine, String> {
        if !cfg!(target_arch = "x86_64") {
            return Err("the guest's kernel is for x86_64".into());
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| source.join("target"), |dir| source.join(dir));
        let directory = target.join("guest");
        let parts = || Some((kernel(&directory)?, busybox()?, on_path("qemu-system-x86_64")?));
        let (kernel, busybox, _) = match parts() {
            Some(parts) => parts,
            None => {
                let setup = Command::new("sh").arg(source.join("tests/setup.sh")).output();
                let setup = setup.map_err(|error| format!("tests/setup.sh: {error}"))?;
                parts().ok_or_else(|| {
                    let said = String::from_utf8_lossy(&setup.stderr);
                    let last = said.trim().lines().last().unwrap_or("qemu, busybox or the kernel is missing");
                    format!("tests/setup.sh: {last}")
                })?
            }
        };
        // One directory for each run: two runs at once don't disturb each other.
        let run = directory.join(format!("run-{}", std::process::id()));
        let pack = || {
            fs::create_dir_all(&run)?;
            let machine = Machine {
                initramfs: run.join("initramfs"),
                disk: run.join("disk"),
                console: run.join("console"),
                kernel: kernel.clone(),
            };
            let all = directory.join("kernel/lib/modules");
            let modules = modules::load_order(&all, modules::WANTED)?;
            let later = modules::load_order(&all, modules::LATER)?;
            fs::write(&machine.initramfs, initramfs(scenarios, &busybox, &modules, &later)?)?;
            fs::File::create(&machine.disk)?.set_len(16 << 20)?;
            fs::write(&machine.console, "")?;
            Ok(machine)
        };
        pack().map_err(|error: std::io::Error| format!("packing the initramfs: {error}"))
    }

    fn start(&self) -> std::io::Result<Child> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "768",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-display", "none", "-no-reboot", "-net", "none"])
        .arg("-kernel")
        .arg(&self.kernel)
        .arg("-initrd")
        .arg(&self.initramfs)
        .args(["-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off cgroup_no_v1=all"])
        .arg("-drive")
        .arg(format!("if=virtio,format=raw,file={}", self.disk.display()))
        .arg("-serial")
        .arg(format!("file:{}", self.console.display()))
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
        qemu.spawn()
    }

    /// Boots, and reports each scenario as its line comes in.
    fn run(&self, show_output: bool, started: Instant) -> Outcome {
        let mut outcome =
            Outcome { verdicts: BTreeMap::new(), boot: Duration::ZERO, complete: false, end: String::new() };
        let mut qemu = match self.start() {
            Ok(qemu) => qemu,
            Err(error) => {
                outcome.end = format!("qemu-system-x86_64: {error}");
                return outcome;
            }
        };
        let booted = Instant::now();
        let lines = lines_of(qemu.stdout.take().expect("stdout is piped"));
        let errors = lines_of(qemu.stderr.take().expect("stderr is piped"));
        let mut output = String::new();
        loop {
            let left = OVERALL.saturating_sub(started.elapsed());
            let line = match lines.recv_timeout(left) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    outcome.end = format!("no end after {} s", OVERALL.as_secs());
                    break;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    outcome.end = errors.iter().collect::<Vec<_>>().join("\n");
                    break;
                }
            };
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("@booted"), ..) => outcome.boot = booted.elapsed(),
                (Some("@end"), ..) => {
                    outcome.complete = true;
                    break;
                }
                (Some("@start"), Some(_), ..) => output.clear(),
                (Some("@result"), Some(name), Some(word), rest) => {
                    let rest = rest.unwrap_or_default();
                    let verdict = match word {
                        "ok" => {
                            println!("test {name} ... ok, {rest} ms");
                            Verdict::Passed
                        }
                        "skip" => {
                            println!("test {name} ... ignored, {}", output.trim().replace('\n', "; "));
                            Verdict::Skipped
                        }
                        _ => {
                            println!("test {name} ... FAILED, {rest}\n---- {name}\n{output}----");
                            println!("---- console\n{}----", self.console());
                            Verdict::Failed
                        }
                    };
                    if show_output && word == "ok" && !output.is_empty() {
                        print!("{output}");
                    }
                    outcome.verdicts.insert(name.to_string(), verdict);
                }
                _ => {
                    output.push_str(line.strip_prefix('|').unwrap_or(&line));
                    output.push('\n');
                }
            }
            let _ = std::io::stdout().flush();
        }
        // Killing a guest that has said its last line loses nothing.
        let _ = qemu.kill();
        let _ = qemu.wait();
        outcome
    }

    /// What the kernel said.
    fn console(&self) -> String {
        let bytes = fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(run) = self.initramfs.parent() {
            let _ = fs::remove_dir_all(run);
        }
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches(['\r', '\n']).to_string()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

fn kernel(directory: &Path) -> Option<PathBuf> {
    let boot = fs::read_dir(directory.join("kernel/boot")).ok()?;
    boot.flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
}

/// A busybox that runs without libraries.
fn busybox() -> Option<Vec<u8>> {
    let path = on_path("busybox")?;
    let content = fs::read(path).ok()?;
    // A program that needs a dynamic loader names it.
    let needs_loader = content.windows(9).any(|window| window == b"/ld-linux");
    (!needs_loader).then_some(content)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn initramfs(
    scenarios: &[&Scenario],
    busybox: &[u8],
    modules: &[modules::Module],
    later: &[modules::Module],
) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in [
        "bin",
        "sbin",
        "dev",
        "etc",
        "proc",
        "sys",
        "tmp",
        "run",
        "root",
        "var",
        "var/lib",
        "modules",
        "scenarios",
    ] {
        archive.directory(directory);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.program("init", &fs::read(env::current_exe()?)?);
    archive.program("bin/skiff", &fs::read(env!("CARGO_BIN_EXE_skiff"))?);
    archive.program("bin/busybox", busybox);
    let applets = Command::new(on_path("busybox").unwrap_or_default()).arg("--list").output()?;
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|applet| *applet != "busybox") {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n");
    let mut order = String::new();
    for (name, content) in modules {
        archive.file(&format!("modules/{name}"), content);
        order += &format!("{name}\n");
    }
    for (name, content) in later {
        archive.file(&format!("modules/{name}"), content);
    }
    archive.file("modules.order", order.as_bytes());
    let mut names = String::new();
    for scenario in scenarios {
        names += &format!("{}\n", scenario.name);
        if let Body::Shell(script) = scenario.body {
            archive.file(&format!("scenarios/{}", scenario.name), script.as_bytes());
        }
    }
    archive.file("scenarios.list", names.as_bytes());
    Ok(archive.finish())
}

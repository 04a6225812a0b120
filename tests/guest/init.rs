//! Process 1 of the guest: mounts, modules, then the scenarios one by one, each in a child; then the power goes off.
//!
//! What it says on the second serial port, a line each:
//! ```text
//! @booted
//! @start NAME
//! |what the scenario printed
//! @result NAME ok|fail|skip MILLISECONDS [reason]
//! @end
//! ```

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    mount::{MountFlags, mount, mount_move},
    termios::{self, OptionalActions},
};

use crate::{Body, Place, SCENARIOS, SKIP, Scenario};

/// The first argument of a child that is to run a scenario.
pub const SCENARIO: &str = "--guest-scenario";

/// A scenario that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Never returns.
pub fn main() -> ! {
    if let Err(error) = prepare() {
        eprintln!("guest init: {error}");
        power_off();
    }
    let mut report = match port() {
        Ok(port) => port,
        Err(error) => {
            eprintln!("guest init: /dev/ttyS1: {error}");
            power_off();
        }
    };
    // From here on nobody listens but the other side of the serial line: if that is broken, nothing helps.
    let _ = writeln!(report, "@booted");
    let list = fs::read_to_string("/scenarios.list").unwrap_or_default();
    let asked = |place: Place| {
        SCENARIOS
            .iter()
            .filter(move |scenario| scenario.place == place)
            .filter(|scenario| list.lines().any(|name| name == scenario.name))
    };
    for scenario in asked(Place::Initramfs) {
        run(scenario, &mut report);
    }
    match switch_root() {
        Ok(()) => {
            for scenario in asked(Place::Tmpfs) {
                run(scenario, &mut report);
            }
        }
        Err(error) => eprintln!("guest init: switch root: {error}"),
    }
    let _ = writeln!(report, "@end");
    let _ = termios::tcdrain(&report.0);
    power_off();
}

fn power_off() -> ! {
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::sleep(PATIENCE);
    }
}

fn prepare() -> Result<(), String> {
    let said = |what: &str| {
        let what = what.to_string();
        move |error: rustix::io::Errno| format!("{what}: {error}")
    };
    mount("proc", "/proc", "proc", MountFlags::empty(), None).map_err(said("proc"))?;
    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).map_err(said("sysfs"))?;
    mount("devtmpfs", "/dev", "devtmpfs", MountFlags::empty(), None).map_err(said("devtmpfs"))?;
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None).map_err(said("cgroup2"))?;
    for tmpfs in ["/tmp", "/run"] {
        mount("tmpfs", tmpfs, "tmpfs", MountFlags::empty(), None).map_err(said(tmpfs))?;
    }
    fs::create_dir("/dev/pts").map_err(|error| format!("/dev/pts: {error}"))?;
    mount("devpts", "/dev/pts", "devpts", MountFlags::empty(), None).map_err(said("devpts"))?;
    let order = fs::read_to_string("/modules.order").map_err(|error| error.to_string())?;
    for name in order.lines() {
        // A module that is not there fails the scenario that needs it, which says more.
        if let Err(error) = load_module(name) {
            eprintln!("guest init: module {name}: {error}");
        }
    }
    for (file, value) in [("/proc/sys/kernel/hostname", "guest"), ("/proc/sys/vm/panic_on_oom", "0")] {
        fs::write(file, value).map_err(|error| format!("{file}: {error}"))?;
    }
    let up = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status();
    up.map_err(|error| format!("busybox: {error}"))?;
    Ok(())
}

/// Loads a module from the initramfs, and nothing that it depends on.
pub fn load_module(name: &str) -> Result<(), rustix::io::Errno> {
    let path = format!("/modules/{name}");
    let module = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::system::finit_module(&module, c"", 0)
}

/// The second serial port, as a plain line to the host.
struct Port(OwnedFd);

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        rustix::io::write(&self.0, bytes)
            .map_err(|errno| std::io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn port() -> Result<Port, rustix::io::Errno> {
    let port =
        rustix::fs::open("/dev/ttyS1", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = termios::tcgetattr(&port)?;
    settings.make_raw();
    termios::tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok(Port(port))
}

/// Copies everything to a tmpfs and moves that over the root, as every initramfs does at its end.
fn switch_root() -> Result<(), String> {
    let new = "/run/new";
    fs::create_dir(new).map_err(|error| error.to_string())?;
    mount("tmpfs", new, "tmpfs", MountFlags::empty(), None).map_err(|error| error.to_string())?;
    for name in ["bin", "sbin", "etc", "root", "var", "modules", "scenarios", "init"] {
        let status =
            Command::new("/bin/busybox").args(["cp", "-a"]).arg(format!("/{name}")).arg(new).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("copy /{name}"));
        }
    }
    for name in ["proc", "sys", "dev", "tmp"] {
        fs::create_dir(format!("{new}/{name}")).map_err(|error| error.to_string())?;
        mount_move(format!("/{name}"), format!("{new}/{name}"))
            .map_err(|error| format!("/{name}: {error}"))?;
    }
    rustix::process::chdir(new).map_err(|error| error.to_string())?;
    mount_move(".", "/").map_err(|error| format!("/: {error}"))?;
    rustix::process::chroot(".").map_err(|error| error.to_string())?;
    rustix::process::chdir("/").map_err(|error| error.to_string())?;
    fs::create_dir("/run").map_err(|error| error.to_string())?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).map_err(|error| error.to_string())
}

fn run(scenario: &Scenario, report: &mut Port) {
    let name = scenario.name;
    let _ = writeln!(report, "@start {name}");
    let started = Instant::now();
    let result = attempt(scenario);
    let took = started.elapsed().as_millis();
    let (word, reason) = match result {
        Ok((output, verdict)) => {
            for line in output.lines() {
                let _ = writeln!(report, "|{line}");
            }
            match verdict {
                None => ("ok", String::new()),
                Some(status) if status.code() == Some(SKIP) => ("skip", String::new()),
                Some(status) if started.elapsed() >= PATIENCE => {
                    ("fail", format!("took too long ({status})"))
                }
                Some(status) => ("fail", status.to_string()),
            }
        }
        Err(error) => ("fail", error.to_string()),
    };
    let _ = writeln!(report, "@result {name} {word} {took} {reason}");
}

/// Runs it and gives its output, and its status if that is not success.
fn attempt(scenario: &Scenario) -> std::io::Result<(String, Option<std::process::ExitStatus>)> {
    let name = scenario.name;
    let mut command = match scenario.body {
        Body::Rust(_) => {
            let mut command = Command::new("/init");
            command.args([SCENARIO, name]);
            command
        }
        Body::Shell(_) => {
            let mut command = Command::new("/bin/busybox");
            command.args(["sh", "-eu"]).arg(format!("/scenarios/{name}"));
            command
        }
    };
    let output = format!("/tmp/output-{name}");
    let file = fs::File::create(&output)?;
    let mut child = command
        .env_clear()
        .env("PATH", "/bin:/sbin")
        .env("HOME", "/root")
        .env("SKIFF_NETWORK", "none")
        .stdin(Stdio::null())
        .stderr(file.try_clone()?)
        .stdout(file)
        .spawn()?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // Process 1 is also the parent of whatever the scenario has left behind.
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
    let mut text = Vec::new();
    fs::File::open(&output)?.take(1 << 20).read_to_end(&mut text)?;
    fs::remove_file(&output)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let failure = (!status.success() || status.signal().is_some()).then_some(status);
    Ok((text, failure))
}

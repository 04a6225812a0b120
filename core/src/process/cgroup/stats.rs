//! What a group has used: its control files in, numbers out; and these as the JSON of `/containers/{id}/stats`. The
//! server child runs this.
//!
//! What the host doesn't count (a controller that is missing or mounted as cgroup v1) is absent, never 0.

pub mod docker;

use alloc::{string::String, vec::Vec};

use super::Group;
use crate::{Result, clock::Time, file};

/// One reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// When it was taken.
    pub read: Time,
    /// CPU time.
    pub cpu: Option<Cpu>,
    /// CPU time of the whole machine since it was started, idle time included, in nanoseconds.
    pub system_nanos: u64,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// Memory.
    pub memory: Option<Memory>,
    /// Block I/O by device.
    pub io: Option<Vec<Io>>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// The most that there may be.
    pub pids_limit: Option<u64>,
    /// How much of the time processes waited for CPU, memory and I/O.
    pub pressure: [Option<Pressure>; 3],
}

/// `cpu.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Microseconds in all.
    pub usage_micros: u64,
    /// Microseconds in programs.
    pub user_micros: u64,
    /// Microseconds in the kernel.
    pub system_micros: u64,
    /// Periods in which there was a quota.
    pub periods: u64,
    /// Periods in which it was used up.
    pub throttled_periods: u64,
    /// Microseconds that processes were held back.
    pub throttled_micros: u64,
}

/// `memory.current`, `memory.stat`, `memory.max`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes now, file cache included.
    pub usage_bytes: u64,
    /// The limit, or all of the machine's memory.
    pub limit_bytes: u64,
    /// `memory.stat` as it is: a key and a number a line.
    pub detail: String,
}

/// A line of `io.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// A pressure file. `some`: at least one process waited; `full`: all of them did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Its first line.
    pub some: Stall,
    /// Its second line.
    pub full: Stall,
}

/// A line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Percent of the last 10 s.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Percent of the last five minutes.
    pub avg300: f64,
    /// Microseconds in all.
    pub total_micros: u64,
}

impl Stats {
    /// Takes a reading.
    ///
    /// # Errors
    /// As read(2), except for files that are not there.
    pub fn read(group: &Group) -> Result<Stats> {
        let number = |name: &str| -> Result<_> {
            Ok(group.read(name)?.and_then(|text| text.trim_ascii().parse::<u64>().ok()))
        };
        let mut stats = Stats { read: Time::now(), ..Stats::default() };
        if let Ok(text) = file::read(file::CWD, "/proc/stat", 1 << 20) {
            (stats.system_nanos, stats.online_cpus) = machine(core::str::from_utf8(&text).unwrap_or(""));
        }
        stats.cpu = group.read("cpu.stat")?.map(|text| cpu(&text));
        if let Some(usage_bytes) = number("memory.current")? {
            let machine = rustix::system::sysinfo();
            let all = machine.totalram as u64 * u64::from(machine.mem_unit);
            let limit_bytes = number("memory.max")?.unwrap_or(all).min(all);
            let detail = group.read("memory.stat")?.unwrap_or_default();
            stats.memory = Some(Memory { usage_bytes, limit_bytes, detail });
        }
        stats.io = group.read("io.stat")?.map(|text| text.lines().filter_map(io).collect());
        match number("pids.current")? {
            Some(count) => (stats.pids, stats.pids_limit) = (Some(count), number("pids.max")?),
            // Without the controller the processes are counted, not their threads.
            None => stats.pids = group.pids().ok().map(|pids| pids.len() as u64),
        }
        for (pressure, name) in
            stats.pressure.iter_mut().zip(["cpu.pressure", "memory.pressure", "io.pressure"])
        {
            *pressure = group.read(name)?.and_then(|text| self::pressure(&text));
        }
        Ok(stats)
    }
}

impl Memory {
    /// Memory in use without the file cache that can be dropped at once: what `docker stats` shows.
    pub fn working_bytes(&self) -> u64 {
        let inactive =
            pairs(&self.detail).find(|(key, _)| *key == "inactive_file").map_or(0, |(_, value)| value);
        self.usage_bytes.saturating_sub(inactive)
    }
}

/// `key number` lines.
fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim_ascii().parse().ok()?))
    })
}

fn cpu(text: &str) -> Cpu {
    let mut cpu = Cpu::default();
    for (key, value) in pairs(text) {
        match key {
            "usage_usec" => cpu.usage_micros = value,
            "user_usec" => cpu.user_micros = value,
            "system_usec" => cpu.system_micros = value,
            "nr_periods" => cpu.periods = value,
            "nr_throttled" => cpu.throttled_periods = value,
            "throttled_usec" => cpu.throttled_micros = value,
            _ => {}
        }
    }
    cpu
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`
fn io(line: &str) -> Option<Io> {
    let mut words = line.split(' ');
    let (major, minor) = words.next()?.split_once(':')?;
    let mut io = Io { major: major.parse().ok()?, minor: minor.parse().ok()?, ..Io::default() };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let field = match key {
            "rbytes" => &mut io.read_bytes,
            "wbytes" => &mut io.written_bytes,
            "rios" => &mut io.reads,
            "wios" => &mut io.writes,
            _ => continue,
        };
        *field = value.parse().ok()?;
    }
    Some(io)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`, which `cpu.pressure` lacks before 5.13.
fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let stall = match words.next()? {
            "some" => &mut pressure.some,
            "full" => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => stall.avg10 = percent(value)?,
                "avg60" => stall.avg60 = percent(value)?,
                "avg300" => stall.avg300 = percent(value)?,
                "total" => stall.total_micros = value.parse().ok()?,
                _ => {}
            }
        }
    }
    Some(pressure)
}

/// `12.34`; two digits follow the point always.
fn percent(text: &str) -> Option<f64> {
    let (whole, hundredths) = text.split_once('.')?;
    let hundredths = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
    Some(f64::from(hundredths) / 100.0)
}

/// The machine's CPU time in nanoseconds and the number of its CPUs, from /proc/stat.
fn machine(text: &str) -> (u64, u32) {
    // Ticks of 10 ms on every architecture, in user, nice, system, idle, iowait, irq, softirq and stolen time. Guests'
    // time, which comes after these, is in user time already.
    const NANOS_PER_TICK: u64 = 10_000_000;
    let mut lines = text.lines().map_while(|line| line.strip_prefix("cpu"));
    let all = lines.next().unwrap_or("");
    let ticks: u64 = all.split_ascii_whitespace().take(8).filter_map(|word| word.parse::<u64>().ok()).sum();
    (ticks.saturating_mul(NANOS_PER_TICK), lines.count() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_throttling_are_read() {
        let text = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 5\nx y\n";
        let expected = Cpu {
            usage_micros: 30,
            user_micros: 20,
            system_micros: 10,
            periods: 4,
            throttled_periods: 2,
            throttled_micros: 5,
        };
        assert_eq!(cpu(text), expected);
    }

    #[test]
    fn io_is_read_by_device_and_unknown_keys_are_passed_over() {
        let line = "254:16 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0 cost.usage=1";
        let expected =
            Io { major: 254, minor: 16, read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
        assert_eq!(io(line), Some(expected));
        assert_eq!(io("nonsense"), None);
    }

    #[test]
    fn pressure_is_read_with_and_without_its_second_line() {
        let some = Stall { avg10: 1.05, avg60: 0.5, avg300: 100.0, total_micros: 77 };
        let text = "some avg10=1.05 avg60=0.50 avg300=100.00 total=77\n";
        assert_eq!(pressure(text), Some(Pressure { some, full: Stall::default() }));
        let both = alloc::format!("{text}full avg10=1.05 avg60=0.50 avg300=100.00 total=77\n");
        assert_eq!(pressure(&both), Some(Pressure { some, full: some }));
        assert_eq!(pressure("some avg10=x"), None);
    }

    #[test]
    fn the_machines_time_counts_idling_but_no_guest_twice() {
        let text = "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n";
        assert_eq!(machine(text), (360_000_000, 2));
    }

    #[test]
    fn file_cache_that_can_be_dropped_is_not_in_use() {
        let detail = "anon 10\ninactive_file 30\n".into();
        assert_eq!(Memory { usage_bytes: 100, limit_bytes: 0, detail }.working_bytes(), 70);
    }
}

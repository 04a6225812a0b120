//! What /proc says of a process, and of the machine at the same moment.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::file::{self, CWD};

/// One process.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub pid: i32,
    pub ppid: i32,
    pub pgid: i32,
    pub session: i32,
    pub tty: u32,
    pub uid: u32,
    pub gid: u32,
    /// The kernel's letter.
    pub state: char,
    /// The terminal's foreground group.
    pub foreground: i32,
    pub name: String,
    pub command: String,
    /// CPU time in ticks.
    pub ticks: u64,
    /// Start in ticks since the machine's.
    pub started: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: u64,
    pub virtual_kib: u64,
    pub resident_kib: u64,
}

/// What percentages and times need.
pub(super) struct Readings {
    /// Ticks in a second.
    pub hertz: u64,
    /// Seconds since the machine started.
    pub uptime: u64,
    /// Seconds since 1970.
    pub now: i64,
    pub memory_kib: u64,
    /// The host's /etc/passwd.
    pub passwd: String,
}

impl Readings {
    pub fn take() -> Self {
        let info = rustix::system::sysinfo();
        let passwd = file::read(CWD, "/etc/passwd", 1 << 20).unwrap_or_default();
        Readings {
            hertz: rustix::param::clock_ticks_per_second().max(1),
            uptime: (crate::clock::boottime() / crate::clock::SECOND) as u64,
            now: crate::clock::Time::now().unix(),
            memory_kib: (info.totalram as u64 * u64::from(info.mem_unit) / 1024).max(1),
            passwd: String::from_utf8_lossy(&passwd).into_owned(),
        }
    }

    /// The name of a user of the host, or the number.
    pub fn user(&self, uid: u32) -> String {
        let named = self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
        });
        named.map_or_else(|| format!("{uid}"), ToString::to_string)
    }
}

/// The number of a process's parent.
pub fn parent(pid: i32) -> Option<i32> {
    let stat = file::read(CWD, format!("/proc/{pid}/stat"), 1 << 16).ok()?;
    Process::from_stat(&String::from_utf8_lossy(&stat)).map(|process| process.ppid)
}

impl Process {
    /// Reads one; `None` if it is gone.
    pub fn read(pid: i32) -> Option<Process> {
        let part = |name: &str| file::read(CWD, format!("/proc/{pid}/{name}"), 1 << 20).ok();
        let mut process = Self::from_stat(&String::from_utf8_lossy(&part("stat")?))?;
        let status = String::from_utf8_lossy(&part("status")?).into_owned();
        let id = |key: &str| {
            status.lines().find_map(|line| {
                // Real, effective, saved, file system.
                line.strip_prefix(key)?.split_ascii_whitespace().nth(1)?.parse().ok()
            })
        };
        (process.uid, process.gid) = (id("Uid:")?, id("Gid:")?);
        let words = part("cmdline")?;
        let words = String::from_utf8_lossy(&words);
        let words = words.trim_end_matches('\0').replace('\0', " ");
        process.command = if words.is_empty() { format!("[{}]", process.name) } else { words };
        Some(process)
    }

    fn from_stat(text: &str) -> Option<Process> {
        // The name stands in parentheses and may have any character in it.
        let (pid, rest) = text.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc(5), where the state is the third.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or("0");
        let number = |at: usize| field(at).parse::<i64>().unwrap_or(0);
        let unsigned = |at: usize| field(at).parse::<u64>().unwrap_or(0);
        let page_kib = rustix::param::page_size() as u64 / 1024;
        Some(Process {
            pid: pid.parse().ok()?,
            name: name.into(),
            state: field(3).chars().next()?,
            ppid: number(4) as i32,
            pgid: number(5) as i32,
            session: number(6) as i32,
            tty: number(7) as u32,
            foreground: number(8) as i32,
            ticks: unsigned(14) + unsigned(15),
            priority: number(18),
            nice: number(19),
            threads: unsigned(20),
            started: unsigned(22),
            virtual_kib: unsigned(23) / 1024,
            resident_kib: unsigned(24) * page_kib,
            ..Process::default()
        })
    }
}

/// The numbers of all processes.
pub(super) fn pids() -> Vec<i32> {
    let names = file::names(CWD, "/proc").unwrap_or_default();
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

/// Which namespace of process ids a process is in; 0 is this process.
pub(super) fn namespace(pid: i32) -> Option<u64> {
    let path = if pid == 0 { "/proc/self/ns/pid".into() } else { format!("/proc/{pid}/ns/pid") };
    rustix::fs::statat(CWD, path, rustix::fs::AtFlags::empty()).ok().map(|stat| stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 1 40 39 34816 42 4194304 1 2 3 4 50 60 0 0 20 0 3 0 700 2048000 250 1 2\n";
        let process = Process::from_stat(text).unwrap();
        assert_eq!((process.pid, process.name.as_str(), process.state), (42, "a) b (c", 'S'));
        assert_eq!((process.ppid, process.pgid, process.session), (1, 40, 39));
        assert_eq!((process.ticks, process.threads, process.started), (110, 3, 700));
        assert_eq!(process.virtual_kib, 2000);
    }

    #[test]
    fn this_process_is_read() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let process = Process::read(own).unwrap();
        assert_eq!(process.pid, own);
        assert!(process.resident_kib > 0 && !process.command.is_empty());
        assert!(namespace(own).is_some() && namespace(own) == namespace(0));
        assert_eq!(Readings::take().user(0), "root");
    }
}

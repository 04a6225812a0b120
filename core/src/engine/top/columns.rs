//! The arguments of `ps` -> columns, and their texts. Pure.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::proc::{Process, Readings};
use crate::{Error, Result, clock::Time};

/// A column: its place in [`KNOWN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column(usize);

type Text = fn(&Process, &Readings) -> String;

/// Names as `-o` takes them, heading, text.
const KNOWN: [(&[&str], &str, Text); 25] = [
    (&["uid_name"], "UID", |p, r| r.user(p.uid)),
    (&["pid", "tgid"], "PID", |p, _| format!("{}", p.pid)),
    (&["ppid"], "PPID", |p, _| format!("{}", p.ppid)),
    (&["c", "cp"], "C", |p, r| format!("{}", per_mille(p, r) / 10)),
    (&["stime"], "STIME", |p, r| start(p, r)),
    (&["tty", "tt", "tname"], "TTY", |p, _| terminal(p.tty)),
    (&["time", "cputime"], "TIME", |p, r| clock(p.ticks / r.hertz)),
    (&["cmd", "args"], "CMD", |p, _| p.command.clone()),
    (&["user", "euser", "uname"], "USER", |p, r| r.user(p.uid)),
    (&["%cpu", "pcpu"], "%CPU", |p, r| tenths(per_mille(p, r))),
    (&["%mem", "pmem"], "%MEM", |p, r| tenths(p.resident_kib * 1000 / r.memory_kib)),
    (&["vsz", "vsize"], "VSZ", |p, _| format!("{}", p.virtual_kib)),
    (&["rss", "rssize", "rsz"], "RSS", |p, _| format!("{}", p.resident_kib)),
    (&["stat"], "STAT", |p, _| stat(p)),
    (&["start", "start_time", "bsdstart"], "START", |p, r| start(p, r)),
    (&["bsdtime"], "TIME", |p, r| format!("{}:{:02}", p.ticks / r.hertz / 60, p.ticks / r.hertz % 60)),
    (&["command"], "COMMAND", |p, _| p.command.clone()),
    (&["comm", "ucmd", "ucomm"], "COMMAND", |p, _| p.name.clone()),
    (&["uid", "euid"], "UID", |p, _| format!("{}", p.uid)),
    (&["gid", "egid"], "GID", |p, _| format!("{}", p.gid)),
    (&["s", "state"], "S", |p, _| p.state.to_string()),
    (&["etime"], "ELAPSED", |p, r| elapsed(r.uptime.saturating_sub(p.started / r.hertz))),
    (&["ni", "nice"], "NI", |p, _| format!("{}", p.nice)),
    (&["pri"], "PRI", |p, _| format!("{}", 39 - p.priority)),
    (&["nlwp", "thcount"], "NLWP", |p, _| format!("{}", p.threads)),
];
const GROUPS: [(&[&str], &str, Text); 2] = [
    (&["pgid", "pgrp"], "PGID", |p, _| format!("{}", p.pgid)),
    (&["sid", "sess", "session"], "SID", |p, _| format!("{}", p.session)),
];
const FULL: [&str; 8] = ["uid_name", "pid", "ppid", "c", "stime", "tty", "time", "cmd"];
const SHORT: [&str; 4] = ["pid", "tty", "time", "cmd"];
const BSD: [&str; 11] =
    ["user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "bsdtime", "command"];

impl Column {
    fn named(name: &str) -> Option<Column> {
        rows().position(|(names, ..)| names.contains(&name)).map(Column)
    }

    fn row(self) -> (&'static [&'static str], &'static str, Text) {
        rows().nth(self.0).expect("columns are made by their place")
    }

    pub fn title(&self) -> &'static str {
        self.row().1
    }

    pub fn text(&self, process: &Process, readings: &Readings) -> String {
        (self.row().2)(process, readings)
    }
}

fn rows() -> impl Iterator<Item = (&'static [&'static str], &'static str, Text)> {
    KNOWN.into_iter().chain(GROUPS)
}

/// Reads arguments of `ps`: which processes are meant does not matter, only the columns.
pub(super) fn parse(arguments: &str) -> Result<Vec<Column>> {
    let unknown = |what: &str| {
        Error::Invalid(format!(
            "ps arguments {arguments:?}: {what} is not known; try -ef, aux or -o pid,comm,args"
        ))
    };
    let mut names: Vec<&str> = Vec::new();
    let mut default: &[&str] = if arguments.trim().is_empty() { &FULL } else { &SHORT };
    let mut words = arguments.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let letters = word.strip_prefix('-').unwrap_or(word);
        for (at, letter) in letters.char_indices() {
            match letter {
                // `ps axo pid` and `ps -e -opid`: the rest of the word, or the next one, is the list.
                'o' | 'O' => {
                    let rest = &letters[at + 1..];
                    let list = if rest.is_empty() {
                        words.next().ok_or_else(|| unknown("an empty list"))?
                    } else {
                        rest
                    };
                    names.extend(list.split(',').filter(|name| !name.is_empty()));
                    break;
                }
                'f' | 'F' if default != BSD => default = &FULL,
                'u' => default = &BSD,
                'a' | 'e' | 'A' | 'x' | 'w' | 'd' | 'f' => {}
                _ => return Err(unknown(word)),
            }
        }
    }
    let names = if names.is_empty() { default } else { &names };
    let columns: Vec<Column> =
        names.iter().map(|name| Column::named(name).ok_or_else(|| unknown(name))).collect::<Result<_>>()?;
    if !columns.iter().any(|column| column.title() == "PID") {
        return Err(Error::Invalid(format!("ps arguments {arguments:?}: the column pid must be there")));
    }
    Ok(columns)
}

/// CPU time per life time, in thousandths.
fn per_mille(process: &Process, readings: &Readings) -> u64 {
    let life = (readings.uptime * readings.hertz).saturating_sub(process.started);
    (process.ticks * 1000).checked_div(life).unwrap_or(0)
}

fn tenths(per_mille: u64) -> String {
    format!("{}.{}", per_mille / 10, per_mille % 10)
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn elapsed(seconds: u64) -> String {
    let days = seconds / 86_400;
    match (days, seconds / 3600 % 24) {
        (0, 0) => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        (0, hours) => format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
        (_, hours) => format!("{days}-{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// The time of the day, or the day if it was more than a day ago; UTC.
fn start(process: &Process, readings: &Readings) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let ago = readings.uptime.saturating_sub(process.started / readings.hertz);
    let text = Time::from_unix(readings.now - ago as i64, 0).fixed();
    if ago < 86_400 {
        return text[11..16].to_string();
    }
    let month = text[5..7].parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    format!("{}{}", month.unwrap_or(&""), &text[8..10])
}

fn terminal(device: u32) -> String {
    // The kernel's packing: minor in bits 0-7 and 20-31, major in bits 8-19.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => "?".into(),
    }
}

fn stat(process: &Process) -> String {
    let mut text = process.state.to_string();
    if process.nice < 0 {
        text.push('<');
    } else if process.nice > 0 {
        text.push('N');
    }
    if process.session == process.pid {
        text.push('s');
    }
    if process.threads > 1 {
        text.push('l');
    }
    if process.foreground == process.pgid && process.tty != 0 {
        text.push('+');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &str) -> Vec<&'static str> {
        parse(arguments).unwrap().iter().map(Column::title).collect()
    }

    #[test]
    fn the_arguments_that_people_use_give_the_columns_of_ps() {
        let full = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
        assert_eq!(titles(""), full);
        assert_eq!(titles("-ef"), full);
        let bsd = ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
        assert_eq!(titles("aux"), bsd);
        assert_eq!(titles("-aux"), bsd);
        assert_eq!(titles("-eo pid,comm"), ["PID", "COMMAND"]);
        assert_eq!(titles("-o pid -o user"), ["PID", "USER"]);
        assert_eq!(titles("-opid,sid,pgid"), ["PID", "SID", "PGID"]);
        assert_eq!(titles("-e"), ["PID", "TTY", "TIME", "CMD"]);
    }

    #[test]
    fn columns_that_are_not_known_and_tables_without_a_pid_are_refused() {
        for arguments in ["-o pid,nosuch", "-eo comm", "-o", "--forest", "-q 1"] {
            assert_eq!(parse(arguments).unwrap_err().status(), 400, "{arguments}");
        }
    }

    #[test]
    fn texts_read_as_those_of_ps() {
        let readings = Readings {
            hertz: 100,
            uptime: 200_000,
            now: 1_700_000_000,
            memory_kib: 1000,
            passwd: "root:x:0:0".into(),
        };
        let process = Process {
            pid: 7,
            session: 7,
            pgid: 7,
            foreground: 7,
            tty: 136 << 8 | 3,
            state: 'S',
            started: 19_990_000,
            ticks: 300,
            threads: 2,
            resident_kib: 123,
            ..Process::default()
        };
        let text = |name| Column::named(name).unwrap().text(&process, &readings);
        assert_eq!(text("uid_name"), "root");
        assert_eq!((text("tty"), text("stat")), ("pts/3".into(), "Ssl+".into()));
        assert_eq!((text("%mem"), text("%cpu"), text("c")), ("12.3".into(), "3.0".into(), "3".into()));
        assert_eq!((text("time"), text("bsdtime")), ("00:00:03".into(), "0:03".into()));
        assert_eq!((text("etime"), text("stime")), ("01:40".into(), "22:11".into()));
        assert_eq!(elapsed(90_061), "1-01:01:01");
        let old = Process { started: 100, ..process };
        assert_eq!(start(&old, &readings), "Nov12");
    }
}

//! The ids of a user namespace: which ids of the host stand behind those inside. From /etc/subuid and /etc/subgid, or from
//! what the kernel says of a process -> ranges -> what the kernel takes.

use alloc::{format, string::String, vec, vec::Vec};

use rustix::io::Errno;

use crate::{
    Error, Result,
    file::{self, CWD},
};

/// Whose lines of /etc/subuid and /etc/subgid count.
pub const OWNER: &str = "skiff";
/// What root is on the host where those files have no such lines: behind the ids that systemd gives away, which no
/// distribution uses.
const DEFAULT_FIRST: u32 = 0x7000_0000;
/// How many ids there are then.
const DEFAULT_COUNT: u32 = 65536;
/// As many as the kernel takes.
const MOST_RANGES: usize = 340;
/// Largest file that is looked at.
const FILE_LIMIT: usize = 1 << 20;
/// What the kernel shows for an id that a namespace doesn't have.
const NOBODY: u32 = 65534;

/// Ids that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    inside: u32,
    host: u32,
    count: u32,
}

/// Ranges of users or of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map(Vec<Range>);

/// The ids of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Of users.
    pub users: Map,
    /// Of groups.
    pub groups: Map,
}

impl Ids {
    /// Those that this host gives to containers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for lines that make no sense, or for one file with a line and one without; of the file system.
    pub fn configured() -> Result<Ids> {
        let read = |path: &str| match file::read(CWD, path, FILE_LIMIT) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::os("read", path, errno)),
            Ok(text) => Map::subordinate(&text, path),
        };
        let (users, groups) = ("/etc/subuid", "/etc/subgid");
        match (read(users)?, read(groups)?) {
            (Some(users), Some(groups)) => Ok(Ids { users, groups }),
            (None, None) => {
                let map = Map(vec![Range { inside: 0, host: DEFAULT_FIRST, count: DEFAULT_COUNT }]);
                Ok(Ids { users: map.clone(), groups: map })
            }
            (there, _) => {
                let (has, lacks) = if there.is_some() { (users, groups) } else { (groups, users) };
                Err(Error::Invalid(format!(
                    "user namespace: {has} has a range for {OWNER}, {lacks} has none"
                ))
                .hint(&format!("write a line such as {OWNER}:100000:65536 into both of them, or into none")))
            }
        }
    }
}

impl Map {
    /// The ranges that a file of lines `name:first:count` gives to [`OWNER`]; they follow each other inside.
    fn subordinate(text: &[u8], path: &str) -> Result<Option<Map>> {
        let mut ranges = Vec::new();
        let mut inside = 0_u32;
        for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let fault = |why: &str| Error::Invalid(format!("{path}: line {}: {why}", at + 1));
            let mut fields = line.split(|&byte| byte == b':');
            if fields.next() != Some(OWNER.as_bytes()) {
                continue;
            }
            let [Some(host), Some(count), None] = [fields.next(), fields.next(), fields.next()] else {
                return Err(fault("want name:first:count"));
            };
            let (Some(host), Some(count)) = (number(host), number(count).filter(|count| *count > 0)) else {
                return Err(fault("the first id and the count are numbers, and there is one id at least"));
            };
            if host == 0 {
                return Err(fault("root of the host can't be given to containers"));
            }
            if ranges.len() == MOST_RANGES {
                return Err(fault("there are too many ranges"));
            }
            // The last number of all is no id.
            let (Some(_), Some(end)) = (host.checked_add(count), inside.checked_add(count)) else {
                return Err(fault("the range is beyond the largest id"));
            };
            ranges.push(Range { inside, host, count });
            inside = end;
        }
        Ok((!ranges.is_empty()).then_some(Map(ranges)))
    }

    /// Reads what /proc says of a process that lives in a namespace below this process's own.
    pub fn from_kernel(text: &[u8]) -> Option<Map> {
        let mut ranges = Vec::new();
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let mut next = || number(words.next()?);
            ranges.push(Range { inside: next()?, host: next()?, count: next()? });
        }
        Some(Map(ranges))
    }

    /// What is written into /proc.
    pub fn to_kernel(&self) -> String {
        let lines = self.0.iter().map(|range| format!("{} {} {}\n", range.inside, range.host, range.count));
        lines.collect()
    }

    /// The id on the host.
    pub fn host(&self, inside: u32) -> Option<u32> {
        let mut ranges = self.0.iter();
        ranges.find_map(|range| {
            let far = inside.checked_sub(range.inside)?;
            if far < range.count { range.host.checked_add(far) } else { None }
        })
    }

    /// The id on the host; that of root for one that is not there.
    pub fn host_or_root(&self, inside: u32) -> u32 {
        self.host(inside).or_else(|| self.host(0)).unwrap_or(NOBODY)
    }

    /// The last of the ids inside that follow each other from 0 on, inside and on the host.
    pub fn last(&self) -> u32 {
        self.0.first().map_or(0, |range| range.count.saturating_sub(1))
    }
}

fn number(text: &[u8]) -> Option<u32> {
    let is_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(text).ok().filter(|_| is_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Map>> {
        Map::subordinate(text.as_bytes(), "/etc/subuid")
    }

    #[test]
    fn the_ranges_of_the_engine_follow_each_other_inside() {
        let text = "ann:1:x\nskiff:100000:1000\n# skiff:1:1\n\nskiff:500000:65536\nskiff2:7:7\n";
        let map = read(text).unwrap().unwrap();
        assert_eq!(map.to_kernel(), "0 100000 1000\n1000 500000 65536\n");
        assert_eq!(map.host(0), Some(100_000));
        assert_eq!(map.host(999), Some(100_999));
        assert_eq!(map.host(1000), Some(500_000));
        assert_eq!(map.host(66_535), Some(565_535));
        assert_eq!(map.host(66_536), None);
        assert_eq!(map.last(), 999);
        assert_eq!(Map::from_kernel(map.to_kernel().as_bytes()), Some(map));
        assert_eq!(read("ann:100000:65536\n").unwrap(), None);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for (text, why) in [
            ("a:1:1\nskiff:100000\n", "line 2: want name:first:count"),
            ("skiff:1:2:3", "line 1: want"),
            ("skiff:1:0", "one id at least"),
            ("skiff:-1:5", "are numbers"),
            ("skiff:+1:5", "are numbers"),
            ("skiff:4294967296:5", "are numbers"),
            ("skiff:0:65536", "root of the host"),
            ("skiff:4294967290:6", "beyond the largest id"),
            ("skiff:1:4294967294\nskiff:1:4294967294", "line 2: the range is beyond"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.contains(why)), "{text}: {error}");
        }
        assert!(read(&"skiff:1:1\n".repeat(MOST_RANGES)).is_ok());
        assert!(read(&"skiff:1:1\n".repeat(MOST_RANGES + 1)).is_err());
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        let map = Map::from_kernel(b"         0     100000      65536\n").unwrap();
        assert_eq!(map.host(65_535), Some(165_535));
        assert_eq!(map.host_or_root(65_536), 100_000);
        assert_eq!(Map::from_kernel(b""), Some(Map(vec![])));
        assert_eq!(Map::from_kernel(b"0 1\n"), None);
    }
}

//! The time namespace of a container: `private[,monotonic=SECONDS][,boottime=SECONDS]` -> how far its clocks are ahead of the
//! host's, written before its first process enters it, which execve does.

use alloc::{format, string::String};

use rustix::{fd::AsFd, io::Errno, process::Pid};

use super::{step::write_proc, user_namespace::private_proc};
use crate::{Context, Error, Result, container::config::HostConfig};

/// How far the clocks inside are ahead, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    monotonic: i64,
    boottime: i64,
}

impl Offsets {
    /// Reads a mode; none for the host's clocks.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(mode: &str) -> Result<Option<Offsets>> {
        let mut words = mode.split(',');
        match words.next() {
            None | Some("" | "host") if words.next().is_none() => return Ok(None),
            Some("private") => {}
            _ => return Err(invalid(mode)),
        }
        let mut offsets = Offsets::default();
        for word in words {
            let (clock, seconds) = word.split_once('=').ok_or_else(|| invalid(mode))?;
            let seconds = seconds.parse().map_err(|_| invalid(mode))?;
            match clock {
                "monotonic" => offsets.monotonic = seconds,
                "boottime" => offsets.boottime = seconds,
                _ => return Err(invalid(mode)),
            }
        }
        Ok(Some(offsets))
    }

    fn to_kernel(self) -> String {
        format!("monotonic {} 0\nboottime {} 0\n", self.monotonic, self.boottime)
    }
}

fn invalid(mode: &str) -> Error {
    Error::Invalid(format!("invalid time namespace mode: {mode}"))
        .hint("host, or private[,monotonic=SECONDS][,boottime=SECONDS]")
}

/// Sets the clocks of a process that was made in a new time namespace and waits for that.
///
/// # Kernel
/// A process that borrows its parent's memory enters the namespace when it executes a program since 6.2.
///
/// # Errors
/// [`Error::Unsupported`] if it has entered already; [`Error::Invalid`] if a clock would show a time that is none.
pub(super) fn set(pid: Pid, host: &HostConfig) -> Result<()> {
    let Some(offsets) = Offsets::parse(&host.timens_mode)? else { return Ok(()) };
    let proc = private_proc().context("mount", "proc")?;
    let path = format!("{}/timens_offsets", pid.as_raw_nonzero());
    match write_proc(proc.as_fd(), path.as_str(), offsets.to_kernel().as_bytes()) {
        Err(Errno::ACCESS) => Err(Error::Unsupported("time namespaces need Linux 6.2".into())),
        Err(Errno::RANGE) => Err(Error::Invalid(format!(
            "time namespace mode {}: a clock would be before 0 or beyond 146 years",
            host.timens_mode
        ))),
        other => other.context("write /proc/", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_the_hosts_clocks_or_offsets() {
        assert_eq!(Offsets::parse("").unwrap(), None);
        assert_eq!(Offsets::parse("host").unwrap(), None);
        assert_eq!(Offsets::parse("private").unwrap(), Some(Offsets::default()));
        let both = Offsets::parse("private,boottime=-5,monotonic=86400").unwrap().unwrap();
        assert_eq!(both.to_kernel(), "monotonic 86400 0\nboottime -5 0\n");
        for wrong in [
            "x",
            "host,monotonic=1",
            ",private",
            "private,",
            "private,realtime=1",
            "private,monotonic=",
            "private,monotonic=1.5",
            "private,monotonic",
        ] {
            assert!(matches!(Offsets::parse(wrong), Err(Error::Invalid(_))), "{wrong}");
        }
    }
}

//! What a container is doing, as its monitor wrote it down.
//!
//! The file `state` in the container's directory is written in place by whoever holds the container's lock, so that a
//! waiter that has it open sees every change, even after the container was removed:
//! ```text
//! 16 hex digits: FNV-1a of what follows | a blank | JSON | blanks up to the longest length so far | \n
//! ```
//! A reader that meets a half-written file (the sum is wrong) reads again.

use alloc::{string::String, vec::Vec};

use rustix::{fd::AsFd, io::Errno};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Result,
    clock::{self, SECOND},
    digest::fnv1a,
    file,
};

/// As long as this a reader that meets a half-written file only lets others run before it reads again.
const YIELDING_NS: i64 = SECOND / 1000;
/// As long as this it reads again.
const PATIENCE_NS: i64 = SECOND;

/// What a container is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, and will be started again.
    Restarting,
    /// Ended.
    Exited,
    /// Gone; only those who have the file open still see this.
    Removed,
}

impl Status {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
            Status::Removed => "removing",
        }
    }

    /// Whether a monitor looks after it.
    pub fn is_active(self) -> bool {
        matches!(self, Status::Running | Status::Paused | Status::Restarting)
    }
}

/// The state of a container. Times are nanoseconds since 1970, 0 for never.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it is doing.
    pub status: Status,
    /// Process 1 of the container, as the host numbers it; 0 when none runs.
    pub pid: i32,
    /// The monitor's own number.
    pub monitor: i32,
    /// The last exit code.
    pub exit_code: i32,
    /// Why it could not be started, or empty.
    pub error: String,
    /// The kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// When it was last started.
    pub started_ns: i64,
    /// When it last ended.
    pub finished_ns: i64,
    /// How often the restart policy has started it again.
    pub restarts: u32,
    /// How often it has ended: a waiter for the next exit compares.
    pub exits: u32,
    /// Somebody stopped it on purpose: the daemon does not start it again.
    pub stopped_by_hand: bool,
    /// `starting`, `healthy`, `unhealthy`; empty without a probe.
    pub health: String,
    /// Failed probes in a row.
    pub failing_streak: u32,
}

impl State {
    /// The bytes of the file; at least `least` of them.
    fn to_bytes(&self, least: usize) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a state has only string keys");
        json.resize(json.len().max(least.saturating_sub(18)), b' ');
        json.push(b'\n');
        let mut bytes = Vec::with_capacity(json.len() + 17);
        bytes.extend_from_slice(alloc::format!("{:016x} ", fnv1a(json.iter().copied())).as_bytes());
        bytes.append(&mut json);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<State> {
        let (sum, json) = (bytes.get(..16)?, bytes.get(17..)?);
        let sum = u64::from_str_radix(core::str::from_utf8(sum).ok()?, 16).ok()?;
        if sum != fnv1a(json.iter().copied()) { None } else { crate::json::from_slice(json).ok() }
    }

    /// Reads the open state file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it stays unreadable.
    pub fn read(file: impl AsFd) -> Result<State> {
        let mut began = None;
        loop {
            let mut buffer = [0_u8; 4096];
            let count = rustix::io::pread(&file, &mut buffer, 0).context("read", "state")?;
            if let Some(state) = State::from_bytes(&buffer[..count]) {
                return Ok(state);
            }
            // Somebody is in the middle of writing it, and may have lost the processor there.
            match clock::monotonic() - *began.get_or_insert_with(clock::monotonic) {
                waited if waited < YIELDING_NS => rustix::thread::sched_yield(),
                waited if waited < PATIENCE_NS => clock::sleep(YIELDING_NS),
                _ => return Err(Error::Corrupt("container state: the checksum does not match".into())),
            }
        }
    }

    /// Writes the open state file in place. Only the holder of the container's lock may.
    ///
    /// # Errors
    /// As pwrite(2).
    pub fn write(&self, file: impl AsFd) -> Result<(), Errno> {
        let length = rustix::fs::fstat(&file)?.st_size;
        let bytes = self.to_bytes(usize::try_from(length).unwrap_or(0));
        match rustix::io::pwrite(&file, &bytes, 0)? {
            count if count == bytes.len() => Ok(()),
            _ => Err(Errno::NOSPC),
        }
    }

    /// Makes the file `name` in `at` with this state.
    ///
    /// # Errors
    /// As [`file::create`].
    pub fn create(&self, at: impl AsFd, name: &str) -> Result<(), Errno> {
        file::create(at, name, &self.to_bytes(0), 0o600).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_a_torn_one_is_not() {
        let state = State { exit_code: 3, error: "x".into(), ..State::default() };
        let mut bytes = state.to_bytes(600);
        assert_eq!(bytes.len(), 600);
        assert_eq!(State::from_bytes(&bytes), Some(state));
        bytes[40] ^= 1;
        assert_eq!(State::from_bytes(&bytes), None);
        assert_eq!(State::from_bytes(b""), None);
    }

    #[test]
    fn a_reader_waits_for_a_writer_that_has_lost_the_processor() {
        let path = alloc::format!("/tmp/skiff-state-{}", rustix::process::getpid().as_raw_nonzero());
        let state = State { exit_code: 3, ..State::default() };
        let whole = state.to_bytes(0);
        let file = file::create(file::CWD, path.as_str(), &whole[..50], 0o600).unwrap();
        let open = rustix::fs::open(path.as_str(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        rustix::fs::unlink(path.as_str()).unwrap();
        let open = open.unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| State::read(&open));
            clock::sleep(SECOND / 20);
            file::write_all(&file, &whole[50..]).unwrap();
            assert_eq!(reader.join().unwrap(), Ok(state));
        });
    }
}

//! What can be done to the processes of a group while they run: list, stop, kill, wait for them.

use alloc::vec::Vec;

use rustix::{
    event::{PollFd, PollFlags},
    fs::{Mode, OFlags},
    io::Errno,
    process::{Pid, Signal},
};

use super::{
    Group,
    group::{DEEPEST, subgroups, write},
};
use crate::{Context, Error, Result, clock, file};

impl Group {
    /// Kills every process in it and in groups inside it.
    ///
    /// # Kernel
    /// `cgroup.kill`, 5.14; before that the group is frozen and its processes are signalled.
    ///
    /// # Errors
    /// As write(2).
    pub fn kill(&self) -> Result<()> {
        match write(self.directory(), "cgroup.kill", "1") {
            Ok(()) | Err(Errno::NODEV) => Ok(()),
            // Older than 5.14, or a threaded group.
            Err(Errno::NOENT | Errno::OPNOTSUPP) => self.kill_one_by_one(),
            Err(errno) => Err(Error::os("kill all in", self.path(), errno)),
        }
    }

    fn kill_one_by_one(&self) -> Result<()> {
        // Frozen processes can't fork away and their numbers can't be given to others; the signal reaches them still.
        let frozen = self.freeze(1000).is_ok();
        let result = self.pids().map(|pids| {
            for pid in pids.into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
                // One that is gone is what was wanted.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        });
        if frozen {
            self.thaw()?;
        }
        result
    }

    /// Stops every process in it, and waits until they stand.
    ///
    /// # Errors
    /// ETIMEDOUT if they don't within `grace_ms`; they run on then.
    pub fn freeze(&self, grace_ms: u32) -> Result<()> {
        write(self.directory(), "cgroup.freeze", "1").context("freeze", self.path())?;
        match self.wait_for("frozen 1", grace_ms) {
            Ok(true) => Ok(()),
            other => {
                self.thaw()?;
                other.and(Err(Error::os("freeze", self.path(), Errno::TIMEDOUT)))
            }
        }
    }

    /// Lets frozen processes run on.
    ///
    /// # Errors
    /// As write(2).
    pub fn thaw(&self) -> Result<()> {
        write(self.directory(), "cgroup.freeze", "0").context("thaw", self.path())
    }

    /// Whether it has been told to freeze.
    ///
    /// # Errors
    /// As read(2).
    pub fn is_frozen(&self) -> Result<bool> {
        Ok(self.read("cgroup.freeze")?.is_some_and(|text| text.trim_ascii() == "1"))
    }

    /// Whether any process lives in it or in groups inside it.
    ///
    /// # Errors
    /// As read(2).
    pub fn is_populated(&self) -> Result<bool> {
        Ok(self.read("cgroup.events")?.is_some_and(|text| has_line(&text, "populated 1")))
    }

    /// Waits until nothing lives in it; false if that takes longer.
    ///
    /// # Errors
    /// As read(2) and poll(2).
    pub fn wait_until_empty(&self, grace_ms: u32) -> Result<bool> {
        self.wait_for("populated 0", grace_ms)
    }

    /// Waits until `cgroup.events` has this line; false if it takes longer.
    fn wait_for(&self, line: &str, grace_ms: u32) -> Result<bool> {
        let deadline = clock::monotonic() + i64::from(grace_ms) * 1_000_000;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = rustix::fs::openat(self.directory(), "cgroup.events", flags, Mode::empty());
        let events = events.context("open cgroup.events of", self.path())?;
        loop {
            let mut text = [0; 256];
            let read = rustix::io::pread(&events, &mut text, 0);
            let length = match read {
                // The group has been removed.
                Err(Errno::NODEV) => return Ok(line == "populated 0"),
                other => other.context("read cgroup.events of", self.path())?,
            };
            if core::str::from_utf8(&text[..length]).is_ok_and(|text| has_line(text, line)) {
                return Ok(true);
            }
            if clock::monotonic() >= deadline {
                return Ok(false);
            }
            let mut wait = [PollFd::new(&events, PollFlags::PRI)];
            match rustix::event::poll(&mut wait, Some(&clock::timeout_until(deadline))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::os("wait for", self.path(), errno)),
            }
        }
    }

    /// The processes in it and in groups inside it, by the numbers that the caller sees them under.
    ///
    /// # Errors
    /// As read(2).
    pub fn pids(&self) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        let mut groups = alloc::vec![file::directory(self.directory(), ".").context("open", self.path())?];
        while let Some(group) = groups.pop() {
            // A threaded group lists its processes in the group above; one that is gone has none.
            let text = file::read(&group, "cgroup.procs", 1 << 20).unwrap_or_default();
            let text = core::str::from_utf8(&text).unwrap_or("");
            all.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            for name in subgroups(&group) {
                if groups.len() < DEEPEST
                    && let Ok(inside) = file::directory(&group, name.as_c_str())
                {
                    groups.push(inside);
                }
            }
        }
        crate::sort::by(&mut all, Ord::cmp);
        Ok(all)
    }

    /// How often the kernel has killed a process in it for want of memory. `None` without the memory controller.
    ///
    /// # Errors
    /// As read(2).
    pub fn oom_kills(&self) -> Result<Option<u64>> {
        let Some(text) = self.read("memory.events")? else { return Ok(None) };
        Ok(text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()))
    }
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|one| one == line)
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;

    use alloc::string::ToString;

    use super::{super::group::tests::Scratch, *};
    use crate::fork::{self, Child, Ended};

    /// A process inside `group` that does nothing.
    fn sleeper(group: &Group) -> Child {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let child = fork::child(&[group.directory(), writer.as_fd()], || {
            if write(group.directory(), "cgroup.procs", "0").is_err() {
                return 1;
            }
            // That the pipe is closed tells the parent.
            let _ = rustix::io::write(&writer, b"in");
            loop {
                let _ = rustix::thread::nanosleep(&clock::timespec(1_000_000_000));
            }
        })
        .unwrap();
        drop(writer);
        assert_eq!(rustix::io::read(&reader, &mut [0; 2][..]), Ok(2));
        child
    }

    #[test]
    fn processes_are_listed_frozen_thawed_and_killed() {
        let Some(scratch) = Scratch::new("run") else { return };
        let group = scratch.group("one").unwrap();
        let child = sleeper(&group);
        assert_eq!(group.pids().unwrap(), [child.pid.as_raw_nonzero().get() as u32]);
        assert!(group.is_populated().unwrap());
        assert!(scratch.group("one").unwrap_err().to_string().contains("it has processes already"));

        group.freeze(5000).unwrap();
        assert!(group.is_frozen().unwrap());
        group.thaw().unwrap();
        assert!(!group.is_frozen().unwrap());

        assert!(!group.wait_until_empty(0).unwrap());
        group.kill().unwrap();
        assert_eq!(fork::wait(&child.pidfd), Ok(Ended::Killed(9)));
        assert!(group.wait_until_empty(5000).unwrap());
        group.remove(0).unwrap();
    }

    #[test]
    fn killing_one_by_one_reaches_groups_inside_and_the_frozen() {
        let Some(scratch) = Scratch::new("one-by-one") else { return };
        let group = scratch.group("one").unwrap();
        let inner = Group::create(
            &scratch.0,
            &alloc::format!("{}/one", scratch.1),
            "inner",
            super::super::Controllers::empty(),
            super::super::Controllers::empty(),
        )
        .unwrap();
        let children = [sleeper(&group), sleeper(&inner)];
        assert_eq!(group.pids().unwrap().len(), 2);
        group.kill_one_by_one().unwrap();
        for child in children {
            assert_eq!(fork::wait(&child.pidfd), Ok(Ended::Killed(9)));
        }
        group.remove(5000).unwrap();
    }

    #[test]
    fn cpu_time_is_counted_on_any_host() {
        let Some(scratch) = Scratch::new("stats") else { return };
        let group = scratch.group("one").unwrap();
        let child = fork::child(&[group.directory()], || {
            let joined = write(group.directory(), "cgroup.procs", "0").is_ok();
            let end = clock::monotonic() + 50_000_000;
            while clock::monotonic() < end {}
            i32::from(joined)
        })
        .unwrap();
        assert_eq!(fork::wait(&child.pidfd), Ok(Ended::Exited(1)));
        let stats = super::super::stats::Stats::read(&group).unwrap();
        assert!(stats.cpu.unwrap().usage_micros > 10_000, "{stats:?}");
        assert!(stats.online_cpus > 0 && stats.system_nanos > 0);
    }
}

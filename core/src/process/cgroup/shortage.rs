//! The kernel's count of the processes of a group that it killed for want of memory, as it grows. The monitor waits on it.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
};

use super::Group;

/// A group's `memory.events`, open.
#[derive(Debug)]
pub struct Shortage {
    file: OwnedFd,
}

impl Shortage {
    /// Begins to watch; `None` for a group without the memory controller.
    pub fn watch(group: &Group) -> Option<Shortage> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(group.directory(), "memory.events", flags, Mode::empty()).ok()?;
        let shortage = Shortage { file };
        // Only what comes after a read is an event.
        shortage.kills().map(|_| shortage)
    }

    /// Has an exceptional condition (POLLPRI) when the counts have changed since they were read.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// How many processes were killed since the group was made; `None` if it is gone.
    pub fn kills(&self) -> Option<u64> {
        let mut buffer = [0; 512];
        let count = rustix::io::pread(&self.file, &mut buffer, 0).ok()?;
        count_in(core::str::from_utf8(&buffer[..count]).ok()?)
    }
}

fn count_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_told_from_other_events() {
        let text = "low 0\nhigh 0\nmax 57\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(count_in(text), Some(2));
        assert_eq!(count_in("low 0\n"), None);
    }
}

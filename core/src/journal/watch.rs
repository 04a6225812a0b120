//! Waiting for a directory's files to change, beside other things; used by whoever follows a journal.

use alloc::{format, vec::Vec};
use core::mem::MaybeUninit;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::inotify,
    io::Errno,
};

use crate::{Context, Result, clock};

/// How long to sleep at most where inotify is used up (its instances are counted for each user).
const WITHOUT_INOTIFY_NS: i64 = clock::SECOND / 5;
/// How long to sleep at most otherwise.
const WITH_INOTIFY_NS: i64 = 60 * clock::SECOND;

/// Watches the files of one directory.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
}

impl Watch {
    /// Begins to watch: what is written from now on makes the next [`Watch::wait`] return.
    ///
    /// # Errors
    /// As inotify_add_watch(2). A used up inotify is none: the directory is then looked at five times a second.
    pub fn new(directory: BorrowedFd<'_>) -> Result<Watch> {
        use inotify::{CreateFlags, WatchFlags};
        let inotify = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => inotify,
            Err(Errno::MFILE | Errno::NFILE) => return Ok(Watch { inotify: None }),
            Err(errno) => return Err(errno).context("start inotify", ""),
        };
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        match inotify::add_watch(&inotify, path.as_str(), flags) {
            Ok(_) => Ok(Watch { inotify: Some(inotify) }),
            Err(Errno::NOSPC) => Ok(Watch { inotify: None }),
            Err(errno) => Err(errno).context("watch", path),
        }
    }

    /// Sleeps until something was written, one of `others` is readable or hung up, `deadline` (on the clock of
    /// [`clock::monotonic`]) has come, or a minute has passed. Look at everything afterwards.
    ///
    /// # Errors
    /// As poll(2).
    pub fn wait(&self, others: &[BorrowedFd<'_>], deadline: Option<i64>) -> Result<()> {
        let flags = PollFlags::IN | PollFlags::RDHUP;
        let mut fds: Vec<PollFd<'_>> = others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, flags)).collect();
        let mut longest = WITHOUT_INOTIFY_NS;
        if let Some(inotify) = &self.inotify {
            fds.push(PollFd::new(inotify, PollFlags::IN));
            longest = WITH_INOTIFY_NS;
        }
        let left = deadline.map_or(longest, |deadline| deadline.saturating_sub(clock::monotonic()));
        match poll(&mut fds, Some(&clock::timespec(left.clamp(0, longest)))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("poll", ""),
        }
        if let Some(inotify) = &self.inotify {
            // What happened is of no interest, only that something did.
            let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
            while rustix::io::read(inotify.as_fd(), &mut buffer).is_ok() {}
        }
        Ok(())
    }
}

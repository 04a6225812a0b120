//! What the daemon waits for: which of many descriptors have something to say.
//!
//! To sleep and to be woken takes several times as long as to answer a ping. Whoever asks one thing after the other is
//! therefore expected, for a moment, by a daemon that is awake; as soon as nobody comes in that moment it sleeps again, and
//! goes on sleeping between requests until two have come that close together.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use rustix::{
    event::{Timespec, epoll},
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
    thread::sched_yield,
};
use skiff_syscalls::processor;

use crate::clock;

/// How much news is taken from the kernel at once.
const NEWS_MAX: usize = 64;
/// How long somebody is expected.
const MOMENT_NS: i64 = 100_000;

/// Descriptors that are waited for.
#[derive(Debug)]
pub(super) struct Queue {
    epoll: OwnedFd,
    /// Descriptors that had something to say.
    news: Vec<i32>,
    /// Whether the last one came within a moment.
    expecting: bool,
    /// Whether whoever is expected has a processor to come on.
    may_expect: bool,
}

impl Queue {
    pub(super) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let may_expect = processor::count().is_none_or(|count| count > 1);
        Ok(Queue { epoll, news: Vec::with_capacity(NEWS_MAX), expecting: false, may_expect })
    }

    /// Tells from now on when this has something to say.
    pub(super) fn watch(&self, source: BorrowedFd<'_>) -> Result<(), Errno> {
        let data = epoll::EventData::new_u64(source.as_raw_fd() as u64);
        epoll::add(&self.epoll, source, data, epoll::EventFlags::IN)
    }

    /// Tells nothing more of this.
    pub(super) fn forget(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.epoll, source);
    }

    /// Waits until some have something to say: how many, for [`Self::descriptor`].
    pub(super) fn wait(&mut self) -> Result<usize, Errno> {
        self.news.clear();
        let begun = clock::monotonic();
        while self.expecting && self.news.is_empty() {
            sched_yield();
            self.take(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            self.expecting = is_near(begun);
        }
        if self.news.is_empty() {
            self.take(None)?;
            self.expecting = self.may_expect && is_near(begun);
        }
        Ok(self.news.len())
    }

    /// One of those that had something to say last.
    pub(super) fn descriptor(&self, at: usize) -> i32 {
        self.news[at]
    }

    fn take(&mut self, patience: Option<&Timespec>) -> Result<(), Errno> {
        let mut events = [const { MaybeUninit::uninit() }; NEWS_MAX];
        match epoll::wait(&self.epoll, &mut events, patience) {
            Ok((events, _)) => self.news.extend(events.iter().map(|event| event.data.u64() as i32)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

fn is_near(begun: i64) -> bool {
    clock::monotonic() - begun < MOMENT_NS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::wire::{pair, send_all};

    #[test]
    fn somebody_is_expected_only_after_two_have_come_close_together() {
        let (near, far) = pair().unwrap();
        let mut queue = Queue::new().unwrap();
        queue.watch(far.as_fd()).unwrap();
        let mut heard = || {
            let count = queue.wait().unwrap();
            assert_eq!((count, queue.descriptor(0)), (1, far.as_raw_fd()));
            rustix::io::read(&far, &mut [0; 8]).unwrap();
            queue.expecting
        };
        // On a busy machine late may be soon and soon late, but not always.
        let late = |heard: &mut dyn FnMut() -> bool| {
            (0..100).any(|_| {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_millis(20));
                        send_all(near.as_fd(), &[b"x"]).unwrap();
                    });
                    !heard()
                })
            })
        };
        assert!(late(&mut heard));
        let expected = (0..1000).any(|_| {
            send_all(near.as_fd(), &[b"x"]).unwrap();
            heard()
        });
        assert_eq!(expected, processor::count() != Some(1));
        assert!(late(&mut heard));
        queue.forget(&far);
        send_all(near.as_fd(), &[b"x"]).unwrap();
        queue.news.clear();
        queue.take(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        assert!(queue.news.is_empty());
    }
}

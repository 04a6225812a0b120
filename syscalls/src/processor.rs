//! Which processor a process runs on, where the kernel's choice costs time: it tends to put a process that is new or that
//! is woken onto the processor of who made or woke it, where it waits, even if others are idle.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU8, Ordering},
};

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
};

/// Where a process may run, if that is on more than one processor. Otherwise nothing here does anything.
#[derive(Debug, Clone, Copy)]
pub struct Processors(Option<CpuSet>);

/// What [`given`] found first. Processes that are forked inherit it, wherever they are put.
struct Given {
    state: AtomicU8,
    set: UnsafeCell<Option<CpuSet>>,
}

const UNKNOWN: u8 = 0;
const TAKEN: u8 = 1;
const KNOWN: u8 = 2;

// SAFETY: the set is written once, by who takes the state from UNKNOWN to TAKEN, and read only when it is KNOWN.
unsafe impl Sync for Given {}

static GIVEN: Given = Given { state: AtomicU8::new(UNKNOWN), set: UnsafeCell::new(None) };

/// The processors that this program was given, whichever one of them it keeps to for the moment.
fn given() -> Option<CpuSet> {
    if GIVEN.state.load(Ordering::Acquire) == KNOWN {
        // SAFETY: nobody writes it any more.
        return unsafe { *GIVEN.set.get() };
    }
    let set = sched_getaffinity(None).ok();
    if GIVEN.state.compare_exchange(UNKNOWN, TAKEN, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        // SAFETY: nobody else has taken it, or will.
        unsafe { *GIVEN.set.get() = set };
        GIVEN.state.store(KNOWN, Ordering::Release);
    }
    set
}

/// How many processors this program was given; `None` on a machine that has more than fit into a set.
pub fn count() -> Option<usize> {
    given().map(|set| set.count() as usize)
}

impl Processors {
    /// This program's. A machine that has more than fit into a set is left to the kernel.
    pub fn own() -> Processors {
        Processors(given().filter(|set| set.count() > 1))
    }

    /// Puts a process that has not run yet onto another one than this process's, which is about to be busy. It stays there
    /// until it roams, which it must not do before this is done.
    pub fn move_away(&self, process: Pid) {
        if let Processors(Some(mut others)) = *self {
            others.unset(sched_getcpu());
            let _ = sched_setaffinity(Some(process), &others);
        }
    }

    /// Keeps this process where it is, until it may roam again.
    pub fn stay(&self) {
        if self.0.is_some() {
            let mut here = CpuSet::new();
            here.set(sched_getcpu());
            let _ = sched_setaffinity(None, &here);
        }
    }

    /// Lets this process run on all of them.
    pub fn roam(&self) {
        if let Processors(Some(all)) = self {
            let _ = sched_setaffinity(None, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stays_knows_what_it_was_given() {
        let processors = Processors::own();
        let all = sched_getaffinity(None).unwrap();
        processors.stay();
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        assert_eq!(count(), Some(all.count() as usize));
        processors.roam();
        assert_eq!(sched_getaffinity(None).unwrap(), all);
    }
}

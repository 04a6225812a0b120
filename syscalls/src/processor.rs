//! Which processor a process runs on, where the kernel's choice costs time: it tends to put a process that is new or that
//! is woken onto the processor of who made or woke it, where it waits, even if others are idle.

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
};

use crate::once::Once;

/// Where a process may run, if that is on more than one processor. Otherwise nothing here does anything.
#[derive(Debug, Clone, Copy)]
pub struct Processors(Option<CpuSet>);

/// What [`given`] found first. Processes that are forked inherit it, wherever they are put.
static GIVEN: Once<Option<CpuSet>> = Once::new();

/// The processors that this program was given, whichever one of them it keeps to for the moment.
fn given() -> Option<CpuSet> {
    if let Some(given) = GIVEN.get() {
        return *given;
    }
    let set = sched_getaffinity(None).ok();
    GIVEN.set(set);
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

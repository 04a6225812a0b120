//! Which processor a process runs on, where the kernel's choice costs time: it tends to put a process that is new or that
//! is woken onto the processor of who made or woke it, where it waits, even if others are idle.

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
};

/// Where a process may run, if that is on more than one processor. Otherwise nothing here does anything.
#[derive(Debug, Clone, Copy)]
pub struct Processors(Option<CpuSet>);

impl Processors {
    /// This process's. A machine that has more than fit into a set is left to the kernel.
    pub fn own() -> Processors {
        Processors(sched_getaffinity(None).ok().filter(|set| set.count() > 1))
    }

    /// Puts a process that has not run yet onto another one than this process's, which is about to be busy.
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

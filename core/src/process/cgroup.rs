//! Control groups: what a container may use, and a handle by which all of its processes are counted, frozen and killed.
//!
//! ```text
//! <root>/                      the cgroup2 tree: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host
//! └── skiff/                   or --cgroup-parent
//!     ├── <id>/                one container; removed after its end
//!     └── devices-<hash>/      empty; keeps the default device program loaded for the next start
//! ```
//!
//! | file | what comes in -> what goes out |
//! |---|---|
//! | [`Host`] | a running kernel -> where cgroup2 is and what it can limit |
//! | [`resources`] | JSON of Docker's API -> numbers that make sense |
//! | [`limits`] [`weight`] [`cpuset`] | numbers -> lines for control files |
//! | [`devices`] | rules -> an eBPF program |
//! | [`group`] | lines -> a group that enforces them; its life and its end |
//! | [`stats`] | a group -> what it has used |
//!
//! Before clone3 the parent makes the group, writes its limits and attaches the device program; the container is then
//! born inside it.

pub mod cpuset;
pub mod devices;
pub mod group;
mod host;
pub mod limits;
pub mod resources;
mod restrict;
mod running;
mod shortage;
pub mod stats;
pub mod weight;

pub use group::Group;
pub use host::{Host, Layout};
pub use resources::Resources;
pub use shortage::Shortage;

bitflags::bitflags! {
    /// Controllers of cgroup2.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Controllers: u8 {
        /// CPU time.
        const CPU = 1;
        /// CPUs and memory nodes.
        const CPUSET = 2;
        /// Memory and swap.
        const MEMORY = 4;
        /// Block I/O.
        const IO = 8;
        /// Processes and threads.
        const PIDS = 16;
        /// Huge pages.
        const HUGETLB = 32;
        /// RDMA.
        const RDMA = 64;
        /// Scalar resources.
        const MISC = 128;
    }
}

/// In the order of their bits.
const NAMES: [&str; 8] = ["cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma", "misc"];

impl Controllers {
    /// Those without which `stats` has nothing to say about memory, I/O and processes (CPU time is always counted).
    pub const ACCOUNTING: Controllers = Controllers::from_bits_retain(
        Controllers::MEMORY.bits() | Controllers::IO.bits() | Controllers::PIDS.bits(),
    );

    /// The controller of this name.
    pub fn named(name: &str) -> Option<Controllers> {
        let at = NAMES.iter().position(|known| *known == name)?;
        Some(Controllers::from_bits_retain(1 << at))
    }

    /// The known ones in a `cgroup.controllers` file.
    pub fn parse(list: &str) -> Controllers {
        list.split_ascii_whitespace().filter_map(Controllers::named).collect()
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(at, _)| self.bits() & 1 << at != 0).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn controllers_are_read_and_named_and_unknown_ones_are_passed_over() {
        let all = Controllers::parse("cpuset cpu io memory hugetlb pids rdma misc dmem\n");
        assert_eq!(all, Controllers::all());
        assert_eq!(Controllers::ACCOUNTING.names().collect::<Vec<_>>(), ["memory", "io", "pids"]);
        assert_eq!(Controllers::named("dmem"), None);
    }
}

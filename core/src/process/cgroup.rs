//! Control groups (cgroup2).

pub mod devices;

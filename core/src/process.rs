//! From settings to a running process: what it may do, what it sees, and how it is started and watched.

pub mod capability;
pub mod cgroup;
pub mod control;
pub mod exec;
pub mod file_systems;
pub mod ids;
pub mod init;
pub mod launch;
pub mod monitor;
pub mod mount_point;
pub mod namespaces;
pub mod program;
pub mod rights;
pub mod rootfs;
pub mod seccomp;
pub mod security;
pub mod step;
mod streams;
pub mod sysctl;
pub mod time_namespace;
pub mod user;
pub mod user_namespace;
pub mod view;

//! Capabilities: names as users write them come in, a set goes out. Run by the server child.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    io::Errno,
    thread::{CapabilitySet as KernelSet, capability_is_in_bounding_set},
};

use crate::{Error, Result, nearest};

bitflags::bitflags! {
    /// Capabilities, each at the bit that the kernel gives it: see capabilities(7).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct CapabilitySet: u64 {
        /// `CAP_CHOWN`
        const CHOWN = 1 << 0;
        /// `CAP_DAC_OVERRIDE`
        const DAC_OVERRIDE = 1 << 1;
        /// `CAP_DAC_READ_SEARCH`
        const DAC_READ_SEARCH = 1 << 2;
        /// `CAP_FOWNER`
        const FOWNER = 1 << 3;
        /// `CAP_FSETID`
        const FSETID = 1 << 4;
        /// `CAP_KILL`
        const KILL = 1 << 5;
        /// `CAP_SETGID`
        const SETGID = 1 << 6;
        /// `CAP_SETUID`
        const SETUID = 1 << 7;
        /// `CAP_SETPCAP`
        const SETPCAP = 1 << 8;
        /// `CAP_LINUX_IMMUTABLE`
        const LINUX_IMMUTABLE = 1 << 9;
        /// `CAP_NET_BIND_SERVICE`
        const NET_BIND_SERVICE = 1 << 10;
        /// `CAP_NET_BROADCAST`
        const NET_BROADCAST = 1 << 11;
        /// `CAP_NET_ADMIN`
        const NET_ADMIN = 1 << 12;
        /// `CAP_NET_RAW`
        const NET_RAW = 1 << 13;
        /// `CAP_IPC_LOCK`
        const IPC_LOCK = 1 << 14;
        /// `CAP_IPC_OWNER`
        const IPC_OWNER = 1 << 15;
        /// `CAP_SYS_MODULE`
        const SYS_MODULE = 1 << 16;
        /// `CAP_SYS_RAWIO`
        const SYS_RAWIO = 1 << 17;
        /// `CAP_SYS_CHROOT`
        const SYS_CHROOT = 1 << 18;
        /// `CAP_SYS_PTRACE`
        const SYS_PTRACE = 1 << 19;
        /// `CAP_SYS_PACCT`
        const SYS_PACCT = 1 << 20;
        /// `CAP_SYS_ADMIN`
        const SYS_ADMIN = 1 << 21;
        /// `CAP_SYS_BOOT`
        const SYS_BOOT = 1 << 22;
        /// `CAP_SYS_NICE`
        const SYS_NICE = 1 << 23;
        /// `CAP_SYS_RESOURCE`
        const SYS_RESOURCE = 1 << 24;
        /// `CAP_SYS_TIME`
        const SYS_TIME = 1 << 25;
        /// `CAP_SYS_TTY_CONFIG`
        const SYS_TTY_CONFIG = 1 << 26;
        /// `CAP_MKNOD`
        const MKNOD = 1 << 27;
        /// `CAP_LEASE`
        const LEASE = 1 << 28;
        /// `CAP_AUDIT_WRITE`
        const AUDIT_WRITE = 1 << 29;
        /// `CAP_AUDIT_CONTROL`
        const AUDIT_CONTROL = 1 << 30;
        /// `CAP_SETFCAP`
        const SETFCAP = 1 << 31;
        /// `CAP_MAC_OVERRIDE`
        const MAC_OVERRIDE = 1 << 32;
        /// `CAP_MAC_ADMIN`
        const MAC_ADMIN = 1 << 33;
        /// `CAP_SYSLOG`
        const SYSLOG = 1 << 34;
        /// `CAP_WAKE_ALARM`
        const WAKE_ALARM = 1 << 35;
        /// `CAP_BLOCK_SUSPEND`
        const BLOCK_SUSPEND = 1 << 36;
        /// `CAP_AUDIT_READ`
        const AUDIT_READ = 1 << 37;
        /// `CAP_PERFMON`
        const PERFMON = 1 << 38;
        /// `CAP_BPF`
        const BPF = 1 << 39;
        /// `CAP_CHECKPOINT_RESTORE`
        const CHECKPOINT_RESTORE = 1 << 40;
    }
}

impl CapabilitySet {
    /// What a container has unless it is told otherwise: Docker's fourteen.
    pub const STANDARD: Self = Self::CHOWN
        .union(Self::DAC_OVERRIDE)
        .union(Self::FSETID)
        .union(Self::FOWNER)
        .union(Self::MKNOD)
        .union(Self::NET_RAW)
        .union(Self::SETGID)
        .union(Self::SETUID)
        .union(Self::SETFCAP)
        .union(Self::SETPCAP)
        .union(Self::NET_BIND_SERVICE)
        .union(Self::SYS_CHROOT)
        .union(Self::KILL)
        .union(Self::AUDIT_WRITE);

    /// The set that `--privileged`, `--cap-add` and `--cap-drop` ask for, as Docker reads them: adding `ALL` means all
    /// but the dropped ones, dropping `ALL` means only the added ones, else what is both dropped and added is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that does not exist.
    pub fn requested(privileged: bool, add: &[String], drop: &[String]) -> Result<Self> {
        let (add, add_all) = parse_list("CapAdd", add)?;
        let (drop, drop_all) = parse_list("CapDrop", drop)?;
        Ok(if privileged {
            Self::all()
        } else if add_all {
            Self::all().difference(drop)
        } else if drop_all {
            add
        } else {
            Self::STANDARD.difference(drop).union(add)
        })
    }

    /// Those of the set that this process can pass on: what is in its own bounding set. A host may have taken some away
    /// from everybody.
    ///
    /// # Errors
    /// What prctl(PR_CAPBSET_READ) gives.
    pub fn bounded(self) -> Result<Self, Errno> {
        let mut held = Self::empty();
        for one in self.iter() {
            match capability_is_in_bounding_set(one.for_kernel()) {
                Ok(true) => held |= one,
                Ok(false) => {}
                // An older kernel: this number and all above it are unknown to it.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(held)
    }

    /// One capability, from its name with or without `CAP_`, in any case.
    pub fn from_user(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        Self::from_name(name.strip_prefix("CAP_").unwrap_or(&name))
    }

    /// The names with `CAP_`, in the kernel's order.
    pub fn names(self) -> Vec<String> {
        self.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
    }

    /// The same set as rustix types it.
    pub(crate) const fn for_kernel(self) -> KernelSet {
        KernelSet::from_bits_retain(self.bits())
    }
}

/// The union of a list's names, and whether `ALL` is among them. `field` names the list in errors.
fn parse_list(field: &str, names: &[String]) -> Result<(CapabilitySet, bool)> {
    let mut set = CapabilitySet::empty();
    let mut all = false;
    for name in names {
        if name.eq_ignore_ascii_case("ALL") {
            all = true;
        } else if let Some(one) = CapabilitySet::from_user(name) {
            set |= one;
        } else {
            let error = Error::Invalid(format!("invalid {field}: unknown capability: {name:?}"));
            return Err(match nearest(name) {
                Some(near) => error.hint(&format!("did you mean {near}?")),
                None => error,
            });
        }
    }
    Ok((set, all))
}

/// The name that somebody who typed `wrong` may have meant.
fn nearest(wrong: &str) -> Option<String> {
    let wrong = wrong.to_ascii_uppercase();
    let wrong = wrong.strip_prefix("CAP_").unwrap_or(&wrong);
    if wrong == "ALL" {
        return Some("ALL".to_string());
    }
    nearest::nearest(wrong, CapabilitySet::all().iter_names().map(|(name, _)| name)).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(add: &[&str], drop: &[&str]) -> Result<CapabilitySet> {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        CapabilitySet::requested(false, &owned(add), &owned(drop))
    }

    #[test]
    fn every_bit_is_the_kernels() {
        assert_eq!(CapabilitySet::all().bits(), (1 << 41) - 1);
        for (name, one) in CapabilitySet::all().iter_names() {
            assert_eq!(KernelSet::from_name(name), Some(one.for_kernel()), "{name}");
        }
    }

    #[test]
    fn the_standard_set_is_dockers() {
        assert_eq!(CapabilitySet::STANDARD.bits(), 0xa804_25fb);
        assert_eq!(requested(&[], &[]).unwrap(), CapabilitySet::STANDARD);
    }

    #[test]
    fn a_name_is_read_with_or_without_its_prefix_in_any_case() {
        for name in ["NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "Net_Admin"] {
            assert_eq!(CapabilitySet::from_user(name), Some(CapabilitySet::NET_ADMIN), "{name}");
        }
        assert_eq!(CapabilitySet::from_user("CAP_CAP_NET_ADMIN"), None);
        assert_eq!(CapabilitySet::from_user(""), None);
    }

    #[test]
    fn what_is_dropped_and_added_is_there() {
        assert_eq!(
            requested(&["chown"], &["CHOWN", "KILL"]).unwrap(),
            CapabilitySet::STANDARD - CapabilitySet::KILL
        );
    }

    #[test]
    fn all_is_taken_as_docker_takes_it() {
        assert_eq!(
            requested(&["all"], &["sys_admin"]).unwrap(),
            CapabilitySet::all() - CapabilitySet::SYS_ADMIN
        );
        assert_eq!(requested(&["NET_RAW"], &["ALL"]).unwrap(), CapabilitySet::NET_RAW);
        assert_eq!(requested(&[], &["ALL", "KILL"]).unwrap(), CapabilitySet::empty());
        assert_eq!(requested(&["ALL"], &["ALL"]).unwrap(), CapabilitySet::all());
        assert_eq!(CapabilitySet::requested(true, &[], &["ALL".into()]).unwrap(), CapabilitySet::all());
    }

    #[test]
    fn an_unknown_name_is_an_error_with_a_suggestion() {
        let said = |add: &[&str], drop: &[&str]| requested(add, drop).unwrap_err().to_string();
        assert_eq!(
            said(&["netadmin"], &[]),
            "invalid CapAdd: unknown capability: \"netadmin\"\nhint: did you mean NET_ADMIN?"
        );
        assert_eq!(
            said(&[], &["CAP_SYS_ADMN"]),
            "invalid CapDrop: unknown capability: \"CAP_SYS_ADMN\"\nhint: did you mean SYS_ADMIN?"
        );
        assert_eq!(
            said(&["CAP_ALL"], &[]),
            "invalid CapAdd: unknown capability: \"CAP_ALL\"\nhint: did you mean ALL?"
        );
        assert_eq!(said(&["whatever"], &[]), "invalid CapAdd: unknown capability: \"whatever\"");
        assert_eq!(said(&[""], &[]), "invalid CapAdd: unknown capability: \"\"");
    }

    #[test]
    fn names_come_out_with_their_prefix() {
        assert_eq!((CapabilitySet::KILL | CapabilitySet::BPF).names(), ["CAP_KILL", "CAP_BPF"]);
    }

    #[test]
    fn the_own_bounding_set_is_what_proc_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
        let bits = u64::from_str_radix(line, 16).unwrap();
        assert_eq!(CapabilitySet::all().bounded().unwrap().bits(), bits & CapabilitySet::all().bits());
    }
}

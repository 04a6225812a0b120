//! What a process may do: user, groups, the five capability sets, the seccomp filter, no_new_privs. Decided in the parent
//! as two plain values, [`Rights`] and [`Identity`]; taken on by the child in one call before execve, the same for run,
//! exec and build. Nothing here allocates in the child.
//!
//! The order is forced by what each call needs:
//!
//! | step | needs |
//! |---|---|
//! | bounding set | SETPCAP |
//! | filter, when privileges may still be gained | SYS_ADMIN |
//! | groups, gid, uid | SETGID, SETUID; for another user than root this ends the capabilities |
//! | ambient, inheritable, permitted, effective | nothing |
//! | no_new_privs, then the filter | nothing |

use alloc::{borrow::Cow, vec::Vec};

use rustix::{
    io::Errno,
    process::{Gid, Uid},
    thread::{
        CapabilitySet as KernelSet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};
use skiff_syscalls::seccomp::{self, FilterFlags, Instruction};

use super::capability::CapabilitySet;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// A user with a primary group and others. The primary group is always among the supplementary ones, so that no file
    /// can be reached by leaving it.
    pub fn new(uid: Uid, gid: Gid, others: &[Gid]) -> Self {
        let mut groups = Vec::with_capacity(others.len() + 1);
        groups.push(gid);
        for &other in others {
            if !groups.contains(&other) {
                groups.push(other);
            }
        }
        Identity { uid, gid, groups }
    }

    /// Root and its own group.
    pub fn root() -> Self {
        Self::new(Uid::ROOT, Gid::ROOT, &[])
    }

    /// The user.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The primary group.
    pub fn gid(&self) -> Gid {
        self.gid
    }

    /// Whether becoming it changes the user or the group of a process that is root. The kernel then forgets that the
    /// process is to die with its parent.
    pub fn is_another(&self) -> bool {
        !self.uid.is_root() || self.gid != Gid::ROOT
    }

    /// All groups, the primary one first.
    pub fn groups(&self) -> &[Gid] {
        &self.groups
    }

    /// Becomes this user: groups, gid, uid, in the order in which the rights to do so disappear.
    ///
    /// # Errors
    /// EPERM without SETGID or SETUID, EINVAL for an id that the user namespace doesn't map.
    pub fn apply(&self) -> Result<(), Failed> {
        step("set groups", set_thread_groups(&self.groups))?;
        step("set gid", set_thread_res_gid(self.gid, self.gid, self.gid))?;
        step("set uid", set_thread_res_uid(self.uid, self.uid, self.uid))
    }
}

/// What a process may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The bounding set; for root also permitted and effective.
    pub capabilities: CapabilitySet,
    /// execve gives no new privileges.
    pub no_new_privs: bool,
    /// The seccomp program; empty for none.
    pub filter: Cow<'static, [Instruction]>,
    /// How it is put on.
    pub filter_flags: FilterFlags,
}

/// The step that failed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// The words for an error message, such as `set uid`.
    pub operation: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Rights {
    /// Takes on the identity and these rights, for good. Afterwards only calls that the filter allows can be made.
    ///
    /// # Errors
    /// The first step that failed; the process is then between two states and has to end.
    pub fn apply(&self, identity: &Identity) -> Result<(), Failed> {
        step("drop capabilities from the bounding set", limit_bounding(self.capabilities))?;
        if !self.no_new_privs {
            self.install_filter()?;
        }
        identity.apply()?;
        step(
            "set capabilities",
            set_sets(if identity.uid.is_root() { self.capabilities } else { CapabilitySet::empty() }),
        )?;
        if self.no_new_privs {
            step("set no_new_privs", set_no_new_privs(true))?;
            self.install_filter()?;
        }
        Ok(())
    }

    fn install_filter(&self) -> Result<(), Failed> {
        if self.filter.is_empty() {
            return Ok(());
        }
        step("install seccomp filter", seccomp::install(&self.filter, self.filter_flags))
    }
}

/// Takes everything but `keep` out of the bounding set, capabilities that have no name yet included.
fn limit_bounding(keep: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let one = KernelSet::from_bits_retain(1 << number);
        if keep.for_kernel().contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The first number that the kernel doesn't know.
            Err(Errno::INVAL) => break,
            // Without SETPCAP nothing can be taken out, which is fine for what is not in, or unknown to the kernel.
            Err(Errno::PERM) if capability_is_in_bounding_set(one) != Ok(true) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the other four: permitted and effective to `wanted` as far as it is held, inheritable and ambient to nothing.
fn set_sets(wanted: CapabilitySet) -> Result<(), Errno> {
    clear_ambient_capability_set()?;
    let permitted = wanted.for_kernel() & capabilities(None)?.permitted;
    set_capabilities(
        None,
        CapabilitySets { effective: permitted, permitted, inheritable: KernelSet::empty() },
    )
}

fn step(operation: &'static str, done: Result<(), Errno>) -> Result<(), Failed> {
    done.map_err(|errno| Failed { operation, errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_group_is_among_the_groups_once() {
        let gid = |number| Gid::from_raw(number);
        let identity = Identity::new(Uid::from_raw(1000), gid(100), &[gid(27), gid(100), gid(27), gid(4)]);
        assert_eq!(identity.groups(), [gid(100), gid(27), gid(4)]);
        assert_eq!(Identity::root().groups(), [gid(0)]);
    }
}

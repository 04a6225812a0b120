//! Device rules in, a device program attached to a group out. The parent of a container runs this before clone3.

use alloc::format;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};
use skiff_syscalls::bpf;

use super::{
    Group, Host,
    devices::{self, Rule},
    group::PARENT,
};
use crate::{Context, Result, file};

/// The names in [`PARENT`] that are no container's begin so.
pub(super) const HOLDER: &str = "devices-";

impl Group {
    /// Lets only such devices be made and opened from inside as the rules allow, the last of which has the last word.
    /// For the default rules, the program that an earlier start has loaded is used again: loading costs 0.2 ms.
    ///
    /// # Kernel
    /// bpf(2) as in `skiff_syscalls::bpf`.
    ///
    /// # Errors
    /// EPERM where no BPF programs can be loaded: in a user namespace other than the first. There, no device node can
    /// be made and none on the namespace's own mounts can be opened, so that the caller may go on without.
    pub fn restrict_devices(&self, host: &Host, rules: &[Rule]) -> Result<()> {
        let program = devices::compile(rules)?;
        let load = || bpf::load_device_program(&program).context("load device rules", "");
        let program = if rules == devices::DEFAULT {
            let name = format!("{HOLDER}{}", devices::fingerprint(&program));
            match held(host, &name) {
                Some(program) => program,
                None => {
                    let program = load()?;
                    // Keeping it is a help to others, not a part of this start.
                    let _ = hold(host, &name, program.as_fd());
                    program
                }
            }
        } else {
            load()?
        };
        bpf::attach_device_program(self.directory(), program.as_fd())
            .context("attach device rules to", self.path())
    }
}

/// The program that a holder keeps.
fn held(host: &Host, name: &str) -> Option<OwnedFd> {
    let holder = file::directory(host.root(), format!("{PARENT}/{name}").as_str()).ok()?;
    // Two starts at once may both have attached one: they are the same.
    let mut ids = [0; 8];
    let count = bpf::attached_device_programs(holder.as_fd(), &mut ids).ok()?;
    ids.iter().take(count).find_map(|&id| bpf::program_by_id(id).ok())
}

/// Attaches a program to an empty group of its own.
fn hold(host: &Host, name: &str, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let parent = file::subdirectory(host.root(), PARENT, 0o755)?;
    let holder = file::subdirectory(&parent, name, 0o755)?;
    bpf::attach_device_program(holder.as_fd(), program)
}

#[cfg(test)]
mod tests {
    use super::{super::group::tests::Scratch, *};

    fn attached(group: &Group) -> Result<[u32; 2], Errno> {
        let mut ids = [0; 2];
        bpf::attached_device_programs(group.directory(), &mut ids).map(|_| ids)
    }

    #[test]
    fn the_default_program_is_loaded_once_and_others_on_their_own() {
        let Some(scratch) = Scratch::new("devices") else { return };
        let groups = ["a", "b", "c"].map(|name| scratch.group(name).unwrap());
        if attached(&groups[0]) == Err(Errno::PERM) {
            std::println!("skipped: no right to use BPF");
            return;
        }
        groups[0].restrict_devices(&scratch.0, &devices::DEFAULT).unwrap();
        groups[1].restrict_devices(&scratch.0, &devices::DEFAULT).unwrap();
        groups[2].restrict_devices(&scratch.0, &devices::DEFAULT[..5]).unwrap();
        let [first, second, other] = groups.map(|group| attached(&group).unwrap());
        // Another process may be the first to keep one, at the same moment; later ones agree.
        assert!(first[0] != 0 && second[0] != 0 && first[0] != other[0]);
        let again = scratch.group("d").unwrap();
        again.restrict_devices(&scratch.0, &devices::DEFAULT).unwrap();
        assert_eq!(attached(&again).unwrap(), second);
    }
}

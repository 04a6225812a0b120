//! Scenarios in the kernel's initial root file system.

use rustix::{io::Errno, mount::MountFlags};
use skiff_syscalls::clone::{self, CloneFlags, Fork};

/// The fact that skiff's own way around it is there for.
pub fn pivot_root_is_refused() {
    let Fork::Parent { pidfd, .. } = clone::fork(CloneFlags::NEWNS, None).unwrap() else {
        let attempt = || -> Result<(), Errno> {
            std::fs::create_dir_all("/run/root/old").map_err(|_| Errno::IO)?;
            rustix::mount::mount("tmpfs", "/run/root", "tmpfs", MountFlags::empty(), None)?;
            std::fs::create_dir_all("/run/root/old").map_err(|_| Errno::IO)?;
            rustix::process::pivot_root("/run/root", "/run/root/old")
        };
        let refused = attempt() == Err(Errno::INVAL);
        std::process::exit(i32::from(!refused));
    };
    assert_eq!(skiff_core::fork::wait(&pidfd), Ok(skiff_core::fork::Ended::Exited(0)));
    std::fs::remove_dir_all("/run/root").unwrap();
}

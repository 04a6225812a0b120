//! clone3 in its uses: a copy of this process; a child that borrows this process's memory until it executes; and
//! [`birth`], such a child in namespaces of its own, that is made while this process prepares what it will do.

pub mod birth;

use core::mem::size_of;

use linux_raw_sys::general::{__NR_clone, __NR_clone3, CLONE_PIDFD, SIGCHLD, clone_args};
use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    io::Errno,
    process::Pid,
};

use crate::raw;

#[cfg_attr(target_arch = "x86_64", path = "clone/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "clone/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "clone/riscv64.rs")]
mod call;

bitflags::bitflags! {
    /// `CLONE_*` flags of clone3.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CloneFlags: u64 {
        /// A new mount namespace.
        const NEWNS = linux_raw_sys::general::CLONE_NEWNS as u64;
        /// A new control group namespace.
        const NEWCGROUP = linux_raw_sys::general::CLONE_NEWCGROUP as u64;
        /// A new host name.
        const NEWUTS = linux_raw_sys::general::CLONE_NEWUTS as u64;
        /// New System V and POSIX message queues, semaphores, shared memory.
        const NEWIPC = linux_raw_sys::general::CLONE_NEWIPC as u64;
        /// A new user namespace.
        const NEWUSER = linux_raw_sys::general::CLONE_NEWUSER as u64;
        /// A new process number space.
        const NEWPID = linux_raw_sys::general::CLONE_NEWPID as u64;
        /// A new network stack.
        const NEWNET = linux_raw_sys::general::CLONE_NEWNET as u64;
        /// New clock offsets.
        const NEWTIME = linux_raw_sys::general::CLONE_NEWTIME as u64;
    }
}

/// What clone3 came back as.
#[derive(Debug)]
pub enum Fork {
    /// In the parent.
    Parent {
        /// The child's number, for display.
        pid: Pid,
        /// The child itself.
        pidfd: OwnedFd,
    },
    /// In the child.
    Child,
}

/// Copies this process; the child goes on behind the call with a copy of everything.
///
/// # Kernel
/// clone3 with CLONE_PIDFD, 5.3.
///
/// # Errors
/// EAGAIN, ENOMEM, EPERM for namespaces without the right.
pub fn fork(namespaces: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<Fork, Errno> {
    let mut pidfd = -1_i32;
    let args = arguments(namespaces, cgroup, &mut pidfd, 0);
    // SAFETY: args outlives the call and its size is passed; the kernel writes 4 bytes to pidfd. Without CLONE_VM the
    // child has its own copy of memory and of this stack, so returning in it is like returning from fork(2). Processes
    // of this project have one thread, so no lock can be held by a thread that the child lacks.
    let pid = match unsafe { raw::syscall2(__NR_clone3, &raw const args as usize, size_of::<clone_args>()) } {
        // A container's filter hides clone3, whose flags it can't see.
        Err(Errno::NOSYS) if namespaces.is_empty() && cgroup.is_none() => {
            let flags = CLONE_PIDFD | SIGCHLD;
            // SAFETY: as above; the third argument is where the pidfd goes, on every architecture.
            unsafe { raw::syscall5(__NR_clone, flags as usize, 0, &raw mut pidfd as usize, 0, 0) }
        }
        other => other,
    }?;
    match Pid::from_raw(pid as i32) {
        None => Ok(Fork::Child),
        // SAFETY: in the parent the kernel has put a new descriptor into pidfd, owned by nobody else.
        Some(pid) => Ok(Fork::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Starts `child` in a new process that borrows this process's memory, and waits until it has executed a program or
/// has exited. Saves the copying of page tables; what the child writes to memory is seen here.
///
/// The child must leave by execve or exit_group; `child` cannot return.
///
/// # Kernel
/// clone3 with CLONE_VM, CLONE_VFORK and CLONE_PIDFD, 5.3.
///
/// # Errors
/// As [`fork`]; ENOMEM for the stack.
pub fn vfork(
    cgroup: Option<BorrowedFd<'_>>,
    child: &mut dyn FnMut() -> core::convert::Infallible,
) -> Result<(Pid, OwnedFd), Errno> {
    use linux_raw_sys::general::{CLONE_VFORK, CLONE_VM};
    let stack = map(STACK)?;
    let mut pidfd = -1_i32;
    let mut args = arguments(CloneFlags::empty(), cgroup, &mut pidfd, u64::from(CLONE_VM | CLONE_VFORK));
    args.stack = stack as u64;
    args.stack_size = STACK as u64;
    let mut child = child;
    let closure = &raw mut child;
    // SAFETY: the child runs `enter` on its own stack, which lives until after the call: CLONE_VFORK suspends this
    // thread, the only one, until the child has executed or exited. `closure` points at a live `&mut dyn FnMut`, and
    // nobody else uses it meanwhile.
    let result = unsafe { clone_onto_stack(&args, enter as *const () as usize, closure as usize) };
    // SAFETY: the mapping made above; the child no longer uses it.
    let _ = unsafe { rustix::mm::munmap(stack, STACK) };
    let pid = Pid::from_raw(result? as i32).expect("clone3 gives a positive number to the parent");
    // SAFETY: the kernel has put a new descriptor into pidfd, owned by nobody else.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Bytes of a child's stack.
const STACK: usize = 128 * 1024;

/// Fresh anonymous memory.
fn map(length: usize) -> Result<*mut core::ffi::c_void, Errno> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    // SAFETY: at an address that the kernel chooses.
    unsafe {
        mmap_anonymous(core::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }
}

/// clone3 onto the stack that the arguments name, where the child calls `entry(argument)`. The child's number.
///
/// # Safety
/// The stack is the child's alone, and lives as long as the child uses it; `entry` is the address of an
/// `extern "C" fn(usize) -> !`, and `argument` is what it wants.
unsafe fn clone_onto_stack(args: &clone_args, entry: usize, argument: usize) -> Result<usize, Errno> {
    // SAFETY: the size is that of the arguments; the rest is by the caller.
    unsafe {
        raw::decode(call::clone_call(
            core::ptr::from_ref(args) as usize,
            size_of::<clone_args>(),
            entry,
            argument,
        ))
    }
}

/// Has this process killed when its parent, whose pidfd this is, ends; the parent may have ended already.
///
/// # Kernel
/// prctl(PR_SET_PDEATHSIG). A change of user or of rights takes it away.
///
/// # Errors
/// ESRCH if the parent has ended.
pub fn die_with(parent: BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut watched = [PollFd::from_borrowed_fd(parent, PollFlags::IN)];
    match poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
        0 => Ok(()),
        _ => Err(Errno::SRCH),
    }
}

/// The first Rust code of a vforked child.
unsafe extern "C" fn enter(closure: *mut &mut dyn FnMut() -> core::convert::Infallible) -> ! {
    // SAFETY: vfork passes a pointer to its own local, and its frame is suspended while this runs.
    match (unsafe { &mut *closure })() {}
}

fn arguments(
    namespaces: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    pidfd: &mut i32,
    more: u64,
) -> clone_args {
    use linux_raw_sys::general::CLONE_INTO_CGROUP;
    // SAFETY: clone_args is plain integers, for which zero is valid.
    let mut args: clone_args = unsafe { core::mem::zeroed() };
    args.flags = namespaces.bits() | u64::from(CLONE_PIDFD) | more;
    args.pidfd = core::ptr::from_mut(pidfd) as u64;
    args.exit_signal = u64::from(SIGCHLD);
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::exit;
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    fn status(pidfd: &OwnedFd) -> i32 {
        use rustix::fd::AsFd;
        let exited = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        exited.exit_status().unwrap()
    }

    #[test]
    fn a_vforked_child_writes_to_the_parents_memory() {
        let mut written = 0;
        let (_, pidfd) = vfork(None, &mut || {
            written = 42;
            exit(7)
        })
        .unwrap();
        assert_eq!((status(&pidfd), written), (7, 42));
    }

    #[test]
    fn a_forked_child_has_its_own_memory() {
        let mut written = 0;
        match fork(CloneFlags::empty(), None).unwrap() {
            Fork::Child => {
                written += 42;
                exit(written)
            }
            Fork::Parent { pidfd, .. } => assert_eq!((status(&pidfd), written), (42, 0)),
        }
    }
}

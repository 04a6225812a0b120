//! bpf(2), as far as device rules need it: load a program that decides about devices, attach it to a control group,
//! and find out which programs are attached there.

use core::mem::{offset_of, size_of};

use linux_raw_sys::general::__NR_bpf;
use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    io::Errno,
};

use crate::raw;

// linux-raw-sys has no linux/bpf.h; these are its numbers.
const BPF_PROG_LOAD: usize = 5;
const BPF_PROG_ATTACH: usize = 8;
const BPF_PROG_GET_FD_BY_ID: usize = 13;
const BPF_PROG_QUERY: usize = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// One eBPF instruction.
///
/// # Spec
/// The kernel's Documentation/bpf/standardization/instruction-set.rst.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Class, operation and source.
    pub code: u8,
    /// The destination register in the low half, the source register in the high half (little endian hosts).
    pub registers: u8,
    /// Of a jump, in instructions after the next one; of a load or store, in bytes.
    pub offset: i16,
    /// The constant.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8 && offset_of!(Instruction, immediate) == 4);

#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

const _: () = assert!(size_of::<Load>() == 64 && offset_of!(Load, name) == 48);

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const _: () = assert!(size_of::<Attach>() == 16);

#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attached_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

const _: () = assert!(size_of::<Query>() == 32 && offset_of!(Query, count) == 24);

/// Loads a program that the kernel asks before a process makes (mknod) or opens a device node. It answers 1 for yes
/// in register 0, and gets the kind and access, the major and the minor number as three 32-bit words at register 1.
///
/// # Kernel
/// `BPF_PROG_LOAD`, `BPF_PROG_TYPE_CGROUP_DEVICE`, 4.15.
///
/// # Errors
/// EPERM without `CAP_BPF` (`CAP_SYS_ADMIN` before 5.8) in the first user namespace, EINVAL or EACCES for a program that the
/// verifier refuses.
pub fn load_device_program(instructions: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr().expose_provenance() as u64,
        license: c"Dual MIT/GPL".as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"skiff_devices\0\0\0",
    };
    // SAFETY: the kernel reads `attributes`, `instruction_count` instructions and a terminated string during the call;
    // all three outlive it. It writes nothing, as there is no log buffer.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &raw const attributes, size_of::<Load>()) }?;
    // SAFETY: a new descriptor (close-on-exec by the kernel's choice) that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Attaches a program from [`load_device_program`] to a control group of cgroup2, beside what is attached there and
/// above: the device is allowed if all of them say yes.
///
/// # Kernel
/// `BPF_PROG_ATTACH` with `BPF_F_ALLOW_MULTI`, 4.15.
///
/// # Errors
/// EPERM without the right, or if a group above is attached to exclusively; EBADF if `group` is not of cgroup2.
pub fn attach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the kernel reads `attributes` during the call; both descriptors are borrowed, hence open.
    unsafe { bpf(BPF_PROG_ATTACH, &raw const attributes, size_of::<Attach>()) }.map(drop)
}

/// Writes the numbers of the device programs that are attached to the group itself into `ids`, and says how many.
///
/// # Kernel
/// `BPF_PROG_QUERY`, 4.15.
///
/// # Errors
/// ENOSPC if there are more than fit, EPERM without the right.
pub fn attached_device_programs(group: BorrowedFd<'_>, ids: &mut [u32]) -> Result<usize, Errno> {
    let mut attributes = Query {
        target: group.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: 0,
        attached_flags: 0,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    // SAFETY: the kernel reads and writes `attributes` and writes at most `count` words at `ids` during the call; both
    // are exclusively ours until it returns.
    unsafe { bpf(BPF_PROG_QUERY, &raw mut attributes, size_of::<Query>()) }?;
    Ok(attributes.count as usize)
}

/// A descriptor of the loaded program that has this number.
///
/// # Kernel
/// `BPF_PROG_GET_FD_BY_ID`, 4.13.
///
/// # Errors
/// ENOENT if there is no such program any more, EPERM without `CAP_SYS_ADMIN`.
pub fn program_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let attributes = [id, 0, 0];
    // SAFETY: the kernel reads `attributes` during the call.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, attributes.as_ptr(), size_of::<[u32; 3]>()) }?;
    // SAFETY: a new descriptor (close-on-exec by the kernel's choice) that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// # Safety
/// `attributes` points to `size` bytes that are what `command` takes, valid for reads and, where the command answers in
/// them, for writes; so are the addresses inside.
unsafe fn bpf<T>(command: usize, attributes: *const T, size: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { raw::syscall3(__NR_bpf, command, attributes.expose_provenance(), size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: [Instruction; 2] = [
        Instruction { code: 0xb7, registers: 0, offset: 0, immediate: 1 },
        Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
    ];

    #[test]
    fn a_program_without_an_end_is_refused() {
        match load_device_program(&ALLOW[..1]) {
            Err(Errno::PERM) => std::println!("skipped: no right to load BPF programs"),
            other => assert_eq!(other.unwrap_err(), Errno::INVAL),
        }
    }

    #[test]
    fn a_program_attaches_only_to_a_group_of_cgroup2() {
        match load_device_program(&ALLOW) {
            Err(Errno::PERM) => std::println!("skipped: no right to load BPF programs"),
            program => {
                use rustix::fd::AsFd;
                let program = program.unwrap();
                let elsewhere =
                    rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
                let attached = attach_device_program(elsewhere.as_fd(), program.as_fd());
                assert_eq!(attached, Err(Errno::BADF));
            }
        }
    }
}

//! clone3 on another stack, in riscv64: the one instruction sequence that cannot be a plain call, because the child must not
//! touch the frame that the parent returns to.

/// clone3; the child calls `entry(argument)` on the stack that the arguments name.
///
/// # Safety
/// `arguments` is the address of a valid `clone_args` of `size` bytes with a stack, `entry` that of an
/// `extern "C" fn(usize) -> !`, and `argument` is what it wants.
pub(super) unsafe fn clone_call(arguments: usize, size: usize, entry: usize, argument: usize) -> usize {
    let result: usize;
    // SAFETY: by the caller. In the child the stack pointer is the new stack's top.
    unsafe {
        core::arch::asm!(
            "ecall",
            "bnez a0, 2f",
            "mv a0, t4",
            "jalr t3",
            "unimp",
            "2:",
            in("a7") linux_raw_sys::general::__NR_clone3 as usize,
            inlateout("a0") arguments => result,
            in("a1") size,
            in("t3") entry,
            in("t4") argument,
            out("ra") _,
        );
    }
    result
}

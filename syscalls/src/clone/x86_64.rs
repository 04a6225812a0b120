//! clone3 on another stack, in x86_64: the one instruction sequence that cannot be a plain call, because the child must not
//! touch the frame that the parent returns to.

/// clone3; the child calls `entry(argument)` on the stack that the arguments name.
///
/// # Safety
/// `arguments` is the address of a valid `clone_args` of `size` bytes with a stack, `entry` that of an
/// `extern "C" fn(usize) -> !`, and `argument` is what it wants.
pub(super) unsafe fn clone_call(arguments: usize, size: usize, entry: usize, argument: usize) -> usize {
    let result: usize;
    // SAFETY: by the caller. The kernel clobbers rcx and r11; in the child the stack pointer is the new stack's top,
    // aligned to 16 bytes as a call expects.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") linux_raw_sys::general::__NR_clone3 as usize => result,
            in("rdi") arguments,
            in("rsi") size,
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

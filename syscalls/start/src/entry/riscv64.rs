//! The first instructions on riscv64: the global pointer that the linker counts on, no frame above, and the kernel's
//! stack, which is aligned, as the argument.

core::arch::global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "mv s0, zero",
    "mv ra, zero",
    "mv a0, sp",
    "tail {begin}",
    begin = sym super::begin,
);

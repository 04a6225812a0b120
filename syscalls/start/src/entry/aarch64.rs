//! The first instructions on aarch64: no frame above, the kernel's stack, which is aligned, as the argument.

core::arch::global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "b {begin}",
    begin = sym super::begin,
);

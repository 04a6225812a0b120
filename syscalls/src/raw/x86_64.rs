//! `syscall` on x86_64: the number in rax, arguments in rdi rsi rdx r10 r8 r9, the result in rax; rcx and r11 are lost.

use core::arch::asm;

/// 0 arguments.
///
/// # Safety
/// As [`super::syscall0`].
#[inline(always)]
pub(super) unsafe fn syscall0(number: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 1 argument.
///
/// # Safety
/// As [`super::syscall1`].
#[inline(always)]
pub(super) unsafe fn syscall1(number: usize, a0: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 2 arguments.
///
/// # Safety
/// As [`super::syscall2`].
#[inline(always)]
pub(super) unsafe fn syscall2(number: usize, a0: usize, a1: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            in("rsi") a1,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 3 arguments.
///
/// # Safety
/// As [`super::syscall3`].
#[inline(always)]
pub(super) unsafe fn syscall3(number: usize, a0: usize, a1: usize, a2: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            in("rsi") a1,
            in("rdx") a2,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 4 arguments.
///
/// # Safety
/// As [`super::syscall4`].
#[inline(always)]
pub(super) unsafe fn syscall4(number: usize, a0: usize, a1: usize, a2: usize, a3: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            in("rsi") a1,
            in("rdx") a2,
            in("r10") a3,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 5 arguments.
///
/// # Safety
/// As [`super::syscall5`].
#[inline(always)]
pub(super) unsafe fn syscall5(number: usize, a0: usize, a1: usize, a2: usize, a3: usize, a4: usize) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            in("rsi") a1,
            in("rdx") a2,
            in("r10") a3,
            in("r8") a4,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// 6 arguments.
///
/// # Safety
/// As [`super::syscall6`].
#[inline(always)]
pub(super) unsafe fn syscall6(
    number: usize,
    a0: usize,
    a1: usize,
    a2: usize,
    a3: usize,
    a4: usize,
    a5: usize,
) -> usize {
    let result;
    // SAFETY: the registers that the kernel loses are named, no stack is used, and memory counts as changed; what the
    // call itself does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a0,
            in("rsi") a1,
            in("rdx") a2,
            in("r10") a3,
            in("r8") a4,
            in("r9") a5,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

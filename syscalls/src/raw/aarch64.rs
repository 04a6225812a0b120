//! `svc 0` on aarch64: the number in x8, arguments in x0 to x5, the result in x0; nothing else is lost.

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
            "svc 0",
            in("x8") number,
            lateout("x0") result,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
            in("x1") a1,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
            in("x1") a1,
            in("x2") a2,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
            in("x1") a1,
            in("x2") a2,
            in("x3") a3,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
            in("x1") a1,
            in("x2") a2,
            in("x3") a3,
            in("x4") a4,
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
            "svc 0",
            in("x8") number,
            inlateout("x0") a0 => result,
            in("x1") a1,
            in("x2") a2,
            in("x3") a3,
            in("x4") a4,
            in("x5") a5,
            options(nostack),
        );
    }
    result
}

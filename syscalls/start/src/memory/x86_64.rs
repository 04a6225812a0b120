//! More than 16 bytes on x86_64: vectors of 16 bytes, and the processor's own string instructions for long ranges, which
//! take some dozens of cycles to begin.

use core::arch::{
    asm,
    x86_64::{__m128i, _mm_loadu_si128, _mm_set1_epi64x, _mm_storeu_si128},
};

const VECTOR_BYTES: usize = 16;
/// From here on string instructions are faster.
const LONG_BYTES: usize = 1024;

/// Copies from the lowest address on. The ranges may overlap if the target is below the source.
///
/// # Safety
/// `count`, more than 16, bytes can be read and written there.
#[inline(always)]
pub(super) unsafe fn copy_up(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: every access is within the ranges; the last vector is read before anything is written to where it may be.
    unsafe {
        // Closer ranges make the string instruction go byte by byte.
        if count >= LONG_BYTES && (from as usize).wrapping_sub(to as usize) >= 64 {
            asm!(
                "rep movsb",
                inout("rcx") count => _,
                inout("rdi") to => _,
                inout("rsi") from => _,
                options(nostack, preserves_flags),
            );
            return;
        }
        let rest = count - VECTOR_BYTES;
        let last = _mm_loadu_si128(from.add(rest).cast::<__m128i>());
        asm!(
            "2:",
            "movups {vector}, [{from} + {at}]",
            "movups [{to} + {at}], {vector}",
            "add {at}, 16",
            "cmp {at}, {rest}",
            "jb 2b",
            at = inout(reg) 0_usize => _,
            rest = in(reg) rest,
            from = in(reg) from,
            to = in(reg) to,
            vector = out(xmm_reg) _,
            options(nostack),
        );
        _mm_storeu_si128(to.add(rest).cast::<__m128i>(), last);
    }
}

/// Copies from the highest address on. The ranges may overlap if the target is above the source.
///
/// # Safety
/// As [`copy_up`].
#[inline(always)]
pub(super) unsafe fn copy_down(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: as above, with the first vector. The loop ends with 1 to 16 bytes left, which are in that vector.
    unsafe {
        let first = _mm_loadu_si128(from.cast::<__m128i>());
        asm!(
            "2:",
            "movups {vector}, [{from} + {left} - 16]",
            "movups [{to} + {left} - 16], {vector}",
            "sub {left}, 16",
            "cmp {left}, 16",
            "ja 2b",
            left = inout(reg) count => _,
            from = in(reg) from,
            to = in(reg) to,
            vector = out(xmm_reg) _,
            options(nostack),
        );
        _mm_storeu_si128(to.cast::<__m128i>(), first);
    }
}

/// Fills with a byte, eight times in `pattern`.
///
/// # Safety
/// `count`, more than 16, bytes can be written there.
#[inline(always)]
pub(super) unsafe fn fill(to: *mut u8, pattern: u64, count: usize) {
    // SAFETY: every access is within the range.
    unsafe {
        if count >= LONG_BYTES {
            asm!(
                "rep stosb",
                inout("rcx") count => _,
                inout("rdi") to => _,
                in("al") pattern as u8,
                options(nostack, preserves_flags),
            );
            return;
        }
        let rest = count - VECTOR_BYTES;
        let vector = _mm_set1_epi64x(pattern as i64);
        asm!(
            "2:",
            "movups [{to} + {at}], {vector}",
            "add {at}, 16",
            "cmp {at}, {rest}",
            "jb 2b",
            at = inout(reg) 0_usize => _,
            rest = in(reg) rest,
            to = in(reg) to,
            vector = in(xmm_reg) vector,
            options(nostack),
        );
        _mm_storeu_si128(to.add(rest).cast::<__m128i>(), vector);
    }
}

//! More than 16 bytes without instructions of one processor: words where both ends are aligned alike, else bytes. All
//! accesses are volatile, so that the compiler does not recognise the loops.

const WORD_BYTES: usize = size_of::<u64>();

/// Whether a word can be at this address or difference of addresses.
fn is_aligned(address: usize) -> bool {
    address.is_multiple_of(WORD_BYTES)
}

/// Copies from the lowest address on. The ranges may overlap if the target is below the source.
///
/// # Safety
/// `count` bytes can be read and written there.
#[inline(always)]
pub(super) unsafe fn copy_up(to: *mut u8, from: *const u8, count: usize) {
    let mut at = 0;
    // SAFETY: every access is below the count, words only where both addresses are aligned.
    unsafe {
        if is_aligned(to as usize ^ from as usize) {
            while at < count && !is_aligned(to as usize + at) {
                to.add(at).write_volatile(from.add(at).read_volatile());
                at += 1;
            }
            while count - at >= WORD_BYTES {
                let word = from.add(at).cast::<u64>().read_volatile();
                to.add(at).cast::<u64>().write_volatile(word);
                at += WORD_BYTES;
            }
        }
        while at < count {
            to.add(at).write_volatile(from.add(at).read_volatile());
            at += 1;
        }
    }
}

/// Copies from the highest address on. The ranges may overlap if the target is above the source.
///
/// # Safety
/// As [`copy_up`].
#[inline(always)]
pub(super) unsafe fn copy_down(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    // SAFETY: as above.
    unsafe {
        if is_aligned(to as usize ^ from as usize) {
            while left > 0 && !is_aligned(to as usize + left) {
                left -= 1;
                to.add(left).write_volatile(from.add(left).read_volatile());
            }
            while left >= WORD_BYTES {
                left -= WORD_BYTES;
                let word = from.add(left).cast::<u64>().read_volatile();
                to.add(left).cast::<u64>().write_volatile(word);
            }
        }
        while left > 0 {
            left -= 1;
            to.add(left).write_volatile(from.add(left).read_volatile());
        }
    }
}

/// Fills with a byte, eight times in `pattern`.
///
/// # Safety
/// `count` bytes can be written there.
#[inline(always)]
pub(super) unsafe fn fill(to: *mut u8, pattern: u64, count: usize) {
    let mut at = 0;
    // SAFETY: every access is below the count, words only where the address is aligned.
    unsafe {
        while at < count && !is_aligned(to as usize + at) {
            to.add(at).write_volatile(pattern as u8);
            at += 1;
        }
        while count - at >= WORD_BYTES {
            to.add(at).cast::<u64>().write_volatile(pattern);
            at += WORD_BYTES;
        }
        while at < count {
            to.add(at).write_volatile(pattern as u8);
            at += 1;
        }
    }
}

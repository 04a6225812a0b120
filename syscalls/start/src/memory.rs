//! The functions on memory that the compiler calls on its own. They may not call themselves, so whatever the compiler
//! would turn into one of them (a loop that copies, a loop that fills) is written as instructions or with volatile
//! accesses.

#[cfg_attr(target_arch = "x86_64", path = "memory/x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "memory/words.rs")]
mod bulk;
#[cfg(test)]
#[path = "memory/words.rs"]
mod words;

use core::ffi::{c_char, c_int};

/// Up to here a copy is two loads and two stores.
const SHORT_BYTES: usize = 16;

/// As in C.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: by the caller; what does not overlap can be copied in any order.
    unsafe { if count <= SHORT_BYTES { copy_short(to, from, count) } else { bulk::copy_up(to, from, count) } }
    to
}

/// As in C.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: by the caller; upwards is right unless the target begins within the source.
    unsafe {
        if count <= SHORT_BYTES {
            copy_short(to, from, count);
        } else if (to as usize).wrapping_sub(from as usize) >= count {
            bulk::copy_up(to, from, count);
        } else {
            bulk::copy_down(to, from, count);
        }
    }
    to
}

/// Copies at most [`SHORT_BYTES`]; everything is read before anything is written.
///
/// # Safety
/// `count` bytes can be read and written there.
#[inline(always)]
unsafe fn copy_short(to: *mut u8, from: *const u8, count: usize) {
    macro_rules! both_ends {
        ($word:ty) => {{
            let rest = count - size_of::<$word>();
            // SAFETY: the count is at least the word's size and at most twice that.
            unsafe {
                let first = from.cast::<$word>().read_unaligned();
                let last = from.add(rest).cast::<$word>().read_unaligned();
                to.cast::<$word>().write_unaligned(first);
                to.add(rest).cast::<$word>().write_unaligned(last);
            }
        }};
    }
    match count {
        8.. => both_ends!(u64),
        4.. => both_ends!(u32),
        2.. => both_ends!(u16),
        // SAFETY: there is one byte.
        1 => unsafe { to.write(from.read()) },
        0 => {}
    }
}

/// As in C.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, count: usize) -> *mut u8 {
    let pattern = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    macro_rules! both_ends {
        ($word:ty) => {{
            // SAFETY: the count is at least the word's size and at most twice that.
            unsafe {
                to.cast::<$word>().write_unaligned(pattern as $word);
                to.add(count - size_of::<$word>()).cast::<$word>().write_unaligned(pattern as $word);
            }
        }};
    }
    match count {
        // SAFETY: by the caller.
        17.. => unsafe { bulk::fill(to, pattern, count) },
        8.. => both_ends!(u64),
        4.. => both_ends!(u32),
        2.. => both_ends!(u16),
        // SAFETY: there is one byte.
        1 => unsafe { to.write(byte as u8) },
        0 => {}
    }
    to
}

/// As in C.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
    // SAFETY: by the caller.
    unsafe { compare(a, b, count) }
}

/// [`memcmp`], of which only zero or not is asked.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
    // SAFETY: by the caller.
    unsafe { compare(a, b, count) }
}

#[inline(always)]
unsafe fn compare(a: *const u8, b: *const u8, count: usize) -> c_int {
    let mut at = 0;
    // SAFETY: all reads are below the count.
    unsafe {
        while count - at >= 8 {
            let x = a.add(at).cast::<u64>().read_unaligned();
            let y = b.add(at).cast::<u64>().read_unaligned();
            if x != y {
                // The first byte in memory decides.
                return if x.to_be() < y.to_be() { -1 } else { 1 };
            }
            at += 8;
        }
        while at < count {
            let (x, y) = (a.add(at).read(), b.add(at).read());
            if x != y {
                return c_int::from(x) - c_int::from(y);
            }
            at += 1;
        }
    }
    0
}

/// As in C.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: no byte behind the zero is read.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    const COUNTS: [usize; 29] = [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 95, 96, 97, 127, 129, 255,
        1023, 1025, 5000,
    ];

    fn text(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    type Move = unsafe fn(*mut u8, *const u8, usize);

    unsafe fn copy_c(to: *mut u8, from: *const u8, count: usize) {
        // SAFETY: by the caller.
        unsafe { memcpy(to, from, count) };
    }

    unsafe fn move_c(to: *mut u8, from: *const u8, count: usize) {
        // SAFETY: by the caller.
        unsafe { memmove(to, from, count) };
    }

    unsafe fn fill_c(to: *mut u8, byte: u8, count: usize) {
        // SAFETY: by the caller.
        unsafe { memset(to, byte.into(), count) };
    }

    unsafe fn fill_words(to: *mut u8, byte: u8, count: usize) {
        // SAFETY: by the caller.
        unsafe { words::fill(to, u64::from(byte) * 0x0101_0101_0101_0101, count) };
    }

    fn check_move(copy: Move, apart: impl Fn(usize) -> Vec<(usize, usize)>) {
        for count in COUNTS {
            for (to, from) in apart(count) {
                let mut memory = text(count * 3 + 40);
                let mut expected = memory.clone();
                expected.copy_within(from..from + count, to);
                let start = memory.as_mut_ptr();
                // SAFETY: both ranges are within the vector.
                unsafe { copy(start.add(to), start.add(from), count) };
                assert!(memory == expected, "{count} bytes from {from} to {to}");
            }
        }
    }

    /// Targets and sources that don't overlap, at all alignments.
    fn separate(count: usize) -> Vec<(usize, usize)> {
        let both = |shift: usize| [(shift, count + 17), (count + 17, shift), (shift + 3, count + 20)];
        (0..16).flat_map(both).collect()
    }

    /// Targets below their sources.
    fn down(count: usize) -> Vec<(usize, usize)> {
        [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100]
            .iter()
            .flat_map(|by| [(0, *by), (5, 5 + by)])
            .filter(|(_, from)| from + count < count * 3 + 40)
            .collect()
    }

    /// Targets above their sources.
    fn up(count: usize) -> Vec<(usize, usize)> {
        down(count).into_iter().map(|(to, from)| (from, to)).collect()
    }

    #[test]
    fn copies_are_exact_at_every_size_and_alignment() {
        check_move(copy_c, separate);
        check_move(move_c, separate);
    }

    #[test]
    fn moves_may_overlap_both_ways() {
        check_move(move_c, down);
        check_move(move_c, up);
    }

    #[test]
    fn the_way_without_special_instructions_is_exact_too() {
        check_move(words::copy_up, separate);
        check_move(words::copy_up, down);
        check_move(words::copy_down, up);
        check_fill(fill_words);
    }

    fn check_fill(fill: unsafe fn(*mut u8, u8, usize)) {
        for count in COUNTS {
            for start in 0..16 {
                for byte in [0, 1, 0xa5, 0xff] {
                    let mut memory = text(count + 40);
                    let mut expected = memory.clone();
                    expected[start..start + count].fill(byte);
                    // SAFETY: the range is within the vector.
                    unsafe { fill(memory.as_mut_ptr().add(start), byte, count) };
                    assert!(memory == expected, "{count} bytes of {byte} at {start}");
                }
            }
        }
    }

    #[test]
    fn fills_are_exact_at_every_size_and_alignment() {
        check_fill(fill_c);
        // Only the last byte of the number counts.
        let mut memory = vec![0; 20];
        // SAFETY: the vector has 20 bytes.
        unsafe { memset(memory.as_mut_ptr(), 0x1234, 20) };
        assert_eq!(memory, [0x34; 20]);
    }

    #[test]
    fn comparisons_find_the_first_difference() {
        for count in COUNTS {
            let a = text(count);
            // SAFETY: all reads are within the vectors.
            unsafe {
                assert_eq!(memcmp(a.as_ptr(), a.clone().as_ptr(), count), 0);
                for at in (0..count).step_by(3) {
                    let mut b = a.clone();
                    b[at] = a[at].wrapping_add(1);
                    if at + 1 < count {
                        b[count - 1] = 0;
                    }
                    let expected = a.cmp(&b) as c_int;
                    assert_eq!(memcmp(a.as_ptr(), b.as_ptr(), count).signum(), expected, "{count} {at}");
                    assert_ne!(bcmp(a.as_ptr(), b.as_ptr(), count), 0);
                }
            }
        }
    }

    #[test]
    fn a_string_ends_at_its_zero() {
        // SAFETY: both end with a zero.
        assert_eq!(unsafe { (strlen(c"".as_ptr()), strlen(c"seven..".as_ptr())) }, (0, 7));
    }
}

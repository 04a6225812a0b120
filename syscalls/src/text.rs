//! This program's own code in memory.

use rustix::mm::{Advice, madvise};

unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Has the kernel map all of the program's code at once, as far as it is in the page cache: one call instead of a page
/// fault for each part of it that is run. For a process that will run much of it.
///
/// # Kernel
/// madvise(MADV_POPULATE_READ), 5.14; before, nothing happens.
pub fn map_all() {
    const PAGE: usize = 4096;
    let begin = (&raw const __executable_start).addr() & !(PAGE - 1);
    let end = (&raw const etext).addr().next_multiple_of(PAGE);
    // SAFETY: the range is that of the program's own image; reading it in changes nothing.
    let _ =
        unsafe { madvise(core::ptr::without_provenance_mut(begin), end - begin, Advice::LinuxPopulateRead) };
}

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
    // SAFETY: reading the program's own image in changes nothing.
    unsafe { advise(Advice::LinuxPopulateRead) };
}

/// Has the kernel map the program's code anew, as it is run from here on. For a process that has begun with much of it, and
/// goes on with little.
///
/// # Kernel
/// madvise(MADV_DONTNEED)
pub fn unmap() {
    // SAFETY: nobody has written to the program's code and its constants, so that the file has them as they are.
    unsafe { advise(Advice::LinuxDontNeed) };
}

/// # Safety
/// Those of the advice, for the part of the program's image that can't be written to.
unsafe fn advise(advice: Advice) {
    const PAGE: usize = 4096;
    let begin = (&raw const __executable_start).addr() & !(PAGE - 1);
    // What begins within a page may share it with what can be written to.
    let end = (&raw const etext).addr() & !(PAGE - 1);
    // SAFETY: as the caller has said.
    let _ = unsafe { madvise(core::ptr::without_provenance_mut(begin), end - begin, advice) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_comes_back_when_it_is_run() {
        super::map_all();
        super::unmap();
        super::unmap();
    }
}

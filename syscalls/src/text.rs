//! This program's own code in memory.

use rustix::mm::{Advice, madvise};

unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Has the kernel map the program's code anew, as it is run from here on. For a process that has begun with much of it, and
/// goes on with little.
///
/// # Kernel
/// madvise(MADV_DONTNEED)
pub fn unmap() {
    const PAGE: usize = 4096;
    let begin = (&raw const __executable_start).addr() & !(PAGE - 1);
    // What begins within a page may share it with what can be written to.
    let end = (&raw const etext).addr() & !(PAGE - 1);
    let begin_at = core::ptr::without_provenance_mut(begin);
    // SAFETY: nobody has written to the program's code and its constants, so that the file has them as they are.
    let _ = unsafe { madvise(begin_at, end - begin, Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_comes_back_when_it_is_run() {
        super::unmap();
        super::unmap();
    }
}

//! The heap. Small blocks come from pieces of memory that stay with the process, the first of them a part of the binary
//! that costs no system call; a big block is a mapping of its own, which goes back to the kernel when it is freed.

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
    ptr,
};

use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};
use talc::{TalcCell, base::Talc, base::binning::Binning, source::Source};

/// From this size on a block is a mapping.
const BIG_BYTES: usize = 128 << 10;
/// What the heap has from the start.
const FIRST_BYTES: usize = 128 << 10;
/// What it grows by.
const PIECE_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 4096;

static mut FIRST: [u8; FIRST_BYTES] = [0; FIRST_BYTES];

#[cfg_attr(not(test), global_allocator)]
static HEAP: Heap = Heap(TalcCell::new(Pieces { first_is_used: false }));

struct Heap(TalcCell<Pieces>);

// SAFETY: a process has one thread (a second one is never made), and no signal handler runs Rust code. A child that
// shares this memory (CLONE_VM) runs while its parent waits.
unsafe impl Sync for Heap {}

/// Where the memory for small blocks comes from.
#[derive(Debug)]
struct Pieces {
    first_is_used: bool,
}

// SAFETY: nothing here allocates.
unsafe impl Source for Pieces {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.first_is_used {
            talc.source.first_is_used = true;
            // SAFETY: nobody else knows the array.
            unsafe { talc.claim((&raw mut FIRST).cast(), FIRST_BYTES) };
            return Ok(());
        }
        // Besides the block itself a piece holds what its alignment wastes and the allocator's own few words.
        let wanted =
            layout.size().checked_add(layout.align()).and_then(|bytes| bytes.checked_add(PAGE_BYTES));
        let bytes = wanted.and_then(|bytes| bytes.checked_next_multiple_of(PIECE_BYTES)).ok_or(())?;
        let piece = map(bytes);
        if piece.is_null() {
            return Err(());
        }
        // SAFETY: the mapping is new.
        unsafe { talc.claim(piece, bytes) };
        Ok(())
    }
}

// SAFETY: blocks are talc's or mappings of their own, and a block's layout tells which; both are as big as asked for and
// aligned, and null is given if there is no memory.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            return map(layout.size());
        }
        // SAFETY: by the caller.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            return map(layout.size());
        }
        // SAFETY: by the caller.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_big(layout) {
            // SAFETY: by the caller this is a block of this size, so a mapping of its own, and unused from now on.
            let _ = unsafe { munmap(block.cast(), layout.size()) };
        } else {
            // SAFETY: by the caller.
            unsafe { self.0.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the size is not zero and not too big for the alignment, by the caller.
        let new_layout = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        match (is_big(layout), is_big(new_layout)) {
            // SAFETY: a mapping of its own, of which nothing is used at the old address from now on.
            (true, true) => unsafe { mremap(block.cast(), layout.size(), bytes, MremapFlags::MAYMOVE) }
                .map_or(ptr::null_mut(), <*mut c_void>::cast),
            // SAFETY: by the caller.
            (false, false) => unsafe { self.0.realloc(block, layout, bytes) },
            _ => {
                // SAFETY: both blocks are there and different, and have at least the bytes that are copied.
                unsafe {
                    let new = self.alloc(new_layout);
                    if !new.is_null() {
                        ptr::copy_nonoverlapping(block, new, layout.size().min(bytes));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

fn is_big(layout: Layout) -> bool {
    layout.size() >= BIG_BYTES && layout.align() <= PAGE_BYTES
}

/// New zeroed memory; null if there is none.
fn map(bytes: usize) -> *mut u8 {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: the kernel chooses an address where nothing is.
    let mapping = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, flags) };
    mapping.map_or(ptr::null_mut(), <*mut c_void>::cast)
}

/// How far before a C block its size stands, and the largest alignment that C gets.
const C_HEAD_BYTES: usize = 64;

fn c_layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(C_HEAD_BYTES)?, C_HEAD_BYTES).ok()
}

/// Puts a head with the size in front of a block; null stays null.
///
/// # Safety
/// `block` is null or a block of this layout.
unsafe fn with_head(block: *mut u8, layout: Layout) -> *mut c_void {
    if block.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the head is within the block and aligned.
    unsafe {
        block.cast::<usize>().write(layout.size());
        block.add(C_HEAD_BYTES).cast()
    }
}

/// The C function, for the alignments that zlib-rs asks for.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn posix_memalign(result: *mut *mut c_void, align: usize, bytes: usize) -> c_int {
    const ENOMEM: c_int = 12;
    let Some(layout) = c_layout(bytes).filter(|_| align <= C_HEAD_BYTES) else { return ENOMEM };
    // SAFETY: the layout is not empty; the result's place is the caller's.
    unsafe {
        let block = with_head(HEAP.alloc(layout), layout);
        result.write(block);
        if block.is_null() { ENOMEM } else { 0 }
    }
}

/// The C function.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    let Some(layout) = count.checked_mul(bytes).and_then(c_layout) else { return ptr::null_mut() };
    // SAFETY: the layout is not empty.
    unsafe { with_head(HEAP.alloc_zeroed(layout), layout) }
}

/// The C function.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: by the caller the block is one of the above, so its layout stands in its head.
    unsafe {
        let head = block.cast::<u8>().sub(C_HEAD_BYTES);
        let layout = Layout::from_size_align_unchecked(head.cast::<usize>().read(), C_HEAD_BYTES);
        HEAP.dealloc(head, layout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn heap() -> Heap {
        // Not the first piece, which two tests at once would share.
        Heap(TalcCell::new(Pieces { first_is_used: true }))
    }

    #[test]
    fn blocks_of_all_sizes_keep_their_content_while_they_grow_and_shrink() {
        let heap = heap();
        let sizes =
            [1, 15, 100, 4096, 100_000, BIG_BYTES - 1, BIG_BYTES, 1 << 20, 3 << 20, BIG_BYTES, 5000, 1];
        for align in [1, 16, 64, 4096, 8192] {
            let mut layout = Layout::from_size_align(sizes[0], align).unwrap();
            // SAFETY: each block is used within its size and freed once.
            unsafe {
                let mut block = heap.alloc(layout);
                block.write(7);
                for bytes in sizes {
                    block = heap.realloc(block, layout, bytes);
                    layout = Layout::from_size_align(bytes, align).unwrap();
                    assert!((block as usize).is_multiple_of(align) && block.read() == 7, "{bytes} {align}");
                    block.add(bytes - 1).write(7);
                }
                heap.dealloc(block, layout);
            }
        }
    }

    #[test]
    fn blocks_do_not_overlap_and_freed_ones_are_used_again() {
        let heap = heap();
        let layout = Layout::from_size_align(1000, 8).unwrap();
        // SAFETY: as above.
        unsafe {
            let blocks: Vec<*mut u8> = (0..1000).map(|_| heap.alloc(layout)).collect();
            for (number, block) in blocks.iter().enumerate() {
                block.write_bytes(number as u8, 1000);
            }
            for (number, block) in blocks.iter().enumerate() {
                assert!((0..1000).all(|at| block.add(at).read() == number as u8));
                heap.dealloc(*block, layout);
            }
            let again = heap.alloc_zeroed(layout);
            assert!((0..1000).all(|at| again.add(at).read() == 0));
            assert!(
                blocks.contains(&again) || blocks.iter().any(|block| again.offset_from(*block).abs() < 1000)
            );
            heap.dealloc(again, layout);
        }
    }

    #[test]
    fn what_cannot_be_is_null() {
        let heap = heap();
        for align in [1, 8192] {
            let layout = Layout::from_size_align(isize::MAX as usize - 16383, align).unwrap();
            // SAFETY: the layout is not empty.
            assert!(unsafe { heap.alloc(layout) }.is_null());
        }
        assert_eq!(c_layout(usize::MAX), None);
    }
}

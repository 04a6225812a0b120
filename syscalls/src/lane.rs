//! Bytes from one process to another that it has forked, without a copy in between: slots of shared memory, each of which
//! belongs to one of the two at a time.
//!
//! ```text
//! giver  ── pipe "full": slot and length, 4 bytes each, in the order of the bytes ──>  taker
//!        <── pipe "free": slot, 1 byte ──
//! ```
//! Who has read the number of a slot from a pipe, and has not written it to the other one yet, has the slot. At first all
//! are free.

use core::{ffi::c_void, ptr::NonNull, slice};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap},
    pipe::{PipeFlags, pipe_with},
};

/// Slots of one lane.
const SLOTS: usize = 16;
/// Bytes of a slot.
pub const SLOT_BYTES: usize = 256 << 10;
const LENGTH: usize = SLOTS * SLOT_BYTES;

/// Memory that forked processes share.
#[derive(Debug)]
struct Memory(NonNull<u8>);

impl Memory {
    fn new() -> Result<Self, Errno> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: new memory at an address that the kernel chooses.
        let address = unsafe { mmap_anonymous(core::ptr::null_mut(), LENGTH, protection, flags) }?;
        Ok(Memory(NonNull::new(address.cast()).ok_or(Errno::NOMEM)?))
    }

    /// No process that is forked from now on has it: a slot that was lent here is lent nowhere else.
    fn settle(&self) -> Result<(), Errno> {
        // SAFETY: the mapping is this value's, and stays as it is in this process.
        unsafe { madvise(self.address(), LENGTH, Advice::LinuxDontFork) }
    }

    fn address(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// Where a slot begins.
    fn slot(&self, number: usize) -> *mut u8 {
        assert!(number < SLOTS);
        // SAFETY: within the mapping, by the line above.
        unsafe { self.0.as_ptr().add(number * SLOT_BYTES) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: slots are borrowed from the owner of this value, so nobody has one.
        let _ = unsafe { munmap(self.address(), LENGTH) };
    }
}

/// Both ends, before the fork.
#[derive(Debug)]
pub struct Lane {
    memory: Memory,
    full: (OwnedFd, OwnedFd),
    free: (OwnedFd, OwnedFd),
}

impl Lane {
    /// A lane all of whose slots are free.
    ///
    /// # Errors
    /// ENOMEM, EMFILE, ENFILE.
    pub fn new() -> Result<Self, Errno> {
        let lane = Lane {
            memory: Memory::new()?,
            full: pipe_with(PipeFlags::CLOEXEC)?,
            free: pipe_with(PipeFlags::CLOEXEC)?,
        };
        let numbers: [u8; SLOTS] = core::array::from_fn(|number| number as u8);
        write_all(&lane.free.1, &numbers)?;
        Ok(lane)
    }

    /// What the taker's process has to keep when it is forked.
    pub fn kept_by_taker(&self) -> [BorrowedFd<'_>; 2] {
        [self.full.0.as_fd(), self.free.1.as_fd()]
    }

    /// The taker's end, in the process that was forked; the descriptors of the other end are closed there.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn taker(&self) -> Result<Taker<'_>, Errno> {
        self.memory.settle()?;
        // SAFETY: the mapping is this value's; nobody has a slot to write to, since a giver consumes this value.
        unsafe { mprotect(self.memory.address(), LENGTH, MprotectFlags::READ) }?;
        Ok(Taker { lane: self, present: None })
    }

    /// The giver's end, in the process that has forked.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn giver(self) -> Result<Giver, Errno> {
        self.memory.settle()?;
        Ok(Giver { memory: self.memory, full: self.full.1, free: self.free.0, present: None })
    }
}

/// Where bytes go in. Dropping it says that no more come.
#[derive(Debug)]
pub struct Giver {
    memory: Memory,
    full: OwnedFd,
    free: OwnedFd,
    present: Option<usize>,
}

impl Giver {
    /// An empty slot of [`SLOT_BYTES`], what is in it is of no meaning; waits for one. The same again until it is sent.
    ///
    /// # Errors
    /// EPIPE if the taker has gone.
    pub fn slot(&mut self) -> Result<&mut [u8], Errno> {
        let number = match self.present {
            Some(number) => number,
            None => {
                let mut number = [0];
                read_exactly(&self.free, &mut number)?;
                usize::from(number[0])
            }
        };
        if number >= SLOTS {
            return Err(Errno::PROTO);
        }
        self.present = Some(number);
        // SAFETY: the slot lies in the mapping, which lives as long as this value. It is this end's alone: its number
        // came from the pipe and was not sent on, no process forked since has the memory, and the slice borrows this
        // value. Its bytes are initialized: new memory is zero.
        Ok(unsafe { slice::from_raw_parts_mut(self.memory.slot(number), SLOT_BYTES) })
    }

    /// Sends the first `length` bytes of the present slot.
    ///
    /// # Errors
    /// EPIPE if the taker has gone (SIGPIPE is ignored by whoever may get it).
    pub fn send(&mut self, length: usize) -> Result<(), Errno> {
        assert!(length <= SLOT_BYTES);
        let Some(number) = self.present.take() else { return Err(Errno::INVAL) };
        let mut message = [0; 8];
        message[..4].copy_from_slice(&(number as u32).to_ne_bytes());
        message[4..].copy_from_slice(&(length as u32).to_ne_bytes());
        write_all(&self.full, &message)
    }
}

/// Where bytes come out.
#[derive(Debug)]
pub struct Taker<'a> {
    lane: &'a Lane,
    present: Option<u8>,
}

impl Taker<'_> {
    /// The next bytes; gives back those before. `None` when the giver has gone.
    ///
    /// # Errors
    /// Of the pipes.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Errno> {
        if let Some(number) = self.present.take() {
            match write_all(&self.lane.free.1, &[number]) {
                // A giver that has sent everything needs no slots.
                Ok(()) | Err(Errno::PIPE) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut message = [0; 8];
        match read_exactly(&self.lane.full.0, &mut message) {
            Err(Errno::PIPE) => return Ok(None),
            other => other?,
        }
        let field =
            |at: usize| u32::from_ne_bytes(message[at..at + 4].try_into().expect("four bytes")) as usize;
        let (number, length) = (field(0), field(4));
        if number >= SLOTS || length > SLOT_BYTES {
            return Err(Errno::PROTO);
        }
        self.present = Some(number as u8);
        // SAFETY: the slot lies in the mapping, which lives as long as the lane. The giver does not write to it: it has
        // sent its number, which it gets back at the next call, and that needs this value, which the slice borrows.
        Ok(Some(unsafe { slice::from_raw_parts(self.lane.memory.slot(number), length) }))
    }
}

fn write_all(pipe: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    loop {
        match rustix::io::write(pipe, bytes) {
            // Less than PIPE_BUF bytes go in whole.
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// EPIPE at the end.
fn read_exactly(pipe: &OwnedFd, bytes: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::read(pipe, &mut bytes[filled..]) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_their_order_and_slots_are_used_again() {
        let lane = Lane::new().unwrap();
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let fork = crate::clone::fork(crate::clone::CloneFlags::empty(), None).unwrap();
        match fork {
            crate::clone::Fork::Child => {
                let [full, free] = lane.kept_by_taker();
                let _ = crate::descriptor::close_all_but(&mut [full, free, writer.as_fd()]);
                let mut taker = lane.taker().unwrap();
                let mut sum = 0_u64;
                while let Some(bytes) = taker.take().unwrap() {
                    sum = bytes
                        .iter()
                        .fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                }
                let _ = write_all(&writer, &sum.to_ne_bytes());
                crate::exec::exit(0)
            }
            crate::clone::Fork::Parent { .. } => {
                drop(writer);
                let mut giver = lane.giver().unwrap();
                let mut sum = 0_u64;
                for round in 0..3 * SLOTS {
                    let slot = giver.slot().unwrap();
                    let length = SLOT_BYTES - round * 7;
                    for (at, byte) in slot[..length].iter_mut().enumerate() {
                        *byte = (at * 31 + round) as u8;
                        sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
                    }
                    giver.send(length).unwrap();
                }
                drop(giver);
                let mut found = [0; 8];
                read_exactly(&reader, &mut found).unwrap();
                assert_eq!(u64::from_ne_bytes(found), sum);
            }
        }
    }

    #[test]
    fn a_giver_whose_taker_has_gone_is_told_so() {
        let lane = Lane::new().unwrap();
        let mut giver = lane.giver().unwrap();
        for _ in 0..SLOTS {
            giver.slot().unwrap();
            assert_eq!(giver.send(1), Err(Errno::PIPE));
        }
        assert_eq!(giver.slot().unwrap_err(), Errno::PIPE);
        assert_eq!(giver.send(1), Err(Errno::INVAL));
    }
}

//! The digest of many bytes, by a process of its own: whoever has them goes on with something else.

use alloc::vec::Vec;

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::{
    lane::{Giver, Lane, SLOT_BYTES},
    processor,
};

use super::{Child, child, wait};
use crate::{
    Context, Error, Result,
    digest::{Digest, Hasher},
    file,
};

/// For messages.
const LANE: &str = "the lane to the hashing process";
/// So many bytes at once are the beginning of many.
const MANY_BYTES: usize = SLOT_BYTES;

/// A digest in the making.
pub enum Sum {
    /// Nothing has come yet.
    Empty,
    /// In this process: there are not many bytes, or there is but one processor.
    Here(Hasher),
    /// In another one.
    Apart(Apart),
}

/// The process that has the bytes hashed.
pub struct Apart {
    giver: Giver,
    child: Child,
    result: OwnedFd,
}

impl Sum {
    /// Adds bytes.
    ///
    /// # Errors
    /// Of the kernel; [`Error::Corrupt`] if the other process was killed.
    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        if matches!(self, Sum::Empty) {
            let apart = bytes.len() >= MANY_BYTES && processor::count().unwrap_or(1) > 1;
            *self = if apart { Sum::Apart(Apart::begin()?) } else { Sum::Here(Hasher::new()) };
        }
        match self {
            Sum::Empty => {}
            Sum::Here(hasher) => hasher.update(bytes),
            Sum::Apart(apart) => {
                for part in bytes.chunks(SLOT_BYTES) {
                    apart.giver.slot().context("hand on", LANE)?[..part.len()].copy_from_slice(part);
                    apart.giver.send(part.len()).context("hand on", LANE)?;
                }
            }
        }
        Ok(())
    }

    /// The digest of all bytes.
    ///
    /// # Errors
    /// As [`Sum::update`].
    pub fn finish(self) -> Result<Digest> {
        match self {
            Sum::Empty => Ok(Hasher::new().finish()),
            Sum::Here(hasher) => Ok(hasher.finish()),
            Sum::Apart(Apart { giver, child, result }) => {
                drop(giver);
                let answer: Vec<u8> =
                    file::read_all(result, 64).context("read from", "the hashing process")?;
                wait(&child.pidfd).context("wait for", "the hashing process")?;
                let digest = answer.try_into().ok().map(Digest::from_bytes);
                digest.ok_or_else(|| Error::Corrupt("the hashing process ended early".into()))
            }
        }
    }
}

impl Apart {
    fn begin() -> Result<Apart> {
        let lane = Lane::new().context("make", LANE)?;
        let (result, from_child) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let [full, free] = lane.kept_by_taker();
        let keep = [full, free, from_child.as_fd()];
        let child = child(&keep, || {
            let hash = || -> Result<Digest, Errno> {
                let (mut taker, mut hasher) = (lane.taker()?, Hasher::new());
                while let Some(part) = taker.take()? {
                    hasher.update(part);
                }
                Ok(hasher.finish())
            };
            let told = hash().and_then(|digest| file::write_all(&from_child, &digest.to_bytes()));
            i32::from(told.is_err())
        })?;
        Ok(Apart { giver: lane.giver().context("open", LANE)?, child, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_same_digest_wherever_they_are_hashed() {
        for (first, rest) in
            [(0, 0), (10, 3), (MANY_BYTES, 0), (MANY_BYTES, 17), (MANY_BYTES * 3 + 1, MANY_BYTES * 40)]
        {
            let bytes: Vec<u8> = (0..first + rest).map(|number| (number * 7) as u8).collect();
            let mut sum = Sum::Empty;
            sum.update(&bytes[..first]).unwrap();
            for part in bytes[first..].chunks(100_000) {
                sum.update(part).unwrap();
            }
            assert_eq!(sum.finish(), Ok(Digest::of(&bytes)), "{first} {rest}");
        }
        assert_eq!(Sum::Empty.finish(), Ok(Digest::of(b"")));
    }
}

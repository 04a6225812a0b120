//! What ring calls for random bytes. The crate that has this name elsewhere calls libc, which this program has none of.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

/// There is no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel gives no random bytes")
    }
}

/// Fills the buffer by getrandom(2), waiting until the kernel has gathered enough at its start.
///
/// # Errors
/// Before Linux 3.17, or where a filter forbids it.
pub fn getrandom(buffer: &mut [u8]) -> Result<(), Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_buffer_is_filled_to_its_end() {
        let mut buffer = [0; 4096];
        super::getrandom(&mut buffer).unwrap();
        assert!(buffer.chunks(16).all(|part| part.iter().any(|byte| *byte != 0)));
    }
}

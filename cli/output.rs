//! Text to stdout and stderr. A reader that went away ends the command instead of making it panic.

use rustix::io::Errno;
use skiff_core::file::write_all;
use skiff_syscalls::descriptor;

use crate::failure::Failure;

/// Bytes to stdout, at once.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    write_all(descriptor::standard()[1], bytes).map_err(|errno| match errno {
        Errno::PIPE => Failure::silent(1),
        _ => Failure::io("write to stdout", "", errno),
    })
}

/// A line to stdout.
pub fn line(text: &str) -> Result<(), Failure> {
    write([text, "\n"].concat().as_bytes())
}

/// `skiff: message` to stderr; the message may have more lines. Nothing is left to do if stderr is gone.
pub fn complain(message: &str) {
    note(&["skiff: ", message, "\n"].concat());
}

/// Text to stderr as it is.
pub fn note(text: &str) {
    write_error(text.as_bytes());
}

/// Bytes to stderr.
pub fn write_error(bytes: &[u8]) {
    let _ = write_all(descriptor::standard()[2], bytes);
}

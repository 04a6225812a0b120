//! Text to stdout and stderr. A reader that went away ends the command instead of making it panic.

use std::io::{ErrorKind, Write};

use crate::failure::Failure;

/// Bytes to stdout, at once.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::silent(1),
        _ => Failure::io("write to stdout", "", &error),
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
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Bytes to stderr.
pub fn write_error(bytes: &[u8]) {
    let _ = std::io::stderr().write_all(bytes);
}

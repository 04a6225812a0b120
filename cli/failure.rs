//! Why a command ends badly: the text for stderr and the exit code. Every verb returns one of these or its exit code.

use alloc::string::{String, ToString};

use core::fmt;

use rustix::io::Errno;
use skiff_core::error::errno_text;

/// The exit code of a wrong flag, and of `run`, `create` and `exec` when the engine is at fault.
pub const EXIT_USAGE: u8 = 125;

/// What a verb gives back: the exit code of the process, or why it failed.
pub type Outcome = Result<u8, Failure>;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One line without a prefix, or more with `hint: ...`; empty if everything was already said.
    pub message: String,
    /// The exit code.
    pub exit: u8,
    /// The HTTP status of the engine's answer, if that is where the failure comes from; else 0.
    pub status: u16,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), exit: 1, status: 0 }
    }

    /// A command that was typed wrongly: exit code 125, and where to read on.
    pub fn misuse(called: &str, message: &str) -> Self {
        let space = if called.is_empty() { "" } else { " " };
        Failure::new(format!("{message}\nhint: `skiff{space}{called} --help` shows what there is"))
            .exit(EXIT_USAGE)
    }

    /// A flag's value that is none: docker's exit code for that.
    pub fn refused(message: String) -> Self {
        Failure::new(message).exit(EXIT_USAGE)
    }

    /// No more output: the process just ends with this code.
    pub fn silent(exit: u8) -> Self {
        Failure::new("").exit(exit)
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// The same with a line that tells what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        self.message.push_str("\nhint: ");
        self.message.push_str(hint);
        self
    }

    /// Operation and subject put before a system error.
    pub fn io(operation: &str, subject: &str, errno: Errno) -> Self {
        let space = if subject.is_empty() { "" } else { " " };
        Failure::new(format!("{operation}{space}{subject}: {}", errno_words(errno)))
    }
}

/// What people know an error number by.
pub fn errno_words(errno: Errno) -> String {
    errno_text(errno).map_or_else(|| format!("error {}", errno.raw_os_error()), |(_, words)| words.into())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<skiff_core::Error> for Failure {
    fn from(error: skiff_core::Error) -> Self {
        let status = error.status();
        Failure { message: error.to_string(), exit: 1, status }
    }
}

//! The one error type of the engine: what was done, on what, why it failed.
//!
//! The text is `operation subject: reason`, lower case, one line; a second line `hint: ...` stands only where the
//! reader can act on it. HTTP status codes come from [`Error::status`]; the client derives exit codes from the reply.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use rustix::io::Errno;

/// Shorthand for results of the engine.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A system call failed: operation, what it was applied to, and the kernel's reason.
    Os {
        /// What was being done, for example `open` or `mount overlay on`.
        operation: Cow<'static, str>,
        /// The path, name or number that it was done to; may be empty.
        subject: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The caller asked for something malformed or impossible (HTTP 400).
    Invalid(String),
    /// A named thing does not exist (HTTP 404).
    NotFound(String),
    /// The request is fine, but not in the present state (HTTP 409).
    Conflict(String),
    /// The request is fine, but nobody may do that to this thing (HTTP 403).
    Forbidden(String),
    /// Nothing had to be done: the state already is what was asked for (HTTP 304).
    Unchanged,
    /// The host or this build cannot do it (HTTP 501).
    Unsupported(String),
    /// Stored or received data is not what it says it is (HTTP 500).
    Corrupt(String),
    /// The container's program could not be started. `exit_code` is what a shell would give: 126 or 127.
    Start {
        /// 126 (found, cannot be executed) or 127 (not found), or 125 for the engine's own failures.
        exit_code: u8,
        /// The whole message.
        message: String,
    },
}

impl Error {
    /// A failed system call on a subject.
    pub fn os(operation: impl Into<Cow<'static, str>>, subject: impl Into<String>, errno: Errno) -> Self {
        Error::Os { operation: operation.into(), subject: subject.into(), errno }
    }

    /// The HTTP status that Docker's API gives for this kind of error.
    pub fn status(&self) -> u16 {
        match self {
            Error::Unchanged => 304,
            Error::Invalid(_) | Error::Start { .. } => 400,
            Error::NotFound(_) => 404,
            Error::Conflict(_) => 409,
            Error::Forbidden(_) => 403,
            Error::Unsupported(_) => 501,
            Error::Os { .. } | Error::Corrupt(_) => 500,
        }
    }

    /// For a pipe to another process of this engine.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, number, operation, text) = match self {
            Error::Os { operation, subject, errno } => {
                (b'o', errno.raw_os_error(), operation.as_ref(), subject.as_str())
            }
            Error::Invalid(m) => (b'i', 0, "", m.as_str()),
            Error::NotFound(m) => (b'n', 0, "", m.as_str()),
            Error::Conflict(m) => (b'c', 0, "", m.as_str()),
            Error::Forbidden(m) => (b'f', 0, "", m.as_str()),
            Error::Unchanged => (b'u', 0, "", ""),
            Error::Unsupported(m) => (b's', 0, "", m.as_str()),
            Error::Corrupt(m) => (b'x', 0, "", m.as_str()),
            Error::Start { exit_code, message } => (b'e', i32::from(*exit_code), "", message.as_str()),
        };
        let mut bytes = Vec::with_capacity(6 + operation.len() + text.len());
        bytes.push(kind);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(operation.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// What [`Error::to_bytes`] made; `None` for anything else, such as what a killed process left unfinished.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let number = i32::from_le_bytes(*number);
        let (operation, text) = core::str::from_utf8(rest).ok()?.split_once('\0')?;
        let text = text.to_string();
        Some(match kind {
            b'o' if (1..4096).contains(&number) => {
                Error::os(operation.to_string(), text, Errno::from_raw_os_error(number))
            }
            b'i' => Error::Invalid(text),
            b'n' => Error::NotFound(text),
            b'c' => Error::Conflict(text),
            b'f' => Error::Forbidden(text),
            b'u' => Error::Unchanged,
            b's' => Error::Unsupported(text),
            b'x' => Error::Corrupt(text),
            b'e' => Error::Start { exit_code: u8::try_from(number).ok()?, message: text },
            _ => return None,
        })
    }

    /// Adds a line that tells what the reader can do about it.
    #[must_use]
    pub fn hint(self, hint: &str) -> Self {
        let with = |message: String| format!("{message}\nhint: {hint}");
        match self {
            Error::Invalid(m) => Error::Invalid(with(m)),
            Error::NotFound(m) => Error::NotFound(with(m)),
            Error::Conflict(m) => Error::Conflict(with(m)),
            Error::Forbidden(m) => Error::Forbidden(with(m)),
            Error::Unsupported(m) => Error::Unsupported(with(m)),
            Error::Corrupt(m) => Error::Corrupt(with(m)),
            Error::Start { exit_code, message } => Error::Start { exit_code, message: with(message) },
            Error::Os { operation, subject, errno } => {
                Error::Corrupt(with(Error::Os { operation, subject, errno }.to_string()))
            }
            Error::Unchanged => Error::Unchanged,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Os { operation, subject, errno } => {
                f.write_str(operation)?;
                if !subject.is_empty() {
                    write!(f, " {subject}")?;
                }
                match errno_text(*errno) {
                    Some((name, text)) => write!(f, ": {name} ({text})"),
                    None => write!(f, ": errno {}", errno.raw_os_error()),
                }
            }
            Error::Unchanged => f.write_str("not modified"),
            Error::Invalid(m)
            | Error::NotFound(m)
            | Error::Conflict(m)
            | Error::Forbidden(m)
            | Error::Unsupported(m)
            | Error::Corrupt(m)
            | Error::Start { message: m, .. } => f.write_str(m),
        }
    }
}

impl core::error::Error for Error {}

/// Puts the operation and its subject to a kernel error.
pub trait Context<T> {
    /// `operation subject: errno`.
    ///
    /// # Errors
    /// The error itself, as [`Error::Os`].
    fn context(self, operation: &'static str, subject: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, operation: &'static str, subject: impl fmt::Display) -> Result<T> {
        self.map_err(|errno| Error::os(operation, subject.to_string(), errno))
    }
}

/// The kernel's name of an error number and the words that people know it by.
pub fn errno_text(errno: Errno) -> Option<(&'static str, &'static str)> {
    Some(match errno {
        Errno::PERM => ("EPERM", "operation not permitted"),
        Errno::NOENT => ("ENOENT", "no such file or directory"),
        Errno::SRCH => ("ESRCH", "no such process"),
        Errno::INTR => ("EINTR", "interrupted system call"),
        Errno::IO => ("EIO", "input/output error"),
        Errno::NXIO => ("ENXIO", "no such device or address"),
        Errno::TOOBIG => ("E2BIG", "argument list too long"),
        Errno::NOEXEC => ("ENOEXEC", "exec format error"),
        Errno::BADF => ("EBADF", "bad file descriptor"),
        Errno::CHILD => ("ECHILD", "no child processes"),
        Errno::AGAIN => ("EAGAIN", "resource temporarily unavailable"),
        Errno::NOMEM => ("ENOMEM", "cannot allocate memory"),
        Errno::ACCESS => ("EACCES", "permission denied"),
        Errno::BUSY => ("EBUSY", "device or resource busy"),
        Errno::EXIST => ("EEXIST", "file exists"),
        Errno::XDEV => ("EXDEV", "invalid cross-device link"),
        Errno::NODEV => ("ENODEV", "no such device"),
        Errno::NOTDIR => ("ENOTDIR", "not a directory"),
        Errno::ISDIR => ("EISDIR", "is a directory"),
        Errno::INVAL => ("EINVAL", "invalid argument"),
        Errno::NFILE => ("ENFILE", "too many open files in system"),
        Errno::MFILE => ("EMFILE", "too many open files"),
        Errno::NOTTY => ("ENOTTY", "inappropriate ioctl for device"),
        Errno::TXTBSY => ("ETXTBSY", "text file busy"),
        Errno::FBIG => ("EFBIG", "file too large"),
        Errno::NOSPC => ("ENOSPC", "no space left on device"),
        Errno::ROFS => ("EROFS", "read-only file system"),
        Errno::MLINK => ("EMLINK", "too many links"),
        Errno::PIPE => ("EPIPE", "broken pipe"),
        Errno::RANGE => ("ERANGE", "numerical result out of range"),
        Errno::NAMETOOLONG => ("ENAMETOOLONG", "file name too long"),
        Errno::NOSYS => ("ENOSYS", "function not implemented"),
        Errno::NOTEMPTY => ("ENOTEMPTY", "directory not empty"),
        Errno::LOOP => ("ELOOP", "too many levels of symbolic links"),
        Errno::NODATA => ("ENODATA", "no data available"),
        Errno::OVERFLOW => ("EOVERFLOW", "value too large for defined data type"),
        Errno::OPNOTSUPP => ("EOPNOTSUPP", "operation not supported"),
        Errno::ADDRINUSE => ("EADDRINUSE", "address already in use"),
        Errno::CONNRESET => ("ECONNRESET", "connection reset by peer"),
        Errno::TIMEDOUT => ("ETIMEDOUT", "connection timed out"),
        Errno::CONNREFUSED => ("ECONNREFUSED", "connection refused"),
        Errno::STALE => ("ESTALE", "stale file handle"),
        Errno::DQUOT => ("EDQUOT", "disk quota exceeded"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_os_error_says_operation_subject_and_reason() {
        let error = Error::os("mount overlay on", "/x", Errno::NOSPC);
        assert_eq!(error.to_string(), "mount overlay on /x: ENOSPC (no space left on device)");
        assert_eq!(error.status(), 500);
    }

    #[test]
    fn an_error_crosses_a_pipe_whole_or_not_at_all() {
        let text = || String::from("text");
        for error in [
            Error::os("open", "/x", Errno::NOSPC),
            Error::os("fork", "", Errno::AGAIN),
            Error::Invalid(text()),
            Error::NotFound(text()),
            Error::Conflict(text()),
            Error::Forbidden(text()),
            Error::Unchanged,
            Error::Unsupported(text()),
            Error::Corrupt(text()),
            Error::Start { exit_code: 127, message: text() },
        ] {
            assert_eq!(Error::from_bytes(&error.to_bytes()), Some(error));
        }
        for bytes in
            [&b""[..], b"o", b"o\x01\0\0\0open", b"o\0\0\0\0open\0", b"?\0\0\0\0\0", b"i\0\0\0\0\0\xff"]
        {
            assert_eq!(Error::from_bytes(bytes), None);
        }
    }

    #[test]
    fn a_hint_is_a_second_line() {
        let error = Error::NotFound("no such image: x".into()).hint("skiff images lists them");
        assert_eq!(error.to_string(), "no such image: x\nhint: skiff images lists them");
        assert_eq!(error.status(), 404);
    }
}

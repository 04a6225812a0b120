//! The client's own terminal: raw mode, which ends however the command ends, and the size of the window.

use rustix::{
    fd::BorrowedFd,
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use skiff_syscalls::{descriptor, last_words, once::Once};

/// The terminal's mode before it was changed, for the end after a panic.
static BEFORE: Once<Termios> = Once::new();

/// Raw mode of stdin; dropping it restores the mode from before.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Sets stdin to raw mode. `None` if it is no terminal.
    pub fn begin() -> Option<Raw> {
        let mut mode = tcgetattr(descriptor::standard()[0]).ok()?;
        BEFORE.set(mode.clone());
        last_words::set(restore);
        mode.make_raw();
        tcsetattr(descriptor::standard()[0], OptionalActions::Now, &mode).ok()?;
        Some(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(mode) = BEFORE.get() {
        let _ = tcsetattr(descriptor::standard()[0], OptionalActions::Drain, mode);
    }
}

/// Whether stdin is a terminal.
pub fn stdin_is_terminal() -> bool {
    isatty(descriptor::standard()[0])
}

/// Whether stdout is a terminal.
pub fn stdout_is_terminal() -> bool {
    isatty(descriptor::standard()[1])
}

/// Rows and columns of the window that stdout is shown in; `None` if it is no terminal.
pub fn size() -> Option<[u16; 2]> {
    size_of(descriptor::standard()[1])
}

fn size_of(terminal: BorrowedFd<'_>) -> Option<[u16; 2]> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some([size.ws_row, size.ws_col])
}

/// Whether stderr is a terminal.
pub fn stderr_is_terminal() -> bool {
    isatty(descriptor::standard()[2])
}

/// Rows and columns of the window that stderr is shown in; `None` if it is no terminal.
pub fn stderr_size() -> Option<[u16; 2]> {
    size_of(descriptor::standard()[2])
}

//! The three standard descriptors of a process that is to be started, and our ends of them.

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags, Uid},
};

use crate::{Context, Result, file::CWD};

/// The child's three descriptors, and our ends of them.
pub(super) struct Streams {
    /// Stdin, stdout and stderr of the child.
    pub child: [OwnedFd; 3],
    /// The terminal's inner side.
    pub terminal: Option<OwnedFd>,
    /// What it reads.
    pub stdin: Option<OwnedFd>,
    /// What it writes.
    pub stdout: OwnedFd,
    /// What it writes to stderr.
    pub stderr: Option<OwnedFd>,
}

impl Streams {
    /// Makes the user the owner of the pipes or the terminal, so that /dev/stdout and its kin can be opened. Never of
    /// anything else: the null device that stands for no input is the host's.
    pub(super) fn give_to(&self, user: Uid) {
        for fd in self.child.iter().filter(|_| !user.is_root()) {
            let is_pipe = || {
                rustix::fs::fstat(fd)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
            };
            if self.terminal.is_some() || is_pipe() {
                let _ = rustix::fs::fchown(fd, Some(user), None);
            }
        }
    }
}

/// Makes pipes, or a terminal of the devpts `pts` with rows and columns.
///
/// # Errors
/// Of the kernel.
pub(super) fn open_streams(tty: bool, stdin: bool, pts: BorrowedFd<'_>, size: [u32; 2]) -> Result<Streams> {
    use rustix::{
        io::dup,
        pipe::{PipeFlags, pipe_with},
        pty::{OpenptFlags, ioctl_tiocgptpeer},
    };
    if tty {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master =
            rustix::fs::openat(pts, "ptmx", flags, Mode::empty()).context("open", "/dev/pts/ptmx")?;
        rustix::pty::unlockpt(&master).context("unlock", "terminal")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).context("open", "terminal")?;
        if size != [0, 0] {
            let size = rustix::termios::Winsize {
                ws_row: size[0] as u16,
                ws_col: size[1] as u16,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let _ = rustix::termios::tcsetwinsize(&master, size);
        }
        let copy = || dup(&slave).context("copy", "terminal");
        return Ok(Streams {
            child: [copy()?, copy()?, copy()?],
            stdin: stdin.then(|| dup(&master).context("copy", "terminal")).transpose()?,
            stdout: master,
            stderr: None,
            terminal: Some(slave),
        });
    }
    let pipe = || pipe_with(PipeFlags::CLOEXEC).context("create", "pipe");
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let (child_stdin, stdin) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        (null.context("open", "/dev/null")?, None)
    };
    Ok(Streams {
        child: [child_stdin, child_stdout, child_stderr],
        terminal: None,
        stdin,
        stdout,
        stderr: Some(stderr),
    })
}

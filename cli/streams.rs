//! Standard input, output and error of this process, and a container's output as it comes over a connection to them.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsRawFd, IntoRawFd},
    fs::{Mode, OFlags},
    process::Signal,
};
use skiff_core::{
    file::CWD,
    frame::{FrameDecoder, Stream},
};
use skiff_syscalls::{descriptor, signal};

use crate::{client::Reply, failure::Failure, output};

/// Opens /dev/null for each of the three that was closed when this program was executed, so that no file that is opened
/// later is taken for one, and makes writing to a pipe that nobody reads an error, not the end.
pub fn prepare() {
    let mut three = descriptor::standard().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    let _ = poll(&mut three, Some(&Timespec::default()));
    if three.iter().any(|fd| fd.revents().contains(PollFlags::NVAL)) {
        // The lowest free number is what a file gets. Where there is no /dev/null yet, nothing can be done.
        while let Ok(null) = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty()) {
            if null.as_raw_fd() > 2 {
                break;
            }
            // It stays open as long as the process.
            let _ = null.into_raw_fd();
        }
    }
    let _ = signal::ignore(Signal::PIPE.as_raw());
}

/// Copies a reply's body until its end: frames for stdout and stderr, or a terminal's raw bytes.
pub fn copy(reply: &mut Reply, raw: bool) -> Result<(), Failure> {
    let mut buffer = vec![0; 32 << 10];
    let mut frames = FrameDecoder::default();
    loop {
        let length = reply.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if raw {
            output::write(&buffer[..length])?;
            continue;
        }
        let mut at = 0;
        while at < length {
            let Some(piece) = frames.next(&buffer[at..length])? else { break };
            let data = &buffer[at + piece.data.start..at + piece.data.end];
            match piece.stream {
                Stream::Stderr => output::write_error(data),
                _ => output::write(data)?,
            }
            at += piece.consumed;
        }
    }
}

//! Archives out of a container's file system and into it, by a process that is root in the container's user namespace, if
//! that is not the host's: it sees the ids of the inside, makes files that belong to them, and may do no more than they.
//!
//! ```text
//! out:  child: read, write the tar ── pipe ──> this process: sink
//! in:   this process: source ── pipe ──> child: read the tar, write
//! ```

use alloc::vec;

use rustix::{
    fd::{AsFd, BorrowedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::view::View;
use crate::{
    Context, Error, Result, file,
    layer::{pack::Sink, unpack::Source},
};

const BUFFER_BYTES: usize = 128 << 10;

impl View {
    /// Has `pack` write to the sink. It uses the descriptors `keep`, and nothing else.
    ///
    /// # Errors
    /// What `pack` gives, and the sink's.
    pub fn pack_within(
        &self,
        keep: &[BorrowedFd<'_>],
        sink: &mut Sink<'_>,
        pack: &dyn Fn(&mut Sink<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(space) = self.space() else { return pack(sink) };
        let (output, input) = pipe_with(PipeFlags::CLOEXEC).context("create", "pipe")?;
        let work = space.begin_within(&[keep, &[input.as_fd()]].concat(), || {
            pack(&mut |part| file::write_all(&input, part).context("write", "pipe"))
        })?;
        drop(input);
        let mut buffer = vec![0; BUFFER_BYTES];
        let handed_on = loop {
            match file::read_part(&output, &mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => match sink(&buffer[..count]) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                Err(errno) => break Err(Error::os("read", "pipe", errno)),
            }
        };
        // Who still writes breaks off when nobody reads any more.
        drop(output);
        let ended = work.end();
        handed_on.and(ended)
    }

    /// Has `place` read from the source. It uses the descriptors `keep`, and nothing else.
    ///
    /// # Errors
    /// What `place` gives, and the source's.
    pub fn place_within(
        &self,
        keep: &[BorrowedFd<'_>],
        source: &mut Source<'_>,
        place: &dyn Fn(&mut Source<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(space) = self.space() else { return place(source) };
        let (output, input) = pipe_with(PipeFlags::CLOEXEC).context("create", "pipe")?;
        let work = space.begin_within(&[keep, &[output.as_fd()]].concat(), || {
            place(&mut |buffer| file::read_part(&output, buffer).context("read", "pipe"))
        })?;
        drop(output);
        let mut buffer = vec![0; BUFFER_BYTES];
        let fed = loop {
            match source(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => match file::write_all(&input, &buffer[..count]) {
                    Ok(()) => {}
                    // It says itself why it reads no more.
                    Err(Errno::PIPE) => break Ok(()),
                    Err(errno) => break Err(Error::os("write", "pipe", errno)),
                },
                Err(error) => break Err(error),
            }
        };
        drop(input);
        let ended = work.end();
        fed.and(ended)
    }
}

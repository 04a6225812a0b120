//! A container's output as it comes over a connection -> this process's stdout and stderr.

use skiff_core::frame::{FrameDecoder, Stream};

use crate::{client::Reply, failure::Failure, output};

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

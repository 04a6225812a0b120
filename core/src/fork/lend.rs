//! A descriptor that this process can't make itself: a child in other namespaces makes it, and lends it.

use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{PidfdGetfdFlags, pidfd_getfd},
};
use skiff_syscalls::{clone::CloneFlags, descriptor};

use super::{child_in, wait};
use crate::{Context, Error, Result, file};

/// Longest report of the child.
const REPORT_MAX: usize = 64 << 10;
/// What stands before the number of a descriptor.
const MADE: u8 = b'=';

/// What `make` gives in a child of this process in these new namespaces, which has the descriptors `keep`.
///
/// # Kernel
/// pidfd_getfd, 5.6.
///
/// # Errors
/// What `make` gives; of the kernel.
pub fn lent(
    namespaces: CloneFlags,
    keep: &[BorrowedFd<'_>],
    make: impl FnOnce() -> Result<OwnedFd>,
) -> Result<OwnedFd> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).context("create", "pipe");
    let ((report, reporter), (end, ender)) = (pipe()?, pipe()?);
    let all = [keep, &[reporter.as_fd(), end.as_fd()]].concat();
    let child = child_in(namespaces, &all, || {
        let made = make();
        let answer = match &made {
            Ok(made) => [&[MADE][..], &made.as_raw_fd().to_ne_bytes()].concat(),
            Err(error) => error.to_bytes(),
        };
        let _ = file::write_all(&reporter, &answer);
        // Only now does the report end.
        let mut stays = alloc::vec![end.as_fd()];
        stays.extend(made.as_ref().ok().map(AsFd::as_fd));
        let _ = descriptor::close_all_but(&mut stays);
        i32::from(rustix::io::read(&end, &mut [0]).is_err())
    })?;
    drop((reporter, end));
    let answer = file::read_all(&report, REPORT_MAX).context("read from", "a child process");
    let taken = answer.and_then(|answer| match answer.split_first() {
        Some((&MADE, number)) if number.len() == 4 => {
            let number = number.try_into().map_or(-1, i32::from_ne_bytes);
            pidfd_getfd(&child.pidfd, number, PidfdGetfdFlags::empty()).context("take", "descriptor")
        }
        _ => Err(Error::from_bytes(&answer)
            .unwrap_or_else(|| Error::os("take", "descriptor of a child process", Errno::SRCH))),
    });
    drop(ender);
    let _ = wait(&child.pidfd);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_and_an_error_come_across() {
        let made = lent(CloneFlags::empty(), &[], || {
            let (reader, writer) = rustix::pipe::pipe().context("create", "pipe")?;
            file::write_all(&writer, b"from there").context("write", "pipe")?;
            Ok(reader)
        });
        assert_eq!(file::read_all(made.unwrap(), 100).unwrap(), b"from there");
        let error = Error::os("do", "it", Errno::XDEV);
        assert_eq!(lent(CloneFlags::empty(), &[], || Err(error.clone())).unwrap_err(), error);
    }
}

//! An archive that comes as a reply's body -> stdout, or a file that is there whole or not at all.

use rustix::fs::{AtFlags, CWD, FileType, statat};
use skiff_core::{Context as _, file};

use crate::{
    client::Reply,
    failure::{Failure, Outcome},
    output, terminal,
    verbs::cp::{check_output, paths},
};

/// As large as the parts that the engine sends.
const PART_BYTES: usize = 256 << 10;

/// Checks where an archive is to go, before it is asked for. `called` is the command, `usage` how it is written to a file.
pub fn check(output: Option<&str>, called: &str, usage: &str) -> Result<(), Failure> {
    match output {
        None if terminal::stdout_is_terminal() => {
            Err(Failure::new(format!("{called}: the archive is not for a terminal"))
                .hint(&format!("write it to a file: skiff {usage}")))
        }
        None => Ok(()),
        Some(path) => {
            check_output(path)?;
            // What has this name is replaced, so it has to be of the same kind.
            let Ok(stat) = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => return Ok(()),
                FileType::Directory => "a directory",
                FileType::Symlink => "a symbolic link",
                FileType::Fifo => "a named pipe",
                _ => "what is no file",
            };
            Err(Failure::new(format!("{called} {path}: an archive can't be written to {kind}")))
        }
    }
}

/// Takes the whole body. `far` hears how many bytes there were.
pub fn take(mut reply: Reply, output: Option<&str>, far: &mut dyn FnMut(u64)) -> Outcome {
    let mut done = 0;
    let mut told = |part: &[u8]| {
        done += part.len() as u64;
        far(done);
    };
    let Some(path) = output else {
        copy(&mut reply, &mut |part| {
            told(part);
            output::write(part)
        })?;
        return Ok(0);
    };
    let (directory, name) = paths::split_entry(path);
    // For its owner alone, as Docker's.
    let whole = file::Whole::new(&directory, 0o600).context("create file in", &directory)?;
    copy(&mut reply, &mut |part| {
        told(part);
        Ok(file::write_all(whole.file(), part).context("write", path)?)
    })?;
    whole.appear(&name).context("rename to", path)?;
    Ok(0)
}

/// Hands on a reply's body.
pub fn copy(reply: &mut Reply, to: &mut dyn FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut part = vec![0; PART_BYTES];
    loop {
        match reply.read(&mut part)? {
            0 => return Ok(()),
            length => to(&part[..length])?,
        }
    }
}

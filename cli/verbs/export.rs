//! `skiff export`: GET /containers/{id}/export -> a tar on stdout or in a file.

use argh::prelude::*;
use rustix::{fd::AsFd, fs::AtFlags, fs::CWD};
use skiff_core::{Context as _, api::head::Method, file};

use super::{Context, Verb, cp::paths};
use crate::{
    client::{Reply, Upload, path},
    failure::{Failure, Outcome},
    output, terminal,
};

/// write a container's file system as a tar
#[derive(FromArgs, ArgsInfo)]
pub struct Export {
    /// write to a file instead of stdout
    #[argh(option, short = 'o', arg_name = "file")]
    output: Option<String>,
    #[argh(positional)]
    container: String,
}

impl Verb for Export {
    fn run(self, context: &Context) -> Outcome {
        match &self.output {
            None if terminal::stdout_is_terminal() => {
                return Err(Failure::new("export: the archive is not for a terminal")
                    .hint("write it to a file: skiff export -o FILE"));
            }
            Some(to) => super::cp::check_output(to)?,
            None => {}
        }
        let target = path(&["containers", &self.container, "export"]);
        let mut reply = context.client.request(Method::Get, &target, Upload::Nothing)?;
        match &self.output {
            None => copy(&mut reply, &mut |part| output::write(part))?,
            Some(to) => {
                // The file is there whole or not at all.
                let (directory, name) = paths::split_entry(to);
                let temporary = format!("{directory}/.{name}.{}", rustix::process::getpid().as_raw_nonzero());
                let open = file::create(CWD, temporary.as_str(), &[], 0o666).context("create", to)?;
                let written = copy(&mut reply, &mut |part| {
                    Ok(file::write_all(open.as_fd(), part).context("write", to)?)
                });
                let renamed = written.and_then(|()| {
                    Ok(rustix::fs::renameat(CWD, temporary.as_str(), CWD, to.as_str())
                        .context("rename to", to)?)
                });
                if renamed.is_err() {
                    let _ = rustix::fs::unlinkat(CWD, temporary.as_str(), AtFlags::empty());
                }
                renamed?;
            }
        }
        Ok(0)
    }
}

/// Hands on a reply's body.
pub fn copy(reply: &mut Reply, to: &mut dyn FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut part = vec![0; 64 << 10];
    loop {
        match reply.read(&mut part)? {
            0 => return Ok(()),
            length => to(&part[..length])?,
        }
    }
}

//! `skiff load`: an archive of images -> POST /images/load; without a daemon a file or directory is read in its place.

use argh::prelude::*;
use rustix::{
    fd::AsFd,
    fs::{FileType, Mode, OFlags},
};
use skiff_core::{
    Context as _,
    api::head::Method,
    file::{self, CWD},
    layer::pack::{Form, Pack},
};
use skiff_syscalls::descriptor;

use super::{Context, Verb};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    files,
    progress::{self, Bar},
    terminal,
};

/// load images from an archive: docker-archive or OCI layout, a tar (compressed or not) or a directory
#[derive(FromArgs, ArgsInfo)]
pub struct Load {
    /// the archive, instead of stdin
    #[argh(option, short = 'i', arg_name = "string")]
    input: Option<String>,
    /// show names only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl Verb for Load {
    fn run(self, context: &Context) -> Outcome {
        let is_quiet = self.quiet || !terminal::stdout_is_terminal();
        let quiet = if is_quiet { "1" } else { "0" };
        let file = self.input.as_deref().filter(|file| *file != "-");
        if let Some(file) = file
            && context.client.is_local()
        {
            let absolute = match file.starts_with('/') {
                true => file.to_owned(),
                false => {
                    let here =
                        files::working_directory().map_err(|errno| Failure::io("open", file, errno))?;
                    [&here, "/", file].concat()
                }
            };
            let mut target = path(&["skiff", "load"]);
            query(&mut target, "path", &absolute);
            query(&mut target, "quiet", quiet);
            return progress::show(context.client.request(Method::Post, &target, Upload::Nothing)?);
        }
        let mut target = path(&["images", "load"]);
        query(&mut target, "quiet", quiet);
        let kind = "application/x-tar";
        let Some(file) = file else {
            if self.input.is_none() && terminal::stdin_is_terminal() {
                let failure = Failure::new("load: stdin is a terminal");
                return Err(failure.hint("name the archive with -i FILE, or pipe it in"));
            }
            let upload = Upload::Stream(kind, descriptor::standard()[0]);
            return progress::show(context.client.request(Method::Post, &target, upload)?);
        };
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(CWD, file, flags, Mode::empty()).context("open", file)?;
        let stat = rustix::fs::fstat(&open).context("stat", file)?;
        let reply = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let mut push = |send: &mut dyn FnMut(&[u8]) -> skiff_core::Result<()>| {
                let mut pack = Pack::new(send, Form::Image);
                pack.content(open.as_fd())?;
                Ok(pack.finish()?)
            };
            context.client.request(Method::Post, &target, Upload::Push(kind, &mut push))?
        } else {
            let mut bar = (!is_quiet).then(|| Bar::new(file.into()));
            let mut done = 0;
            let mut push = |send: &mut dyn FnMut(&[u8]) -> skiff_core::Result<()>| {
                let mut part = vec![0; 256 << 10];
                loop {
                    let count = file::read_part(&open, &mut part).context("read", file)?;
                    if count == 0 {
                        return Ok(());
                    }
                    send(&part[..count])?;
                    done += count as u64;
                    if let Some(bar) = &mut bar {
                        bar.show(done, stat.st_size as u64);
                    }
                }
            };
            context.client.request(Method::Post, &target, Upload::Push(kind, &mut push))?
        };
        progress::show(reply)
    }
}

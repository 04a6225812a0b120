//! `skiff import`: a tar file or stdin -> POST /images/create?fromSrc=- -> the image's id.

use argh::prelude::*;
use rustix::fd::AsFd;
use skiff_core::api::head::Method;
use skiff_syscalls::descriptor;

use super::{Context, Verb, text};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    files, output,
};

/// make an image of a root file system in a tar file
#[derive(FromArgs, ArgsInfo)]
pub struct Import {
    /// dockerfile instruction to apply to the image: CMD, ENTRYPOINT, ENV, EXPOSE, USER, WORKDIR, ...
    #[argh(option, short = 'c', arg_name = "instruction")]
    change: Vec<String>,
    /// a note that stays with the image
    #[argh(option, short = 'm', arg_name = "string")]
    message: Option<String>,
    /// what it is for, if not for this machine (linux/arm64)
    #[argh(option, arg_name = "string")]
    platform: Option<String>,
    #[argh(positional)]
    file: String,
    #[argh(positional)]
    name: Option<String>,
}

impl Verb for Import {
    fn run(self, context: &Context) -> Outcome {
        let opened;
        let source = match self.file.as_str() {
            "-" => descriptor::standard()[0],
            url if url.contains("://") => {
                let failure = Failure::new(format!("import {url}: only files and - (stdin) can be imported"));
                return Err(failure.hint("download it and pipe it in: curl URL | skiff import - NAME"));
            }
            file => {
                opened = files::open(file).map_err(|errno| Failure::io("open", file, errno))?;
                opened.as_fd()
            }
        };
        let mut target = path(&["images", "create"]);
        query(&mut target, "fromSrc", "-");
        for (key, value) in [("repo", &self.name), ("message", &self.message), ("platform", &self.platform)] {
            if let Some(value) = value {
                query(&mut target, key, value);
            }
        }
        for change in &self.change {
            query(&mut target, "changes", change);
        }
        let upload = Upload::Stream("application/x-tar", source);
        let mut reply = context.client.request(Method::Post, &target, upload)?;
        while let Some(step) = reply.object()? {
            if step.get("error").is_some() {
                return Err(Failure::new(text(&step, "error")));
            }
            if !text(&step, "status").is_empty() {
                output::line(text(&step, "status"))?;
            }
        }
        Ok(0)
    }
}

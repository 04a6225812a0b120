//! `skiff load`: an archive of images -> POST /images/load; without a daemon a file or directory is read in its place.

use std::{fs::File, io::Read};

use argh::{ArgsInfo, FromArgs};
use skiff_core::api::head::Method;

use super::{Context, Verb};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    progress, terminal,
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
            let absolute = std::path::absolute(file).map_err(|error| Failure::io("open", file, &error))?;
            let Some(absolute) = absolute.to_str() else {
                return Err(Failure::new(format!("open {file}: its path is not UTF-8 text")));
            };
            let mut target = path(&["skiff", "load"]);
            query(&mut target, "path", absolute);
            query(&mut target, "quiet", quiet);
            return progress::show(context.client.request(Method::Post, &target, Upload::Nothing)?);
        }
        let mut source: Box<dyn Read> = match file {
            None if terminal::stdin_is_terminal() => {
                return Err(Failure::new("load: stdin is a terminal")
                    .hint("name the archive with -i FILE, or pipe it in"));
            }
            None => Box::new(std::io::stdin()),
            Some(file) => Box::new(File::open(file).map_err(|error| Failure::io("open", file, &error))?),
        };
        let mut target = path(&["images", "load"]);
        query(&mut target, "quiet", quiet);
        let upload = Upload::Stream("application/x-tar", &mut source);
        progress::show(context.client.request(Method::Post, &target, upload)?)
    }
}

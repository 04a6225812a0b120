//! `skiff export`: GET /containers/{id}/export -> a tar on stdout or in a file.

use argh::prelude::*;
use skiff_core::api::head::Method;

use super::{Context, Verb};
use crate::{
    client::{Upload, path},
    download,
    failure::Outcome,
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
        let output = self.output.as_deref();
        download::check(output, "export", "export -o FILE CONTAINER")?;
        let target = path(&["containers", &self.container, "export"]);
        download::take(context.client.request(Method::Get, &target, Upload::Nothing)?, output, &mut |_| ())
    }
}

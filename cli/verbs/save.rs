//! `skiff save`: GET /images/get -> an archive of images on stdout or in a file.

use argh::prelude::*;
use skiff_core::api::head::Method;

use super::{Context, Verb};
use crate::{
    client::{Upload, path, query},
    download,
    failure::Outcome,
    progress::Bar,
};

/// write images as an archive, which `load` and other engines take
#[derive(FromArgs, ArgsInfo)]
pub struct Save {
    /// write to a file instead of stdout
    #[argh(option, short = 'o', arg_name = "file")]
    output: Option<String>,
    /// oci or docker; an archive that is both unless it is told
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// which of an image's platforms: an image has one
    #[argh(option, arg_name = "string", hidden_help)]
    platform: Option<String>,
    /// don't show on the terminal how far it is
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(positional)]
    images: Vec<String>,
}

impl Verb for Save {
    fn run(self, context: &Context) -> Outcome {
        let output = self.output.as_deref();
        download::check(output, "save", "save -o FILE IMAGE")?;
        let mut target = path(&["images", "get"]);
        for image in &self.images {
            query(&mut target, "names", image);
        }
        for (key, value) in [("format", &self.format), ("platform", &self.platform)] {
            if let Some(value) = value {
                query(&mut target, key, value);
            }
        }
        let reply = context.client.request(Method::Get, &target, Upload::Nothing)?;
        let size = reply.headers.get("x-skiff-archive-size").and_then(|size| size.parse().ok());
        let mut bar = (!self.quiet).then(|| Bar::new(output.unwrap_or("archive").into()));
        download::take(reply, output, &mut |done| {
            if let Some(bar) = &mut bar {
                bar.show(done, size.unwrap_or(0));
            }
        })
    }
}

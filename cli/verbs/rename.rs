//! `skiff rename`: POST /containers/{id}/rename.

use argh::prelude::*;

use super::{Context, Verb};
use crate::{
    client::{path, query},
    failure::Outcome,
};

/// rename a container
#[derive(FromArgs, ArgsInfo)]
pub struct Rename {
    #[argh(positional)]
    container: String,
    #[argh(positional)]
    new_name: String,
}

impl Verb for Rename {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["containers", self.container.trim_matches('/'), "rename"]);
        query(&mut target, "name", self.new_name.trim_matches('/'));
        context.client.post(&target, None)?;
        Ok(0)
    }
}

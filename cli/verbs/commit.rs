//! `skiff commit`: POST /commit -> the new image's id.

use argh::prelude::*;

use super::{Context, Verb, text};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
};

/// make an image of what a container has changed
#[derive(FromArgs, ArgsInfo)]
pub struct Commit {
    /// who made it
    #[argh(option, short = 'a', arg_name = "string")]
    author: Option<String>,
    /// dockerfile instruction to apply to the image: CMD, ENTRYPOINT, ENV, EXPOSE, USER, WORKDIR, ...
    #[argh(option, short = 'c', arg_name = "instruction")]
    change: Vec<String>,
    /// a note that stays with the image
    #[argh(option, short = 'm', arg_name = "string")]
    message: Option<String>,
    /// freeze the container meanwhile; default true
    #[argh(option, short = 'p', arg_name = "bool", default = "true")]
    pause: bool,
    #[argh(positional)]
    container: String,
    #[argh(positional)]
    name: Option<String>,
}

impl Verb for Commit {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["commit"]);
        query(&mut target, "container", &self.container);
        for (key, value) in [("repo", &self.name), ("author", &self.author), ("comment", &self.message)] {
            if let Some(value) = value {
                query(&mut target, key, value);
            }
        }
        for change in &self.change {
            query(&mut target, "changes", change);
        }
        // As builders do it: the same changes give the same image at any time.
        if let Some(epoch) = context.environment.filled("SOURCE_DATE_EPOCH") {
            query(&mut target, "epoch", epoch);
        }
        query(&mut target, "pause", if self.pause { "1" } else { "0" });
        let made = context.client.post(&target, None)?;
        output::line(text(&made, "Id"))?;
        Ok(0)
    }
}

//! `skiff pause` and `skiff unpause`: POST /containers/{id}/pause, /unpause.

use argh::prelude::*;

use super::{Context, Verb, each};
use crate::{client::path, failure::Outcome, output};

/// freeze all processes of one or more containers
#[derive(FromArgs, ArgsInfo)]
pub struct Pause {
    #[argh(positional)]
    containers: Vec<String>,
}

/// let all processes of one or more containers go on
#[derive(FromArgs, ArgsInfo)]
pub struct Unpause {
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Pause {
    fn run(self, context: &Context) -> Outcome {
        all(context, "pause", &self.containers)
    }
}

impl Verb for Unpause {
    fn run(self, context: &Context) -> Outcome {
        all(context, "unpause", &self.containers)
    }
}

fn all(context: &Context, verb: &str, names: &[String]) -> Outcome {
    each(names, |name| {
        context.client.post(&path(&["containers", name, verb]), None)?;
        output::line(name)
    })
}

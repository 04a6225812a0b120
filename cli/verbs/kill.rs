//! `skiff kill`: POST /containers/{id}/kill.

use argh::prelude::*;

use super::{Context, Verb, each};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
};

/// kill one or more running containers
#[derive(FromArgs, ArgsInfo)]
pub struct Kill {
    /// signal to send
    #[argh(option, short = 's', arg_name = "string")]
    signal: Option<String>,
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Kill {
    fn run(self, context: &Context) -> Outcome {
        each(&self.containers, |name| {
            let mut target = path(&["containers", name, "kill"]);
            query(&mut target, "signal", self.signal.as_deref().unwrap_or("KILL"));
            context.client.post(&target, None)?;
            output::line(name)
        })
    }
}

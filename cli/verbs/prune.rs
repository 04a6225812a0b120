//! `skiff container prune`: POST /containers/prune -> what was removed.

use argh::prelude::*;

use super::{Context, Verb, confirmed, filters, prune};
use crate::failure::Outcome;

/// remove all stopped containers
#[derive(FromArgs, ArgsInfo)]
pub struct Prune {
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=..., label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

impl Verb for Prune {
    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        if !self.force && !confirmed("This will remove all stopped containers.")? {
            return Ok(0);
        }
        prune(context, "containers", &wanted, "ContainersDeleted", "Deleted Containers:")
    }
}

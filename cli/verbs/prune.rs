//! `skiff container prune`: POST /containers/prune -> what was removed.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use super::{Context, Verb, confirmed, filters, items, number};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
    table::size,
};

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
        let mut target = path(&["containers", "prune"]);
        if !wanted.is_empty() {
            query(&mut target, "filters", &wanted);
        }
        let done = context.client.post(&target, None)?;
        let mut out = String::new();
        let removed = items(&done, "ContainersDeleted");
        if !removed.is_empty() {
            out.push_str("Deleted Containers:\n");
            for id in removed.iter().filter_map(Value::as_str) {
                out.push_str(id);
                out.push('\n');
            }
            out.push('\n');
        }
        let bytes = u64::try_from(number(&done, "SpaceReclaimed")).unwrap_or(0);
        out.push_str(&format!("Total reclaimed space: {}\n", size(bytes, 4)));
        output::write(out.as_bytes())?;
        Ok(0)
    }
}

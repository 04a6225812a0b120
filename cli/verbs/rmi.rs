//! `skiff rmi`: DELETE /images/{name} -> what was untagged and deleted.

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, each, text};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
};

/// remove one or more images
#[derive(FromArgs, ArgsInfo)]
pub struct Rmi {
    /// remove it even if it has more names or stopped containers
    #[argh(switch, short = 'f')]
    force: bool,
    /// don't remove parents without a name
    #[argh(switch)]
    no_prune: bool,
    #[argh(positional)]
    images: Vec<String>,
}

impl Verb for Rmi {
    fn run(self, context: &Context) -> Outcome {
        each(&self.images, |name| {
            let mut target = path(&["images", name]);
            if self.force {
                query(&mut target, "force", "1");
            }
            if self.no_prune {
                query(&mut target, "noprune", "1");
            }
            let done = context.client.delete(&target)?;
            let mut lines = String::new();
            for step in done.as_array().map_or(&[][..], Vec::as_slice) {
                for key in ["Untagged", "Deleted"] {
                    if step.get(key).is_some_and(Value::is_string) {
                        lines.push_str(&format!("{key}: {}\n", text(step, key)));
                    }
                }
            }
            output::write(lines.as_bytes())
        })
    }
}

//! `skiff rmi`: DELETE /images/{name} -> what was untagged and deleted.

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, text};
use crate::{
    client::{path, query},
    failure::{Failure, Outcome},
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
        let mut failures: Vec<Failure> = Vec::new();
        for name in &self.images {
            let mut target = path(&["images", name]);
            if self.force {
                query(&mut target, "force", "1");
            }
            if self.no_prune {
                query(&mut target, "noprune", "1");
            }
            match context.client.delete(&target) {
                Ok(done) => output::write(lines(&done).as_bytes())?,
                Err(failure) => failures.push(failure),
            }
        }
        for failure in &failures {
            output::complain(&failure.message);
        }
        // With force it is fine if an image was not there.
        let bad = failures.iter().any(|failure| !self.force || failure.status != 404);
        Ok(u8::from(bad))
    }
}

/// What a removal has done.
fn lines(done: &Value) -> String {
    let mut lines = String::new();
    for step in done.as_array().map_or(&[][..], Vec::as_slice) {
        for key in ["Untagged", "Deleted"] {
            if step.get(key).is_some_and(Value::is_string) {
                lines.extend([key, ": ", text(step, key), "\n"]);
            }
        }
    }
    lines
}

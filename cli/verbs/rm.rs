//! `skiff rm`: DELETE /containers/{id}.

use argh::prelude::*;

use super::{Context, Verb, each};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
};

/// remove one or more containers
#[derive(FromArgs, ArgsInfo)]
pub struct Rm {
    /// kill it first if it is running; what isn't there is no error
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove its anonymous volumes too
    #[argh(switch, short = 'v')]
    volumes: bool,
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Rm {
    fn run(self, context: &Context) -> Outcome {
        each(&self.containers, |name| {
            let name = name.trim_matches('/');
            let mut target = path(&["containers", name]);
            if self.force {
                query(&mut target, "force", "1");
            }
            if self.volumes {
                query(&mut target, "v", "1");
            }
            match context.client.delete(&target) {
                // As Docker: it is said, but what should be gone is gone.
                Err(failure) if self.force && failure.status == 404 => {
                    output::complain(&failure.message);
                    Ok(())
                }
                result => result.and_then(|_| output::line(name)),
            }
        })
    }
}

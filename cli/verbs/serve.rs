//! `skiff serve`: the daemon, for clients that need one. Runs until SIGTERM or SIGINT.

use argh::prelude::*;

use super::{Context, Verb};
use crate::{
    failure::{Failure, Outcome},
    output,
};

/// serve the Docker Engine API on a unix socket
#[derive(FromArgs, ArgsInfo)]
pub struct Serve {
    /// where to listen (default: skiff.sock in the run root)
    #[argh(option, short = 'H', arg_name = "unix://PATH")]
    host: Option<String>,
}

impl Verb for Serve {
    fn run(self, context: &Context) -> Outcome {
        let socket = match &self.host {
            None => format!("{}/skiff.sock", context.settings.run_root),
            Some(address) => match address.strip_prefix("unix://") {
                Some(path) if path.starts_with('/') => path.to_owned(),
                _ => {
                    return Err(Failure::misuse(
                        "serve",
                        &format!("host {address} is not supported: it is unix:///PATH"),
                    ));
                }
            },
        };
        skiff_core::api::serve(&socket, &context.settings, || {
            output::note(&format!("listening on unix://{socket}\n"));
        })?;
        Ok(0)
    }
}

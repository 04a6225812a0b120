//! `skiff wait`: POST /containers/{id}/wait -> the exit code of each container.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, each, number, text};
use crate::{
    client::path,
    failure::{Failure, Outcome},
    output,
};

/// wait until one or more containers stop, then print their exit codes
#[derive(FromArgs, ArgsInfo)]
pub struct Wait {
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Wait {
    fn run(self, context: &Context) -> Outcome {
        each(&self.containers, |name| {
            let answer = context.client.post(&path(&["containers", name, "wait"]), None)?;
            match answer
                .get("Error")
                .filter(|error| error.is_object())
                .map_or("", |error| text(error, "Message"))
            {
                "" if answer.get("StatusCode").is_some_and(Value::is_i64) => {
                    output::line(&number(&answer, "StatusCode").to_string())
                }
                "" => Err(Failure::new(format!("wait for {name}: the engine gave no exit code"))),
                message => Err(Failure::new(message)),
            }
        })
    }
}

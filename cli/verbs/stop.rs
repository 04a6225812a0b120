//! `skiff stop` and `skiff restart`: POST /containers/{id}/stop, /restart.

use alloc::string::ToString;

use argh::prelude::*;

use super::{Context, Verb, each};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
};

/// stop one or more running containers
#[derive(FromArgs, ArgsInfo)]
pub struct Stop {
    /// signal to send first
    #[argh(option, short = 's', arg_name = "string")]
    signal: Option<String>,
    /// seconds to wait before the container is killed (-1: for ever)
    #[argh(option, short = 't', arg_name = "int", long = "timeout")]
    timeout: Option<i64>,
    /// the old name of --timeout
    #[argh(option, arg_name = "int", hidden_help)]
    time: Option<i64>,
    #[argh(positional)]
    containers: Vec<String>,
}

/// restart one or more containers
#[derive(FromArgs, ArgsInfo)]
pub struct Restart {
    /// signal to send first
    #[argh(option, short = 's', arg_name = "string")]
    signal: Option<String>,
    /// seconds to wait before the container is killed (-1: for ever)
    #[argh(option, short = 't', arg_name = "int", long = "timeout")]
    timeout: Option<i64>,
    /// the old name of --timeout
    #[argh(option, arg_name = "int", hidden_help)]
    time: Option<i64>,
    #[argh(positional)]
    containers: Vec<String>,
}

impl Verb for Stop {
    fn run(self, context: &Context) -> Outcome {
        end(context, "stop", &self.containers, self.signal.as_deref(), self.timeout.or(self.time))
    }
}

impl Verb for Restart {
    fn run(self, context: &Context) -> Outcome {
        end(context, "restart", &self.containers, self.signal.as_deref(), self.timeout.or(self.time))
    }
}

fn end(
    context: &Context,
    verb: &str,
    names: &[String],
    signal: Option<&str>,
    timeout: Option<i64>,
) -> Outcome {
    each(names, |name| {
        let mut target = path(&["containers", name, verb]);
        if let Some(signal) = signal {
            query(&mut target, "signal", signal);
        }
        if let Some(timeout) = timeout {
            query(&mut target, "t", &timeout.to_string());
        }
        context.client.post(&target, None)?;
        output::line(name)
    })
}

//! `skiff logs`: GET /containers/{id}/logs -> what the container wrote, to stdout and stderr.

use argh::prelude::*;
use serde_json::Value;
use skiff_core::{api::head::Method, clock::Time};

use super::{Context, Verb, text};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    streams,
};

/// show what a container wrote
#[derive(FromArgs, ArgsInfo)]
pub struct Logs {
    /// put what else is known of each line before it
    #[argh(switch)]
    details: bool,
    /// go on with what it writes from now on
    #[argh(switch, short = 'f')]
    follow: bool,
    /// show nothing older (10m, 2013-01-02T13:23:37Z)
    #[argh(option, arg_name = "string")]
    since: Option<String>,
    /// show nothing newer (10m, 2013-01-02T13:23:37Z)
    #[argh(option, arg_name = "string")]
    until: Option<String>,
    /// show the last lines only: a number, or all
    #[argh(option, short = 'n', arg_name = "string", default = "\"all\".into()")]
    tail: String,
    /// put the time before each line
    #[argh(switch, short = 't')]
    timestamps: bool,
    #[argh(positional)]
    container: String,
}

impl Verb for Logs {
    fn run(self, context: &Context) -> Outcome {
        let container = context.client.get(&path(&["containers", &self.container, "json"]))?;
        let tty = container.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or(false);
        let mut target = path(&["containers", text(&container, "Id"), "logs"]);
        query(&mut target, "stdout", "1");
        query(&mut target, "stderr", "1");
        query(&mut target, "tail", &self.tail);
        for (key, given) in
            [("details", self.details), ("follow", self.follow), ("timestamps", self.timestamps)]
        {
            if given {
                query(&mut target, key, "1");
            }
        }
        add_when(&mut target, "since", self.since.as_deref())?;
        add_when(&mut target, "until", self.until.as_deref())?;
        let mut reply = context.client.request(Method::Get, &target, Upload::Nothing)?;
        streams::copy(&mut reply, tty)?;
        Ok(0)
    }
}

/// Adds a time that a person wrote to a query, as unix seconds.
pub fn add_when(target: &mut String, key: &str, given: Option<&str>) -> Result<(), Failure> {
    if let Some(given) = given {
        let time = Time::parse_when(given, Time::now())
            .map_err(|error| Failure::new(format!("invalid value for \"{key}\": {error}")))?;
        let nanos = time.unix_nanos().rem_euclid(skiff_core::clock::SECOND);
        query(target, key, &format!("{}.{nanos:09}", time.unix()));
    }
    Ok(())
}

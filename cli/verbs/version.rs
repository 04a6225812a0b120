//! `skiff version`: GET /version -> the client's and the engine's versions.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use super::{Context, Verb};
use crate::{failure::Outcome, output};

/// show the versions of the client and the engine
#[derive(FromArgs, ArgsInfo)]
pub struct Version {}

impl Verb for Version {
    fn run(self, context: &Context) -> Outcome {
        let engine = context.client.get("/version")?;
        let text = |key: &str| engine.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        output::line(&format!("{} {}", text("Version"), text("ApiVersion")))?;
        Ok(0)
    }
}

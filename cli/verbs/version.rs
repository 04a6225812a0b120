//! `skiff version`: GET /version -> the client's and the engine's versions.

use argh::prelude::*;
use serde_json::{Value, json};
use skiff_core::image::config::ARCHITECTURE;

use super::{Context, Verb, items, text};
use crate::{failure::Outcome, format, output, template::Missing};

/// show the versions of the client and the engine
#[derive(FromArgs, ArgsInfo)]
pub struct Version {
    /// how to show it: "json" or a Go template
    #[argh(option, short = 'f', arg_name = "string")]
    format: Option<String>,
}

impl Verb for Version {
    fn run(self, context: &Context) -> Outcome {
        let api = skiff_core::api::API_VERSION.0;
        let client = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "ApiVersion": format!("1.{api}"),
            "DefaultAPIVersion": format!("1.{api}"),
            "Os": "linux",
            "Arch": ARCHITECTURE,
        });
        let server = context.client.get("/version")?;
        if let Some(format) = self.format.as_deref().filter(|format| !format.is_empty()) {
            let both = json!({"Client": client, "Server": server});
            output::write(format::one(format, &both, Missing::Field("version"))?.as_bytes())?;
            return Ok(0);
        }
        let mut out = String::from("Client:\n");
        let mut field = |name: &str, value: &str| out.push_str(&format!(" {name:<18} {value}\n"));
        field("Version:", text(&client, "Version"));
        field("API version:", text(&client, "ApiVersion"));
        field("OS/Arch:", &format!("{}/{}", text(&client, "Os"), text(&client, "Arch")));
        let engine =
            items(&server, "Components").first().map_or("Engine", |component| text(component, "Name"));
        out.push_str(&format!("\nServer:\n {engine}:\n"));
        let mut field = |name: &str, value: &str| out.push_str(&format!("  {name:<17} {value}\n"));
        field("Version:", text(&server, "Version"));
        let versions = (text(&server, "ApiVersion"), text(&server, "MinAPIVersion"));
        field("API version:", &format!("{} (minimum version {})", versions.0, versions.1));
        field("OS/Arch:", &format!("{}/{}", text(&server, "Os"), text(&server, "Arch")));
        field("Kernel version:", text(&server, "KernelVersion"));
        if server.get("Experimental").and_then(Value::as_bool) == Some(true) {
            field("Experimental:", "true");
        }
        output::write(out.as_bytes())?;
        Ok(0)
    }
}

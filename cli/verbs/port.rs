//! `skiff port`: GET /containers/{id}/json -> its published ports.

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, ps::bracketed, text};
use crate::{
    client::path,
    failure::{Failure, Outcome},
    output,
};

/// show the published ports of a container
#[derive(FromArgs, ArgsInfo)]
pub struct Port {
    #[argh(positional)]
    container: String,
    #[argh(positional)]
    private_port: Option<String>,
}

impl Verb for Port {
    fn run(self, context: &Context) -> Outcome {
        let container = context.client.get(&path(&["containers", &self.container, "json"]))?;
        let ports = container.pointer("/NetworkSettings/Ports").and_then(Value::as_object);
        let wanted = self
            .private_port
            .as_ref()
            .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") });
        let mut out = String::new();
        for (inside, bindings) in ports.into_iter().flatten() {
            if wanted.as_ref().is_some_and(|wanted| wanted != inside) {
                continue;
            }
            for binding in bindings.as_array().map_or(&[][..], Vec::as_slice) {
                if wanted.is_none() {
                    out.push_str(&format!("{inside} -> "));
                }
                out.push_str(&format!(
                    "{}:{}\n",
                    bracketed(text(binding, "HostIp")),
                    text(binding, "HostPort")
                ));
            }
        }
        match &self.private_port {
            Some(port) if out.is_empty() => {
                Err(Failure::new(format!("no public port '{port}' published for {}", self.container)))
            }
            _ => output::write(out.as_bytes()).map(|()| 0),
        }
    }
}

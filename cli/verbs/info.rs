//! `skiff info`: GET /info -> what the engine and its host are.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, field, items, number, text};
use crate::{failure::Outcome, format, output, table::binary_size, template::Missing};

/// show what the engine and its host are
#[derive(FromArgs, ArgsInfo)]
pub struct Info {
    /// how to show it: "json" or a Go template
    #[argh(option, short = 'f', arg_name = "string")]
    format: Option<String>,
}

impl Verb for Info {
    fn run(self, context: &Context) -> Outcome {
        let info = context.client.get("/info")?;
        if let Some(format) = self.format.as_deref().filter(|format| !format.is_empty()) {
            output::write(format::one(format, &info, Missing::Field("info"))?.as_bytes())?;
            return Ok(0);
        }
        output::write(page(&info).as_bytes())?;
        for warning in items(&info, "Warnings").iter().filter_map(Value::as_str) {
            output::note(&format!("{warning}\n"));
        }
        Ok(0)
    }
}

fn page(info: &Value) -> String {
    let mut out = format!("Client:\n Version: {}\n\nServer:\n", env!("CARGO_PKG_VERSION"));
    let count = |key: &str| number(info, key).to_string();
    field(&mut out, 1, "Containers", &count("Containers"));
    field(&mut out, 2, "Running", &count("ContainersRunning"));
    field(&mut out, 2, "Paused", &count("ContainersPaused"));
    field(&mut out, 2, "Stopped", &count("ContainersStopped"));
    field(&mut out, 1, "Images", &count("Images"));
    field(&mut out, 1, "Server Version", text(info, "ServerVersion"));
    field(&mut out, 1, "Storage Driver", text(info, "Driver"));
    for pair in items(info, "DriverStatus") {
        let word = |at: usize| pair.get(at).and_then(Value::as_str).unwrap_or("");
        field(&mut out, 2, word(0), word(1));
    }
    field(&mut out, 1, "Logging Driver", text(info, "LoggingDriver"));
    field(&mut out, 1, "Cgroup Driver", text(info, "CgroupDriver"));
    field(&mut out, 1, "Cgroup Version", text(info, "CgroupVersion"));
    out.push_str(" Plugins:\n");
    for kind in ["Volume", "Network", "Log"] {
        let plugins = info.get("Plugins").map_or(&[][..], |plugins| items(plugins, kind));
        let names: Vec<&str> = plugins.iter().filter_map(Value::as_str).collect();
        field(&mut out, 2, kind, &names.join(" "));
    }
    out.push_str(" Security Options:\n");
    for option in items(info, "SecurityOptions").iter().filter_map(Value::as_str) {
        for part in option.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => out.push_str(&format!("  {name}\n")),
                Some(("profile", profile)) => field(&mut out, 3, "Profile", profile),
                _ => out.push_str(&format!("   {part}\n")),
            }
        }
    }
    for (name, key) in [
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    ] {
        field(&mut out, 1, name, text(info, key));
    }
    field(&mut out, 1, "CPUs", &count("NCPU"));
    field(&mut out, 1, "Total Memory", &binary_size(u64::try_from(number(info, "MemTotal")).unwrap_or(0)));
    field(&mut out, 1, "Name", text(info, "Name"));
    field(&mut out, 1, "ID", text(info, "ID"));
    field(&mut out, 1, "Root Dir", text(info, "DockerRootDir"));
    out
}

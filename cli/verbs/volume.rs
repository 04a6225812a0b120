//! `skiff volume create|ls|rm`: POST /volumes/create, GET /volumes, DELETE /volumes/NAME. (`skiff volume inspect` is
//! `inspect` with the kind given, `prune` stands with those of other kinds.)

use argh::prelude::*;
use serde_json::{Value, json};
use skiff_core::sort;

use super::{Context, Verb, add_filters, each, items, number, text};
use crate::{
    client::{path, query},
    create::{environment::labels, mounts},
    failure::{Failure, Outcome},
    format::{Layout, add_labels, row},
    output,
    table::size,
};

/// make a volume
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// only "local"
    #[argh(option, short = 'd', arg_name = "string", default = "String::from(\"local\")")]
    driver: String,
    /// label
    #[argh(option, arg_name = "name[=value]")]
    label: Vec<String>,
    /// option of the driver: type, device, o
    #[argh(option, short = 'o', arg_name = "name=value")]
    opt: Vec<String>,
    #[argh(positional)]
    name: Option<String>,
}

/// list volumes
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// show only what fits the condition (dangling=true, driver=..., label=..., name=...)
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show names only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

/// remove one or more volumes
#[derive(FromArgs, ArgsInfo)]
pub struct Remove {
    /// what isn't there is no error
    #[argh(switch, short = 'f')]
    force: bool,
    #[argh(positional)]
    names: Vec<String>,
}

impl Verb for Create {
    fn run(self, context: &Context) -> Outcome {
        let labels = labels([].into_iter(), self.label.iter().map(String::as_str));
        let mut options = skiff_core::container::config::Map::new();
        self.opt.iter().for_each(|option| mounts::insert(&mut options, option));
        let body = json!({
            "Name": self.name.unwrap_or_default(),
            "Driver": self.driver,
            "DriverOpts": options,
            "Labels": labels.map_err(Failure::refused)?,
        });
        let made = context.client.post("/volumes/create", Some(&body))?;
        output::line(text(&made, "Name"))?;
        Ok(0)
    }
}

impl Verb for List {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["volumes"]);
        add_filters(&mut target, &self.filter)?;
        let answer = context.client.get(&target)?;
        let mut volumes: Vec<&Value> = items(&answer, "Volumes").iter().collect();
        sort::by(&mut volumes, |a, b| text(a, "Name").cmp(text(b, "Name")));
        let rows: Vec<Value> = volumes.into_iter().map(line).collect();
        LAYOUT.print(self.format.as_deref(), self.quiet, &rows)?;
        Ok(0)
    }
}

/// How volumes are shown.
pub const LAYOUT: Layout = Layout {
    kind: "volume",
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
    headers: &[("Name", "VOLUME NAME")],
};

/// The row of a volume.
pub fn line(volume: &Value) -> Value {
    let field = |key: &str| text(volume, key).to_owned();
    let none = || "N/A".to_owned();
    let usage = volume.get("UsageData").filter(|usage| usage.is_object());
    let mut row = row(vec![
        ("Name", field("Name")),
        ("Driver", field("Driver")),
        ("Scope", field("Scope")),
        ("Mountpoint", field("Mountpoint")),
        ("Links", usage.map_or_else(none, |usage| format!("{}", number(usage, "RefCount")))),
        ("Size", usage.map_or_else(none, |usage| size(u64::try_from(number(usage, "Size")).unwrap_or(0), 4))),
        ("Availability", none()),
        ("Group", none()),
        ("Status", none()),
    ]);
    add_labels(&mut row, volume.get("Labels"));
    row.into()
}

impl Verb for Remove {
    fn run(self, context: &Context) -> Outcome {
        each(&self.names, |name| {
            let mut target = path(&["volumes", name]);
            if self.force {
                query(&mut target, "force", "1");
            }
            context.client.delete(&target)?;
            output::line(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_row_of_driver_and_name() {
        let rows = [line(&json!({"Name": "v", "Driver": "local", "Scope": "local", "Labels": {"a": "b"}}))];
        let show = |format: Option<&str>, quiet| LAYOUT.text(format, quiet, &rows).unwrap();
        assert_eq!(show(None, false), "DRIVER    VOLUME NAME\nlocal     v\n");
        assert_eq!(show(None, true), "v\n");
        assert_eq!(show(Some("{{.Name}} {{.Labels}} {{.Label \"a\"}} {{.Size}}"), false), "v a=b b N/A\n");
    }
}

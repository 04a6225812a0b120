//! `skiff network ls`: GET /networks. (`skiff network inspect` is `inspect` with the kind given.)

use argh::prelude::*;
use serde_json::Value;
use skiff_core::sort;

use super::{Context, Verb, filters, short_id, text};
use crate::{
    client::{path, query},
    failure::Outcome,
    format::{Layout, add_labels, row},
};

/// list networks
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// show only what fits the condition (driver=..., id=..., name=..., scope=..., type=...)
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// don't shorten ids
    #[argh(switch)]
    no_trunc: bool,
    /// show ids only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl Verb for List {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["networks"]);
        let wanted = filters(&self.filter)?;
        if !wanted.is_empty() {
            query(&mut target, "filters", &wanted);
        }
        let answer = context.client.get(&target)?;
        let mut networks: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
        sort::by(&mut networks, |a, b| text(a, "Name").cmp(text(b, "Name")));
        let rows: Vec<Value> = networks.into_iter().map(|network| line(network, self.no_trunc)).collect();
        LAYOUT.print(self.format.as_deref(), self.quiet, &rows)?;
        Ok(0)
    }
}

/// How networks are shown.
const LAYOUT: Layout = Layout {
    kind: "network",
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
    headers: &[("ID", "NETWORK ID")],
};

/// The row of a network.
fn line(network: &Value, whole: bool) -> Value {
    let field = |key: &str| text(network, key).to_owned();
    let flag = |key: &str| network.get(key).and_then(Value::as_bool).unwrap_or(false);
    let id = text(network, "Id");
    let mut row = row(vec![
        ("ID", if whole { id } else { short_id(id) }.into()),
        ("Name", field("Name")),
        ("Driver", field("Driver")),
        ("Scope", field("Scope")),
        ("IPv6", format!("{}", flag("EnableIPv6"))),
        ("Internal", format!("{}", flag("Internal"))),
        ("CreatedAt", field("Created")),
    ]);
    add_labels(&mut row, network.get("Labels"));
    row.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_is_a_row_of_id_name_driver_and_scope() {
        let network = json!({"Id": "0123456789abcdef", "Name": "n", "Driver": "bridge", "Scope": "local"});
        let show = |format: Option<&str>, quiet, whole| {
            LAYOUT.text(format, quiet, &[line(&network, whole)]).unwrap()
        };
        let table = "NETWORK ID     NAME      DRIVER    SCOPE\n0123456789ab   n         bridge    local\n";
        assert_eq!(show(None, false, false), table);
        assert_eq!(show(None, true, true), "0123456789abcdef\n");
        assert_eq!(show(Some("{{.Internal}} {{.IPv6}}"), false, false), "false false\n");
    }
}

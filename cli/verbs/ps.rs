//! `skiff ps`: GET /containers/json -> one row for each container.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use super::{Context, Verb, ago, filters, items, number, short_id, text, time_text};
use crate::{
    client::{path, query},
    failure::Outcome,
    format::{Layout, add_labels, row},
    output,
    table::{shorten, size},
};

/// list containers
#[derive(FromArgs, ArgsInfo)]
pub struct Ps {
    /// show all containers, not just running ones
    #[argh(switch, short = 'a')]
    all: bool,
    /// show only what fits the condition
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show the n last created containers, in any state
    #[argh(option, short = 'n', arg_name = "int", default = "-1")]
    last: i64,
    /// show the last created container, in any state
    #[argh(switch, short = 'l')]
    latest: bool,
    /// don't shorten anything
    #[argh(switch)]
    no_trunc: bool,
    /// show ids only
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// show the sizes of files
    #[argh(switch, short = 's')]
    size: bool,
}

const HEADERS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("RunningFor", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("LocalVolumes", "LOCAL VOLUMES"),
];

impl Verb for Ps {
    fn run(self, context: &Context) -> Outcome {
        if self.quiet && self.format.is_some() {
            output::note("WARNING: --format is not used, because --quiet is set too\n");
        }
        let format = self.format.as_deref().filter(|_| !self.quiet);
        let size = self.size || format.is_some_and(|format| format.contains(".Size"));
        let mut target = path(&["containers", "json"]);
        if self.all {
            query(&mut target, "all", "1");
        }
        let limit = if self.latest { 1 } else { self.last };
        if limit > 0 {
            query(&mut target, "limit", &limit.to_string());
        }
        if size {
            query(&mut target, "size", "1");
        }
        let wanted = filters(&self.filter)?;
        if !wanted.is_empty() {
            query(&mut target, "filters", &wanted);
        }
        let containers = context.client.get(&target)?;
        let containers = containers.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<Value> = containers.iter().map(|one| container(one, !self.no_trunc)).collect();
        let layout = Layout {
            kind: "container",
            table: if size {
                "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
            } else {
                "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
            },
            quiet: "{{.ID}}",
            headers: HEADERS,
        };
        layout.print(format, self.quiet, &rows)?;
        Ok(0)
    }
}

fn container(one: &Value, short: bool) -> Value {
    let id = text(one, "Id");
    let command = text(one, "Command");
    let created = number(one, "Created");
    let volumes = items(one, "Mounts").iter().filter(|mount| text(mount, "Driver") == "local").count();
    let networks = one.get("NetworkSettings").and_then(|settings| settings.get("Networks"));
    let networks: Vec<&str> =
        networks.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut fields = row(vec![
        ("ID", if short { short_id(id) } else { id }.into()),
        ("Names", names(one, short)),
        ("Image", image(one, short)),
        ("Command", format!("{:?}", if short { shorten(command, 20) } else { command.into() })),
        ("CreatedAt", time_text(created)),
        ("RunningFor", ago(created)),
        ("Ports", ports(items(one, "Ports"))),
        ("State", text(one, "State").into()),
        ("Status", text(one, "Status").into()),
        ("Size", sizes(one)),
        ("LocalVolumes", volumes.to_string()),
        ("Mounts", mounts(one, short)),
        ("Networks", networks.join(",")),
    ]);
    add_labels(&mut fields, one.get("Labels"));
    fields.into()
}

fn names(one: &Value, short: bool) -> String {
    let names = items(one, "Names").iter().filter_map(Value::as_str);
    let names = names.map(|name| name.strip_prefix('/').unwrap_or(name));
    // What still has a slash is a name that a link to another container gave.
    let names: Vec<&str> = names.filter(|name| !short || !name.contains('/')).collect();
    names.join(",")
}

fn image(one: &Value, short: bool) -> String {
    let (image, id) = (text(one, "Image"), text(one, "ImageID"));
    if image.is_empty() {
        return "<no image>".into();
    }
    if !short {
        return image.into();
    }
    if short_id(image) == short_id(id) {
        return short_id(image).into();
    }
    image.split('@').next().unwrap_or(image).into()
}

fn sizes(one: &Value) -> String {
    let bytes = |key: &str| u64::try_from(number(one, key)).unwrap_or(0);
    let written = size(bytes("SizeRw"), 3);
    match bytes("SizeRootFs") {
        0 => written,
        all => format!("{written} (virtual {})", size(all, 3)),
    }
}

fn mounts(one: &Value, short: bool) -> String {
    let name = |mount: &Value| {
        let name = text(mount, "Name");
        let name = if name.is_empty() { text(mount, "Source") } else { name };
        if short { shorten(name, 15) } else { name.into() }
    };
    items(one, "Mounts").iter().map(name).collect::<Vec<_>>().join(",")
}

/// Ports as `ps` shows them: neighbours become ranges, and those with another port outside come last.
fn ports(ports: &[Value]) -> String {
    let mut ports: Vec<&Value> = ports.iter().collect();
    ports.sort_by_key(|port| {
        (number(port, "PrivatePort"), text(port, "IP"), number(port, "PublicPort"), text(port, "Type"))
    });
    let mut shown = Vec::new();
    let mut mapped = Vec::new();
    let mut ranges: Vec<(&str, &str, i64, i64)> = Vec::new();
    for port in ports {
        let (inside, outside) = (number(port, "PrivatePort"), number(port, "PublicPort"));
        let (ip, kind) = (text(port, "IP"), text(port, "Type"));
        if !ip.is_empty() && inside != outside {
            mapped.push(format!("{}:{outside}->{inside}/{kind}", bracketed(ip)));
            continue;
        }
        match ranges.iter_mut().find(|range| (range.0, range.1) == (ip, kind)) {
            None => ranges.push((ip, kind, inside, inside)),
            Some(range) if range.3 + 1 == inside => range.3 = inside,
            Some(range) => shown.push(range_text(&std::mem::replace(range, (ip, kind, inside, inside)))),
        }
    }
    shown.extend(ranges.iter().map(range_text));
    shown.extend(mapped);
    shown.join(", ")
}

fn range_text(&(ip, kind, first, last): &(&str, &str, i64, i64)) -> String {
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ip.is_empty() {
        format!("{range}/{kind}")
    } else {
        format!("{}:{range}->{range}/{kind}", bracketed(ip))
    }
}

/// An IPv6 address in brackets.
pub fn bracketed(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_grouped_as_docker_groups_them() {
        let all = json!([
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 9000, "PublicPort": 9000, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 9001, "PublicPort": 9001, "Type": "tcp"},
        ]);
        let text = ports(all.as_array().unwrap());
        assert_eq!(
            text,
            "443/tcp, 0.0.0.0:9000-9001->9000-9001/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(ports(&[]), "");
    }

    #[test]
    fn a_row_has_what_docker_shows() {
        let one = json!({
            "Id": "b".repeat(64), "Names": ["/db", "/web/alias"], "Image": "busybox@sha256:12", "ImageID": "sha256:34",
            "Command": "/bin/sh -c \"while true; do :; done\"", "Created": 0, "Mounts": [{"Source": "/very/long/path/that/is/long"}],
            "SizeRw": 1_234_567, "SizeRootFs": 12_345_678, "Labels": {"x": "y"}, "State": "exited",
        });
        let row = container(&one, true);
        assert_eq!(text(&row, "ID"), "bbbbbbbbbbbb");
        assert_eq!(text(&row, "Names"), "db");
        assert_eq!(text(&row, "Image"), "busybox");
        assert_eq!(text(&row, "Command"), "\"/bin/sh -c \\\"while t…\"");
        assert_eq!(text(&row, "CreatedAt"), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(text(&row, "Mounts"), "/very/long/pat…");
        assert_eq!(text(&row, "Size"), "1.23MB (virtual 12.3MB)");
        assert_eq!(text(&container(&one, false), "Names"), "db,web/alias");
    }
}

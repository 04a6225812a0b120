//! `skiff ps`: GET /containers/json -> one row for each container.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;
use skiff_core::sort;

use super::{Context, Verb, add_filters, ago, items, number, short_id, text, time_text};
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

/// How containers are shown.
pub const LAYOUT: Layout = Layout {
    kind: "container",
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    quiet: "{{.ID}}",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("RunningFor", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("LocalVolumes", "LOCAL VOLUMES"),
    ],
};

impl Verb for Ps {
    fn run(self, context: &Context) -> Outcome {
        if self.quiet && self.format.is_some() {
            output::note("WARNING: Ignoring custom format, because both --format and --quiet are set.\n");
        }
        let format = self.format.as_deref().filter(|_| !self.quiet);
        let size = self.size
            || format.is_some_and(|format| format.contains(".Size") || format.contains("{{json .}}"));
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
        add_filters(&mut target, &self.filter)?;
        let table = if size {
            "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
        } else {
            LAYOUT.table
        };
        let layout = Layout { table, ..LAYOUT };
        let shown = match format {
            None | Some("" | "table") if self.quiet => layout.quiet,
            None | Some("" | "table") => table,
            Some(format) => format,
        };
        let columns = columns(shown);
        let mut keys: Vec<&str> = columns.iter().flat_map(|column| column.needs).copied().collect();
        sort::by(&mut keys, Ord::cmp);
        keys.dedup();
        // Another engine sends more.
        query(&mut target, "members", &keys.join(","));
        let mut rows: Vec<Value> = Vec::new();
        context.client.each(&target, &keys, &mut |one| {
            rows.push(container(&one.into(), &columns, !self.no_trunc));
        })?;
        if rows.is_empty() {
            // A field that doesn't exist is told of an empty list, too.
            let nobody = [container(&Value::Null, &columns, true)];
            if let Err(failure) = layout.text(format, self.quiet, &nobody)
                && failure.message.contains("can't evaluate field")
            {
                return Err(failure);
            }
        }
        layout.print(format, self.quiet, &rows)?;
        Ok(0)
    }
}

/// A field of a row: its name, and the members of the API's object that it is made of.
struct Column {
    name: &'static str,
    needs: &'static [&'static str],
    text: fn(&Value, bool) -> String,
}

const COLUMNS: [Column; 14] = [
    Column { name: "ID", needs: &["Id"], text: id },
    Column { name: "Names", needs: &["Names"], text: names },
    Column { name: "Image", needs: &["Image", "ImageID"], text: image },
    Column { name: "Command", needs: &["Command"], text: command },
    Column { name: "CreatedAt", needs: &["Created"], text: |one, _| time_text(number(one, "Created")) },
    Column { name: "RunningFor", needs: &["Created"], text: |one, _| ago(number(one, "Created")) },
    Column { name: "Ports", needs: &["Ports"], text: |one, _| ports(items(one, "Ports")) },
    Column { name: "State", needs: &["State"], text: |one, _| text(one, "State").into() },
    Column { name: "Status", needs: &["Status"], text: |one, _| text(one, "Status").into() },
    Column { name: "Size", needs: &["SizeRw", "SizeRootFs"], text: |one, _| sizes(one) },
    Column { name: "LocalVolumes", needs: &["Mounts"], text: |one, _| local_volumes(one) },
    Column { name: "Mounts", needs: &["Mounts"], text: mounts },
    Column { name: "Networks", needs: &["NetworkSettings"], text: |one, _| networks(one) },
    Column { name: LABEL_COLUMN, needs: &["Labels"], text: |_, _| String::new() },
];

/// `Labels`, and `Label` with a key.
const LABEL_COLUMN: &str = "Label";

/// The columns that a format may ask for: those whose names are in it, or all where it takes the whole row or a field
/// by a name that is made up.
fn columns(format: &str) -> Vec<&'static Column> {
    let whole = format == "json" || !format.contains("{{.") || {
        let dots = format.match_indices('.');
        let mut behind = dots.map(|(at, _)| format[at + 1..].bytes().next());
        behind.any(|next| !next.is_some_and(|byte| byte.is_ascii_alphabetic()))
    };
    let named = |column: &&Column| whole || format.contains(column.name);
    COLUMNS.iter().filter(named).collect()
}

/// A row with every field, its size only what the container has written.
pub fn written(one: &Value, short: bool) -> Value {
    let mut fields = container(one, &COLUMNS.iter().collect::<Vec<_>>(), short);
    fields["Size"] = size(u64::try_from(number(one, "SizeRw")).unwrap_or(0), 3).into();
    fields
}

fn container(one: &Value, columns: &[&Column], short: bool) -> Value {
    let labels = columns.iter().any(|column| column.name == LABEL_COLUMN);
    let fields = columns.iter().filter(|column| column.name != LABEL_COLUMN);
    let mut fields = row(fields.map(|column| (column.name, (column.text)(one, short))).collect());
    if labels {
        add_labels(&mut fields, one.get("Labels"));
    }
    fields.into()
}

fn id(one: &Value, short: bool) -> String {
    let id = text(one, "Id");
    if short { short_id(id) } else { id }.into()
}

fn command(one: &Value, short: bool) -> String {
    let command = text(one, "Command");
    format!("{:?}", if short { shorten(command, 20) } else { command.into() })
}

fn local_volumes(one: &Value) -> String {
    items(one, "Mounts").iter().filter(|mount| text(mount, "Driver") == "local").count().to_string()
}

fn networks(one: &Value) -> String {
    let networks = one.get("NetworkSettings").and_then(|settings| settings.get("Networks"));
    let networks = networks.and_then(Value::as_object).into_iter().flatten();
    networks.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
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
    let key = |port| {
        (number(port, "PrivatePort"), text(port, "IP"), number(port, "PublicPort"), text(port, "Type"))
    };
    sort::by(&mut ports, |a, b| key(a).cmp(&key(b)));
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
            Some(range) => shown.push(range_text(&core::mem::replace(range, (ip, kind, inside, inside)))),
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
        let all: Vec<&Column> = COLUMNS.iter().collect();
        let row = container(&one, &all, true);
        assert_eq!(text(&row, "ID"), "bbbbbbbbbbbb");
        assert_eq!(text(&row, "Names"), "db");
        assert_eq!(text(&row, "Image"), "busybox");
        assert_eq!(text(&row, "Command"), "\"/bin/sh -c \\\"while t…\"");
        assert_eq!(text(&row, "CreatedAt"), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(text(&row, "Mounts"), "/very/long/pat…");
        assert_eq!(text(&row, "Size"), "1.23MB (virtual 12.3MB)");
        assert_eq!(text(&container(&one, &all, false), "Names"), "db,web/alias");
        assert_eq!(text(&row, "Labels"), "x=y");
    }

    #[test]
    fn only_what_a_format_may_ask_for_is_made() {
        let names = |format| columns(format).iter().map(|column| column.name).collect::<Vec<_>>();
        assert_eq!(names("{{.ID}}"), ["ID"]);
        assert_eq!(names("table {{.Names}}\t{{.State}}"), ["Names", "State"]);
        assert_eq!(names("{{.Label \"a.b\"}}"), ["Label"]);
        assert_eq!(names("{{.Labels}}"), ["Label"]);
        for all in [
            "json",
            "{{json .}}",
            "{{.}}",
            "{{range $k, $v := .}}{{$k}}{{end}}",
            "{{with $x := .}}{{$x.ID}}{{end}}",
        ] {
            assert_eq!(names(all).len(), COLUMNS.len(), "{all}");
        }
        assert_eq!(names("plain").len(), COLUMNS.len());
    }
}

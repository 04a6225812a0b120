//! `skiff system df`: GET /system/df -> how much room things take, and how much of it could be free.

use argh::prelude::*;
use serde_json::{Map, Value};

use super::{Context, Verb, images, items, number, ps, text, volume};
use crate::{
    failure::{Failure, Outcome},
    format::{Layout, one, row},
    output,
    table::size,
    template::{Missing, json},
};

/// show how much room images, containers and volumes take
#[derive(FromArgs, ArgsInfo)]
pub struct Df {
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show every image, container and volume
    #[argh(switch, short = 'v')]
    verbose: bool,
}

const LAYOUT: Layout = Layout {
    kind: "disk usage",
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "{{.Type}}",
    headers: &[("TotalCount", "TOTAL")],
};

impl Verb for Df {
    fn run(self, context: &Context) -> Outcome {
        let usage = context.client.get("/system/df")?;
        if !self.verbose {
            LAYOUT.print(self.format.as_deref(), false, &summary(&usage))?;
            return Ok(0);
        }
        let text = match self.format.as_deref() {
            None | Some("" | "table") => tables(&usage)?,
            Some("json" | "{{json .}}") => {
                let part =
                    |section: &Section| format!("\"{}\":{}", section.key, json(&section.rows.clone().into()));
                format!("{{{}}}\n", sections(&usage, false).iter().map(part).collect::<Vec<_>>().join(","))
            }
            Some(format) => {
                let parts = sections(&usage, false).into_iter();
                let all: Map<String, Value> = parts.map(|part| (part.key.into(), part.rows.into())).collect();
                one(format, &all.into(), Missing::Field("disk usage"))?
            }
        };
        output::write(text.as_bytes())?;
        Ok(0)
    }
}

/// One row a kind.
fn summary(usage: &Value) -> Vec<Value> {
    let images = items(usage, "Images");
    let all = number(usage, "LayersSize");
    // Layers that images share are never counted for one of them.
    let own = |image: &Value| match (number(image, "Size"), number(image, "SharedSize")) {
        (-1, _) | (_, -1) => 0,
        (size, shared) => size - shared,
    };
    let used = |image: &&Value| number(image, "Containers") != 0;
    let needed: i64 = images.iter().filter(used).map(own).sum();
    let active = images.iter().filter(|image| number(image, "Containers") > 0).count();
    vec![
        line("Images", images.len(), active, all, all - needed),
        counted("Containers", items(usage, "Containers"), &|container| {
            let active = matches!(text(container, "State"), "running" | "paused" | "restarting");
            (active, number(container, "SizeRw"))
        }),
        counted("Local Volumes", items(usage, "Volumes"), &|volume| {
            let usage = volume.get("UsageData").unwrap_or(&Value::Null);
            (number(usage, "RefCount") > 0, number(usage, "Size").max(0))
        }),
        build_cache(items(usage, "BuildCache")),
    ]
}

/// The row of things of which each is in use or not, and has its size.
fn counted(kind: &str, all: &[Value], look: &dyn Fn(&Value) -> (bool, i64)) -> Value {
    let looks: Vec<(bool, i64)> = all.iter().map(look).collect();
    let active = looks.iter().filter(|(active, _)| *active).count();
    let total = looks.iter().map(|(_, bytes)| bytes).sum();
    let free = looks.iter().filter(|(active, _)| !active).map(|(_, bytes)| bytes).sum();
    line(kind, all.len(), active, total, free)
}

/// What several entries share counts once, and a share of the room is not told.
fn build_cache(all: &[Value]) -> Value {
    let is = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or(false);
    let own = |entry: &&Value| !is(entry, "Shared");
    let active = all.iter().filter(|entry| is(entry, "InUse")).count();
    let bytes = |entries: &mut dyn Iterator<Item = &Value>| entries.map(|entry| number(entry, "Size")).sum();
    let total: i64 = bytes(&mut all.iter().filter(own));
    let needed: i64 = bytes(&mut all.iter().filter(own).filter(|entry| is(entry, "InUse")));
    line("Build Cache", all.len(), active, total, total - needed)
}

fn line(kind: &str, count: usize, active: usize, total: i64, free: i64) -> Value {
    let human = |bytes: i64| size(u64::try_from(bytes).unwrap_or(0), 4);
    let share = if total > 0 && kind != "Build Cache" {
        format!(" ({}%)", i128::from(free) * 100 / i128::from(total))
    } else {
        String::new()
    };
    row(vec![
        ("Type", kind.to_owned()),
        ("TotalCount", format!("{count}")),
        ("Active", format!("{active}")),
        ("Size", human(total)),
        ("Reclaimable", human(free) + &share),
    ])
    .into()
}

/// A table of the long form.
struct Section {
    key: &'static str,
    heading: String,
    layout: Layout,
    rows: Vec<Value>,
}

fn sections(usage: &Value, short: bool) -> [Section; 4] {
    let images = items(usage, "Images").iter().map(|image| images::first(image, short));
    let containers = items(usage, "Containers").iter().map(|container| ps::written(container, short));
    let cache = items(usage, "BuildCache");
    [
        Section {
            key: "Images",
            heading: "Images space usage:".into(),
            layout: Layout {
                table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
                ..images::LAYOUT
            },
            rows: images.collect(),
        },
        Section {
            key: "Containers",
            heading: "\nContainers space usage:".into(),
            layout: Layout {
                table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
                ..ps::LAYOUT
            },
            rows: containers.collect(),
        },
        Section {
            key: "Volumes",
            heading: "\nLocal Volumes space usage:".into(),
            layout: Layout { table: "{{.Name}}\t{{.Links}}\t{{.Size}}", ..volume::LAYOUT },
            rows: items(usage, "Volumes").iter().map(volume::line).collect(),
        },
        Section {
            key: "BuildCache",
            heading: format!("\nBuild cache usage: {}", text(&build_cache(cache), "Size")),
            layout: Layout {
                kind: "build cache",
                table: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
                quiet: "{{.ID}}",
                headers: &[
                    ("ID", "CACHE ID"),
                    ("CacheType", "CACHE TYPE"),
                    ("CreatedSince", "CREATED"),
                    ("LastUsedSince", "LAST USED"),
                    ("UsageCount", "USAGE"),
                ],
            },
            rows: cache.iter().map(|entry| cached(entry, short)).collect(),
        },
    ]
}

/// An entry of a stock dockerd's build cache.
fn cached(entry: &Value, short: bool) -> Value {
    let when = |key: &str| {
        let time = skiff_core::clock::Time::parse(text(entry, key)).ok();
        time.map_or(String::new(), |time| super::ago(time.unix()))
    };
    let id = text(entry, "ID");
    let shared = entry.get("Shared").and_then(Value::as_bool).unwrap_or(false);
    row(vec![
        ("ID", id.get(..12).filter(|_| short).unwrap_or(id).into()),
        ("CacheType", text(entry, "Type").into()),
        ("Size", size(u64::try_from(number(entry, "Size")).unwrap_or(0), 3)),
        ("CreatedSince", when("CreatedAt")),
        ("LastUsedSince", when("LastUsedAt")),
        ("UsageCount", format!("{}", number(entry, "UsageCount"))),
        ("Shared", format!("{shared}")),
    ])
    .into()
}

fn tables(usage: &Value) -> Result<String, Failure> {
    let mut out = String::new();
    for section in sections(usage, true) {
        let table = section.layout.text(None, false, &section.rows)?;
        out.extend([section.heading.as_str(), "\n\n", table.as_str()]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage() -> Value {
        json!({
            "LayersSize": 3_000_000,
            "Images": [
                {"Id": "sha256:1", "RepoTags": ["a:1", "b:1"], "Size": 2_500_000, "SharedSize": 2_000_000, "Containers": 1},
                {"Id": "sha256:2", "RepoTags": [], "Size": 2_500_000, "SharedSize": 2_000_000, "Containers": 0},
            ],
            "Containers": [
                {"State": "running", "SizeRw": 10, "SizeRootFs": 2_500_010},
                {"State": "exited", "SizeRw": 30},
            ],
            "Volumes": [{"Name": "v", "UsageData": {"RefCount": 1, "Size": 7}}, {"Name": "w", "UsageData": null}],
            "BuildCache": [],
        })
    }

    #[test]
    fn what_could_be_free_is_what_nothing_in_use_has_for_itself() {
        let table = LAYOUT.text(None, false, &summary(&usage())).unwrap();
        // Recorded from docker 28.
        assert_eq!(
            table,
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          2         1         3MB       2.5MB (83%)\n\
             Containers      2         1         40B       30B (75%)\n\
             Local Volumes   2         1         7B        0B (0%)\n\
             Build Cache     0         0         0B        0B\n"
        );
        let nothing = LAYOUT.text(Some("{{.Size}} {{.Reclaimable}}"), false, &summary(&Value::Null)).unwrap();
        assert_eq!(nothing, "0B 0B\n".repeat(4));
    }

    #[test]
    fn the_long_form_shows_each_thing_with_what_it_has_for_itself() {
        let text = tables(&usage()).unwrap();
        assert!(
            text.starts_with("Images space usage:\n\nREPOSITORY   TAG       IMAGE ID   CREATED"),
            "{text}"
        );
        assert!(text.contains("2.5MB     2MB           500kB         1\n"), "{text}");
        assert!(text.contains("\nContainers space usage:\n\n") && !text.contains("virtual"), "{text}");
        assert!(text.contains(
            "VOLUME NAME   LINKS     SIZE\nv             1         7B\nw             N/A       N/A\n"
        ));
        assert!(text.contains("\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE"), "{text}");
    }
}

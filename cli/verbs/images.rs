//! `skiff images`: GET /images/json -> a row for each name of each image.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, add_filters, ago, items, number, short_id, text, time_text};
use crate::{
    client::{path, query},
    failure::Outcome,
    format::{Layout, row},
    table::size,
};

/// list images
#[derive(FromArgs, ArgsInfo)]
pub struct Images {
    /// show intermediate images too
    #[argh(switch, short = 'a')]
    all: bool,
    /// show digests
    #[argh(switch)]
    digests: bool,
    /// show only what fits the condition
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// don't shorten anything
    #[argh(switch)]
    no_trunc: bool,
    /// show ids only
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(positional)]
    repository: Option<String>,
}

impl Verb for Images {
    fn run(mut self, context: &Context) -> Outcome {
        self.filter.extend(self.repository.take().map(|name| format!("reference={name}")));
        let mut target = path(&["images", "json"]);
        if self.all {
            query(&mut target, "all", "1");
        }
        add_filters(&mut target, &self.filter)?;
        let images = context.client.get(&target)?;
        let mut rows = Vec::new();
        let digests = self.digests || self.format.as_deref().is_some_and(|format| format.contains(".Digest"));
        for image in images.as_array().map_or(&[][..], Vec::as_slice) {
            for (repository, tag, digest) in names(image, digests) {
                rows.push(line(image, repository, tag, digest, !self.no_trunc));
            }
        }
        let mut layout = LAYOUT;
        if self.digests {
            layout.table = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
        }
        layout.print(self.format.as_deref(), self.quiet, &rows)?;
        Ok(0)
    }
}

const NONE: &str = "<none>";

/// How images are shown.
pub const LAYOUT: Layout = Layout {
    kind: "image",
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    quiet: "{{.ID}}",
    headers: &[
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
    ],
};

/// The first row of an image, without a digest.
pub fn first(image: &Value, short: bool) -> Value {
    let (repository, tag, _) = names(image, false).swap_remove(0);
    line(image, repository, tag, "", short)
}

/// Repository, tag and digest of each row of an image.
fn names(image: &Value, digests: bool) -> Vec<(&str, &str, &str)> {
    let valid = |name: &&str| !name.starts_with(NONE);
    let tags = items(image, "RepoTags").iter().filter_map(Value::as_str).filter(valid);
    let stated = items(image, "RepoDigests").iter().filter_map(Value::as_str).filter(valid);
    let stated: Vec<(&str, &str)> = stated.filter_map(|name| name.split_once('@')).collect();
    let mut rows = Vec::new();
    for tag in tags {
        let (repository, tag) = tag.rsplit_once(':').unwrap_or((tag, NONE));
        let mut digest = stated.iter().filter(|(name, _)| digests && *name == repository).peekable();
        if digest.peek().is_none() {
            rows.push((repository, tag, NONE));
        }
        rows.extend(digest.map(|(_, digest)| (repository, tag, *digest)));
    }
    if rows.is_empty() {
        rows.extend(stated.iter().map(|(repository, digest)| (*repository, NONE, *digest)));
    }
    if rows.is_empty() {
        rows.push((NONE, NONE, NONE));
    }
    rows
}

fn line(image: &Value, repository: &str, tag: &str, digest: &str, short: bool) -> Value {
    let id = text(image, "Id");
    let created = number(image, "Created");
    let bytes = |key: &str| u64::try_from(number(image, key)).unwrap_or(0);
    let count = |key: &str, shown: String| match number(image, key) {
        i64::MIN..0 => "N/A".to_owned(),
        _ => shown,
    };
    row(vec![
        ("ID", if short { short_id(id) } else { id }.into()),
        ("Repository", repository.into()),
        ("Tag", tag.into()),
        ("Digest", digest.into()),
        ("CreatedAt", time_text(created)),
        ("CreatedSince", ago(created)),
        ("Size", size(bytes("Size"), 3)),
        ("VirtualSize", size(bytes("Size"), 4)),
        ("SharedSize", count("SharedSize", size(bytes("SharedSize"), 4))),
        ("UniqueSize", count("SharedSize", size(bytes("Size").saturating_sub(bytes("SharedSize")), 4))),
        ("Containers", count("Containers", number(image, "Containers").to_string())),
    ])
    .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_name_is_a_row_and_an_image_without_one_has_none() {
        let image = json!({"RepoTags": ["busybox:latest", "localhost:5000/x/y:1"], "RepoDigests": ["busybox@sha256:d"]});
        let rows = names(&image, true);
        assert_eq!(rows, [("busybox", "latest", "sha256:d"), ("localhost:5000/x/y", "1", NONE)]);
        assert_eq!(names(&json!({"RepoTags": null}), false), [(NONE, NONE, NONE)]);
        assert_eq!(
            names(&json!({"RepoTags": [], "RepoDigests": ["a@sha256:d"]}), false),
            [("a", NONE, "sha256:d")]
        );
    }
}

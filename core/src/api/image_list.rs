//! `/images` as far as it only reads: list, inspect, history.

use alloc::{format, string::String, vec::Vec};

use super::{exchange::Exchange, filters::Filters, json::Json};
use crate::{
    Result,
    clock::Time,
    digest::ImageId,
    engine::Engine,
    store::{Image, ImageRecord, Name},
};

const FILTERS: [&str; 8] =
    ["reference", "dangling", "label", "label!", "before", "since", "until", "intermediate"];

/// `GET /images/json`
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &FILTERS)?;
    let dangling = filters.flag("dangling")?;
    let now = Time::now();
    let until = filters.values("until").first().map(|text| Time::parse_when(text, now)).transpose()?;
    let made = |name: &String| engine.store.resolve(name).map(|image| created(&image));
    let before = filters.values("before").iter().map(made).collect::<Result<Vec<_>>>()?;
    let since = filters.values("since").iter().map(made).collect::<Result<Vec<_>>>()?;
    let names = engine.store.all_names()?;
    let mut found: Vec<(Time, Image, ImageRecord, Vec<String>)> = Vec::new();
    for id in engine.store.image_ids()? {
        // Gone since the list was read.
        let Some(record) = engine.store.image_record(&id)? else { continue };
        let image = engine.store.image(&id)?;
        let mut tags = familiar_names(&names, &id);
        let time = created(&image);
        if dangling.is_some_and(|wanted| wanted != tags.is_empty())
            || !filters.allows_labels(|key| image.config.config.labels.get(key).map(String::as_str))
            || !before.iter().all(|other| time < *other)
            || !since.iter().all(|other| time > *other)
            || until.is_some_and(|until| time >= until)
        {
            continue;
        }
        if !filters.values("reference").is_empty() {
            tags.retain(|tag| filters.values("reference").iter().any(|pattern| is_meant(pattern, tag)));
            if tags.is_empty() {
                continue;
            }
        }
        found.push((time, image, record, tags));
    }
    crate::sort::by_key(&mut found, |(time, ..)| core::cmp::Reverse(*time));
    let mut json = Json::new();
    json.open_array();
    for (time, image, record, tags) in &found {
        json.open_object().key("Id").string(&format!("{}", image.id)).key("ParentId").string("");
        json.key("RepoTags").strings(tags).key("RepoDigests").open_array().close_array();
        json.key("Created").number(time.unix().max(0)).key("Size").unsigned(record.size_bytes);
        json.key("VirtualSize").unsigned(record.size_bytes).key("SharedSize").number(-1);
        json.key("Labels").value(&image.config.config.labels).key("Containers").number(-1).close_object();
    }
    json.close_array();
    exchange.reply(200, json)
}

/// `GET /images/{*}/json`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let image = engine.store.resolve(exchange.name())?;
    let record = engine.store.image_record(&image.id)?.unwrap_or_default();
    let names = engine.store.all_names()?;
    let mut json = Json::new();
    json.open_object().key("Id").string(&format!("{}", image.id));
    json.key("RepoTags").strings(&familiar_names(&names, &image.id));
    json.key("RepoDigests").open_array().close_array().key("Parent").string("");
    json.key("Comment").string(&image.config.comment);
    json.key("Created").string(image.config.created.as_deref().unwrap_or("0001-01-01T00:00:00Z"));
    json.key("DockerVersion").string("").key("Author").string(&image.config.author);
    json.key("Config").value(&image.config.config);
    json.key("Architecture").string(&image.config.architecture);
    if !image.config.variant.is_empty() {
        json.key("Variant").string(&image.config.variant);
    }
    json.key("Os").string("linux").key("Size").unsigned(record.size_bytes);
    json.key("VirtualSize").unsigned(record.size_bytes);
    json.key("GraphDriver").open_object().key("Name").string("overlay").key("Data").null().close_object();
    json.key("RootFS").open_object().key("Type").string("layers").key("Layers").open_array();
    for layer in &image.config.rootfs.diff_ids {
        json.string(&format!("{layer}"));
    }
    json.close_array().close_object();
    let tagged = names.iter().filter(|name| name.image == image.id);
    let tagged = tagged.filter_map(|name| engine.store.named_at(&name.reference)).max();
    json.key("Metadata").open_object().key("LastTagTime");
    json.string(&format!("{}", tagged.unwrap_or(Time::NEVER))).close_object();
    json.close_object();
    exchange.reply(200, json)
}

/// `GET /images/{*}/history`
pub(super) fn history(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let image = engine.store.resolve(exchange.name())?;
    let tags = familiar_names(&engine.store.all_names()?, &image.id);
    let mut layers = image.config.rootfs.diff_ids.iter();
    let mut sizes = Vec::new();
    for step in &image.config.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        sizes.push(
            layer.map_or(Ok(0), |layer| engine.store.layer_facts(layer).map(|facts| facts.size_bytes))?,
        );
    }
    let mut json = Json::new();
    json.open_array();
    for (at, (step, size)) in image.config.history.iter().zip(&sizes).rev().enumerate() {
        let id = if at == 0 { format!("{}", image.id) } else { "<missing>".into() };
        json.open_object().key("Id").string(&id);
        json.key("Created").number(unix(step.created.as_deref())).key("CreatedBy").string(&step.created_by);
        json.key("Tags");
        if at == 0 && !tags.is_empty() {
            json.strings(&tags);
        } else {
            json.null();
        }
        json.key("Size").unsigned(*size).key("Comment").string(&step.comment).close_object();
    }
    json.close_array();
    exchange.reply(200, json)
}

fn created(image: &Image) -> Time {
    image.config.created.as_deref().and_then(|text| Time::parse(text).ok()).unwrap_or(Time::NEVER)
}

fn unix(text: Option<&str>) -> i64 {
    text.and_then(|text| Time::parse(text).ok()).map_or(0, Time::unix)
}

fn familiar_names(names: &[Name], id: &ImageId) -> Vec<String> {
    names.iter().filter(|name| name.image == *id).map(|name| name.reference.familiar()).collect()
}

/// Whether a `reference` filter means this name: with its tag or without.
fn is_meant(pattern: &str, name: &str) -> bool {
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    glob(pattern.as_bytes(), name.as_bytes()) || glob(pattern.as_bytes(), repository.as_bytes())
}

/// `*` for any run without a slash, `?` for any one character but a slash.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on after a mismatch: behind the last `*`, with one more byte given to it.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') if text[t] != b'/' => (p, t) = (p + 1, t + 1),
            Some(&byte) if byte == text[t] && byte != b'?' => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) if text[from] != b'/' => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_filters_are_globs_on_names_with_and_without_tag() {
        for (pattern, name) in [
            ("alpine", "alpine:3.10"),
            ("alpine:*", "alpine:3.10"),
            ("*:3.1?", "alpine:3.10"),
            ("*/*/x", "127.0.0.1:5000/a/x:1"),
            ("a*e*", "alpine:3.10"),
            ("*", "alpine:latest"),
        ] {
            assert!(is_meant(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("alp", "alpine:3"), ("*", "a/b:1"), ("alpine:4*", "alpine:3"), ("?", "ab:1")]
        {
            assert!(!is_meant(pattern, name), "{pattern} {name}");
        }
    }
}

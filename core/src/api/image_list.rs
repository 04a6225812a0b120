//! `/images` as far as it only reads: list, inspect, history.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{exchange::Exchange, filters::Filters, json::Json, platform, target::ApiVersion};
use crate::{
    Result,
    clock::Time,
    digest::ImageId,
    engine::{Engine, image::list::ListedImage},
    glob,
    image::reference::Reference,
    store::{Image, Name},
};

const FILTERS: [&str; 7] = ["reference", "dangling", "label", "label!", "before", "since", "until"];

/// What else is told of an image in a list; -1 where nobody asked.
pub(super) struct Usage {
    /// Bytes of the layers that other images have, too.
    pub(super) shared_bytes: i64,
    /// How many containers use it.
    pub(super) containers: i64,
}

/// `GET /images/json`. There are no intermediate images, so that `all` changes nothing.
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &FILTERS)?;
    let dangling = filters.flag("dangling")?;
    let until = filters.until(Time::now())?;
    let made = |name: &String| engine.store.resolve(name).map(|image| created(&image));
    let before = filters.values("before").iter().map(made).collect::<Result<Vec<_>>>()?;
    let since = filters.values("since").iter().map(made).collect::<Result<Vec<_>>>()?;
    engine.sweep_store();
    let mut images = engine.listed_images()?;
    let usage = exchange.query.flag("shared-size").then(|| engine.layer_usage(&images));
    let mut meant = Ok(());
    images.retain_mut(|image| {
        let time = image.created.unwrap_or(Time::NEVER);
        if dangling.is_some_and(|wanted| wanted != image.names.is_empty())
            || !filters.allows_labels(|key| image.config.config.labels.get(key).map(String::as_str))
            || !before.iter().all(|other| time < *other)
            || !since.iter().all(|other| time > *other)
            || until.is_some_and(|until| time >= until)
        {
            return false;
        }
        let patterns = filters.values("reference");
        if patterns.is_empty() || meant.is_err() {
            return true;
        }
        meant = keep_meant(patterns, &mut image.names);
        !image.names.is_empty()
    });
    meant?;
    let mut json = Json::with_room(images.len() * 500);
    json.open_array();
    for image in &images {
        let shared_bytes = usage.as_ref().map_or(-1, |usage| usage.shared_bytes(image) as i64);
        write(&mut json, image, &Usage { shared_bytes, containers: -1 }, exchange.version);
    }
    json.close_array();
    exchange.reply(200, json)
}

/// Keeps the names that one of the patterns means, with their tag or without.
fn keep_meant(patterns: &[String], names: &mut Vec<Reference>) -> Result<()> {
    let mut kept = Vec::new();
    for name in core::mem::take(names) {
        let (whole, repository) = (name.familiar(), name.familiar_repository());
        for pattern in patterns {
            if glob::matches(pattern, &whole)? || glob::matches(pattern, repository)? {
                kept.push(name);
                break;
            }
        }
    }
    *names = kept;
    Ok(())
}

/// An image as lists have it.
pub(super) fn write(json: &mut Json, image: &ListedImage, usage: &Usage, version: ApiVersion) {
    json.open_object().key("Id").string(&format!("{}", image.id)).key("ParentId").string("");
    json.key("RepoTags").strings(&image.tags()).key("RepoDigests").open_array().close_array();
    json.key("Created").number(image.created.map_or(0, |time| time.unix().max(0)));
    json.key("Size").unsigned(image.record.size_bytes).key("SharedSize").number(usage.shared_bytes);
    if version < SIZE_ONLY {
        json.key("VirtualSize").unsigned(image.record.size_bytes);
    }
    json.key("Labels").value(&image.config.config.labels).key("Containers").number(usage.containers);
    json.close_object();
}

/// From this version on there is no `VirtualSize`, which was the same.
const SIZE_ONLY: ApiVersion = ApiVersion(44);

/// `GET /images/{*}/json`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let image = engine.store.resolve(exchange.name())?;
    platform::check(exchange, &image)?;
    let record = engine.store.image_record(&image.id)?.unwrap_or_default();
    let names = engine.store.all_names()?;
    let mut json = Json::new();
    json.open_object().key("Id").string(&format!("{}", image.id));
    json.key("RepoTags").strings(&familiar_names(&names, &image.id));
    let parent =
        record.parent.filter(|parent| engine.store.image_record(parent).is_ok_and(|found| found.is_some()));
    json.key("RepoDigests").open_array().close_array();
    json.key("Parent").string(&parent.map_or_else(String::new, |parent| parent.to_string()));
    json.key("Comment").string(&image.config.comment);
    json.key("Created").string(image.config.created.as_deref().unwrap_or("0001-01-01T00:00:00Z"));
    json.key("DockerVersion").string("").key("Author").string(&image.config.author);
    json.key("Config").value(&image.config.config);
    // Of the container that an image was made of, once. docker-compose 1.29 looks for volumes in there, whatever version it
    // speaks.
    json.key("ContainerConfig").value(&image.config.config);
    json.key("Architecture").string(&image.config.architecture);
    if !image.config.variant.is_empty() {
        json.key("Variant").string(&image.config.variant);
    }
    json.key("Os").string("linux").key("Size").unsigned(record.size_bytes);
    if exchange.version < SIZE_ONLY {
        json.key("VirtualSize").unsigned(record.size_bytes);
    }
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
    platform::check(exchange, &image)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_filters_are_globs_on_names_with_and_without_tag() {
        let kept = |pattern: &str| {
            let mut names: Vec<Reference> = ["alpine:3.10", "x.io:5000/a/b:1", "docker.io/library/box"]
                .map(|name| Reference::parse(name).unwrap().or_latest())
                .into();
            keep_meant(&[pattern.into()], &mut names)
                .map(|()| names.iter().map(Reference::familiar).collect::<Vec<_>>().join(" "))
        };
        for (pattern, names) in [
            ("alpine", "alpine:3.10"),
            ("alpine:*", "alpine:3.10"),
            ("*:3.1?", "alpine:3.10"),
            ("*", "alpine:3.10 box:latest"),
            ("*/*/b", "x.io:5000/a/b:1"),
            ("box:latest", "box:latest"),
            ("alp", ""),
        ] {
            assert_eq!(kept(pattern).as_deref(), Ok(names), "{pattern}");
        }
        assert!(kept("[").is_err());
    }
}

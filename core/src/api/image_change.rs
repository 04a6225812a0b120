//! `/images` as far as it changes something: import, tag, remove, prune.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{exchange::Exchange, filters::Filters, json::Json};
use crate::{
    Error, Result,
    engine::{
        Engine,
        image::{Force, prune},
        import::Import,
    },
};

/// `POST /images/create`: the body is a root file system. Nothing is answered before all of it is an image, so that an
/// error has its own status.
pub(super) fn create(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let text = |key| exchange.query.text(key).map(|value| value.unwrap_or("").to_string());
    match (text("fromSrc")?.as_str(), text("fromImage")?.as_str()) {
        ("-", "") => {}
        ("", "") => return Err(Error::Invalid("invalid request: fromSrc or fromImage is missing".into())),
        ("", image) => {
            return Err(Error::Unsupported(format!("pull {image}: registries are not supported yet"))
                .hint("skiff import makes an image of a tar file"));
        }
        (source, _) => {
            return Err(Error::Unsupported(format!(
                "import {source}: only the request's own body can be imported"
            )));
        }
    }
    let (repository, tag, message, platform) =
        (text("repo")?, text("tag")?, text("message")?, text("platform")?);
    let changes = exchange.query.all("changes").map(|change| {
        let change = core::str::from_utf8(change);
        change
            .map(ToString::to_string)
            .map_err(|_| Error::Invalid("parse query: changes is not valid UTF-8".into()))
    });
    let changes = changes.collect::<Result<Vec<String>>>()?;
    let said = Import {
        repository: &repository,
        tag: &tag,
        changes: &changes,
        message: &message,
        platform: &platform,
    };
    let id = engine.import(&mut |buffer| exchange.read_body(buffer), &said)?;
    exchange.stream("application/json")?;
    let mut json = Json::new();
    json.open_object().key("status").string(&format!("{id}")).close_object().line_break();
    exchange.chunk(&json.into_bytes())
}

/// `POST /images/{*}/tag`
pub(super) fn tag(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let Some(repository) = exchange.query.text("repo")? else {
        return Err(Error::Invalid("invalid request: repo is missing".into()));
    };
    engine.tag_image(exchange.name(), repository, exchange.query.text("tag")?.unwrap_or(""))?;
    exchange.reply_empty(201)
}

/// `DELETE /images/{*}`
pub(super) fn remove(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let force = if exchange.query.flag("force") { Force::Yes } else { Force::No };
    let removed = engine.remove_image(exchange.name(), force)?;
    let mut json = Json::new();
    json.value(&removed);
    exchange.reply(200, json)
}

/// `POST /images/prune`
pub(super) fn prune(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &prune::FILTERS)?;
    let pruned = engine.prune_images(&filters)?;
    let mut json = Json::new();
    json.value(&pruned);
    exchange.reply(200, json)
}

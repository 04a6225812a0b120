//! `/volumes`: create, list, inspect, remove, prune.

use super::{exchange::Exchange, filters::Filters, json::Json, target::ApiVersion};
use crate::{
    Result,
    engine::{
        Engine,
        image::Force,
        volume::{LIST_FILTERS, PRUNE_FILTERS},
    },
};

/// Before this version a prune without filters took named volumes, too.
const PRUNES_ANONYMOUS_ONLY: ApiVersion = ApiVersion(42);

/// `POST /volumes/create`
pub(super) fn create(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let request = exchange.json_or_default()?;
    let volume = engine.create_volume(&request)?;
    let mut json = Json::new();
    json.value(&volume);
    exchange.reply(201, json)
}

/// `GET /volumes`
pub(super) fn list(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &LIST_FILTERS)?;
    let volumes = engine.list_volumes(&filters)?;
    let mut json = Json::new();
    json.open_object().key("Volumes").value(&volumes).key("Warnings").null().close_object();
    exchange.reply(200, json)
}

/// `GET /volumes/{}`
pub(super) fn inspect(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let volume = engine.inspect_volume(exchange.name())?;
    let mut json = Json::new();
    json.value(&volume);
    exchange.reply(200, json)
}

/// `DELETE /volumes/{}`
pub(super) fn remove(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let force = if exchange.query.flag("force") { Force::Yes } else { Force::No };
    engine.remove_volume(exchange.name(), force)?;
    exchange.reply_empty(204)
}

/// `POST /volumes/prune`
pub(super) fn prune(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let mut filters = Filters::parse(exchange.query.text("filters")?, &PRUNE_FILTERS)?;
    if exchange.version < PRUNES_ANONYMOUS_ONLY && filters.values("all").is_empty() {
        filters = filters.with("all", "true");
    }
    let pruned = engine.prune_volumes(&filters)?;
    let mut json = Json::new();
    json.value(&pruned);
    exchange.reply(200, json)
}

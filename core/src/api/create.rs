//! `POST /containers/create`, `/containers/{}/start` and `/restart`.

use super::{exchange::Exchange, json::Json};
use crate::{Result, engine::Engine};

/// `POST /containers/create`
pub(super) fn create(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body = exchange.json_text()?;
    let container = engine.create(&body, exchange.query.text("name")?)?;
    let warning = engine.network_warning(&container.record);
    created(exchange, &container.record.id, warning.as_slice())
}

/// The answer to a request that has made a container.
pub(super) fn created(exchange: &mut Exchange<'_>, id: &str, warnings: &[&str]) -> Result<()> {
    let mut json = Json::new();
    json.open_object().key("Id").string(id).key("Warnings").strings(warnings).close_object();
    exchange.reply(201, json)
}

/// `POST /containers/{}/start`
pub(super) fn start(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    engine.start(exchange.name())?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/restart`
pub(super) fn restart(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let (signal, grace) = (exchange.query.text("signal")?, exchange.query.integer("t")?);
    engine.restart(exchange.name(), signal, grace)?;
    exchange.reply_empty(204)
}

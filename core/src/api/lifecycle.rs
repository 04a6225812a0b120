//! What happens to containers after their creation: kill, stop, pause, rename, wait, remove, prune.

use alloc::{format, string::String};

use super::{exchange::Exchange, filters::Filters, json::Json};
use crate::{
    Error, Result,
    clock::Time,
    engine::{Engine, remove::Running, wait::Condition},
};

/// `POST /containers/{}/kill`
pub(super) fn kill(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let killed = engine.kill(exchange.name(), exchange.query.text("signal")?);
    killed.map_err(|error| match error {
        Error::NotFound(why) => Error::NotFound(format!("Cannot kill container: {}: {why}", exchange.name())),
        other => other,
    })?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/stop`
pub(super) fn stop(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let (signal, grace) = (exchange.query.text("signal")?, exchange.query.integer("t")?);
    engine.stop(exchange.name(), signal, grace)?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/pause`
pub(super) fn pause(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    engine.pause(exchange.name())?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/unpause`
pub(super) fn unpause(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    engine.unpause(exchange.name())?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/rename`
pub(super) fn rename(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let new = exchange.query.text("name")?.unwrap_or("");
    engine.rename(exchange.name(), new)?;
    exchange.reply_empty(204)
}

/// `POST /containers/{}/update`
pub(super) fn update(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let body = exchange.json_text()?;
    engine.update(exchange.name(), &body)?;
    let mut json = Json::new();
    json.open_object().key("Warnings").open_array().close_array().close_object();
    exchange.reply(200, json)
}

/// `POST /containers/{}/wait`: the head goes out as soon as nothing can be missed any more; clients start the container
/// only then.
pub(super) fn wait(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let condition = Condition::parse(exchange.query.text("condition")?.unwrap_or(""))?;
    let waiter = engine.waiter(exchange.name(), condition)?;
    exchange.stream("application/json")?;
    exchange.may_be_ended();
    let Some(state) = waiter.wait(Some(exchange.fd()), None)? else {
        // The client has gone: nobody reads an answer.
        return Err(Error::Unchanged);
    };
    let mut json = Json::new();
    json.open_object().key("StatusCode").number(state.exit_code.into()).close_object().line_break();
    exchange.chunk(&json.into_bytes())
}

/// `DELETE /containers/{}`
pub(super) fn remove(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    if exchange.query.flag("link") {
        return Err(Error::Invalid("remove link: CONTAINER/ALIAS names one".into()));
    }
    let running = if exchange.query.flag("force") { Running::Kill } else { Running::Refuse };
    let record = engine.remove(exchange.name(), running)?;
    if exchange.query.flag("v") {
        engine.remove_anonymous_volumes(&record)?;
    }
    exchange.reply_empty(204)
}

/// `DELETE /containers/{}/{}?link=1`
pub(super) fn remove_link(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    if !exchange.query.flag("link") {
        return exchange.reply_message(404, "page not found");
    }
    engine.remove_link(&exchange.params[0], &exchange.params[1])?;
    exchange.reply_empty(204)
}

/// `POST /containers/prune`
pub(super) fn prune(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &["label", "label!", "until"])?;
    let until = filters.until(Time::now())?;
    let (removed, bytes) = engine.prune(|record| {
        filters.allows_labels(|key| record.config.labels.get(key).map(String::as_str))
            && until.is_none_or(|until| record.created_ns < until.unix_nanos())
    })?;
    let mut json = Json::new();
    json.open_object().key("ContainersDeleted");
    if removed.is_empty() {
        json.null();
    } else {
        json.strings(&removed);
    }
    json.key("SpaceReclaimed").unsigned(bytes).close_object();
    exchange.reply(200, json)
}

/// `GET /containers/{}/top`
pub(super) fn top(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let table = engine.top(exchange.name(), exchange.query.text("ps_args")?.unwrap_or(""))?;
    let mut json = Json::new();
    json.open_object().key("Titles").strings(&table.titles).key("Processes").open_array();
    for row in &table.rows {
        json.strings(row);
    }
    json.close_array().close_object();
    exchange.reply(200, json)
}

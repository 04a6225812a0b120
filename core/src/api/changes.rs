//! `GET /containers/{}/changes`

use alloc::string::String;

use super::{exchange::Exchange, json::Json};
use crate::{Result, engine::Engine};

/// `GET /containers/{}/changes`
pub(super) fn changes(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let changes = engine.changes(exchange.name())?;
    let mut json = Json::new();
    if changes.is_empty() {
        json.null();
    } else {
        json.open_array();
        for change in &changes {
            json.open_object().key("Path").string(&String::from_utf8_lossy(&change.path));
            json.key("Kind").number(change.kind as i64).close_object();
        }
        json.close_array();
    }
    exchange.reply(200, json)
}

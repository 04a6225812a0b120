//! `POST /commit`

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{exchange::Exchange, json::Json};
use crate::{
    Error, Result,
    clock::Time,
    container::config::Config,
    engine::{Engine, commit::Commit},
};

/// `POST /commit`
pub(super) fn commit(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let config: Option<Config> = exchange.json_or_default()?;
    let query = &exchange.query;
    let text = |key| query.text(key).map(|value| value.unwrap_or(""));
    let changes = query.all("changes").map(|change| match core::str::from_utf8(change) {
        Ok(change) => Ok(change.to_string()),
        Err(_) => Err(Error::Invalid("parse query: changes is not valid UTF-8".into())),
    });
    let changes = changes.collect::<Result<Vec<String>>>()?;
    let said = Commit {
        repository: text("repo")?,
        tag: text("tag")?,
        comment: text("comment")?,
        author: text("author")?,
        changes: &changes,
        config,
        pause: query.flag_or("pause", true),
        epoch: match text("epoch")? {
            "" => None,
            seconds => Some(Time::parse_unix(seconds)?),
        },
    };
    let id = engine.commit(text("container")?, said)?;
    let mut json = Json::new();
    json.open_object().key("Id").string(&format!("{id}")).close_object().line_break();
    exchange.reply(201, json)
}

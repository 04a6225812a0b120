//! `/containers/{}/archive` and `/containers/{}/export`: files of a container as tars, both ways.

use alloc::string::String;

use super::{exchange::Exchange, head::Method, json::Json};
use crate::{
    Result, base64,
    engine::{
        Engine,
        copy::{Extract, Found, changed, go_mode},
    },
    layer::place::Replace,
};

/// `GET` and `HEAD /containers/{}/archive`
pub(super) fn get(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let path = exchange.query.bytes("path").unwrap_or(b"");
    let found = engine.find_path(exchange.name(), path)?;
    let stat = base64::encode(described(&found).as_bytes());
    let field = ("X-Docker-Container-Path-Stat", stat.as_str());
    if exchange.method() == Method::Head {
        return exchange.reply_with(200, &[field], &[]);
    }
    exchange.stream_with(&[("Content-Type", "application/x-tar"), field])?;
    engine.copy_out(&found, &mut |part| exchange.chunk(part))
}

fn described(found: &Found) -> String {
    let stat = &found.stat;
    let mut json = Json::new();
    json.open_object().key("name").string(&String::from_utf8_lossy(&found.name));
    json.key("size").number(stat.st_size).key("mode").unsigned(go_mode(stat.st_mode).into());
    json.key("mtime").string(&alloc::format!("{}", changed(stat)));
    json.key("linkTarget").string(&String::from_utf8_lossy(&found.link_target)).close_object();
    json.as_str().into()
}

/// `PUT /containers/{}/archive`
pub(super) fn put(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let name = String::from(exchange.name());
    let path = exchange.query.bytes("path").unwrap_or(b"").to_vec();
    let same_kind = exchange.query.flag("noOverwriteDirNonDir");
    let how = Extract {
        replace: if same_kind { Replace::SameKind } else { Replace::Anything },
        as_user: exchange.query.flag("copyUIDGID"),
    };
    engine.copy_in(&name, &path, how, &mut |buffer| exchange.read_body(buffer))?;
    exchange.reply_empty(200)
}

/// `GET /containers/{}/export`
pub(super) fn export(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let exportable = engine.exportable(exchange.name())?;
    exchange.stream("application/octet-stream")?;
    engine.export(&exportable, &mut |part| exchange.chunk(part))
}

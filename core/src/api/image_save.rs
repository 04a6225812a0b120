//! `GET /images/get?names=` and `GET /images/{*}/get`: images as one archive. Beside Docker's query there is `format`
//! (`oci`, `docker`; both in one unless it is told), and `X-Skiff-Archive-Size` says how long the archive will be.
//! `GET /skiff/images/tree?name=`: the files of one image, as one tar.

use alloc::{format, string::ToString, vec::Vec};

use super::exchange::Exchange;
use crate::{Error, Result, engine::Engine, image::pack::Form};

/// `GET /images/get`
pub(super) fn several(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let names = exchange.query.all("names").map(|name| {
        let name = core::str::from_utf8(name).map(ToString::to_string);
        name.map_err(|_| Error::Invalid("parse query: names is not valid UTF-8".into()))
    });
    let names = names.collect::<Result<Vec<_>>>()?;
    answer(exchange, engine, &names.iter().map(|name| name.as_str()).collect::<Vec<_>>())
}

/// `GET /images/{*}/get`
pub(super) fn one(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let name = exchange.name().to_string();
    answer(exchange, engine, &[&name])
}

/// `GET /skiff/images/tree`
pub(super) fn tree(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let name = exchange.query.text("name")?.unwrap_or_default().to_string();
    let tree = engine.image_tree(&name)?;
    exchange.stream("application/x-tar")?;
    exchange.widen();
    engine.pack_tree(tree, &mut |part| exchange.chunk(part))
}

fn answer(exchange: &mut Exchange<'_>, engine: &Engine, names: &[&str]) -> Result<()> {
    if let Some(platform) = exchange.query.text("platform")? {
        return Err(Error::Unsupported(format!(
            "save: platform {platform:.100} can't be chosen: an image here is for one platform"
        )));
    }
    let form = Form::parse(exchange.query.text("format")?.unwrap_or(""))?;
    let saveable = engine.saveable(names, form)?;
    let size = saveable.size_bytes().to_string();
    exchange.stream_with(&[("Content-Type", "application/x-tar"), ("X-Skiff-Archive-Size", &size)])?;
    exchange.widen();
    engine.save(saveable, &mut |part| exchange.chunk(part))
}

//! What clients ask for that skiff has none of: clusters, plugins, registries, BuildKit's sessions, checkpoints. Where
//! Docker's engine has an answer for a host without, it is given; the rest says what is missing.

use alloc::{format, string::ToString};

use super::{exchange::Exchange, json::Json};
use crate::{Error, Result, engine::Engine, image::reference::Reference};

/// `/swarm`, `/services`, `/nodes`, `/tasks`, `/secrets`, `/configs` and what is below them.
pub(super) fn cluster(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let how =
        "Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
    exchange.reply_message(503, &format!("This node is not a swarm manager. {how}"))
}

/// `POST /swarm/init` and `/swarm/join`: nothing would come of what the other answer proposes.
pub(super) fn no_cluster(_: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    Err(Error::Unsupported("swarm: clusters of engines are not supported".into()))
}

/// `POST /swarm/leave`
pub(super) fn leave_cluster(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    exchange.reply_message(503, "This node is not part of a swarm")
}

/// `GET /plugins`
pub(super) fn plugins(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let mut json = Json::new();
    json.open_array().close_array();
    exchange.reply(200, json)
}

/// A plugin by its name.
pub(super) fn plugin(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    Err(Error::NotFound(format!("plugin \"{}\" not found", exchange.name())))
}

/// `POST /plugins/pull`, `POST /plugins/create`, `GET /plugins/privileges`
pub(super) fn new_plugin(_: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    Err(Error::Unsupported("plugin: plugins are not supported".into()))
}

/// `POST /build/cancel`: only builds of BuildKit's have an id, so that what is cancelled has ended.
pub(super) fn cancel_build(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    match exchange.query.text("id")? {
        None | Some("") => Err(Error::Invalid("build ID not provided".into())),
        Some(_) => exchange.reply_empty(204),
    }
}

/// `POST /auth`: nobody is asked whether they are right; the client keeps the words.
pub(super) fn login(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    exchange.json::<serde::de::IgnoredAny>()?;
    let mut json = Json::new();
    json.open_object().key("Status").string("Login Succeeded").key("IdentityToken").string("").close_object();
    exchange.reply(200, json)
}

/// `GET /images/search`
pub(super) fn search(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let term = exchange.query.text("term")?.unwrap_or("").to_string();
    Err(no_registry(&format!("search {term}")))
}

/// `GET /distribution/{*}/json`
pub(super) fn distribution(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    Err(no_registry(&format!("look up {}", exchange.name())))
}

/// `POST /images/{*}/push`: as Docker's engine, an error within the stream.
pub(super) fn push(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let tag = exchange.query.text("tag")?.filter(|tag| !tag.is_empty()).map(|tag| format!(":{tag}"));
    let name = Reference::parse(&format!("{}{}", exchange.name(), tag.unwrap_or_default()))?;
    let error = match engine.store.resolve(&name.to_string()) {
        Ok(_) => no_registry(&format!("push {name}")).to_string(),
        Err(Error::NotFound(_)) => {
            format!("An image does not exist locally with the tag: {}", name.familiar_repository())
        }
        Err(error) => return Err(error),
    };
    exchange.stream("application/json")?;
    exchange.chunk(&Json::error_line(&error, None).into_bytes())
}

fn no_registry(what: &str) -> Error {
    Error::Unsupported(format!("{what}: registries are not supported yet"))
        .hint("skiff load and skiff import take images from files")
}

/// `POST /session` and `POST /grpc`
pub(super) fn session(_: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    Err(Error::Unsupported("build: BuildKit's sessions are not supported".into())
        .hint("DOCKER_BUILDKIT=0 docker build, or skiff build, which has what BuildKit's Dockerfiles need"))
}

/// `/containers/{}/checkpoints`
pub(super) fn checkpoints(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    engine.shelf.find(exchange.name())?;
    Err(Error::Unsupported("checkpoint: checkpoints are not supported".into()))
}

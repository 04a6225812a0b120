//! `POST /images/load` and, for clients of this process's own user, `POST /skiff/load?path=`: an archive becomes images;
//! the answer is a stream of JSON lines, as Docker's.

use alloc::{format, string::ToString};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{exchange::Exchange, json::Json};
use crate::{
    Error, Result,
    engine::{Engine, load::Told},
    image::archive::Archive,
};

/// `POST /images/load`: the archive is the body.
pub(super) fn load(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let archive = engine.receive_archive(&mut |buffer| exchange.read_body(buffer));
    answer(exchange, engine, archive)
}

/// `POST /skiff/load`: the archive is a file, or a directory, that is read in its place.
pub(super) fn load_path(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let path = exchange.query.text("path")?.unwrap_or("").to_string();
    if !path.starts_with('/') {
        return Err(Error::Invalid("invalid request: path is missing or not absolute".into()));
    }
    answer(exchange, engine, engine.open_archive(&path))
}

/// Docker's clients look for what went wrong in the stream, whatever it is.
fn answer(exchange: &mut Exchange<'_>, engine: &Engine, archive: Result<Archive>) -> Result<()> {
    let mut begun = false;
    let result = archive.and_then(|archive| load_it(exchange, engine, archive, &mut begun));
    let Err(error) = result else { return Ok(()) };
    if !begun {
        exchange.stream("application/json")?;
    }
    exchange.chunk(&Json::error_line(&error.to_string(), None).into_bytes())
}

fn load_it(exchange: &mut Exchange<'_>, engine: &Engine, archive: Archive, begun: &mut bool) -> Result<()> {
    let quiet = exchange.query.flag("quiet");
    engine.load(archive, &mut |told| {
        let mut json = Json::new();
        match told {
            Told::Nothing => return still_there(exchange),
            Told::Layer { .. } if quiet => return Ok(()),
            Told::Layer { layer, current, total } => {
                let short = layer.strip_prefix("sha256:").unwrap_or(layer);
                json.open_object().key("status").string("Loading layer").key("progressDetail").open_object();
                json.key("current").unsigned(current).key("total").unsigned(total).close_object();
                json.key("id").string(short.get(..12).unwrap_or(short)).close_object();
            }
            Told::Replaced { name, old } => stream(
                &mut json,
                &format!(
                    "The image {name} already exists, renaming the old one with ID {old} to empty string\n"
                ),
            ),
            Told::Image { name: Some(name), .. } => stream(&mut json, &format!("Loaded image: {name}\n")),
            Told::Image { id, name: None } => stream(&mut json, &format!("Loaded image ID: {id}\n")),
        }
        json.line_break();
        if !*begun {
            exchange.stream("application/json")?;
            *begun = true;
        }
        exchange.chunk(&json.into_bytes())
    })
}

fn stream(json: &mut Json, text: &str) {
    json.open_object().key("stream").string(text).close_object();
}

/// An error once the client has closed its connection.
pub(super) fn still_there(exchange: &Exchange<'_>) -> Result<()> {
    let socket = exchange.fd();
    let mut polled = [PollFd::new(&socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = poll(&mut polled, Some(&now));
    if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(Error::os("load", "", rustix::io::Errno::PIPE));
    }
    Ok(())
}

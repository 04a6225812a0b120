//! `POST /build`, as Docker's classic builder has it, and `POST /skiff/build` for clients on this machine: a context and a
//! Dockerfile become an image; the answer is a stream of JSON lines.

mod classic;
mod query;
mod settle;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{exchange::Exchange, image_load::still_there};
use crate::{
    Context as _, Error, Result,
    build::{
        context::Context,
        progress::Event,
        request::{Line, Request},
    },
    dockerfile::ignore::Patterns,
    engine::{Engine, build::File},
    file,
};

/// Most bytes of a Dockerfile in an archive.
const DOCKERFILE_BYTES_MAX: usize = 16 << 20;

/// `POST /skiff/build`: the context is a directory that is read in its place.
pub(super) fn from_directory(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let Request { context, name, dockerfile, ignore, mut options } = exchange.json()?;
    settle::settle(&mut options, engine)?;
    let empty;
    let root = if context.is_empty() {
        empty = engine.empty_context()?;
        empty.directory().try_clone().context("duplicate", "context")?
    } else if context.starts_with('/') {
        file::directory(file::CWD, context.as_str()).context("open", &context)?
    } else {
        return Err(Error::Invalid("invalid request: context is not absolute".into()));
    };
    let context = match ignore {
        Some(text) => Context { root, ignore: Patterns::parse(text.as_bytes())? },
        None => Context::open(root, None)?,
    };
    let file = File { name: &name, bytes: &dockerfile };
    let mut stream = Stream { exchange, begun: false };
    let built = engine.build(&file, &context, &options, &mut |event| match event {
        Event::Idle => still_there(stream.exchange),
        event => stream.line(&Line::Event(event)),
    });
    match built {
        Ok(id) => stream.line(&Line::Image(id.to_string())),
        Err(error) if stream.begun => stream.line(&Line::Error(error.to_string())),
        Err(error) => Err(error),
    }
}

/// `POST /build`: the context is the body, a tar.
pub(super) fn from_archive(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let mut asked = query::Asked::read(&exchange.query)?;
    // Nothing in its answer says which stage a line of output is of.
    asked.options.classic = true;
    // What they were made of is in the one cache that there is, where nothing but its key decides.
    let is_here = |name: &String| engine.store.resolve(name).is_ok();
    if !asked.cache_from.is_empty() && !asked.cache_from.iter().any(is_here) {
        asked.options.no_cache = true;
    }
    let names = settle::settle(&mut asked.options, engine)?;
    let scratch = engine.receive_context(&mut |buffer| exchange.read_body(buffer))?;
    let root = scratch.directory().try_clone().context("duplicate", "context")?;
    let (name, dockerfile) = find_dockerfile(&root, &asked.dockerfile)?;
    let context = Context::open(root, Some(name.as_bytes()))?;
    let file = File { name, bytes: &dockerfile };
    let mut stream = Stream { exchange, begun: false };
    let mut told = classic::Teller::new(asked.is_quiet);
    let built = engine.build(&file, &context, &asked.options, &mut |event| match event {
        Event::Idle => still_there(stream.exchange),
        event => stream.send(told.event(&event)),
    });
    match built {
        Ok(id) => stream.send(told.built(&id, &names)),
        Err(error) if stream.begun || told.has_told() => stream.send(told.failed(&error)),
        Err(error) => Err(error),
    }
}

/// The Dockerfile of a context that was sent: its name and its text. The usual one may be written in small letters.
fn find_dockerfile<'a>(root: &OwnedFd, asked: &'a str) -> Result<(&'a str, Vec<u8>)> {
    let names: &[&str] = if asked == "Dockerfile" { &[asked, "dockerfile"] } else { &[asked] };
    for name in names {
        // A pipe that nobody writes to would be waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let read = file::in_root(root, *name, flags, Mode::empty())
            .and_then(|file| file::read_all(file, DOCKERFILE_BYTES_MAX));
        match read {
            Ok(bytes) => return Ok((name, bytes)),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(Error::os("read Dockerfile", asked, errno)),
        }
    }
    // Docker's words.
    Err(Error::Invalid(alloc::format!("Cannot locate specified Dockerfile: {asked}")))
}

/// An answer that begins with its first line.
struct Stream<'e, 'w> {
    exchange: &'e mut Exchange<'w>,
    begun: bool,
}

impl Stream<'_, '_> {
    fn line(&mut self, line: &Line) -> Result<()> {
        let mut json = super::json::Json::new();
        json.value(line).line_break();
        self.send(json.into_bytes())
    }

    fn send(&mut self, lines: Vec<u8>) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if !self.begun {
            self.exchange.stream("application/json")?;
            self.begun = true;
        }
        self.exchange.chunk(&lines)
    }
}

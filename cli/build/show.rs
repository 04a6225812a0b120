//! The stream of a build -> what a view makes of it, on stderr, and the image's id.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    process::Signal,
};
use serde_json::Value;
use skiff_core::{
    build::{progress::Event, request::Line},
    clock::{monotonic, timeout_until},
};
use skiff_syscalls::signal::{self, SignalSet};

use super::{live::Live, plain::Plain, quiet::Quiet, raw::Raw, trace::Traced};
use crate::{client::Reply, failure::Failure, output, progress, session, terminal};

/// Time between two frames.
const FRAME_NANOS: i64 = 100_000_000;
/// What a terminal that doesn't say its size is taken for.
const USUAL_SIZE: [u16; 2] = [24, 80];

/// How a build ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// The image is there.
    Image {
        /// Its id.
        id: &'a str,
        /// Its names, in full.
        names: &'a [String],
    },
    /// It has failed.
    Error(&'a str),
    /// The user has given it up.
    Gone,
}

/// Makes text of events. Times are nanoseconds of the monotonic clock, sizes rows and columns.
pub trait View {
    /// Something has happened.
    fn event(&mut self, event: Event, now: i64) -> String;

    /// Time has passed; only told if someone is looking.
    fn tick(&mut self, _now: i64, _size: [u16; 2]) -> String {
        String::new()
    }

    /// It is over.
    fn end(&mut self, end: End<'_>, now: i64) -> String;

    /// It is over, and someone was looking.
    fn last(&mut self, end: End<'_>, now: i64, _size: [u16; 2]) -> String {
        self.end(end, now)
    }
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines.
    Plain,
    /// A picture that changes.
    Live,
    /// Records for programs.
    Raw,
    /// Nothing but failures.
    Quiet,
}

impl Form {
    /// What `--progress` and `--quiet` ask for.
    pub fn parse(text: Option<&str>, is_quiet: bool) -> Result<Form, String> {
        match text {
            _ if is_quiet => Ok(Form::Quiet),
            Some("quiet") => Ok(Form::Quiet),
            Some("plain") => Ok(Form::Plain),
            Some("rawjson") => Ok(Form::Raw),
            Some("tty") if !terminal::stderr_is_terminal() => {
                Err("--progress=tty: stderr is not a terminal".into())
            }
            Some("tty") => Ok(Form::Live),
            None | Some("" | "auto") if terminal::stderr_is_terminal() => Ok(Form::Live),
            None | Some("" | "auto") => Ok(Form::Plain),
            Some(other) => {
                Err(format!("invalid progress form {other:?}: it is auto, plain, tty, quiet or rawjson"))
            }
        }
    }
}

/// Shows a stream of [`Line`]s to its end: the image's id. `names` are what it was to be called, in full. The steps' times
/// go to `timeline`, if there is one.
pub fn events(
    reply: Reply,
    form: Form,
    names: &[String],
    timeline: Option<&mut Vec<Value>>,
) -> Result<String, Failure> {
    let mut view: Box<dyn View> = match form {
        Form::Plain => Box::<Plain>::default(),
        Form::Raw => Box::<Raw>::default(),
        Form::Quiet => Box::<Quiet>::default(),
        Form::Live => Box::<Live>::default(),
    };
    let watch = (form == Form::Live).then(Watch::begin).transpose()?;
    match timeline {
        Some(timeline) => follow(reply, &mut Traced::new(&mut *view, timeline), watch.as_ref(), names),
        None => follow(reply, &mut *view, watch.as_ref(), names),
    }
}

/// Signals that end the command, held back until the screen is tidy.
struct Watch(OwnedFd);

impl Watch {
    fn begin() -> Result<Watch, Failure> {
        let ending = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
        let set = ending.iter().fold(SignalSet::EMPTY, |set, signal| set.with(signal.as_raw()));
        signal::block(set);
        let queue = signal::signalfd(set).map_err(|errno| Failure::io("signalfd", "", errno))?;
        Ok(Watch(queue))
    }

    fn size() -> [u16; 2] {
        terminal::stderr_size().unwrap_or(USUAL_SIZE)
    }

    /// Waits until the reply has something or the time is there: the signal that came, if one did.
    fn wait(&self, reply: &Reply, until: i64) -> Option<i32> {
        let socket = reply.socket();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&socket, PollFlags::IN)];
        let until = if reply.has_buffered() { 0 } else { until };
        let _ = poll(&mut fds, Some(&timeout_until(until)));
        signal::next_signal(&self.0).ok().flatten().map(|(number, _)| number)
    }

    /// Whether there is something to read.
    fn is_ready(reply: &Reply) -> bool {
        let socket = reply.socket();
        let mut fds = [PollFd::new(&socket, PollFlags::IN)];
        reply.has_buffered() || poll(&mut fds, Some(&timeout_until(0))).is_ok_and(|ready| ready > 0)
    }
}

fn follow(
    mut reply: Reply,
    view: &mut dyn View,
    watch: Option<&Watch>,
    names: &[String],
) -> Result<String, Failure> {
    let mut due = monotonic();
    let finish = |view: &mut dyn View, end: End<'_>| {
        let text = match watch {
            Some(_) => view.last(end, monotonic(), Watch::size()),
            None => view.end(end, monotonic()),
        };
        output::note(&text);
    };
    loop {
        if let Some(watch) = watch {
            if let Some(number) = watch.wait(&reply, due) {
                finish(view, End::Gone);
                return Err(session::die_of(number));
            }
            let now = monotonic();
            if now >= due {
                output::note(&view.tick(now, Watch::size()));
                due = now + FRAME_NANOS;
            }
            if !Watch::is_ready(&reply) {
                continue;
            }
        }
        match next(&mut reply)? {
            Some(Line::Event(event)) => {
                let text = view.event(event, monotonic());
                if !text.is_empty() {
                    output::note(&text);
                }
            }
            Some(Line::Image(id)) => {
                finish(view, End::Image { id: &id, names });
                return Ok(id);
            }
            Some(Line::Error(error)) => {
                finish(view, End::Error(&error));
                return Err(Failure::new(error));
            }
            None => {
                let error = "the engine ended before the build did";
                finish(view, End::Error(error));
                return Err(Failure::new(error));
            }
        }
    }
}

fn next(reply: &mut Reply) -> Result<Option<Line>, Failure> {
    while let Some(line) = reply.line()? {
        if !line.trim_ascii().is_empty() {
            let read = skiff_core::json::from_slice(&line);
            return read
                .map(Some)
                .map_err(|error| Failure::new(format!("read the engine's answer: {error}")));
        }
    }
    Ok(None)
}

/// Shows the stream of Docker's classic builder to its end: the image's id.
pub fn classic(reply: Reply, form: Form) -> Result<String, Failure> {
    let mut id = String::new();
    let mut held: Vec<String> = Vec::new();
    let shown = progress::follow(reply, &mut |step| {
        if let Some(text) = step.get("stream").and_then(Value::as_str) {
            match form {
                Form::Quiet if text.starts_with("sha256:") => id = text.trim().to_string(),
                Form::Quiet => held.push(text.into()),
                Form::Raw => output::note(&format!("{step}\n")),
                Form::Plain | Form::Live => output::note(text),
            }
        } else if let Some(made) = step.pointer("/aux/ID").and_then(Value::as_str) {
            id = made.into();
        }
        Ok(())
    });
    if shown.is_err() {
        held.iter().for_each(|text| output::note(text));
    }
    shown.map(|()| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_what_docker_calls_it() {
        assert_eq!(Form::parse(Some("plain"), false), Ok(Form::Plain));
        assert_eq!(Form::parse(Some("rawjson"), false), Ok(Form::Raw));
        assert_eq!(Form::parse(Some("plain"), true), Ok(Form::Quiet));
        assert!(Form::parse(Some("fancy"), false).unwrap_err().contains("auto, plain, tty"));
    }
}

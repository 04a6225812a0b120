//! The event log -> the events that somebody asked for. A server child runs it.

use rustix::fd::BorrowedFd;
use serde_json::Value;

use super::FILE_NAME;
use crate::{
    Result,
    api::filters::Filters,
    clock::{self, Time},
    journal::{Lines, Start, Watch},
};

/// The filters that an events request may have.
pub const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "label!",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// From when on. If neither this nor `until` is given, only what happens from now on.
    pub since: Option<Time>,
    /// Until when; without it, for ever.
    pub until: Option<Time>,
    /// Conditions, all of which must hold.
    pub filters: Filters,
}

/// Reads the event log.
#[derive(Debug)]
pub struct Reader {
    lines: Lines,
    query: Query,
    ended: bool,
}

impl Reader {
    /// Opens the log in the run root; from here on no event is missed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(run: BorrowedFd<'_>, query: Query) -> Result<Reader> {
        let past = query.since.is_some() || query.until.is_some();
        let lines = Lines::open(run, FILE_NAME, if past { Start::Oldest } else { Start::Last(0) })?;
        Ok(Reader { lines, query, ended: false })
    }

    /// The JSON of the next event that was asked for, without a line break, or `None` if there is no more for now.
    ///
    /// # Errors
    /// Of the file system. Damaged lines are left out.
    pub fn next_event(&mut self) -> Result<Option<&[u8]>> {
        let Reader { lines, query, ended } = self;
        loop {
            if *ended || !lines.advance()? {
                return Ok(None);
            }
            let Some(time) = time_of(lines.line()) else { continue };
            if query.until.is_some_and(|until| time > until) {
                *ended = true;
            } else if query.since.is_none_or(|since| time >= since) && matches(&query.filters, lines.line()) {
                break;
            }
        }
        Ok(Some(lines.line()))
    }

    /// Hands the events to `sink` until the query's `until`, or until `gone` says that nobody listens any more. Before
    /// each wait `sink` gets `None`: time to send what it has gathered. `gone` is asked after each event and each time
    /// one of `others` is readable or hung up.
    ///
    /// # Errors
    /// Of the file system, and what `sink` and `gone` give.
    pub fn follow(
        &mut self,
        run: BorrowedFd<'_>,
        others: &[BorrowedFd<'_>],
        gone: &mut dyn FnMut() -> Result<bool>,
        sink: &mut dyn FnMut(Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        let watch = Watch::new(run)?;
        loop {
            let last = self.query.until.is_some_and(|until| Time::now() > until);
            while let Some(event) = self.next_event()? {
                sink(Some(event))?;
            }
            sink(None)?;
            if last || self.ended || gone()? {
                return Ok(());
            }
            let left = self.query.until.map(|until| until.since(Time::now()).max(0).saturating_add(1));
            watch.wait(others, left.map(|left| clock::monotonic().saturating_add(left)))?;
        }
    }
}

/// The number at the end of the line.
fn time_of(line: &[u8]) -> Option<Time> {
    let number = line.strip_suffix(b"}")?;
    let digits = number.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = number.split_at(number.len() - digits);
    before.strip_suffix(b"\"timeNano\":")?;
    let nanos: i64 = core::str::from_utf8(number).ok()?.parse().ok()?;
    Some(Time::from_unix(0, 0).plus(nanos))
}

/// Whether an event meets all conditions, as Docker compares them.
fn matches(filters: &Filters, line: &[u8]) -> bool {
    if *filters == Filters::default() {
        return true;
    }
    let Ok(event) = crate::json::from_slice::<Value>(line) else { return false };
    let text = |value: &'_ Value| -> alloc::string::String { value.as_str().unwrap_or_default().into() };
    let (kind, action) = (text(&event["Type"]), text(&event["Action"]));
    let (id, attributes) = (text(&event["Actor"]["ID"]), &event["Actor"]["Attributes"]);
    let name = text(&attributes["name"]);
    let image = if kind == "image" { name.clone() } else { text(&attributes["image"]) };
    let no_tag = |name: &'_ str| name.rsplit_once(':').map_or(name.len(), |(repository, _)| repository.len());
    let by_name =
        |filter| filters.allows_if(filter, |wanted| id.starts_with(wanted) || name.starts_with(wanted));
    // These carry something behind a colon.
    let wide = |wanted: &str| {
        ["health_status", "exec_create", "exec_start"].iter().any(|open| wanted.starts_with(open))
    };
    filters.allows("type", &kind)
        && filters.allows("scope", "local")
        && filters.allows_if("event", |wanted| action == wanted || wide(wanted) && action.starts_with(wanted))
        && filters.allows_if("image", |wanted| {
            [&id, &image].iter().any(|name| wanted == name.as_str() || wanted == &name[..no_tag(name)])
        })
        && ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"]
            .into_iter()
            .all(by_name)
        && filters.allows_labels(|key| attributes.get(key).and_then(Value::as_str))
}

//! `--trace`: what a build told -> a timeline in the Trace Event Format, which chrome://tracing and Perfetto open. Pure.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};
use skiff_core::build::progress::{Event, Number};

use super::show::{End, View};

/// Everything is of one process to the format.
const PROCESS: u32 = 1;

/// A view that also keeps the times of the steps. Steps that run at the same time get lines of their own, as few as can be.
pub struct Traced<'a> {
    view: &'a mut dyn View,
    events: &'a mut Vec<Value>,
    running: BTreeMap<Number, Running>,
}

struct Running {
    title: String,
    begun: i64,
    line: u32,
}

/// The timeline as the file has it. Times of `events` are microseconds of the monotonic clock.
pub fn timeline(mut events: Vec<Value>) -> String {
    let process = json!({"name": "process_name", "ph": "M", "pid": PROCESS, "args": {"name": "skiff build"}});
    events.insert(0, process);
    let all = json!({"displayTimeUnit": "ms", "traceEvents": events});
    all.to_string() + "\n"
}

impl<'a> Traced<'a> {
    /// Tells `view` everything, and adds an event for each step.
    pub fn new(view: &'a mut dyn View, events: &'a mut Vec<Value>) -> Self {
        Traced { view, events, running: BTreeMap::new() }
    }

    fn begin(&mut self, step: Number, title: &str, now: i64) {
        let is_free = |line: &u32| self.running.values().all(|running| running.line != *line);
        let line = (1..).find(is_free).unwrap_or_default();
        self.running.insert(step, Running { title: title.into(), begun: now, line });
    }

    fn end_step(&mut self, step: Number, now: i64, how: &str, why: Option<&str>) {
        let Some(Running { title, begun, line }) = self.running.remove(&step) else { return };
        let mut event = json!({
            "name": title, "cat": how, "ph": "X", "pid": PROCESS, "tid": line,
            "ts": begun / 1000, "dur": (now - begun) / 1000, "args": {"ended": how},
        });
        if let Some(why) = why {
            event["args"]["why"] = why.into();
        }
        self.events.push(event);
    }

    /// Steps that had not ended when the build did.
    fn give_up(&mut self, now: i64) {
        while let Some((&step, _)) = self.running.first_key_value() {
            self.end_step(step, now, "given up", None);
        }
    }
}

impl View for Traced<'_> {
    fn event(&mut self, event: Event, now: i64) -> String {
        match &event {
            Event::Begun { step, title } => self.begin(*step, title, now),
            Event::Done { step, cached, why, .. } => {
                self.end_step(*step, now, if *cached { "cached" } else { "done" }, why.as_deref());
            }
            Event::Failed { step } => self.end_step(*step, now, "failed", None),
            Event::Idle | Event::Planned { .. } | Event::Output { .. } | Event::Warning(_) => {}
        }
        self.view.event(event, now)
    }

    fn tick(&mut self, now: i64, size: [u16; 2]) -> String {
        self.view.tick(now, size)
    }

    fn end(&mut self, end: End<'_>, now: i64) -> String {
        self.give_up(now);
        self.view.end(end, now)
    }

    fn last(&mut self, end: End<'_>, now: i64, size: [u16; 2]) -> String {
        self.give_up(now);
        self.view.last(end, now, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::plain::Plain;

    #[test]
    fn steps_at_the_same_time_have_lines_of_their_own() {
        let (mut view, mut events) = (Plain::default(), Vec::new());
        let mut traced = Traced::new(&mut view, &mut events);
        let begun = |step: Number| Event::Begun { step, title: step.to_string() };
        let done = |step| Event::Done { step, cached: step == 0, took_ns: 0, why: Some("new".into()) };
        assert!(traced.event(begun(0), 1_000).contains('0'));
        traced.event(begun(1), 2_000);
        traced.event(done(0), 5_000);
        traced.event(begun(2), 6_000);
        traced.event(Event::Failed { step: 1 }, 7_000);
        traced.end(End::Error("no"), 9_000);
        let text = timeline(events);
        let read: Value = serde_json::from_str(&text).unwrap();
        let of = |event: &Value| {
            let number = |name: &str| event[name].as_i64().unwrap();
            (event["name"].to_string(), number("tid"), number("ts"), number("dur"), event["args"].to_string())
        };
        let all: Vec<_> = read["traceEvents"].as_array().unwrap()[1..].iter().map(of).collect();
        assert_eq!(
            all,
            [
                ("\"0\"".into(), 1, 1, 4, r#"{"ended":"cached","why":"new"}"#.into()),
                ("\"1\"".into(), 2, 2, 5, r#"{"ended":"failed"}"#.into()),
                ("\"2\"".into(), 1, 6, 3, r#"{"ended":"given up"}"#.into()),
            ]
        );
    }
}

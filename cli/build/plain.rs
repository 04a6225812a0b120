//! `--progress=plain`: lines that only ever follow each other, as BuildKit prints them. Pure.
//!
//! Of steps that run side by side one speaks at a time; what the others have to say is held until it is done, or has been
//! silent for a while.

use alloc::{collections::BTreeMap, string::String};

use skiff_core::build::progress::{Event, Number};

use super::{
    show::{End, View},
    steps::{Steps, millis},
    text::{fit, seconds},
};

/// So much of a title is shown.
const TITLE: usize = 72;
/// A step that is silent for so long lets another one speak.
const PATIENCE_NANOS: i64 = 5_000_000_000;
/// So much of a step is held.
const HELD_BYTES_MAX: usize = 1 << 20;

/// The view.
#[derive(Debug, Default)]
pub struct Plain {
    steps: Steps,
    /// The step that the last lines were of.
    current: Option<Number>,
    /// It has more to say.
    is_open: bool,
    /// When it spoke last.
    spoke: i64,
    /// What other steps have to say.
    held: BTreeMap<Number, Held>,
    failed: Option<Number>,
}

/// What a step has to say when it is its turn.
#[derive(Debug, Default)]
struct Held {
    lines: String,
    is_last: bool,
}

impl Plain {
    /// A step says something; `is_last` if it is done.
    fn say(&mut self, step: Number, lines: &str, is_last: bool, now: i64, out: &mut String) {
        if self.current == Some(step) {
            out.push_str(lines);
            self.spoke = now;
            self.is_open = !is_last;
        } else {
            let held = self.held.entry(step).or_default();
            held.lines.push_str(lines);
            held.is_last = is_last;
        }
        self.give_turns(now, out);
    }

    /// Lets steps speak that wait for it.
    fn give_turns(&mut self, now: i64, out: &mut String) {
        loop {
            let may = !self.is_open || now - self.spoke >= PATIENCE_NANOS;
            let next = self.held.iter().find(|(_, held)| may || held.lines.len() > HELD_BYTES_MAX);
            let Some(step) = next.map(|(step, _)| *step) else { return };
            self.turn(step, now, out);
        }
    }

    /// Lets the next lines be a step's.
    fn turn(&mut self, step: Number, now: i64, out: &mut String) {
        if self.current != Some(step) {
            if let Some(before) = self.current {
                if self.is_open {
                    out.push_str(&format!("#{} ...\n", self.steps.get(before, now).shown));
                }
                out.push('\n');
            }
            let one = self.steps.get(step, now);
            out.push_str(&format!("#{} {}\n", one.shown, fit(&one.title, TITLE)));
        }
        let held = self.held.remove(&step).unwrap_or_default();
        out.push_str(&held.lines);
        (self.current, self.is_open, self.spoke) = (Some(step), !held.is_last, now);
    }

    /// What a step has written, as lines.
    fn lines(&mut self, step: Number, bytes: &[u8], now: i64) -> String {
        let one = self.steps.get(step, now);
        let (shown, mut lines) = (one.shown, String::new());
        one.write(bytes, now, &mut |after, line| {
            lines.push_str(&format!("#{shown} {} {line}\n", millis(after)));
        });
        lines
    }

    /// The same for what has no end of line.
    fn rest(&mut self, step: Number, now: i64) -> String {
        let one = self.steps.get(step, now);
        let (shown, mut lines) = (one.shown, String::new());
        one.flush(now, &mut |after, line| {
            lines.push_str(&format!("#{shown} {} {line}\n", millis(after)));
        });
        lines
    }
}

impl View for Plain {
    fn event(&mut self, event: Event, now: i64) -> String {
        let mut out = String::new();
        match event {
            Event::Planned { .. } => {}
            Event::Idle => self.give_turns(now, &mut out),
            Event::Begun { step, title } => {
                self.steps.begin(step, &title, now);
                self.say(step, "", false, now, &mut out);
            }
            Event::Output { step, bytes, .. } => {
                let lines = self.lines(step, &bytes, now);
                self.say(step, &lines, false, now, &mut out);
            }
            Event::Done { step, cached, took_ns, why } => {
                let mut lines = self.rest(step, now);
                let shown = self.steps.get(step, now).shown;
                if let Some(why) = why {
                    lines.push_str(&format!("#{shown} cache: {why}\n"));
                }
                let end = if cached { "CACHED".into() } else { format!("DONE {}", seconds(took_ns)) };
                lines.push_str(&format!("#{shown} {end}\n"));
                self.say(step, &lines, true, now, &mut out);
            }
            Event::Failed { step } => {
                let lines = self.rest(step, now);
                self.say(step, &lines, false, now, &mut out);
                self.turn(step, now, &mut out);
                self.failed = Some(step);
            }
            Event::Warning(text) => out.push_str(&format!("WARNING: {text}\n")),
        }
        out
    }

    fn end(&mut self, end: End<'_>, now: i64) -> String {
        let mut out = String::new();
        match (end, self.failed) {
            (End::Image { id, names }, _) => {
                let gap = if self.current.is_some() { "\n" } else { "" };
                out.push_str(&format!("{gap}image {id}\n"));
                names.iter().for_each(|name| out.push_str(&format!("naming to {name} done\n")));
            }
            (End::Error(text), Some(step)) => {
                let one = self.steps.get(step, now);
                let first = text.lines().next().unwrap_or_default();
                out.push_str(&format!("#{} ERROR: {first}\n{}", one.shown, one.obituary()));
            }
            (End::Error(_) | End::Gone, _) => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn begun(step: Number, title: &str) -> Event {
        Event::Begun { step, title: title.into() }
    }

    fn output(step: Number, text: &str) -> Event {
        Event::Output { step, error: false, bytes: text.into() }
    }

    fn done(step: Number, cached: bool, why: Option<&str>) -> Event {
        Event::Done { step, cached, took_ns: SECOND * 3 / 10, why: why.map(Into::into) }
    }

    fn shown(view: &mut Plain, events: impl IntoIterator<Item = (Event, i64)>) -> String {
        events.into_iter().map(|(event, now)| view.event(event, now)).collect()
    }

    #[test]
    fn one_step_speaks_at_a_time() {
        let mut view = Plain::default();
        let mut shown = shown(
            &mut view,
            [
                (begun(4, "[build 1/2] FROM box"), 0),
                (done(4, true, Some("same image")), 0),
                (begun(5, "[build 2/2] RUN make"), SECOND),
                (output(5, "one\ntw"), SECOND + 123_000_000),
                (begun(6, "[other 1/1] RUN x"), SECOND),
                (output(6, "x\n"), SECOND),
                (output(5, "o\n"), SECOND * 2),
                (done(6, false, None), SECOND * 2),
                (output(5, "end"), SECOND * 3),
                (done(5, false, None), SECOND * 3),
            ],
        );
        shown.push_str(&view.end(End::Image { id: "sha256:0", names: &["docker.io/library/a:1".into()] }, 0));
        let expected = "#1 [build 1/2] FROM box\n#1 cache: same image\n#1 CACHED\n\n\
            #2 [build 2/2] RUN make\n#2 0.123 one\n#2 1.000 two\n#2 2.000 end\n#2 DONE 0.3s\n\n\
            #3 [other 1/1] RUN x\n#3 0.000 x\n#3 DONE 0.3s\n\n\
            image sha256:0\nnaming to docker.io/library/a:1 done\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_silent_step_lets_others_speak() {
        let mut view = Plain::default();
        let shown = shown(
            &mut view,
            [
                (begun(0, "[a 1/1] RUN a"), 0),
                (begun(1, "[b 1/1] RUN b"), 0),
                (output(1, "b\n"), SECOND),
                (Event::Idle, SECOND * 4),
                (Event::Idle, SECOND * 5),
                (output(0, "a\n"), SECOND * 6),
                (done(1, false, None), SECOND * 7),
            ],
        );
        let expected = "#1 [a 1/1] RUN a\n#1 ...\n\n#2 [b 1/1] RUN b\n#2 1.000 b\n#2 DONE 0.3s\n\n\
            #1 [a 1/1] RUN a\n#1 6.000 a\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_failed_step_shows_its_last_lines() {
        let mut view = Plain::default();
        let mut shown = view.event(begun(0, "[1/1] RUN false"), 0);
        shown.push_str(&view.event(output(0, "no good\nat all"), 0));
        shown.push_str(&view.event(Event::Failed { step: 0 }, SECOND));
        shown.push_str(&view.end(End::Error("process \"false\" failed\nhint: x"), SECOND));
        assert_eq!(
            shown,
            "#1 [1/1] RUN false\n#1 0.000 no good\n#1 1.000 at all\n#1 ERROR: process \"false\" failed\n\
             ------\n > [1/1] RUN false:\n0.000 no good\n1.000 at all\n------\n"
        );
    }
}

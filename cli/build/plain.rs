//! `--progress=plain`: lines that only ever follow each other, as BuildKit prints them. Pure.

use alloc::string::String;

use skiff_core::build::progress::{Event, Number};

use super::{
    show::{End, View},
    steps::{Steps, millis},
    text::{fit, seconds},
};

/// So much of a title is shown.
const TITLE: usize = 72;

/// The view.
#[derive(Debug, Default)]
pub struct Plain {
    steps: Steps,
    /// The step that the last lines were of.
    current: Option<Number>,
    /// It has more to say.
    is_open: bool,
    failed: Option<Number>,
}

impl Plain {
    /// Lets the next lines be a step's.
    fn turn(&mut self, step: Number, now: i64, out: &mut String) {
        if self.current == Some(step) {
            return;
        }
        if let Some(before) = self.current {
            if self.is_open {
                out.push_str(&format!("#{} ...\n", self.steps.get(before, now).shown));
            }
            out.push('\n');
        }
        let one = self.steps.get(step, now);
        out.push_str(&format!("#{} {}\n", one.shown, fit(&one.title, TITLE)));
        (self.current, self.is_open) = (Some(step), true);
    }

    fn flush(&mut self, step: Number, now: i64, out: &mut String) {
        let one = self.steps.get(step, now);
        let shown = one.shown;
        one.flush(now, &mut |after, line| out.push_str(&format!("#{shown} {} {line}\n", millis(after))));
    }
}

impl View for Plain {
    fn event(&mut self, event: Event, now: i64) -> String {
        let mut out = String::new();
        match event {
            Event::Idle | Event::Planned { .. } => {}
            Event::Begun { step, title } => {
                self.steps.begin(step, &title, now);
                self.turn(step, now, &mut out);
            }
            Event::Output { step, bytes, .. } => {
                self.turn(step, now, &mut out);
                let one = self.steps.get(step, now);
                let shown = one.shown;
                let mut line =
                    |after, line: &str| out.push_str(&format!("#{shown} {} {line}\n", millis(after)));
                one.write(&bytes, now, &mut line);
            }
            Event::Done { step, cached, took_ns, why } => {
                self.turn(step, now, &mut out);
                self.flush(step, now, &mut out);
                let shown = self.steps.get(step, now).shown;
                if let Some(why) = why {
                    out.push_str(&format!("#{shown} cache: {why}\n"));
                }
                let end = if cached { "CACHED".into() } else { format!("DONE {}", seconds(took_ns)) };
                out.push_str(&format!("#{shown} {end}\n"));
                self.is_open = false;
            }
            Event::Failed { step } => {
                self.turn(step, now, &mut out);
                self.flush(step, now, &mut out);
                self.failed = Some(step);
            }
            Event::Warning(text) => {
                let gap = if self.current.is_some() { "\n" } else { "" };
                out.push_str(&format!("{gap}WARNING: {text}\n"));
            }
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

    #[test]
    fn steps_side_by_side_are_told_apart() {
        let mut view = Plain::default();
        let mut shown = String::new();
        for (event, now) in [
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
        ] {
            shown.push_str(&view.event(event, now));
        }
        shown.push_str(&view.end(End::Image { id: "sha256:0", names: &["docker.io/library/a:1".into()] }, 0));
        let expected = "#1 [build 1/2] FROM box\n#1 cache: same image\n#1 CACHED\n\n\
            #2 [build 2/2] RUN make\n#2 0.123 one\n#2 ...\n\n\
            #3 [other 1/1] RUN x\n#3 0.000 x\n#3 ...\n\n\
            #2 [build 2/2] RUN make\n#2 1.000 two\n#2 ...\n\n\
            #3 [other 1/1] RUN x\n#3 DONE 0.3s\n\n\
            #2 [build 2/2] RUN make\n#2 2.000 end\n#2 DONE 0.3s\n\n\
            image sha256:0\nnaming to docker.io/library/a:1 done\n";
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

//! `--progress=tty`: steps that are done stand as lines; below them the running ones are drawn again and again, with the
//! time that they take and the last lines that they wrote. Pure: sizes and times come in, text goes out.
//!
//! A frame is one write: back to its first line, each line over the old one, the rest of the screen away. No line is as
//! wide as the window, the cursor is never hidden and always at the start of an empty line, so nothing is left to tidy up
//! if this process is killed.

use alloc::{string::String, vec::Vec};

use skiff_core::build::progress::{Event, Number};

use super::{
    show::{End, View},
    steps::{Steps, millis},
    text::{columns, fit, seconds},
};

/// Lines of output that are shown of a running step.
const LINES: usize = 6;
/// What is narrower is drawn for this many columns.
const NARROWEST: usize = 20;

/// The view.
#[derive(Debug, Default)]
pub struct Live {
    steps: Steps,
    running: Vec<Number>,
    /// When the build began.
    begun: Option<i64>,
    planned: usize,
    done: usize,
    /// Lines that will stay, and are not written yet.
    settled: Vec<(String, String)>,
    /// Columns of the lines of the last frame.
    drawn: Vec<usize>,
    failed: Option<Number>,
}

impl Live {
    fn finish(&mut self, step: Number) {
        self.running.retain(|other| *other != step);
        self.done += 1;
    }

    /// Back to where the last frame begins. In a window that has become narrower its lines take more rows.
    fn back(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|columns| columns.div_ceil(width.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\x1b[{rows}A\r") }
    }

    /// The lines that stay.
    fn settle(&mut self, width: usize) -> String {
        let lines = core::mem::take(&mut self.settled);
        lines.iter().map(|(left, right)| row(left, right, width) + "\x1b[K\n").collect()
    }

    /// The lines of a frame: the head, and each running step.
    fn frame(&mut self, now: i64, [rows, width]: [usize; 2]) -> Vec<String> {
        let took = seconds(now - self.begun.unwrap_or(now));
        let head = format!("[+] Building {took} ({}/{})", self.done, self.planned.max(self.steps.count()));
        let mut lines = Vec::from([fit(&head, width)]);
        let room = rows.saturating_sub(2);
        let shown = self.running.len().min(room);
        // Where not all steps have room for all their lines, each has the same number.
        let each = (room - shown).checked_div(shown).unwrap_or(0).min(LINES);
        for step in &self.running[self.running.len() - shown..] {
            let one = self.steps.get(*step, now);
            lines.push(row(&format!(" => {}", one.title), &seconds(now - one.begun), width));
            let unfinished = one.unfinished().map(|line| (now - one.begun, line));
            let tail: Vec<&(i64, String)> = one.tail.iter().chain(unfinished.as_ref()).collect();
            for (after, line) in &tail[tail.len().saturating_sub(each)..] {
                lines.push(fit(&format!(" => => # {} {line}", millis(*after)), width));
            }
        }
        lines
    }

    /// What stays, and no frame below it.
    fn without_frame(&mut self, width: usize) -> String {
        let text = self.back(width) + &self.settle(width) + "\x1b[J";
        self.drawn.clear();
        text
    }
}

/// A text, and another one at the end of the line.
fn row(left: &str, right: &str, width: usize) -> String {
    if right.is_empty() {
        return fit(left, width);
    }
    let room = width.saturating_sub(columns(right) + 1);
    let left = fit(left, room);
    let gap = room - columns(&left) + 1;
    format!("{left}{:gap$}{right}", "")
}

/// Rows and columns that may be drawn on: the last column stays empty, so that no line wraps.
fn usable([rows, columns]: [u16; 2]) -> [usize; 2] {
    [usize::from(rows), usize::from(columns).max(NARROWEST + 1) - 1]
}

impl View for Live {
    fn event(&mut self, event: Event, now: i64) -> String {
        self.begun.get_or_insert(now);
        match event {
            Event::Idle => {}
            Event::Planned { steps } => self.planned = steps as usize,
            Event::Begun { step, title } => {
                self.steps.begin(step, &title, now);
                self.running.push(step);
            }
            Event::Output { step, bytes, .. } => self.steps.get(step, now).write(&bytes, now, &mut |_, _| {}),
            Event::Done { step, cached, took_ns, why } => {
                self.finish(step);
                let title = &self.steps.get(step, now).title;
                let mark = if cached { "CACHED " } else { "" };
                self.settled.push((format!(" => {mark}{title}"), seconds(took_ns)));
                if let Some(why) = why {
                    self.settled.push((format!(" => => # cache: {why}"), String::new()));
                }
            }
            Event::Failed { step } => {
                self.finish(step);
                let one = self.steps.get(step, now);
                one.flush(now, &mut |_, _| {});
                self.settled.push((format!(" => ERROR {}", one.title), seconds(now - one.begun)));
                self.failed = Some(step);
            }
            Event::Warning(text) => self.settled.push((format!("WARNING: {text}"), String::new())),
        }
        String::new()
    }

    fn tick(&mut self, now: i64, size: [u16; 2]) -> String {
        if self.begun.is_none() {
            return String::new();
        }
        let [rows, width] = usable(size);
        let mut text = self.back(width) + &self.settle(width);
        let lines = self.frame(now, [rows, width]);
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.iter().map(|line| columns(line)).collect();
        text
    }

    fn last(&mut self, end: End<'_>, now: i64, size: [u16; 2]) -> String {
        let mut text = self.without_frame(usable(size)[1]);
        text.push_str(&self.end(end, now));
        text
    }

    fn end(&mut self, end: End<'_>, now: i64) -> String {
        let took = seconds(now - self.begun.unwrap_or(now));
        let head = |what: &str| {
            format!("[+] Building {took} ({}/{}) {what}\n", self.done, self.planned.max(self.done))
        };
        match (end, self.failed) {
            (End::Image { id, names }, _) => {
                let mut text = head("FINISHED") + &format!(" => image {id}\n");
                names.iter().for_each(|name| text.push_str(&format!(" => naming to {name}\n")));
                text
            }
            (End::Error(_), Some(step)) => head("FAILED") + &self.steps.get(step, now).obituary(),
            (End::Error(_), None) => String::new(),
            (End::Gone, _) => head("CANCELED"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// What is on a screen after the text was written to it; lines that are too long show as such.
    struct Screen {
        lines: Vec<String>,
        row: usize,
    }

    impl Screen {
        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some(c) = rest.chars().next() {
                if let Some(after) = rest.strip_prefix("\x1b[") {
                    let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    match &after[end..=end] {
                        "A" => self.row -= after[..end].parse::<usize>().unwrap(),
                        "K" => {}
                        "J" => self.lines.truncate(self.row),
                        other => panic!("{other}"),
                    }
                    rest = &after[end + 1..];
                    continue;
                }
                match c {
                    '\r' => {}
                    '\n' => self.row += 1,
                    _ => {
                        let line: String = rest.chars().take_while(|c| *c != '\x1b' && *c != '\n').collect();
                        self.lines.resize(self.lines.len().max(self.row + 1), String::new());
                        self.lines[self.row] = line.clone();
                        rest = &rest[line.len()..];
                        continue;
                    }
                }
                rest = &rest[c.len_utf8()..];
            }
        }
    }

    fn output(step: Number, text: &str) -> Event {
        Event::Output { step, error: false, bytes: text.into() }
    }

    #[test]
    fn running_steps_are_drawn_below_those_that_are_done() {
        let mut view = Live::default();
        let mut screen = Screen { lines: Vec::new(), row: 0 };
        view.event(Event::Planned { steps: 3 }, 0);
        view.event(Event::Begun { step: 0, title: "[1/3] FROM box".into() }, 0);
        screen.write(&view.tick(0, [24, 41]));
        assert_eq!(
            screen.lines,
            [String::from("[+] Building 0.0s (0/3)"), format!("{:36}0.0s", " => [1/3] FROM box")]
        );
        view.event(Event::Done { step: 0, cached: true, took_ns: 0, why: None }, 0);
        view.event(Event::Begun { step: 1, title: "[2/3] RUN make a very long line of it".into() }, 0);
        view.event(output(1, "1\n2\n3\n4\n5\n6\n7\n\x1b[31m8"), SECOND);
        screen.write(&view.tick(2 * SECOND, [24, 41]));
        let shown = screen.lines.join("\n");
        let expected = " => CACHED [1/3] FROM box           0.0s\n[+] Building 2.0s (1/3)\n\
            \x20=> [2/3] RUN make a very long lin… 2.0s\n => => # 1.000 3\n => => # 1.000 4\n => => # 1.000 5\n\
            \x20=> => # 1.000 6\n => => # 1.000 7\n => => # 2.000 8";
        assert_eq!(shown, expected);
        assert!(screen.lines.iter().all(|line| columns(line) <= 40), "{shown}");
        // A low window has fewer lines.
        screen.write(&view.tick(2 * SECOND, [4, 41]));
        assert_eq!(screen.lines.len(), 1 + 3);
        view.event(Event::Done { step: 1, cached: false, took_ns: 3 * SECOND, why: None }, 3 * SECOND);
        screen.write(&view.last(End::Image { id: "sha256:0", names: &[] }, 3 * SECOND, [24, 41]));
        assert_eq!(
            screen.lines,
            [
                " => CACHED [1/3] FROM box           0.0s",
                " => [2/3] RUN make a very long lin… 3.0s",
                "[+] Building 3.0s (2/3) FINISHED",
                " => image sha256:0"
            ]
        );
    }

    #[test]
    fn a_window_that_became_narrower_is_cleared_as_well() {
        let mut view = Live::default();
        view.event(Event::Begun { step: 0, title: "[1/1] RUN x".into() }, 0);
        view.tick(0, [24, 81]);
        // The row of 80 columns takes two of 40.
        assert!(view.tick(0, [24, 41]).starts_with("\x1b[3A\r"));
        assert!(view.tick(0, [24, 41]).starts_with("\x1b[2A\r"));
    }

    #[test]
    fn nothing_of_a_frame_is_left_when_the_build_is_given_up() {
        let mut view = Live::default();
        let mut screen = Screen { lines: Vec::new(), row: 0 };
        view.event(Event::Begun { step: 0, title: "[1/1] RUN x".into() }, 0);
        screen.write(&view.tick(0, [24, 80]));
        screen.write(&view.last(End::Gone, SECOND, [24, 80]));
        assert_eq!(screen.lines, ["[+] Building 1.0s (0/0) CANCELED"]);
    }
}

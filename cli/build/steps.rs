//! The steps of a build that were told of: their titles, when they began, and the last lines that they wrote. Pure.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};

use skiff_core::build::progress::Number;

use super::text::clean;

/// So many of its last lines are shown of a step that has failed.
const TAIL: usize = 20;
/// A line that is longer is shown in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Steps by their number.
#[derive(Debug, Default)]
pub struct Steps(BTreeMap<Number, Step>);

/// One of them.
#[derive(Debug, Default)]
pub struct Step {
    /// Its number as it is shown, from 1.
    pub shown: usize,
    /// What it does, in one line.
    pub title: String,
    /// When it began, in nanoseconds of the monotonic clock.
    pub begun: i64,
    /// What it wrote last, and how many nanoseconds after its begin.
    pub tail: VecDeque<(i64, String)>,
    /// What has no end of line yet.
    partial: Vec<u8>,
}

impl Steps {
    /// A step has begun.
    pub fn begin(&mut self, number: Number, title: &str, now: i64) {
        let shown = self.0.len() + 1;
        let title = clean(title.replace(['\n', '\r'], " ").as_bytes());
        self.0.insert(number, Step { shown, title, begun: now, ..Step::default() });
    }

    /// A step; one that was never told of is made.
    pub fn get(&mut self, number: Number, now: i64) -> &mut Step {
        if !self.0.contains_key(&number) {
            self.begin(number, "", now);
        }
        self.0.entry(number).or_default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Step {
    /// Takes what it has written, and gives each line that has ended.
    pub fn write(&mut self, bytes: &[u8], now: i64, line: &mut dyn FnMut(i64, &str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > LINE_BYTES_MAX {
                self.flush(now, line);
            }
        }
    }

    /// What has no end of line is a line, too.
    pub fn flush(&mut self, now: i64, line: &mut dyn FnMut(i64, &str)) {
        if self.partial.is_empty() {
            return;
        }
        let text = clean(self.partial.strip_suffix(b"\n").unwrap_or(&self.partial));
        self.partial.clear();
        let after = now - self.begun;
        line(after, &text);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back((after, text));
    }

    /// What it writes at the moment and has no end of line yet.
    pub fn unfinished(&self) -> Option<String> {
        let line = clean(&self.partial);
        (!line.is_empty()).then_some(line)
    }

    /// What is shown when it has failed: its last lines between rules.
    pub fn obituary(&self) -> String {
        let mut out = format!("------\n > {}:\n", self.title);
        for (after, line) in &self.tail {
            out.push_str(&format!("{} {line}\n", millis(*after)));
        }
        out.push_str("------\n");
        out
    }
}

/// `0.123`, as lines of output are stamped.
pub fn millis(nanos: i64) -> String {
    let millis = nanos.max(0) / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_whatever_the_pieces() {
        let mut step = Step::default();
        let mut lines = Vec::new();
        for piece in [&b"a\nb"[..], b"c", b"\n\nd"] {
            step.write(piece, 5_000_000, &mut |after, line| lines.push((after, String::from(line))));
        }
        assert_eq!(step.unfinished().as_deref(), Some("d"));
        step.flush(7_000_000, &mut |after, line| lines.push((after, String::from(line))));
        let texts: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(texts, ["a", "bc", "", "d"]);
        assert_eq!(step.tail.back(), Some(&(7_000_000, "d".into())));
        for _ in 0..100 {
            step.write(b"x\n", 0, &mut |_, _| {});
        }
        assert_eq!(step.tail.len(), TAIL);
    }

    #[test]
    fn steps_are_counted_in_the_order_of_their_begin() {
        let mut steps = Steps::default();
        steps.begin(7, "[a 1/1] RUN x\ny", 0);
        assert_eq!((steps.get(7, 0).shown, steps.get(7, 0).title.as_str()), (1, "[a 1/1] RUN x y"));
        assert_eq!((steps.get(3, 0).shown, steps.count()), (2, 2));
    }
}

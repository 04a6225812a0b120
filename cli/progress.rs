//! A stream of JSON lines that tells how far the engine is -> text, and on a terminal a bar for each thing that takes its
//! time.

use alloc::{string::String, vec::Vec};

use serde_json::Value;
use skiff_core::clock::monotonic;

use crate::{
    client::Reply,
    failure::{Failure, Outcome},
    output,
    table::size,
    terminal,
};

/// What takes less time shows no bars.
const PATIENCE_NANOS: i64 = 1_000_000_000;
/// Time between two drawings.
const FRAME_NANOS: i64 = 100_000_000;
/// Length of a bar.
const BAR: usize = 30;

/// One thing that is worked at.
struct Row {
    id: String,
    status: String,
    current: u64,
    total: u64,
}

/// What is on the screen.
struct Screen {
    rows: Vec<Row>,
    /// Lines that were drawn.
    drawn: usize,
    begun: i64,
    last: i64,
    height: usize,
}

/// Shows a reply to its end. What it says was wrong is the failure.
pub fn show(reply: Reply) -> Outcome {
    follow(reply, &mut |step| match step.get("stream").and_then(Value::as_str) {
        Some(text) => output::write(text.as_bytes()),
        None => Ok(()),
    })?;
    Ok(0)
}

/// Shows how far it is until the reply ends, and hands on what else is told. What it says was wrong is the failure.
pub fn follow(mut reply: Reply, told: &mut dyn FnMut(&Value) -> Result<(), Failure>) -> Result<(), Failure> {
    let height = terminal::size().map(|[rows, _]| usize::from(rows).saturating_sub(2));
    let now = monotonic();
    let mut screen =
        Screen { rows: Vec::new(), drawn: 0, begun: now, last: now, height: height.unwrap_or(0) };
    while let Some(step) = reply.object()? {
        let text = |key| step.get(key).and_then(Value::as_str);
        if let Some(error) = text("error") {
            screen.clear()?;
            return Err(Failure::new(error));
        }
        match (text("id"), step.get("progressDetail")) {
            (Some(id), Some(detail)) => screen.take(id, text("status").unwrap_or(""), detail)?,
            _ => {
                screen.clear()?;
                told(&step)?;
            }
        }
    }
    screen.clear()
}

impl Screen {
    fn take(&mut self, id: &str, status: &str, detail: &Value) -> Result<(), Failure> {
        let number = |key| detail.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (current, total) = (number("current"), number("total"));
        match self.rows.iter_mut().find(|row| row.id == id) {
            Some(row) => {
                row.current = row.current.max(current);
                row.total = total;
            }
            None => self.rows.push(Row { id: id.into(), status: status.into(), current, total }),
        }
        let now = monotonic();
        if !self.is_due(now) {
            return Ok(());
        }
        self.last = now;
        self.draw()
    }

    fn is_due(&self, now: i64) -> bool {
        self.height > 0 && now - self.begun >= PATIENCE_NANOS && now - self.last >= FRAME_NANOS
    }

    /// Draws the last rows that fit, over those that are there.
    fn draw(&mut self) -> Result<(), Failure> {
        let mut text = self.over();
        let shown = self.rows.len().min(self.height);
        for row in &self.rows[self.rows.len() - shown..] {
            text.push_str(&line(row));
        }
        self.drawn = shown;
        output::write(text.as_bytes())
    }

    fn clear(&mut self) -> Result<(), Failure> {
        if self.drawn == 0 {
            return Ok(());
        }
        let text = self.over();
        self.drawn = 0;
        output::write(text.as_bytes())
    }

    /// Back to the first row, and all below it away.
    fn over(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.drawn) }
    }
}

/// The bar of one thing that this process does itself; it stands on stderr, if that is a terminal.
pub struct Bar {
    screen: Screen,
    name: String,
}

impl Bar {
    /// Of the thing with this name.
    pub fn new(name: String) -> Bar {
        let height = usize::from(terminal::stderr_is_terminal());
        let now = monotonic();
        Bar { screen: Screen { rows: Vec::new(), drawn: 0, begun: now, last: now, height }, name }
    }

    /// So far it is; a total of 0 is not known.
    pub fn show(&mut self, current: u64, total: u64) {
        let now = monotonic();
        if !self.screen.is_due(now) {
            return;
        }
        self.screen.last = now;
        let row = Row { id: self.name.clone(), status: String::new(), current, total };
        let text = self.screen.over() + &line(&row);
        self.screen.drawn = 1;
        output::note(&text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        output::note(&self.screen.over());
    }
}

fn line(row: &Row) -> String {
    let done = (row.current.min(row.total) as f64 / row.total.max(1) as f64 * BAR as f64) as usize;
    let head = if done < BAR { ">" } else { "=" };
    let bar = format!("{}{head}", "=".repeat(done.min(BAR - 1)));
    // Ids and states come from the engine, which cleans nothing for a terminal.
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let (id, status) = (clean(&row.id), clean(&row.status));
    let colon = if status.is_empty() { ":" } else { ": " };
    format!("{id}{colon}{status} [{bar:<BAR$}] {}/{}\n", size(row.current, 4), size(row.total, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        let row = |current| Row { id: "a\x1b".into(), status: "Loading".into(), current, total: 100 };
        let full = line(&row(100));
        assert!(full.starts_with(&format!("a: Loading [{}] ", "=".repeat(BAR))), "{full}");
        assert!(line(&row(0)).contains("[> "));
        assert!(line(&row(50)).contains(&format!("[{}>", "=".repeat(BAR / 2))));
        assert!(line(&Row { total: 0, ..row(7) }).contains("[> "));
    }
}

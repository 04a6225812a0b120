//! `--quiet`: nothing, unless a step fails. Pure.

use alloc::string::String;

use skiff_core::build::progress::{Event, Number};

use super::{
    show::{End, View},
    steps::Steps,
};

/// The view.
#[derive(Debug, Default)]
pub struct Quiet {
    steps: Steps,
    failed: Option<Number>,
}

impl View for Quiet {
    fn event(&mut self, event: Event, now: i64) -> String {
        match event {
            Event::Begun { step, title } => self.steps.begin(step, &title, now),
            Event::Output { step, bytes, .. } => self.steps.get(step, now).write(&bytes, now, &mut |_, _| {}),
            Event::Failed { step } => {
                self.steps.get(step, now).flush(now, &mut |_, _| {});
                self.failed = Some(step);
            }
            _ => {}
        }
        String::new()
    }

    fn end(&mut self, end: End<'_>, now: i64) -> String {
        match (end, self.failed) {
            (End::Error(_), Some(step)) => self.steps.get(step, now).obituary(),
            _ => String::new(),
        }
    }
}

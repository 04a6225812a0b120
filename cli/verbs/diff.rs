//! `skiff diff`: GET /containers/{id}/changes -> a line for each path: A, C or D.

use argh::prelude::*;

use super::{Context, Verb, number, text};
use crate::{client::path, failure::Outcome, output};

/// show what a container has added (A), changed (C) and deleted (D)
#[derive(FromArgs, ArgsInfo)]
pub struct Diff {
    #[argh(positional)]
    container: String,
}

impl Verb for Diff {
    fn run(self, context: &Context) -> Outcome {
        let changes = context.client.get(&path(&["containers", &self.container, "changes"]))?;
        let mut out = String::new();
        for change in changes.as_array().map_or(&[][..], Vec::as_slice) {
            out.push_str(match number(change, "Kind") {
                0 => "C ",
                1 => "A ",
                _ => "D ",
            });
            out.push_str(text(change, "Path"));
            out.push('\n');
        }
        output::write(out.as_bytes())?;
        Ok(0)
    }
}

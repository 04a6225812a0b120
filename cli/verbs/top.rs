//! `skiff top`: GET /containers/{id}/top -> the container's processes.

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, items};
use crate::{
    client::{path, query},
    failure::Outcome,
    output,
    table::align,
};

/// show the processes of a container
#[derive(FromArgs, ArgsInfo)]
pub struct Top {
    #[argh(positional)]
    container: String,
    #[argh(positional, greedy)]
    ps_options: Vec<String>,
}

impl Verb for Top {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["containers", &self.container, "top"]);
        if !self.ps_options.is_empty() {
            query(&mut target, "ps_args", &self.ps_options.join(" "));
        }
        let answer = context.client.get(&target)?;
        let cells = |row: &[Value]| {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_str().unwrap_or("")).collect();
            cells.join("\t") + "\n"
        };
        let mut text = cells(items(&answer, "Titles"));
        for process in items(&answer, "Processes") {
            text.push_str(&cells(process.as_array().map_or(&[], Vec::as_slice)));
        }
        output::write(align(&text, 20, 3).as_bytes())?;
        Ok(0)
    }
}

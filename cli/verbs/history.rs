//! `skiff history`: GET /images/{name}/history -> the steps that made an image.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, ago, number, short_id, text};
use crate::{
    client::{path, query},
    failure::Outcome,
    format::{Layout, row},
    platform,
    table::{shorten, size},
};

/// show the steps that made an image
#[derive(FromArgs, ArgsInfo)]
pub struct History {
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// sizes and times for people (default true)
    #[argh(option, short = 'H', arg_name = "bool", default = "true")]
    human: bool,
    /// don't shorten anything
    #[argh(switch)]
    no_trunc: bool,
    /// only if the image is for this: os[/arch[/variant]]
    #[argh(option, arg_name = "string")]
    platform: Option<String>,
    /// show ids only
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(positional)]
    image: String,
}

impl Verb for History {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["images", &self.image, "history"]);
        if let Some(platform) = self.platform.as_deref().filter(|platform| !platform.is_empty()) {
            query(&mut target, "platform", &platform::to_json(platform)?);
        }
        let steps = context.client.get(&target)?;
        let steps = steps.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<Value> = steps.iter().map(|step| self.step(step)).collect();
        let layout = Layout {
            kind: "history",
            table: if self.human {
                "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
            } else {
                "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
            },
            quiet: "{{.ID}}",
            headers: &[
                ("ID", "IMAGE"),
                ("CreatedSince", "CREATED"),
                ("CreatedAt", "CREATED AT"),
                ("CreatedBy", "CREATED BY"),
            ],
        };
        layout.print(self.format.as_deref(), self.quiet, &rows)?;
        Ok(0)
    }
}

impl History {
    fn step(&self, step: &Value) -> Value {
        let (id, created) = (text(step, "Id"), number(step, "Created"));
        let by = text(step, "CreatedBy").replace('\t', " ");
        let at = skiff_core::clock::Time::from_unix(created, 0).to_string();
        let bytes = u64::try_from(number(step, "Size")).unwrap_or(0);
        row(vec![
            ("ID", if self.no_trunc { id } else { short_id(id) }.into()),
            ("CreatedAt", at),
            ("CreatedSince", ago(created)),
            ("CreatedBy", if self.no_trunc { by } else { shorten(&by, 45) }),
            ("Size", if self.human { size(bytes, 3) } else { bytes.to_string() }),
            ("Comment", text(step, "Comment").into()),
        ])
        .into()
    }
}

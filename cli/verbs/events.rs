//! `skiff events`: GET /events -> a line for each event, as it happens.

use alloc::string::ToString;

use argh::prelude::*;
use serde_json::Value;
use skiff_core::{api::head::Method, clock::Time};

use super::{Context, Verb, add_filters, logs::add_when, number, text};
use crate::{
    client::{Upload, path},
    failure::{Failure, Outcome},
    output,
    template::{Missing, Template},
};

/// show what happens in the engine
#[derive(FromArgs, ArgsInfo)]
pub struct Events {
    /// show only what fits the condition
    #[argh(option, short = 'f', arg_name = "filter")]
    filter: Vec<String>,
    /// how to show it: "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show what happened since then too (10m, 2013-01-02T13:23:37Z)
    #[argh(option, arg_name = "string")]
    since: Option<String>,
    /// end then
    #[argh(option, arg_name = "string")]
    until: Option<String>,
}

impl Verb for Events {
    fn run(self, context: &Context) -> Outcome {
        let template = match self.format.as_deref() {
            None | Some("" | "json" | "{{json .}}") => None,
            Some(format) => Some(
                Template::parse(&format.replace("\\t", "\t").replace("\\n", "\n"))
                    .map_err(|reason| Failure::new(format!("failed to parse template: {reason}")))?,
            ),
        };
        let json = template.is_none() && self.format.as_deref().is_some_and(|format| !format.is_empty());
        let mut target = path(&["events"]);
        add_when(&mut target, "since", self.since.as_deref())?;
        add_when(&mut target, "until", self.until.as_deref())?;
        add_filters(&mut target, &self.filter)?;
        let mut reply = context.client.request(Method::Get, &target, Upload::Nothing)?;
        while let Some(mut event) = reply.object()? {
            if json {
                output::line(&event.to_string())?;
                continue;
            }
            match &template {
                None => output::line(&line(&event))?,
                Some(template) => {
                    complete(&mut event);
                    let text = template.run(&event, Missing::Field("event"));
                    let text =
                        text.map_err(|reason| Failure::new(format!("failed to execute template: {reason}")))?;
                    output::line(&text)?;
                }
            }
        }
        Ok(0)
    }
}

/// Docker's line: time, kind, action, id, (attributes).
fn line(event: &Value) -> String {
    let nanos = number(event, "timeNano");
    let time = match nanos {
        0 => Time::from_unix(number(event, "time"), 0),
        _ => Time::from_unix(0, 0).plus(nanos),
    };
    let actor = event.get("Actor").unwrap_or(&Value::Null);
    let attributes = actor.get("Attributes").and_then(Value::as_object).into_iter().flatten();
    let attributes: Vec<String> =
        attributes.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    let end = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    let (kind, action, id) = (text(event, "Type"), text(event, "Action"), text(actor, "ID"));
    format!("{} {kind} {action} {id}{end}", time.fixed())
}

/// The names that Go's structure has and its JSON hasn't.
fn complete(event: &mut Value) {
    if let Value::Object(fields) = event {
        for (json, go) in [
            ("id", "ID"),
            ("status", "Status"),
            ("from", "From"),
            ("scope", "Scope"),
            ("time", "Time"),
            ("timeNano", "TimeNano"),
        ] {
            let value = fields.get(json).cloned().unwrap_or_else(|| "".into());
            fields.insert(go.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"Type": "container", "Action": "start", "time": 1_700_000_000, "timeNano": 1_700_000_000_123_456_789_i64,
            "Actor": {"ID": "abc", "Attributes": {"name": "web", "image": "busybox"}}});
        assert_eq!(
            line(&event),
            "2023-11-14T22:13:20.123456789Z container start abc (image=busybox, name=web)"
        );
        let event =
            json!({"Type": "image", "Action": "delete", "time": 1, "Actor": {"ID": "v1", "Attributes": {}}});
        assert_eq!(line(&event), "1970-01-01T00:00:01.000000000Z image delete v1");
    }
}

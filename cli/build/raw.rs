//! `--progress=rawjson`: BuildKit's status records, one a line, for programs.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};

use serde_json::{Value, json};
use skiff_core::{
    base64,
    build::progress::{Event, Number},
    clock::Time,
    digest::Digest,
};

use super::show::{End, View};

/// The view.
#[derive(Debug, Default)]
pub struct Raw {
    vertexes: BTreeMap<Number, Value>,
    failed: Option<Number>,
}

impl Raw {
    fn vertex(&mut self, step: Number) -> &mut Value {
        self.vertexes.entry(step).or_insert_with(|| json!({"digest": digest(step, ""), "name": ""}))
    }
}

fn digest(step: Number, title: &str) -> String {
    Digest::of(format!("{step} {title}").as_bytes()).to_string()
}

fn now() -> Value {
    Time::now().to_string().into()
}

fn line(key: &str, value: &Value) -> String {
    format!("{}\n", json!({key: [value]}))
}

impl View for Raw {
    fn event(&mut self, event: Event, _: i64) -> String {
        match event {
            Event::Idle | Event::Planned { .. } => String::new(),
            Event::Begun { step, title } => {
                let vertex = json!({"digest": digest(step, &title), "name": title, "started": now()});
                let text = line("vertexes", &vertex);
                self.vertexes.insert(step, vertex);
                text
            }
            Event::Output { step, error, bytes } => {
                let of = self.vertex(step)["digest"].clone();
                let (stream, data) = (if error { 2 } else { 1 }, base64::encode(&bytes));
                line("logs", &json!({"vertex": of, "stream": stream, "data": data, "timestamp": now()}))
            }
            Event::Done { step, cached, why, .. } => {
                let vertex = self.vertex(step);
                vertex["completed"] = now();
                if cached {
                    vertex["cached"] = true.into();
                }
                if let Some(why) = why {
                    vertex["why"] = why.into();
                }
                line("vertexes", vertex)
            }
            Event::Failed { step } => {
                self.failed = Some(step);
                String::new()
            }
            Event::Warning(text) => {
                line("warnings", &json!({"level": 1, "short": base64::encode(text.as_bytes())}))
            }
        }
    }

    fn end(&mut self, end: End<'_>, _: i64) -> String {
        match (end, self.failed) {
            (End::Error(text), Some(step)) => {
                let vertex = self.vertex(step);
                vertex["completed"] = now();
                vertex["error"] = text.into();
                line("vertexes", vertex)
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_record_of_a_step() {
        let mut view = Raw::default();
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let begun = read(view.event(Event::Begun { step: 1, title: "[1/1] RUN x".into() }, 0));
        let vertex = &begun["vertexes"][0];
        assert_eq!(vertex["name"], "[1/1] RUN x");
        let log = read(view.event(Event::Output { step: 1, error: true, bytes: b"\xff".into() }, 0));
        assert_eq!((&log["logs"][0]["vertex"], &log["logs"][0]["stream"]), (&vertex["digest"], &json!(2)));
        assert_eq!(log["logs"][0]["data"], "/w==");
        assert_eq!(view.event(Event::Failed { step: 1 }, 0), "");
        let failed = read(view.end(End::Error("no"), 0));
        assert_eq!(
            (&failed["vertexes"][0]["error"], &failed["vertexes"][0]["started"]),
            (&json!("no"), &vertex["started"])
        );
    }
}

//! What a build tells -> the JSON lines of Docker's classic builder. Pure.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::super::json::Json;
use crate::{
    Error,
    build::progress::{Event, Number},
    digest::ImageId,
    image::reference::Reference,
};

/// Digits of an id that are shown.
const SHORT: usize = 12;

/// Turns events into lines.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// What was told so far is only for a failure.
    quiet: bool,
    held: Vec<u8>,
    steps: Option<Number>,
    begun: Number,
    /// The step is a `FROM`, which nobody calls cached.
    is_base: bool,
}

impl Teller {
    /// Quiet means that nothing but the image's id is told, unless something fails.
    pub fn new(quiet: bool) -> Self {
        Teller { quiet, ..Teller::default() }
    }

    /// Whether there were lines, sent or not.
    pub fn has_told(&self) -> bool {
        self.begun > 0
    }

    /// The lines of an event; none if it tells nothing.
    pub fn event(&mut self, event: &Event) -> Vec<u8> {
        match event {
            Event::Idle | Event::Failed { .. } => Vec::new(),
            Event::Planned { steps } => {
                self.steps = Some(*steps);
                Vec::new()
            }
            Event::Begun { title, .. } => {
                self.begun += 1;
                self.is_base = instruction(title).to_ascii_uppercase().starts_with("FROM");
                let of = self.steps.map(|steps| format!("/{steps}")).unwrap_or_default();
                self.stream(&format!("Step {}{of} : {}\n", self.begun, instruction(title)))
            }
            Event::Output { error: true, bytes, .. } => {
                self.stream(&format!("\u{1b}[91m{}\u{1b}[0m", String::from_utf8_lossy(bytes)))
            }
            Event::Output { bytes, .. } => self.stream(&String::from_utf8_lossy(bytes)),
            Event::Done { cached, why, .. } => {
                let mut lines =
                    if *cached && !self.is_base { self.stream(" ---> Using cache\n") } else { Vec::new() };
                if let Some(why) = why {
                    lines.extend(self.stream(&format!(" ---> {why}\n")));
                }
                lines
            }
            Event::Warning(text) => self.stream(&format!("[Warning] {text}\n")),
        }
    }

    /// The last lines: the image is there, and has these names.
    pub fn built(&mut self, id: &ImageId, names: &[Reference]) -> Vec<u8> {
        let id = id.to_string();
        if self.quiet {
            return line(&format!("{id}\n"));
        }
        let short = id.strip_prefix("sha256:").and_then(|hex| hex.get(..SHORT)).unwrap_or(&id);
        let mut lines = line(&format!(" ---> {short}\n"));
        let mut json = Json::new();
        json.open_object().key("aux").open_object().key("ID").string(&id).close_object().close_object();
        lines.extend(json.line_break().as_str().as_bytes());
        lines.extend(line(&format!("Successfully built {short}\n")));
        for name in names {
            lines.extend(line(&format!("Successfully tagged {}\n", name.familiar())));
        }
        lines
    }

    /// The last line: the build has failed. What was held back comes before it.
    pub fn failed(&mut self, error: &Error) -> Vec<u8> {
        let text = error.to_string();
        let mut lines = core::mem::take(&mut self.held);
        // Clients end with the code.
        lines.extend(Json::error_line(&text, exit_code(&text)).into_bytes());
        lines
    }

    fn stream(&mut self, text: &str) -> Vec<u8> {
        let lines = line(text);
        if self.quiet {
            // So much of it is worth keeping for a failure.
            if self.held.len() < 1 << 20 {
                self.held.extend(lines);
            }
            return Vec::new();
        }
        lines
    }
}

fn line(text: &str) -> Vec<u8> {
    let mut json = Json::new();
    json.open_object().key("stream").string(text).close_object().line_break();
    json.into_bytes()
}

/// `RUN make` of `[build 2/4] RUN make`.
fn instruction(title: &str) -> &str {
    let inner = title.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    inner.map_or(title, |(_, text)| text)
}

/// What a step's program ended with, if that is the error.
fn exit_code(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once("' returned a non-zero code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn text(lines: &[u8]) -> String {
        String::from_utf8(lines.to_vec()).unwrap()
    }

    fn begun(step: Number, title: &str) -> Event {
        Event::Begun { step, title: title.into() }
    }

    #[test]
    fn events_are_told_as_the_classic_builder_does() {
        let mut teller = Teller::new(false);
        let mut told = Vec::new();
        for event in [
            Event::Planned { steps: 3 },
            begun(0, "[build 1/3] FROM box"),
            Event::Done { step: 0, cached: true, took_ns: 1, why: None },
            begun(0, "[build 2/3] ENV A=1"),
            Event::Done { step: 0, cached: true, took_ns: 1, why: Some("because".into()) },
            begun(1, "[build 3/3] RUN echo \"[a] b\""),
            Event::Output { step: 1, error: false, bytes: b"hi\xff\n".into() },
            Event::Output { step: 1, error: true, bytes: b"oh\n".into() },
            Event::Done { step: 1, cached: false, took_ns: 1, why: None },
            Event::Warning("odd".into()),
        ] {
            told.extend(teller.event(&event));
        }
        let expected = concat!(
            "{\"stream\":\"Step 1/3 : FROM box\\n\"}\n",
            "{\"stream\":\"Step 2/3 : ENV A=1\\n\"}\n",
            "{\"stream\":\" ---> Using cache\\n\"}\n",
            "{\"stream\":\" ---> because\\n\"}\n",
            "{\"stream\":\"Step 3/3 : RUN echo \\\"[a] b\\\"\\n\"}\n",
            "{\"stream\":\"hi\u{fffd}\\n\"}\n",
            "{\"stream\":\"\\u001b[91moh\\n\\u001b[0m\"}\n",
            "{\"stream\":\"[Warning] odd\\n\"}\n",
        );
        assert_eq!(text(&told), expected);
        let id = ImageId(Digest::of(b"x"));
        let hex = id.to_string();
        let short = &hex[7..19];
        let name = Reference::parse("box").unwrap().or_latest();
        assert_eq!(
            text(&teller.built(&id, &[name])),
            format!(
                "{{\"stream\":\" ---> {short}\\n\"}}\n{{\"aux\":{{\"ID\":\"{hex}\"}}}}\n\
                 {{\"stream\":\"Successfully built {short}\\n\"}}\n{{\"stream\":\"Successfully tagged box:latest\\n\"}}\n"
            )
        );
    }

    #[test]
    fn quiet_tells_the_id_alone_and_everything_when_it_fails() {
        let mut teller = Teller::new(true);
        assert!(teller.event(&begun(0, "[1/1] RUN false")).is_empty());
        let id = ImageId(Digest::of(b"x"));
        assert_eq!(text(&teller.built(&id, &[])), format!("{{\"stream\":\"{id}\\n\"}}\n"));
        let error = Error::Invalid("The command 'f' returned a non-zero code: 37".into());
        let failed = text(&teller.failed(&error));
        assert!(failed.starts_with(
            "{\"stream\":\"Step 1 : RUN false\\n\"}\n{\"errorDetail\":{\"code\":37,\"message\":\"The command"
        ));
        assert!(teller.has_told());
        let other = Error::NotFound("no such image: x".into());
        assert_eq!(
            text(&teller.failed(&other)),
            "{\"errorDetail\":{\"message\":\"no such image: x\"},\"error\":\"no such image: x\"}\n"
        );
    }
}

//! `POST /skiff/build` as JSON: what the client asks for, and the lines that it is answered.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Options, progress::Event};

/// The body of the request. The client has read the Dockerfile, which may be a pipe that nobody else can open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The absolute path of the context's directory; empty for a context without any file.
    pub context: String,
    /// What the Dockerfile is called in messages.
    pub name: String,
    /// Its text.
    #[serde(with = "crate::base64::bytes")]
    pub dockerfile: Vec<u8>,
    /// What is left out of the context, if there is a file of that beside the Dockerfile; else `.dockerignore` says it.
    pub ignore: Option<String>,
    /// Everything else.
    pub options: Options,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Something has happened.
    Event(Event),
    /// The image is there: its id. The last line.
    Image(String),
    /// The build has failed for this reason. The last line.
    Error(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was() {
        let request = Request {
            context: "/c".into(),
            name: "D".into(),
            dockerfile: b"FROM scratch\n\xff".into(),
            ignore: Some("*".into()),
            options: Options {
                args: [("A".into(), "1".into())].into(),
                secrets: [("s".into(), b"\0\xff".into())].into(),
                epoch: Some(-1),
                ..Options::default()
            },
        };
        let json = serde_json::to_vec(&request).unwrap();
        assert_eq!(crate::json::from_slice::<Request>(&json).unwrap(), request);
        let short: Request =
            crate::json::from_slice(br#"{"context":"/c","options":{"target":"t"}}"#).unwrap();
        assert_eq!((short.context.as_str(), short.options.target.as_str()), ("/c", "t"));
        for wrong in [r#"{"contxt":"/c"}"#, r#"{"options":{"targt":"t"}}"#, r#"{"dockerfile":"*"}"#] {
            assert!(crate::json::from_slice::<Request>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_reads_back_as_it_was() {
        for line in [
            Line::Event(Event::Idle),
            Line::Event(Event::Planned { steps: 3 }),
            Line::Event(Event::Begun { step: 0, title: "[1/2] FROM box".into() }),
            Line::Event(Event::Output { step: 1, error: true, bytes: b"\xff\n".into() }),
            Line::Event(Event::Done { step: 1, cached: true, took_ns: 5, why: Some("new".into()) }),
            Line::Image("sha256:0".into()),
            Line::Error("no".into()),
        ] {
            let json = serde_json::to_vec(&line).unwrap();
            assert_eq!(crate::json::from_slice::<Line>(&json).unwrap(), line);
        }
    }
}

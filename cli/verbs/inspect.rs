//! `skiff inspect`: GET /containers|images|networks|volumes/{name} -> JSON as the engine sent it, or by a template.

use argh::prelude::*;
use skiff_core::api::head::Method;

use super::{Context, Verb};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    output, platform,
    template::{Missing, Template},
};

/// show everything about containers, images, networks and volumes
#[derive(FromArgs, ArgsInfo)]
pub struct Inspect {
    /// how to show it: "json" or a Go template
    #[argh(option, short = 'f', arg_name = "string")]
    format: Option<String>,
    /// only if the image is for this: os[/arch[/variant]] (`image inspect` alone)
    #[argh(option, arg_name = "string")]
    platform: Option<String>,
    /// show the sizes of a container's files
    #[argh(switch, short = 's')]
    size: bool,
    /// look only for this: container, image, network or volume
    #[argh(option, arg_name = "string", long = "type")]
    kind: Option<String>,
    #[argh(positional)]
    names: Vec<String>,
}

const KINDS: [&str; 4] = ["container", "image", "network", "volume"];

impl Verb for Inspect {
    fn run(self, context: &Context) -> Outcome {
        let form = context.called.split_once(' ').map(|(kind, _)| kind);
        let kind = form.or(self.kind.as_deref());
        if kind.is_some_and(|kind| !KINDS.contains(&kind)) {
            let kind = kind.unwrap_or("");
            return Err(Failure::new(format!("unknown type: \"{kind}\": it is one of {}", KINDS.join(", "))));
        }
        let platform = match self.platform.as_deref().filter(|platform| !platform.is_empty()) {
            Some(_) if kind != Some("image") => {
                return Err(Failure::new("--platform is for images: use `image inspect`"));
            }
            platform => platform.map(platform::to_json).transpose()?,
        };
        let template = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(format) => {
                Some(Template::parse(&format.replace("\\t", "\t").replace("\\n", "\n")).map_err(parsing)?)
            }
        };
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for name in &self.names {
            match self.look(context, kind, name, platform.as_deref()) {
                Ok(json) => found.push(json),
                Err(failure) => failures.push(failure),
            }
        }
        let mut out = String::new();
        let mut broken = None;
        match template {
            Some(template) => {
                for json in &found {
                    let value = skiff_core::json::from_slice(json.as_bytes())
                        .map_err(|error| Failure::new(format!("read the engine's answer: {error}")))?;
                    match template.run(&value, Missing::Key) {
                        Ok(text) => out.push_str(&text),
                        Err(reason) => broken = Some(parsing(reason)),
                    }
                    out.push('\n');
                }
            }
            None => {
                let all = ["[", &found.join(","), "]"].concat();
                out.push_str(if self.format.is_some() { &all } else { "" });
                if self.format.is_none() {
                    indent(&all, &mut out);
                }
                out.push('\n');
            }
        }
        output::write(out.as_bytes())?;
        failures.extend(broken);
        for failure in &failures {
            output::complain(&failure.message);
        }
        Ok(u8::from(!failures.is_empty()))
    }
}

fn parsing(reason: String) -> Failure {
    Failure::new(format!("template parsing error: {reason}")).exit(64)
}

impl Inspect {
    /// The JSON of the first thing that has this name.
    fn look(
        &self,
        context: &Context,
        kind: Option<&str>,
        name: &str,
        platform: Option<&str>,
    ) -> Result<String, Failure> {
        let mut last = None;
        for known in KINDS.into_iter().filter(|known| kind.is_none_or(|kind| kind == *known)) {
            let mut target = match known {
                "container" => path(&["containers", name, "json"]),
                "image" => path(&["images", name, "json"]),
                "network" => path(&["networks", name]),
                _ => path(&["volumes", name]),
            };
            if self.size && known == "container" {
                query(&mut target, "size", "1");
            }
            if let Some(platform) = platform {
                query(&mut target, "platform", platform);
            }
            match context.client.bytes(Method::Get, &target, Upload::Nothing) {
                Ok(bytes) => return Ok(String::from_utf8_lossy(bytes.trim_ascii()).into_owned()),
                Err(failure) if failure.status == 404 => last = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        match last {
            Some(failure) if kind.is_some() => Err(failure),
            _ => Err(Failure::new(format!("no such object: {name}"))),
        }
    }
}

/// JSON text with line breaks and four spaces a level; the order of its members stays.
fn indent(json: &str, out: &mut String) {
    let mut level = 0;
    let mut letters = json.chars().peekable();
    let mut inside = false;
    while let Some(letter) = letters.next() {
        if inside {
            out.push(letter);
            match letter {
                '\\' => out.extend(letters.next()),
                '"' => inside = false,
                _ => {}
            }
            continue;
        }
        match letter {
            _ if letter.is_whitespace() => {}
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|c| c.is_whitespace()).is_some() {}
                if let Some(close) = letters.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    level += 1;
                    line_break(level, out);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                line_break(level, out);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line_break(level, out);
            }
            ':' => out.push_str(": "),
            _ => {
                inside = letter == '"';
                out.push(letter);
            }
        }
    }
}

fn line_break(level: usize, out: &mut String) {
    out.push('\n');
    out.extend(core::iter::repeat_n("    ", level));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_docker_does() {
        let mut out = String::new();
        indent(r#"[ {"Id":"a, b: \"{x}\"", "Args":[1,2 ],"E":{ },"N":null}]"#, &mut out);
        let expected = "[\n    {\n        \"Id\": \"a, b: \\\"{x}\\\"\",\n        \"Args\": [\n            1,\n            2\n        ],\n        \"E\": {},\n        \"N\": null\n    }\n]";
        assert_eq!(out, expected);
        out.clear();
        indent("[]", &mut out);
        assert_eq!(out, "[]");
    }
}

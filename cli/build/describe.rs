//! `--call`: outline, targets and ast of a Dockerfile, as docker shows them, or as JSON. Pure.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};
use skiff_core::{
    base64,
    build::Options,
    dockerfile::{
        Dockerfile, Source,
        ast::{self, Outline, Target, UseOutline},
    },
};

use super::check::location;
use crate::{failure::Failure, table};

/// What is asked instead of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What is wrong.
    Check,
    /// What a target asks for.
    Outline,
    /// The targets.
    Targets,
    /// The instructions.
    Ast,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For code hosts; of `check` only.
    Sarif,
}

/// Reads `METHOD[,format=FORMAT]` and `--format`; `None` is a build.
pub fn parse(call: &str, format: Option<&str>) -> Result<Option<(Method, Format)>, String> {
    let (name, own) = match call.split_once(',') {
        None => (call, None),
        Some((name, attribute)) => match attribute.strip_prefix("format=") {
            Some(format) => (name, Some(format)),
            None => return Err(format!("invalid call attribute {attribute:?}: it is format=FORMAT")),
        },
    };
    let method = match name {
        "" | "build" => {
            return match format {
                Some(_) => Err("--format is for --call and --check".into()),
                None => Ok(None),
            };
        }
        "check" | "lint" => Method::Check,
        "outline" => Method::Outline,
        "targets" => Method::Targets,
        "ast" => Method::Ast,
        other => {
            return Err(format!("invalid call {other:?}: it is build, check, outline, targets or ast"));
        }
    };
    let format = match (format.or(own).unwrap_or("text"), method) {
        ("json", _) | (_, Method::Ast) => Format::Json,
        ("text" | "default", _) => Format::Text,
        ("sarif", Method::Check) => Format::Sarif,
        (other, _) => return Err(format!("invalid format {other:?} for {name}")),
    };
    Ok(Some((method, format)))
}

/// What is in a file, and is no check.
pub fn describe(
    name: &str,
    bytes: &[u8],
    options: &Options,
    (method, format): (Method, Format),
) -> Result<String, Failure> {
    let fault = |fault: skiff_core::dockerfile::Fault| Failure::new(fault.to_string());
    let source = Source::read(name, bytes).map_err(fault)?;
    let file = Dockerfile::parse(&source).map_err(fault)?;
    let source = base64::encode(bytes);
    let text = match (method, format) {
        (Method::Targets, Format::Text) => return Ok(targets(&ast::targets(&file))),
        (Method::Targets, _) => targets_json(&ast::targets(&file), &source),
        (Method::Outline, format) => {
            let number = match options.target.as_str() {
                "" => file.stages.len() - 1,
                target => stage(&file, target)?,
            };
            let outline = ast::outline(&file, number);
            let value = |arg: &str| {
                let given = options.args.iter().rev().find(|(name, _)| name == arg);
                given.map(|(_, value)| value.as_str())
            };
            if format == Format::Text {
                return Ok(outline_text(&outline, &value));
            }
            outline_json(&outline, &value, &source)
        }
        _ => serde_json::to_value(ast::nodes(&file)).unwrap_or_default(),
    };
    Ok(format!("{text:#}\n"))
}

/// A stage by its name or its number.
fn stage(file: &Dockerfile<'_>, target: &str) -> Result<usize, Failure> {
    let by_number = || target.parse().ok().filter(|number| *number < file.stages.len());
    let found = file.stage(target).or_else(by_number);
    found.ok_or_else(|| Failure::new(format!("target stage {target:?} could not be found")))
}

/// What docker calls a target: names never begin with a digit, what does is a number.
fn own_name(target: &str) -> &str {
    if target.starts_with(|c: char| c.is_ascii_digit()) { "" } else { target }
}

fn targets(targets: &[Target<'_>]) -> String {
    let mut text = String::from("TARGET\tDESCRIPTION\n");
    for target in targets {
        let name = match (own_name(&target.name), target.is_default) {
            ("", true) => "(default)".into(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_string(),
        };
        text.push_str(&format!("{name}\t{}\n", target.description.unwrap_or_default()));
    }
    table::align(&text, 1, 1)
}

fn targets_json(targets: &[Target<'_>], source: &str) -> Value {
    let one = |target: &Target<'_>| {
        let mut one = json!({"base": target.base, "location": location(target.line, target.line)});
        for (key, value) in
            [("name", own_name(&target.name)), ("description", target.description.unwrap_or_default())]
        {
            if !value.is_empty() {
                one[key] = value.into();
            }
        }
        if target.is_default {
            one["default"] = true.into();
        }
        one
    };
    json!({"targets": targets.iter().map(one).collect::<Vec<_>>(), "sources": [source]})
}

fn outline_text<'a>(outline: &Outline<'a>, given: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let name = match own_name(&outline.name) {
        "" => "(default)",
        name => name,
    };
    let mut head = format!("TARGET:\t{name}\n");
    if let Some(description) = outline.description {
        head.push_str(&format!("DESCRIPTION:\t{description}\n"));
    }
    let mut out = table::align(&head, 0, 1);
    if !outline.args.is_empty() {
        let mut text = String::from("BUILD ARG\tVALUE\tDESCRIPTION\n");
        for arg in &outline.args {
            let value = given(arg.name).or(arg.value).unwrap_or_default();
            text.push_str(&format!("{}\t{value}\t{}\n", arg.name, arg.description.unwrap_or_default()));
        }
        out.push_str(&["\n", &table::align(&text, 1, 3)].concat());
    }
    for (title, list) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !list.is_empty() {
            let mut text = format!("{title}\tREQUIRED\n");
            for one in list {
                text.push_str(&format!("{}\t{}\n", one.id, if one.required { "true" } else { "" }));
            }
            out.push_str(&["\n", &table::align(&text, 1, 3)].concat());
        }
    }
    out
}

fn outline_json<'a>(outline: &Outline<'a>, given: &dyn Fn(&str) -> Option<&'a str>, source: &str) -> Value {
    let args = outline.args.iter().map(|arg| {
        let value = given(arg.name).or(arg.value).unwrap_or_default();
        let description = arg.description.unwrap_or_default();
        json!({"name": arg.name, "value": value, "description": description, "location": location(arg.line, arg.line)})
    });
    let uses = |list: &[UseOutline], key: &str| -> Vec<Value> {
        let one = |one: &UseOutline| {
            let mut value = json!({key: one.id, "location": location(one.line, one.line)});
            if one.required {
                value["required"] = true.into();
            }
            value
        };
        list.iter().map(one).collect()
    };
    json!({
        "name": own_name(&outline.name),
        "description": outline.description.unwrap_or_default(),
        "args": args.collect::<Vec<_>>(),
        "secrets": uses(&outline.secrets, "name"),
        "ssh": uses(&outline.ssh, "name"),
        "cache": uses(&outline.caches, "ID"),
        "sources": [source],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ARG V=1\n# base the base\nFROM a:${V} AS base\n# X an x\nARG X=2\n\
        RUN --mount=type=secret,id=s,required true\nFROM base\n";

    fn shown(call: &str, options: &Options) -> String {
        let (method, format) = parse(call, None).unwrap().unwrap();
        describe("Dockerfile", TEXT.as_bytes(), options, (method, format)).unwrap()
    }

    #[test]
    fn calls_are_read_as_docker_has_them() {
        assert_eq!(parse("build", None), Ok(None));
        assert_eq!(parse("check", None), Ok(Some((Method::Check, Format::Text))));
        assert_eq!(parse("outline,format=json", None), Ok(Some((Method::Outline, Format::Json))));
        assert_eq!(parse("lint", Some("sarif")), Ok(Some((Method::Check, Format::Sarif))));
        assert_eq!(parse("ast", None), Ok(Some((Method::Ast, Format::Json))));
        for (call, format) in
            [("x", None), ("outline", Some("sarif")), ("check,x=y", None), ("", Some("json"))]
        {
            assert!(parse(call, format).is_err(), "{call}");
        }
    }

    #[test]
    fn targets_and_outlines_are_tables() {
        let options = Options { args: [("X".into(), "9".into())].into(), ..Options::default() };
        assert_eq!(shown("targets", &options), "TARGET    DESCRIPTION\nbase      the base\n(default) \n");
        assert_eq!(
            shown("outline", &options),
            "TARGET: (default)\n\nBUILD ARG   VALUE   DESCRIPTION\nV           1       \nX           9       an x\n\n\
             SECRET   REQUIRED\ns        true\n"
        );
        let base = Options { target: "BASE".into(), ..Options::default() };
        assert!(shown("outline", &base).starts_with("TARGET:      base\nDESCRIPTION: the base\n"));
        let failure = describe(
            "D",
            TEXT.as_bytes(),
            &Options { target: "none".into(), ..Options::default() },
            (Method::Outline, Format::Text),
        );
        assert_eq!(failure.unwrap_err().message, "target stage \"none\" could not be found");
    }

    #[test]
    fn json_has_the_members_of_buildkits() {
        let read = |call: &str| -> Value { serde_json::from_str(&shown(call, &Options::default())).unwrap() };
        let targets = read("targets,format=json");
        assert_eq!(
            (&targets["targets"][0]["name"], &targets["targets"][1]["default"]),
            (&json!("base"), &json!(true))
        );
        let outline = read("outline,format=json");
        assert_eq!(
            (&outline["args"][1]["name"], &outline["secrets"][0]["required"]),
            (&json!("X"), &json!(true))
        );
        assert_eq!(read("ast")[1]["keyword"], "FROM");
    }
}

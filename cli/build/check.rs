//! `--check`: what is better not done in a Dockerfile, as docker shows it. In: the file and the images that are there.
//! Out: text, JSON or SARIF, and the exit code.

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
        ignore::Patterns,
        lint::{BaseImage, Context, Finding, Report, lint},
    },
    image::config::ARCHITECTURE,
};

use super::{describe::Format, sarif};
use crate::{client::Client, client::path, failure::Failure, verbs::text};

/// What the lint says of a file, and the exit code.
pub fn check(
    name: &str,
    bytes: &[u8],
    ignore: &Patterns,
    options: &Options,
    client: &Client,
    format: Format,
) -> Result<(String, u8), Failure> {
    let argument = |name: &str| argument(options, name);
    let own = argument("BUILDKIT_DOCKERFILE_CHECK");
    let context = Context {
        ignore: Some(ignore),
        argument: &argument,
        image: &|name| image(client, name),
        check: own.as_deref(),
    };
    let parsed = Source::read(name, bytes);
    let file =
        parsed.as_ref().map_err(Clone::clone).and_then(|source| Ok((source, Dockerfile::parse(source)?)));
    match file {
        Ok((source, file)) => {
            let report = lint(&file, &context)?;
            Ok((show(source, bytes, &report, format), u8::from(report.error().is_some())))
        }
        Err(fault) => match format {
            Format::Json => {
                let error = json!({"message": fault.message, "location": location(fault.line, fault.line)});
                Ok((json(&[], name, bytes, Some(error)), 1))
            }
            _ => Err(Failure::new(fault.to_string())),
        },
    }
}

fn show(source: &Source<'_>, bytes: &[u8], report: &Report, format: Format) -> String {
    match format {
        Format::Text => plain(source, report),
        Format::Sarif => sarif::report(source.name, &report.findings),
        Format::Json => {
            let error = report.error().map(|message| json!({"message": message}));
            json(&report.findings, source.name, bytes, error)
        }
    }
}

fn plain(source: &Source<'_>, report: &Report) -> String {
    let mut out: String = match report.findings.len() {
        0 => return "Check complete, no warnings found.\n".into(),
        1 => "Check complete, 1 warning has been found!\n".into(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for finding in &report.findings {
        out.push_str(&format!("\n{finding}\n{}", source.excerpt(finding.first, finding.last)));
    }
    if let Some(error) = report.error() {
        out.push_str(&format!("\n{error}\n"));
    }
    out
}

fn json(findings: &[Finding], name: &str, bytes: &[u8], error: Option<Value>) -> String {
    let warning = |finding: &Finding| {
        json!({
            "ruleName": finding.rule.name,
            "description": finding.rule.description,
            "url": finding.rule.url(),
            "detail": finding.message,
            "location": location(finding.first, finding.last),
        })
    };
    let mut all = json!({
        "warnings": findings.iter().map(warning).collect::<Vec<Value>>(),
        "sources": [{"filename": name, "language": "Dockerfile", "data": base64::encode(bytes)}],
    });
    if let Some(error) = error {
        all["buildError"] = error;
    }
    format!("{all:#}\n")
}

/// Lines of the only source.
pub fn location(first: u32, last: u32) -> Value {
    json!({"sourceIndex": 0, "ranges": [{"start": {"line": first}, "end": {"line": last}}]})
}

/// `--build-arg`, and what the platform is.
fn argument(options: &Options, name: &str) -> Option<String> {
    if let Some((_, value)) = options.args.iter().rev().find(|(key, _)| key == name) {
        return Some(value.clone());
    }
    let value = match name {
        "BUILDPLATFORM" | "TARGETPLATFORM" => format!("linux/{ARCHITECTURE}"),
        "BUILDOS" | "TARGETOS" => "linux".into(),
        "BUILDARCH" | "TARGETARCH" => ARCHITECTURE.into(),
        "BUILDVARIANT" | "TARGETVARIANT" | "BUILDOSVERSION" | "TARGETOSVERSION" => String::new(),
        "TARGETSTAGE" if options.target.is_empty() => "default".into(),
        "TARGETSTAGE" => options.target.clone(),
        _ => return None,
    };
    Some(value)
}

/// What is known of an image, if it is here.
fn image(client: &Client, name: &str) -> Option<BaseImage> {
    let image = client.get(&path(&["images", name, "json"])).ok()?;
    let strings = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(ToString::to_string)).collect()
    };
    Some(BaseImage {
        env: strings(image.pointer("/Config/Env")),
        has_shell: !strings(image.pointer("/Config/Shell")).is_empty(),
        platform: format!("{}/{}", text(&image, "Os"), text(&image, "Architecture")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, format: Format) -> (String, bool) {
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        let file = Dockerfile::parse(&source).unwrap();
        let report = lint(&file, &Context::default()).unwrap();
        (show(&source, text.as_bytes(), &report, format), report.error().is_some())
    }

    #[test]
    fn findings_are_shown_as_docker_does() {
        assert_eq!(
            shown("FROM scratch\n", Format::Text),
            ("Check complete, no warnings found.\n".into(), false)
        );
        let (text, fails) = shown("# check=error=true\nFROM scratch AS Big\n", Format::Text);
        assert!(fails);
        assert!(text.starts_with(
            "Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n"
        ), "{text}");
        assert!(text.contains("\nDockerfile:2\n--------------------\n   1 |     # check=error=true\n   2 | >>> FROM scratch AS Big\n"), "{text}");
        assert!(text.ends_with("\nlint violation found for rules: StageNameCasing\n"));
    }

    #[test]
    fn findings_are_data_for_programs() {
        let (text, _) = shown("FROM scratch AS Big\nmaintainer x\n", Format::Json);
        let data: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(data["warnings"][0]["ruleName"], "StageNameCasing");
        assert_eq!(data["warnings"][0]["location"]["ranges"][0]["start"]["line"], 1);
        assert_eq!(data["sources"][0]["filename"], "Dockerfile");
        let (text, _) = shown("FROM scratch AS Big\n", Format::Sarif);
        let data: Value = serde_json::from_str(&text).unwrap();
        let result = &data["runs"][0]["results"][0];
        assert_eq!((&data["version"], &result["ruleId"]), (&json!("2.1.0"), &json!("StageNameCasing")));
        assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    }
}

//! Findings -> a SARIF log, which code hosts and editors read. Pure.
//!
//! # Spec
//! OASIS SARIF 2.1.0.

use alloc::{string::String, vec::Vec};

use serde_json::{Value, json};
use skiff_core::dockerfile::lint::{Finding, RULES};

/// The whole log.
pub fn report(file: &str, findings: &[Finding]) -> String {
    let rules = RULES.iter().filter(|rule| findings.iter().any(|finding| finding.rule == **rule));
    let rules = rules.map(|rule| {
        json!({"id": rule.name, "shortDescription": {"text": rule.description}, "helpUri": rule.url()})
    });
    let results = findings.iter().map(|finding| {
        json!({
            "ruleId": finding.rule.name,
            "level": "warning",
            "message": {"text": finding.message},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": file},
                "region": {"startLine": finding.first, "endLine": finding.last},
            }}],
        })
    });
    let driver = json!({
        "name": "skiff",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": rules.collect::<Vec<Value>>(),
    });
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results.collect::<Vec<Value>>()}],
    });
    format!("{log:#}\n")
}

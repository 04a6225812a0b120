//! Rules that need only the text: cases, names, comments, empty lines.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use super::{Lint, rules};
use crate::dockerfile::{Instruction, Line, command::Command, words};

impl<'l> Lint<'l> {
    pub(super) fn file(&mut self) {
        self.casing();
        self.stage_names();
        let file = self.file;
        for stage in &file.stages {
            self.empty_continuation(stage.line);
            if let Some(name) = stage.name {
                self.stage_name_casing(stage.line, name);
                self.description(stage.line, "FROM", &[name]);
            }
        }
        let inside = file.stages.iter().flat_map(|stage| &stage.instructions);
        for Instruction { line, command } in file.args.iter().chain(inside) {
            self.empty_continuation(line);
            match command {
                Command::Maintainer(_) => {
                    let message = "Maintainer instruction is deprecated in favor of using label";
                    self.report(rules::MAINTAINER_DEPRECATED, line, message);
                }
                Command::Arg(args) => {
                    let keys: Vec<&str> = args.iter().map(|arg| arg.key).collect();
                    self.description(line, "ARG", &keys);
                }
                _ => {}
            }
        }
    }

    fn empty_continuation(&mut self, line: &Line<'_>) {
        if let Some(number) = line.empty_continuation {
            self.report(rules::NO_EMPTY_CONTINUATION, line, "Empty continuation line");
            if let Some(last) = self.findings.last_mut()
                && last.rule == rules::NO_EMPTY_CONTINUATION
            {
                (last.first, last.last) = (number, number);
            }
        }
    }

    fn stage_name_casing(&mut self, line: &Line<'_>, name: &str) {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let message = format!("Stage name '{name}' should be lowercase");
            self.report(rules::STAGE_NAME_CASING, line, message);
        }
        let from = line.keyword();
        let Some(keyword) = words::plain(&line.text).collect::<Vec<_>>().into_iter().nth_back(1) else {
            return;
        };
        let differs = match case(from) {
            Some(Case::Lower) => keyword != keyword.to_ascii_lowercase(),
            Some(Case::Upper) => keyword != keyword.to_ascii_uppercase(),
            None => false,
        };
        if differs {
            let message = format!("'{keyword}' and '{from}' keywords' casing do not match");
            self.report(rules::FROM_AS_CASING, line, message);
        }
    }

    fn stage_names(&mut self) {
        let mut seen = BTreeSet::new();
        for stage in &self.file.stages {
            let Some(name) = stage.name.map(str::to_ascii_lowercase) else { continue };
            if matches!(name.as_str(), "context" | "scratch") {
                let message = format!("Stage name should not use the same name as reserved stage {name:?}");
                self.report(rules::RESERVED_STAGE_NAME, stage.line, message);
            }
            if seen.contains(&name) {
                let message = format!("Duplicate stage name {name:?}, stage names should be unique");
                self.report(rules::DUPLICATE_STAGE_NAME, stage.line, message);
            }
            seen.insert(name);
        }
    }

    /// Most keywords are in one case; the others are told.
    fn casing(&mut self) {
        let file = self.file;
        let lines = || {
            file.stages.iter().flat_map(|stage| {
                core::iter::once(stage.line).chain(stage.instructions.iter().map(|one| one.line))
            })
        };
        let count = |wanted| lines().filter(|line| case(line.keyword()) == Some(wanted)).count();
        let (wanted, name) = match count(Case::Lower) > count(Case::Upper) {
            true => (Case::Lower, "lowercase"),
            false => (Case::Upper, "uppercase"),
        };
        for line in lines().filter(|line| case(line.keyword()) != Some(wanted)) {
            let keyword = line.keyword();
            let message =
                format!("Command '{keyword}' should match the case of the command majority ({name})");
            self.report(rules::CONSISTENT_INSTRUCTION_CASING, line, message);
        }
    }

    /// A comment right above a definition tells what it is.
    fn description(&mut self, line: &Line<'_>, instruction: &str, names: &[&str]) {
        let is_check = |comment: &&str| comment.starts_with("check=");
        let Some(comment) = line.comments().filter(|comment| !is_check(comment)).last() else { return };
        if names.contains(&comment.split(' ').next().unwrap_or_default()) {
            return;
        }
        let example = if let [one] = names { one } else { "<arg_key>" };
        let mut message = String::from("Comment for ");
        message += &format!("{instruction} should follow the format: `# {example} <description>`");
        self.report(rules::INVALID_DEFINITION_DESCRIPTION, line, message);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

/// The case of a word; `None` for a mixture.
fn case(word: &str) -> Option<Case> {
    let has_upper = word.bytes().any(|byte| byte.is_ascii_uppercase());
    let has_lower = word.bytes().any(|byte| byte.is_ascii_lowercase());
    match (has_lower, has_upper) {
        (true, true) => None,
        (_, false) => Some(Case::Lower),
        (false, true) => Some(Case::Upper),
    }
}

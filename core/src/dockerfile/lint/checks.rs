//! Which rules are checked: `skip=A,B;error=true;experimental=all`.

use alloc::{format, vec::Vec};

use super::rules::Rule;
use crate::{Error, Result};

/// What a `check` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks<'a> {
    skip: Vec<&'a str>,
    experimental: Vec<&'a str>,
    /// What is found is a mistake.
    pub is_error: bool,
}

impl<'a> Checks<'a> {
    /// Reads one; what stands behind a blank is a remark.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an option that there is not.
    pub fn parse(text: &'a str) -> Result<Self> {
        let mut checks = Checks::default();
        for part in text.split(' ').next().unwrap_or_default().split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| Error::Invalid(format!("invalid check option {part:?}")))?;
            let names = value.split(',').map(str::trim);
            match key.trim() {
                "skip" => checks.skip.extend(names),
                "experimental" => checks.experimental.extend(names),
                "error" => {
                    checks.is_error = super::super::mount::boolean(key, value.trim())
                        .map_err(|_| Error::Invalid(format!("failed to parse check option {part:?}")))?;
                }
                other => return Err(Error::Invalid(format!("invalid check option {other:?}"))),
            }
        }
        Ok(checks)
    }

    /// Whether a rule is checked.
    pub fn has(&self, rule: &Rule) -> bool {
        let names = |list: &[&str]| list.iter().any(|name| *name == "all" || *name == rule.name);
        if rule.is_experimental { names(&self.experimental) } else { !names(&self.skip) }
    }

    /// Both of them.
    pub fn merged(&self, other: &Self) -> Self {
        Checks {
            skip: [self.skip.as_slice(), &other.skip].concat(),
            experimental: [self.experimental.as_slice(), &other.experimental].concat(),
            is_error: self.is_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{super::rules, *};

    #[test]
    fn rules_are_skipped_and_asked_for() {
        let checks = Checks::parse("skip=UndefinedVar, MaintainerDeprecated").unwrap();
        assert!(!checks.has(rules::UNDEFINED_VAR) && checks.has(rules::MAINTAINER_DEPRECATED));
        assert!(!checks.has(rules::INVALID_DEFINITION_DESCRIPTION) && !checks.is_error);
        let checks = Checks::parse("skip=all;error=true;experimental=InvalidDefinitionDescription").unwrap();
        assert!(!checks.has(rules::UNDEFINED_VAR) && checks.has(rules::INVALID_DEFINITION_DESCRIPTION));
        assert!(checks.is_error);
        for (text, error) in [
            ("skip", "invalid check option \"skip\""),
            ("foo=1", "invalid check option \"foo\""),
            ("error=maybe", "failed to parse check option \"error=maybe\""),
        ] {
            assert_eq!(Checks::parse(text).unwrap_err().to_string(), error);
        }
    }
}

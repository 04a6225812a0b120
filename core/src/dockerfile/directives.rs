//! The comments at the very top of a Dockerfile that have a meaning: `# syntax=`, `# escape=`, `# check=`.

use alloc::{format, string::String};

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directives<'a> {
    /// The frontend that the file asks for. This engine has one, and reads every file with it.
    pub syntax: Option<&'a str>,
    /// The character that continues lines and takes other characters' meaning: a backslash unless said otherwise.
    pub escape: char,
    /// What the lint is to do: `skip=A,B;error=true`.
    pub check: Option<&'a str>,
}

impl Default for Directives<'_> {
    fn default() -> Self {
        Directives { syntax: None, escape: '\\', check: None }
    }
}

impl<'a> Directives<'a> {
    /// Reads them from the front of a text, and counts the lines that they are.
    ///
    /// # Errors
    /// What is wrong, and the number of the line that it is in.
    pub(super) fn read(text: &'a str) -> Result<(Self, usize), (String, u32)> {
        let mut found = Directives::default();
        let (mut has_escape, mut count) = (false, 0);
        let is_script = text.starts_with("#!");
        for line in text.lines().skip(usize::from(is_script)) {
            let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(setting) else { break };
            let number = count as u32 + 1 + u32::from(is_script);
            let twice = |name| (format!("only one {name} parser directive can be used"), number);
            if name.eq_ignore_ascii_case("syntax") {
                if found.syntax.replace(value).is_some() {
                    return Err(twice("syntax"));
                }
            } else if name.eq_ignore_ascii_case("check") {
                if found.check.replace(value).is_some() {
                    return Err(twice("check"));
                }
            } else if name.eq_ignore_ascii_case("escape") && !is_script {
                if core::mem::replace(&mut has_escape, true) {
                    return Err(twice("escape"));
                }
                found.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => {
                        return Err((
                            format!("invalid escape token '{value}' does not match ` or \\"),
                            number,
                        ));
                    }
                };
            } else {
                break;
            }
            count += 1;
        }
        // Behind `#!` they are comments of the file, too.
        Ok((found, if is_script { 0 } else { count }))
    }
}

/// `name = value`, the text of a comment.
pub(super) fn setting(comment: &str) -> Option<(&str, &str)> {
    let (name, value) = comment.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_name && !value.is_empty()).then_some((name, value))
}

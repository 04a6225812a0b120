//! `-e`, `--env-file`, `--label` and `--label-file` -> `NAME=value` lists and maps.

use alloc::{string::String, vec::Vec};

use skiff_core::container::config::Map;

use crate::{environment::Environment, failure::Failure, files};

/// The environment: the files' lines first, then `-e`. A name alone takes the client's own value; a name that the client
/// doesn't have goes on alone, which takes an image's value away, and is left out of a file.
pub fn environment<'a>(
    files: impl Iterator<Item = &'a str>,
    given: impl Iterator<Item = &'a str>,
    own: &Environment,
) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for file in files {
        for (name, value) in pairs("env", file)? {
            if let Some(value) = value.or_else(|| own.get(&name).map(String::from)) {
                all.push(format!("{name}={value}"));
            }
        }
    }
    for text in given {
        if text.is_empty() || text.starts_with('=') {
            return Err(format!("invalid environment variable: '{text}'"));
        }
        match own.get(text) {
            Some(value) if !text.contains('=') => all.push(format!("{text}={value}")),
            _ => all.push(text.into()),
        }
    }
    Ok(all)
}

/// The labels: the files' lines first, then `--label`. A name alone has an empty value.
pub fn labels<'a>(
    files: impl Iterator<Item = &'a str>,
    given: impl Iterator<Item = &'a str>,
) -> Result<Map<String>, String> {
    let mut all = Map::new();
    for file in files {
        for (name, value) in pairs("label", file)? {
            all.insert(name, value.unwrap_or_default());
        }
    }
    for text in given {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(format!("invalid label '{text}': empty name"));
        }
        all.insert(name.into(), value.into());
    }
    Ok(all)
}

type Pairs = Vec<(String, Option<String>)>;

fn pairs(kind: &str, file: &str) -> Result<Pairs, String> {
    let wrong = |reason: String| format!("invalid {kind} file ({file}): {reason}");
    let bytes = files::read(file).map_err(|errno| Failure::io("open", file, errno).message)?;
    lines(&bytes).map_err(wrong)
}

/// A line is `NAME=value`, `NAME`, empty, or a comment after `#`; there is no quoting.
fn lines(bytes: &[u8]) -> Result<Pairs, String> {
    let text = core::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("invalid utf8 bytes at line {line}")
    })?;
    let mut all = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.into())),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        all.push((name.into(), value));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_takes_the_clients_value() {
        let own = Environment::new([c"PATH=/bin"].into_iter());
        let given = ["A=1", "PATH", "NOT_SET_ANYWHERE", "B=", "A B=1"];
        let all = environment([].into_iter(), given.into_iter(), &own).unwrap();
        assert_eq!(all, ["A=1", "PATH=/bin", "NOT_SET_ANYWHERE", "B=", "A B=1"]);
        for (wrong, expected) in
            [("=x", "invalid environment variable: '=x'"), ("", "invalid environment variable: ''")]
        {
            assert_eq!(environment([].into_iter(), [wrong].into_iter(), &own), Err(expected.into()));
        }
    }

    #[test]
    fn a_file_has_a_pair_a_line_and_comments() {
        let pair = |name: &str, value: Option<&str>| (String::from(name), value.map(String::from));
        assert_eq!(
            lines("\u{feff}# c\nA=1\r\nB\n  C= x \"y\" \n\nD=a=b\n".as_bytes()).unwrap(),
            [pair("A", Some("1")), pair("B", None), pair("C", Some(" x \"y\" ")), pair("D", Some("a=b"))]
        );
        assert_eq!(lines(b"C D=3"), Err("variable 'C D' contains whitespaces".into()));
        assert_eq!(lines(b"=3"), Err("no variable name on line '=3'".into()));
        assert_eq!(lines(b"A=1\n\xff"), Err("invalid utf8 bytes at line 2".into()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error =
            environment(["/nonexistent/e"].into_iter(), [].into_iter(), &Environment::default()).unwrap_err();
        assert_eq!(error, "open /nonexistent/e: no such file or directory");
    }

    #[test]
    fn a_label_without_a_value_is_empty() {
        let all = labels([].into_iter(), ["a=b", "c", "d=e=f"].into_iter()).unwrap();
        assert_eq!((all["a"].as_str(), all["c"].as_str(), all["d"].as_str()), ("b", "", "e=f"));
        let error = labels([].into_iter(), ["=x"].into_iter()).unwrap_err();
        assert_eq!(error, "invalid label '=x': empty name");
    }
}

//! What must hold for any Dockerfile, any word in one, and any `.dockerignore`.

use skiff_core::dockerfile::{
    Dockerfile, Instruction, Source, Stage, ast, expand,
    ignore::Patterns,
    lint::{self, BaseImage},
};

/// What is printed of a file reads as the same file.
pub fn dockerfile(data: &[u8]) {
    let source = match Source::read("Dockerfile", data) {
        Ok(source) => source,
        Err(fault) => return drop(fault.to_string()),
    };
    let file = match Dockerfile::parse(&source) {
        Ok(file) => file,
        Err(fault) => {
            assert!(fault.line >= 1 && fault.column >= 1);
            return drop((fault.to_string(), source.excerpt(fault.line, fault.line).to_string()));
        }
    };
    let printed = file.to_string();
    let again = Source::read("Dockerfile", printed.as_bytes()).unwrap();
    let again = Dockerfile::parse(&again).unwrap_or_else(|fault| panic!("{fault} in {printed}"));
    same(&file, &again);
    assert_eq!(again.to_string(), printed);

    let nodes = ast::nodes(&file);
    assert!(nodes.is_sorted_by_key(|node| node.lines) && serde_json::to_string(&nodes).is_ok());
    let targets = ast::targets(&file);
    assert_eq!(targets.iter().filter(|target| target.is_default).count(), 1);
    (0..targets.len().min(8)).for_each(|number| drop(ast::outline(&file, number)));
    let image = |_: &str| Some(BaseImage::default());
    let context = lint::Context { image: &image, ..lint::Context::default() };
    if let Ok(report) = lint::lint(&file, &context) {
        let last = source.lines.last().map_or(0, |line| line.last);
        assert!(report.findings.iter().all(|finding| finding.first >= 1 && finding.last <= last));
    }
}

fn same(a: &Dockerfile<'_>, b: &Dockerfile<'_>) {
    assert_eq!(a.directives, b.directives);
    all_same(&a.args, &b.args);
    assert_eq!(a.stages.len(), b.stages.len());
    for (a, b) in a.stages.iter().zip(&b.stages) {
        let said = |stage: &Stage<'_>| format!("{:?} {:?} {:?}", stage.image, stage.name, stage.platform);
        assert_eq!(said(a), said(b));
        assert!(a.line.comments().eq(b.line.comments()));
        all_same(&a.instructions, &b.instructions);
    }
}

fn all_same(a: &[Instruction<'_>], b: &[Instruction<'_>]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.command, b.command);
        assert!(a.line.comments().eq(b.line.comments()));
        assert_eq!(a.line.heredocs, b.line.heredocs);
    }
}

/// A word expands to something of a sane length, and what has nothing to expand stays as it is.
pub fn expand(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (escape, word) = match text.strip_prefix('`') {
        Some(word) => ('`', word),
        None => ('\\', text),
    };
    let value = "a/b.tar.gz x  y\u{e9}*";
    let lookup = |name: &str| match name {
        "A" | "B" => Some(value),
        "E" => Some(""),
        _ => None,
    };
    let most = word.len() + expand::LONGEST;
    let one = expand::expand(word, escape, &lookup);
    let many = expand::words(word, escape, &lookup);
    assert_eq!(one.is_ok(), many.is_ok());
    if let (Ok(one), Ok(many)) = (&one, &many) {
        assert!(one.len() <= most && many.iter().map(String::len).sum::<usize>() <= one.len());
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(letters(one), letters(&many.concat()));
    }
    if let Ok(body) = expand::body(word, &lookup) {
        assert!(body.len() <= most);
    }
    if !word.contains('\'') {
        assert_eq!(expand::expand(&format!("'{word}'"), escape, &lookup).as_deref(), Ok(word));
    }
    let quoted: String = word.chars().flat_map(|letter| [escape, letter]).collect();
    assert_eq!(expand::expand(&quoted, escape, &lookup).as_deref(), Ok(word));
    if !word.contains(['}', '$', '\'', '"', '\\', '`', '/']) {
        for (operator, is_start) in [('#', true), ('%', false)] {
            let rest = expand::expand(&format!("${{A{operator}{word}}}"), escape, &lookup);
            let rest = rest.unwrap_or_else(|_| value.into());
            assert!(if is_start { value.ends_with(&rest) } else { value.starts_with(&rest) });
        }
    }
}

/// Patterns up to a NUL, then a path: it is left out if a slow matcher says so.
pub fn ignore(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == 0) else { return };
    let (text, path) = (&data[..at], &data[at + 1..]);
    let Ok(patterns) = Patterns::parse(text) else { return };
    let is_out = patterns.matches(path);
    let mut above = path;
    while let Some(slash) = above.iter().rposition(|byte| *byte == b'/') {
        above = &above[..slash];
        assert!(!patterns.prunes(above) || is_out, "nothing of a skipped directory is kept");
    }
    let (Ok(text), Ok(path)) = (std::str::from_utf8(text), std::str::from_utf8(path)) else { return };
    if text.len() > 60 || path.len() > 40 || text.matches('*').count() > 6 {
        return;
    }
    assert_eq!(is_out, slow(text, path), "{text:?} {path:?}");
}

/// The rules, one after the other.
fn slow(text: &str, path: &str) -> bool {
    let mut is_out = false;
    for line in
        text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').filter(|line| !line.starts_with('#'))
    {
        let line = line.trim();
        let (line, exception) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
        if line.is_empty() {
            continue;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in line.split('/').filter(|part| !matches!(*part, "" | ".")) {
            match part {
                ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
                ".." if line.starts_with('/') => {}
                _ => parts.push(part),
            }
        }
        let clean = match parts.join("/") {
            empty if empty.is_empty() && line.starts_with('/') => "/".to_string(),
            empty if empty.is_empty() => ".".to_string(),
            clean => clean,
        };
        let pattern: Vec<char> = clean.chars().collect();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut prefixes = ends.map(|end| path[..end].chars().collect::<Vec<_>>());
        if prefixes.any(|prefix| begins(&pattern, &prefix)) {
            is_out = !exception;
        }
    }
    is_out
}

fn begins(pattern: &[char], path: &[char]) -> bool {
    if let ['*', '*', rest @ ..] = pattern
        && rest.first() != Some(&'/')
        && !rest.iter().any(|letter| ['*', '?', '[', ']', '\\'].contains(letter))
    {
        return path.ends_with(rest);
    }
    fits(pattern, path)
}

fn fits(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*', rest @ ..] => {
            let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
            rest.is_empty()
                || fits(rest, path)
                || (0..path.len()).any(|at| path[at] == '/' && fits(rest, &path[at + 1..]))
        }
        ['*', rest @ ..] => {
            fits(rest, path) || path.first().is_some_and(|letter| *letter != '/') && fits(pattern, &path[1..])
        }
        _ => {
            let Some((letter, behind)) = path.split_first() else { return false };
            match pattern {
                ['?', rest @ ..] => *letter != '/' && fits(rest, behind),
                ['[', rest @ ..] => {
                    let (negated, mut rest) =
                        rest.strip_prefix(&['^']).map_or((false, rest), |rest| (true, rest));
                    let (mut found, mut count) = (false, 0);
                    let take = |rest: &mut &[char]| {
                        let taken = if rest[0] == '\\' { 2 } else { 1 };
                        let letter = rest[taken - 1];
                        *rest = &rest[taken..];
                        letter
                    };
                    while count == 0 || rest[0] != ']' {
                        let low = take(&mut rest);
                        let mut high = low;
                        if rest[0] == '-' {
                            rest = &rest[1..];
                            high = take(&mut rest);
                        }
                        found |= (low..=high).contains(letter);
                        count += 1;
                    }
                    *letter != '/' && found != negated && fits(&rest[1..], behind)
                }
                ['\\', escaped, rest @ ..] => letter == escaped && fits(rest, behind),
                [own, rest @ ..] => letter == own && fits(rest, behind),
                [] => false,
            }
        }
    }
}

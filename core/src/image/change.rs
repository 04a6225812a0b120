//! The instructions that `import` and `commit` take with `--change`, in Dockerfile syntax -> a changed config. Pure.
//!
//! CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    Error, Result,
    clock::{SECOND, duration},
    container::{
        config::{Config, Empty, Healthcheck},
        signals,
    },
};

/// Applies all of them, in order.
///
/// # Errors
/// [`Error::Invalid`] with the instruction and what is wrong with it.
pub fn apply_all(config: &mut Config, changes: &[impl AsRef<str>]) -> Result<()> {
    let mut has_cmd = false;
    for line in changes.iter().flat_map(|change| change.as_ref().split('\n')) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((line, ""));
        let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
        let change = Change { config, word: &word, rest };
        has_cmd |= word == "CMD";
        change.apply(has_cmd).map_err(|why| Error::Invalid(format!("change {line:?}: {why}")))?;
    }
    Ok(())
}

struct Change<'a> {
    config: &'a mut Config,
    word: &'a str,
    rest: &'a str,
}

impl Change<'_> {
    fn apply(self, has_cmd: bool) -> Result<(), String> {
        let known = [
            "CMD",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "HEALTHCHECK",
            "LABEL",
            "ONBUILD",
            "STOPSIGNAL",
            "USER",
            "VOLUME",
            "WORKDIR",
        ];
        if !known.contains(&self.word) {
            return Err(format!("{} is not a valid change command (one of {})", self.word, known.join(" ")));
        }
        if self.rest.is_empty() && !matches!(self.word, "CMD" | "ENTRYPOINT") {
            return Err(format!("{} requires an argument", self.word));
        }
        match self.word {
            "CMD" => self.config.cmd = Some(self.command()),
            "ENTRYPOINT" => {
                self.config.entrypoint = Some(self.command());
                // The arguments of the old entry point mean nothing to the new one.
                if !has_cmd {
                    self.config.cmd = None;
                }
            }
            "ENV" => {
                for (key, value) in self.pairs()? {
                    set_variable(&mut self.config.env, &key, &value);
                }
            }
            "LABEL" => self.config.labels.extend(self.pairs()?),
            "EXPOSE" => {
                for word in self.words()? {
                    for port in ports(&word)? {
                        self.config.exposed_ports.insert(port, Empty {});
                    }
                }
            }
            "VOLUME" => {
                let paths = match json_list(self.rest) {
                    Some(paths) => paths,
                    None => self.words()?,
                };
                if paths.iter().any(|path| path.trim().is_empty()) {
                    return Err("VOLUME specified can not be an empty string".into());
                }
                let volumes = self.config.volumes.get_or_insert_default();
                volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
            }
            "USER" => self.config.user = self.value()?,
            "WORKDIR" => self.config.working_dir = join(&self.config.working_dir, &self.value()?),
            "STOPSIGNAL" => {
                let name = self.value()?;
                signals::parse(&name).map_err(|error| error.to_string())?;
                self.config.stop_signal = name;
            }
            "HEALTHCHECK" => self.config.healthcheck = Some(self.healthcheck()?),
            _ => {
                let next = self.rest.split_ascii_whitespace().next().unwrap_or("").to_ascii_uppercase();
                if matches!(next.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                    return Err(format!("{next} isn't allowed as an ONBUILD trigger"));
                }
                self.config.on_build.get_or_insert_default().push(self.rest.into());
            }
        }
        Ok(())
    }

    /// A JSON list as it is, anything else as a line for the shell.
    fn command(&self) -> Vec<String> {
        in_shell(&self.config.shell, self.rest)
    }

    fn words(&self) -> Result<Vec<String>, String> {
        split(self.rest)?.into_iter().map(|word| expand(word, &self.config.env)).collect()
    }

    fn value(&self) -> Result<String, String> {
        match self.words()?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(format!("{} requires exactly one argument", self.word)),
        }
    }

    /// `key=value key=value`, or the old form `key value with blanks`.
    fn pairs(&self) -> Result<Vec<(String, String)>, String> {
        let first = split(self.rest)?.first().copied().unwrap_or("");
        if !first.contains('=') {
            let (key, value) = self
                .rest
                .split_once(|c: char| c.is_ascii_whitespace())
                .ok_or_else(|| format!("{} must have two arguments", self.word))?;
            return Ok([(key.into(), expand(value.trim_start(), &self.config.env)?)].into());
        }
        let mut pairs = Vec::new();
        for word in self.words()? {
            match word.split_once('=') {
                Some((key, value)) if !key.is_empty() => pairs.push((key.into(), value.into())),
                Some(_) => return Err(format!("{} names can not be blank", self.word)),
                None => return Err(format!("can't find = in {word:?}: must be of the form name=value")),
            }
        }
        Ok(pairs)
    }

    fn healthcheck(&self) -> Result<Healthcheck, String> {
        let mut check = Healthcheck::default();
        let mut rest = self.rest;
        while let Some(option) = rest.strip_prefix("--") {
            let (option, after) = option
                .split_once(|c: char| c.is_ascii_whitespace())
                .ok_or("HEALTHCHECK lacks its command")?;
            rest = after.trim_start();
            let (name, value) = option.split_once('=').ok_or_else(|| format!("--{option} has no value"))?;
            let time = || match duration::parse(value) {
                Ok(nanos) if nanos == 0 || nanos >= SECOND / 1000 => Ok(nanos),
                Ok(_) => Err(format!("--{name} cannot be less than 1ms")),
                Err(error) => Err(error.to_string()),
            };
            match name {
                "interval" => check.interval = time()?,
                "timeout" => check.timeout = time()?,
                "start-period" => check.start_period = time()?,
                "start-interval" => check.start_interval = time()?,
                "retries" => {
                    let retries =
                        value.parse::<u32>().map_err(|_| format!("--retries={value} is no number"))?;
                    check.retries = retries.into();
                }
                _ => return Err(format!("unknown flag: {name}")),
            }
        }
        let (kind, command) = rest.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((rest, ""));
        let command = command.trim();
        check.test = match kind.to_ascii_uppercase().as_str() {
            "NONE" if command.is_empty() => ["NONE".to_string()].into(),
            "NONE" => return Err("HEALTHCHECK NONE takes no arguments".into()),
            "CMD" if command.is_empty() => return Err("missing command after HEALTHCHECK CMD".into()),
            "CMD" => match json_list(command) {
                Some(words) => ["CMD".to_string()].into_iter().chain(words).collect(),
                None => ["CMD-SHELL".to_string(), command.to_string()].into(),
            },
            _ => return Err(format!("unknown type {kind:?} in HEALTHCHECK (try CMD)")),
        };
        Ok(check)
    }
}

/// A list of words as the exec form writes it; `None` if it is not one.
fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| crate::json::from_slice(text.as_bytes()).ok()).flatten()
}

fn in_shell(shell: &[String], text: &str) -> Vec<String> {
    if let Some(words) = json_list(text) {
        return words;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut words = shell.to_vec();
    if words.is_empty() {
        words.extend(["/bin/sh".to_string(), "-c".to_string()]);
    }
    words.push(text.into());
    words
}

/// Gives a variable its value, in its old place if it has one.
pub fn set_variable(env: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    let is_it = |old: &&mut String| old.split_once('=').is_some_and(|(name, _)| name == key);
    match env.iter_mut().find(is_it) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp` -> each port with its protocol.
pub fn ports(word: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(format!("invalid containerPort: {word}")),
    }
}

/// A relative directory is one below the old one.
pub fn join(old: &str, new: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let old = if new.starts_with('/') { "" } else { old };
    for part in old.split('/').chain(new.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Splits at blanks outside of quotes; quotes and backslashes stay.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut words, mut begin, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, c) in text.char_indices() {
        let is_blank = c.is_ascii_whitespace() && quote.is_none() && !escaped;
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != Some('\'') => escaped = true,
            '"' | '\'' if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ => {}
        }
        match begin {
            None if !is_blank => begin = Some(at),
            Some(start) if is_blank => {
                words.push(&text[start..at]);
                begin = None;
            }
            _ => {}
        }
    }
    if let Some(start) = begin {
        words.push(&text[start..]);
    }
    if quote.is_some() { Err("quote without its end".into()) } else { Ok(words) }
}

/// Takes quotes and backslashes away and puts in variables: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}`.
fn expand(word: &str, env: &[String]) -> Result<String, String> {
    let value_of = |name: &str| {
        let entry = env.iter().find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name));
        entry.map_or("", |(_, value)| value)
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut all, mut quote) = (String::with_capacity(word.len()), None);
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '\\' if quote != Some('\'') => {
                if let Some(next) = rest.chars().next() {
                    // Between double quotes a backslash takes the meaning only of what has one there.
                    if quote == Some('"') && !matches!(next, '"' | '$' | '\\') {
                        all.push('\\');
                    }
                    all.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
            '$' if quote != Some('\'') => {
                if let Some(braced) = rest.strip_prefix('{') {
                    let (inside, after) = braced.split_once('}').ok_or("${ without its }")?;
                    rest = after;
                    let end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
                    let (name, modifier) = inside.split_at(end);
                    let value = value_of(name);
                    match (name, modifier.get(..2), value.is_empty()) {
                        ("", ..) => return Err(format!("bad substitution: ${{{inside}}}")),
                        (_, None, _) if modifier.is_empty() => all.push_str(value),
                        (_, Some(":-"), false) => all.push_str(value),
                        (_, Some(":-"), true) | (_, Some(":+"), false) => all.push_str(&modifier[2..]),
                        (_, Some(":+"), true) => {}
                        _ => return Err(format!("unsupported modifier in substitution: ${{{inside}}}")),
                    }
                } else {
                    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                    if end == 0 {
                        all.push('$');
                    }
                    all.push_str(value_of(&rest[..end]));
                    rest = &rest[end..];
                }
            }
            c => all.push(c),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn changed(changes: &[&str]) -> Config {
        let mut config =
            Config { env: vec!["PATH=/bin".into()], cmd: Some(vec!["old".into()]), ..Config::default() };
        apply_all(&mut config, changes).unwrap();
        config
    }

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| word.to_string()).collect())
    }

    #[test]
    fn commands_are_lists_or_lines_for_the_shell() {
        assert_eq!(changed(&[r#"CMD ["sh", "-c", "echo hi"]"#]).cmd, words(&["sh", "-c", "echo hi"]));
        assert_eq!(changed(&["cmd echo $PATH"]).cmd, words(&["/bin/sh", "-c", "echo $PATH"]));
        assert_eq!(changed(&["CMD [not json"]).cmd, words(&["/bin/sh", "-c", "[not json"]));
        let config = changed(&[r#"ENTRYPOINT ["/init"]"#]);
        assert_eq!((config.entrypoint, config.cmd), (words(&["/init"]), None));
        let config = changed(&["CMD x", r#"ENTRYPOINT ["/init"]"#]);
        assert!(config.cmd.is_some());
        assert_eq!(changed(&["CMD"]).cmd, words(&[]));
    }

    #[test]
    fn variables_and_labels_have_two_forms() {
        let config =
            changed(&["ENV A=1 B=\"x y\" C=a\\ b", "ENV PATH $PATH:/opt  ", "ENV D='$A' E=\"${A}2\" F=$$G$"]);
        let env = ["PATH=/bin:/opt", "A=1", "B=x y", "C=a b", "D=$A", "E=12", "F=$$"];
        assert_eq!(config.env, env);
        let config =
            changed(&["LABEL a=b \"c d\"='e \"f'", "label g h i", "LABEL n=${NO:-none}${PATH:+some}"]);
        let labels: Vec<_> = config.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        assert_eq!(labels, ["a:b", "c d:e \"f", "g:h i", "n:nonesome"]);
    }

    #[test]
    fn the_other_instructions_do_what_they_do_in_a_dockerfile() {
        let config = changed(&[
            "EXPOSE 80 443/TCP 5000-5001/udp",
            "VOLUME /a /b",
            r#"VOLUME ["/c d"]"#,
            "USER 1000:$NO",
            "WORKDIR /a/b",
            "WORKDIR ../c",
            "STOPSIGNAL SIGUSR1",
            "ONBUILD RUN make",
            "# a comment\nHEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost",
        ]);
        let ports: Vec<_> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(ports, ["443/tcp", "5000/udp", "5001/udp", "80/tcp"]);
        let volumes: Vec<_> = config.volumes.unwrap().into_keys().collect();
        assert_eq!(volumes, ["/a", "/b", "/c d"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000:", "/a/c"));
        assert_eq!((config.stop_signal.as_str(), config.on_build), ("SIGUSR1", words(&["RUN make"])));
        let check = config.healthcheck.unwrap();
        assert_eq!(Some(check.test), words(&["CMD-SHELL", "curl -f localhost"]));
        assert_eq!((check.interval, check.retries), (5 * SECOND, 2));
        assert_eq!(changed(&["HEALTHCHECK none"]).healthcheck.unwrap().test, ["NONE"]);
    }

    #[test]
    fn wrong_changes_are_told_with_what_was_meant() {
        for (change, expected) in [
            ("RUN make", "RUN is not a valid change command"),
            ("ENV", "ENV requires an argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=1 B", "can't find ="),
            ("ENV =1", "names can not be blank"),
            ("ENV A='x", "quote without its end"),
            ("ENV A=${B", "${ without its }"),
            ("ENV A=${B?x}", "unsupported modifier"),
            ("ENV A=${}", "bad substitution"),
            ("EXPOSE http", "invalid containerPort: http"),
            ("EXPOSE 70000", "invalid containerPort"),
            ("EXPOSE 2-1", "invalid containerPort"),
            ("EXPOSE 80/icmp", "invalid proto: icmp"),
            ("USER a b", "USER requires exactly one argument"),
            ("STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"),
            ("HEALTHCHECK --interval=5s", "lacks its command"),
            ("HEALTHCHECK --bad=1 CMD x", "unknown flag: bad"),
            ("HEALTHCHECK --interval=5 CMD x", "missing unit"),
            ("HEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"),
            ("HEALTHCHECK CMD", "missing command"),
            ("HEALTHCHECK RUN x", "unknown type"),
            ("ONBUILD FROM x", "FROM isn't allowed"),
            (r#"VOLUME [""]"#, "empty string"),
        ] {
            let text = apply_all(&mut Config::default(), &[change]).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}

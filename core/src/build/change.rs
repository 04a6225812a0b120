//! The instructions that `import` and `commit` take with `--change`, in Dockerfile syntax -> a changed config. Pure.

use alloc::{format, vec::Vec};

use super::state::{Said, State};
use crate::{
    Error, Result,
    container::config::Config,
    dockerfile::{Source, triggers},
};

/// What may be said. The others need a build.
const KNOWN: [&str; 11] = [
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

/// Applies all of them, in order.
///
/// # Errors
/// [`Error::Invalid`] with the instruction and what is wrong with it.
pub fn apply_all(config: &mut Config, changes: &[impl AsRef<str>]) -> Result<()> {
    let text = changes.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("\n");
    let mut state = State::of(core::mem::take(config));
    let result = apply(&mut state, &text);
    *config = state.config;
    result
}

fn apply(state: &mut State, text: &str) -> Result<()> {
    let source = Source::fragment("change", text)?;
    for line in &source.lines {
        let keyword = line.keyword().to_ascii_uppercase();
        if !KNOWN.contains(&keyword.as_str()) {
            let why = format!("{keyword} is not a valid change command (one of {})", KNOWN.join(" "));
            return Err(wrong(&line.text, &why));
        }
    }
    let said = Said { escape: source.directives.escape, ..Said::default() };
    for instruction in triggers(&source)? {
        state.apply(&instruction.command, &said).map_err(|why| wrong(&instruction.line.text, &why))?;
    }
    Ok(())
}

fn wrong(line: &str, why: &str) -> Error {
    Error::Invalid(format!("change {line:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use alloc::{
        string::{String, ToString},
        vec,
    };

    use super::*;
    use crate::clock::SECOND;

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
        let env = ["PATH=/bin:/opt", "A=1", "B=x y", "C=a b", "D=$A", "E=12", "F=G$"];
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
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=1 B", "can't find ="),
            ("ENV =1", "names can not be blank"),
            ("ENV A='x", "looking for matching single-quote"),
            ("ENV A=${B", "missing '}'"),
            ("ENV A=${B?x}", "B: x"),
            ("ENV A=${}", "bad substitution"),
            ("EXPOSE http", "invalid containerPort: http"),
            ("EXPOSE 70000", "invalid containerPort"),
            ("EXPOSE 2-1", "invalid containerPort"),
            ("EXPOSE 80/icmp", "invalid proto: icmp"),
            ("STOPSIGNAL SIGNOPE", "Invalid signal: SIGNOPE"),
            ("HEALTHCHECK --interval=5s", "requires at least one argument"),
            ("HEALTHCHECK --bad=1 CMD x", "unknown flag: --bad"),
            ("HEALTHCHECK --interval=5 CMD x", "missing unit"),
            ("HEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"),
            ("HEALTHCHECK CMD", "Missing command"),
            ("HEALTHCHECK RUN x", "Unknown type"),
            ("ONBUILD FROM x", "FROM isn't allowed"),
            (r#"VOLUME [""]"#, "empty string"),
        ] {
            let text = apply_all(&mut Config::default(), &[change]).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}

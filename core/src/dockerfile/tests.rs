use alloc::{
    format,
    string::{String, ToString},
};

use super::{
    command::{CommandLine, Healthcheck, Network, Security},
    *,
};

fn message(text: &str) -> String {
    let source = match Source::read("Dockerfile", text.as_bytes()) {
        Ok(source) => source,
        Err(fault) => return fault.message,
    };
    Dockerfile::parse(&source).map_or_else(|fault| fault.message, |_| String::from("no mistake"))
}

/// What becomes of one instruction in a stage.
fn with(instruction: &str, check: impl FnOnce(&Command<'_>)) {
    let text = format!("FROM scratch\n{instruction}");
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    let file = Dockerfile::parse(&source).unwrap_or_else(|fault| panic!("{fault}"));
    check(&file.stages[0].instructions[0].command);
}

fn lines(text: &str) -> Vec<String> {
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    source.lines.iter().map(|line| line.text.to_string()).collect()
}

#[test]
fn lines_are_joined_as_buildkit_does() {
    for (text, expected) in [
        ("\u{feff}FROM x\r\nRUN y\r\n", &["FROM x", "RUN y"][..]),
        ("  FROM x\n\n\t# c\nRUN # y", &["FROM x", "RUN # y"]),
        ("RUN a \\\n  b", &["RUN a   b"]),
        ("RUN a \\  \t\nb\nRUN c", &["RUN a b", "RUN c"]),
        ("RUN a \\\n# no\n\n  # no\nb \\\n c", &["RUN a b  c"]),
        ("RUN a\\\\\nRUN b", &["RUN a\\\\", "RUN b"]),
        ("RUN a\\\\\\\nRUN b", &["RUN a\\\\\\", "RUN b"]),
        ("RUN a \\", &["RUN a "]),
        ("\\\n  FROM x", &["FROM x"]),
        ("RUN a \\ b", &["RUN a \\ b"]),
        ("# escape=`\nRUN a `\nb\\\nRUN c", &["RUN a b\\", "RUN c"]),
        ("\u{a0}FROM x", &["FROM x"]),
    ] {
        assert_eq!(lines(text), expected, "{text:?}");
    }
}

#[test]
fn a_line_knows_where_it_is_and_what_is_above() {
    let text = "# syntax=x\n# not\n#\n# base the base\n\n# check=skip=A,B\nFROM x AS base\nRUN a \\\n\n b\nRUN <<E\nx\nE\n";
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    let at: Vec<_> =
        source.lines.iter().map(|line| (line.first, line.last, line.empty_continuation)).collect();
    assert_eq!(at, [(7, 7, None), (8, 10, Some(10)), (11, 13, None)]);
    assert_eq!(source.lines[0].comments().collect::<Vec<_>>(), ["base the base", "check=skip=A,B"]);
    assert_eq!(source.lines[0].check(), Some("skip=A,B"));
    assert_eq!(source.lines[0].description("base"), Some("the base"));
    assert_eq!(source.lines[1].comments().count(), 0);
}

#[test]
fn directives_are_the_first_lines_and_nothing_else() {
    for (text, escape, syntax, check) in [
        (
            "# syntax = docker/dockerfile:1\n#ESCAPE=`\n# Check=skip=all\nFROM x",
            '`',
            Some("docker/dockerfile:1"),
            Some("skip=all"),
        ),
        ("#escape=`\nFROM x", '`', None, None),
        ("\n# escape=`\nFROM x", '\\', None, None),
        ("# hello\n# escape=`\nFROM x", '\\', None, None),
        ("# foo=bar\n# escape=`\nFROM x", '\\', None, None),
        ("FROM x\n# escape=`", '\\', None, None),
        ("#!/usr/bin/x\n# syntax=y\n# escape=`\nFROM x", '\\', Some("y"), None),
    ] {
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        assert_eq!(source.directives, Directives { syntax, escape, check }, "{text}");
    }
}

#[test]
fn mistakes_in_files_have_buildkits_words() {
    for (text, expected) in [
        ("", "the Dockerfile cannot be empty"),
        ("# only\n\n", "file with no instructions"),
        ("# escape=x\nFROM y", "invalid escape token 'x' does not match ` or \\"),
        ("# escape=`\n# escape=`\nFROM y", "only one escape parser directive can be used"),
        ("RUN x", "no build stage in current context"),
        ("ARG x", "dockerfile contains no stages to build"),
        ("\\", "unknown instruction: "),
        ("FORM x", "unknown instruction: FORM (did you mean FROM?)"),
        ("form x", "unknown instruction: form (did you mean from?)"),
        ("GREET x", "unknown instruction: GREET"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a at b", "FROM requires either one or three arguments"),
        ("FROM a AS b c", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            "invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        ("FROM --platfrom=x y", "unknown flag: --platfrom (did you mean platform?)"),
        ("FROM --platform y", "missing a value on flag: --platform"),
        ("FROM a\nRUN <<EOF\nx", "unterminated heredoc"),
    ] {
        assert_eq!(message(text), expected, "{text:?}");
    }
}

#[test]
fn mistakes_in_instructions_have_buildkits_words() {
    for (text, expected) in [
        ("COPY --chown a b", "missing a value on flag: --chown"),
        ("COPY --chown=a --chown=b c d", "duplicate flag specified: --chown"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --lnik a b", "unknown flag: --lnik (did you mean link?)"),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY a <<EOF\nx\nEOF", "COPY cannot accept a heredoc as a destination"),
        (
            "COPY --from=$X a b",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        ),
        ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("RUN [\"a\", [\"b\"]]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("COPY [null]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("SHELL bash", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("SHELL", "SHELL requires at least one argument"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"),
        ("ENV =x", "ENV names can not be blank"),
        ("LABEL =x", "LABEL names can not be blank"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD maintainer x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK foo", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=5 CMD x", "time: missing unit in duration \"5\""),
        ("HEALTHCHECK --timeout=1us CMD x", "Interval \"timeout\" cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("RUN --network=bridge x", "invalid network mode \"bridge\""),
        ("RUN --security=none x", "security \"none\" is not valid"),
        ("RUN --mount=type=bnd x", "unsupported mount type \"bnd\" (did you mean bind?)"),
        ("RUN --mount=xyzw=1 x", "unexpected key 'xyzw' in 'xyzw=1'"),
        ("RUN --mount=targt=1 x", "unexpected key 'targt' in 'targt=1' (did you mean target?)"),
        ("RUN --mount=target x", "invalid field 'target' must be a key=value pair"),
        ("RUN --mount=required x", "unexpected key 'required' for mount type 'bind'"),
        ("RUN --mount=size=1m x", "unexpected key 'size' for mount type 'bind'"),
        ("RUN --mount=type=tmpfs,mode=1 x", "mode not allowed for \"tmpfs\" type mounts"),
        ("RUN --mount=sharing=shared x", "invalid cache sharing set for bind mount"),
        ("RUN --mount=type=secret x", "invalid secret mount. one of source, target required"),
        ("RUN --mount=type=cache,ro=maybe x", "invalid value for ro: maybe"),
        ("RUN --mount=type=cache,mode=9 x", "invalid value 9 for mode"),
    ] {
        assert_eq!(message(&format!("FROM scratch\n{text}")), expected, "{text:?}");
    }
}

#[test]
fn a_fault_shows_the_line_and_marks_the_culprit() {
    let shown = |text: &str| {
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        Dockerfile::parse(&source).unwrap_err().to_string()
    };
    assert_eq!(
        shown("\n\nFORM alpine\n"),
        "Dockerfile:3:1: unknown instruction: FORM (did you mean FROM?)\n  3 | FORM alpine\n    | ^^^^"
    );
    assert_eq!(
        shown("FROM a\nCOPY \\\n# c\n\t--form=x a \\\n b\n"),
        "Dockerfile:4:2: unknown flag: --form (did you mean from?)\n  4 | \t--form=x a \\\n    | \t^^^^^^^^"
    );
    let long = format!("FROM a\nENV A=1 {} B", "C=2 ".repeat(1000));
    let fault = shown(&long);
    assert!(fault.starts_with("Dockerfile:2:4010: Syntax error") && fault.len() < 500, "{fault}");
    assert!(
        fault.ends_with("C=2  B\n    |                                                             ^"),
        "{fault}"
    );
}

#[test]
fn an_excerpt_looks_like_dockers() {
    let text = "FROM a\n\nRUN b\nRUN c\nRUN d\nRUN e\n";
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    assert_eq!(
        source.excerpt(3, 3).to_string(),
        "Dockerfile:3\n--------------------\n   1 |     FROM a\n   2 |     \n   3 | >>> RUN b\n   4 |     RUN c\n   5 |     RUN d\n--------------------\n"
    );
    assert_eq!(
        source.excerpt(4, 5).to_string(),
        "Dockerfile:4\n--------------------\n   3 |     RUN b\n   4 | >>> RUN c\n   5 | >>> RUN d\n   6 |     RUN e\n--------------------\n"
    );
    let _ = (source.excerpt(0, 0).to_string(), source.excerpt(900, 7).to_string());
}

#[test]
fn json_is_json_or_a_line_for_the_shell() {
    let exec = |words: &[&str]| CommandLine::Exec(words.iter().map(|word| word.to_string().into()).collect());
    for (text, expected) in [
        ("CMD [\"a\", \"b c\"]", exec(&["a", "b c"])),
        ("cmd [ ]", exec(&[])),
        ("CMD [\"a\\n\\\"\\u00e9\"]", exec(&["a\n\"é"])),
        ("CMD ['a']", CommandLine::Shell("['a']")),
        ("CMD [\"a\"] x", CommandLine::Shell("[\"a\"] x")),
        ("CMD [\"a\"", CommandLine::Shell("[\"a\"")),
        ("CMD [\"a\",]", CommandLine::Shell("[\"a\",]")),
        ("CMD [\"a\\x\"]", CommandLine::Shell("[\"a\\x\"]")),
        ("CMD  a  'b' $C ", CommandLine::Shell("a  'b' $C")),
        ("CMD", CommandLine::Shell("")),
    ] {
        with(text, |command| assert_eq!(*command, Command::Cmd(expected), "{text}"));
    }
}

#[test]
fn pairs_are_new_or_old() {
    let pairs = |text: &str, expected: &[(&str, &str, bool)]| {
        with(text, |command| {
            let (Command::Env(pairs) | Command::Label(pairs)) = command else { panic!("{command:?}") };
            let found: Vec<_> = pairs.iter().map(|pair| (pair.key, pair.value, pair.is_legacy)).collect();
            assert_eq!(found, expected, "{text}");
        });
    };
    pairs(
        "ENV A=1 B=\"2 3\"  C='x y'\\ z",
        &[("A", "1", false), ("B", "\"2 3\"", false), ("C", "'x y'\\ z", false)],
    );
    pairs("ENV A  b c=d ", &[("A", "b c=d", true)]);
    pairs("LABEL \"a b\"=c", &[("\"a b\"", "c", false)]);
    pairs("ENV A= B==", &[("A", "", false), ("B", "=", false)]);
    with("ARG a b=c d=", |command| {
        let Command::Arg(args) = command else { panic!("{command:?}") };
        let found: Vec<_> = args.iter().map(|arg| (arg.key, arg.value)).collect();
        assert_eq!(found, [("a", None), ("b", Some("c")), ("d", Some(""))]);
    });
}

#[test]
fn copies_have_sources_flags_and_documents() {
    with("COPY --from=a --chown='x y' --exclude=*.o --exclude=b --link --parents=false c d /e/", |command| {
        let Command::Copy(copy) = command else { panic!("{command:?}") };
        assert_eq!((copy.from.as_deref(), copy.parents), (Some("a"), false));
        let transfer = &copy.transfer;
        assert_eq!(transfer.sources, ["c", "d"]);
        assert_eq!((transfer.destination.as_ref(), transfer.chown.as_deref()), ("/e/", Some("x y")));
        assert_eq!(transfer.excludes, ["*.o", "b"]);
        assert!(transfer.link && transfer.chmod.is_none());
    });
    with("COPY -- --a /b", |command| {
        let Command::Copy(copy) = command else { panic!("{command:?}") };
        assert_eq!(copy.transfer.sources, ["--a"]);
    });
    with("COPY [\"a b\", \"<<c\", \"/d\"]", |command| {
        let Command::Copy(copy) = command else { panic!("{command:?}") };
        assert_eq!(copy.transfer.sources, ["a b", "<<c"]);
    });
    with(
        "ADD --keep-git-dir --unpack=False --checksum=sha256:1 x <<A <<-\"B\" /y\n\ta\nA\n\tb\n\tB\n",
        |command| {
            let Command::Add(add) = command else { panic!("{command:?}") };
            assert_eq!((add.keep_git_dir, add.unpack), (Some(true), Some(false)));
            assert_eq!(add.checksum.as_deref(), Some("sha256:1"));
            assert_eq!(add.transfer.sources, ["x"]);
            let documents: Vec<_> = add
                .transfer
                .heredocs
                .iter()
                .map(|heredoc| (heredoc.name.as_str(), heredoc.expands, heredoc.content()))
                .collect();
            assert_eq!(documents, [("A", true, "\ta\n".into()), ("B", false, "b\n".into())]);
        },
    );
}

#[test]
fn documents_begin_only_where_a_shell_would_see_one() {
    for (text, count) in [
        ("RUN <<EOF\nx\nEOF\n", 1),
        ("RUN 3<<EOF cat <<-'E F'\nx\nEOF\n\tE F\n", 2),
        ("RUN cat <<  EOF\nEOF\n", 1),
        ("RUN echo '<<EOF' \"<<EOF\" \\<<EOF x<<EOF <<<EOF $((1<<2))", 0),
        ("RUN echo don't <<EOF", 0),
        ("RUN [\"a\", \"<<EOF\"]", 0),
        ("CMD <<EOF", 0),
        ("ENV a=<<EOF", 0),
        ("RUN <<\"\"", 0),
        ("ONBUILD RUN <<EOF\nx\nEOF\n", 1),
        ("ONBUILD CMD <<EOF", 0),
        ("COPY --chown=1 <<EOF /x\n# y \\\nEOF", 1),
    ] {
        let text = format!("FROM scratch\n{text}");
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        assert_eq!(source.lines.len(), 2, "{text}");
        assert_eq!(source.lines[1].heredocs.len(), count, "{text}");
        Dockerfile::parse(&source).unwrap();
    }
}

#[test]
fn runs_have_mounts_and_modes() {
    let text = "RUN --mount=type=cache,target=/x,$Y --network=none --security=insecure --device=a/b=c,required --mount=type=bind,source=a,target=b make";
    with(text, |command| {
        let Command::Run(run) = command else { panic!("{command:?}") };
        assert_eq!(run.command, CommandLine::Shell("make"));
        assert_eq!((run.network, run.security), (Network::None, Security::Insecure));
        assert_eq!(run.mounts, ["type=cache,target=/x,$Y", "type=bind,source=a,target=b"]);
        assert_eq!((run.devices[0].name.as_str(), run.devices[0].required), ("a/b=c", true));
    });
}

#[test]
fn probes_and_triggers_are_typed() {
    with("HEALTHCHECK --interval=1m30s --timeout=0 --retries=3 CMD [\"a\"]", |command| {
        let Command::Healthcheck(check) = command else { panic!("{command:?}") };
        let Healthcheck::Probe { command, interval_ns, timeout_ns, retries, .. } = &**check else { panic!() };
        assert_eq!(*command, CommandLine::Exec(["a".into()].into()));
        assert_eq!((*interval_ns, *timeout_ns, *retries), (90_000_000_000, 0, 3));
    });
    with("HEALTHCHECK none", |command| {
        assert_eq!(*command, Command::Healthcheck(Healthcheck::Disabled.into()))
    });
    with("onbuild  run <<EOF cat\nx\nEOF\n", |command| {
        let Command::Onbuild(onbuild) = command else { panic!("{command:?}") };
        assert_eq!(onbuild.trigger, "run <<EOF cat\nx\nEOF");
        assert_eq!(onbuild.command.keyword(), "RUN");
        let source = Source::fragment("ONBUILD", &onbuild.trigger).unwrap();
        let again = triggers(&source).unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].command, onbuild.command);
    });
}

#[test]
fn words_are_split_as_their_instruction_wants() {
    with("EXPOSE 80 $P\t443/tcp", |command| {
        assert_eq!(*command, Command::Expose(["80", "$P", "443/tcp"].into()));
    });
    with("VOLUME /a 'b", |command| assert_eq!(*command, Command::Volume(["/a".into(), "'b".into()].into())));
    with("VOLUME [\" /a b \"]", |command| assert_eq!(*command, Command::Volume(["/a b".into()].into())));
    with("WORKDIR  /a b ", |command| assert_eq!(*command, Command::Workdir("/a b")));
    with("USER a:b", |command| assert_eq!(*command, Command::User("a:b")));
    with("STOPSIGNAL $S", |command| assert_eq!(*command, Command::StopSignal("$S")));
    with("MAINTAINER me <x@y>", |command| assert_eq!(*command, Command::Maintainer("me <x@y>")));
    with("SHELL [\"a\"]", |command| assert_eq!(*command, Command::Shell(["a".into()].into())));
    with("ENTRYPOINT a", |command| assert_eq!(*command, Command::Entrypoint(CommandLine::Shell("a"))));
}

#[test]
fn stages_are_found_by_name_in_any_case() {
    let text = "ARG V=1\nFROM --platform=$P a:${V} AS Base\nRUN x\nFROM base as base\n";
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    let file = Dockerfile::parse(&source).unwrap();
    assert_eq!((file.args.len(), file.stages.len(), file.stage("BASE")), (1, 2, Some(1)));
    let stage = &file.stages[0];
    assert_eq!((stage.image, stage.name, stage.platform.as_deref()), ("a:${V}", Some("Base"), Some("$P")));
    assert_eq!(stage.instructions[0].line.text, "RUN x");
}

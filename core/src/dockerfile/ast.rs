//! A file as data for other programs: its instructions, its targets, and what a target asks for. To be written as JSON.

use alloc::{
    collections::BTreeSet,
    string::{String, ToString},
    vec::Vec,
};

use serde::Serialize;

use super::{
    Dockerfile, Instruction, Line, Stage,
    command::{Command, CommandLine, Healthcheck},
    expand,
    mount::{Mount, MountKind},
    scope::globals,
    words,
};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node<'a> {
    /// In capitals.
    pub keyword: &'static str,
    /// All of it in one line.
    pub text: &'a str,
    /// Its flags as they are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FlagNode>,
    /// What follows them; a command for a shell is one word.
    pub words: Vec<&'a str>,
    /// A command is a list, and no shell is asked.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub is_exec: bool,
    /// Documents behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heredocs: Vec<HeredocNode<'a>>,
    /// Comments above it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<&'a str>,
    /// Its first line and its last.
    pub lines: [u32; 2],
}

/// A flag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlagNode {
    /// Without the dashes.
    pub name: String,
    /// What stands behind `=`.
    pub value: Option<String>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeredocNode<'a> {
    /// Its word.
    pub name: &'a str,
    /// Variables in it are to be expanded.
    pub expands: bool,
    /// Its content.
    pub content: alloc::borrow::Cow<'a, str>,
}

/// All instructions in order.
pub fn nodes<'a>(file: &'a Dockerfile<'_>) -> Vec<Node<'a>> {
    let escape = file.directives.escape;
    let mut nodes: Vec<Node<'a>> = file.args.iter().map(|one| node(one, escape)).collect();
    for stage in &file.stages {
        let mut words = Vec::from([stage.image]);
        words.extend(stage.name.into_iter().flat_map(|name| ["AS", name]));
        nodes.push(Node { words, ..bare("FROM", stage.line, escape) });
        nodes.extend(stage.instructions.iter().map(|one| node(one, escape)));
    }
    nodes
}

fn bare<'a>(keyword: &'static str, line: &'a Line<'_>, escape: char) -> Node<'a> {
    let flags = words::flags(words::keyword(&line.text).1, escape).0.into_iter();
    let heredocs = line.heredocs.iter().map(|heredoc| HeredocNode {
        name: &heredoc.name,
        expands: heredoc.expands,
        content: heredoc.content(),
    });
    Node {
        keyword,
        text: &line.text,
        flags: flags
            .map(|flag| FlagNode { name: flag.name.into(), value: flag.value.map(Into::into) })
            .collect(),
        words: Vec::new(),
        is_exec: false,
        heredocs: heredocs.collect(),
        comments: line.comments().collect(),
        lines: [line.first, line.last],
    }
}

fn node<'a>(one: &'a Instruction<'_>, escape: char) -> Node<'a> {
    let rest = words::flags(words::keyword(&one.line.text).1, escape).1;
    let mut node = bare(one.command.keyword(), one.line, escape);
    let command = match &one.command {
        Command::Cmd(command) | Command::Entrypoint(command) => Some(command),
        Command::Run(run) => Some(&run.command),
        Command::Healthcheck(check) => match &**check {
            Healthcheck::Probe { command, .. } => Some(command),
            Healthcheck::Disabled => None,
        },
        _ => None,
    };
    match (&one.command, command) {
        (_, Some(CommandLine::Exec(words))) => {
            node.is_exec = true;
            node.words.extend(words.iter().map(|word| &**word));
        }
        (_, Some(CommandLine::Shell(text))) => node.words.push(text),
        (Command::Copy(copy), _) => node.words = transferred(&copy.transfer, rest),
        (Command::Add(add), _) => node.words = transferred(&add.transfer, rest),
        (Command::Shell(words) | Command::Volume(words), _) => {
            node.words.extend(words.iter().map(|word| &**word));
        }
        (Command::Env(_) | Command::Label(_) | Command::Arg(_), _) => {
            node.words.extend(words::quoted(rest, escape));
        }
        (Command::Expose(words), _) => node.words.clone_from(words),
        _ => node.words.push(rest),
    }
    node
}

/// Sources and destination; documents stand where they stood.
fn transferred<'a>(transfer: &'a super::command::Transfer<'_>, rest: &'a str) -> Vec<&'a str> {
    if transfer.heredocs.is_empty() {
        return transfer.sources.iter().chain([&transfer.destination]).map(|word| &**word).collect();
    }
    words::plain(rest).collect()
}

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target<'a> {
    /// Its name, or its number where it has none.
    pub name: String,
    /// What it builds on, as it is written.
    pub base: &'a str,
    /// The comment above it that begins with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// It is built if none is asked for.
    pub is_default: bool,
    /// The line of its `FROM`.
    pub line: u32,
}

/// The stages of a file.
pub fn targets<'a>(file: &'a Dockerfile<'_>) -> Vec<Target<'a>> {
    let target = |(number, stage): (usize, &'a Stage<'_>)| Target {
        name: name(number, stage),
        base: stage.image,
        description: stage.name.and_then(|name| stage.line.description(name)),
        is_default: number + 1 == file.stages.len(),
        line: stage.line.first,
    };
    file.stages.iter().enumerate().map(target).collect()
}

fn name(number: usize, stage: &Stage<'_>) -> String {
    stage.name.map_or_else(|| number.to_string(), str::to_ascii_lowercase)
}

/// What a target asks of the one who builds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outline<'a> {
    /// The target.
    pub name: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// Arguments that mean something to it.
    pub args: Vec<ArgOutline<'a>>,
    /// Secrets that it uses.
    pub secrets: Vec<UseOutline>,
    /// Agents that it uses.
    pub ssh: Vec<UseOutline>,
    /// Directories that it keeps between builds.
    pub caches: Vec<UseOutline>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArgOutline<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is unless the build says otherwise, as it is written.
    pub value: Option<&'a str>,
    /// The comment above it that begins with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// Where it is declared.
    pub line: u32,
}

/// A secret, an agent or a cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UseOutline {
    /// What it is called.
    pub id: String,
    /// It has to be there.
    pub required: bool,
    /// Where it is used first.
    pub line: u32,
}

/// What a stage, of that number, and those that it needs ask for.
pub fn outline<'a>(file: &'a Dockerfile<'_>, target: usize) -> Outline<'a> {
    let Some(stage) = file.stages.get(target) else { return Outline::default() };
    let mut outline = Outline {
        name: name(target, stage),
        description: stage.name.and_then(|name| stage.line.description(name)),
        ..Outline::default()
    };
    let needed = needed(file, target);
    let mut used: BTreeSet<&str> = file.args.iter().flat_map(|one| defaults(&one.command)).collect();
    for stage in needed.iter().map(|number| &file.stages[*number]) {
        used.extend(variables(stage.image).chain(variables(stage.platform.as_deref().unwrap_or_default())));
    }
    let mut known = BTreeSet::new();
    for one in &file.args {
        outline.args(one, &mut known, |name| used.contains(name));
    }
    for one in needed.iter().flat_map(|number| &file.stages[*number].instructions) {
        outline.args(one, &mut known, |_| true);
        if let Command::Run(run) = &one.command {
            let mounts = run.mounts.iter().filter_map(|mount| Mount::parse(mount, |v| Ok(v.into())).ok());
            mounts.for_each(|mount| outline.mount(&mount, one.line.first));
        }
    }
    outline.args.sort_by_key(|arg| arg.line);
    outline
}

impl<'a> Outline<'a> {
    fn args(
        &mut self,
        one: &'a Instruction<'_>,
        known: &mut BTreeSet<&'a str>,
        is_used: impl Fn(&str) -> bool,
    ) {
        let Command::Arg(args) = &one.command else { return };
        for arg in args.iter().filter(|arg| is_used(arg.key)) {
            // `ARG NAME` in a stage is that of the whole file.
            if !known.insert(arg.key) && arg.value.is_none() {
                continue;
            }
            self.args.push(ArgOutline {
                name: arg.key,
                value: arg.value,
                description: one.line.description(arg.key),
                line: one.line.first,
            });
        }
    }

    fn mount(&mut self, mount: &Mount, line: u32) {
        let base = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_string();
        let first =
            |names: [&str; 3]| names.into_iter().find(|name| !name.is_empty()).unwrap_or_default().into();
        let (list, id): (_, String) = match mount.kind {
            MountKind::Secret => (&mut self.secrets, first([&mount.source, &mount.id, &base(&mount.target)])),
            MountKind::Ssh => (&mut self.ssh, first([&mount.id, "default", ""])),
            MountKind::Cache => (&mut self.caches, first([&mount.id, &mount.target, ""])),
            MountKind::Bind | MountKind::Tmpfs => return,
        };
        if list.iter().all(|known| known.id != id) {
            list.push(UseOutline { id, required: mount.required, line });
        }
    }
}

/// The numbers of the stages that a stage is made of, with its own.
fn needed(file: &Dockerfile<'_>, target: usize) -> BTreeSet<usize> {
    let escape = file.directives.escape;
    let (values, _) = globals(file.args.iter().map(|one| &one.command), escape, &|_| None);
    let lookup = |name: &str| values.get(name).map(String::as_str);
    let names = file.names();
    let mut needed = BTreeSet::new();
    let mut open = Vec::from([target]);
    while let Some(number) = open.pop() {
        if !needed.insert(number) {
            continue;
        }
        let named = |name: &str| names.before(number, name);
        let stage = &file.stages[number];
        open.extend(expand::expand(stage.image, escape, &lookup).ok().and_then(|image| named(&image)));
        for one in &stage.instructions {
            match &one.command {
                Command::Copy(copy) => open.extend(copy.from.as_deref().and_then(|from| {
                    named(from).or_else(|| from.parse().ok().filter(|index| *index < number))
                })),
                Command::Run(run) => {
                    let mounts =
                        run.mounts.iter().filter_map(|mount| Mount::parse(mount, |v| Ok(v.into())).ok());
                    open.extend(mounts.filter_map(|mount| named(&mount.from)));
                }
                _ => {}
            }
        }
    }
    needed
}

/// The variables that an argument's default has.
fn defaults<'a>(command: &'a Command<'_>) -> impl Iterator<Item = &'a str> {
    let args = if let Command::Arg(args) = command { args.as_slice() } else { &[] };
    args.iter().filter_map(|arg| arg.value).flat_map(variables)
}

/// The names behind each `$` of a word.
fn variables(word: &str) -> impl Iterator<Item = &str> {
    word.split('$').skip(1).map(|rest| {
        let rest = rest.trim_start_matches('{');
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Source;

    const TEXT: &str = "ARG V=1\nARG W=2\n# base the base\nFROM a:${V} AS base\nARG V\n# X an x\nARG X=$V\n\
        RUN --mount=type=secret,id=s,required --mount=type=ssh --mount=type=cache,target=/c make\n\
        FROM b AS unused\nARG Y\nFROM scratch\nCOPY --from=base --link <<E /x /y/\nhi\nE\nHEALTHCHECK CMD [\"p\"]\n";

    fn parsed(check: impl FnOnce(&Dockerfile<'_>)) {
        let source = Source::read("Dockerfile", TEXT.as_bytes()).unwrap();
        check(&Dockerfile::parse(&source).unwrap());
    }

    #[test]
    fn a_file_is_data() {
        parsed(|file| {
            let nodes = nodes(file);
            let words: Vec<_> = nodes.iter().map(|node| (node.keyword, node.words.join("|"))).collect();
            assert_eq!(words[2], ("FROM", "a:${V}|AS|base".into()));
            assert_eq!(words[5], ("RUN", "make".into()));
            assert_eq!(words[9], ("COPY", "<<E|/x|/y/".into()));
            assert_eq!(
                serde_json::to_string(&nodes[9]).unwrap(),
                r#"{"keyword":"COPY","text":"COPY --from=base --link <<E /x /y/","flags":[{"name":"from","value":"base"},{"name":"link","value":null}],"words":["<<E","/x","/y/"],"heredocs":[{"name":"E","expands":true,"content":"hi\n"}],"lines":[12,14]}"#
            );
            assert!(nodes[10].is_exec);
        });
    }

    #[test]
    fn targets_are_stages() {
        parsed(|file| {
            let targets = targets(file);
            let shown: Vec<_> = targets
                .iter()
                .map(|one| (one.name.as_str(), one.base, one.description, one.is_default))
                .collect();
            assert_eq!(
                shown,
                [
                    ("base", "a:${V}", Some("the base"), false),
                    ("unused", "b", None, false),
                    ("2", "scratch", None, true)
                ]
            );
        });
    }

    #[test]
    fn an_outline_is_what_the_needed_stages_ask_for() {
        parsed(|file| {
            let outline = outline(file, 2);
            let args: Vec<_> =
                outline.args.iter().map(|arg| (arg.name, arg.value, arg.description)).collect();
            assert_eq!(args, [("V", Some("1"), None), ("X", Some("$V"), Some("an x"))]);
            let ids = |list: &[UseOutline]| {
                list.iter().map(|one| (one.id.clone(), one.required)).collect::<Vec<_>>()
            };
            assert_eq!(ids(&outline.secrets), [("s".to_string(), true)]);
            assert_eq!(ids(&outline.ssh), [("default".to_string(), false)]);
            assert_eq!(ids(&outline.caches), [("/c".to_string(), false)]);
        });
    }
}

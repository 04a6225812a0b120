//! Which stages a build needs, in what order, and what each builds on. Pure.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{Options, state::Said};
use crate::{
    dockerfile::{
        Dockerfile, Instruction, Source, Stage,
        command::{Arg, Command},
        expand,
        mount::Mount,
        triggers,
    },
    image::{config::ARCHITECTURE, reference::Reference},
};

/// The reserved name of an image that is empty.
const SCRATCH: &str = "scratch";
/// What stands before the name of an image that is a build's other context.
pub const IMAGE_CONTEXT: &str = "docker-image://";

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// What an earlier stage has come to.
    Stage(usize),
    /// An image, by its name.
    Image(String),
    /// A directory: that of the build's other context with this number.
    Directory(usize),
}

/// A stage that is needed.
#[derive(Debug)]
pub struct Needed {
    /// What it begins with.
    pub base: Base,
    /// The stages that have to be there before it.
    pub after: BTreeSet<usize>,
}

/// The stages that are needed, by their numbers.
#[derive(Debug)]
pub struct Plan {
    /// In the order of the file, in which nothing comes before what it needs.
    pub stages: BTreeMap<usize, Needed>,
    /// The one that is the result.
    pub target: usize,
}

/// What is wrong, and in which line if it is in one.
pub type Wrong = (String, Option<usize>);

/// What the user and the file say before the first stage.
///
/// # Errors
/// What is wrong with an `ARG`, with the number of its line in [`Source::lines`].
pub fn said<'o>(source: &Source<'_>, file: &Dockerfile<'_>, options: &'o Options) -> Result<Said<'o>, Wrong> {
    let mut said =
        Said { escape: source.directives.escape, args: &options.args, globals: platform_args(options) };
    for Instruction { line, command } in &file.args {
        let Command::Arg(args) = command else { continue };
        for Arg { key, value } in args {
            let lookup = |name: &str| said.globals.get(name).map(String::as_str);
            let value = match (said.arg(key), value) {
                (Some(value), _) => Some(value.to_string()),
                (None, Some(word)) => Some(
                    expand::expand(word, said.escape, &lookup).map_err(|why| (why, number(source, line)))?,
                ),
                (None, None) => None,
            };
            if let Some(value) = value {
                said.globals.insert((*key).into(), value);
            }
        }
    }
    Ok(said)
}

/// Which line of the source this is.
fn number(source: &Source<'_>, line: &crate::dockerfile::Line<'_>) -> Option<usize> {
    source.lines.iter().position(|one| core::ptr::eq(one, line))
}

fn platform_args(options: &Options) -> BTreeMap<String, String> {
    let platform = format!("linux/{ARCHITECTURE}");
    let mut all = BTreeMap::new();
    for side in ["BUILD", "TARGET"] {
        let parts =
            [("PLATFORM", platform.as_str()), ("OS", "linux"), ("ARCH", ARCHITECTURE), ("VARIANT", "")];
        all.extend(parts.map(|(part, value)| (format!("{side}{part}"), value.to_string())));
        all.insert(format!("{side}OSVERSION"), String::new());
    }
    let target = if options.target.is_empty() { "default" } else { &options.target };
    all.insert("TARGETSTAGE".into(), target.into());
    all
}

/// Finds out what is needed. `left` says what an image leaves for its children to do.
///
/// # Errors
/// What is wrong: an unknown stage, one that is needed before it is there, a platform that this machine is not.
pub fn plan(
    source: &Source<'_>,
    file: &Dockerfile<'_>,
    said: &Said<'_>,
    options: &Options,
    left: &mut dyn FnMut(&str) -> Vec<String>,
) -> Result<Plan, Wrong> {
    check_platform(&options.platform).map_err(|why| (why, None))?;
    let target = match options.target.as_str() {
        "" => file.stages.len() - 1,
        name => {
            let by_number = || name.parse().ok().filter(|number| *number < file.stages.len());
            let missing = || (format!("target stage {name:?} could not be found"), None);
            file.stage(name).or_else(by_number).ok_or_else(missing)?
        }
    };
    let mut stages = BTreeMap::new();
    let mut wanted = BTreeSet::from([target]);
    // All that a stage needs stands before it.
    while let Some(number) = wanted.pop_last() {
        let stage = &file.stages[number];
        if let Some(name) = stage.name
            && number == target
            && other_context(&options.contexts, name).is_some()
        {
            return Err((format!("the target {name:?} can't be replaced by --build-context"), None));
        }
        let base = base(file, number, said, &options.contexts)
            .map_err(|why| (why, self::number(source, stage.line)))?;
        let mut after = BTreeSet::new();
        for text in left_by(file, &base, left) {
            // What is wrong with it is told when it is its turn.
            if let Ok(fragment) = Source::fragment("ONBUILD", &text)
                && let Ok(instructions) = triggers(&fragment)
            {
                let needs =
                    |one: &Instruction<'_>| needed(file, &options.contexts, number, &one.command).ok();
                after.extend(instructions.iter().filter_map(needs).flatten());
            }
        }
        if let Base::Stage(number) = base {
            after.insert(number);
        }
        for Instruction { line, command } in &stage.instructions {
            let needs = needed(file, &options.contexts, number, command);
            let needs = needs.map_err(|why| (why, self::number(source, line)))?;
            after.extend(needs);
        }
        wanted.extend(&after);
        stages.insert(number, Needed { base, after });
    }
    Ok(Plan { stages, target })
}

/// What is left for a stage on this base to do.
fn left_by(file: &Dockerfile<'_>, base: &Base, left: &mut dyn FnMut(&str) -> Vec<String>) -> Vec<String> {
    match base {
        Base::Scratch | Base::Directory(_) => Vec::new(),
        Base::Image(image) => left(image),
        Base::Stage(number) => {
            let trigger = |one: &Instruction<'_>| match &one.command {
                Command::Onbuild(onbuild) => Some(onbuild.trigger.to_string()),
                _ => None,
            };
            file.stages[*number].instructions.iter().filter_map(trigger).collect()
        }
    }
}

fn base(
    file: &Dockerfile<'_>,
    number: usize,
    said: &Said<'_>,
    contexts: &[(String, String)],
) -> Result<Base, String> {
    let stage: &Stage<'_> = &file.stages[number];
    let expand =
        |word: &str| expand::expand(word, said.escape, &|name| said.globals.get(name).map(String::as_str));
    if let Some(platform) = &stage.platform {
        check_platform(&expand(platform)?)?;
    }
    let name = expand(stage.image)?;
    if name.is_empty() {
        return Err(format!("base name ({}) should not be blank", stage.image));
    }
    if let Some(other) = other_context(contexts, &name) {
        return Ok(other);
    }
    if let Some(earlier) = earlier(file, number, &name) {
        return Ok(Base::Stage(earlier));
    }
    Ok(if name == SCRATCH { Base::Scratch } else { Base::Image(name) })
}

/// What a name means that the user has given another meaning: neither a stage nor an image of that name counts then.
fn other_context(contexts: &[(String, String)], name: &str) -> Option<Base> {
    let full = |text: &str| Reference::parse(text).ok().map(Reference::or_latest);
    let is_it = |known: &str| {
        known.eq_ignore_ascii_case(name) || full(known).is_some_and(|it| Some(it) == full(name))
    };
    let at = contexts.iter().rposition(|(known, _)| is_it(known))?;
    Some(match contexts[at].1.strip_prefix(IMAGE_CONTEXT) {
        Some(image) => Base::Image(image.into()),
        None => Base::Directory(at),
    })
}

fn earlier(file: &Dockerfile<'_>, number: usize, name: &str) -> Option<usize> {
    file.stages[..number].iter().rposition(|stage| stage.is_named(name))
}

/// What `--from` means in the stage of this number.
///
/// # Errors
/// A stage that is not there yet.
pub fn from(
    file: &Dockerfile<'_>,
    contexts: &[(String, String)],
    number: usize,
    name: &str,
) -> Result<Base, String> {
    if let Some(other) = other_context(contexts, name) {
        return Ok(other);
    }
    if let Some(earlier) = earlier(file, number, name) {
        return Ok(Base::Stage(earlier));
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
        return match name.parse::<usize>() {
            Ok(index) if index < number => {
                let other = file.stages[index].name.and_then(|name| other_context(contexts, name));
                Ok(other.unwrap_or(Base::Stage(index)))
            }
            _ => Err(format!("invalid stage index {name}")),
        };
    }
    if file.stages[number..].iter().any(|stage| stage.is_named(name)) {
        return Err(format!(
            "cannot copy from stage {name:?}, it needs to be defined before current stage {:?}",
            file.stages[number].name.unwrap_or_default()
        ));
    }
    Ok(if name == SCRATCH { Base::Scratch } else { Base::Image(name.into()) })
}

/// The stages that an instruction needs.
fn needed(
    file: &Dockerfile<'_>,
    contexts: &[(String, String)],
    number: usize,
    command: &Command<'_>,
) -> Result<BTreeSet<usize>, String> {
    let mut stages = BTreeSet::new();
    let mut add = |name: &str| {
        if let Base::Stage(stage) = from(file, contexts, number, name)? {
            stages.insert(stage);
        }
        Ok::<_, String>(())
    };
    match command {
        Command::Copy(copy) => {
            if let Some(name) = &copy.from {
                add(name)?;
            }
        }
        Command::Run(run) => {
            for mount in &run.mounts {
                let mount = Mount::parse(mount, |value| Ok(value.into()))?;
                if !mount.from.is_empty() {
                    add(&mount.from)?;
                }
            }
        }
        _ => {}
    }
    Ok(stages)
}

/// # Errors
/// Another machine.
fn check_platform(platform: &str) -> Result<(), String> {
    let wanted = platform.strip_prefix("linux/").unwrap_or(platform);
    let wanted = match wanted {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" | "arm64/v8" => "arm64",
        other => other,
    };
    if matches!(wanted, "" | "local" | "linux") || wanted == ARCHITECTURE {
        return Ok(());
    }
    Err(format!(
        "platform {platform} is not this machine's, linux/{ARCHITECTURE}: building for others is not there"
    ))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// The numbers of the stages that are needed, what they begin with, and what they come after.
    type Planned = (Vec<usize>, Vec<Base>, Vec<Vec<usize>>);

    fn planned(text: &str, target: &str) -> Result<Planned, String> {
        let source = Source::read("Dockerfile", text.as_bytes()).map_err(|fault| fault.to_string())?;
        let file = Dockerfile::parse(&source).map_err(|fault| fault.to_string())?;
        let options = Options { target: target.into(), ..Options::default() };
        let said = said(&source, &file, &options).map_err(|wrong| wrong.0)?;
        let mut left = |image: &str| match image {
            "parent" => vec!["COPY --from=first /x /".into(), "COPY --from=nobody".into()],
            _ => Vec::new(),
        };
        let plan = plan(&source, &file, &said, &options, &mut left).map_err(|wrong| wrong.0)?;
        let (bases, after) =
            plan.stages.values().map(|one| (one.base.clone(), one.after.iter().copied().collect())).unzip();
        Ok((plan.stages.into_keys().collect(), bases, after))
    }

    #[test]
    fn only_what_the_target_needs_is_built() {
        let text = "ARG V=1\nFROM box:$V AS a\nFROM a AS b\nFROM scratch AS unused\nFROM scratch\nCOPY --from=B /x /\n\
                    RUN --mount=from=0,target=/m true";
        let (stages, bases, after) = planned(text, "").unwrap();
        assert_eq!(stages, [0, 1, 3]);
        assert_eq!(after, [vec![], vec![0], vec![0, 1]]);
        assert_eq!(bases, [Base::Image("box:1".into()), Base::Stage(0), Base::Scratch]);
        assert_eq!(planned(text, "A").unwrap().0, [0]);
        assert_eq!(planned(text, "2").unwrap().1, vec![Base::Scratch]);
    }

    #[test]
    fn what_a_base_leaves_to_do_needs_stages_as_well() {
        let text =
            "FROM scratch AS first\nFROM scratch AS base\nONBUILD RUN --mount=from=first,target=/m x\n";
        assert_eq!(planned(&(text.to_string() + "FROM base"), "").unwrap().2, [vec![], vec![], vec![0, 1]]);
        assert_eq!(planned(&(text.to_string() + "FROM parent"), "").unwrap().2, [vec![], vec![0]]);
    }

    #[test]
    fn a_name_may_mean_another_context() {
        let text = "FROM box AS a\nFROM box:latest AS b\nFROM scratch\nCOPY --from=a x /\nCOPY --from=0 x /\nCOPY --from=b x /";
        let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
        let file = Dockerfile::parse(&source).unwrap();
        let planned = |contexts: &[(&str, &str)], target: &str| {
            let contexts = contexts.iter().map(|(name, what)| (name.to_string(), what.to_string())).collect();
            let options = Options { contexts, target: target.into(), ..Options::default() };
            let said = said(&source, &file, &options).unwrap();
            let plan = plan(&source, &file, &said, &options, &mut |_| Vec::new())?;
            Ok::<_, Wrong>(
                plan.stages.into_iter().map(|(number, needed)| (number, needed.base)).collect::<Vec<_>>(),
            )
        };
        let image = |name: &str| Base::Image(name.into());
        assert_eq!(planned(&[("A", "/d")], "").unwrap(), [(1, image("box:latest")), (2, Base::Scratch)]);
        assert_eq!(planned(&[("docker.io/library/box", "/d")], "b").unwrap(), [(1, Base::Directory(0))]);
        assert_eq!(planned(&[("box", "docker-image://other")], "b").unwrap(), [(1, image("other"))]);
        assert!(planned(&[("b", "/d")], "b").unwrap_err().0.contains("--build-context"));
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (text, target, wanted) in [
            ("FROM a", "x", "target stage \"x\" could not be found"),
            ("FROM $X", "", "base name ($X) should not be blank"),
            ("FROM scratch AS me\nCOPY --from=me a b", "", "cannot copy from stage \"me\""),
            ("FROM scratch\nCOPY --from=0 a b", "", "invalid stage index 0"),
            ("FROM --platform=linux/s390x a", "", "building for others"),
            ("ARG A=${B:?none}\nFROM a", "", "B: none"),
        ] {
            let error = planned(text, target).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}

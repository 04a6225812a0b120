//! One logical line -> a typed instruction. Messages are BuildKit's.

use alloc::{borrow::Cow, boxed::Box, format, string::String, vec::Vec};

use super::{
    command::{
        Add, Arg, Command, CommandLine, Copy, Device, Healthcheck, Network, Onbuild, Pair, Run, Security,
        Transfer, Word,
    },
    fault::Problem,
    flags::{Flags, Kind},
    heredoc::{self, Heredoc},
    mount::{self, Mount},
    words::{self, Json},
};
use crate::{
    clock::{SECOND, duration},
    nearest::nearest,
};

/// A line that was understood.
pub(super) enum Parsed<'a> {
    /// A stage begins.
    From(From<'a>),
    /// Anything else.
    Command(Command<'a>),
}

/// `FROM`
pub(super) struct From<'a> {
    pub image: &'a str,
    pub name: Option<&'a str>,
    pub platform: Option<Word<'a>>,
}

type Result<'a, T> = core::result::Result<T, Problem<'a>>;

/// What reads an instruction behind its flags; none where a stage begins.
type Read = Option<for<'a> fn(&Rest<'a>) -> Result<'a, Command<'a>>>;

/// An instruction, the flags that it has, and what reads it.
type Known = (&'static str, &'static [(&'static str, Kind)], Read);

/// All of them.
static INSTRUCTIONS: [Known; 18] = [
    ("ADD", &ADD_FLAGS, Some(|line| line.add().map(Box::new).map(Command::Add))),
    ("ARG", &[], Some(|line| line.args().map(Command::Arg))),
    ("CMD", &[], Some(|line| line.command(line.text).map(Command::Cmd))),
    ("COPY", &COPY_FLAGS, Some(|line| line.copy().map(Box::new).map(Command::Copy))),
    ("ENTRYPOINT", &[], Some(|line| line.command(line.text).map(Command::Entrypoint))),
    ("ENV", &[], Some(|line| line.pairs().map(Command::Env))),
    ("EXPOSE", &[], Some(|line| line.at_least_one(words::plain(line.text).collect()).map(Command::Expose))),
    ("FROM", &[("platform", Kind::Text)], None),
    (
        "HEALTHCHECK",
        &HEALTHCHECK_FLAGS,
        Some(|line| line.healthcheck().map(Box::new).map(Command::Healthcheck)),
    ),
    ("LABEL", &[], Some(|line| line.pairs().map(Command::Label))),
    ("MAINTAINER", &[], Some(|line| line.value().map(Command::Maintainer))),
    ("ONBUILD", &[], Some(|line| line.onbuild().map(Box::new).map(Command::Onbuild))),
    ("RUN", &RUN_FLAGS, Some(|line| line.run().map(Box::new).map(Command::Run))),
    ("SHELL", &[], Some(|line| line.shell().map(Command::Shell))),
    ("STOPSIGNAL", &[], Some(|line| line.value().map(Command::StopSignal))),
    ("USER", &[], Some(|line| line.value().map(Command::User))),
    ("VOLUME", &[], Some(|line| line.volumes().map(Command::Volume))),
    ("WORKDIR", &[], Some(|line| line.value().map(Command::Workdir))),
];

/// Reads an instruction.
pub(super) fn parse<'a>(text: &'a str, heredocs: &'a [Heredoc<'a>], escape: char) -> Result<'a, Parsed<'a>> {
    let (written, rest) = words::keyword(text);
    let initial = written.bytes().next().unwrap_or_default().to_ascii_uppercase();
    let is_it = |keyword: &str| keyword.as_bytes()[0] == initial && keyword.eq_ignore_ascii_case(written);
    let Some((keyword, known, read)) = INSTRUCTIONS.iter().find(|(keyword, ..)| is_it(keyword)) else {
        return Err(unknown(written));
    };
    let (flags, text) = Flags::take(rest, escape, known)?;
    let line = Rest { keyword, written, text, flags, escape, heredocs };
    match read {
        Some(read) => read(&line).map(Parsed::Command),
        None => line.from().map(Parsed::From),
    }
}

fn unknown(word: &str) -> Problem<'_> {
    let message = format!("unknown instruction: {word}");
    Problem::new(
        match nearest(&word.to_ascii_uppercase(), INSTRUCTIONS.map(|(keyword, ..)| keyword)) {
            Some(meant) if word.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                format!("{message} (did you mean {}?)", meant.to_ascii_lowercase())
            }
            Some(meant) => format!("{message} (did you mean {meant}?)"),
            None => message,
        },
        word,
    )
}

/// An instruction behind its keyword and flags.
struct Rest<'a> {
    keyword: &'static str,
    /// The keyword as it stands in the file.
    written: &'a str,
    text: &'a str,
    flags: Flags<'a>,
    escape: char,
    heredocs: &'a [Heredoc<'a>],
}

impl<'a> Rest<'a> {
    /// Something is missing or too much: there is no better place to show than the keyword.
    fn problem(&self, message: &str) -> Problem<'a> {
        Problem::new(format!("{} {message}", self.keyword), self.written)
    }

    fn at_least_one<T>(&self, found: Vec<T>) -> Result<'a, Vec<T>> {
        if found.is_empty() { Err(self.problem("requires at least one argument")) } else { Ok(found) }
    }

    /// The whole rest is one value.
    fn value(&self) -> Result<'a, &'a str> {
        if self.text.is_empty() { Err(self.problem("requires exactly one argument")) } else { Ok(self.text) }
    }

    /// A list in JSON form, if it is one.
    fn json(&self, text: &'a str) -> Result<'a, Option<Vec<Word<'a>>>> {
        match words::json(text) {
            Json::List(list) => Ok(Some(list)),
            Json::No => Ok(None),
            Json::Mixed => {
                let message = "when using JSON array syntax, arrays must be comprised of strings only";
                Err(Problem::new(message, text))
            }
        }
    }

    /// A list in JSON form, or words.
    fn list(&self) -> Result<'a, (Vec<Word<'a>>, bool)> {
        Ok(match self.json(self.text)? {
            Some(list) => (list, true),
            None => (words::plain(self.text).map(Cow::Borrowed).collect(), false),
        })
    }

    fn command(&self, text: &'a str) -> Result<'a, CommandLine<'a>> {
        Ok(match self.json(text)? {
            Some(words) => CommandLine::Exec(words),
            None => CommandLine::Shell(text),
        })
    }

    fn from(&self) -> Result<'a, From<'a>> {
        let mut words = words::plain(self.text);
        let all = [words.next(), words.next(), words.next(), words.next()];
        let (image, name) = match all {
            [Some(image), None, ..] => (image, None),
            [Some(image), Some(keyword), Some(name), None] if keyword.eq_ignore_ascii_case("as") => {
                (image, Some(name))
            }
            _ => return Err(self.problem("requires either one or three arguments")),
        };
        if let Some(name) = name.filter(|name| !is_stage_name(name)) {
            let why = "name can't start with a number or contain symbols";
            return Err(Problem::new(format!("invalid name for build stage: {name:?}, {why}"), name));
        }
        Ok(From { image, name, platform: self.flags.text("platform") })
    }

    fn args(&self) -> Result<'a, Vec<Arg<'a>>> {
        let arg = |word: &'a str| match words::assignment(word) {
            Some(("", _)) => Err(Problem::new("ARG names can not be blank", word)),
            Some((key, value)) => Ok(Arg { key, value: Some(value) }),
            None => Ok(Arg { key: word, value: None }),
        };
        self.at_least_one(words::quoted(self.text, self.escape).map(arg).collect::<Result<'a, _>>()?)
    }

    /// `key=value...`, or the old `key value` where the value is the rest.
    fn pairs(&self) -> Result<'a, Vec<Pair<'a>>> {
        let mut pairs = Vec::new();
        for word in words::quoted(self.text, self.escape) {
            match words::assignment(word) {
                Some(("", _)) => {
                    return Err(Problem::new(format!("{} names can not be blank", self.keyword), word));
                }
                Some((key, value)) => pairs.push(Pair { key, value, is_legacy: false }),
                None if pairs.is_empty() => {
                    let (key, value) = words::keyword(self.text);
                    if value.is_empty() {
                        return Err(self.problem("must have two arguments"));
                    }
                    return Ok(Vec::from([Pair { key, value, is_legacy: true }]));
                }
                None => {
                    let form = "Must be of the form: name=value";
                    return Err(Problem::new(
                        format!("Syntax error - can't find = in {word:?}. {form}"),
                        word,
                    ));
                }
            }
        }
        self.at_least_one(pairs)
    }

    fn volumes(&self) -> Result<'a, Vec<Word<'a>>> {
        let mut volumes = self.at_least_one(self.list()?.0)?;
        for volume in &mut volumes {
            if volume.trim().len() < volume.len() {
                *volume = Cow::Owned(volume.trim().into());
            }
            if volume.is_empty() {
                return Err(Problem::new("VOLUME specified can not be an empty string", self.text));
            }
        }
        Ok(volumes)
    }

    fn shell(&self) -> Result<'a, Vec<Word<'a>>> {
        match self.json(self.text)? {
            Some(words) => self.at_least_one(words),
            None if self.text.is_empty() => Err(self.problem("requires at least one argument")),
            None => Err(self.problem("requires the arguments to be in JSON form")),
        }
    }

    fn onbuild(&self) -> Result<'a, Onbuild<'a>> {
        let (keyword, _) = words::keyword(self.text);
        match keyword.to_ascii_uppercase().as_str() {
            "" => return Err(self.problem("requires at least one argument")),
            "ONBUILD" => {
                return Err(Problem::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", keyword));
            }
            forbidden @ ("FROM" | "MAINTAINER") => {
                return Err(Problem::new(
                    format!("{forbidden} isn't allowed as an ONBUILD trigger"),
                    keyword,
                ));
            }
            _ => {}
        }
        let Parsed::Command(command) = parse(self.text, self.heredocs, self.escape)? else {
            return Err(Problem::new("FROM isn't allowed as an ONBUILD trigger", keyword));
        };
        let mut trigger = Cow::Borrowed(self.text);
        for heredoc in self.heredocs {
            let trigger = trigger.to_mut();
            for part in ["\n", heredoc.body, &heredoc.name] {
                trigger.push_str(part);
            }
        }
        Ok(Onbuild { trigger, command })
    }

    fn run(&self) -> Result<'a, Run<'a>> {
        let flags = &self.flags;
        for (written, mount) in flags.each("mount").filter(|(_, mount)| !mount.contains('$')) {
            Mount::parse(mount, |value| Ok(value.into()))
                .map_err(|message| Problem::new(message, written))?;
        }
        let device = |(written, text): (&'a str, &Word<'a>)| {
            device(text).map_err(|message| Problem::new(message, written))
        };
        let network = match flags.text("network").as_deref() {
            None | Some("default") => Network::Default,
            Some("none") => Network::None,
            Some("host") => Network::Host,
            Some(other) => {
                let message = format!("invalid network mode {other:?}");
                return Err(Problem::new(message, flags.written("network")));
            }
        };
        let security = match flags.text("security").as_deref() {
            None | Some("sandbox") => Security::Sandbox,
            Some("insecure") => Security::Insecure,
            Some(other) => {
                let message = format!("security {other:?} is not valid");
                return Err(Problem::new(message, flags.written("security")));
            }
        };
        Ok(Run {
            command: self.command(self.text)?,
            heredocs: self.heredocs,
            mounts: flags.all("mount"),
            network,
            security,
            devices: flags.each("device").map(device).collect::<Result<'a, _>>()?,
        })
    }

    fn copy(&self) -> Result<'a, Copy<'a>> {
        let from = self.flags.text("from");
        if from.as_deref().is_some_and(|from| from.contains('$')) {
            let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG \
                           from global scope as a workaround";
            return Err(Problem::new(message, self.flags.written("from")));
        }
        let parents = self.flags.bool("parents").unwrap_or_default();
        Ok(Copy { transfer: self.transfer()?, from, parents })
    }

    fn add(&self) -> Result<'a, Add<'a>> {
        Ok(Add {
            transfer: self.transfer()?,
            checksum: self.flags.text("checksum"),
            keep_git_dir: self.flags.bool("keep-git-dir"),
            unpack: self.flags.bool("unpack"),
        })
    }

    fn transfer(&self) -> Result<'a, Transfer<'a>> {
        let (mut sources, is_json) = self.list()?;
        let destination = sources.pop().filter(|_| !sources.is_empty()).ok_or_else(|| {
            self.problem(
                "requires at least two arguments, but only one was provided. Destination could not be determined",
            )
        })?;
        let mut heredocs = Vec::new();
        if !is_json {
            if heredoc::parse(&destination).is_some() {
                return Err(self.problem("cannot accept a heredoc as a destination"));
            }
            let mut documents = self.heredocs.iter();
            sources.retain(|source| {
                let document = heredoc::parse(source)
                    .and_then(|word| documents.find(|document| document.name == word.name));
                heredocs.extend(document);
                document.is_none()
            });
        }
        Ok(Transfer {
            sources,
            heredocs,
            destination,
            chown: self.flags.text("chown"),
            chmod: self.flags.text("chmod"),
            link: self.flags.bool("link").unwrap_or_default(),
            excludes: self.flags.all("exclude"),
        })
    }

    fn healthcheck(&self) -> Result<'a, Healthcheck<'a>> {
        let (kind, rest) = words::keyword(self.text);
        match kind.to_ascii_uppercase().as_str() {
            "" => return Err(self.problem("requires at least one argument")),
            "NONE" if rest.is_empty() => return Ok(Healthcheck::Disabled),
            "NONE" => return Err(Problem::new("HEALTHCHECK NONE takes no arguments", rest)),
            "CMD" => {}
            other => {
                let message = format!("Unknown type {other:?} in HEALTHCHECK (try CMD)");
                return Err(Problem::new(message, kind));
            }
        }
        let command = self.command(rest)?;
        if command.is_empty() {
            return Err(Problem::new("Missing command after HEALTHCHECK CMD", kind));
        }
        Ok(Healthcheck::Probe {
            command,
            interval_ns: self.duration("interval")?,
            timeout_ns: self.duration("timeout")?,
            start_period_ns: self.duration("start-period")?,
            start_interval_ns: self.duration("start-interval")?,
            retries: self.retries()?,
        })
    }

    fn duration(&self, name: &str) -> Result<'a, i64> {
        let Some(text) = self.flags.text(name) else { return Ok(0) };
        let message = match duration::parse(&text) {
            Ok(nanos) if nanos == 0 || nanos >= SECOND / 1000 => return Ok(nanos),
            Ok(_) => format!("Interval {name:?} cannot be less than 1ms"),
            Err(error) => format!("{error}"),
        };
        Err(Problem::new(message, self.flags.written(name)))
    }

    fn retries(&self) -> Result<'a, u32> {
        let Some(text) = self.flags.text("retries") else { return Ok(0) };
        let message = match text.parse::<i32>() {
            Ok(count @ 0..) => return Ok(count.unsigned_abs()),
            Ok(count) => format!("--retries cannot be negative ({count})"),
            Err(_) => format!("strconv.ParseInt: parsing {text:?}: invalid syntax"),
        };
        Err(Problem::new(message, self.flags.written("retries")))
    }
}

const RUN_FLAGS: [(&str, Kind); 4] =
    [("mount", Kind::Many), ("network", Kind::Text), ("security", Kind::Text), ("device", Kind::Many)];
const COPY_FLAGS: [(&str, Kind); 6] = [
    ("chown", Kind::Text),
    ("from", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("exclude", Kind::Many),
    ("parents", Kind::Bool),
];
const ADD_FLAGS: [(&str, Kind); 7] = [
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("keep-git-dir", Kind::Bool),
    ("checksum", Kind::Text),
    ("unpack", Kind::Bool),
    ("exclude", Kind::Many),
];
const HEALTHCHECK_FLAGS: [(&str, Kind); 5] = [
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

/// In any case, a letter and then letters, digits, `-`, `_` and `.`.
fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// `name`, `name,required`, `name=x,required=true`.
fn device(text: &str) -> core::result::Result<Device, String> {
    let mut device = Device { name: String::new(), required: false };
    for field in mount::fields(text).map_err(|why| format!("failed to parse csv devices: {why}"))? {
        let (key, value) = mount::setting(&field);
        match (&*key, value) {
            ("required", None) => device.required = true,
            ("required", Some(value)) => device.required = mount::boolean("required", value)?,
            ("name", Some(_)) if !device.name.is_empty() => {
                return Err(format!("device name already set to {}", device.name));
            }
            ("name", Some(value)) => device.name = value.into(),
            _ if device.name.is_empty() => device.name = field.into(),
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            (key, Some(_)) => {
                let message = format!("unexpected key '{key}' in '{field}'");
                return Err(mount::suggested(message, key, ["name", "required"]));
            }
        }
    }
    Ok(device)
}

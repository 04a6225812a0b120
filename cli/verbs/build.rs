//! `skiff build`: a Dockerfile and a context -> an image. Without a daemon, POST /skiff/build with the path of the
//! directory; else its files go up with POST /build.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};
use serde_json::{Value, json};
use skiff_core::{
    api::head::Method,
    build::{Options, request::Request},
    file::{self, CWD},
    image::reference::Reference,
};

use super::Context;
use crate::{
    build::{
        carried,
        check::check,
        describe::{self, Method as Call, describe},
        export::{self, Export},
        flags::{FLAGS, options},
        show::{self, Form},
        source::{Place, Source, other_context},
        trace, upload,
    },
    client::{Upload, path},
    create::flags::Flags,
    failure::{Failure, Outcome},
    output,
};

/// The words after the verb, sorted out -> what came of it.
pub fn start(context: &Context, words: &[&str]) -> Outcome {
    let (flags, words) = Flags::collect_of(FLAGS, words).map_err(Failure::refused)?;
    let mut options = options(&flags, &context.environment).map_err(Failure::refused)?;
    options.contexts = flags.all("--build-context").map(other_context).collect::<Result<_, _>>()?;
    options.cache_from = flags.all("--cache-from").map(carried::from).collect::<Result<_, _>>()?;
    options.cache_to = flags.all("--cache-to").map(carried::to).collect::<Result<_, _>>()?;
    let exports =
        flags.all("--output").map(Export::parse).collect::<Result<Vec<_>, _>>().map_err(Failure::refused)?;
    let call = match flags.one("--call").or_else(|| flags.one("--print")) {
        None if flags.on("--check") => "check",
        Some(call) => call,
        None => "build",
    };
    let call = describe::parse(call, flags.one("--format")).map_err(Failure::refused)?;
    let form = Form::parse(flags.one("--progress"), flags.on("--quiet")).map_err(Failure::refused)?;
    let source = Source::find(words.first().map_or("", String::as_str), flags.one("--file"))?;
    if let Some((method, format)) = call {
        if let Place::Archive(_) = source.place {
            return Err(Failure::new("--call: the Dockerfile can't be in a tar on stdin"));
        }
        let (text, exit) = match method {
            Call::Check => {
                let ignore = upload::left_out(&source)?;
                check(&source.name, &source.dockerfile, &ignore, &options, &context.client, format)?
            }
            _ => (describe(&source.name, &source.dockerfile, &options, (method, format))?, 0),
        };
        output::write(text.as_bytes())?;
        return Ok(exit);
    }
    export::check(&exports, &options.annotations)?;
    export::name(&mut options.tags, &exports, flags.on("--load"));
    let names = full_names(&options)?;
    let notes = Notes { id: flags.one("--iidfile"), metadata: flags.one("--metadata-file") };
    notes.forget()?;
    let mut timeline = flags.one("--trace").map(|path| (path, Vec::new()));
    let built = build(context, source, options, form, &names, timeline.as_mut().map(|(_, events)| events));
    if let Some((path, events)) = timeline {
        let written = write(path, trace::timeline(events).as_bytes());
        written.map_err(|errno| Failure::io("write", path, errno))?;
    }
    let id = built?;
    for export in &exports {
        export.write(&context.client, &id, &names, form == Form::Live)?;
    }
    notes.write(&id, &names)?;
    if form == Form::Quiet && !exports.iter().any(Export::is_to_stdout) {
        output::line(&id)?;
    }
    Ok(0)
}

/// Builds, and shows how it goes: the image's id.
fn build(
    context: &Context,
    source: Source,
    options: Options,
    form: Form,
    names: &[String],
    timeline: Option<&mut Vec<Value>>,
) -> Result<String, Failure> {
    let directory = match &source.place {
        Place::Directory(path) if context.client.is_local() => path.clone(),
        Place::Nowhere if context.client.is_local() => String::new(),
        _ if timeline.is_some() => {
            let why =
                "--trace: only an engine on this machine, building a directory, tells when its steps run";
            return Err(Failure::new(why));
        }
        _ => {
            let reply = upload::send(&context.client, &source, &options, form == Form::Quiet)?;
            return show::classic(reply, form);
        }
    };
    let Source { name, dockerfile, ignore, .. } = source;
    let request = Request { context: directory, name, dockerfile, ignore, options };
    let body = json!(request);
    let reply = context.client.request(Method::Post, &path(&["skiff", "build"]), Upload::Json(&body))?;
    show::events(reply, form, names, timeline)
}

/// The names that the image is to get, in full.
fn full_names(options: &Options) -> Result<Vec<String>, Failure> {
    let full = |tag: &String| Ok(format!("{}", Reference::parse(tag)?.or_latest()));
    options.tags.iter().map(full).collect()
}

/// Files that tell a script what became of the build.
struct Notes<'a> {
    id: Option<&'a str>,
    metadata: Option<&'a str>,
}

impl Notes<'_> {
    /// Takes away what an earlier build has left, so that nothing is there unless this one succeeds.
    fn forget(&self) -> Result<(), Failure> {
        let files = [self.id, self.metadata];
        for path in files.into_iter().flatten() {
            if !is_special(path) {
                match rustix::fs::unlink(path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(Failure::io("remove", path, errno)),
                }
            }
        }
        Ok(())
    }

    fn write(&self, id: &str, names: &[String]) -> Result<(), Failure> {
        let mut metadata = json!({"containerimage.config.digest": id});
        if !names.is_empty() {
            metadata["image.name"] = names.join(",").into();
        }
        for (path, text) in [(self.id, id.to_owned()), (self.metadata, format!("{metadata:#}"))] {
            if let Some(path) = path {
                write(path, text.as_bytes()).map_err(|errno| Failure::io("write", path, errno))?;
            }
        }
        Ok(())
    }
}

/// Whether it is a pipe or a device, which is written to and not replaced.
fn is_special(path: &str) -> bool {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty());
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile)
}

fn write(path: &str, text: &[u8]) -> Result<(), Errno> {
    if is_special(path) {
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        return file::write_all(rustix::fs::openat(CWD, path, flags, Mode::empty())?, text);
    }
    file::create(CWD, path, text, 0o644).map(drop)
}

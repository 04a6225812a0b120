//! `skiff cp`: HEAD and PUT /containers/{id}/archive into a container, GET out of it. On this side the tree is packed and
//! placed as in the engine; a container's archive can't reach beyond the directory that it is placed in.

pub mod paths;

use argh::prelude::*;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, readlinkat, statat},
    io::Errno,
};
use serde_json::Value;
use skiff_core::{
    Context as _, Error,
    api::head::Method,
    base64, clock, file,
    layer::{
        pack::{Form, Pack},
        place::{Owner, Replace, Rules, place},
    },
};
use skiff_syscalls::descriptor;

use self::paths::{
    Destination, base, clean, followed, has_slash, join_link, plan, split_argument, split_entry,
};
use super::{Context, Verb, number, text};
use crate::{
    client::{Reply, Upload, path, query},
    download,
    failure::{Failure, Outcome},
    output,
    table::size,
    terminal,
};

/// Links that are followed on this machine.
const MOST_LINKS: u32 = 10;
/// The bits of a Go file mode.
const GO_DIRECTORY: i64 = 1 << 31;
const GO_LINK: i64 = 1 << 27;
const GO_DEVICE: i64 = 1 << 26;

/// copy files between a container and this machine
#[derive(FromArgs, ArgsInfo)]
pub struct Cp {
    /// keep owners when copying out; give files to the container's user when copying in
    #[argh(switch, short = 'a')]
    archive: bool,
    /// follow the source if it is a link
    #[argh(switch, short = 'L')]
    follow_link: bool,
    /// don't tell on the terminal how much was copied
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(positional)]
    source: String,
    #[argh(positional)]
    destination: String,
}

impl Verb for Cp {
    fn run(self, context: &Context) -> Outcome {
        let (from, source) = split_argument(&self.source);
        let (to, destination) = split_argument(&self.destination);
        if self.source.is_empty() {
            return Err(Failure::new("source can not be empty"));
        }
        if self.destination.is_empty() {
            return Err(Failure::new("destination can not be empty"));
        }
        match (from, to) {
            (Some(container), None) => self.copy_out(context, container, source, destination),
            (None, Some(container)) => self.copy_in(context, container, source, destination),
            (Some(_), Some(_)) => Err(Failure::new("copying between containers is not supported")),
            (None, None) => Err(Failure::new("must specify at least one container source")),
        }
    }
}

impl Cp {
    fn copy_out(&self, context: &Context, container: &str, source: &str, destination: &str) -> Outcome {
        if destination != "-" {
            check_output(destination)?;
        }
        let (mut source, mut name) = (source.to_owned(), None);
        if self.follow_link
            && let Ok(stat) = stat(context, container, &source)
            && number(&stat, "mode") & GO_LINK != 0
        {
            (source, name) = followed(&source, &join_link(&source, text(&stat, "linkTarget")));
        }
        let mut reply = context.client.request(Method::Get, &archive(container, &source), Upload::Nothing)?;
        if destination == "-" {
            download::copy(&mut reply, &mut |part| output::write(part))?;
            return Ok(0);
        }
        let is_directory = number(&described(&reply)?, "mode") & GO_DIRECTORY != 0;
        let to = local_destination(&absolute(destination)?)?;
        let (directory, renamed) = plan(&to, is_directory).map_err(Failure::new)?;
        let first = match base(&source) {
            "." | "/" => String::new(),
            name => name.to_owned(),
        };
        let rename = renamed.or(name).map(|new| (first.into_bytes(), new.into_bytes()));
        let owner = if self.archive { Owner::Stated } else { Owner::Maker };
        let rules = Rules { replace: Replace::SameKind, owner, rename };
        let root = file::directory(CWD, directory.as_str()).context("open", &directory)?;
        let mut progress = Progress::new("Copying from container", self.quiet);
        let mut broken = None;
        let mut source = |buffer: &mut [u8]| match reply.read(buffer) {
            Ok(length) => {
                progress.add(length);
                Ok(length)
            }
            Err(failure) => {
                broken = Some(failure);
                Err(Error::os("read", "archive", Errno::IO))
            }
        };
        let placed = place(&mut source, root, b"", &rules);
        if let Some(failure) = broken {
            return Err(failure);
        }
        placed?;
        progress.end(&to.path);
        Ok(0)
    }

    fn copy_in(&self, context: &Context, container: &str, source: &str, destination: &str) -> Outcome {
        let mut to = Destination { path: destination.into(), is_directory: None };
        let mut found = stat(context, container, destination);
        if let Ok(stat) = &found
            && number(stat, "mode") & GO_LINK != 0
        {
            to.path = join_link(destination, text(stat, "linkTarget"));
            found = self::stat(context, container, &to.path);
        }
        if let Ok(stat) = &found {
            let mode = number(stat, "mode");
            if mode & GO_DEVICE != 0 {
                return Err(Failure::new(format!(
                    "destination \"{container}:{destination}\" must be a directory or a regular file: got a device"
                )));
            }
            to.is_directory = Some(mode & GO_DIRECTORY != 0);
        }
        let mut progress = Progress::new("Copying to container", self.quiet);
        if source == "-" {
            if to.is_directory != Some(true) {
                return Err(Failure::new(format!(
                    "destination \"{container}:{destination}\" must be a directory"
                )));
            }
            let mut buffer = vec![0; 128 << 10];
            self.put(context, container, &to.path, &mut |send| {
                loop {
                    match file::read_part(descriptor::standard()[0], &mut buffer).context("read", "stdin")? {
                        0 => return Ok(()),
                        length => send(&buffer[..length])?,
                    }
                }
            })?;
            return Ok(0);
        }
        let source = Source::open(source, self.follow_link)?;
        let (directory, renamed) = plan(&to, source.is_directory).map_err(Failure::new)?;
        let top = renamed.unwrap_or_else(|| source.name.clone());
        self.put(context, container, &directory, &mut |send| {
            let mut sink = |part: &[u8]| {
                progress.add(part.len());
                send(part)
            };
            let mut pack = Pack::new(&mut sink, Form::Copy);
            match &source.entry {
                Some(entry) => pack.named(source.directory.as_fd(), entry.as_bytes(), top.as_bytes())?,
                None => pack.directory(source.directory.as_fd(), top.as_bytes())?,
            }
            Ok(pack.finish()?)
        })?;
        progress.end(&format!("{container}:{}", to.path));
        Ok(0)
    }

    fn put(
        &self,
        context: &Context,
        container: &str,
        directory: &str,
        pusher: &mut crate::client::Pusher<'_>,
    ) -> Result<(), Failure> {
        let mut target = archive(container, directory);
        query(&mut target, "noOverwriteDirNonDir", "true");
        if self.archive {
            query(&mut target, "copyUIDGID", "true");
        }
        // The reply has no body.
        let mut pusher = |send: &mut dyn FnMut(&[u8]) -> skiff_core::Result<()>| pusher(send);
        context.client.request(Method::Put, &target, Upload::Push("application/x-tar", &mut pusher)).map(drop)
    }
}

/// What is copied into a container, opened.
struct Source {
    /// The directory that it is in, or itself if its content is meant.
    directory: OwnedFd,
    /// Its name there.
    entry: Option<String>,
    is_directory: bool,
    /// What it is called in the archive.
    name: String,
}

impl Source {
    fn open(given: &str, follow: bool) -> Result<Source, Failure> {
        let asked = absolute(given)?;
        let link = |flags| statat(CWD, asked.as_str(), flags);
        let stat = if follow { link(AtFlags::empty()) } else { link(AtFlags::SYMLINK_NOFOLLOW) };
        let stat = stat.context("lstat", &asked)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let open = |path: &str| file::directory(CWD, path).context("open", path);
        if is_directory {
            // With a trailing slash or dot, or because it is to be followed.
            let name = base(&asked).to_owned();
            return Ok(Source { directory: open(&asked)?, entry: None, is_directory, name });
        }
        let mut resolved = clean(&asked);
        let name = base(&resolved).to_owned();
        if follow {
            let opened =
                rustix::fs::openat(CWD, resolved.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let opened = opened.context("open", &resolved)?;
            let number = rustix::fd::AsRawFd::as_raw_fd(&opened);
            resolved =
                file::link_target(CWD, format!("/proc/self/fd/{number}")).context("read link", &resolved)?;
        }
        let (directory, entry) = split_entry(&resolved);
        Ok(Source { directory: open(&directory)?, entry: Some(entry), is_directory, name })
    }
}

fn archive(container: &str, inside: &str) -> String {
    let mut target = path(&["containers", container, "archive"]);
    query(&mut target, "path", inside);
    target
}

/// What a path in a container is.
fn stat(context: &Context, container: &str, inside: &str) -> Result<Value, Failure> {
    let reply = context.client.request(Method::Head, &archive(container, inside), Upload::Nothing)?;
    described(&reply)
}

fn described(reply: &Reply) -> Result<Value, Failure> {
    let field = reply.headers.get("x-docker-container-path-stat").and_then(base64::decode);
    field
        .and_then(|json| skiff_core::json::from_slice(&json).ok())
        .ok_or_else(|| Failure::new("read the engine's answer: it does not say what the path is"))
}

/// A path of this machine, with its ending kept.
fn absolute(given: &str) -> Result<String, Failure> {
    if given.starts_with('/') {
        return Ok(paths::with_ending_of(&clean(given), given));
    }
    let here = rustix::process::getcwd(Vec::new()).context("find", "working directory")?;
    let whole = format!("{}/{given}", here.to_string_lossy());
    Ok(paths::with_ending_of(&clean(&whole), given))
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Checks that something can be written there, as far as that can be told before anything is asked for.
pub fn check_output(given: &str) -> Result<(), Failure> {
    let path = absolute(given)?;
    let (parent, _) = split_entry(&clean(&path));
    if statat(CWD, parent.as_str(), AtFlags::empty()).is_err_and(|errno| errno == Errno::NOENT) {
        return Err(Failure::new(format!("invalid output path: directory \"{parent}\" does not exist")));
    }
    if statat(CWD, path.as_str(), AtFlags::empty())
        .is_ok_and(|stat| matches!(kind(&stat), FileType::CharacterDevice | FileType::BlockDevice))
    {
        return Err(Failure::new(format!(
            "invalid output path: \"{path}\" must be a directory or a regular file: got a device"
        )));
    }
    Ok(())
}

/// The destination on this machine: links are followed, also one that leads to nothing.
fn local_destination(path: &str) -> Result<Destination, Failure> {
    let mut path = path.to_owned();
    for _ in 0..=MOST_LINKS {
        match statat(CWD, path.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if kind(&stat) == FileType::Symlink => {
                let target = readlinkat(CWD, path.as_str(), Vec::new()).context("read link", &path)?;
                path = join_link(&path, &target.to_string_lossy());
            }
            Ok(stat) => {
                let is_directory = Some(kind(&stat) == FileType::Directory);
                return Ok(Destination { path, is_directory });
            }
            Err(Errno::NOENT) => {
                let (parent, _) = split_entry(&path);
                let stat = statat(CWD, parent.as_str(), AtFlags::empty()).context("stat", &parent)?;
                if kind(&stat) != FileType::Directory {
                    return Err(Failure::new(format!("{parent}: not a directory")));
                }
                return Ok(Destination { path, is_directory: None });
            }
            Err(errno) => return Err(Error::os("stat", path, errno).into()),
        }
    }
    debug_assert!(!has_slash(&path));
    Err(Failure::new(format!("too many links: {path}")))
}

/// How much was copied, on a terminal.
struct Progress {
    what: &'static str,
    shown: bool,
    bytes: u64,
    /// When it is told again.
    next: i64,
}

impl Progress {
    /// Short copies are told at their end only.
    fn new(what: &'static str, quiet: bool) -> Self {
        let shown = !quiet && terminal::stderr_is_terminal();
        Progress { what, shown, bytes: 0, next: clock::monotonic() + clock::SECOND }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.shown && clock::monotonic() > self.next {
            self.next = clock::monotonic() + clock::SECOND / 5;
            output::note(&format!("\r\x1b[K{} - {}", self.what, size(self.bytes, 3)));
        }
    }

    fn end(&self, to: &str) {
        if self.shown {
            output::note(&format!("\r\x1b[KSuccessfully copied {} to {to}\n", size(self.bytes, 3)));
        }
    }
}

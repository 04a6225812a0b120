//! A build by an engine that can't see the client's files, or with a tar from stdin: POST /build, as Docker's classic
//! builder has it.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{fd::AsFd, io::Errno};
use serde_json::json;
use skiff_core::{
    Context as _,
    api::head::Method,
    build::Options,
    dockerfile::ignore::Patterns,
    file::{self, CWD},
    layer::pack::{Form, Pack},
};
use skiff_syscalls::descriptor;

use super::source::{Place, Source};
use crate::{
    client::{Client, Reply, Upload, path, query},
    failure::Failure,
    files,
};

const KIND: &str = "application/x-tar";
/// What a Dockerfile is called in there that is not in the context.
const SENT: &str = ".dockerfile.skiff";

/// Sends the build.
pub fn send(client: &Client, source: &Source, options: &Options, is_quiet: bool) -> Result<Reply, Failure> {
    check(options)?;
    let left_out = left_out(source)?;
    // The engine has to have it, whatever is left out.
    let inside = source.inside.as_deref().filter(|path| !left_out.matches(path.as_bytes()));
    let name = match &source.place {
        Place::Archive(_) => &source.name,
        _ => inside.unwrap_or(SENT),
    };
    let target = target(options, name, is_quiet);
    let mut push = |send: &mut dyn FnMut(&[u8]) -> skiff_core::Result<()>| match &source.place {
        Place::Archive(head) => hand_on(head, send),
        place => {
            let mut pack = Pack::new(send, Form::Copy);
            let mut own = Vec::new();
            if let Place::Directory(directory) = place {
                let directory = file::directory(CWD, directory.as_str()).context("open", directory)?;
                if inside.is_none() {
                    own = ignore(source)?;
                    own.extend_from_slice(b"\n.dockerignore\n");
                }
                let mut patterns = left_out.clone();
                if inside.is_none() {
                    patterns = patterns.and(Patterns::of([b".dockerignore".as_slice()])?);
                }
                pack.leave_out(patterns);
                pack.content(directory.as_fd())?;
            }
            if inside.is_none() {
                pack.text(SENT.as_bytes(), &source.dockerfile)?;
                pack.text(b".dockerignore", &[&own, SENT.as_bytes(), b"\n"].concat())?;
            }
            Ok(pack.finish()?)
        }
    };
    client.request(Method::Post, &target, Upload::Push(KIND, &mut push))
}

/// What only the local request can say.
fn check(options: &Options) -> Result<(), Failure> {
    let flag = match options {
        options if !options.secrets.is_empty() => "--secret",
        options if !options.ssh.is_empty() => "--ssh",
        options if !options.annotations.is_empty() => "--annotation",
        options if !options.contexts.is_empty() => "--build-context",
        options if !options.cache_from.is_empty() => "--cache-from",
        options if !options.cache_to.is_empty() => "--cache-to",
        options if !options.no_cache_filter.is_empty() => "--no-cache-filter",
        options if options.explain => "--explain",
        _ => return Ok(()),
    };
    Err(Failure::new(format!("{flag}: only for a build of a directory without -H")))
}

fn target(options: &Options, dockerfile: &str, is_quiet: bool) -> String {
    let mut target = path(&["build"]);
    let args: BTreeMap<&String, &String> = options.args.iter().map(|(name, value)| (name, value)).collect();
    let labels: BTreeMap<&String, &String> =
        options.labels.iter().map(|(name, value)| (name, value)).collect();
    let flag = |flag: bool| if flag { "1" } else { "" }.to_string();
    let number = |number: i64| if number == 0 { String::new() } else { number.to_string() };
    let limits = &options.resources;
    for (key, value) in [
        ("dockerfile", dockerfile.to_string()),
        ("buildargs", json!(args).to_string()),
        ("labels", json!(labels).to_string()),
        ("target", options.target.clone()),
        ("platform", options.platform.clone()),
        ("networkmode", options.network.clone()),
        ("shmsize", number(options.shm_size as i64)),
        ("memory", number(limits.memory)),
        ("memswap", number(limits.memory_swap)),
        ("cpushares", number(limits.cpu_shares)),
        ("cpuperiod", number(limits.cpu_period)),
        ("cpuquota", number(limits.cpu_quota)),
        ("cpusetcpus", limits.cpuset_cpus.clone()),
        ("cpusetmems", limits.cpuset_mems.clone()),
        ("cgroupparent", options.cgroup_parent.clone()),
        (
            "ulimits",
            if options.ulimits.is_empty() { String::new() } else { json!(options.ulimits).to_string() },
        ),
        ("nocache", flag(options.no_cache)),
        ("squash", flag(options.squash)),
        ("q", flag(is_quiet)),
        ("epoch", options.epoch.map(|epoch| epoch.to_string()).unwrap_or_default()),
        ("version", "1".into()),
        ("rm", "1".into()),
    ] {
        if !value.is_empty() {
            query(&mut target, key, &value);
        }
    }
    options.tags.iter().for_each(|tag| query(&mut target, "t", tag));
    options.extra_hosts.iter().for_each(|host| query(&mut target, "extrahosts", host));
    target
}

/// What is left out of a context.
pub fn left_out(source: &Source) -> Result<Patterns, Failure> {
    Ok(Patterns::parse(&ignore(source)?)?)
}

/// The text of the file that says it.
fn ignore(source: &Source) -> Result<Vec<u8>, Failure> {
    match (&source.ignore, &source.place) {
        (Some(text), _) => Ok(text.as_bytes().into()),
        (None, Place::Directory(directory)) => match files::read(&format!("{directory}/.dockerignore")) {
            Ok(bytes) => Ok(bytes),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(Failure::io("read", ".dockerignore", errno)),
        },
        _ => Ok(Vec::new()),
    }
}

/// A tar from stdin, the head of which was read already.
fn hand_on(head: &[u8], send: &mut dyn FnMut(&[u8]) -> skiff_core::Result<()>) -> Result<(), Failure> {
    send(head)?;
    let mut part = vec![0; 256 << 10];
    loop {
        match file::read_part(descriptor::standard()[0], &mut part)
            .map_err(|errno| Failure::io("read", "stdin", errno))?
        {
            0 => return Ok(()),
            count => send(&part[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use skiff_core::{container::config::Ulimit, process::cgroup::Resources};

    use super::*;

    #[test]
    fn options_are_a_query_of_dockers() {
        let options = Options {
            tags: ["a".into(), "b:1".into()].into(),
            args: [("A".into(), "1".into()), ("A".into(), "2".into())].into(),
            no_cache: true,
            shm_size: 5,
            resources: Resources { memory: 64 << 20, memory_swap: -1, ..Resources::default() },
            ulimits: [Ulimit { name: "core".into(), soft: 0, hard: 0 }].into(),
            ..Options::default()
        };
        assert_eq!(
            target(&options, "sub/D", false),
            "/build?dockerfile=sub%2FD&buildargs=%7B%22A%22%3A%222%22%7D&labels=%7B%7D&shmsize=5&memory=67108864\
             &memswap=-1&ulimits=%5B%7B%22Hard%22%3A0%2C%22Name%22%3A%22core%22%2C%22Soft%22%3A0%7D%5D&nocache=1&version=1&rm=1\
             &t=a&t=b%3A1"
        );
        let options = Options { explain: true, ..Options::default() };
        assert_eq!(
            check(&options).unwrap_err().message,
            "--explain: only for a build of a directory without -H"
        );
    }
}

//! PATH and `--file` -> the Dockerfile and where the context is. What is on stdin is read here.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use rustix::io::Errno;
use skiff_core::{
    build::plan::IMAGE_CONTEXT,
    file::{self, CWD},
};
use skiff_syscalls::descriptor;

use crate::{
    failure::{Failure, errno_words},
    files,
};

/// Most bytes of a Dockerfile: what the engine takes in a request.
const DOCKERFILE_BYTES_MAX: usize = 2 << 20;
/// Bytes that tell an archive from a Dockerfile.
const HEAD_BYTES: usize = 512;

/// Where the files of the context are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// There are none.
    Nowhere,
    /// In the directory of this absolute path.
    Directory(String),
    /// In a tar on stdin, of which this was read already.
    Archive(Vec<u8>),
}

/// What is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The context.
    pub place: Place,
    /// What the Dockerfile is called in messages; of an archive, its path in there.
    pub name: String,
    /// Its text; of an archive there is none yet.
    pub dockerfile: Vec<u8>,
    /// Its path in the context, if it is in there.
    pub inside: Option<String>,
    /// What a file beside the Dockerfile says is left out of the context.
    pub ignore: Option<String>,
}

impl Source {
    /// Finds and reads it.
    pub fn find(path: &str, file: Option<&str>) -> Result<Source, Failure> {
        if is_remote(path) {
            let failure = Failure::new(format!(
                "unable to prepare context: {path}: nothing is fetched from the network"
            ));
            return Err(failure.hint("get it first, then build its directory"));
        }
        if path == "-" {
            return Self::of_stdin(file);
        }
        let directory = directory(path)?;
        let place = Place::Directory(directory.clone());
        if file == Some("-") {
            let dockerfile = read_stdin(Vec::new())?;
            return Ok(Source { place, name: "Dockerfile".into(), dockerfile, inside: None, ignore: None });
        }
        let (name, found) = match file {
            Some(file) => (file, file.to_owned()),
            None => ("Dockerfile", [&directory, "/Dockerfile"].concat()),
        };
        let dockerfile = files::open(&found).and_then(|file| file::read_all(file, DOCKERFILE_BYTES_MAX + 1));
        let dockerfile = dockerfile.map_err(|errno| {
            let words = errno_words(errno);
            let failure = Failure::new(format!("failed to read dockerfile: open {name}: {words}"));
            match (errno, file) {
                (Errno::NOENT, None) => hinted(failure, path, &directory),
                _ => failure,
            }
        })?;
        let dockerfile = bounded(dockerfile)?;
        let inside = absolute(&found)?;
        let inside = inside.strip_prefix(&format!("{}/", absolute(&directory)?));
        let inside = inside.filter(|path| path.split('/').all(|part| part != "..")).map(Into::into);
        Ok(Source { place, name: name.into(), dockerfile, inside, ignore: ignore_beside(&found)? })
    }

    fn of_stdin(file: Option<&str>) -> Result<Source, Failure> {
        if file == Some("-") {
            return Err(Failure::new(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        let mut head = vec![0; HEAD_BYTES];
        let mut length = 0;
        while length < head.len() {
            match file::read_part(descriptor::standard()[0], &mut head[length..])
                .map_err(|errno| Failure::io("read", "stdin", errno))?
            {
                0 => break,
                count => length += count,
            }
        }
        head.truncate(length);
        if is_archive(&head) {
            let name = file.unwrap_or("Dockerfile").into();
            let place = Place::Archive(head);
            return Ok(Source { place, name, dockerfile: Vec::new(), inside: None, ignore: None });
        }
        if let Some(file) = file {
            return Err(Failure::new(format!("--file {file}: stdin is no archive, but a Dockerfile")));
        }
        let dockerfile = read_stdin(head)?;
        Ok(Source {
            place: Place::Nowhere,
            name: "Dockerfile".into(),
            dockerfile,
            inside: None,
            ignore: None,
        })
    }
}

/// A file that is most likely meant.
fn hinted(failure: Failure, path: &str, directory: &str) -> Failure {
    let other =
        ["dockerfile", "DockerFile", "DOCKERFILE", "Containerfile", "containerfile", "Dockerfile.txt"];
    let there = |name: &&&str| {
        rustix::fs::statat(CWD, [directory, "/", **name].concat(), rustix::fs::AtFlags::empty()).is_ok()
    };
    match other.iter().find(there) {
        Some(name) => {
            failure.hint(&format!("there is {name}: build with -f {}/{name}", path.trim_end_matches('/')))
        }
        None => failure,
    }
}

/// The context's absolute path.
pub(super) fn directory(path: &str) -> Result<String, Failure> {
    let bad = |words: &str| Failure::new(format!("unable to prepare context: {words}"));
    match file::directory(CWD, path) {
        Ok(_) => {}
        Err(Errno::NOENT) => return Err(bad(&format!("path {path:?} not found"))),
        Err(Errno::NOTDIR) => return Err(bad(&format!("path {path:?} is not a directory"))),
        Err(errno) => return Err(bad(&format!("open {path}: {}", errno_words(errno)))),
    }
    absolute(path)
}

/// `--build-context`: the name of a directory or an image, and the directory's absolute path or what says which image.
pub fn other_context(text: &str) -> Result<(String, String), Failure> {
    let invalid = |why: &str| Failure::new(format!("invalid --build-context {text:?}: {why}"));
    let (name, what) =
        text.split_once('=').ok_or_else(|| invalid("it is NAME=DIRECTORY or NAME=docker-image://IMAGE"))?;
    if name.is_empty() || what.is_empty() {
        return Err(invalid("it is NAME=DIRECTORY or NAME=docker-image://IMAGE"));
    }
    if what.starts_with(IMAGE_CONTEXT) {
        return Ok((name.into(), what.into()));
    }
    if what.starts_with("oci-layout:") {
        return Err(
            invalid("an OCI layout is brought by skiff load").hint("then name it with docker-image://IMAGE")
        );
    }
    if is_remote(what) {
        return Err(
            invalid("nothing is fetched from the network").hint("get it first, then name its directory")
        );
    }
    Ok((name.into(), directory(what)?))
}

/// A path from the root, without what a path does not need, as far as its text tells.
pub(super) fn absolute(path: &str) -> Result<String, Failure> {
    let here = match path.starts_with('/') {
        true => String::new(),
        false => files::working_directory().map_err(|errno| Failure::io("open", path, errno))?,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in here.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            // What is above depends on where a link leads: the kernel knows.
            part => parts.push(part),
        }
    }
    Ok(["/", &parts.join("/")].concat())
}

/// `NAME.dockerignore` beside a Dockerfile.
fn ignore_beside(dockerfile: &str) -> Result<Option<String>, Failure> {
    let path = [dockerfile, ".dockerignore"].concat();
    match files::open(&path).and_then(|file| file::read_all(file, DOCKERFILE_BYTES_MAX)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Failure::new(format!("read {path}: it is not UTF-8 text"))),
        },
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Failure::io("read", &path, errno)),
    }
}

fn read_stdin(mut text: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let rest = file::read_all(descriptor::standard()[0], DOCKERFILE_BYTES_MAX + 1);
    text.extend(rest.map_err(|errno| Failure::io("read Dockerfile from", "stdin", errno))?);
    bounded(text)
}

fn bounded(text: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if text.len() > DOCKERFILE_BYTES_MAX {
        return Err(Failure::new("failed to read dockerfile: it is larger than 2 MiB"));
    }
    Ok(text)
}

/// Whether it is what Docker would fetch.
fn is_remote(path: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

/// Whether a stream that begins like this is a tar, compressed or not.
fn is_archive(head: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    magics.iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_told_from_a_dockerfile() {
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(is_archive(&tar) && is_archive(b"\x1f\x8b\x08\0") && is_archive(b"\x28\xb5\x2f\xfd"));
        assert!(!is_archive(b"FROM scratch\n") && !is_archive(b""));
    }

    #[test]
    fn what_would_be_fetched_is_refused() {
        let failure = Source::find("https://example.com/x.git", None).unwrap_err();
        assert!(failure.message.starts_with("unable to prepare context: https://example.com/x.git: nothing"));
        assert!(is_remote("git@github.com:a/b") && !is_remote("./http"));
    }
}

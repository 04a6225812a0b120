//! `--output` -> where the result goes, and the result there. The engine builds an image in its store; what goes elsewhere
//! is read from there: the files of it, or an archive.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, statat},
    io::Errno,
};
use skiff_core::{
    Error,
    api::head::Method,
    dockerfile::mount,
    file,
    image::annotations::Annotations,
    layer::place::{Owner, Replace, Rules, place},
};

use super::source::absolute;
use crate::{
    client::{Client, Reply, Upload, path, query},
    download,
    failure::Failure,
    progress::Bar,
    terminal,
};

/// What becomes of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its files, in a directory.
    Local,
    /// Its files, in a tar.
    Tar,
    /// An archive of the image in this format.
    Archive(&'static str),
    /// It stays in the store.
    Image,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    kind: Kind,
    /// A path of this machine, `-` for stdout, or nothing.
    destination: String,
    /// What the image is called.
    names: Vec<String>,
}

impl Export {
    /// Reads what was typed. Messages are Docker's where it has them.
    pub fn parse(text: &str) -> Result<Export, String> {
        let refused = |why: String| format!("--output: {why}");
        let fields =
            mount::fields(text).map_err(|why| refused(format!("failed to parse csv output: {why}")))?;
        if let [only] = fields.as_slice()
            && !only.is_empty()
            && !only.starts_with("type=")
        {
            let kind = if only == "-" { Kind::Tar } else { Kind::Local };
            return Ok(Export { kind, destination: only.clone().into(), names: Vec::new() });
        }
        let (mut kind, mut destination, mut names) = (None, String::new(), Vec::new());
        for field in &fields {
            let (key, value) =
                field.split_once('=').ok_or_else(|| refused(format!("invalid value {field}")))?;
            match (key.trim().to_ascii_lowercase().as_str(), value) {
                ("type", value) => kind = Some(value),
                ("dest", value) => destination = value.into(),
                ("name", value) => names.extend(value.split(',').map(ToOwned::to_owned)),
                // What is done anyhow.
                ("push" | "platform-split", "false") | ("tar", "true") => {}
                ("push", _) => return Err(refused("push: registries are not supported yet".into())),
                (key, _) => return Err(refused(format!("{key} is not supported: it is type, dest or name"))),
            }
        }
        let kind = match kind {
            Some("local") => Kind::Local,
            Some("tar") => Kind::Tar,
            Some("oci") => Kind::Archive("oci"),
            // Into the store of the engine, as `--load`.
            Some("docker") if destination.is_empty() => Kind::Image,
            Some("docker") => Kind::Archive("docker"),
            Some("image") => Kind::Image,
            Some("registry") => return Err(refused(crate::NO_REGISTRIES.into())),
            Some("cacheonly") => return Err(refused("cacheonly: the result is always an image".into())),
            Some(other) => {
                let kinds = "it is local, tar, oci, docker or image";
                return Err(refused(format!("invalid type {other:?}: {kinds}")));
            }
            None => return Err(refused("type is required for output".into())),
        };
        match kind {
            Kind::Local if destination.is_empty() => {
                return Err(refused("dest is required for local exporter".into()));
            }
            Kind::Local if destination == "-" => {
                return Err(refused("dest cannot be stdout for local exporter".into()));
            }
            Kind::Image if !destination.is_empty() => {
                return Err(refused("dest: an image goes to the store".into()));
            }
            Kind::Local | Kind::Tar if !names.is_empty() => {
                return Err(refused("name: files are not called anything".into()));
            }
            Kind::Tar | Kind::Archive(_) if destination.is_empty() => destination = "-".into(),
            _ => {}
        }
        Ok(Export { kind, destination, names })
    }

    /// Whether stdout is taken.
    pub fn is_to_stdout(&self) -> bool {
        self.destination == "-"
    }

    fn output(&self) -> Option<&str> {
        (!self.is_to_stdout()).then_some(self.destination.as_str())
    }

    /// Sees to it before anything is built that there is a place for the result.
    fn check(&self) -> Result<(), Failure> {
        let shown = &self.destination;
        match self.kind {
            Kind::Image => Ok(()),
            Kind::Local => match statat(CWD, shown.as_str(), AtFlags::empty()) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                    Err(Failure::new(format!("destination directory {shown} is a file")))
                }
                Ok(_) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(Failure::io("open", shown, errno)),
            },
            Kind::Tar | Kind::Archive(_) if self.is_to_stdout() && terminal::stdout_is_terminal() => {
                Err(Failure::new("dest file is required for exporter. refusing to write to console"))
            }
            Kind::Tar | Kind::Archive(_) => match self.output() {
                None => Ok(()),
                output => download::check(output, "build -o", "build -o type=tar,dest=FILE PATH"),
            },
        }
    }

    /// Brings an image there. `names` are its own, in full; `far` tells how much has come.
    fn bring(
        &self,
        client: &Client,
        id: &str,
        names: &[String],
        far: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let get = |target: &str| client.request(Method::Get, target, Upload::Nothing);
        match self.kind {
            Kind::Image => Ok(()),
            Kind::Local => unpack(get(&tree(id))?, &self.destination, far),
            Kind::Tar => download::take(get(&tree(id))?, self.output(), far).map(drop),
            Kind::Archive(format) => {
                let mut target = path(&["images", "get"]);
                let id = [id.to_owned()];
                for name in if names.is_empty() { &id } else { names } {
                    query(&mut target, "names", name);
                }
                query(&mut target, "format", format);
                download::take(get(&target)?, self.output(), far).map(drop)
            }
        }
    }

    /// Brings an image there, with a bar if somebody is looking.
    pub fn write(&self, client: &Client, id: &str, names: &[String], is_live: bool) -> Result<(), Failure> {
        let mut bar = is_live.then(|| Bar::new(self.output().unwrap_or("result").to_string()));
        self.bring(client, id, names, &mut |done| {
            if let Some(bar) = &mut bar {
                bar.show(done, 0);
            }
        })
    }
}

/// Checks all of them. Annotations have to be in each of them, if there are any.
pub fn check(exports: &[Export], annotations: &Annotations) -> Result<(), Failure> {
    let has_manifest = |export: &Export| matches!(export.kind, Kind::Image | Kind::Archive("oci"));
    if !annotations.is_empty() && !exports.iter().all(has_manifest) {
        return Err(Failure::new("--annotation: only an output of type=oci or type=image has a manifest"));
    }
    if exports.iter().filter(|export| export.is_to_stdout()).count() > 1 {
        return Err(Failure::new("--output: only one result can go to stdout"));
    }
    exports.iter().try_for_each(Export::check)
}

/// The names that the image gets in the store: those of `--tag` and of the outputs; none if nothing but files is asked for.
pub fn name(tags: &mut Vec<String>, exports: &[Export], load: bool) {
    let is_files = |export: &Export| matches!(export.kind, Kind::Local | Kind::Tar);
    if !load && !exports.is_empty() && exports.iter().all(is_files) {
        tags.clear();
    }
    for name in exports.iter().flat_map(|export| &export.names) {
        if !tags.contains(name) {
            tags.push(name.clone());
        }
    }
}

/// The request for an image's files.
fn tree(id: &str) -> String {
    let mut target = path(&["skiff", "images", "tree"]);
    query(&mut target, "name", id);
    target
}

/// Puts the files of a tar into a directory, which is made if it is not there.
fn unpack(mut reply: Reply, directory: &str, far: &mut dyn FnMut(u64)) -> Result<(), Failure> {
    let root = file::make_host_directories(&absolute(directory)?, 0o755)?;
    let owner = if rustix::process::geteuid().is_root() { Owner::Stated } else { Owner::Maker };
    let rules = Rules { replace: Replace::Anything, owner, rename: None };
    let (mut done, mut broken) = (0, None);
    let mut source = |buffer: &mut [u8]| match reply.read(buffer) {
        Ok(length) => {
            done += length as u64;
            far(done);
            Ok(length)
        }
        Err(failure) => {
            broken = Some(failure);
            Err(Error::os("read", "archive", Errno::IO))
        }
    };
    let placed = place(&mut source, root, b"", &rules);
    match broken {
        Some(failure) => Err(failure),
        None => Ok(placed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(kind: Kind, destination: &str, names: &[&str]) -> Result<Export, String> {
        let names = names.iter().map(|name| (*name).into()).collect();
        Ok(Export { kind, destination: destination.into(), names })
    }

    #[test]
    fn what_is_typed_says_what_goes_where() {
        for (text, expected) in [
            ("out", export(Kind::Local, "out", &[])),
            ("a=b", export(Kind::Local, "a=b", &[])),
            ("-", export(Kind::Tar, "-", &[])),
            ("type=local,dest=d", export(Kind::Local, "d", &[])),
            ("type=tar", export(Kind::Tar, "-", &[])),
            ("dest=f,type=tar", export(Kind::Tar, "f", &[])),
            ("type=oci,dest=f,tar=true", export(Kind::Archive("oci"), "f", &[])),
            ("type=docker", export(Kind::Image, "", &[])),
            ("type=docker,dest=-,name=n", export(Kind::Archive("docker"), "-", &["n"])),
            ("type=image,\"name=a,b\",push=false", export(Kind::Image, "", &["a", "b"])),
        ] {
            assert_eq!(Export::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_its_reason() {
        for (text, error) in [
            ("dest=f,name=n", "type is required for output"),
            ("type=tar,dest", "invalid value dest"),
            ("type=local", "dest is required for local exporter"),
            ("type=local,dest=-", "dest cannot be stdout for local exporter"),
            ("type=registry,name=n", "registries are not supported yet"),
            ("type=image,name=n,push=true", "push: registries are not supported yet"),
            ("type=image,dest=f", "dest: an image goes to the store"),
            ("type=oci,dest=f,compression=zstd", "compression is not supported: it is type, dest or name"),
            ("type=oci,dest=f,tar=false", "tar is not supported: it is type, dest or name"),
            ("type=zip,dest=f", "invalid type \"zip\": it is local, tar, oci, docker or image"),
            ("type=tar,dest=f,name=n", "name: files are not called anything"),
            ("type=cacheonly", "cacheonly: the result is always an image"),
        ] {
            assert_eq!(Export::parse(text), Err(format!("--output: {error}")), "{text}");
        }
    }

    #[test]
    fn files_alone_give_the_image_no_name() {
        let parse =
            |texts: &[&str]| texts.iter().map(|text| Export::parse(text).unwrap()).collect::<Vec<_>>();
        for (texts, load, expected) in [
            (&["out"][..], false, &[][..]),
            (&["out"], true, &["t"]),
            (&[], false, &["t"]),
            (&["out", "type=image,name=n"], false, &["t", "n"]),
            (&["type=oci,dest=f,name=t"], false, &["t"]),
        ] {
            let mut tags = vec!["t".to_owned()];
            name(&mut tags, &parse(texts), load);
            assert_eq!(tags, expected, "{texts:?}");
        }
    }
}

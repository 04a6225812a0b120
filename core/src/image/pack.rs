//! Images -> the files of an archive that holds them, in the order in which they are written: documents first, so that
//! whoever reads the archive as it comes knows early what the layers are. Pure, and the same on every machine.
//!
//! Every file that Docker 25 and later write is there, so that the archive is a docker-archive and an OCI layout in one.
//!
//! # Spec
//! OCI image-spec image-layout.md, manifest.md, image-index.md; Docker Image Specification v1.2.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{annotations::Annotations, reference::Reference};
use crate::{
    Error, Result,
    digest::{DiffId, Digest, ImageId},
    layer::{
        emit,
        header::BLOCK,
        tar::{Entry, Kind},
    },
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Which documents an archive has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Those of both.
    #[default]
    Both,
    /// An OCI layout.
    Oci,
    /// A docker-archive.
    Docker,
}

impl Form {
    /// By its name: `oci` or `docker`.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(name: &str) -> Result<Form> {
        match name {
            "" => Ok(Form::Both),
            "oci" | "oci-archive" => Ok(Form::Oci),
            "docker" | "docker-archive" => Ok(Form::Docker),
            _ => Err(Error::Invalid(format!("invalid format {name:.40?}: it is oci or docker"))),
        }
    }
}

/// An image that is to be packed.
#[derive(Debug, Clone)]
pub struct Picked {
    /// Its id.
    pub id: ImageId,
    /// Its names, as far as they go along.
    pub names: BTreeSet<Reference>,
    /// Its config, to the byte.
    pub config: Vec<u8>,
    /// Its layers, the lowest first, and the bytes of their plain tars.
    pub layers: Vec<(DiffId, u64)>,
    /// What is noted of it.
    pub annotations: Annotations,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// One whose content is known.
    Whole(String, Vec<u8>),
    /// A layer of so many bytes, under its name.
    Layer(DiffId, u64),
}

/// All files that make an archive of these images.
pub fn files(images: &[Picked], form: Form) -> Vec<File> {
    let mut documents = Vec::new();
    let (mut blobs, mut layers) = (BTreeMap::new(), BTreeMap::new());
    let mut manifests = Vec::new();
    for image in images {
        blobs.insert(image.id.0, image.config.clone());
        layers.extend(image.layers.iter().copied());
        if form != Form::Docker {
            let manifest = manifest(image).into_bytes();
            let (digest, size) = (Digest::of(&manifest), manifest.len() as u64);
            blobs.insert(digest, manifest);
            let one = described(MANIFEST, &digest, size);
            let mut listed = |name: Option<&Reference>| {
                manifests.push(format!("{one}{}}}", image.annotations.of_descriptor(name)))
            };
            if image.names.is_empty() {
                listed(None);
            }
            for name in &image.names {
                listed(Some(name));
            }
        }
    }
    let mut document = |name: &str, text: String| documents.push(File::Whole(name.into(), text.into_bytes()));
    if form != Form::Docker {
        document("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".into());
        let all = manifests.join(",");
        document(
            "index.json",
            format!("{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{all}]}}"),
        );
    }
    if form != Form::Oci {
        let all: Vec<String> = images.iter().map(saved).collect();
        document("manifest.json", format!("[{}]", all.join(",")));
        document("repositories", repositories(images));
    }
    documents.extend(blobs.into_iter().map(|(digest, content)| File::Whole(blob_path(&digest), content)));
    documents.extend(layers.into_iter().map(|(layer, size)| File::Layer(layer, size)));
    documents
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex().as_str())
}

/// A descriptor without its last brace.
fn described(kind: &str, digest: &Digest, size: u64) -> String {
    format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}")
}

fn manifest(image: &Picked) -> String {
    let config = described(CONFIG, &image.id.0, image.config.len() as u64);
    let layers: Vec<String> =
        image.layers.iter().map(|(layer, size)| described(LAYER, &layer.0, *size) + "}").collect();
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{config}}},\"layers\":[{}]{}}}",
        layers.join(","),
        image.annotations.of_manifest()
    )
}

/// An image's part of `manifest.json`.
fn saved(image: &Picked) -> String {
    let quoted = |all: Vec<String>| match all.is_empty() {
        true => "[]".to_string(),
        false => format!("[\"{}\"]", all.join("\",\"")),
    };
    // Names and digests have no character that JSON would want escaped.
    let names = if image.names.is_empty() {
        "null".into()
    } else {
        quoted(image.names.iter().map(Reference::familiar).collect())
    };
    format!(
        "{{\"Config\":\"{}\",\"RepoTags\":{names},\"Layers\":{}}}",
        blob_path(&image.id.0),
        quoted(image.layers.iter().map(|(layer, _)| blob_path(&layer.0)).collect())
    )
}

fn repositories(images: &[Picked]) -> String {
    let mut all: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for image in images {
        let top = image.layers.last().map_or(String::new(), |(layer, _)| layer.0.hex().as_str().to_string());
        for name in &image.names {
            let tag = name.tag.as_deref().unwrap_or("latest");
            all.entry(name.familiar_repository()).or_default().insert(tag, top.clone());
        }
    }
    serde_json::to_string(&all).expect("plain text")
}

impl File {
    /// What it is called in the archive.
    pub fn path(&self) -> String {
        match self {
            File::Whole(path, _) => path.clone(),
            File::Layer(layer, _) => blob_path(&layer.0),
        }
    }

    /// The layer that it is.
    pub fn layer(&self) -> Option<DiffId> {
        match self {
            File::Whole(..) => None,
            File::Layer(layer, _) => Some(*layer),
        }
    }

    /// Bytes of its content.
    pub fn size(&self) -> u64 {
        match self {
            File::Whole(_, content) => content.len() as u64,
            File::Layer(_, size) => *size,
        }
    }

    /// Its header in the archive's tar. The time is 1970, the owner root.
    pub fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK);
        header(&self.path(), Kind::File, self.size(), &mut bytes);
        bytes
    }
}

/// The headers of the directories that come before all files.
pub fn directories() -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in ["blobs/", "blobs/sha256/"] {
        header(path, Kind::Directory, 0, &mut bytes);
    }
    bytes
}

/// Bytes of a whole archive.
pub fn archive_size(files: &[File]) -> u64 {
    let block = BLOCK as u64;
    let each = files.iter().map(|file| file.header().len() as u64 + file.size().div_ceil(block) * block);
    // Two directories and the end.
    each.sum::<u64>() + 4 * block
}

fn header(path: &str, kind: Kind, size: u64, bytes: &mut Vec<u8>) {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    emit::header(&Entry { kind, path: path.into(), mode, size, ..Entry::default() }, bytes);
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;

    use super::*;
    use crate::{
        file,
        image::{archive::Archive, contents, contents::PackedConfig},
    };

    fn picked(names: &[&str], layers: &[&[u8]]) -> Picked {
        let ids: Vec<String> = layers.iter().map(|layer| format!("\"{}\"", Digest::of(layer))).collect();
        let config = format!(
            "{{\"os\":\"linux\",\"x\":{:?},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
            names.join(" "),
            ids.join(",")
        );
        Picked {
            id: ImageId(Digest::of(config.as_bytes())),
            names: names.iter().map(|name| Reference::parse(name).unwrap()).collect(),
            config: config.into_bytes(),
            layers: layers.iter().map(|layer| (DiffId(Digest::of(layer)), layer.len() as u64)).collect(),
            annotations: Annotations::default(),
        }
    }

    fn written(files: &[File], layers: &[&[u8]]) -> Vec<u8> {
        let mut all = directories();
        for file in files {
            all.extend(file.header());
            match file {
                File::Whole(_, content) => all.extend(content),
                File::Layer(id, _) => all.extend(*layers.iter().find(|l| Digest::of(l) == id.0).unwrap()),
            }
            all.resize(all.len().next_multiple_of(BLOCK), 0);
        }
        all.resize(all.len() + 2 * BLOCK, 0);
        assert_eq!(all.len() as u64, archive_size(files));
        all
    }

    #[test]
    fn what_is_packed_is_found_again_in_every_form() {
        let layers: [&[u8]; 2] = [b"lower", b"upper"];
        let images =
            [picked(&["a:1", "x.io/b/c:2"], &layers), picked(&[], &layers[1..]), picked(&["d:3"], &[])];
        for form in [Form::Both, Form::Oci, Form::Docker] {
            let archive = written(&files(&images, form), &layers);
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let temporary = rustix::fs::openat(file::CWD, "/tmp", flags, 0o600.into()).unwrap();
            file::write_all(&temporary, &archive).unwrap();
            let mut archive = Archive::index(temporary).unwrap();
            let found = contents::images(&mut archive).unwrap();
            assert_eq!(found.len(), 3, "{form:?}");
            for (found, image) in found.iter().zip(&images) {
                let names: BTreeSet<Reference> =
                    found.names.iter().map(|name| Reference::parse(name).unwrap()).collect();
                assert_eq!(names, image.names, "{form:?}");
                assert_eq!(found.config, PackedConfig::Whole(image.config.clone()));
                assert_eq!(found.layers.len(), image.layers.len());
            }
            if form != Form::Oci {
                let old = archive.document("repositories").unwrap().unwrap();
                let (top, text) = (image_top(&images[0]), String::from_utf8(old).unwrap());
                assert_eq!(
                    text,
                    format!(
                        "{{\"a\":{{\"1\":\"{top}\"}},\"d\":{{\"3\":\"\"}},\"x.io/b/c\":{{\"2\":\"{top}\"}}}}"
                    )
                );
            }
        }
    }

    fn image_top(image: &Picked) -> String {
        image.layers.last().unwrap().0.0.hex().as_str().into()
    }

    #[test]
    fn annotations_are_in_the_manifest_and_beside_its_name() {
        let mut image = picked(&["a:1"], &[]);
        image.annotations.manifest.insert("k\"".into(), "v\n".into());
        image.annotations.descriptor.insert("org.opencontainers.image.ref.name".into(), "other".into());
        image.annotations.descriptor.insert("z".into(), String::new());
        let files = files(&[image], Form::Oci);
        let text = |wanted: &dyn Fn(&str) -> bool| -> String {
            let found = files.iter().find_map(|file| match file {
                File::Whole(path, content) if wanted(path) => Some(content.clone()),
                _ => None,
            });
            String::from_utf8(found.unwrap()).unwrap()
        };
        let index = text(&|path| path == "index.json");
        let digest = index.split("\"digest\":\"sha256:").nth(1).unwrap()[..64].to_string();
        assert!(
            index.ends_with(
                "\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/a:1\",\
                 \"org.opencontainers.image.ref.name\":\"1\",\"z\":\"\"}}]}"
            ),
            "{index}"
        );
        let manifest = text(&|path| path.ends_with(&digest));
        assert!(manifest.ends_with(",\"layers\":[],\"annotations\":{\"k\\\"\":\"v\\n\"}}"), "{manifest}");
    }

    #[test]
    fn a_form_has_a_name() {
        assert_eq!(Form::parse("oci-archive"), Ok(Form::Oci));
        assert_eq!(Form::parse("docker"), Ok(Form::Docker));
        assert!(Form::parse("zip").is_err());
    }
}

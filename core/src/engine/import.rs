//! `import`: the tar of a root file system becomes an image of one layer.

use alloc::{format, string::String, vec::Vec};

use rustix::fd::AsFd;

use super::Engine;
use crate::{
    Error, Result,
    build::change,
    clock::Time,
    container::{config::Config, record::HOST_IMAGE},
    digest::ImageId,
    image::{
        config::{ARCHITECTURE, ImageConfig, RootFs, Step},
        reference::Reference,
    },
    layer::unpack::{Source, Unpacked, unpack},
    store::{ImageRecord, Scratch, Store},
};

/// What a user says of an image that is imported.
#[derive(Debug, Clone, Default)]
pub struct Import<'a> {
    /// What it is to be called; nothing if empty.
    pub repository: &'a str,
    /// The tag, unless `repository` has it; `latest` if empty.
    pub tag: &'a str,
    /// Instructions in Dockerfile syntax.
    pub changes: &'a [String],
    /// The comment; where it came from if empty.
    pub message: &'a str,
    /// `linux`, `linux/ARCHITECTURE` or `ARCHITECTURE`; this machine's if empty.
    pub platform: &'a str,
}

impl Engine {
    /// Makes an image of a root file system that comes as a tar, compressed or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what was said, before anything is read; [`Error::Corrupt`] for the archive; of the file
    /// system. Nothing is left behind.
    pub fn import(&self, source: &mut Source<'_>, said: &Import<'_>) -> Result<ImageId> {
        let name = match said.repository {
            "" => None,
            repository => Some(new_name(repository, said.tag)?),
        };
        let mut config = Config::default();
        change::apply_all(&mut config, said.changes)?;
        let architecture = architecture(said.platform)?;
        self.sweep_store();
        let (scratch, unpacked) = unpack_layer(&self.store, source)?;
        let created = format!("{}", Time::now());
        let comment = if said.message.is_empty() { "Imported from -" } else { said.message };
        let image = ImageConfig {
            architecture: architecture.into(),
            os: "linux".into(),
            comment: comment.into(),
            config,
            created: Some(created.clone()),
            history: [Step { created: Some(created), comment: comment.into(), ..Step::default() }].into(),
            rootfs: RootFs { kind: "layers".into(), diff_ids: [unpacked.layer].into() },
            ..ImageConfig::default()
        };
        let record = ImageRecord {
            size_bytes: unpacked.applied.facts.size_bytes,
            added: Time::now(),
            ..ImageRecord::default()
        };
        let locked = self.store.share()?;
        let publication = self.store.publication(&locked)?;
        let publication = publication.layer(&unpacked.layer, &scratch, &unpacked.applied.facts)?;
        let (mut publication, id) = publication.image(&image.to_json(), &record)?;
        if let Some(name) = &name {
            publication = publication.name(name, &id)?;
        }
        publication.commit()?;
        if let Some(name) = &name {
            self.tell_image(&id, "tag", &name.familiar());
        }
        self.tell_image(&id, "import", &format!("{id}"));
        Ok(id)
    }
}

/// A layer's tree below `tmp/`, ready to be published.
pub(super) fn unpack_layer(store: &Store, source: &mut Source<'_>) -> Result<(Scratch, Unpacked)> {
    let scratch = store.scratch(&store.share()?)?;
    let mut writeback = store.writeback()?;
    let mut source = |buffer: &mut [u8]| {
        let count = source(buffer)?;
        match count {
            0 => writeback.ended(),
            _ => writeback.came(count as u64),
        }
        Ok(count)
    };
    let unpacked = unpack(&mut source, scratch.directory().as_fd())?;
    Ok((scratch, unpacked))
}

/// The name that an image is to get.
///
/// # Errors
/// [`Error::Invalid`] for malformed names, for digests, which nobody can choose, and for the reserved name.
pub fn new_name(repository: &str, tag: &str) -> Result<Reference> {
    let mut name = Reference::parse(repository)?;
    if name.digest.is_some() {
        return Err(Error::Invalid(format!(
            "invalid reference format: {repository}: cannot name by a digest"
        )));
    }
    if !tag.is_empty() {
        if name.tag.is_some() {
            return Err(Error::Invalid(format!(
                "invalid reference format: {repository} with a second tag {tag}"
            )));
        }
        // Parsed again, so that the tag is checked as any other.
        name = Reference::parse(&format!("{}:{tag}", name.repository))?;
    }
    if name.familiar_repository() == HOST_IMAGE {
        return Err(Error::Invalid(format!(
            "invalid image name {HOST_IMAGE:?}: it stands for this machine's own root file system"
        )));
    }
    Ok(name.or_latest())
}

fn architecture(platform: &str) -> Result<&str> {
    let parts: Vec<&str> = platform.split('/').collect();
    let known = |name: &str| {
        !name.is_empty()
            && name.len() < 32
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match parts[..] {
        [""] | ["linux"] => Ok(ARCHITECTURE),
        ["linux", name] | [name] if known(name) && name != "windows" => Ok(name),
        _ => Err(Error::Invalid(format!("invalid platform {platform:?}: want linux/ARCHITECTURE"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_has_one_tag_and_no_digest_and_is_not_reserved() {
        let name = |repository, tag| new_name(repository, tag).map(|name| name.familiar());
        assert_eq!(name("a", ""), Ok("a:latest".into()));
        assert_eq!(name("a:1", ""), Ok("a:1".into()));
        assert_eq!(name("docker.io/library/a", "1"), Ok("a:1".into()));
        assert_eq!(name("x.io/host", ""), Ok("x.io/host:latest".into()));
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (repository, tag) in
            [("a:1", "2"), ("a", "/"), ("A", ""), (&digest, ""), ("host", ""), ("host", "1")]
        {
            assert!(name(repository, tag).is_err(), "{repository} {tag}");
        }
    }

    #[test]
    fn a_platform_is_linux_on_some_processor() {
        assert_eq!(architecture(""), Ok(ARCHITECTURE));
        assert_eq!(architecture("linux/arm64"), Ok("arm64"));
        assert_eq!(architecture("riscv64"), Ok("riscv64"));
        for platform in ["windows", "windows/amd64", "linux/", "a/b/c", "linux/../x"] {
            assert!(architecture(platform).is_err(), "{platform}");
        }
    }
}

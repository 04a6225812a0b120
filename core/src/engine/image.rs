//! `tag` and `rmi`: giving names and taking them away, and what nobody needs afterwards with them.

use alloc::{format, string::String, vec::Vec};

use serde::Serialize;

use super::{Engine, import::new_name};
use crate::{
    Error, Result,
    container::record::Record,
    digest::{DiffId, Digest, ImageId, chain_id},
    image::reference::Reference,
};

/// One thing that a removal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Removal {
    /// This name is gone.
    Untagged(String),
    /// This image, or this chain of layers, is gone.
    Deleted(String),
}

/// Whether a removal minds that the image has other names or is used by a container that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It does.
    No,
    /// It doesn't. A running container still counts.
    Yes,
}

/// A container that uses an image.
struct User {
    short_id: String,
    is_active: bool,
}

/// Who uses which images.
struct Users {
    containers: Vec<(ImageId, User)>,
    /// A record could not be read, so nobody knows what that container uses.
    unknown: bool,
}

impl Engine {
    /// Gives an image one more name; an image that had it loses it.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the image, [`Error::Invalid`] for a malformed name.
    pub fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(ImageId, Reference)> {
        let name = new_name(repository, tag)?;
        let locked = self.store.share()?;
        let (id, _) = self.store.resolve_id(image)?;
        self.store.publication(&locked)?.name(&name, &id)?.commit()?;
        self.tell_image(&id, "tag", &name.familiar());
        Ok((id, name))
    }

    /// Takes a name away, and the image if that was its last one; or the image by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] while containers use it or it has other names, in Docker's words.
    pub fn remove_image(&self, wanted: &str, force: Force) -> Result<Vec<Removal>> {
        self.store.sweep();
        let mut done = Vec::new();
        // Dropped last: what is removed is deleted without the lock.
        let _removed;
        let alone = self.store.alone()?;
        let (id, reference) = self.store.resolve_id(wanted)?;
        let users = self.image_users()?;
        let mut names: Vec<Reference> = self
            .store
            .all_names()?
            .into_iter()
            .filter(|name| name.image == id)
            .map(|name| name.reference)
            .collect();
        let short = String::from(id.0.hex().short());
        let running = users.of(&id).find(|user| user.is_active);
        match reference {
            Some(reference) => {
                if let Some(user) = users.of(&id).next()
                    && names.len() == 1
                    && force == Force::No
                {
                    return Err(Error::Conflict(format!(
                        "conflict: unable to remove repository reference {wanted:?} (must force) - container {} is \
                         using its referenced image {short}",
                        user.short_id
                    )));
                }
                self.store.unname(&alone, &reference)?;
                self.tell_image(&id, "untag", &format!("{id}"));
                done.push(Removal::Untagged(reference.familiar()));
                names.retain(|name| *name != reference);
                if !names.is_empty() || running.is_some() {
                    return Ok(done);
                }
            }
            None => {
                let stopped = users.of(&id).find(|user| !user.is_active).filter(|_| force == Force::No);
                let (why, hard) = match (running, stopped) {
                    (Some(user), _) => {
                        (format!("image is being used by running container {}", user.short_id), true)
                    }
                    (None, _) if names.len() > 1 && force == Force::No => {
                        ("image is referenced in multiple repositories".into(), false)
                    }
                    (None, Some(user)) => {
                        (format!("image is being used by stopped container {}", user.short_id), false)
                    }
                    (None, None) => (String::new(), false),
                };
                if !why.is_empty() {
                    let force = if hard { "cannot be forced" } else { "must be forced" };
                    return Err(Error::Conflict(format!(
                        "conflict: unable to delete {short} ({force}) - {why}"
                    )));
                }
                for name in &names {
                    self.store.unname(&alone, name)?;
                    self.tell_image(&id, "untag", &format!("{id}"));
                    done.push(Removal::Untagged(name.familiar()));
                }
            }
        }
        // Read before it is gone, for the names of its layers. A damaged image can be removed, too.
        let layers = self.store.image(&id).map_or(Vec::new(), |image| image.config.rootfs.diff_ids);
        self.store.unlist(&alone, &id)?;
        self.tell_image(&id, "delete", &format!("{id}"));
        done.push(Removal::Deleted(format!("{id}")));
        if !users.unknown {
            let in_use: Vec<ImageId> = users.containers.iter().map(|(id, _)| *id).collect();
            let removed = self.store.collect(&alone, &in_use)?;
            done.extend(removed_chains(&layers, &removed.layers));
            _removed = removed;
        }
        drop(alone);
        Ok(done)
    }

    fn image_users(&self) -> Result<Users> {
        let mut users = Users { containers: Vec::new(), unknown: false };
        for id in self.shelf.ids()? {
            match self.shelf.load::<Record>(&id) {
                Ok(Some(record)) => {
                    let Ok(image) = Digest::parse(&record.image) else { continue };
                    let is_active = self.shelf.state(&id).is_ok_and(|state| state.status.is_active());
                    users
                        .containers
                        .push((ImageId(image), User { short_id: record.short_id().into(), is_active }));
                }
                // Removed since the directory was listed.
                Ok(None) => {}
                Err(_) => users.unknown = true,
            }
        }
        Ok(users)
    }
}

impl Users {
    fn of<'a>(&'a self, image: &ImageId) -> impl Iterator<Item = &'a User> {
        let image = *image;
        self.containers.iter().filter(move |(used, _)| *used == image).map(|(_, user)| user)
    }
}

/// The chains of layers that end in a layer that is gone, the uppermost first.
fn removed_chains(layers: &[DiffId], gone: &[DiffId]) -> Vec<Removal> {
    let mut chains = Vec::new();
    let mut below: Option<Digest> = None;
    for layer in layers {
        let chain = chain_id(below.as_ref(), layer);
        if gone.contains(layer) {
            chains.push(Removal::Deleted(format!("{chain}")));
        }
        below = Some(chain);
    }
    chains.reverse();
    chains
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;
    use crate::{
        container::{config::Config, names, record::HOST_IMAGE},
        file,
        image::config::{ImageConfig, RootFs},
        store::{ImageRecord, LayerFacts},
    };

    struct Scratch {
        engine: Engine,
        path: String,
    }

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = format!("/tmp/skiff-image-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let _ = file::remove_tree(file::CWD, path.as_str());
            let engine = Engine::open(&format!("{path}/data"), &format!("{path}/run")).unwrap();
            Scratch { engine, path }
        }

        fn image(&self, layers: &[&[u8]], name: &str) -> ImageId {
            let store = &self.engine.store;
            let locked = store.share().unwrap();
            let mut publication = store.publication(&locked).unwrap();
            let mut config =
                ImageConfig { os: "linux".into(), comment: name.into(), ..ImageConfig::default() };
            config.rootfs = RootFs { kind: "layers".into(), diff_ids: Vec::new() };
            let mut scratches = Vec::new();
            for content in layers {
                let scratch = store.scratch(&locked).unwrap();
                rustix::fs::mkdirat(scratch.directory(), "tree", Mode::RWXU).unwrap();
                let layer = DiffId(Digest::of(content));
                publication = publication.layer(&layer, &scratch, &LayerFacts::default()).unwrap();
                config.rootfs.diff_ids.push(layer);
                scratches.push(scratch);
            }
            let (publication, id) = publication.image(&config.to_json(), &ImageRecord::default()).unwrap();
            publication.name(&new_name(name, "").unwrap(), &id).unwrap().commit().unwrap();
            id
        }

        fn container(&self, image: &str) -> String {
            let record = Record {
                id: names::new_id().unwrap(),
                name: format!("user{}", image.len()),
                image: image.into(),
                config: Config::default(),
                ..Record::default()
            };
            self.engine.shelf.add(&record).unwrap();
            record.short_id().into()
        }

        fn remove(&self, wanted: &str, force: Force) -> Result<String> {
            Ok(serde_json::to_string(&self.engine.remove_image(wanted, force)?).unwrap())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = file::remove_tree(file::CWD, self.path.as_str());
        }
    }

    #[test]
    fn the_last_name_takes_the_image_and_its_own_layers_with_it() {
        let scratch = Scratch::new("last");
        let (one, two) = (scratch.image(&[b"a", b"b"], "one"), scratch.image(&[b"a", b"c"], "two:1"));
        scratch.engine.tag_image("one", "docker.io/library/again", "1").unwrap();
        assert_eq!(scratch.remove("one", Force::No).unwrap(), r#"[{"Untagged":"one:latest"}]"#);
        let chain = chain_id(Some(&Digest::of(b"a")), &DiffId(Digest::of(b"b")));
        let expected = format!(r#"[{{"Untagged":"again:1"}},{{"Deleted":"{one}"}},{{"Deleted":"{chain}"}}]"#);
        assert_eq!(scratch.remove("again:1", Force::No).unwrap(), expected);
        assert!(matches!(scratch.remove("one", Force::Yes), Err(Error::NotFound(_))));
        assert_eq!(scratch.engine.store.resolve("two:1").unwrap().id, two);
        let removed = scratch.remove(two.0.hex().short(), Force::No).unwrap();
        assert_eq!(removed.matches("Deleted").count(), 3, "{removed}");
    }

    #[test]
    fn an_image_with_several_names_is_not_removed_by_its_id_unless_forced() {
        let scratch = Scratch::new("several");
        let id = scratch.image(&[], "one");
        scratch.engine.tag_image("one", "two", "").unwrap();
        let short = id.0.hex();
        let text = scratch.remove(short.short(), Force::No).unwrap_err();
        let expected = format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            short.short()
        );
        assert_eq!(text, Error::Conflict(expected));
        let removed = scratch.remove(short.short(), Force::Yes).unwrap();
        assert_eq!(
            removed,
            format!(r#"[{{"Untagged":"one:latest"}},{{"Untagged":"two:latest"}},{{"Deleted":"{id}"}}]"#)
        );
    }

    #[test]
    fn an_image_in_use_stays_and_a_forced_removal_keeps_what_the_container_needs() {
        let scratch = Scratch::new("used");
        let id = scratch.image(&[b"a"], "one");
        scratch.container("");
        let user = scratch.container(&format!("{id}"));
        let short = id.0.hex();
        let text = scratch.remove("one", Force::No).unwrap_err();
        let expected = format!(
            "conflict: unable to remove repository reference \"one\" (must force) - container {user} is using its \
             referenced image {}",
            short.short()
        );
        assert_eq!(text, Error::Conflict(expected));
        let text = scratch.remove(short.short(), Force::No).unwrap_err();
        let expected = format!(
            "conflict: unable to delete {} (must be forced) - image is being used by stopped container {user}",
            short.short()
        );
        assert_eq!(text, Error::Conflict(expected));
        let removed = scratch.remove("one", Force::Yes).unwrap();
        assert_eq!(removed, format!(r#"[{{"Untagged":"one:latest"}},{{"Deleted":"{id}"}}]"#));
        let image = scratch.engine.store.image(&id).unwrap();
        assert_eq!(image.lower_dirs(&scratch.engine.store).unwrap().len(), 1);
    }

    #[test]
    fn the_reserved_name_is_not_given_away() {
        let scratch = Scratch::new("reserved");
        scratch.image(&[], "one");
        assert!(matches!(scratch.engine.tag_image("one", HOST_IMAGE, ""), Err(Error::Invalid(_))));
    }
}

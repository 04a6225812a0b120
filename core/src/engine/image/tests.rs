//! Names and images are given, taken away and listed.

use rustix::fs::Mode;

use super::*;
use crate::{
    api::filters::Filters,
    container::{
        config::Config,
        names,
        record::{HOST_IMAGE, Record},
    },
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
        let mut config = ImageConfig { os: "linux".into(), comment: name.into(), ..ImageConfig::default() };
        config.rootfs = RootFs { kind: "layers".into(), diff_ids: Vec::new() };
        let mut scratches = Vec::new();
        for content in layers {
            let scratch = store.scratch(&locked).unwrap();
            rustix::fs::mkdirat(scratch.directory(), "tree", Mode::RWXU).unwrap();
            let layer = DiffId(Digest::of(content));
            publication = publication
                .layer(&layer, &scratch, &LayerFacts { size_bytes: 7, ..LayerFacts::default() })
                .unwrap();
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
    // Its last container takes the layers with it.
    scratch.engine.remove(&user, crate::engine::remove::Running::Refuse).unwrap();
    assert!(scratch.engine.store.image(&id).is_err());
    assert!(!scratch.engine.store.has_layer(&DiffId(Digest::of(b"a"))));
}

#[test]
fn the_reserved_name_is_not_given_away() {
    let scratch = Scratch::new("reserved");
    scratch.image(&[], "one");
    assert!(matches!(scratch.engine.tag_image("one", HOST_IMAGE, ""), Err(Error::Invalid(_))));
}

impl Scratch {
    fn prune(&self, filters: &str) -> String {
        let filters = Filters::parse(Some(filters), &prune::FILTERS).unwrap();
        serde_json::to_string(&self.engine.prune_images(&filters).unwrap()).unwrap()
    }
}

#[test]
fn a_prune_takes_what_has_no_name_and_with_all_what_no_container_uses() {
    let scratch = Scratch::new("prune");
    let engine = &scratch.engine;
    let (one, two, used) = (
        scratch.image(&[b"a", b"b"], "one"),
        scratch.image(&[b"a", b"c"], "two:1"),
        scratch.image(&[b"d"], "used"),
    );
    engine.tag_image("two:1", "two", "2").unwrap();
    engine.tag_image("used", "used", "again").unwrap();
    scratch.container(&format!("{used}"));
    let nothing = r#"{"ImagesDeleted":null,"SpaceReclaimed":0}"#;
    assert_eq!(scratch.prune("{}"), nothing);
    // Another image takes the name, so that this one has none.
    engine.tag_image("two:1", "one", "").unwrap();
    assert_eq!(scratch.prune(r#"{"dangling":["true"],"until":["24h"]}"#), nothing);
    assert_eq!(scratch.prune(r#"{"label":["keep"]}"#), nothing);
    let chain = |below: &[u8], layer: &[u8]| chain_id(Some(&Digest::of(below)), &DiffId(Digest::of(layer)));
    assert_eq!(
        scratch.prune(r#"{"label!":["keep"]}"#),
        format!(
            r#"{{"ImagesDeleted":[{{"Deleted":"{one}"}},{{"Deleted":"{}"}}],"SpaceReclaimed":7}}"#,
            chain(b"a", b"b")
        )
    );
    let base = Digest::of(b"a");
    assert_eq!(
        scratch.prune(r#"{"dangling":{"false":true}}"#),
        format!(
            r#"{{"ImagesDeleted":[{{"Untagged":"one:latest"}},{{"Untagged":"two:1"}},{{"Untagged":"two:2"}},{{"Deleted":"{two}"}},{{"Deleted":"{}"}},{{"Deleted":"{base}"}}],"SpaceReclaimed":14}}"#,
            chain(b"a", b"c")
        )
    );
    let left = engine.listed_images().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].tags(), ["used:again", "used:latest"]);
    assert!(file::names(engine.store.root(), "tmp").unwrap().is_empty());
}

#[test]
fn a_layer_that_images_share_is_counted_once_and_a_damaged_image_is_listed_and_removed() {
    let scratch = Scratch::new("usage");
    let engine = &scratch.engine;
    let (one, two) = (scratch.image(&[b"a", b"b"], "one"), scratch.image(&[b"a", b"c"], "two"));
    let images = engine.listed_images().unwrap();
    let usage = engine.layer_usage(&images);
    assert_eq!(usage.total_bytes(), 21);
    assert!(images.iter().all(|image| usage.shared_bytes(image) == 7));
    let path = format!("blobs/sha256/{}", one.0.hex().as_str());
    let open = file::beneath(engine.store.root(), path.as_str(), rustix::fs::OFlags::WRONLY, Mode::empty());
    file::write_all(open.unwrap(), b"damage").unwrap();
    let listed: Vec<ImageId> = engine.listed_images().unwrap().iter().map(|image| image.id).collect();
    assert!(listed.contains(&one) && listed.contains(&two));
    let expected = format!(r#"[{{"Untagged":"one:latest"}},{{"Deleted":"{one}"}}]"#);
    assert!(scratch.remove("one", Force::No).unwrap().starts_with(&expected[..expected.len() - 1]));
    assert_eq!(engine.listed_images().unwrap().len(), 1);
    assert!(!engine.store.has_layer(&DiffId(Digest::of(b"b"))));
}

//! `volume create`, `ls`, `inspect`, `rm`, `prune`.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::{Engine, image::Force, size::tree_bytes};
use crate::{
    Error, Result,
    api::filters::Filters,
    container::{
        config::{Map, nullable},
        record::{MountKind, Record},
    },
    events::Kind,
    store::volumes::Volume,
};

/// The filters of `volume ls`.
pub const LIST_FILTERS: [&str; 5] = ["name", "label", "label!", "dangling", "driver"];
/// The filters of `volume prune`.
pub const PRUNE_FILTERS: [&str; 3] = ["label", "label!", "all"];

/// The body of a create request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateVolume {
    /// Empty for one that nobody names.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Only `local`, which is also meant by nothing.
    #[serde(deserialize_with = "nullable")]
    pub driver: String,
    /// Options of the driver; refused when not empty.
    #[serde(deserialize_with = "nullable")]
    pub driver_opts: Map<String>,
    /// Free-form notes.
    #[serde(deserialize_with = "nullable")]
    pub labels: Map<String>,
}

/// A volume as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeView {
    created_at: String,
    driver: &'static str,
    labels: Option<Map<String>>,
    mountpoint: String,
    /// Its name.
    pub name: String,
    options: Option<Map<String>>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<VolumeUsage>,
}

/// How much a volume is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeUsage {
    /// Containers that have it.
    ref_count: usize,
    /// Bytes of the files in it.
    size: u64,
}

/// What a prune removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrunedVolumes {
    /// Their names.
    pub volumes_deleted: Vec<String>,
    /// Bytes of file content in them.
    pub space_reclaimed: u64,
}

impl Engine {
    /// Makes a volume, or gives the one that has this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed name, [`Error::NotFound`] for another driver, [`Error::Unsupported`] for
    /// options.
    pub fn create_volume(&self, request: &CreateVolume) -> Result<VolumeView> {
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(Error::NotFound(format!(
                "error looking up volume plugin {0}: plugin \"{0}\" not found",
                request.driver
            )));
        }
        if let Some(option) = request.driver_opts.keys().next() {
            return Err(Error::Unsupported(format!("create volume: option {option} is not supported yet"))
                .hint("bind mounts take any directory of this machine"));
        }
        let locked = self.store.share()?;
        let is_new = request.name.is_empty() || self.store.volume(&request.name)?.is_none();
        let volume = match request.name.as_str() {
            "" => self.store.create_anonymous_volume(&locked, &request.labels)?,
            name => self.store.create_volume(&locked, name, &request.labels)?,
        };
        if is_new {
            self.tell_volume(&volume.name, "create");
        }
        Ok(self.view(volume))
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn inspect_volume(&self, name: &str) -> Result<VolumeView> {
        let volume = self.store.volume(name)?;
        volume
            .map(|volume| self.view(volume))
            .ok_or_else(|| Error::NotFound(format!("get {name}: no such volume")))
    }

    /// The volumes that the filters let through, by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a filter's value; of the file system.
    pub fn list_volumes(&self, filters: &Filters) -> Result<Vec<VolumeView>> {
        let dangling = filters.flag("dangling")?;
        let users = if dangling.is_some() { self.volume_users()? } else { BTreeMap::new() };
        let mut volumes = self.store.volumes()?;
        volumes.retain(|volume| {
            dangling.is_none_or(|wanted| wanted != users.contains_key(&volume.name))
                && filters.allows_if("name", |part| volume.name.contains(part))
                && filters.allows("driver", "local")
                && filters.allows_labels(|key| volume.labels.get(key).map(String::as_str))
        });
        Ok(volumes.into_iter().map(|volume| self.view(volume)).collect())
    }

    /// All volumes, by name, with their sizes and how many containers have them.
    ///
    /// # Errors
    /// Of the file system.
    pub fn volumes_in_use(&self) -> Result<Vec<VolumeView>> {
        let users = self.volume_users()?;
        let volumes = self.store.volumes()?.into_iter().map(|volume| {
            let path = format!("volumes/{}/_data", volume.name);
            let ref_count = users.get(&volume.name).map_or(0, Vec::len);
            // One that was removed meanwhile has nothing in it.
            let size = tree_bytes(self.store.root(), path.as_str()).unwrap_or(0);
            VolumeView { usage_data: Some(VolumeUsage { ref_count, size }), ..self.view(volume) }
        });
        Ok(volumes.collect())
    }

    /// Removes a volume. With force a missing one is fine.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] while a container has it.
    pub fn remove_volume(&self, name: &str, force: Force) -> Result<()> {
        let alone = self.store.alone()?;
        if self.store.volume(name)?.is_none() {
            let gone = Error::NotFound(format!("get {name}: no such volume"));
            return if force == Force::Yes { Ok(()) } else { Err(gone) };
        }
        if let Some(users) = self.volume_users()?.get(name) {
            return Err(Error::Conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        let removed = self.store.remove_volume(&alone, name)?;
        drop(alone);
        self.tell_volume(name, "destroy");
        drop(removed);
        Ok(())
    }

    /// Removes the volumes that no container has: those that nobody named, or with the filter `all` any.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a filter's value; of the file system.
    pub fn prune_volumes(&self, filters: &Filters) -> Result<PrunedVolumes> {
        let all = filters.flag("all")?.unwrap_or(false);
        let mut pruned = PrunedVolumes { volumes_deleted: Vec::new(), space_reclaimed: 0 };
        let mut removed = Vec::new();
        let alone = self.store.alone()?;
        let users = self.volume_users()?;
        for volume in self.store.volumes()? {
            if (all || volume.is_anonymous())
                && !users.contains_key(&volume.name)
                && filters.allows_labels(|key| volume.labels.get(key).map(String::as_str))
            {
                removed.push(self.store.remove_volume(&alone, &volume.name)?);
                self.tell_volume(&volume.name, "destroy");
                pruned.volumes_deleted.push(volume.name);
            }
        }
        drop(alone);
        for volume in removed {
            let (root, path) = volume.place();
            let data = format!("{path}/_data");
            pruned.space_reclaimed += tree_bytes(root, data.as_str()).unwrap_or(0);
        }
        self.tell_prune(Kind::Volume, pruned.space_reclaimed);
        Ok(pruned)
    }

    /// Removes those volumes of a removed container that were made for it alone (`rm -v`, `--rm`).
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_anonymous_volumes(&self, record: &Record) -> Result<()> {
        let own = |point: &&crate::container::record::MountPoint| {
            point.kind == MountKind::Volume && point.anonymous
        };
        for point in record.mounts.iter().filter(own) {
            match self.remove_volume(&point.name, Force::Yes) {
                // Another container was started with `--volumes-from`.
                Ok(()) | Err(Error::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The containers that have volumes: the volume's name to the containers' ids.
    fn volume_users(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for id in self.shelf.ids()? {
            let Some(record) = self.shelf.load::<Record>(&id)? else { continue };
            for point in record.mounts.iter().filter(|point| point.kind == MountKind::Volume) {
                users.entry(point.name.clone()).or_default().push(id.clone());
            }
        }
        Ok(users)
    }

    fn view(&self, volume: Volume) -> VolumeView {
        VolumeView {
            created_at: volume.created.to_string(),
            driver: "local",
            labels: (!volume.labels.is_empty()).then_some(volume.labels),
            mountpoint: format!("{}/volumes/{}/_data", self.data_path, volume.name),
            name: volume.name,
            options: None,
            scope: "local",
            usage_data: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::{names, record::MountPoint},
        file,
    };

    struct Scratch {
        engine: Engine,
        path: String,
    }

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = format!("/tmp/skiff-volume-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let _ = file::remove_tree(file::CWD, path.as_str());
            let engine = Engine::open(&format!("{path}/data"), &format!("{path}/run")).unwrap();
            Scratch { engine, path }
        }

        fn create(&self, body: &str) -> Result<VolumeView> {
            self.engine.create_volume(&serde_json::from_str(body).unwrap())
        }

        fn listed(&self, filters: &str) -> Vec<String> {
            let filters = Filters::parse(Some(filters), &LIST_FILTERS).unwrap();
            self.engine.list_volumes(&filters).unwrap().into_iter().map(|volume| volume.name).collect()
        }

        fn container(&self, volume: &str, anonymous: bool) -> Record {
            let id = names::new_id().unwrap();
            let point = MountPoint {
                kind: MountKind::Volume,
                name: volume.into(),
                anonymous,
                ..MountPoint::default()
            };
            let record = Record { name: id[..12].into(), id, mounts: [point].into(), ..Record::default() };
            self.engine.shelf.add(&record).unwrap();
            record
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = file::remove_tree(file::CWD, self.path.as_str());
        }
    }

    #[test]
    fn volumes_are_shown_as_docker_shows_them() {
        let scratch = Scratch::new("view");
        let created = scratch
            .create(r#"{"Name":"data","Labels":{"a":"b"},"Driver":"local","DriverOpts":null}"#)
            .unwrap();
        assert_eq!(scratch.engine.inspect_volume("data").unwrap(), created);
        let json = serde_json::to_value(&created).unwrap();
        assert_eq!(json["Mountpoint"], format!("{}/data/volumes/data/_data", scratch.path));
        assert_eq!((&json["Driver"], &json["Scope"]), (&"local".into(), &"local".into()));
        assert_eq!((&json["Labels"]["a"], &json["Options"]), (&"b".into(), &serde_json::Value::Null));
        let refused = |body| scratch.create(body).unwrap_err().status();
        assert_eq!(refused(r#"{"Name":"x/y"}"#), 400);
        assert_eq!(refused(r#"{"Name":"xy","Driver":"nfs"}"#), 404);
        assert_eq!(refused(r#"{"Name":"xy","DriverOpts":{"type":"tmpfs"}}"#), 501);
        assert_eq!(scratch.engine.inspect_volume("../x").unwrap_err().status(), 404);
    }

    #[test]
    fn a_used_volume_stays_and_prune_takes_only_what_nobody_named() {
        let scratch = Scratch::new("prune");
        let engine = &scratch.engine;
        for body in [r#"{"Name":"used"}"#, r#"{"Name":"free","Labels":{"keep":""}}"#] {
            scratch.create(body).unwrap();
        }
        let anonymous = scratch.create("{}").unwrap().name;
        let own = scratch.create("{}").unwrap().name;
        let user = scratch.container("used", false);
        let owner = scratch.container(&own, true);
        assert_eq!(scratch.listed("{}").len(), 4);
        assert_eq!(scratch.listed(r#"{"name":["us"]}"#), ["used"]);
        assert_eq!(scratch.listed(r#"{"dangling":["0"],"name":["use"]}"#), ["used"]);
        assert_eq!(scratch.listed(r#"{"label":["keep"],"driver":["local"]}"#), ["free"]);
        assert!(scratch.listed(r#"{"driver":["nfs"]}"#).is_empty());
        let error = engine.remove_volume("used", Force::Yes).unwrap_err();
        assert_eq!(error, Error::Conflict(format!("remove used: volume is in use - [{}]", user.id)));
        assert_eq!(engine.remove_volume("gone", Force::No).unwrap_err().status(), 404);
        assert_eq!(engine.remove_volume("gone", Force::Yes), Ok(()));
        let path = format!("{}/data/volumes/{anonymous}/_data/f", scratch.path);
        file::create(file::CWD, path.as_str(), b"12345", 0o600).unwrap();
        let prune =
            |filters: &str| engine.prune_volumes(&Filters::parse(Some(filters), &PRUNE_FILTERS).unwrap());
        let pruned = prune("{}").unwrap();
        assert_eq!(pruned, PrunedVolumes { volumes_deleted: [anonymous].into(), space_reclaimed: 5 });
        assert!(prune(r#"{"all":["1"],"label!":["keep"]}"#).unwrap().volumes_deleted.is_empty());
        assert_eq!(prune(r#"{"all":["1"]}"#).unwrap().volumes_deleted, ["free"]);
        engine.remove_anonymous_volumes(&owner).unwrap();
        assert!(scratch.listed("{}").contains(&own));
        let lock = engine.shelf.lock(&owner.id).unwrap();
        engine.shelf.discard(&owner, &lock).unwrap();
        engine.remove_anonymous_volumes(&owner).unwrap();
        assert_eq!(scratch.listed("{}"), ["used"]);
        let path = format!("{}/data/volumes/used/_data/f", scratch.path);
        file::create(file::CWD, path.as_str(), b"123", 0o600).unwrap();
        let json = serde_json::to_value(engine.volumes_in_use().unwrap()).unwrap();
        assert_eq!(json[0]["UsageData"], serde_json::json!({"RefCount": 1, "Size": 3}));
    }
}

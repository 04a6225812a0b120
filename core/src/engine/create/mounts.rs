//! `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's volumes -> what is mounted where. Volumes that are
//! missing are made.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    Error, Result,
    container::{
        config::{BindOptions, Config, HostConfig, Map, Mount},
        record::{MountKind, MountPoint},
    },
    engine::Engine,
    file::{self, CWD},
    store::Locked,
};

/// A mount that is wanted, and the labels of a volume that is made for it.
#[derive(Debug, Default)]
struct Wanted {
    point: MountPoint,
    labels: Map<String>,
}

impl Engine {
    /// The mounts of a new container, parents before children. The names of volumes that were made for it are added to
    /// `made`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that make no sense; of the file system.
    pub(super) fn mounts(
        &self,
        config: &Config,
        host: &HostConfig,
        locked: &Locked,
        made: &mut Vec<String>,
    ) -> Result<Vec<MountPoint>> {
        let mut all = Vec::new();
        for bind in &host.binds {
            all.push(Wanted { point: bind_point(bind)?, labels: Map::new() });
        }
        for mount in &host.mounts {
            let point = mount_point(mount)?;
            let labels =
                mount.volume_options.as_ref().map_or_else(Map::new, |options| options.labels.clone());
            all.push(Wanted { point, labels });
        }
        for (destination, options) in &host.tmpfs {
            check_destination(destination)?;
            let point = MountPoint {
                kind: MountKind::Tmpfs,
                destination: destination.clone(),
                mode: options.clone(),
                ..MountPoint::default()
            };
            all.push(Wanted { point, labels: Map::new() });
        }
        for (at, wanted) in all.iter().enumerate() {
            if all[..at].iter().any(|other| same_place(&other.point, &wanted.point.destination)) {
                return Err(Error::Invalid(format!("Duplicate mount point: {}", wanted.point.destination)));
            }
        }
        for from in &host.volumes_from {
            for point in self.volumes_from(from)? {
                if !all.iter().any(|other| same_place(&other.point, &point.destination)) {
                    all.push(Wanted { point, labels: Map::new() });
                }
            }
        }
        for destination in config.volumes.iter().flat_map(|volumes| volumes.keys()) {
            check_destination(destination)?;
            if !all.iter().any(|other| same_place(&other.point, destination)) {
                let point = MountPoint {
                    kind: MountKind::Volume,
                    destination: destination.clone(),
                    anonymous: true,
                    ..MountPoint::default()
                };
                all.push(Wanted { point, labels: Map::new() });
            }
        }
        // The host is looked at and changed only when everything else is right.
        for Wanted { point, .. } in &all {
            if point.id_mapped && !host.has_user_namespace() {
                return Err(Error::Invalid(
                    "invalid mode: idmap: the container has no user namespace".into(),
                ));
            }
            if point.kind == MountKind::Bind
                && !point.create_source
                && rustix::fs::stat(point.source.as_str()).is_err()
            {
                return Err(Error::Invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    point.source
                )));
            }
        }
        for Wanted { point, labels } in &mut all {
            if point.kind == MountKind::Volume {
                self.find_volume(point, labels, locked, made)?;
            }
        }
        let mut points: Vec<MountPoint> = all.into_iter().map(|wanted| wanted.point).collect();
        crate::sort::by_key(&mut points, |point| parts(&point.destination).count());
        Ok(points)
    }

    /// Makes the volume if it is missing, and notes where it is.
    fn find_volume(
        &self,
        point: &mut MountPoint,
        labels: &Map<String>,
        locked: &Locked,
        made: &mut Vec<String>,
    ) -> Result<()> {
        if point.name.is_empty() {
            point.name = self.store.create_anonymous_volume(locked, labels)?.name;
            self.tell_volume(&point.name, "create");
            made.push(point.name.clone());
        } else if self.store.volume(&point.name)?.is_none() {
            self.store.create_volume(locked, &point.name, labels)?;
            self.tell_volume(&point.name, "create");
            made.push(point.name.clone());
        }
        point.source = format!("{}/volumes/{}/_data", self.data_path, point.name);
        Ok(())
    }

    /// The mounts of another container: `NAME[:ro|rw]`.
    fn volumes_from(&self, from: &str) -> Result<Vec<MountPoint>> {
        let (name, mode) = from.split_once(':').unwrap_or((from, "rw"));
        if name.is_empty() {
            return Err(Error::Invalid("volumes-from specification cannot be an empty string".into()));
        }
        let mut read_only = false;
        for word in mode.split(',') {
            match word {
                "rw" => {}
                "ro" => read_only = true,
                "z" | "Z" => relabel(word)?,
                _ => return Err(Error::Invalid(format!("invalid mode: {mode}"))),
            }
        }
        let record = self.shelf.find(name)?.record;
        let points = record.mounts.into_iter().filter(|point| point.kind != MountKind::Tmpfs);
        Ok(points
            .map(|point| MountPoint {
                read_only: point.read_only || read_only,
                // It goes with the container that it was made for.
                anonymous: false,
                ..point
            })
            .collect())
    }
}

/// `source:destination[:options]`, `name:destination[:options]` or `destination`.
///
/// # Errors
/// [`Error::Invalid`] if it is none of these, or can't be mounted there.
pub fn bind_point(bind: &str) -> Result<MountPoint> {
    let point = short_form(bind)?;
    check_destination(&point.destination)?;
    Ok(point)
}

fn short_form(bind: &str) -> Result<MountPoint> {
    let parts: Vec<&str> = bind.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [destination] => ("", destination, ""),
        [source, destination] => (source, destination, ""),
        [source, destination, options] if !source.is_empty() => (source, destination, options),
        _ => return Err(Error::Invalid(format!("invalid volume specification: '{bind}'"))),
    };
    let is_bind = source.starts_with('/');
    if !is_bind && source.starts_with('.') {
        return Err(Error::Invalid(format!(
            "{source} includes invalid characters for a local volume name; use the absolute path of a directory"
        )));
    }
    let mut point = MountPoint {
        destination: destination.into(),
        mode: options.into(),
        anonymous: source.is_empty(),
        ..MountPoint::default()
    };
    if is_bind {
        point.source = source.into();
        point.create_source = true;
    } else {
        point.kind = MountKind::Volume;
        point.name = source.into();
        if !source.is_empty() {
            crate::store::volumes::check_name(source)?;
        }
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => point.read_only = true,
            "rw" => {}
            "z" | "Z" => relabel(option)?,
            "idmap" if is_bind => point.id_mapped = true,
            "nocopy" if !is_bind => point.no_copy = true,
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" if is_bind => {
                point.propagation = option.into();
            }
            other => return Err(Error::Invalid(format!("invalid mode: {other}"))),
        }
    }
    Ok(point)
}

/// A mount as `--mount` describes it.
///
/// # Errors
/// [`Error::Invalid`] if the description makes no sense, or it can't be mounted there.
pub fn mount_point(mount: &Mount) -> Result<MountPoint> {
    let point = long_form(mount)?;
    check_destination(&point.destination)?;
    Ok(point)
}

fn long_form(mount: &Mount) -> Result<MountPoint> {
    let invalid =
        |why: &str| Error::Invalid(format!("invalid mount config for type \"{}\": {why}", mount.kind));
    let mut point =
        MountPoint { destination: mount.target.clone(), read_only: mount.read_only, ..MountPoint::default() };
    match mount.kind.as_str() {
        "bind" => {
            if !mount.source.starts_with('/') {
                return Err(invalid(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                )));
            }
            point.source.clone_from(&mount.source);
            if let Some(options) = &mount.bind_options {
                bind_options(&mut point, options, &invalid)?;
            }
        }
        "tmpfs" => {
            point.kind = MountKind::Tmpfs;
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mut words = Vec::new();
            if options.size_bytes > 0 {
                words.push(format!("size={}", options.size_bytes));
            }
            if options.mode != 0 {
                words.push(format!("mode={:o}", options.mode));
            }
            point.mode = words.join(",");
        }
        "volume" => {
            point.kind = MountKind::Volume;
            point.name.clone_from(&mount.source);
            point.anonymous = mount.source.is_empty();
            if !mount.source.is_empty() {
                crate::store::volumes::check_name(&mount.source)?;
            }
            if let Some(options) = &mount.volume_options {
                point.no_copy = options.no_copy;
                point.subpath.clone_from(&options.subpath);
                let driver = options.driver_config.as_ref();
                if driver.is_some_and(|driver| {
                    !matches!(driver.name.as_str(), "" | "local") || !driver.options.is_empty()
                }) {
                    return Err(Error::Unsupported("volume drivers and their options are not there".into()));
                }
            }
            if point.subpath.starts_with('/') || point.subpath.split('/').any(|part| part == "..") {
                return Err(invalid("subpath must be a relative path within the volume"));
            }
        }
        other => return Err(Error::Invalid(format!("invalid mount config: mount type {other:?} unknown"))),
    }
    Ok(point)
}

fn bind_options(
    point: &mut MountPoint,
    options: &BindOptions,
    invalid: &dyn Fn(&str) -> Error,
) -> Result<()> {
    point.propagation.clone_from(&options.propagation);
    point.non_recursive = options.non_recursive;
    point.create_source = options.create_mountpoint;
    point.read_only_top = options.read_only_non_recursive;
    if options.read_only_force_recursive {
        // Read-only reaches all mounts below unless that is declined, so there is nothing to force.
        if !point.read_only || options.non_recursive || options.read_only_non_recursive {
            return Err(invalid("ReadOnlyForceRecursive needs a read-only mount with the mounts below it"));
        }
    }
    if options.read_only_non_recursive && !point.read_only {
        return Err(invalid("ReadOnlyNonRecursive needs a read-only mount"));
    }
    Ok(())
}

/// Where there is no SELinux there is nothing to label.
fn relabel(option: &str) -> Result<()> {
    if file::directory(CWD, "/sys/fs/selinux/booleans").is_ok() {
        return Err(Error::Unsupported(format!("mount option {option}: SELinux labels are not there yet")));
    }
    Ok(())
}

fn check_destination(destination: &str) -> Result<()> {
    if !destination.starts_with('/') || destination.split('/').any(|part| part == "..") {
        return Err(Error::Invalid(format!(
            "invalid mount path: '{destination}' mount path must be absolute"
        )));
    }
    if parts(destination).next().is_none() {
        return Err(Error::Invalid("invalid specification: destination can't be '/'".to_string()));
    }
    crate::process::mount_point::check_place(destination)
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn same_place(point: &MountPoint, destination: &str) -> bool {
    parts(&point.destination).eq(parts(destination))
}

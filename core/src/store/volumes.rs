//! Volumes: directories that outlive containers.
//!
//! ```text
//! volumes/<name>/volume.json   what it is
//!               /_data         what is mounted
//!               /filling       its first filling is going on, or was interrupted
//! ```
//! A volume that was made for one container alone is called by 64 random hexadecimal digits and carries a label.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, RenameFlags, mkdirat, renameat_with},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{Locked, Store, publish};
use crate::{Context, Error, Result, clock::Time, container::config::Map, file};

/// The label that marks a volume which nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";
/// Longest `volume.json`, in bytes.
const LIMIT: usize = 1 << 20;

/// A volume as it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// When.
    pub created: Time,
    /// Free-form notes.
    pub labels: Map<String>,
}

impl Default for Volume {
    fn default() -> Self {
        Volume { name: String::new(), created: Time::NEVER, labels: Map::new() }
    }
}

impl Volume {
    /// Whether it was made for one container alone.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS)
    }
}

impl Store {
    /// Makes a volume of this name, or gives the one that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a malformed name; of the file system.
    pub fn create_volume(&self, locked: &Locked, name: &str, labels: &Map<String>) -> Result<Volume> {
        check_name(name)?;
        if let Some(volume) = self.volume(name)? {
            return Ok(volume);
        }
        let scratch = self.scratch(locked)?;
        let volume = Volume { name: name.into(), created: Time::now(), labels: labels.clone() };
        let json = serde_json::to_vec(&volume).expect("a volume has only string keys");
        mkdirat(scratch.directory(), "_data", Mode::RWXU).context("create directory", "_data")?;
        let data = publish::open_directory(scratch.directory(), "_data").context("open", "_data")?;
        rustix::fs::fchmod(&data, Mode::from_raw_mode(0o755)).context("change mode of", "_data")?;
        let written = file::create(scratch.directory(), "volume.json", &json, 0o600);
        let written = written.context("write", "volume.json")?;
        if !volume.is_anonymous() {
            rustix::fs::fsync(written).context("sync", "volume.json")?;
        }
        rustix::fs::fchmod(scratch.directory(), Mode::from_raw_mode(0o711))
            .context("change mode of", name)?;
        file::subdirectory(&self.root, "volumes", 0o711).context("create directory", "volumes")?;
        let to = format!("volumes/{name}");
        match renameat_with(
            &self.root,
            scratch.path.as_str(),
            &self.root,
            to.as_str(),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => Ok(volume),
            // Another command was faster.
            Err(Errno::EXIST) => self.volume(name)?.ok_or_else(|| no_such(name)),
            Err(errno) => Err(Error::os("rename", to, errno)),
        }
    }

    /// Makes a volume that nobody named.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create_anonymous_volume(&self, locked: &Locked, labels: &Map<String>) -> Result<Volume> {
        let name: String = (0..4).map(|_| publish::random_name()).collect();
        let mut labels = labels.clone();
        labels.insert(ANONYMOUS.into(), String::new());
        self.create_volume(locked, &name, &labels)
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// Of the file system.
    pub fn volume(&self, name: &str) -> Result<Option<Volume>> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let path = format!("volumes/{name}/volume.json");
        match file::read(&self.root, path.as_str(), LIMIT) {
            Ok(json) => {
                // What lies in it counts more than its labels, which a power cut may have taken.
                let mut volume: Volume = crate::json::from_slice(&json).unwrap_or_default();
                volume.name = name.into();
                Ok(Some(volume))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::os("read", path, errno)),
        }
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// Of the file system.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let mut all = Vec::new();
        for name in self.listed("volumes")? {
            all.extend(self.volume(&name)?);
        }
        crate::sort::by(&mut all, |a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Opens the directory of a volume, in which `_data` lies.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn open_volume(&self, name: &str) -> Result<OwnedFd> {
        check_name(name)?;
        let path = format!("volumes/{name}");
        match publish::open_directory(&self.root, &path) {
            Err(Errno::NOENT) => Err(no_such(name)),
            other => other.context("open", path),
        }
    }

    /// Takes a volume off the shelf: it is gone when this returns, and deleted when what this gives is dropped.
    ///
    /// # Errors
    /// [`Error::NotFound`]; of the file system.
    pub fn remove_volume(&self, _alone: &Locked, name: &str) -> Result<RemovedVolume> {
        check_name(name)?;
        file::subdirectory(&self.root, "tmp", 0o700).context("create directory", "tmp")?;
        let (from, to) = (format!("volumes/{name}"), format!("tmp/{}", publish::random_name()));
        match rustix::fs::renameat(&self.root, from.as_str(), &self.root, to.as_str()) {
            Err(Errno::NOENT) => return Err(no_such(name)),
            other => other.context("rename", from)?,
        }
        let root = self.root.try_clone().context("duplicate", "data root")?;
        Ok(RemovedVolume { root, path: to })
    }
}

/// A volume that was taken off the shelf. Its files are deleted when this is dropped.
#[derive(Debug)]
pub struct RemovedVolume {
    root: OwnedFd,
    path: String,
}

impl RemovedVolume {
    /// Where it lies until then: its parent and its path below that.
    pub fn place(&self) -> (&OwnedFd, &str) {
        (&self.root, &self.path)
    }
}

impl Drop for RemovedVolume {
    fn drop(&mut self) {
        let _ = file::remove_tree(&self.root, self.path.as_str());
    }
}

fn no_such(name: &str) -> Error {
    Error::NotFound(format!("get {name}: no such volume"))
}

/// Checks the name of a volume, which is also the name of its directory.
///
/// # Errors
/// [`Error::Invalid`] in Docker's words.
pub fn check_name(name: &str) -> Result<()> {
    if name.len() < 2 {
        return Err(Error::Invalid(
            "volume name is too short, names should be at least two alphanumeric characters".into(),
        ));
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.len() > 255 || !name.bytes().all(is_good) || !name.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(Error::Invalid(format!(
            "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
             allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::ScratchStore;

    #[test]
    fn a_volume_is_made_once_and_keeps_what_it_was_made_with() {
        let scratch = ScratchStore::new("volumes");
        let store = &scratch.store;
        let locked = store.share().unwrap();
        let labels: Map<String> = [("a".into(), "b".into())].into();
        let first = store.create_volume(&locked, "data", &labels).unwrap();
        let again = store.create_volume(&locked, "data", &Map::new()).unwrap();
        assert_eq!(first, again);
        let anonymous = store.create_anonymous_volume(&locked, &labels).unwrap();
        assert!(anonymous.is_anonymous() && anonymous.name.len() == 64 && !first.is_anonymous());
        assert_eq!(store.volumes().unwrap().len(), 2);
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
        let stat =
            rustix::fs::statat(store.root(), "volumes/data/_data", rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!(stat.st_mode & 0o7777, 0o755);
        drop(locked);
        let alone = store.alone().unwrap();
        drop(store.remove_volume(&alone, "data").unwrap());
        assert!(matches!(store.remove_volume(&alone, "data"), Err(Error::NotFound(_))));
        assert!(matches!(store.open_volume("data"), Err(Error::NotFound(_))));
        assert!(file::names(store.root(), "tmp").unwrap().is_empty());
    }

    #[test]
    fn a_name_is_one_plain_component() {
        for name in ["ab", "a.b-c_d", "0x", &"a".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a", "..", ".a", "-a", "a/b", "a b", "\u{e9}\u{e9}", "a\0", &"a".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}

//! Names of images: one small file each, called by the hash of the full name, so that no name can be a path, too long
//! or in the way of another.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{fs::AtFlags, io::Errno};

use super::{Locked, Publication, Store, publish};
use crate::{
    Error, Result,
    clock::Time,
    digest::{Digest, ImageId},
    file,
    image::reference::Reference,
};

/// Longest file of a name, in bytes: host, path, tag, id.
const LIMIT: usize = 1024;

/// A name and the image that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, with a tag.
    pub reference: Reference,
    /// The image.
    pub image: ImageId,
}

impl Store {
    /// The image that is called exactly this.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the name's file is damaged.
    pub fn named(&self, reference: &Reference) -> Result<Option<ImageId>> {
        let path = name_path(reference);
        let found = self.read_name(&path)?;
        match found {
            Some(name) if name.reference == *reference => Ok(Some(name.image)),
            Some(_) => Err(Error::Corrupt(format!("read {path}: it is the file of another name"))),
            None => Ok(None),
        }
    }

    /// All names, sorted. One whose file is damaged does not hide the others: it is left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn all_names(&self) -> Result<Vec<Name>> {
        let mut all = Vec::new();
        for file in self.listed("names")? {
            match self.read_name(&format!("names/{file}")) {
                // A name may have gone since the list was read.
                Ok(found) => all.extend(found),
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        crate::sort::by(&mut all, |a, b| a.reference.cmp(&b.reference));
        Ok(all)
    }

    /// When the name was last given.
    pub fn named_at(&self, reference: &Reference) -> Option<Time> {
        let path = name_path(reference);
        let stat = rustix::fs::statat(&self.root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Time::from_unix(stat.st_mtime, stat.st_mtime_nsec as u32))
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// Of the file system.
    pub fn unname(&self, alone: &Locked, reference: &Reference) -> Result<()> {
        publish::remove_file(self, alone, &name_path(reference))
    }

    pub(super) fn read_name(&self, path: &str) -> Result<Option<Name>> {
        let bytes = match file::read(&self.root, path, LIMIT) {
            Ok(bytes) => bytes,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::os("read", path, errno)),
        };
        let parsed = core::str::from_utf8(&bytes).ok().and_then(|text| {
            let (name, id) = text.strip_suffix('\n')?.split_once('\n')?;
            let image = ImageId(Digest::parse(id).ok()?);
            Some(Name { reference: Reference::parse(name).ok()?, image })
        });
        match parsed {
            Some(name) => Ok(Some(name)),
            None => Err(Error::Corrupt(format!("read {path}: it is not the file of a name"))
                .hint("the name is lost, the image is not: remove the file and tag the image again")),
        }
    }

    /// The plain files on a shelf; a missing shelf is empty.
    pub(super) fn listed(&self, shelf: &str) -> Result<Vec<String>> {
        match file::names(&self.root, shelf) {
            Ok(names) => Ok(names),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(Error::os("list", shelf, errno)),
        }
    }
}

impl Publication<'_> {
    /// A name for an image.
    ///
    /// # Errors
    /// Of the file system.
    pub fn name(self, reference: &Reference, image: &ImageId) -> Result<Self> {
        self.file(&name_path(reference), format!("{reference}\n{image}\n").as_bytes())
    }
}

pub(super) fn name_path(reference: &Reference) -> String {
    format!("names/{}", Digest::of(reference.to_string().as_bytes()).hex().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::ScratchStore;

    #[test]
    fn a_name_means_what_it_was_last_given_to() {
        let scratch = ScratchStore::new("names");
        let store = &scratch.store;
        let name = Reference::parse("x.io:5000/a/b:tag").unwrap();
        let (one, two) = (ImageId(Digest::of(b"1")), ImageId(Digest::of(b"2")));
        assert_eq!(store.named(&name), Ok(None));
        {
            let locked = store.share().unwrap();
            for image in [&one, &two] {
                store.publication(&locked).unwrap().name(&name, image).unwrap().commit().unwrap();
                assert_eq!(store.named(&name), Ok(Some(*image)));
            }
        }
        assert_eq!(store.all_names().unwrap(), [Name { reference: name.clone(), image: two }]);
        store.unname(&store.alone().unwrap(), &name).unwrap();
        assert_eq!(store.named(&name), Ok(None));
    }

    #[test]
    fn a_damaged_name_is_reported() {
        let scratch = ScratchStore::new("damaged-name");
        let store = &scratch.store;
        let name = Reference::parse("a:b").unwrap();
        let locked = store.share().unwrap();
        store.publication(&locked).unwrap().file(&name_path(&name), b"").unwrap().commit().unwrap();
        assert!(matches!(store.named(&name), Err(Error::Corrupt(_))));
        assert_eq!(store.all_names(), Ok(Vec::new()));
    }
}

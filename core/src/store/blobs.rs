//! Blobs: small documents under the hash of their bytes, checked on the way in and on the way out.

use alloc::{format, string::String, vec::Vec};

use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
};

use super::Store;
use crate::{
    Error, Result,
    digest::{BlobDigest, Digest},
    file,
    image::config::SIZE_LIMIT,
};

impl Store {
    /// Whether the document is there.
    pub fn has_blob(&self, digest: &BlobDigest) -> bool {
        statat(&self.root, blob_path(digest).as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The document with this digest.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] if its bytes have changed on the disk.
    pub fn blob(&self, digest: &BlobDigest) -> Result<Vec<u8>> {
        let path = blob_path(digest);
        let bytes = match file::read(&self.root, path.as_str(), SIZE_LIMIT) {
            Ok(bytes) => bytes,
            Err(Errno::NOENT) => return Err(Error::NotFound(format!("no such blob: {digest}"))),
            Err(errno) => return Err(Error::os("read", path, errno)),
        };
        if Digest::of(&bytes) != digest.0 {
            return Err(Error::Corrupt(format!("read blob {digest}: its content has changed on the disk")));
        }
        Ok(bytes)
    }
}

/// Where a blob lies below the data root.
pub(super) fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.0.hex().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::ScratchStore;

    #[test]
    fn a_changed_blob_is_not_given_out() {
        let scratch = ScratchStore::new("blob");
        let store = &scratch.store;
        let digest = BlobDigest(Digest::of(b"{}"));
        assert!(matches!(store.blob(&digest), Err(Error::NotFound(_))));
        let locked = store.share().unwrap();
        store.publication(&locked).unwrap().file(&blob_path(&digest), b"{}").unwrap().commit().unwrap();
        assert_eq!(store.blob(&digest).unwrap(), b"{}");
        store.publication(&locked).unwrap().file(&blob_path(&digest), b"[]").unwrap().commit().unwrap();
        assert!(matches!(store.blob(&digest), Err(Error::Corrupt(_))));
    }
}

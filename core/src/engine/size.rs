//! How much a container has written, for `ps -s`, `inspect -s` and prune.

use alloc::{collections::BTreeSet, vec::Vec};

use rustix::{
    fd::AsFd,
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    path::Arg,
};

use super::Engine;
use crate::{
    container::record::Record,
    digest::{Digest, ImageId},
    file,
};

impl Engine {
    /// Bytes that the container has written, and bytes of it together with its image. What is gone counts nothing.
    pub fn container_size(&self, record: &Record) -> [u64; 2] {
        let path = alloc::format!("containers/{}/upper", record.id);
        let changed = tree_bytes(&self.data, path.as_str()).unwrap_or(0);
        let image = Digest::parse(&record.image).ok().map(ImageId);
        let image = image.and_then(|id| self.store.image_record(&id).ok().flatten());
        [changed, changed.saturating_add(image.map_or(0, |image| image.size_bytes))]
    }
}

/// Sum of the sizes of all files below a directory; a file with several names counts once. Links are not followed,
/// mounts not entered, and what no single path can name is not counted.
///
/// # Errors
/// As openat2(2).
pub fn tree_bytes(at: impl AsFd, path: impl Arg) -> Result<u64, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(at, path, flags, Mode::empty())?;
    // Paths instead of open directories: there may be more of these than one process can have open.
    let mut waiting: Vec<Vec<u8>> = alloc::vec![b".".to_vec()];
    let mut seen = BTreeSet::new();
    let mut total: u64 = 0;
    while let Some(path) = waiting.pop() {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let directory = match rustix::fs::openat2(&root, path.as_slice(), flags, Mode::empty(), how) {
            // Gone, or replaced, or elsewhere.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG) => continue,
            other => other?,
        };
        for (name, kind) in file::entries(&directory, ".")? {
            if kind == FileType::Directory {
                waiting.push([&path, b"/".as_slice(), name.to_bytes()].concat());
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if stat.st_nlink < 2 || seen.insert((stat.st_dev, stat.st_ino)) {
                total = total.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::CWD;

    #[test]
    fn files_count_once_whatever_their_names_and_depth() {
        let path = alloc::format!("/tmp/skiff-size-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        let root = file::make_host_directories(&path, 0o700).unwrap();
        let deep = file::make_directories(&root, b"a/b").unwrap();
        file::create(&deep, "one", &[0; 100], 0o600).unwrap();
        file::create(&root, "two", &[0; 23], 0o600).unwrap();
        rustix::fs::linkat(&deep, "one", &root, "same", AtFlags::empty()).unwrap();
        rustix::fs::symlinkat("a", &root, "l").unwrap();
        assert_eq!(tree_bytes(CWD, path.as_str()), Ok(100 + 23 + 1));
        // More directories side by side than a process may have open if nobody has raised its limit.
        for number in 0..1100 {
            let deep = file::subdirectory(&root, &alloc::format!("{number}"), 0o700).unwrap();
            file::create(&deep, "f", &[0; 2], 0o600).unwrap();
        }
        assert_eq!(tree_bytes(CWD, path.as_str()), Ok(100 + 23 + 1 + 2200));
        file::remove_tree(CWD, path.as_str()).unwrap();
    }
}

//! A skeleton after files of the tree were replaced: what it says of them is put right. Runs in the extracting process,
//! when everything is in the tree.

use alloc::{collections::BTreeMap, format, vec, vec::Vec};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, statat},
    io::Errno,
};

use super::{BUFFER_BYTES, PATH_LIMIT, Piece, Player, Recorder, open};
use crate::{Context, Error, Result, file};

/// Inode numbers in some order: mostly each is one more than the last, so that few are kept.
#[derive(Debug, Default)]
pub struct Inodes {
    /// The first one, and how many.
    runs: Vec<(u64, u64)>,
}

impl Inodes {
    /// The next one.
    pub fn push(&mut self, inode: u64) {
        match self.runs.last_mut() {
            Some((first, count)) if first.wrapping_add(*count) == inode => *count += 1,
            _ => self.runs.push((inode, 1)),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().flat_map(|(first, count)| (0..*count).map(|step| first.wrapping_add(step)))
    }
}

/// Where a file is now.
enum Whereabouts {
    Unknown,
    Tree(Vec<u8>),
    /// It was replaced.
    Replaced(Vec<u8>),
}

/// Files that are not where they were, by their inodes.
type Moved = BTreeMap<u64, Whereabouts>;

/// Writes the skeleton `name` of a layer's directory anew after files in `tree` were replaced, which have been put into
/// `replaced`: what is there comes into the skeleton, what is elsewhere in the tree gets its present path.
///
/// # Errors
/// Of the file system.
pub fn settle(directory: BorrowedFd<'_>, name: &str, replaced: &str, inodes: &Inodes) -> Result<()> {
    let trees = [file::directory(directory, "tree"), file::directory(directory, replaced)];
    let [tree, attic] = trees.map(|opened| opened.context("open", "tree"));
    let (tree, attic) = (tree?, attic?);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let old = || openat(directory, name, flags, Mode::empty()).context("open", name);
    let mut moved = moved(&mut Player::new(&old()?), &tree, inodes)?;
    for (root, place) in
        [(&attic, Whereabouts::Replaced as fn(Vec<u8>) -> Whereabouts), (&tree, Whereabouts::Tree)]
    {
        find(root, &mut |inode, path| {
            if let Some(there) = moved.get_mut(&inode) {
                *there = place(path.into());
            }
        })?;
    }
    let new_name = format!("{name}.new");
    let new = file::create(directory, new_name.as_str(), b"", 0o600).context("create", &new_name)?;
    let (old, mut recorder) = (old()?, Recorder::new(new));
    rewrite(&mut Player::new(&old), &mut recorder, &moved, inodes, attic.as_fd())?;
    recorder.finish()?;
    renameat(directory, new_name.as_str(), directory, name).context("rename", new_name)?;
    file::remove_tree(directory, replaced).context("remove", replaced)
}

/// The files to which their paths do not lead any more.
fn moved(player: &mut Player<'_>, tree: &OwnedFd, inodes: &Inodes) -> Result<Moved> {
    let (mut moved, mut inodes) = (Moved::new(), inodes.iter());
    while let Some(piece) = player.next()? {
        if let Piece::File(path, _) = piece
            && let Some(inode) = inodes.next()
        {
            let there = file::in_root(tree, path.as_slice(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
            if there.and_then(fstat).map(|stat| stat.st_ino) != Ok(inode) {
                moved.insert(inode, Whereabouts::Unknown);
            }
        }
    }
    Ok(moved)
}

fn rewrite(
    player: &mut Player<'_>,
    recorder: &mut Recorder,
    moved: &Moved,
    inodes: &Inodes,
    attic: BorrowedFd<'_>,
) -> Result<()> {
    let (mut inodes, mut buffer) = (inodes.iter(), vec![0; BUFFER_BYTES]);
    while let Some(piece) = player.next()? {
        match piece {
            Piece::Bytes(bytes) => recorder.bytes(bytes)?,
            Piece::Zeros(mut count) => {
                buffer.fill(0);
                while count > 0 {
                    let some = count.min(BUFFER_BYTES as u64);
                    recorder.bytes(&buffer[..some as usize])?;
                    count -= some;
                }
            }
            Piece::File(path, size) => match inodes.next().and_then(|inode| moved.get(&inode)) {
                None => recorder.file(&path, 0, size)?,
                Some(Whereabouts::Tree(now)) => recorder.file(now, 0, size)?,
                Some(Whereabouts::Replaced(now)) => {
                    let file = open(attic, now, size)?;
                    loop {
                        match file::read_part(&file, &mut buffer).context("read", path.escape_ascii())? {
                            0 => break,
                            count => recorder.bytes(&buffer[..count])?,
                        }
                    }
                }
                Some(Whereabouts::Unknown) => {
                    let path = path.escape_ascii();
                    return Err(Error::Corrupt(format!("read tar: too deep a name: {path:.200}")));
                }
            },
        }
    }
    Ok(())
}

/// Tells of every file below a directory whose path is not too long for one call.
fn find(root: &OwnedFd, found: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
    let mut directories = vec![Vec::new()];
    while let Some(path) = directories.pop() {
        let at = if path.is_empty() { b".".as_slice() } else { &path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let directory = match file::in_root(root, at, flags, Mode::empty()) {
            Err(Errno::NAMETOOLONG) => continue,
            other => other.context("open", path.escape_ascii())?,
        };
        for (name, kind) in file::entries(&directory, ".").context("list", path.escape_ascii())? {
            let mut below = path.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name.to_bytes());
            match kind {
                _ if below.len() as u64 > PATH_LIMIT => {}
                FileType::Directory => directories.push(below),
                FileType::RegularFile => {
                    let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)
                        .context("stat", below.escape_ascii())?;
                    found(stat.st_ino, &below);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_come_back_in_their_order() {
        let all = [7, 8, 9, 3, 4, 4, 5, u64::MAX, 0, 1];
        let mut inodes = Inodes::default();
        all.iter().for_each(|inode| inodes.push(*inode));
        assert!(inodes.iter().eq(all));
        assert_eq!(inodes.runs.len(), 4);
    }
}

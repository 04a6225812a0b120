//! Where a path leads, by name. Nothing is opened by the result before it is resolved anew.

use alloc::{collections::VecDeque, vec::Vec};

use rustix::{
    fd::AsFd,
    fs::{Mode, OFlags, readlinkat},
    io::Errno,
};

use super::in_root;

/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// Follows all links of a path inside a root, as far as it exists: a path from there, without links and without a slash in
/// front. `link` hears of each link before it is followed.
///
/// # Errors
/// ELOOP for too many links, what `link` gives, otherwise as openat2(2).
pub fn follow(
    root: impl AsFd,
    path: &[u8],
    link: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut todo: VecDeque<Vec<u8>> = path.split(|byte| *byte == b'/').map(Into::into).collect();
    let mut done: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => {}
        }
        let here = if done.is_empty() { b".".to_vec() } else { done.join(&b'/') };
        let target = in_root(&root, here, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .and_then(|parent| readlinkat(parent, part.as_slice(), Vec::new()));
        done.push(part);
        match target {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                link(&done.join(&b'/'))?;
                let target = target.into_bytes();
                if target.starts_with(b"/") {
                    done.clear();
                } else {
                    done.pop();
                }
                for part in target.split(|byte| *byte == b'/').rev() {
                    todo.push_front(part.into());
                }
            }
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(done.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;
    use crate::file::{CWD, make_directories, make_host_directories, remove_tree};

    #[test]
    fn links_are_followed_inside_the_root_as_far_as_they_lead() {
        let path = format!("/tmp/skiff-follow-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = remove_tree(CWD, path.as_str());
        let root = make_host_directories(&path, 0o700).unwrap();
        make_directories(&root, b"srv/d").unwrap();
        for (target, name) in [
            ("/srv/d", "absolute"),
            ("../../../srv", "climbing"),
            ("nowhere/x", "dangling"),
            ("loop", "loop"),
            ("absolute/../q", "twice"),
        ] {
            rustix::fs::symlinkat(target, &root, name).unwrap();
        }
        let target = |name: &str| {
            follow(&root, name.as_bytes(), &mut |_| Ok(())).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(target("absolute"), Ok("srv/d".into()));
        assert_eq!(target("climbing/d"), Ok("srv/d".into()));
        assert_eq!(target("dangling"), Ok("nowhere/x".into()));
        assert_eq!(target("twice"), Ok("srv/q".into()));
        assert_eq!(target("loop"), Err(Errno::LOOP));
        let mut heard = Vec::new();
        let mut hear = |link: &[u8]| {
            heard.push(String::from_utf8(link.into()).unwrap());
            Ok(())
        };
        follow(&root, b"./twice", &mut hear).unwrap();
        assert_eq!(heard, ["twice", "absolute"]);
        assert_eq!(follow(&root, b"absolute", &mut |_| Err(Errno::NOENT)), Err(Errno::NOENT));
        remove_tree(CWD, path.as_str()).unwrap();
    }
}

//! One control group, from its birth before clone3 to its removal after the last exit. The parent makes it and the
//! monitor removes it; requests that pause, update, list or measure a container open it by name.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    Controllers, Host,
    limits::{Missing, Write},
};
use crate::{Context, Error, Result, file};

/// The group that containers' groups are made in, unless they name another.
pub const PARENT: &str = "skiff";

/// No more than this many groups inside each other are followed.
pub(super) const DEEPEST: usize = 200;

/// A container's control group.
#[derive(Debug)]
pub struct Group {
    directory: OwnedFd,
    parent: OwnedFd,
    name: String,
    path: String,
}

impl Group {
    /// Makes the group `name` in `parent` (a path below the root; [`PARENT`] if empty) and sees to it that it has the
    /// controllers that it `needs`, and if they can be had those that it `wants`.
    ///
    /// An empty group of that name, left by a crash, is replaced.
    ///
    /// # Errors
    /// A controller that can't be enabled; [`Error::Conflict`] if the group exists and has processes.
    pub fn create(
        host: &Host,
        parent: &str,
        name: &str,
        needs: Controllers,
        wants: Controllers,
    ) -> Result<Group> {
        let components = components(parent)?;
        let mut above: Option<OwnedFd> = None;
        for (depth, component) in components.iter().enumerate() {
            let at = above.as_ref().map_or(host.root(), AsFd::as_fd);
            let made = file::subdirectory(at, component, 0o755);
            above = Some(made.context("create control group", path_of(&components[..=depth]))?);
        }
        let above = above.expect("a parent has at least one component");
        let path = format!("{}/{name}", path_of(&components));
        let make = || rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755));
        match make() {
            Err(Errno::EXIST) => match remove(above.as_fd(), name) {
                Ok(()) => make(),
                Err(Errno::BUSY) => {
                    return Err(Error::Conflict(format!("control group {path}: it has processes already")));
                }
                other => other,
            },
            other => other,
        }
        .context("create control group", &path)?;
        let directory = file::directory(&above, name).context("open", &path)?;
        let group = Group { directory, parent: above, name: name.to_string(), path };
        if let Err(error) = group.enable(host, &components, needs, wants & host.controllers()) {
            // The reason counts more than a group that could not be removed again.
            let _ = group.remove(0);
            return Err(error);
        }
        Ok(group)
    }

    /// Opens the group of a container that has one.
    ///
    /// # Errors
    /// As openat(2), except ENOENT.
    pub fn open(host: &Host, parent: &str, name: &str) -> Result<Option<Group>> {
        let path = path_of(&components(parent)?);
        let above =
            match file::beneath(host.root(), &path[1..], OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                other => other.context("open", &path)?,
            };
        let path = format!("{path}/{name}");
        match file::directory(&above, name) {
            Err(Errno::NOENT) => Ok(None),
            other => {
                let directory = other.context("open", &path)?;
                Ok(Some(Group { directory, parent: above, name: name.to_string(), path }))
            }
        }
    }

    /// The directory: for CLONE_INTO_CGROUP, and for reading other control files.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Where it is in the tree: `/skiff/<id>`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Makes controllers reach this group, which is in `parent`, if they don't yet.
    ///
    /// # Errors
    /// The controller that can't be had.
    pub fn require(&self, host: &Host, parent: &str, needs: Controllers) -> Result<()> {
        self.enable(host, &components(parent)?, needs, Controllers::empty())
    }

    /// Passes controllers down from the root to this group, where they are not there yet.
    fn enable(&self, host: &Host, components: &[&str], needs: Controllers, wants: Controllers) -> Result<()> {
        let wanted = needs | wants;
        if wanted.is_empty() {
            return Ok(());
        }
        let have = self.controllers()?;
        if have.contains(wanted) {
            return Ok(());
        }
        // Enabled one by one: a controller that can't be had does not keep the others away.
        let mut here = file::directory(host.root(), ".").context("open", "/")?;
        for depth in 0..=components.len() {
            if depth > 0 {
                here =
                    file::directory(&here, components[depth - 1]).context("open", components[depth - 1])?;
            }
            for name in (wanted - have).names() {
                let enabled = write(&here, "cgroup.subtree_control", &format!("+{name}"));
                if let Err(errno) = enabled
                    && needs.names().any(|needed| needed == name)
                {
                    let place = path_of(&components[..depth]);
                    let place = if place.is_empty() { "/" } else { &place };
                    let error =
                        Error::os(format!("enable the {name} controller in control group"), place, errno);
                    return Err(match errno {
                        Errno::BUSY => error.hint(
                            "the group has processes of its own; name another one with --cgroup-parent",
                        ),
                        _ => error,
                    });
                }
            }
        }
        Ok(())
    }

    /// The controllers that this group has.
    ///
    /// # Errors
    /// As read(2).
    pub fn controllers(&self) -> Result<Controllers> {
        Ok(Controllers::parse(&self.read("cgroup.controllers")?.unwrap_or_default()))
    }

    /// Writes limits, in their order.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the kernel lacks a control file, or what it says to a value.
    pub fn apply(&self, plan: &[Write]) -> Result<()> {
        for line in plan {
            let mut to = (&*line.file, &line.value);
            let mut written = write(&self.directory, to.0, to.1);
            if let (Err(Errno::NOENT), Missing::Other(file, value)) = (written, &line.missing) {
                to = (file, value);
                written = write(&self.directory, to.0, to.1);
            }
            match written {
                Ok(()) => {}
                Err(Errno::NOENT) if line.missing == Missing::Skip => {}
                Err(Errno::NOENT) => {
                    let Write { limit, file, .. } = line;
                    return Err(Error::Unsupported(format!("{limit}: this kernel has no {file}")));
                }
                Err(Errno::OPNOTSUPP) if line.controller == Controllers::IO => {
                    let limit = line.limit;
                    return Err(Error::Unsupported(format!(
                        "{limit}: the device can't do it: it uses neither the BFQ scheduler nor iocost"
                    )));
                }
                Err(errno) => {
                    let (file, value) = to;
                    return Err(Error::os(format!("{}: write {value} to", line.limit), file, errno));
                }
            }
        }
        Ok(())
    }

    /// A control file's text, if there is such a file.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        match file::read(&self.directory, name, 1 << 20) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            // No such file; the group is gone; a pressure file where pressure is switched off.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(Error::os(format!("read {name} of"), &*self.path, errno)),
        }
    }

    /// Removes it with all groups inside it, waiting at most `grace_ms` for processes that are ending. A group that is
    /// gone already is fine.
    ///
    /// # Errors
    /// EBUSY if something still lives in it.
    pub fn remove(&self, grace_ms: u32) -> Result<()> {
        match remove(self.parent.as_fd(), &self.name) {
            // Killed processes leave a moment after the kill.
            Err(Errno::BUSY) if self.wait_until_empty(grace_ms)? => remove(self.parent.as_fd(), &self.name),
            other => other,
        }
        .context("remove control group", &self.path)
    }
}

/// Checks a parent's path.
///
/// # Errors
/// [`Error::Invalid`] if it does not lead to a place below the root.
pub fn check_parent(parent: &str) -> Result<()> {
    components(parent).map(drop)
}

/// Cuts a parent's path, as `--cgroup-parent` has it, into names.
fn components(parent: &str) -> Result<Vec<&str>> {
    let parent = if parent.is_empty() { PARENT } else { parent };
    let names: Vec<&str> = parent.split('/').filter(|name| !name.is_empty()).collect();
    let odd = |name: &&str| matches!(*name, "." | "..") || name.len() > 255 || name.contains(['\n', '\0']);
    if names.is_empty() || names.iter().any(odd) {
        return Err(Error::Invalid(format!("invalid cgroup-parent '{parent}': a path below the root group")));
    }
    Ok(names)
}

fn path_of(components: &[&str]) -> String {
    components.iter().fold(String::new(), |path, name| path + "/" + name)
}

/// Writes one line to a control file.
pub(super) fn write(directory: impl AsFd, name: &str, line: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    rustix::io::write(&file, line.as_bytes()).map(drop)
}

/// Names of the groups inside a group.
pub(super) fn subgroups(group: &OwnedFd) -> Vec<alloc::ffi::CString> {
    let entries = file::entries(group, ".").unwrap_or_default();
    entries.into_iter().filter(|(_, kind)| *kind == FileType::Directory).map(|(name, _)| name).collect()
}

/// Removes a group after those inside it.
fn remove(above: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let rmdir =
        |at: BorrowedFd<'_>, name: &core::ffi::CStr| match rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)
        {
            Err(Errno::NOENT | Errno::NODEV) => Ok(()),
            other => other,
        };
    let name = alloc::ffi::CString::new(name).map_err(|_| Errno::INVAL)?;
    match rmdir(above, &name) {
        Err(Errno::BUSY) => {}
        other => return other,
    }
    let mut stack = alloc::vec![(file::directory(above, name.as_c_str())?, name)];
    while let Some((group, _)) = stack.last() {
        let deeper = subgroups(group).into_iter().find_map(|inside| match rmdir(group.as_fd(), &inside) {
            Ok(()) => None,
            Err(errno) => Some((errno, inside)),
        });
        match deeper {
            Some((Errno::BUSY, inside))
                if stack.len() < DEEPEST && !subgroups_of(group, &inside).is_empty() =>
            {
                let open = file::directory(group, inside.as_c_str())?;
                stack.push((open, inside));
            }
            Some((errno, _)) => return Err(errno),
            None => {
                let (_, name) = stack.pop().expect("the loop's condition");
                let at = stack.last().map_or(above, |(group, _)| group.as_fd());
                rmdir(at, &name)?;
            }
        }
    }
    Ok(())
}

fn subgroups_of(group: &OwnedFd, name: &core::ffi::CStr) -> Vec<alloc::ffi::CString> {
    file::directory(group, name).map_or(Vec::new(), |inside| subgroups(&inside))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::process::cgroup::{Resources, limits};

    /// A parent for this test alone, removed at its end. `None`, with a reason printed, where there is none to be had.
    pub struct Scratch(pub Host, pub String);

    impl Scratch {
        pub fn new(name: &str) -> Option<Scratch> {
            let parent = format!("skiff-test-{name}-{}", rustix::process::getpid().as_raw_nonzero());
            let scratch = Host::find().map(|host| Scratch(host, parent));
            let usable = scratch.and_then(|scratch| scratch.group("probe").map(|_| scratch));
            usable.inspect_err(|error| std::println!("skipped: {error}")).ok()
        }

        pub fn group(&self, name: &str) -> Result<Group> {
            Group::create(&self.0, &self.1, name, Controllers::empty(), Controllers::empty())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = remove(self.0.root(), &self.1);
        }
    }

    #[test]
    fn a_parent_is_a_path_that_stays_below_the_root() {
        assert_eq!(components(""), Ok(alloc::vec!["skiff"]));
        assert_eq!(components("/a//b/"), Ok(alloc::vec!["a", "b"]));
        for wrong in ["/", "..", "a/../b", "./a", "a\nb"] {
            assert!(components(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_group_is_made_found_and_removed_with_what_was_made_inside() {
        let Some(scratch) = Scratch::new("life") else { return };
        let group = scratch.group("one").unwrap();
        assert_eq!(group.path(), format!("/{}/one", scratch.1));
        let inner = file::subdirectory(group.directory(), "inner", 0o755).unwrap();
        file::subdirectory(&inner, "deeper", 0o755).unwrap();
        file::subdirectory(group.directory(), "beside", 0o755).unwrap();
        let found = Group::open(&scratch.0, &scratch.1, "one").unwrap().unwrap();
        assert!(!found.is_populated().unwrap());
        found.remove(0).unwrap();
        assert!(Group::open(&scratch.0, &scratch.1, "one").unwrap().is_none());
        assert!(Group::open(&scratch.0, "skiff-test-no-such-parent", "one").unwrap().is_none());
        group.remove(0).unwrap();
    }

    #[test]
    fn an_empty_group_left_by_a_crash_is_replaced() {
        let Some(scratch) = Scratch::new("stale") else { return };
        let old = scratch.group("one").unwrap();
        file::subdirectory(old.directory(), "inner", 0o755).unwrap();
        let new = scratch.group("one").unwrap();
        assert!(subgroups(&new.directory).is_empty());
    }

    #[test]
    fn a_control_file_that_the_kernel_lacks_is_refused_unless_it_may_be_skipped() {
        let Some(scratch) = Scratch::new("apply") else { return };
        let group = scratch.group("one").unwrap();
        let mut resources = Resources::default();
        resources.cgroup_conf.insert("nosuch.max".into(), "1".into());
        let mut plan = limits::plan(&resources, &mut |_| unreachable!()).unwrap();
        let refusal = group.apply(&plan).unwrap_err();
        assert_eq!(refusal, Error::Unsupported("cgroup-conf: this kernel has no nosuch.max".into()));
        plan[0].missing = Missing::Skip;
        assert_eq!(group.apply(&plan), Ok(()));
    }
}

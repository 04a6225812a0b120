//! The event log: what happened to containers, images, volumes and networks, one line of JSON each, in the run root.
//!
//! ```text
//! <run root>/events     {"status":"start","id":"...","from":"IMAGE","Type":"container","Action":"start","Actor":
//!                       {"ID":"...","Attributes":{...}},"scope":"local","time":1136073845,"timeNano":1136073845000000000}
//! <run root>/events.1   the same, older
//! ```
//! The lines are what the API sends. Server children and monitors write, each with one `write` an event; whoever fills
//! the file up rotates it, under a lock on the file that all writers hold while they write.

mod reader;

pub use reader::{FILTERS, Query, Reader};

use alloc::{format, vec::Vec};
use core::cell::RefCell;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FlockOperation},
    io::Errno,
};

use crate::{
    Context, Result,
    clock::Time,
    container::log::escape,
    file,
    journal::{self, Identity, append, identify},
};

/// The file's name in the run root.
pub const FILE_NAME: &str = "events";
/// A file of this size gets no further events.
const SIZE_MAX: u64 = 1024 * 1024;

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl Kind {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Image => "image",
            Kind::Volume => "volume",
            Kind::Network => "network",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// To what kind of thing.
    pub kind: Kind,
    /// `create`, `start`, `die`, `exec_create: sh`, ...
    pub action: &'a str,
    /// The thing's id or name.
    pub id: &'a str,
    /// What else is known, in any order; of two with one key the later one counts. A container's events carry its labels
    /// and, after them, `image` and `name`.
    pub attributes: &'a [(&'a str, &'a str)],
}

impl Event<'_> {
    /// The line of the log.
    fn to_line(self, time: Time) -> Vec<u8> {
        let mut attributes = self.attributes.to_vec();
        crate::sort::by(&mut attributes, |a, b| a.0.cmp(b.0));
        let mut line = Vec::with_capacity(512);
        let mut put = |before: &str, text: &str| {
            line.extend_from_slice(before.as_bytes());
            escape(&mut line, text.as_bytes());
        };
        let mut comma = "{";
        if matches!(self.kind, Kind::Container | Kind::Image) {
            put("{\"status\":\"", self.action);
            if !self.id.is_empty() {
                put("\",\"id\":\"", self.id);
            }
            if self.kind == Kind::Container
                && let Some((_, image)) = attributes.iter().rfind(|attribute| attribute.0 == "image")
            {
                put("\",\"from\":\"", image);
            }
            comma = "\",";
        }
        put(comma, "");
        put("\"Type\":\"", self.kind.name());
        put("\",\"Action\":\"", self.action);
        put("\",\"Actor\":{\"ID\":\"", self.id);
        put("\",\"Attributes\":{", "");
        let mut comma = "\"";
        for (index, (key, value)) in attributes.iter().enumerate() {
            if attributes.get(index + 1).is_none_or(|next| next.0 != *key) {
                put(comma, key);
                put("\":\"", value);
                comma = "\",\"";
            }
        }
        put(if comma == "\"" { "" } else { "\"" }, "");
        let (seconds, nanos) = (time.unix(), time.unix_nanos());
        put(&format!("}}}},\"scope\":\"local\",\"time\":{seconds},\"timeNano\":{nanos}}}\n"), "");
        line
    }
}

/// Writes the event log. The file is opened at the first event and stays open; a process that was forked makes an
/// `Events` of its own.
#[derive(Debug)]
pub struct Events {
    run: OwnedFd,
    file: RefCell<Option<(OwnedFd, Identity)>>,
}

impl Events {
    /// The log in this run root.
    ///
    /// # Errors
    /// EMFILE.
    pub fn new(run: impl AsFd) -> Result<Events> {
        let run = run.as_fd().try_clone_to_owned().context("duplicate", "run root")?;
        Ok(Events { run, file: RefCell::new(None) })
    }

    /// Writes down what happened at `time`. What it is about has happened whether this works or not.
    ///
    /// # Errors
    /// Of the file system.
    pub fn emit(&self, event: Event<'_>, time: Time) -> Result<()> {
        self.append(&event.to_line(time), SIZE_MAX).context("write", FILE_NAME)
    }

    fn append(&self, line: &[u8], size_max: u64) -> Result<(), Errno> {
        let mut slot = self.file.borrow_mut();
        loop {
            let (file, identity) = match slot.take() {
                Some(open) => open,
                None => {
                    let file = append(&self.run, FILE_NAME)?;
                    let (identity, _) = identify(&file)?;
                    (file, identity)
                }
            };
            file::lock(&file, FlockOperation::LockShared)?;
            // While we hold the lock nobody rotates, so the file that has the name keeps it.
            let present = match rustix::fs::statat(&self.run, FILE_NAME, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if (stat.st_dev, stat.st_ino) == identity => stat,
                Ok(_) | Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let written = file::write_all(&file, line);
            let size = present.st_size as u64 + line.len() as u64;
            // The lock goes with the file if that is not kept.
            if size >= size_max && file::lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // Another writer may have rotated between the two locks.
                let stat = rustix::fs::statat(&self.run, FILE_NAME, AtFlags::SYMLINK_NOFOLLOW)?;
                if (stat.st_dev, stat.st_ino) == identity {
                    match journal::rotate(&self.run, FILE_NAME, 2) {
                        // A reader was in the way: the next event tries again.
                        Ok(_) | Err(Errno::AGAIN) => {}
                        Err(errno) => return Err(errno),
                    }
                }
            } else {
                file::lock(&file, FlockOperation::Unlock)?;
                *slot = Some((file, identity));
            }
            return written;
        }
    }
}

#[cfg(test)]
mod tests;

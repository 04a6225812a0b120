//! What happens is told: the verbs and the monitors write it to the event log, `events` reads it from there. What is
//! told has happened, so that a log that can't be written changes nothing.

use alloc::{string::String, vec::Vec};

use rustix::fd::{AsFd, BorrowedFd};

use super::{Engine, logs::is_ready};
use crate::{
    Result,
    clock::Time,
    container::{
        endpoint::Endpoint,
        record::{MountKind, Record},
    },
    digest::ImageId,
    events::{Event, Kind, Query, Reader},
};

impl Engine {
    /// Tells what happened to a container, with its labels, its image and its name.
    pub fn tell(&self, record: &Record, action: &str, more: &[(&str, &str)]) {
        let mut attributes: Vec<(&str, &str)> =
            record.config.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.extend_from_slice(more);
        attributes.extend([("image", record.config.image.as_str()), ("name", record.name.as_str())]);
        self.write_event(Event { kind: Kind::Container, action, id: &record.id, attributes: &attributes });
    }

    /// Tells what happened to an image, with its labels if it is there.
    pub(super) fn tell_image(&self, id: &ImageId, action: &str, name: &str) {
        let image = self.store.image(id).ok();
        let labels = image.iter().flat_map(|image| &image.config.config.labels);
        let mut attributes: Vec<(&str, &str)> =
            labels.map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.push(("name", name));
        let id: String = alloc::format!("{id}");
        self.write_event(Event { kind: Kind::Image, action, id: &id, attributes: &attributes });
    }

    /// Tells what happened to a volume.
    pub(super) fn tell_volume(&self, name: &str, action: &str) {
        let attributes = &[("driver", "local")];
        self.write_event(Event { kind: Kind::Volume, action, id: name, attributes });
    }

    /// Tells that a container's volumes were mounted or unmounted, each by an event of its own.
    pub(super) fn tell_mounts(&self, record: &Record, action: &str) {
        for point in record.mounts.iter().filter(|point| point.kind == MountKind::Volume) {
            let writable = if point.read_only { "false" } else { "true" };
            let attributes = [
                ("container", record.id.as_str()),
                ("driver", "local"),
                ("destination", point.destination.as_str()),
                ("propagation", point.propagation.as_str()),
                ("read/write", writable),
            ];
            let attributes = if action == "mount" { &attributes[..] } else { &attributes[..2] };
            self.write_event(Event { kind: Kind::Volume, action, id: &point.name, attributes });
        }
    }

    /// Tells that a container was connected to its networks, or disconnected, each by an event of its own.
    pub(super) fn tell_networks(&self, id: &str, endpoints: &[Endpoint], action: &str) {
        for Endpoint { network, network_id, .. } in endpoints {
            let attributes = &[("container", id), ("name", network.as_str()), ("type", "bridge")];
            self.write_event(Event { kind: Kind::Network, action, id: network_id, attributes });
        }
    }

    /// Tells that things of this kind that nobody needed were removed, and how many bytes that made free.
    pub fn tell_prune(&self, kind: Kind, bytes: u64) {
        let attributes = &[("reclaimed", &*alloc::format!("{bytes}"))];
        self.write_event(Event { kind, action: "prune", id: "", attributes });
    }

    pub(super) fn write_event(&self, event: Event<'_>) {
        let _ = self.events.emit(event, Time::now());
    }

    /// Opens the events that were asked for.
    ///
    /// # Errors
    /// Of the file system.
    pub fn events(&self, query: Query) -> Result<Reader> {
        Reader::open(self.run.as_fd(), query)
    }

    /// Hands out events until the time that was asked for, or until the client says something or goes.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn follow_events(
        &self,
        reader: &mut Reader,
        client: BorrowedFd<'_>,
        sink: &mut dyn FnMut(Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        reader.follow(self.run.as_fd(), &[client], &mut || Ok(is_ready(client)), sink)
    }
}

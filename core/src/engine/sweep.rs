//! What killed processes have left is put right: states that say a container runs, control groups, run directories,
//! containers half made or half removed, layers that nobody needs. And after a boot: the containers that come back by
//! themselves.

use alloc::collections::BTreeSet;

use rustix::{fd::AsFd, fs::OFlags};

use super::{Engine, prepare::end_group};
use crate::{
    clock::Time,
    container::{
        record::Record,
        restart::Policy,
        shelf::Shelf,
        state::{State, Status},
    },
    process::cgroup::{Group, Host},
};

impl Engine {
    /// Puts everything right.
    pub fn sweep(&self) {
        self.shelf.sweep();
        self.sweep_store();
        let mut alive = BTreeSet::new();
        for id in self.shelf.ids().unwrap_or_default() {
            if self.bury_dead(&id) {
                alive.insert(id);
            }
        }
        let mut others = self.shelf.run_ids();
        others.retain(|id| !alive.contains(id));
        self.sweep_networks(&alive);
        if others.is_empty() {
            return;
        }
        // A group is made after the run directory and removed before it.
        let Ok(host) = Host::find() else { return };
        for id in &others {
            if self.shelf.is_monitored(id) {
                continue;
            }
            if let Ok(Some(group)) = Group::open(&host, &self.group_parent(id), id)
                && let Ok(lock) = self.shelf.lock(id)
            {
                self.disconnect(id, &lock.directory);
                end_group(&group);
                drop(lock);
            }
        }
        self.shelf.sweep_run_directories(&others);
    }

    /// Buries a container whose monitor was killed; true of one whose monitor lives.
    pub(super) fn bury_dead(&self, id: &str) -> bool {
        let active = self.shelf.written_state(id).is_ok_and(|state| state.status.is_active());
        let alive = active && self.shelf.is_monitored(id);
        if active && !alive {
            self.bury(id);
        }
        alive
    }

    /// Does what the killed monitor of a container can't do any more. Nothing happens to one that is alive.
    fn bury(&self, id: &str) {
        let Ok(lock) = self.shelf.lock(id) else { return };
        let Ok(container) = self.shelf.find(id) else {
            return self.shelf.forget_run_directory(id, lock);
        };
        let record = &container.record;
        let Ok(file) = Shelf::state_file(&container, OFlags::RDWR) else { return };
        let Ok(mut state) = State::read(file.as_fd()) else { return };
        if !state.status.is_active() {
            return;
        }
        if let Ok(host) = Host::find()
            && let Ok(Some(group)) = Group::open(&host, &record.host.cgroup_parent, id)
        {
            end_group(&group);
        }
        let left = self.disconnect(id, &lock.directory);
        state.orphaned();
        state.finished_ns = Time::now().unix_nanos();
        state.exits += 1;
        let _ = state.write(&file);
        self.tell_end(&container, &state, &left.endpoints);
        if record.host.auto_remove {
            self.take_back(&container, lock);
        }
    }

    /// Starts the containers that come back by themselves, after the engine has come up.
    pub fn bring_back(&self) {
        for id in self.shelf.ids().unwrap_or_default() {
            let (Ok(Some(record)), Ok(state)) =
                (self.shelf.load::<Record>(&id), self.shelf.written_state(&id))
            else {
                continue;
            };
            let Ok(policy) = Policy::new(&record.host.restart_policy, record.host.auto_remove) else {
                continue;
            };
            let ran = state.status.is_active();
            if state.status != Status::Created
                && policy.starts_at_boot(ran, state.stopped_by_hand)
                && !self.shelf.is_monitored(&id)
            {
                self.bury(&id);
                // Its state tells why, if it can't be started.
                let _ = self.start(&id);
            }
        }
    }
}

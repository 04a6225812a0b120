//! A container's life from its first start to its last end: run, restart as its policy says, write everything down,
//! remove it if that was asked for. Runs in the container's monitor, which holds the lock.

use alloc::{format, string::String, vec::Vec};

use rustix::fs::OFlags;

use super::{
    Engine,
    network::{Connection, Disconnected},
    prepare::{Prepared, end_group},
    root::Root,
};
use crate::{
    Context, Result,
    clock::{self, Time},
    container::{
        endpoint::Endpoint,
        log,
        restart::{End, Policy, Restart},
        shelf::{Container, Lock, Shelf},
        state::{State, Status},
    },
    fork::Ended,
    process::{
        control::{self, Attach},
        monitor::{Monitor, Running, client::Client},
    },
};

/// The exit code of a container that the engine could not start.
pub const START_FAILED: i32 = 128;

/// A container at work.
#[derive(Debug)]
pub struct Begun {
    monitor: Monitor,
    root: Root,
    running: Running,
    /// Its ports are its own as long as this is kept.
    connection: Option<Connection>,
}

impl Begun {
    /// The client that it is run for.
    pub fn attach(&mut self, owner: Client) {
        self.monitor.clients.push(owner);
    }

    /// Ends a container that nobody will watch.
    pub fn abandon(self) {
        self.running.started.kill();
        end_group(&self.running.group);
    }
}

impl Engine {
    /// Starts a container's process, which was [prepared](Engine::prepare); this process becomes its monitor.
    ///
    /// # Errors
    /// As [`Engine::launch`].
    pub fn begin(&self, container: &Container, lock: &Lock, mut prepared: Prepared) -> Result<Begun> {
        let root =
            prepared.root.take().map_or_else(|| self.root(&container.record, &container.directory), Ok);
        let opened = root.and_then(|root| Ok((self.monitor(container, lock)?, root)));
        let (mut monitor, root) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                prepared.abandon();
                return Err(error);
            }
        };
        let (running, connection) = self.launch(container, lock, &root, prepared)?;
        match self.mark_started(container, &mut monitor, &running, connection.as_ref()) {
            Ok(()) => Ok(Begun { monitor, root, running, connection }),
            Err(error) => {
                self.disconnect(&container.record.id, &lock.directory);
                Begun { monitor, root, running, connection }.abandon();
                Err(error)
            }
        }
    }

    /// What the monitor of a container needs before it starts the process: its input and output, its place in the
    /// state file. Clients that wait for the start are attached from here on.
    ///
    /// # Errors
    /// Of the file system.
    fn monitor(&self, container: &Container, lock: &Lock) -> Result<Monitor> {
        let config = &container.record.config;
        let state_file = Shelf::state_file(container, OFlags::RDWR)?;
        let before = State::read(&state_file)?;
        let control = control::listen(&lock.directory)?;
        super::exec::forget_all(&lock.directory);
        let log =
            log::Writer::open(&container.directory, log::Settings::new(&container.record.host.log_config)?)?;
        let mut monitor = Monitor {
            // The last end stays known until the next one.
            state: State { stopped_by_hand: false, restarts: 0, error: String::new(), ..before },
            state_file: Some(state_file),
            control,
            clients: Vec::new(),
            log,
            updated: false,
            tty: config.tty,
            stdin_once: config.stdin_once,
            probing: self
                .probing(&container.record, lock.directory.try_clone().context("copy", "directory")?)?,
            kills_told: 0,
        };
        for (wants, connection) in control::collect(&lock.directory) {
            let again = Attach { after: None, ..wants.clone() };
            let copy = connection.try_clone().context("copy", "connection")?;
            // One that waited for this start and missed a whole run before it goes on from here.
            if monitor.admit(wants, connection).is_err() {
                monitor.admit(again, copy)?;
            }
        }
        Ok(monitor)
    }

    /// Writes down that a container's process has been started.
    ///
    /// # Errors
    /// Of the file system.
    fn mark_started(
        &self,
        container: &Container,
        monitor: &mut Monitor,
        running: &Running,
        connection: Option<&Connection>,
    ) -> Result<()> {
        monitor.state = State {
            status: Status::Running,
            pid: running.started.pid.as_raw_nonzero().get(),
            monitor: rustix::process::getpid().as_raw_nonzero().get(),
            started_ns: Time::now().unix_nanos(),
            exit_code: 0,
            oom_killed: false,
            health: monitor.probing.as_ref().map_or("", |probing| probing.verdict().0).into(),
            failing_streak: 0,
            error: String::new(),
            ..core::mem::take(&mut monitor.state)
        };
        monitor.write_state()?;
        let endpoints = connection.map_or(&[][..], |connection| &connection.endpoints);
        self.tell_networks(&container.record.id, endpoints, "connect");
        self.tell_mounts(&container.record, "mount");
        self.tell(&container.record, "start", &[]);
        Ok(())
    }

    /// Stays with a container that was started until it has ended for good. The state is written down, and a container
    /// that is to be removed is gone, when the clients hear of the exit.
    ///
    /// # Errors
    /// Of the file system; the container has ended then, too.
    pub fn supervise(&self, mut container: Container, lock: Lock, begun: Begun) -> Result<()> {
        let Begun { mut monitor, root, mut running, mut connection } = begun;
        let host = &container.record.host;
        let mut restart = Restart::new(Policy::new(&host.restart_policy, host.auto_remove)?);
        let mut written = Ok(());
        // Dropped when nobody waits any more.
        let mut closing;
        let concluded = loop {
            let ended = monitor.carry(&mut running, &|action, more| {
                // It may have another name by now.
                if let Ok(Some(record)) = self.shelf.load(&container.record.id) {
                    self.tell(&record, action, more);
                }
            });
            drop(connection.take());
            let left = match container.record.is_bridged() {
                true => self.disconnect(&container.record.id, &lock.directory),
                false => Disconnected::default(),
            };
            let kills = self.note_end(&mut monitor, &running, ended);
            self.reread(&mut container, &mut monitor, &mut restart);
            for _ in monitor.kills_told..kills {
                self.tell(&container.record, "oom", &[]);
            }
            self.tell_end(&container, &monitor.state, &left.endpoints);
            closing = Some(left);
            let end = End {
                exit_code: monitor.state.exit_code,
                ran_ns: monitor.state.finished_ns - monitor.state.started_ns,
                stopped_by_hand: monitor.state.stopped_by_hand,
            };
            let Some(wait_ns) = restart.ended(end) else {
                let concluded = self.conclude(&container, lock, &mut monitor);
                monitor.dismiss(ended);
                break concluded;
            };
            drop(running.started.mounts.take());
            monitor.state.status = Status::Restarting;
            written = written.and(monitor.write_state());
            monitor.dismiss(ended);
            let until = clock::monotonic().saturating_add(wait_ns);
            let go_on = monitor.rest(until);
            self.reread(&mut container, &mut monitor, &mut restart);
            if !go_on {
                break self.conclude(&container, lock, &mut monitor);
            }
            monitor.state.restarts += 1;
            let again = self
                .prepare(&container.record)
                .and_then(|prepared| self.launch(&container, &lock, &root, prepared));
            match again {
                Ok((again, connected)) => (running, connection) = (again, connected),
                Err(error) => {
                    monitor.state.exit_code = START_FAILED;
                    monitor.state.error = format!("{error}");
                    break self.conclude(&container, lock, &mut monitor);
                }
            }
            written = written.and(self.mark_started(&container, &mut monitor, &running, connection.as_ref()));
        };
        monitor.see_off();
        // What takes time and concerns nobody: it is not waited for before the exit is told.
        drop((running.started.mounts.take(), closing));
        match concluded {
            Ok(Some(lock)) => self.shelf.clear(&container.record.id, lock),
            Ok(None) => {}
            Err(error) => written = written.and(Err(error)),
        }
        written
    }

    /// Notes how the process ended. Nothing of it is left when this returns. Tells how often something of it was killed
    /// for want of memory.
    fn note_end(&self, monitor: &mut Monitor, running: &Running, ended: Ended) -> u64 {
        let kills = running.group.oom_kills().ok().flatten().unwrap_or(0);
        let state = &mut monitor.state;
        state.exit_code = i32::from(ended.code());
        state.oom_killed |= kills > 0;
        state.finished_ns = Time::now().unix_nanos();
        state.pid = 0;
        state.exits += 1;
        end_group(&running.group);
        kills
    }

    /// Tells how the process ended.
    pub(super) fn tell_end(&self, container: &Container, state: &State, left: &[Endpoint]) {
        let record = &container.record;
        let (code, seconds) =
            (state.exit_code, (state.finished_ns - state.started_ns).max(0) / clock::SECOND);
        let end = [("exitCode", &*format!("{code}")), ("execDuration", &*format!("{seconds}"))];
        self.tell(record, "die", &end);
        self.tell_networks(&record.id, left, "disconnect");
        self.tell_mounts(record, "unmount");
    }

    /// Ends the supervision: writes the last state and lets go of the lock, or takes the container off the shelf, and
    /// gives back the lock of what is left of it.
    fn conclude(&self, container: &Container, lock: Lock, monitor: &mut Monitor) -> Result<Option<Lock>> {
        monitor.state.status = Status::Exited;
        monitor.state.monitor = 0;
        let written = monitor.write_state();
        if !container.record.host.auto_remove {
            return written.map(|()| None);
        }
        self.discard(&container.record, &lock)?;
        self.remove_anonymous_volumes(&container.record)?;
        written.map(|()| Some(lock))
    }

    /// Takes over what `update` has changed.
    fn reread(&self, container: &mut Container, monitor: &mut Monitor, restart: &mut Restart) {
        if !core::mem::take(&mut monitor.updated) {
            return;
        }
        if let Ok(Some(record)) = self.shelf.load(&container.record.id) {
            container.record = record;
            let host = &container.record.host;
            if let Ok(policy) = Policy::new(&host.restart_policy, host.auto_remove) {
                restart.set_policy(policy);
            }
        }
    }
}

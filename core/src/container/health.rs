//! Health checks: the clock, and the results of probes -> when to probe next, and what the container's health is. Pure;
//! the monitor drives it: it sleeps until [`Health::due`], does what [`Health::tick`] says, and tells how a probe ended.
//!
//! Scheduling takes nanoseconds of the monotonic clock, the records take the time of day.

mod settings;

pub use settings::Settings;

use alloc::{format, string::ToString, vec::Vec};

use super::log::escape;
use crate::clock::{Time, duration::Duration};

/// Probes that are remembered.
const LOG_MAX: usize = 5;
/// Bytes of a probe's output that are remembered.
const OUTPUT_MAX: usize = 4096;
/// What stands behind output of which a part is missing.
const MORE: &[u8] = b"...";

/// What is known about a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing yet.
    Starting,
    /// The last probe succeeded, or too few have failed since.
    Healthy,
    /// As many probes in a row have failed as the setting allows.
    Unhealthy,
}

impl Status {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
        }
    }
}

/// One probe that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its exit code; -1 if it was too slow or could not be run.
    pub exit_code: i32,
    /// The beginning of what it wrote, both streams together.
    pub output: Vec<u8>,
}

/// What the monitor has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing until [`Health::due`].
    Wait,
    /// Run [`Settings::command`] in the container, and pass its output and its end on.
    Start,
    /// Kill the probe that runs, and pass its end on: it took too long.
    Kill,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The container is paused.
    Off,
    Waiting {
        until: i64,
    },
    Probing {
        start: Time,
        deadline: i64,
        output: Vec<u8>,
        killed: bool,
    },
}

/// The health of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    settings: Settings,
    started: i64,
    status: Status,
    failing_streak: u32,
    log: Vec<Probe>,
    phase: Phase,
}

impl Health {
    /// For a container that started just now.
    pub fn new(settings: Settings, now: i64) -> Health {
        let mut health = Health {
            settings,
            started: now,
            status: Status::Starting,
            failing_streak: 0,
            log: Vec::new(),
            phase: Phase::Off,
        };
        health.schedule(now);
        health
    }

    /// The container was started again: nothing is known, but the last probes are still remembered.
    pub fn restarted(&mut self, now: i64) {
        self.started = now;
        self.status = Status::Starting;
        self.failing_streak = 0;
        self.schedule(now);
    }

    /// How to probe.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The present verdict.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Probes that failed since the last that did not.
    pub fn failing_streak(&self) -> u32 {
        self.failing_streak
    }

    /// The last probes, oldest first.
    pub fn log(&self) -> &[Probe] {
        &self.log
    }

    /// When [`Health::tick`] will have something to do; `None`: not before something else happens.
    pub fn due(&self) -> Option<i64> {
        match &self.phase {
            Phase::Off | Phase::Probing { killed: true, .. } => None,
            Phase::Waiting { until } => Some(*until),
            Phase::Probing { deadline, .. } => Some(*deadline),
        }
    }

    /// What to do now. `now` and `time` are the same moment on the two clocks, here and below.
    pub fn tick(&mut self, now: i64, time: Time) -> Action {
        match &mut self.phase {
            Phase::Waiting { until } if now >= *until => {
                let deadline = now.saturating_add(self.settings.timeout_ns);
                self.phase = Phase::Probing { start: time, deadline, output: Vec::new(), killed: false };
                Action::Start
            }
            Phase::Probing { deadline, killed: killed @ false, .. } if now >= *deadline => {
                *killed = true;
                Action::Kill
            }
            _ => Action::Wait,
        }
    }

    /// The probe wrote something. What is too much is dropped.
    pub fn output(&mut self, bytes: &[u8]) {
        if let Phase::Probing { output, .. } = &mut self.phase
            && output.len() <= OUTPUT_MAX
        {
            let room = OUTPUT_MAX - output.len();
            output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room {
                output.extend_from_slice(MORE);
            }
        }
    }

    /// The probe ended. Gives the new verdict if that is another one: time for an event `health_status: VERDICT`.
    pub fn ended(&mut self, exit_code: i32, now: i64, time: Time) -> Option<Status> {
        let Phase::Probing { start, deadline, output, killed } = &mut self.phase else { return None };
        let (start, deadline, output, killed) = (*start, *deadline, core::mem::take(output), *killed);
        let began = deadline.saturating_sub(self.settings.timeout_ns);
        let timeout = Duration(self.settings.timeout_ns);
        let (exit_code, output) = match killed {
            true => (-1, format!("Health check exceeded timeout ({timeout})").into_bytes()),
            false => (exit_code, output),
        };
        if self.log.len() == LOG_MAX {
            self.log.remove(0);
        }
        self.log.push(Probe { start, end: time, exit_code, output });
        let before = self.status;
        if exit_code == 0 {
            self.failing_streak = 0;
            self.status = Status::Healthy;
        } else if before != Status::Starting || began - self.started >= self.settings.start_period_ns {
            self.failing_streak += 1;
            if self.failing_streak >= self.settings.retries {
                self.status = Status::Unhealthy;
            }
        }
        self.schedule(now);
        (self.status != before).then_some(self.status)
    }

    /// The probe could not be run at all.
    pub fn could_not_run(&mut self, reason: &str, now: i64, time: Time) -> Option<Status> {
        self.output(reason.as_bytes());
        self.ended(-1, now, time)
    }

    /// The container was paused: nothing is probed until it is resumed. A probe that runs is frozen with it, and is
    /// forgotten.
    pub fn paused(&mut self) {
        self.phase = Phase::Off;
    }

    /// The container was resumed.
    pub fn resumed(&mut self, now: i64) {
        self.schedule(now);
    }

    fn schedule(&mut self, now: i64) {
        let in_start_period =
            self.status == Status::Starting && now - self.started < self.settings.start_period_ns;
        let interval =
            if in_start_period { self.settings.start_interval_ns } else { self.settings.interval_ns };
        self.phase = Phase::Waiting { until: now.saturating_add(interval) };
    }

    /// `State.Health` as the API shows it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256);
        let mut put = |text: &str| json.extend_from_slice(text.as_bytes());
        put("{\"Status\":\"");
        put(self.status.name());
        put("\",\"FailingStreak\":");
        put(&self.failing_streak.to_string());
        put(",\"Log\":[");
        for (index, probe) in self.log.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let Probe { start, end, exit_code, output } = probe;
            let head = format!(
                "{comma}{{\"Start\":\"{start}\",\"End\":\"{end}\",\"ExitCode\":{exit_code},\"Output\":\""
            );
            json.extend_from_slice(head.as_bytes());
            escape(&mut json, output);
            json.extend_from_slice(b"\"}");
        }
        json.extend_from_slice(b"]}");
        json
    }
}

#[cfg(test)]
mod tests;

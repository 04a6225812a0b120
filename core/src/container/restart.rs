//! The restart policy: a container ended -> start it again and when, or not. Pure; the monitor drives it, and whoever
//! brings containers back after a boot asks [`Policy::starts_at_boot`].

use alloc::format;

use super::config::RestartPolicy;
use crate::{Error, Result, clock::SECOND};

/// The wait before the second start; it doubles each time.
const FIRST_NS: i64 = SECOND / 10;
/// The longest wait.
const LONGEST_NS: i64 = 60 * SECOND;
/// Who ran for so long starts again with the first wait.
const SETTLED_NS: i64 = 10 * SECOND;

/// When a container is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// After an exit code other than 0, so many times at most after each start by hand.
    OnFailure {
        /// 0: without end.
        max_retries: u32,
    },
    /// Whenever it ends by itself, and at boot.
    Always,
    /// As always, but not at boot if somebody had stopped it.
    UnlessStopped,
}

impl Policy {
    /// Reads the setting.
    ///
    /// # Errors
    /// [`Error::Invalid`] in Docker's words.
    pub fn new(setting: &RestartPolicy, auto_remove: bool) -> Result<Policy> {
        let count = setting.maximum_retry_count;
        let invalid = |what: &str| Err(Error::Invalid(format!("invalid restart policy: {what}")));
        let policy = match setting.name.as_str() {
            "" | "no" => Policy::No,
            "always" => Policy::Always,
            "unless-stopped" => Policy::UnlessStopped,
            "on-failure" => match u32::try_from(count) {
                Ok(max_retries) => Policy::OnFailure { max_retries },
                Err(_) => return invalid("maximum retry count cannot be negative"),
            },
            name => {
                return invalid(&format!(
                    "unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
                ));
            }
        };
        if count != 0 && !matches!(policy, Policy::OnFailure { .. }) {
            return invalid("maximum retry count can only be used with 'on-failure'");
        }
        if auto_remove && policy != Policy::No {
            return Err(Error::Invalid("can't create 'AutoRemove' container with restart policy".into()));
        }
        Ok(policy)
    }

    /// Whether a container that does not run any more is started when the engine comes up. `ran` is whether it was
    /// running when the host went down, `stopped_by_hand` whether somebody had stopped it before.
    pub fn starts_at_boot(self, ran: bool, stopped_by_hand: bool) -> bool {
        match self {
            Policy::No => false,
            Policy::OnFailure { .. } => ran,
            Policy::Always => true,
            Policy::UnlessStopped => !stopped_by_hand,
        }
    }
}

/// What happened when the container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its exit code.
    pub exit_code: i32,
    /// How long it ran.
    pub ran_ns: i64,
    /// Somebody stopped or killed it through the engine.
    pub stopped_by_hand: bool,
}

/// The policy of one container at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    policy: Policy,
    /// The last wait; 0 before the first.
    wait_ns: i64,
    /// Restarts since somebody started it.
    count: u32,
}

impl Restart {
    /// For a container that somebody has just started.
    pub fn new(policy: Policy) -> Restart {
        Restart { policy, wait_ns: 0, count: 0 }
    }

    /// `update` has changed the policy.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// How often it was started again: `RestartCount`.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The container has ended: how many nanoseconds to wait before it is started again, or `None` if it stays down.
    pub fn ended(&mut self, end: End) -> Option<i64> {
        if end.ran_ns >= SETTLED_NS {
            self.wait_ns = 0;
        }
        if end.stopped_by_hand {
            return None;
        }
        match self.policy {
            Policy::No => return None,
            Policy::OnFailure { .. } if end.exit_code == 0 => return None,
            Policy::OnFailure { max_retries } if max_retries > 0 && self.count >= max_retries => return None,
            _ => {}
        }
        self.count += 1;
        self.wait_ns = if self.wait_ns == 0 { FIRST_NS } else { (self.wait_ns * 2).min(LONGEST_NS) };
        Some(self.wait_ns)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn failed(ran_ns: i64) -> End {
        End { exit_code: 1, ran_ns, stopped_by_hand: false }
    }

    fn policy(name: &str, maximum_retry_count: i64, auto_remove: bool) -> Result<Policy> {
        Policy::new(&RestartPolicy { name: name.into(), maximum_retry_count }, auto_remove)
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew_after_ten_seconds_of_work() {
        let mut restart = Restart::new(Policy::Always);
        let ms = |wait: Option<i64>| wait.map(|wait| wait / 1_000_000);
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000] {
            assert_eq!(ms(restart.ended(failed(SECOND))), Some(expected));
        }
        assert_eq!(restart.count(), 12);
        assert_eq!(ms(restart.ended(failed(10 * SECOND))), Some(100));
        assert_eq!(ms(restart.ended(failed(10 * SECOND - 1))), Some(200));
        assert_eq!(restart.count(), 14);
    }

    #[test]
    fn on_failure_gives_up_after_its_retries_and_after_success() {
        let mut restart = Restart::new(Policy::OnFailure { max_retries: 2 });
        assert!(restart.ended(failed(0)).is_some());
        assert!(restart.ended(failed(0)).is_some());
        assert_eq!(restart.ended(failed(0)), None);
        assert_eq!(restart.count(), 2);
        // Having worked for a while shortens the wait, and does not add to the retries.
        let mut restart = Restart::new(Policy::OnFailure { max_retries: 1 });
        assert!(restart.ended(failed(0)).is_some());
        assert_eq!(restart.ended(failed(20 * SECOND)), None);
        let mut restart = Restart::new(Policy::OnFailure { max_retries: 0 });
        assert!((0..100).all(|_| restart.ended(failed(0)).is_some()));
        assert_eq!(restart.ended(End { exit_code: 0, ran_ns: 0, stopped_by_hand: false }), None);
    }

    #[test]
    fn who_was_stopped_by_hand_stays_down_and_without_a_policy_everybody_does() {
        for policy in [Policy::Always, Policy::UnlessStopped, Policy::OnFailure { max_retries: 0 }] {
            assert_eq!(Restart::new(policy).ended(End { stopped_by_hand: true, ..failed(0) }), None);
            assert!(Restart::new(policy).ended(failed(0)).is_some());
        }
        assert_eq!(Restart::new(Policy::No).ended(failed(0)), None);
        let mut restart = Restart::new(Policy::No);
        restart.set_policy(Policy::Always);
        assert!(restart.ended(End { exit_code: 0, ran_ns: 0, stopped_by_hand: false }).is_some());
    }

    #[test]
    fn at_boot_always_and_unless_stopped_differ() {
        assert!(Policy::Always.starts_at_boot(false, true));
        assert!(!Policy::UnlessStopped.starts_at_boot(false, true));
        assert!(Policy::UnlessStopped.starts_at_boot(true, false));
        assert!(!Policy::No.starts_at_boot(true, false));
        assert!(Policy::OnFailure { max_retries: 1 }.starts_at_boot(true, false));
        assert!(!Policy::OnFailure { max_retries: 1 }.starts_at_boot(false, false));
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(policy("", 0, true), Ok(Policy::No));
        assert_eq!(policy("on-failure", 3, false), Ok(Policy::OnFailure { max_retries: 3 }));
        assert_eq!(policy("unless-stopped", 0, false), Ok(Policy::UnlessStopped));
        for (name, count, auto_remove, error) in [
            (
                "sometimes",
                0,
                false,
                "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or \
                 'unless-stopped'",
            ),
            (
                "always",
                1,
                false,
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ),
            ("on-failure", -1, false, "invalid restart policy: maximum retry count cannot be negative"),
            ("always", 0, true, "can't create 'AutoRemove' container with restart policy"),
        ] {
            assert_eq!(policy(name, count, auto_remove).unwrap_err().to_string(), error);
        }
    }
}

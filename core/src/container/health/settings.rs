//! The setting `Healthcheck` -> what is probed, how often, and for how long. Pure.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use crate::{Error, Result, clock::SECOND, container::config::Healthcheck};

const DEFAULT_NS: i64 = 30 * SECOND;
const DEFAULT_START_INTERVAL_NS: i64 = 5 * SECOND;
const DEFAULT_RETRIES: u32 = 3;
/// The shortest time that makes sense.
const LEAST_NS: i64 = 1_000_000;

/// How a container is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// From the end of a probe to the next.
    pub interval_ns: i64,
    /// Of one probe.
    pub timeout_ns: i64,
    /// After the start, while failures don't count, up to the first success.
    pub start_period_ns: i64,
    /// Instead of the interval, so long.
    pub start_interval_ns: i64,
    /// So many failures in a row mean unhealthy.
    pub retries: u32,
}

impl Settings {
    /// Reads the setting; `None` if there is nothing to probe. `shell` is the image's, for `CMD-SHELL`; empty for
    /// `/bin/sh -c`.
    ///
    /// # Errors
    /// [`Error::Invalid`] in Docker's words.
    pub fn new(setting: &Healthcheck, shell: &[String]) -> Result<Option<Settings>> {
        for (name, value) in [
            ("Interval", setting.interval),
            ("Timeout", setting.timeout),
            ("StartPeriod", setting.start_period),
            ("StartInterval", setting.start_interval),
        ] {
            if value != 0 && value < LEAST_NS {
                return Err(Error::Invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
            }
        }
        let Ok(retries) = u32::try_from(setting.retries) else {
            return Err(Error::Invalid("Retries in Healthcheck cannot be negative".into()));
        };
        let command = match setting.test.split_first().map(|(kind, rest)| (kind.as_str(), rest)) {
            None | Some(("NONE", _)) => return Ok(None),
            Some(("CMD" | "CMD-SHELL", [])) => {
                return Err(Error::Invalid("Healthcheck has no command".into()));
            }
            Some(("CMD", rest)) => rest.to_vec(),
            Some(("CMD-SHELL", rest)) => {
                let mut command = if shell.is_empty() {
                    vec!["/bin/sh".to_string(), "-c".to_string()]
                } else {
                    shell.to_vec()
                };
                command.extend_from_slice(rest);
                command
            }
            Some((kind, _)) => {
                return Err(Error::Invalid(format!(
                    "Unknown healthcheck type '{kind}' (expected 'NONE', 'CMD' or 'CMD-SHELL')"
                )));
            }
        };
        let or = |value: i64, default| if value == 0 { default } else { value };
        Ok(Some(Settings {
            command,
            interval_ns: or(setting.interval, DEFAULT_NS),
            timeout_ns: or(setting.timeout, DEFAULT_NS),
            start_period_ns: setting.start_period,
            start_interval_ns: or(setting.start_interval, DEFAULT_START_INTERVAL_NS),
            retries: if retries == 0 { DEFAULT_RETRIES } else { retries },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(test: &[&str]) -> Healthcheck {
        Healthcheck { test: test.iter().map(|word| (*word).to_string()).collect(), ..Healthcheck::default() }
    }

    #[test]
    fn commands_go_through_the_shell_or_not() {
        let command = |test: &[&str], shell: &[&str]| {
            let shell: Vec<String> = shell.iter().map(|word| (*word).to_string()).collect();
            Settings::new(&setting(test), &shell).unwrap().map(|settings| settings.command)
        };
        assert_eq!(command(&[], &[]), None);
        assert_eq!(command(&["NONE"], &[]), None);
        assert_eq!(command(&["CMD", "a", "b c"], &["x"]).unwrap(), ["a", "b c"]);
        assert_eq!(command(&["CMD-SHELL", "a b"], &[]).unwrap(), ["/bin/sh", "-c", "a b"]);
        assert_eq!(
            command(&["CMD-SHELL", "a b"], &["/bin/bash", "-xc"]).unwrap(),
            ["/bin/bash", "-xc", "a b"]
        );
    }

    #[test]
    fn absent_values_are_dockers_defaults() {
        let settings = Settings::new(&setting(&["CMD", "true"]), &[]).unwrap().unwrap();
        assert_eq!((settings.interval_ns, settings.timeout_ns), (30 * SECOND, 30 * SECOND));
        assert_eq!((settings.start_period_ns, settings.start_interval_ns), (0, 5 * SECOND));
        assert_eq!(settings.retries, 3);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let good = setting(&["CMD", "true"]);
        for (bad, error) in [
            (Healthcheck { interval: 1, ..good.clone() }, "Interval in Healthcheck cannot be less than 1ms"),
            (Healthcheck { timeout: -1, ..good.clone() }, "Timeout in Healthcheck cannot be less than 1ms"),
            (
                Healthcheck { start_period: 5, ..good.clone() },
                "StartPeriod in Healthcheck cannot be less than 1ms",
            ),
            (
                Healthcheck { start_interval: 5, ..good.clone() },
                "StartInterval in Healthcheck cannot be less than 1ms",
            ),
            (Healthcheck { retries: -1, ..good.clone() }, "Retries in Healthcheck cannot be negative"),
            (setting(&["CMD"]), "Healthcheck has no command"),
            (setting(&["curl"]), "Unknown healthcheck type 'curl' (expected 'NONE', 'CMD' or 'CMD-SHELL')"),
        ] {
            assert_eq!(Settings::new(&bad, &[]).unwrap_err().to_string(), error);
        }
    }
}

//! `skiff update`: POST /containers/{id}/update -> new limits for containers, running ones too.

use argh::prelude::*;
use serde_json::{Map, Value, json};

use super::{Context, Verb, each, items};
use crate::{
    client::path,
    create::{policies, units},
    failure::{Failure, Outcome},
    output,
};

/// change the limits of one or more containers
#[derive(FromArgs, ArgsInfo)]
pub struct Update {
    /// share of the disks' time against others (10 to 1000)
    #[argh(option, arg_name = "uint16")]
    blkio_weight: Option<String>,
    /// microseconds of a period that --cpu-quota is for
    #[argh(option, arg_name = "int")]
    cpu_period: Option<String>,
    /// microseconds of processor time in a period
    #[argh(option, arg_name = "int")]
    cpu_quota: Option<String>,
    /// share of the processors' time against others
    #[argh(option, short = 'c', arg_name = "int")]
    cpu_shares: Option<String>,
    /// how many processors
    #[argh(option, arg_name = "decimal")]
    cpus: Option<String>,
    /// which processors (0-3, 0,1)
    #[argh(option, arg_name = "string")]
    cpuset_cpus: Option<String>,
    /// which memory nodes (0-3, 0,1)
    #[argh(option, arg_name = "string")]
    cpuset_mems: Option<String>,
    /// most memory
    #[argh(option, short = 'm', arg_name = "bytes")]
    memory: Option<String>,
    /// memory that is left to it when others need some
    #[argh(option, arg_name = "bytes")]
    memory_reservation: Option<String>,
    /// most memory and swap together; -1: no limit
    #[argh(option, arg_name = "bytes")]
    memory_swap: Option<String>,
    /// most processes; -1: no limit
    #[argh(option, arg_name = "int")]
    pids_limit: Option<String>,
    /// what happens when it ends: no, on-failure[:n], always, unless-stopped
    #[argh(option, arg_name = "string")]
    restart: Option<String>,
    #[argh(positional)]
    containers: Vec<String>,
}

type Read = fn(&str) -> Result<i64, String>;

impl Verb for Update {
    fn run(self, context: &Context) -> Outcome {
        let body = self.body().map_err(|message| Failure::misuse("update", &message))?;
        if body.as_object().is_some_and(Map::is_empty) {
            return Err(Failure::new("you must provide one or more flags when using this command"));
        }
        let mut warnings = Vec::new();
        let code = each(&self.containers, |name| {
            let answer = context.client.post(&path(&["containers", name, "update"]), Some(&body))?;
            warnings.extend(items(&answer, "Warnings").iter().filter_map(Value::as_str).map(String::from));
            output::line(name)
        })?;
        for warning in warnings {
            output::line(&warning)?;
        }
        Ok(code)
    }
}

impl Update {
    /// What is to change; what was not given stays.
    fn body(&self) -> Result<Value, String> {
        let numbers: [(&str, &str, &Option<String>, Read); 9] = [
            ("--blkio-weight", "BlkioWeight", &self.blkio_weight, units::integer),
            ("--cpu-period", "CpuPeriod", &self.cpu_period, units::integer),
            ("--cpu-quota", "CpuQuota", &self.cpu_quota, units::integer),
            ("--cpu-shares", "CpuShares", &self.cpu_shares, units::integer),
            ("--cpus", "NanoCpus", &self.cpus, units::processors),
            ("--memory", "Memory", &self.memory, units::size),
            ("--memory-reservation", "MemoryReservation", &self.memory_reservation, units::size),
            ("--memory-swap", "MemorySwap", &self.memory_swap, units::size_or_unlimited),
            ("--pids-limit", "PidsLimit", &self.pids_limit, units::integer),
        ];
        let mut body = Map::new();
        for (flag, field, given, read) in numbers {
            if let Some(given) = given {
                let value = read(given)
                    .map_err(|reason| format!("invalid argument \"{given}\" for {flag}: {reason}"))?;
                body.insert(field.into(), value.into());
            }
        }
        for (field, given) in [("CpusetCpus", &self.cpuset_cpus), ("CpusetMems", &self.cpuset_mems)] {
            if let Some(given) = given {
                body.insert(field.into(), given.as_str().into());
            }
        }
        if let Some(given) = &self.restart {
            let policy = policies::restart(given)?;
            let policy = json!({"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count});
            body.insert("RestartPolicy".into(), policy);
        }
        Ok(body.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(words: &[&str]) -> Result<Value, String> {
        Update::from_args(&["update"], words).unwrap().body()
    }

    #[test]
    fn only_what_was_given_is_sent() {
        assert_eq!(
            body(&["--memory", "32m", "--cpus", "1.5", "--restart", "on-failure:3"]),
            Ok(
                json!({"Memory": 32 << 20, "NanoCpus": 1_500_000_000, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
            )
        );
        assert_eq!(
            body(&["--memory-swap", "-1", "--cpuset-cpus", "0-1"]),
            Ok(json!({"MemorySwap": -1, "CpusetCpus": "0-1"}))
        );
        assert_eq!(body(&[]), Ok(json!({})));
        assert_eq!(
            body(&["--memory", "x"]).unwrap_err(),
            "invalid argument \"x\" for --memory: invalid size: 'x'"
        );
    }
}

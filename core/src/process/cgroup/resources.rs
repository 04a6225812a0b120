//! What a container may use, in the numbers of Docker's API: read from create and update requests, kept in the record.
//! [`Resources::check`] refuses what makes no sense, in Docker's words; `limits` turns the rest into control files.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::cpuset;
use crate::{
    Error, Result,
    container::config::{Map, nullable},
};

/// The smallest memory limit: 6 MiB, as in Docker.
const MINIMUM_MEMORY: i64 = 6 << 20;

/// The resources part of `HostConfig`; also the body of an update. 0, an empty list and `null` mean: not limited, or in
/// an update: as it was.
///
/// # Spec
/// Docker Engine API v1.50, `Resources`. `CgroupConf` is Podman's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Relative weight of CPU time, 2 to 262144; 1024 is the usual one.
    #[serde(deserialize_with = "nullable")]
    pub cpu_shares: i64,
    /// Bytes of memory.
    #[serde(deserialize_with = "nullable")]
    pub memory: i64,
    /// CPUs, in billionths.
    #[serde(deserialize_with = "nullable")]
    pub nano_cpus: i64,
    /// Relative weight of block I/O, 10 to 1000.
    #[serde(deserialize_with = "nullable")]
    pub blkio_weight: i64,
    /// The same for single devices.
    #[serde(deserialize_with = "nullable")]
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes a second that can be read from devices.
    #[serde(deserialize_with = "nullable")]
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    /// Bytes a second that can be written to devices.
    #[serde(deserialize_with = "nullable")]
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    /// Reads a second from devices.
    #[serde(rename = "BlkioDeviceReadIOps", deserialize_with = "nullable")]
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    /// Writes a second to devices.
    #[serde(rename = "BlkioDeviceWriteIOps", deserialize_with = "nullable")]
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Microseconds of the period that the quota is for; 100000 if 0.
    #[serde(deserialize_with = "nullable")]
    pub cpu_period: i64,
    /// Microseconds of CPU time in a period; -1: no limit.
    #[serde(deserialize_with = "nullable")]
    pub cpu_quota: i64,
    /// CPUs to run on: `0-2,7`.
    #[serde(deserialize_with = "nullable")]
    pub cpuset_cpus: String,
    /// Memory nodes to allocate from: `0,1`.
    #[serde(deserialize_with = "nullable")]
    pub cpuset_mems: String,
    /// Bytes of memory that are reclaimed last.
    #[serde(deserialize_with = "nullable")]
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1: any amount of swap; 0: twice the memory.
    #[serde(deserialize_with = "nullable")]
    pub memory_swap: i64,
    /// cgroup2 has no such thing; only -1 and absent are taken.
    pub memory_swappiness: Option<i64>,
    /// cgroup2 has no such thing; only false and absent are taken.
    pub oom_kill_disable: Option<bool>,
    /// Processes and threads; 0 and -1: no limit.
    pub pids_limit: Option<i64>,
    /// Control file to value, for limits that have no field here: `hugetlb.2MB.max` to `4194304`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub cgroup_conf: Map<String>,
}

/// A rate for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// Its node on the host.
    pub path: String,
    /// Bytes or operations a second.
    #[serde(deserialize_with = "nullable")]
    pub rate: u64,
}

/// A weight for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    /// Its node on the host.
    pub path: String,
    /// 10 to 1000.
    #[serde(deserialize_with = "nullable")]
    pub weight: i64,
}

/// What the machine has, for limits that name a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// CPUs that this program can use.
    pub cpu_count: u32,
    /// The list of those that are online.
    pub cpus: String,
    /// The list of memory nodes.
    pub memory_nodes: String,
}

fn refuse(what: &str) -> Result<()> {
    Err(Error::Invalid(what.to_string()))
}

impl Resources {
    /// Whether the limits make sense. `machine` is asked only for limits that depend on it.
    ///
    /// # Errors
    /// What is wrong, in Docker's words where it has some.
    pub fn check(&self, machine: &mut dyn FnMut() -> Machine) -> Result<()> {
        self.check_memory()?;
        self.check_cpu(machine)?;
        self.check_cpuset(machine)?;
        self.check_devices()?;
        if self.pids_limit.is_some_and(|limit| limit < -1) {
            return refuse("invalid pids limit: it is a number of processes, or -1 for no limit");
        }
        for (file, value) in &self.cgroup_conf {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            let controller = file.split_once('.').map_or("", |(controller, _)| controller);
            if controller.is_empty() || controller == "cgroup" || !file.bytes().all(plain) {
                return refuse(&format!(
                    "invalid control file '{file}': CONTROLLER.NAME, as hugetlb.2MB.max"
                ));
            }
            if value.is_empty() || value.contains(['\n', '\0']) {
                return refuse(&format!("invalid value for {file}: one line"));
            }
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<()> {
        let (memory, swap, reservation) = (self.memory, self.memory_swap, self.memory_reservation);
        if memory != 0 && memory < MINIMUM_MEMORY {
            return refuse("Minimum memory limit allowed is 6MB");
        }
        if memory > 0 && swap > 0 && swap < memory {
            return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
        }
        if memory == 0 && swap > 0 {
            return refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
        }
        if swap < -1 {
            return refuse("invalid memory-swap: bytes, or -1 for unlimited swap");
        }
        if reservation != 0 && reservation < MINIMUM_MEMORY {
            return refuse("Minimum memory reservation allowed is 6MB");
        }
        if memory > 0 && reservation > memory {
            return refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
        }
        if self.memory_swappiness.is_some_and(|value| value != -1) {
            return refuse("memory swappiness: cgroup2 has no such setting");
        }
        if self.oom_kill_disable == Some(true) {
            return refuse("oom-kill-disable: cgroup2 has no such setting");
        }
        Ok(())
    }

    fn check_cpu(&self, machine: &mut dyn FnMut() -> Machine) -> Result<()> {
        if self.nano_cpus > 0 && self.cpu_period > 0 {
            return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if self.nano_cpus > 0 && self.cpu_quota > 0 {
            return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        if self.nano_cpus != 0 {
            let count = machine().cpu_count;
            // The kernel's shortest quota is 1 ms of a period of 100 ms.
            if self.nano_cpus < 10_000_000 || self.nano_cpus > i64::from(count) * 1_000_000_000 {
                return refuse(&format!(
                    "Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
                ));
            }
        }
        if self.cpu_shares < 0 {
            return refuse("shares: invalid argument");
        }
        if self.cpu_period != 0 && !(1000..=1_000_000).contains(&self.cpu_period) {
            return refuse(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            );
        }
        if self.cpu_quota > 0 && self.cpu_quota < 1000 {
            return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
        }
        if self.cpu_quota < -1 {
            return refuse("invalid cpu-quota: microseconds, or -1 for no limit");
        }
        Ok(())
    }

    fn check_cpuset(&self, machine: &mut dyn FnMut() -> Machine) -> Result<()> {
        if self.cpuset_cpus.is_empty() && self.cpuset_mems.is_empty() {
            return Ok(());
        }
        let machine = machine();
        for (asked, there, what, things) in [
            (&self.cpuset_cpus, &machine.cpus, "cpus", "CPUs"),
            (&self.cpuset_mems, &machine.memory_nodes, "mems", "memory nodes"),
        ] {
            let Some(wanted) = cpuset::parse(asked) else {
                return refuse(&format!("Invalid value {asked} for cpuset {what}"));
            };
            if !cpuset::contains(&cpuset::parse(there).unwrap_or_default(), &wanted) {
                return refuse(&format!(
                    "Requested {things} are not available - requested {asked}, available: {there}"
                ));
            }
        }
        Ok(())
    }

    fn check_devices(&self) -> Result<()> {
        let weights = self.blkio_weight_device.iter().map(|device| device.weight);
        if weights.chain([self.blkio_weight]).any(|weight| weight != 0 && !(10..=1000).contains(&weight)) {
            return refuse("Range of blkio weight is from 10 to 1000");
        }
        Ok(())
    }

    /// These limits with an update laid over them: what the update leaves at 0, empty or `null` stays.
    ///
    /// # Errors
    /// Combinations that Docker refuses, in its words. The result still has to be checked.
    pub fn updated(&self, update: &Resources) -> Result<Resources> {
        if update.nano_cpus > 0 && self.cpu_period > 0 {
            refuse("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")?;
        }
        if update.nano_cpus > 0 && self.cpu_quota > 0 {
            refuse("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")?;
        }
        if update.cpu_period > 0 && self.nano_cpus > 0 {
            refuse("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")?;
        }
        if update.cpu_quota > 0 && self.nano_cpus > 0 {
            refuse("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")?;
        }
        if self.memory_swap > 0 && update.memory > self.memory_swap && update.memory_swap == 0 {
            refuse(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            )?;
        }
        fn number(field: &mut i64, update: i64) {
            if update != 0 {
                *field = update;
            }
        }
        fn list<T: Clone>(field: &mut Vec<T>, update: &[T]) {
            if !update.is_empty() {
                *field = update.to_vec();
            }
        }
        let mut all = self.clone();
        number(&mut all.cpu_shares, update.cpu_shares);
        number(&mut all.memory, update.memory);
        number(&mut all.nano_cpus, update.nano_cpus);
        number(&mut all.blkio_weight, update.blkio_weight);
        number(&mut all.cpu_period, update.cpu_period);
        number(&mut all.cpu_quota, update.cpu_quota);
        number(&mut all.memory_reservation, update.memory_reservation);
        number(&mut all.memory_swap, update.memory_swap);
        list(&mut all.blkio_weight_device, &update.blkio_weight_device);
        list(&mut all.blkio_device_read_bps, &update.blkio_device_read_bps);
        list(&mut all.blkio_device_write_bps, &update.blkio_device_write_bps);
        list(&mut all.blkio_device_read_iops, &update.blkio_device_read_iops);
        list(&mut all.blkio_device_write_iops, &update.blkio_device_write_iops);
        for (field, update) in
            [(&mut all.cpuset_cpus, &update.cpuset_cpus), (&mut all.cpuset_mems, &update.cpuset_mems)]
        {
            if !update.is_empty() {
                field.clone_from(update);
            }
        }
        all.memory_swappiness = update.memory_swappiness.or(all.memory_swappiness);
        all.oom_kill_disable = update.oom_kill_disable.or(all.oom_kill_disable);
        all.pids_limit = update.pids_limit.or(all.pids_limit);
        all.cgroup_conf.extend(update.cgroup_conf.clone());
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { cpu_count: 2, cpus: "0-1".into(), memory_nodes: "0".into() }
    }

    fn refusal(json: &str) -> String {
        let resources: Resources = serde_json::from_str(json).unwrap();
        resources.check(&mut machine).unwrap_err().to_string()
    }

    #[test]
    fn a_body_of_zeros_and_nulls_limits_nothing_and_is_fine() {
        let body = r#"{"CpuShares":0,"Memory":0,"NanoCpus":0,"BlkioWeight":0,"BlkioWeightDevice":[],
            "BlkioDeviceReadBps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpusetCpus":"",
            "CpusetMems":null,"MemorySwap":null,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":null,
            "Devices":[],"CgroupParent":""}"#;
        let resources: Resources = serde_json::from_str(body).unwrap();
        resources.check(&mut || panic!("nothing depends on the machine")).unwrap();
        let neutral =
            Resources { memory_swappiness: Some(-1), oom_kill_disable: Some(false), ..Resources::default() };
        assert_eq!(resources, neutral);
    }

    #[test]
    fn fields_have_dockers_names() {
        let json = serde_json::to_string(&Resources::default()).unwrap();
        for name in ["CpuShares", "NanoCpus", "BlkioDeviceReadIOps", "CpusetCpus", "PidsLimit", "MemorySwap"]
        {
            assert!(json.contains(&format!("\"{name}\":")), "{name} in {json}");
        }
        assert!(!json.contains("CgroupConf"));
    }

    #[test]
    fn senseless_limits_are_refused_in_dockers_words() {
        for (json, words) in [
            (r#"{"Memory":6291455}"#, "Minimum memory limit allowed is 6MB"),
            (r#"{"Memory":-1}"#, "Minimum memory limit allowed is 6MB"),
            (
                r#"{"Memory":8388608,"MemorySwap":8388607}"#,
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            ),
            (
                r#"{"MemorySwap":8388607}"#,
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ),
            (r#"{"MemoryReservation":1}"#, "Minimum memory reservation allowed is 6MB"),
            (
                r#"{"Memory":8388608,"MemoryReservation":8388609}"#,
                "Minimum memory limit can not be less than memory reservation limit, see usage",
            ),
            (
                r#"{"NanoCpus":1,"CpuPeriod":1000}"#,
                "Conflicting options: Nano CPUs and CPU Period cannot both be set",
            ),
            (
                r#"{"NanoCpus":2000000001}"#,
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            ),
            (r#"{"NanoCpus":-1}"#, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
            (
                r#"{"CpuPeriod":999}"#,
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            ),
            (r#"{"CpuQuota":999}"#, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
            (r#"{"CpuShares":-1}"#, "shares: invalid argument"),
            (r#"{"CpusetCpus":"0-"}"#, "Invalid value 0- for cpuset cpus"),
            (r#"{"CpusetCpus":"0-2"}"#, "Requested CPUs are not available - requested 0-2, available: 0-1"),
            (r#"{"CpusetMems":"1"}"#, "Requested memory nodes are not available - requested 1, available: 0"),
            (r#"{"BlkioWeight":9}"#, "Range of blkio weight is from 10 to 1000"),
            (
                r#"{"BlkioWeightDevice":[{"Path":"/dev/vda","Weight":1001}]}"#,
                "Range of blkio weight is from 10 to 1000",
            ),
            (r#"{"OomKillDisable":true}"#, "oom-kill-disable: cgroup2 has no such setting"),
            (r#"{"MemorySwappiness":60}"#, "memory swappiness: cgroup2 has no such setting"),
        ] {
            assert_eq!(refusal(json), words);
        }
        assert!(refusal(r#"{"PidsLimit":-2}"#).contains("pids limit"));
    }

    #[test]
    fn a_control_file_is_a_plain_name_of_a_controller() {
        for file in ["../x.y", "cgroup.kill", "memory", ".max", "memory.max/", "a.b\\n"] {
            let json = format!(r#"{{"CgroupConf":{{"{file}":"1"}}}}"#);
            assert!(refusal(&json).contains("invalid control file"), "{file}");
        }
        assert!(refusal(r#"{"CgroupConf":{"memory.max":"1\n2"}}"#).contains("one line"));
    }

    #[test]
    fn an_update_changes_what_it_names_and_nothing_else() {
        let before =
            Resources { memory: 64 << 20, memory_swap: 128 << 20, cpu_shares: 512, ..Default::default() };
        let update = Resources { memory: 32 << 20, pids_limit: Some(-1), ..Default::default() };
        let after = before.updated(&update).unwrap();
        let expected = Resources { memory: 32 << 20, pids_limit: Some(-1), ..before.clone() };
        assert_eq!(after, expected);
        let beyond = Resources { memory: 129 << 20, ..Default::default() };
        let refusal = before.updated(&beyond).unwrap_err().to_string();
        assert!(refusal.starts_with("Memory limit should be smaller than already set memoryswap limit"));
    }

    #[test]
    fn an_update_cannot_mix_the_two_ways_to_limit_cpu_time() {
        let quota = Resources { cpu_quota: 50_000, ..Default::default() };
        let cpus = Resources { nano_cpus: 1_000_000_000, ..Default::default() };
        assert!(quota.updated(&cpus).is_err());
        assert!(cpus.updated(&quota).is_err());
        assert!(cpus.updated(&cpus).is_ok());
    }
}

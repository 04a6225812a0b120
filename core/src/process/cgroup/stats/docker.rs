//! Readings in, the JSON of Docker's `/containers/{id}/stats` out.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq, SerializeStruct},
};

use super::{Cpu, Io, Memory, Pressure, Stall, Stats, pairs};
use crate::{clock::Time, net::counters::Counters};

/// One document of the stream.
///
/// # Spec
/// Docker Engine API v1.50, `ContainerStatsResponse` on Linux with cgroup2, and `pressure` beside it.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its name, with a slash in front.
    pub name: &'a str,
    /// The reading; absent for a container that doesn't run.
    pub now: Option<&'a Stats>,
    /// The one before, if there was one.
    pub before: Option<&'a Stats>,
    /// What has gone through its network's interfaces.
    pub networks: &'a [Counters],
}

struct Nothing;

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_map(Some(0))?.end()
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("name", self.name)?;
        all.serialize_entry("id", self.id)?;
        all.serialize_entry("read", &self.now.map_or(Time::NEVER, |stats| stats.read))?;
        all.serialize_entry("preread", &self.before.map_or(Time::NEVER, |stats| stats.read))?;
        all.serialize_entry("num_procs", &0)?;
        all.serialize_entry("storage_stats", &Nothing)?;
        all.serialize_entry("cpu_stats", &CpuStats(self.now))?;
        all.serialize_entry("precpu_stats", &CpuStats(self.before))?;
        match self.now.and_then(|stats| stats.memory.as_ref()) {
            Some(memory) => all.serialize_entry("memory_stats", &MemoryStats(memory))?,
            None => all.serialize_entry("memory_stats", &Nothing)?,
        }
        all.serialize_entry("blkio_stats", &BlkioStats(self.now.and_then(|stats| stats.io.as_deref())))?;
        all.serialize_entry("pids_stats", &PidsStats(self.now))?;
        if let Some(stats) = self.now
            && stats.pressure.iter().any(Option::is_some)
        {
            all.serialize_entry("pressure", &PressureStats(stats))?;
        }
        if !self.networks.is_empty() {
            all.serialize_entry("networks", &Networks(self.networks))?;
        }
        all.end()
    }
}

struct Networks<'a>(&'a [Counters]);

impl Serialize for Networks<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|one| (&one.name, Traffic(one))))
    }
}

struct Traffic<'a>(&'a Counters);

impl Serialize for Traffic<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let received = ["rx_bytes", "rx_packets", "rx_errors", "rx_dropped"].into_iter().zip(self.0.received);
        let sent = ["tx_bytes", "tx_packets", "tx_errors", "tx_dropped"].into_iter().zip(self.0.sent);
        to.collect_map(received.chain(sent))
    }
}

struct CpuStats<'a>(Option<&'a Stats>);

impl Serialize for CpuStats<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        let cpu = self.0.and_then(|stats| stats.cpu).unwrap_or_default();
        all.serialize_entry("cpu_usage", &CpuUsage(&cpu))?;
        if let Some(stats) = self.0 {
            all.serialize_entry("system_cpu_usage", &stats.system_nanos)?;
            all.serialize_entry("online_cpus", &stats.online_cpus)?;
        }
        all.serialize_entry("throttling_data", &Throttling(&cpu))?;
        all.end()
    }
}

struct CpuUsage<'a>(&'a Cpu);

impl Serialize for CpuUsage<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("total_usage", &(self.0.usage_micros * 1000))?;
        all.serialize_entry("usage_in_kernelmode", &(self.0.system_micros * 1000))?;
        all.serialize_entry("usage_in_usermode", &(self.0.user_micros * 1000))?;
        all.end()
    }
}

struct Throttling<'a>(&'a Cpu);

impl Serialize for Throttling<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("periods", &self.0.periods)?;
        all.serialize_entry("throttled_periods", &self.0.throttled_periods)?;
        all.serialize_entry("throttled_time", &(self.0.throttled_micros * 1000))?;
        all.end()
    }
}

struct MemoryStats<'a>(&'a Memory);

impl Serialize for MemoryStats<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("usage", &self.0.usage_bytes)?;
        all.serialize_entry("stats", &Detail(&self.0.detail))?;
        all.serialize_entry("limit", &self.0.limit_bytes)?;
        all.end()
    }
}

struct Detail<'a>(&'a str);

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(pairs(self.0))
    }
}

struct BlkioStats<'a>(Option<&'a [Io]>);

impl Serialize for BlkioStats<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("io_service_bytes_recursive", &self.0.map(Bytes))?;
        // cgroup v1 alone has these.
        for name in [
            "io_serviced_recursive",
            "io_queue_recursive",
            "io_service_time_recursive",
            "io_wait_time_recursive",
            "io_merged_recursive",
            "io_time_recursive",
            "sectors_recursive",
        ] {
            all.serialize_entry(name, &None::<()>)?;
        }
        all.end()
    }
}

struct Bytes<'a>(&'a [Io]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_seq(None)?;
        for device in self.0 {
            all.serialize_element(&Transfer(device, "read", device.read_bytes))?;
            all.serialize_element(&Transfer(device, "write", device.written_bytes))?;
        }
        all.end()
    }
}

struct Transfer<'a>(&'a Io, &'static str, u64);

impl Serialize for Transfer<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("major", &self.0.major)?;
        all.serialize_entry("minor", &self.0.minor)?;
        all.serialize_entry("op", self.1)?;
        all.serialize_entry("value", &self.2)?;
        all.end()
    }
}

struct PidsStats<'a>(Option<&'a Stats>);

impl Serialize for PidsStats<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        if let Some((stats, current)) = self.0.and_then(|stats| Some((stats, stats.pids?))) {
            all.serialize_entry("current", &current)?;
            all.serialize_entry("limit", &stats.pids_limit.unwrap_or(u64::MAX))?;
        }
        all.end()
    }
}

struct PressureStats<'a>(&'a Stats);

impl Serialize for PressureStats<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_map(None)?;
        for (name, pressure) in ["cpu", "memory", "io"].into_iter().zip(&self.0.pressure) {
            if let Some(pressure) = pressure {
                all.serialize_entry(name, pressure)?;
            }
        }
        all.end()
    }
}

impl Serialize for Pressure {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_struct("Pressure", 2)?;
        all.serialize_field("some", &self.some)?;
        all.serialize_field("full", &self.full)?;
        all.end()
    }
}

impl Serialize for Stall {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_struct("Stall", 4)?;
        all.serialize_field("avg10", &self.avg10)?;
        all.serialize_field("avg60", &self.avg60)?;
        all.serialize_field("avg300", &self.avg300)?;
        all.serialize_field("total", &self.total_micros)?;
        all.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(now: Option<&Stats>, before: Option<&Stats>) -> Value {
        serde_json::to_value(Document { id: "ab", name: "/web", now, before, networks: &[] }).unwrap()
    }

    #[test]
    fn a_reading_has_dockers_fields_and_units() {
        let before = Stats {
            cpu: Some(Cpu { usage_micros: 1000, ..Cpu::default() }),
            system_nanos: 5,
            ..Stats::default()
        };
        let stall = Stall { avg10: 1.5, total_micros: 7, ..Stall::default() };
        let now = Stats {
            read: Time::from_unix(1_700_000_000, 5),
            cpu: Some(Cpu { usage_micros: 3000, user_micros: 2000, throttled_micros: 4, ..Cpu::default() }),
            system_nanos: 9,
            online_cpus: 2,
            memory: Some(Memory { usage_bytes: 100, limit_bytes: 200, detail: "anon 60\nfile 40\n".into() }),
            io: Some([Io { major: 8, minor: 0, read_bytes: 1, written_bytes: 2, ..Io::default() }].into()),
            pids: Some(3),
            pids_limit: None,
            pressure: [None, Some(Pressure { some: stall, full: Stall::default() }), None],
        };
        let document = document(Some(&now), Some(&before));
        assert_eq!(document["read"], "2023-11-14T22:13:20.000000005Z");
        assert_eq!(document["precpu_stats"]["cpu_usage"]["total_usage"], 1_000_000);
        assert_eq!(document["cpu_stats"]["cpu_usage"]["total_usage"], 3_000_000);
        assert_eq!(document["cpu_stats"]["throttling_data"]["throttled_time"], 4000);
        assert_eq!(document["cpu_stats"]["online_cpus"], 2);
        let memory = json!({"usage": 100, "limit": 200, "stats": {"anon": 60, "file": 40}});
        assert_eq!(document["memory_stats"], memory);
        let bytes = json!([
            {"major": 8, "minor": 0, "op": "read", "value": 1},
            {"major": 8, "minor": 0, "op": "write", "value": 2}
        ]);
        assert_eq!(document["blkio_stats"]["io_service_bytes_recursive"], bytes);
        assert_eq!(document["pids_stats"], json!({"current": 3, "limit": u64::MAX}));
        assert_eq!(document["pressure"]["memory"]["some"]["avg10"], 1.5);
        assert_eq!(document["pressure"].get("cpu"), None);
    }

    #[test]
    fn what_is_not_counted_is_absent_instead_of_zero() {
        let document = document(Some(&Stats::default()), None);
        assert_eq!(document["memory_stats"], json!({}));
        assert_eq!(document["pids_stats"], json!({}));
        assert_eq!(document["blkio_stats"]["io_service_bytes_recursive"], Value::Null);
        assert_eq!(document.get("pressure"), None);
        assert_eq!(document["preread"], "0001-01-01T00:00:00Z");
    }
}

//! Scenarios about what `stats` says.

use std::time::Duration;

use skiff_core::{
    fork,
    process::cgroup::{
        Host, Resources,
        stats::{Stats, docker::Document},
    },
};

use crate::cgroup::{born_in, limited};

pub fn all() {
    let host = Host::find().unwrap();
    let limit = Resources { memory: 64 << 20, pids_limit: Some(20), ..Resources::default() };
    let group = limited(&host, "stats", &limit);
    let before = Stats::read(&group).unwrap();
    let child = born_in(&group, || {
        let held = vec![1_u8; 8 << 20];
        let sum: u64 = (0..50).flat_map(|_| &held).map(|&byte| u64::from(byte)).sum();
        std::thread::sleep(Duration::from_secs(60));
        i32::from(sum == 0)
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let now = loop {
        let now = Stats::read(&group).unwrap();
        let settled = now.memory.as_ref().is_some_and(|memory| memory.usage_bytes > 8 << 20)
            && now.cpu.is_some_and(|cpu| cpu.usage_micros > 10_000);
        if settled {
            break now;
        }
        assert!(std::time::Instant::now() < deadline, "{now:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let memory = now.memory.as_ref().unwrap();
    assert_eq!(memory.limit_bytes, 64 << 20);
    assert!(memory.usage_bytes < 32 << 20 && memory.working_bytes() > 7 << 20, "{memory:?}");
    assert_eq!((now.pids, now.pids_limit), (Some(1), Some(20)));
    assert_eq!((before.pids, before.cpu.unwrap().usage_micros), (Some(0), 0));
    assert_eq!(now.online_cpus, 2);
    assert!(now.system_nanos > before.system_nanos);
    assert!(now.pressure.iter().all(Option::is_some), "{now:?}");

    let document =
        Document { id: "ab", name: "/stats", now: Some(&now), before: Some(&before), networks: &[] };
    let json = serde_json::to_value(document).unwrap();
    assert!(json["memory_stats"]["stats"]["anon"].as_u64().unwrap() > 7 << 20);
    assert_eq!(json["pids_stats"], serde_json::json!({"current": 1, "limit": 20}));
    assert!(json["pressure"]["io"]["full"]["total"].is_u64());
    group.kill().unwrap();
    fork::wait(&child).unwrap();
    group.remove(1000).unwrap();
}

//! Scenarios in which limits meet processes.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use skiff_core::{
    fork::{self, Ended},
    process::cgroup::{Host, Resources, resources::ThrottleDevice, stats::Stats},
};

use crate::cgroup::{born_in, limited};

pub fn memory_limit() {
    let host = Host::find().unwrap();
    let limit = Resources { memory: 16 << 20, memory_swap: 16 << 20, ..Resources::default() };
    let group = limited(&host, "hog", &limit);
    assert_eq!(group.oom_kills(), Ok(Some(0)));
    let modest = born_in(&group, || {
        i32::from(vec![1_u8; 4 << 20].iter().map(|&byte| u32::from(byte)).sum::<u32>() == 0)
    });
    assert_eq!(fork::wait(&modest), Ok(Ended::Exited(0)));
    let hog = born_in(&group, || {
        i32::from(vec![1_u8; 64 << 20].iter().map(|&byte| u32::from(byte)).sum::<u32>() == 0)
    });
    assert_eq!(fork::wait(&hog), Ok(Ended::Killed(9)));
    assert_eq!(group.oom_kills(), Ok(Some(1)));
    group.remove(1000).unwrap();
}

pub fn pids_limit() {
    let host = Host::find().unwrap();
    let group = limited(&host, "forks", &Resources { pids_limit: Some(5), ..Resources::default() });
    // The process itself is the first of the five.
    let child = born_in(&group, || {
        let sleep = || {
            std::thread::sleep(Duration::from_secs(60));
            0
        };
        (0..20).take_while(|_| fork::child(&[], sleep).is_ok()).count() as i32
    });
    assert_eq!(fork::wait(&child), Ok(Ended::Exited(4)));
    group.kill().unwrap();
    group.remove(1000).unwrap();
}

/// Works as hard as one process can, for so long by the clock.
fn spin(time: Duration) -> i32 {
    let end = Instant::now() + time;
    while Instant::now() < end {}
    0
}

pub fn cpu_limit() {
    let host = Host::find().unwrap();
    let group = limited(&host, "spin", &Resources { nano_cpus: 100_000_000, ..Resources::default() });
    let child = born_in(&group, || spin(Duration::from_millis(1500)));
    assert_eq!(fork::wait(&child), Ok(Ended::Exited(0)));
    let cpu = Stats::read(&group).unwrap().cpu.unwrap();
    println!("{cpu:?}");
    assert!((50_000..400_000).contains(&cpu.usage_micros), "a tenth of 1.5 s, roughly");
    assert!(cpu.throttled_periods >= 5 && cpu.throttled_micros > 500_000);
    group.remove(1000).unwrap();
}

pub fn cpuset() {
    let host = Host::find().unwrap();
    let group = limited(&host, "bound", &Resources { cpuset_cpus: "1".into(), ..Resources::default() });
    let child = born_in(&group, || {
        let usable = rustix::thread::sched_getaffinity(None).unwrap();
        i32::from(!(usable.count() == 1 && usable.is_set(1)))
    });
    assert_eq!(fork::wait(&child), Ok(Ended::Exited(0)));
    group.remove(1000).unwrap();
}

pub fn io_limit() {
    let host = Host::find().unwrap();
    let write_megabytes = |count: usize| {
        // O_DIRECT: past the cache, in whole pages at a page's boundary.
        let mut disk = fs::OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::DIRECT.bits() as i32)
            .open("/dev/vda")
            .unwrap();
        let memory = vec![0_u8; (1 << 20) + 4096];
        let start = memory.as_ptr().align_offset(4096);
        (0..count).for_each(|_| disk.write_all(&memory[start..start + (1 << 20)]).unwrap());
        0
    };
    let timed = |name: &str, resources: &Resources| {
        let group = limited(&host, name, resources);
        let started = Instant::now();
        let child = born_in(&group, || write_megabytes(4));
        assert_eq!(fork::wait(&child), Ok(Ended::Exited(0)));
        let took = started.elapsed();
        // The kernel adds up when it comes to it.
        let written = || {
            let io = Stats::read(&group).unwrap().io.unwrap();
            io.iter().find(|io| (io.major, io.minor) == (254, 0)).map_or(0, |disk| disk.written_bytes)
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while written() != 4 << 20 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(written(), 4 << 20);
        group.remove(1000).unwrap();
        took
    };
    let free = timed("free", &Resources::default());
    let rate = vec![ThrottleDevice { path: "/dev/vda".into(), rate: 2 << 20 }];
    let slowed = timed("slowed", &Resources { blkio_device_write_bps: rate, ..Resources::default() });
    println!("4 MiB: {free:?} without a limit, {slowed:?} at 2 MiB/s");
    assert!(free < Duration::from_millis(1000) && slowed > Duration::from_millis(1500));
}

pub fn freeze_and_kill() {
    let host = Host::find().unwrap();
    let group = limited(&host, "frozen", &Resources::default());
    let counter = "/tmp/counter";
    let child = born_in(&group, || {
        loop {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(counter).unwrap();
            file.write_all(b".").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let length = || fs::metadata(counter).map_or(0, |file| file.len());
    let deadline = Instant::now() + Duration::from_secs(10);
    while length() < 3 {
        assert!(Instant::now() < deadline, "it never ran");
        std::thread::sleep(Duration::from_millis(10));
    }
    group.freeze(5000).unwrap();
    let before = length();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(length(), before, "it ran on while frozen");
    group.thaw().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while length() <= before {
        assert!(Instant::now() < deadline, "it did not go on");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A frozen group can be killed, too.
    group.freeze(5000).unwrap();
    group.kill().unwrap();
    assert_eq!(fork::wait(&child), Ok(Ended::Killed(9)));
    group.remove(1000).unwrap();
    fs::remove_file(counter).unwrap();
}

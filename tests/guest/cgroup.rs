//! Scenarios about control groups as such: where they are, what is written to them.

use std::{collections::BTreeMap, fs};

use rustix::fd::OwnedFd;
use skiff_core::process::cgroup::{
    Controllers, Group, Host, Layout, Resources,
    limits::{self, Write},
    resources::{Machine, ThrottleDevice, WeightDevice},
};
use skiff_syscalls::clone::{self, CloneFlags, Fork};

/// The numbers of a block device.
pub fn numbers(path: &str) -> skiff_core::Result<(u32, u32)> {
    let device = rustix::fs::stat(path).map_err(|errno| skiff_core::Error::os("stat", path, errno))?.st_rdev;
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}

pub fn plan(resources: &Resources) -> Vec<Write> {
    resources.check(&mut Machine::read).unwrap();
    limits::plan(resources, &mut numbers).unwrap()
}

/// A group with these limits, made as the engine makes one.
pub fn limited(host: &Host, name: &str, resources: &Resources) -> Group {
    let plan = plan(resources);
    host.can_enforce(&plan).unwrap();
    let needs = plan.iter().map(|write| write.controller).fold(Controllers::empty(), |all, one| all | one);
    let group = Group::create(host, "", name, needs, Controllers::ACCOUNTING).unwrap();
    group.apply(&plan).unwrap();
    group
}

/// A process that is born in the group and ends with what `body` returns.
pub fn born_in(group: &Group, body: impl FnOnce() -> i32) -> OwnedFd {
    match clone::fork(CloneFlags::empty(), Some(group.directory())).unwrap() {
        Fork::Parent { pidfd, .. } => pidfd,
        Fork::Child => std::process::exit(body()),
    }
}

fn text(group: &Group, file: &str) -> String {
    group.read(file).unwrap().unwrap_or_else(|| panic!("no {file}")).trim_end().to_string()
}

pub fn pure_and_complete() {
    let host = Host::find().unwrap();
    assert_eq!(host.layout(), Layout::Pure);
    assert_eq!(host.controllers(), Controllers::all());
    assert_eq!(fs::read_link("/proc/self/exe").unwrap().to_str(), Some("/init"));
}

pub fn found_where_nobody_mounted_it() {
    let Fork::Parent { pidfd, .. } = clone::fork(CloneFlags::NEWNS, None).unwrap() else {
        rustix::mount::mount_change(
            "/",
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
        )
        .unwrap();
        rustix::mount::unmount("/sys/fs/cgroup", rustix::mount::UnmountFlags::DETACH).unwrap();
        let host = Host::find().unwrap();
        assert_eq!(host.layout(), Layout::Detached);
        let group = limited(&host, "detached", &Resources { memory: 32 << 20, ..Resources::default() });
        assert_eq!(text(&group, "memory.max"), "33554432");
        group.remove(0).unwrap();
        std::process::exit(0);
    };
    assert_eq!(skiff_core::fork::wait(&pidfd), Ok(skiff_core::fork::Ended::Exited(0)));
}

/// Limits of every kind, and the lines that the control files then have.
fn all_limits() -> (Resources, BTreeMap<&'static str, &'static str>) {
    let throttle = |rate| vec![ThrottleDevice { path: "/dev/vda".into(), rate }];
    let resources = Resources {
        memory: 64 << 20,
        memory_swap: 96 << 20,
        memory_reservation: 32 << 20,
        cpu_shares: 512,
        nano_cpus: 1_500_000_000,
        cpuset_cpus: "1".into(),
        cpuset_mems: "0".into(),
        pids_limit: Some(50),
        blkio_weight: 300,
        blkio_device_read_bps: throttle(1 << 20),
        blkio_device_write_bps: throttle(2 << 20),
        blkio_device_read_iops: throttle(100),
        blkio_device_write_iops: throttle(200),
        cgroup_conf: [
            ("hugetlb.2MB.max".into(), "4194304".into()),
            ("memory.high".into(), "50331648".into()),
        ]
        .into(),
        ..Resources::default()
    };
    let expected = [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
        ("cpu.weight", "59"),
        ("cpu.max", "150000 100000"),
        ("cpuset.cpus", "1"),
        ("cpuset.cpus.effective", "1"),
        ("cpuset.mems", "0"),
        ("pids.max", "50"),
        ("io.weight", "default 2930"),
        ("io.max", "254:0 rbps=1048576 wbps=2097152 riops=100 wiops=200"),
        ("hugetlb.2MB.max", "4194304"),
    ];
    (resources, expected.into())
}

pub fn every_limit() {
    let host = Host::find().unwrap();
    assert_eq!(numbers("/dev/vda").unwrap(), (254, 0), "the expectations name it");
    let (resources, expected) = all_limits();
    let group = limited(&host, "limits", &resources);
    for (file, line) in expected {
        assert_eq!(text(&group, file), line, "{file}");
    }
    group.remove(0).unwrap();
}

pub fn update() {
    let host = Host::find().unwrap();
    let (before, _) = all_limits();
    let group = limited(&host, "update", &before);
    let child = born_in(&group, || {
        std::thread::sleep(std::time::Duration::from_secs(60));
        0
    });
    let change = Resources {
        memory: 80 << 20,
        memory_swap: -1,
        pids_limit: Some(-1),
        nano_cpus: 500_000_000,
        blkio_weight: 500,
        blkio_device_read_bps: vec![ThrottleDevice { path: "/dev/vda".into(), rate: 5 << 20 }],
        ..Resources::default()
    };
    let mut after = before.updated(&change).unwrap();
    // A request can't take a rate away, but a restored older record can.
    after.blkio_device_write_iops.clear();
    group.apply(&limits::difference(&plan(&before), &plan(&after))).unwrap();
    for (file, line) in [
        ("memory.max", "83886080"),
        ("memory.swap.max", "max"),
        ("memory.low", "33554432"),
        ("pids.max", "max"),
        ("cpu.max", "50000 100000"),
        ("cpu.weight", "59"),
        ("io.weight", "default 4950"),
        ("io.max", "254:0 rbps=5242880 wbps=2097152 riops=100 wiops=max"),
    ] {
        assert_eq!(text(&group, file), line, "{file}");
    }
    group.kill().unwrap();
    skiff_core::fork::wait(&child).unwrap();
    group.remove(1000).unwrap();
}

pub fn busy_parent() {
    let host = Host::find().unwrap();
    let none = Controllers::empty();
    let parent = Group::create(&host, "/", "busy", none, none);
    assert!(parent.is_err(), "the root itself is no parent");
    let parent = Group::create(&host, "outer", "busy", none, none).unwrap();
    let child = born_in(&parent, || {
        std::thread::sleep(std::time::Duration::from_secs(60));
        0
    });
    let refusal =
        Group::create(&host, "outer/busy", "inner", Controllers::MEMORY, none).unwrap_err().to_string();
    assert!(
        refusal.starts_with("enable the memory controller in control group /outer/busy: EBUSY"),
        "{refusal}"
    );
    assert!(refusal.contains("hint: "), "{refusal}");
    let without = Group::create(&host, "outer/busy", "inner", none, Controllers::ACCOUNTING).unwrap();
    // Processes are the one thing of these that can be counted beside processes.
    assert_eq!(without.controllers().unwrap(), Controllers::PIDS);
    parent.kill().unwrap();
    skiff_core::fork::wait(&child).unwrap();
    parent.remove(1000).unwrap();
}

pub fn weight_of_a_device() {
    let host = Host::find().unwrap();
    let weight = vec![WeightDevice { path: "/dev/vda".into(), weight: 20 }];
    let plan = plan(&Resources { blkio_weight: 300, blkio_weight_device: weight, ..Resources::default() });
    let group = Group::create(&host, "", "weight", Controllers::IO, Controllers::empty()).unwrap();
    // The disk has no scheduler that knows weights...
    let refusal = group.apply(&plan).unwrap_err().to_string();
    assert_eq!(refusal, "blkio weight: the device can't do it: it uses neither the BFQ scheduler nor iocost");
    // ...until it gets one, which brings a file of its own for them.
    crate::init::load_module("bfq").unwrap();
    fs::write("/sys/block/vda/queue/scheduler", "bfq").unwrap();
    let group = Group::create(&host, "", "weight", Controllers::IO, Controllers::empty()).unwrap();
    group.apply(&plan).unwrap();
    assert_eq!(text(&group, "io.bfq.weight"), "default 300\n254:0 20");
    group.remove(0).unwrap();
    fs::write("/sys/block/vda/queue/scheduler", "none").unwrap();
}

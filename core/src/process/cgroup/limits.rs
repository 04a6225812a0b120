//! [`Resources`] in, an ordered list of lines for control files out. The parent of a container runs this before clone3,
//! and whoever serves an update.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{Controllers, Resources, weight};
use crate::Result;

/// A control file gets a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The limit, for messages: `memory limit`.
    pub limit: &'static str,
    /// What has to be enabled for the file to exist.
    pub controller: Controllers,
    /// The file's name.
    pub file: Cow<'static, str>,
    /// The line.
    pub value: String,
    /// What a missing file means.
    pub missing: Missing,
}

/// What it means that a control file is not there although its controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The kernel can't do it: refuse.
    Refuse,
    /// It was not asked for by itself, or nothing is changed by it.
    Skip,
    /// Another file takes it in another form.
    Other(&'static str, String),
}

/// The numbers of a block device: from its path on the host to major and minor.
pub type DeviceNumbers<'a> = &'a mut dyn FnMut(&str) -> Result<(u32, u32)>;

/// The lines that make the kernel enforce `resources`. An unlimited one has none.
///
/// # Errors
/// What `numbers` says about a device.
pub fn plan(resources: &Resources, numbers: DeviceNumbers<'_>) -> Result<Vec<Write>> {
    let mut all = Vec::new();
    let mut add = |limit, controller, file: &'static str, value, missing| {
        all.push(Write { limit, controller, file: file.into(), value, missing });
    };
    let r = resources;

    // A reservation above the limit would be refused by nobody, but the limit comes first for a reader's sake.
    if r.memory > 0 {
        add("memory limit", Controllers::MEMORY, "memory.max", r.memory.to_string(), Missing::Refuse);
        let implied = r.memory_swap == 0 || r.memory_swap == r.memory.saturating_mul(2);
        let swap = match r.memory_swap {
            -1 => "max".to_string(),
            0 => r.memory.to_string(),
            total => (total - r.memory).to_string(),
        };
        // A kernel without swap has no such file: nothing can be swapped out there.
        let missing = if implied || r.memory_swap == -1 { Missing::Skip } else { Missing::Refuse };
        add("memory-swap limit", Controllers::MEMORY, "memory.swap.max", swap, missing);
    }
    if r.memory_reservation > 0 {
        let value = r.memory_reservation.to_string();
        add("memory reservation", Controllers::MEMORY, "memory.low", value, Missing::Refuse);
    }

    if r.cpu_shares > 0 {
        let value = weight::cpu(r.cpu_shares as u64).to_string();
        add("cpu shares", Controllers::CPU, "cpu.weight", value, Missing::Refuse);
    }
    let period = if r.cpu_period > 0 { r.cpu_period } else { 100_000 };
    let quota = if r.nano_cpus > 0 { r.nano_cpus / 10_000 } else { r.cpu_quota };
    if quota > 0 {
        add("cpu limit", Controllers::CPU, "cpu.max", format!("{quota} {period}"), Missing::Refuse);
    } else if r.cpu_period > 0 {
        add("cpu period", Controllers::CPU, "cpu.max", format!("max {period}"), Missing::Refuse);
    }

    for (list, file) in [(&r.cpuset_cpus, "cpuset.cpus"), (&r.cpuset_mems, "cpuset.mems")] {
        if !list.is_empty() {
            add("cpuset", Controllers::CPUSET, file, list.clone(), Missing::Refuse);
        }
    }

    if let Some(limit) = r.pids_limit.filter(|&limit| limit > 0) {
        add("pids limit", Controllers::PIDS, "pids.max", limit.to_string(), Missing::Refuse);
    }

    // The BFQ scheduler has a file of its own, with Docker's range.
    if r.blkio_weight > 0 {
        let other = Missing::Other("io.weight", format!("default {}", weight::io(r.blkio_weight)));
        add("blkio weight", Controllers::IO, "io.bfq.weight", r.blkio_weight.to_string(), other);
    }
    for device in r.blkio_weight_device.iter().filter(|device| device.weight > 0) {
        let (major, minor) = numbers(&device.path)?;
        let other = Missing::Other("io.weight", format!("{major}:{minor} {}", weight::io(device.weight)));
        let value = format!("{major}:{minor} {}", device.weight);
        add("blkio weight", Controllers::IO, "io.bfq.weight", value, other);
    }
    for (devices, key) in [
        (&r.blkio_device_read_bps, "rbps"),
        (&r.blkio_device_write_bps, "wbps"),
        (&r.blkio_device_read_iops, "riops"),
        (&r.blkio_device_write_iops, "wiops"),
    ] {
        for device in devices {
            let (major, minor) = numbers(&device.path)?;
            let rate = if device.rate == 0 { "max".to_string() } else { device.rate.to_string() };
            let value = format!("{major}:{minor} {key}={rate}");
            add("device rate limit", Controllers::IO, "io.max", value, Missing::Refuse);
        }
    }

    for (file, value) in &r.cgroup_conf {
        let (controller, _) = file.split_once('.').unwrap_or((file, ""));
        let controller = Controllers::named(controller).unwrap_or(Controllers::empty());
        let (file, value) = (Cow::Owned(file.clone()), value.clone());
        all.push(Write { limit: "cgroup-conf", controller, file, value, missing: Missing::Refuse });
    }
    Ok(all)
}

/// The lines that lead from one plan to another: what is new or different, and for what has gone the kernel's default.
pub fn difference(before: &[Write], after: &[Write]) -> Vec<Write> {
    let same_subject = |a: &Write, b: &Write| a.file == b.file && subject(&a.value) == subject(&b.value);
    let gone = before.iter().filter(|old| !after.iter().any(|new| same_subject(old, new)));
    let resets = gone.filter_map(|old| {
        let value = match (&*old.file, subject(&old.value)) {
            ("memory.max" | "memory.swap.max" | "pids.max" | "cpu.max", _) => "max".to_string(),
            ("memory.low", _) => "0".to_string(),
            ("cpu.weight" | "io.bfq.weight", "") => "100".to_string(),
            ("io.bfq.weight", device) => format!("{device} default"),
            ("io.max", device_and_key) => format!("{device_and_key}=max"),
            ("cpuset.cpus" | "cpuset.mems", _) => "\n".to_string(),
            _ => return None,
        };
        Some(Write { value, missing: Missing::Skip, ..old.clone() })
    });
    resets.chain(after.iter().filter(|new| !before.contains(new)).cloned()).collect()
}

/// What a line is about, in files that hold a line for each device: everything before the number.
fn subject(line: &str) -> &str {
    match (line.split_once('='), line.split_once(' ')) {
        (Some((device_and_key, _)), _) => device_and_key,
        (None, Some((device, _))) if device.contains(':') => device,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::resources::{ThrottleDevice, WeightDevice},
        *,
    };

    fn lines(resources: &Resources) -> Vec<(String, String)> {
        let numbers = &mut |path: &str| Ok((if path == "/dev/vda" { 254 } else { 8 }, 0));
        let plan = plan(resources, numbers).unwrap();
        plan.into_iter().map(|write| (write.file.into_owned(), write.value)).collect()
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.map(|(file, value)| (file.to_string(), value.to_string())).to_vec()
    }

    #[test]
    fn nothing_limited_is_nothing_written() {
        let unlimited = Resources { pids_limit: Some(0), cpu_quota: -1, ..Default::default() };
        assert_eq!(lines(&unlimited), []);
    }

    #[test]
    fn memory_swap_is_the_sum_of_memory_and_swap() {
        let with = |memory_swap| Resources { memory: 64 << 20, memory_swap, ..Default::default() };
        for (total, swap) in [(0, "67108864"), (-1, "max"), (64 << 20, "0"), (96 << 20, "33554432")] {
            let expected = pairs([("memory.max", "67108864"), ("memory.swap.max", swap)]);
            assert_eq!(lines(&with(total)), expected);
        }
    }

    #[test]
    fn cpus_are_a_quota_of_100_ms() {
        let cpus = Resources { nano_cpus: 1_500_000_000, cpu_shares: 1024, ..Default::default() };
        assert_eq!(lines(&cpus), pairs([("cpu.weight", "100"), ("cpu.max", "150000 100000")]));
        let quota = Resources { cpu_quota: 5000, cpu_period: 20_000, ..Default::default() };
        assert_eq!(lines(&quota), pairs([("cpu.max", "5000 20000")]));
        let period = Resources { cpu_period: 20_000, ..Default::default() };
        assert_eq!(lines(&period), pairs([("cpu.max", "max 20000")]));
    }

    #[test]
    fn block_limits_name_the_device_by_number() {
        let throttle = |path: &str, rate| [ThrottleDevice { path: path.into(), rate }].into();
        let resources = Resources {
            blkio_weight: 500,
            blkio_weight_device: [WeightDevice { path: "/dev/sda".into(), weight: 10 }].into(),
            blkio_device_read_bps: throttle("/dev/vda", 1 << 20),
            blkio_device_write_iops: throttle("/dev/sda", 30),
            ..Default::default()
        };
        let expected = pairs([
            ("io.bfq.weight", "500"),
            ("io.bfq.weight", "8:0 10"),
            ("io.max", "254:0 rbps=1048576"),
            ("io.max", "8:0 wiops=30"),
        ]);
        assert_eq!(lines(&resources), expected);
    }

    #[test]
    fn any_other_control_file_names_its_controller() {
        let mut resources = Resources::default();
        resources.cgroup_conf.insert("hugetlb.2MB.max".into(), "2097152".into());
        let plan = plan(&resources, &mut |_| unreachable!()).unwrap();
        assert_eq!(plan[0].controller, Controllers::HUGETLB);
        assert_eq!((&*plan[0].file, &*plan[0].value), ("hugetlb.2MB.max", "2097152"));
    }

    #[test]
    fn an_update_writes_what_changed_and_resets_what_went() {
        let of = |resources: &Resources| plan(resources, &mut |_| Ok((8, 0))).unwrap();
        let throttle = |rate| Vec::from([ThrottleDevice { path: "/dev/sda".into(), rate }]);
        let before = Resources {
            memory: 64 << 20,
            pids_limit: Some(10),
            blkio_device_read_bps: throttle(1000),
            blkio_device_write_bps: throttle(1000),
            ..Default::default()
        };
        let after = Resources {
            pids_limit: Some(-1),
            nano_cpus: 1_000_000_000,
            blkio_device_read_bps: throttle(2000),
            blkio_device_write_bps: Vec::new(),
            ..before.clone()
        };
        let changed: Vec<_> = difference(&of(&before), &of(&after))
            .into_iter()
            .map(|write| (write.file.into_owned(), write.value))
            .collect();
        let expected = pairs([
            ("pids.max", "max"),
            ("io.max", "8:0 wbps=max"),
            ("cpu.max", "100000 100000"),
            ("io.max", "8:0 rbps=2000"),
        ]);
        assert_eq!(changed, expected);
    }
}

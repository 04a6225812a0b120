//! `--device`, `--device-cgroup-rule` and the throttles of block devices -> the API's forms.

use alloc::{string::String, vec::Vec};

use skiff_core::{
    container::config::Device,
    process::cgroup::resources::{ThrottleDevice, WeightDevice},
};

use super::units;

/// `host[:inside][:rwm]`.
pub fn device(text: &str) -> Result<Device, String> {
    let is_access = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| "rwm".contains(c))
            && part.chars().all(|c| part.matches(c).count() == 1)
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if is_access(access) => (*host, *host, *access),
        [host, inside] => (*host, *inside, "rwm"),
        [_, _, access] if !is_access(access) => return Err(format!("bad mode specified: {access}")),
        [host, inside, access] => (*host, *inside, *access),
        _ => return Err(format!("bad format for path: {text}")),
    };
    for path in [host, inside] {
        if !path.starts_with('/') {
            return Err(format!("{path} is not an absolute path"));
        }
    }
    Ok(Device {
        path_on_host: host.into(),
        path_in_container: inside.into(),
        cgroup_permissions: access.into(),
    })
}

/// `[abc] (major|*):(minor|*) [rwm]{1,3}`, as it is.
pub fn rule(text: &str) -> Result<String, String> {
    let number = |part: &str| part == "*" || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = text.split(' ').collect();
    let good = match parts.as_slice() {
        [kind, numbers, access] => {
            matches!(*kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.bytes().all(|b| b"rwm".contains(&b))
        }
        _ => false,
    };
    if good { Ok(text.into()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

/// `device:bytes` of the throttles by bytes a second.
pub fn bytes_limit(text: &str) -> Result<ThrottleDevice, String> {
    limit(text, units::size, "<device-path>:<number>[k|m|g]")
}

/// `device:number` of the throttles by operations a second.
pub fn operations_limit(text: &str) -> Result<ThrottleDevice, String> {
    limit(text, units::integer, "<device-path>:<number>")
}

/// `device:weight`.
pub fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = of_device(text)?;
    match units::integer(weight) {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => {
            Ok(WeightDevice { path: path.into(), weight })
        }
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

fn limit(text: &str, read: fn(&str) -> Result<i64, String>, form: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = of_device(text)?;
    match read(rate).ok().and_then(|rate| u64::try_from(rate).ok()) {
        Some(rate) => Ok(ThrottleDevice { path: path.into(), rate }),
        None => Err(format!("invalid rate for device: {text}, the form is {form}")),
    }
}

fn of_device(text: &str) -> Result<(&str, &str), String> {
    let Some((path, value)) = text.split_once(':') else { return Err(format!("bad format: {text}")) };
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_one_to_three_parts() {
        let rows = [
            ("/dev/null", Ok("/dev/null /dev/null rwm")),
            ("/dev/null:/dev/x", Ok("/dev/null /dev/x rwm")),
            ("/dev/null:/dev/x:r", Ok("/dev/null /dev/x r")),
            ("/dev/null:rw", Ok("/dev/null /dev/null rw")),
            ("/dev/null:/dev/x:q", Err("bad mode specified: q")),
            ("/dev/null:/dev/x:rr", Err("bad mode specified: rr")),
            ("null", Err("null is not an absolute path")),
            ("/dev/null:x", Err("x is not an absolute path")),
            ("vendor.com/class=name", Err("vendor.com/class=name is not an absolute path")),
            ("/dev/null:/a:r:w", Err("bad format for path: /dev/null:/a:r:w")),
        ];
        for (text, expected) in rows {
            let got = device(text)
                .map(|d| format!("{} {} {}", d.path_on_host, d.path_in_container, d.cgroup_permissions));
            assert_eq!(got, expected.map(String::from).map_err(String::from), "{text}");
        }
    }

    #[test]
    fn a_rule_is_kind_numbers_access() {
        for good in ["c 1:3 rwm", "c 1:* r", "a *:* rwm", "b 8:0 m"] {
            assert_eq!(rule(good), Ok(good.into()));
        }
        for bad in ["x 1:* r", "c 1:3", "c 1 r", "c 1:3 q", "c 1:3 rwmr", "c :3 r", "c 1:3  r", ""] {
            assert_eq!(rule(bad), Err(format!("invalid device cgroup format '{bad}'")));
        }
    }

    #[test]
    fn a_throttle_is_device_and_rate() {
        let throttle = |rate| ThrottleDevice { path: "/dev/sda".into(), rate };
        assert_eq!(bytes_limit("/dev/sda:1mb"), Ok(throttle(1 << 20)));
        assert_eq!(operations_limit("/dev/sda:100"), Ok(throttle(100)));
        for bad in ["/dev/sda:-1", "/dev/sda:1m", "/dev/sda:x"] {
            assert!(operations_limit(bad).unwrap_err().starts_with("invalid rate for device"));
        }
        assert_eq!(bytes_limit("dev:1"), Err("bad format for device path: dev:1".into()));
        assert_eq!(bytes_limit("/dev/sda"), Err("bad format: /dev/sda".into()));
        assert_eq!(weight("/dev/sda:100").map(|device| device.weight), Ok(100));
        assert_eq!(weight("/dev/sda:5"), Err("invalid weight for device: /dev/sda:5".into()));
    }
}

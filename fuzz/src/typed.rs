//! What must hold for whatever people type: templates of `--format`, and the values of flags.

use serde_json::json;
use skiff::{create, template};
use skiff_core::{
    api::filters::Filters,
    clock::Time,
    container::{config::Mount, keys::DetachKeys, names, record::MountPoint},
    engine::create::mounts::{bind_point, mount_point},
};

/// A template gives the same text each time, or an error; text without actions stands for itself.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Ranges in ranges over numbers take as long as their author wants them to.
    let digits = text.as_bytes().windows(3).any(|three| three.iter().all(u8::is_ascii_hexdigit));
    if text.len() > 4096 || text.matches("range").count() > 2 && digits {
        return;
    }
    let Ok(parsed) = template::Template::parse(text) else { return };
    let data = json!({
        "Name": "/web", "Created": 5, "Ratio": 1.5, "Nil": null,
        "State": {"Running": true, "Pid": 1234, "Status": "running"},
        "Env": ["A=1", "B=é"], "Labels": {"x": "y"},
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
        "Networks": {"none": {"IPAddress": "10.0.0.2"}, "a": {"IPAddress": ""}},
    });
    for missing in [template::Missing::Key, template::Missing::Field("container")] {
        let result = parsed.run(&data, missing);
        assert_eq!(result, parsed.run(&data, missing));
        if !text.contains("{{") {
            assert_eq!(result.as_deref(), Ok(text));
        }
    }
    let _ = parsed.headers(&data);
}

/// What can be mounted is at a place of its own inside, and comes from where a path or a volume's name leads.
fn check_mount(point: &MountPoint) {
    assert!(point.destination.starts_with('/'), "{point:?}");
    assert!(!point.destination.split('/').any(|part| part == ".."), "{point:?}");
    assert!(point.destination.split('/').any(|part| !matches!(part, "" | ".")), "{point:?}");
    assert!(!point.name.contains('/') && !matches!(point.name.as_str(), "." | ".."), "{point:?}");
    assert!(!point.subpath.split('/').any(|part| part == ".."), "{point:?}");
}

/// A flag's value is refused, or means something that fits; the first letter says of which flag.
pub fn flags(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(letter) = text.chars().next() else { return };
    let value = &text[letter.len_utf8()..];
    match letter {
        'v' => {
            if let Ok(point) = bind_point(value) {
                check_mount(&point);
            }
            let mut volumes = create::mounts::Volumes::default();
            if volumes.add(value).is_ok() {
                assert_eq!(volumes.binds.len() + volumes.anonymous.len(), 1);
            }
        }
        'm' => {
            let Ok(mount) = create::mounts::mount(value) else { return };
            assert!(!mount.target.is_empty());
            let json = serde_json::to_string(&mount).unwrap();
            assert_eq!(serde_json::from_str::<Mount>(&json).unwrap(), mount);
            if let Ok(point) = mount_point(&mount) {
                check_mount(&point);
            }
        }
        't' => {
            let (path, options) = create::mounts::tmpfs(value);
            assert!(path.len() + options.len() <= value.len());
        }
        's' => {
            assert!(!create::units::size(value).is_ok_and(|bytes| bytes < 0));
            assert!(!create::units::size_or_unlimited(value).is_ok_and(|bytes| bytes < -1));
        }
        'c' => assert!(!create::units::processors(value).is_ok_and(|nanos| nanos < 0)),
        'd' => {
            let Ok(device) = create::devices::device(value) else { return };
            assert!(device.cgroup_permissions.bytes().all(|byte| b"rwm".contains(&byte)));
        }
        'r' => drop(create::devices::rule(value)),
        'b' => {
            drop(create::devices::bytes_limit(value));
            drop(create::devices::operations_limit(value));
            drop(create::devices::weight(value));
        }
        'k' => {
            let Ok(keys) = DetachKeys::parse(value) else { return };
            let (mut keys, mut input) = (DetachKeys::from_bytes(keys.as_bytes().into()), Vec::new());
            assert!(!keys.pass(b"no", &mut input) || value.contains(['n', 'o']));
        }
        'w' => {
            let now = Time::from_unix(1_136_073_845, 0);
            let _ = Time::parse_when(value, now);
            let _ = Time::parse_unix(value);
            if let Ok(time) = Time::parse(value) {
                assert_eq!(Time::parse(&time.to_string()), Ok(time));
            }
        }
        'f' => drop(Filters::parse(Some(value), &["label", "status"])),
        'n' => {
            if let Ok(name) = names::parse(value) {
                assert!(!name.contains('/') && !name.starts_with('.') && name.len() <= 255);
            }
        }
        _ => {}
    }
}

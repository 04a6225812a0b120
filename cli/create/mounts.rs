//! `-v`, `--mount` and `--tmpfs` -> the API's binds, mounts and volumes. Paths that start with a dot are relative to
//! the client's working directory; everything else about a path is for the engine to judge.

use alloc::{string::String, vec::Vec};

use rustix::io::Errno;
use skiff_core::container::config::{
    BindOptions, DriverConfig, Empty, Map, Mount, TmpfsOptions, VolumeOptions,
};

use super::units;
use crate::{failure::errno_words, files, verbs::cp::paths::clean};

/// What `-v` gave.
#[derive(Debug, Default, PartialEq)]
pub struct Volumes {
    /// `source:destination[:options]`.
    pub binds: Vec<String>,
    /// Destinations of anonymous volumes.
    pub anonymous: Map<Empty>,
}

impl Volumes {
    /// Takes in one `-v`.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("invalid empty volume spec".into());
        }
        let parts: Vec<&str> = text.split(':').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("invalid spec: {text}: empty section between colons"));
        }
        match parts.as_slice() {
            [destination] => {
                self.anonymous.insert((*destination).into(), Empty {});
            }
            [source, rest @ ..] if rest.len() <= 2 => {
                self.binds.push(format!("{}:{}", absolute(source)?, rest.join(":")));
            }
            _ => return Err(format!("invalid spec: {text}: too many colons")),
        }
        Ok(())
    }
}

/// The path itself, or from the root if it starts with a dot.
fn absolute(path: &str) -> Result<String, String> {
    if !path.starts_with('.') {
        return Ok(path.into());
    }
    match files::working_directory() {
        Ok(current) => Ok(from(&current, path)),
        Err(Errno::ILSEQ) => Err(format!("{path}: the working directory is not UTF-8")),
        Err(errno) => Err(format!("{path}: {}", errno_words(errno))),
    }
}

fn from(current: &str, path: &str) -> String {
    clean(&[current, "/", path].concat())
}

/// `path[:options]` of one `--tmpfs`.
pub fn tmpfs(text: &str) -> (String, String) {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    (path.into(), options.into())
}

/// One `--mount`.
pub fn mount(text: &str) -> Result<Mount, String> {
    let mut mount = Mount { kind: "volume".into(), ..Mount::default() };
    let (mut bind, mut volume, mut tmpfs) =
        (None::<BindOptions>, None::<VolumeOptions>, None::<TmpfsOptions>);
    let mut read_only_mode = "";
    let fields = fields(text)?;
    for field in &fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        let lower = key.to_ascii_lowercase();
        let switches = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive"];
        let value = match value {
            Some(value) => value,
            None if switches.contains(&lower.as_str()) => "true",
            None => return Err(format!("invalid field '{field}' must be a key=value pair")),
        };
        let invalid = || format!("invalid value for {key}: {value}");
        let truth = || match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(invalid()),
        };
        match lower.as_str() {
            "type" => mount.kind = value.to_ascii_lowercase(),
            "source" | "src" => mount.source = absolute(value)?,
            "target" | "dst" | "destination" => mount.target = value.into(),
            "readonly" | "ro" => mount.read_only = truth()?,
            "consistency" => {} // a hint for virtual machines, which has no meaning on Linux
            "bind-propagation" => {
                bind.get_or_insert_default().propagation = value.to_ascii_lowercase();
            }
            "bind-nonrecursive" => bind.get_or_insert_default().non_recursive = truth()?,
            "bind-recursive" => {
                let options = bind.get_or_insert_default();
                match value {
                    "enabled" => {}
                    "disabled" => options.non_recursive = true,
                    "writable" => options.read_only_non_recursive = true,
                    "readonly" => options.read_only_force_recursive = true,
                    _ => {
                        return Err(format!(
                            "{}: it is \"enabled\", \"disabled\", \"writable\" or \"readonly\"",
                            invalid()
                        ));
                    }
                }
                read_only_mode = value;
            }
            "volume-nocopy" => volume.get_or_insert_default().no_copy = truth()?,
            "volume-subpath" => volume.get_or_insert_default().subpath = value.into(),
            "volume-label" => insert(&mut volume.get_or_insert_default().labels, value),
            "volume-driver" => driver(&mut volume).name = value.into(),
            "volume-opt" => insert(&mut driver(&mut volume).options, value),
            "tmpfs-size" => {
                tmpfs.get_or_insert_default().size_bytes = units::size(value).map_err(|_| invalid())?;
            }
            "tmpfs-mode" => {
                tmpfs.get_or_insert_default().mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if mount.target.is_empty() {
        return Err("target is required".into());
    }
    for (given, kind) in [(bind.is_some(), "bind"), (volume.is_some(), "volume"), (tmpfs.is_some(), "tmpfs")]
    {
        if given && mount.kind != kind {
            return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", mount.kind));
        }
    }
    if matches!(read_only_mode, "writable" | "readonly") && !mount.read_only {
        return Err(format!("option 'bind-recursive={read_only_mode}' requires 'readonly'"));
    }
    if read_only_mode == "readonly" && bind.as_ref().is_some_and(|bind| bind.propagation != "rprivate") {
        return Err("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate'".into());
    }
    (mount.bind_options, mount.volume_options, mount.tmpfs_options) = (bind, volume, tmpfs);
    Ok(mount)
}

fn driver(volume: &mut Option<VolumeOptions>) -> &mut DriverConfig {
    volume.get_or_insert_default().driver_config.get_or_insert_default()
}

/// Puts `key[=value]` in.
pub fn insert(map: &mut Map<String>, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    map.insert(key.into(), value.into());
}

/// One line of comma-separated values; a field in double quotes may hold commas, and `""` for a quote.
fn fields(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Err("it is empty".into());
    }
    let mut all = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = all.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            '"' => return Err(format!("a quote in the middle of a field: {line}")),
            ',' if !quoted => all.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(format!("a quote is not closed: {line}"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(text: &str) -> Result<Volumes, String> {
        let mut volumes = Volumes::default();
        volumes.add(text).map(|()| volumes)
    }

    #[test]
    fn a_volume_has_one_to_three_parts() {
        for same in ["vol:/d", "/h:/d:ro,z", "x/y:/d", "~/x:/d", "vol:/d:nocopy", "/a:/b:rshared,ro"] {
            assert_eq!(volumes(same).unwrap().binds, [same]);
        }
        assert!(volumes("/d").unwrap().anonymous.contains_key("/d"));
        let rows = [
            ("/a:/b:ro:c", "invalid spec: /a:/b:ro:c: too many colons"),
            (":/d", "invalid spec: :/d: empty section between colons"),
            ("vol:", "invalid spec: vol:: empty section between colons"),
            ("", "invalid empty volume spec"),
        ];
        for (text, expected) in rows {
            assert_eq!(volumes(text), Err(expected.into()));
        }
    }

    #[test]
    fn a_path_with_a_dot_in_front_is_relative_to_the_working_directory() {
        for (path, expected) in [
            ("./x", "/w/d/x"),
            ("../x", "/w/x"),
            (".", "/w/d"),
            ("..", "/w"),
            ("../../..", "/"),
            (".x", "/w/d/.x"),
        ] {
            assert_eq!(from("/w/d", path), expected);
        }
        let current = std::env::current_dir().unwrap();
        assert_eq!(volumes("./x:/d:ro").unwrap().binds, [format!("{}/x:/d:ro", current.display())]);
        assert_eq!(mount("type=bind,src=.,dst=/b").unwrap().source, current.to_str().unwrap());
    }

    #[test]
    fn a_mount_is_read_like_a_line_of_csv() {
        let json = |text: &str| serde_json::to_string(&mount(text).unwrap()).unwrap();
        assert_eq!(
            json("type=bind,\"src=/a,x\",destination=/b,readonly"),
            r#"{"Type":"bind","Source":"/a,x","Target":"/b","ReadOnly":true}"#
        );
        assert_eq!(mount("type=bind,source=a,target=/b,ro=0").unwrap().source, "a");
        let volume = mount(
            "src=v,dst=/b,volume-nocopy,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,volume-subpath=s",
        )
        .unwrap();
        let options = volume.volume_options.unwrap();
        assert!(options.no_copy);
        assert_eq!(
            (volume.kind.as_str(), options.labels["a"].as_str(), options.subpath.as_str()),
            ("volume", "b", "s")
        );
        let driver = options.driver_config.unwrap();
        assert_eq!((driver.name.as_str(), driver.options["type"].as_str()), ("local", "tmpfs"));
        let tmpfs = mount("type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=700").unwrap().tmpfs_options.unwrap();
        assert_eq!((tmpfs.size_bytes, tmpfs.mode), (1 << 20, 0o700));
        let bind =
            mount("type=bind,src=/a,dst=/b,ro,bind-recursive=writable,bind-propagation=rshared").unwrap();
        let bind = bind.bind_options.unwrap();
        assert!(bind.read_only_non_recursive && bind.propagation == "rshared");
    }

    #[test]
    fn a_wrong_mount_says_what_is_wrong() {
        let rows = [
            ("type=bind,src=/a", "target is required"),
            ("type=bind,src=/a,dst=/b,bogus=1", "unexpected key 'bogus' in 'bogus=1'"),
            ("type=bind,src=/a,dst=/b,bogus", "invalid field 'bogus' must be a key=value pair"),
            ("type=bind,dst=/b,readonly=maybe", "invalid value for readonly: maybe"),
            ("type=tmpfs,dst=/b,tmpfs-mode=999", "invalid value for tmpfs-mode: 999"),
            ("type=tmpfs,dst=/b,tmpfs-size=abc", "invalid value for tmpfs-size: abc"),
            ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
            ("src=a,dst=/b,bind-propagation=rshared", "cannot mix 'bind-*' options with mount type 'volume'"),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=writable",
                "option 'bind-recursive=writable' requires 'readonly'",
            ),
            (
                "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate'",
            ),
            ("", "it is empty"),
            ("\"type=bind", "a quote is not closed: \"type=bind"),
            ("ty\"pe", "a quote in the middle of a field: ty\"pe"),
        ];
        for (text, expected) in rows {
            assert_eq!(mount(text), Err(expected.into()), "{text}");
        }
    }
}

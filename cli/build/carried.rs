//! `--cache-to type=local,dest=DIR[,mode=min|max]` and `--cache-from type=local,src=DIR`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use skiff_core::{build::CacheTo, dockerfile::mount};

use super::source::{absolute, directory};
use crate::failure::Failure;

/// Reads `--cache-to`.
pub fn to(text: &str) -> Result<CacheTo, Failure> {
    let refused = |why: &str| Failure::new(format!("--cache-to {text}: {why}"));
    let mut to = CacheTo::default();
    for (key, value) in fields(text).map_err(|why| refused(&why))? {
        match (key.as_str(), value.as_str()) {
            ("dest", path) => to.directory = absolute(path)?,
            ("mode", "min") => to.all_stages = false,
            ("mode", "max") => to.all_stages = true,
            ("mode", _) => return Err(refused("mode is min or max")),
            (key, _) => return Err(refused(&format!("there is no field {key}: it is type=local,dest=DIR"))),
        }
    }
    if to.directory.is_empty() {
        return Err(refused("it has no directory: type=local,dest=DIR"));
    }
    Ok(to)
}

/// Reads `--cache-from`: the absolute path of the directory.
pub fn from(text: &str) -> Result<String, Failure> {
    let refused = |why: &str| Failure::new(format!("--cache-from {text}: {why}"));
    let mut from = String::new();
    for (key, value) in fields(text).map_err(|why| refused(&why))? {
        match key.as_str() {
            "src" => from = directory(&value)?,
            key => return Err(refused(&format!("there is no field {key}: it is type=local,src=DIR"))),
        }
    }
    if from.is_empty() {
        return Err(refused("it has no directory: type=local,src=DIR"));
    }
    Ok(from)
}

/// The fields but the type, which is `local`.
fn fields(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut is_local = false;
    let mut all = Vec::new();
    for field in mount::fields(text)? {
        match field.split_once('=') {
            Some(("type", "local")) => is_local = true,
            Some((key, value)) if key != "type" => all.push((key.to_string(), value.to_string())),
            _ => return Err("only type=local is there, a directory; registries are not supported yet".into()),
        }
    }
    if is_local { Ok(all) } else { Err("it has no type=local".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_taken_and_registries_refused() {
        let to = |text: &str| to(text).map_err(|failure| failure.to_string());
        let all_stages = true;
        assert_eq!(to("type=local,dest=/a/b,mode=max"), Ok(CacheTo { directory: "/a/b".into(), all_stages }));
        assert!(!to("dest=/a,type=local,mode=min").unwrap().all_stages);
        for (text, words) in [
            ("box", "registries"),
            ("type=registry,ref=x", "registries"),
            ("dest=/a", "no type=local"),
            ("type=local", "no directory"),
            ("type=local,dest=/a,mode=all", "min or max"),
            ("type=local,src=/a", "no field src"),
        ] {
            let error = to(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(from("type=local,src=/").unwrap(), "/");
        assert!(from("type=local,src=/nowhere/at/all").is_err());
    }
}

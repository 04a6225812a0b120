//! The query of `POST /build` -> what the build is asked for. Pure. What asks for something that is not there is refused;
//! what clients always send and what asks for nothing is not.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::de::DeserializeOwned;

use super::super::target::Query;
use crate::{Error, Result, build::Options, clock::Time, process::cgroup::Resources};

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Only what has come to these images may come from the cache, if there are some.
    pub cache_from: Vec<String>,
    /// Nothing is told but the image's id.
    pub is_quiet: bool,
    /// The rest.
    pub options: Options,
}

const NO_REGISTRY: &str = "registries are not supported yet; images have to be here";

/// Parameters that are refused, the values that ask for nothing, and the reason.
const REFUSED: &[(&str, &[&str], &str)] = &[
    ("isolation", &["default"], "only for containers on Windows"),
    ("outputs", &["[]", "null"], "the result is an image; skiff save writes it to a file"),
    ("pull", &["0", "false", "no", "none"], NO_REGISTRY),
    ("remote", &[], "the context has to be the request's own body"),
    ("securityopt", &["[]", "null"], "steps run with the usual restrictions"),
    ("version", &["1"], "BuildKit's protocol is not spoken; set DOCKER_BUILDKIT=0"),
];

impl Asked {
    /// Reads a query.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what can't be read, [`Error::Unsupported`] for what is not there.
    pub fn read(query: &Query) -> Result<Self> {
        for (key, nothing, reason) in REFUSED {
            if let Some(value) = query.text(key)?
                && !nothing.iter().any(|nothing| nothing.eq_ignore_ascii_case(value.trim()))
            {
                return Err(Error::Unsupported(format!("build with {key}={value}: {reason}")));
            }
        }
        let text = |key| query.text(key).map(|value| value.unwrap_or("").to_string());
        let args: BTreeMap<String, Option<String>> = json(query, "buildargs")?;
        let labels: BTreeMap<String, String> = json(query, "labels")?;
        let options = Options {
            target: text("target")?,
            tags: list(query, "t")?,
            args: args.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            labels: labels.into_iter().collect(),
            platform: text("platform")?,
            no_cache: query.flag("nocache"),
            squash: query.flag("squash"),
            network: text("networkmode")?,
            extra_hosts: list(query, "extrahosts")?,
            shm_size: match query.integer("shmsize")?.unwrap_or(0) {
                size @ 0.. => size as u64,
                size => return Err(Error::Invalid(format!("invalid shmsize {size}: it is negative"))),
            },
            resources: resources(query)?,
            ulimits: json(query, "ulimits")?,
            cgroup_parent: text("cgroupparent")?,
            // Not of Docker's.
            epoch: query.text("epoch")?.map(Time::parse_unix).transpose()?.map(Time::unix),
            ..Options::default()
        };
        let dockerfile = query.text("dockerfile")?.unwrap_or("Dockerfile").to_string();
        let cache_from = json(query, "cachefrom")?;
        Ok(Asked { dockerfile, cache_from, is_quiet: query.flag("q"), options })
    }
}

/// What a step may use.
fn resources(query: &Query) -> Result<Resources> {
    let integer = |key| query.integer(key).map(Option::unwrap_or_default);
    let text = |key| query.text(key).map(|value| value.unwrap_or("").to_string());
    Ok(Resources {
        cpu_shares: integer("cpushares")?,
        cpu_period: integer("cpuperiod")?,
        cpu_quota: integer("cpuquota")?,
        cpuset_cpus: text("cpusetcpus")?,
        cpuset_mems: text("cpusetmems")?,
        memory: integer("memory")?,
        memory_swap: integer("memswap")?,
        ..Resources::default()
    })
}

/// All values of a key that are not empty.
fn list(query: &Query, key: &str) -> Result<Vec<String>> {
    let text = |value: &[u8]| match core::str::from_utf8(value) {
        Ok(value) => Ok(value.to_string()),
        Err(_) => Err(Error::Invalid(format!("parse query: {key} is not valid UTF-8"))),
    };
    query.all(key).filter(|value| !value.is_empty()).map(text).collect()
}

/// A value in JSON, or `null`, or nothing.
fn json<T: DeserializeOwned + Default>(query: &Query, key: &str) -> Result<T> {
    let Some(text) = query.text(key)? else { return Ok(T::default()) };
    let read: Result<Option<T>, _> = crate::json::from_slice(text.as_bytes());
    Ok(read.map_err(|reason| Error::Invalid(format!("error reading {key}: {reason}")))?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::config::Ulimit;

    fn read(query: &str) -> Result<Asked> {
        Asked::read(&Query::parse(query).unwrap())
    }

    #[test]
    fn a_query_is_read_as_clients_write_it() {
        let asked = read(
            "buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D&cachefrom=%5B%5D&cgroupparent=&cpuperiod=0&cpuquota=0\
             &cpusetcpus=&cpushares=0&dockerfile=sub%2FD&labels=%7B%22l%22%3A%22v%22%7D&memory=0&memswap=0\
             &networkmode=default&rm=1&forcerm=1&shmsize=65536&t=a&t=b%3A1&target=x&ulimits=null&version=1&nocache=1\
             &extrahosts=h%3A1.2.3.4&pull=False&q=1&squash=1&epoch=12",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((asked.dockerfile.as_str(), asked.is_quiet), ("sub/D", true));
        let expected = Options {
            target: "x".into(),
            tags: ["a".into(), "b:1".into()].into(),
            args: [("A".into(), "1".into())].into(),
            labels: [("l".into(), "v".into())].into(),
            no_cache: true,
            squash: true,
            network: "default".into(),
            extra_hosts: ["h:1.2.3.4".into()].into(),
            shm_size: 65536,
            epoch: Some(12),
            ..Options::default()
        };
        assert_eq!(asked.options, expected);
        let plain = read("").unwrap();
        assert_eq!(
            (plain.dockerfile.as_str(), plain.is_quiet, plain.options),
            ("Dockerfile", false, Options::default())
        );
        assert_eq!(read("buildargs=null&labels=").unwrap().options, Options::default());
    }

    #[test]
    fn limits_are_numbers_and_lists() {
        let asked = read(
            "memory=67108864&memswap=-1&cpushares=512&cpuperiod=50000&cpuquota=25000&cpusetcpus=0-1&cpusetmems=0\
             &cgroupparent=%2Fbuilds&ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Hard%22%3A9%2C%22Soft%22%3A8%7D%5D",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let expected = Options {
            resources: Resources {
                memory: 64 << 20,
                memory_swap: -1,
                cpu_shares: 512,
                cpu_period: 50_000,
                cpu_quota: 25_000,
                cpuset_cpus: "0-1".into(),
                cpuset_mems: "0".into(),
                ..Resources::default()
            },
            ulimits: [Ulimit { name: "nofile".into(), soft: 8, hard: 9 }].into(),
            cgroup_parent: "/builds".into(),
            ..Options::default()
        };
        assert_eq!(asked.options, expected);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for (query, status, words) in [
            ("remote=https://x/y.git", 501, "the request's own body"),
            ("version=2", 501, "DOCKER_BUILDKIT=0"),
            ("cachefrom=a", 400, "error reading cachefrom"),
            ("pull=1", 501, "registries"),
            ("buildargs=x", 400, "error reading buildargs"),
            ("labels=%5B%5D", 400, "error reading labels"),
            ("ulimits=%7B%7D", 400, "error reading ulimits"),
            ("memory=1g", 400, "not a number"),
            ("shmsize=-1", 400, "negative"),
            ("shmsize=x", 400, "not a number"),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!(error.status(), status, "{query}: {error}");
            assert!(error.to_string().contains(words), "{query}: {error}");
        }
    }
}

//! A Dockerfile and a context -> the layers and the config of an image.
//!
//! | module | what comes in -> what goes out |
//! |---|---|
//! | [`change`] | the instructions of `--change` -> a changed config |
//! | [`plan`] | a Dockerfile and the build's arguments -> the stages that are needed, in order |
//! | [`state`] | an image's config and an instruction -> the config after it |
//! | [`context`] | a directory and its `.dockerignore` -> what may be copied from it |
//! | [`transfer`] | `COPY` and `ADD`: sources -> the digest of what they are, and files in a tree |
//! | [`cache`] | everything that a step depends on -> its key; a key -> what came of the step the last time |
//! | [`explain`] | what a step depends on now and the last time -> why it was built anew |
//! | [`progress`] | what a build tells while it goes on |
//! | [`request`] | what a client asks for, and what it is answered, as JSON |
//!
//! The engine's verb ([`engine::build`](crate::engine)) runs the steps.

pub mod cache;
pub mod change;
pub mod context;
pub mod explain;
pub mod plan;
pub mod progress;
pub mod request;
pub mod state;
pub mod transfer;

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{container::config::Ulimit, image::annotations::Annotations, process::cgroup::Resources};

/// A directory that steps are written to, for another machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheTo {
    /// Its absolute path.
    pub directory: String,
    /// The steps of all stages, and not only those of the result.
    pub all_stages: bool,
}

/// What a user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The stage that is the result; the last one if empty.
    pub target: String,
    /// Names of the image, as they were given.
    pub tags: Vec<String>,
    /// `--build-arg`, in order: a name, and its value.
    pub args: Vec<(String, String)>,
    /// `--build-context`: a name, and the absolute path of a directory or `docker-image://` and an image.
    pub contexts: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// What is noted of the image in manifests.
    pub annotations: Annotations,
    /// Where the image is to run, `linux/amd64`; this machine if empty.
    pub platform: String,
    /// No step's result is taken from the cache.
    pub no_cache: bool,
    /// All that is built becomes one layer above those of the base image.
    pub squash: bool,
    /// None of these stages' is.
    pub no_cache_filter: Vec<String>,
    /// The network of a `RUN`: `none`, `host`, or the default, which is `none` for now.
    pub network: String,
    /// `--add-host`: `name:address`.
    pub extra_hosts: Vec<String>,
    /// `--shm-size` in bytes; 0 is the default.
    pub shm_size: u64,
    /// What the container of a `RUN` may use.
    pub resources: Resources,
    /// `--ulimit`: limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// `--cgroup-parent`: the control group that its own is made in; the usual one if empty.
    pub cgroup_parent: String,
    /// `--secret`: id and content.
    #[serde(with = "crate::base64::pairs")]
    pub secrets: Vec<(String, Vec<u8>)>,
    /// `--ssh`: id, and the absolute path of an agent's socket.
    pub ssh: Vec<(String, String)>,
    /// `--cache-from`: absolute paths of directories that steps are taken from, as `--cache-to` writes them.
    pub cache_from: Vec<String>,
    /// `--cache-to`.
    pub cache_to: Vec<CacheTo>,
    /// Seconds since 1970 that no time in the image is later than; it then depends on nothing but what goes in.
    pub epoch: Option<i64>,
    /// As Docker's classic builder: stages are built one after the other, and what fails is told in its words.
    pub classic: bool,
    /// Say of each step why it was or was not taken from the cache.
    pub explain: bool,
}

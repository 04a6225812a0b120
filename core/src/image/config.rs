//! The JSON that describes an image, in the form that Docker and OCI share. Its bytes are the image: their hash is the
//! image's id, so a config that came from outside is kept as it came and only read here.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    container::config::{Config, nullable},
    digest::DiffId,
};

/// Longest JSON document of an image, in bytes.
pub const SIZE_LIMIT: usize = 4 << 20;
/// Deepest nesting of one.
pub const DEPTH_LIMIT: usize = 64;
/// Most layers of one image. overlayfs stacks at most 500; Docker stops at 127.
pub const LAYER_LIMIT: usize = 127;

/// Where programs are looked for if an image doesn't say: its PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an image is made of and how it wants to be run.
///
/// # Spec
/// OCI image-spec config.md; Docker Image Specification v1.2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// The processor, in Go's words.
    pub architecture: String,
    /// Its variant, `v8` for example.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Who made it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The message of `import` or `commit`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// How its containers are run.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// How it was made, one entry a step.
    #[serde(deserialize_with = "nullable")]
    pub history: Vec<Step>,
    /// `linux`.
    pub os: String,
    /// Its layers.
    pub rootfs: RootFs,
}

/// The layers of an image, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names of the layers' uncompressed tars.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<DiffId>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// By whom.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// With what message.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// It made no layer.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Reads a config.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is too large, too deep, no config, for another system, or has too many layers.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::Corrupt(format!("read image config: {why}"));
        if json.len() > SIZE_LIMIT {
            return Err(bad("larger than 4 MiB"));
        }
        if depth(json) > DEPTH_LIMIT {
            return Err(bad("nested more than 64 deep"));
        }
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("not a JSON object"));
        }
        let config: ImageConfig = crate::json::from_slice(json).map_err(|error| bad(&error.to_string()))?;
        if !matches!(config.os.as_str(), "linux" | "") {
            return Err(bad(&format!("made for {}, not for linux", config.os)));
        }
        if config.rootfs.diff_ids.len() > LAYER_LIMIT {
            return Err(bad("more than 127 layers"));
        }
        Ok(config)
    }

    /// Of an image that is to be made.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has too many layers.
    pub fn check_depth(&self) -> Result<()> {
        if self.rootfs.diff_ids.len() > LAYER_LIMIT {
            let most = format!("max depth exceeded: an image has at most {LAYER_LIMIT} layers");
            return Err(Error::Invalid(most));
        }
        Ok(())
    }

    /// The bytes whose hash is the image's id.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a config has only string keys")
    }
}

/// How deep arrays and objects are nested, whether or not the rest is JSON.
pub(super) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// This machine's processor in Go's words.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "riscv64"
};

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERS: &str = r#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,
        "Env":["PATH=/bin"],"Cmd":["sh"],"Image":"sha256:aa","Volumes":null,"WorkingDir":"","Entrypoint":null,
        "OnBuild":null,"Labels":null},"container":"12","created":"2024-05-23T00:00:00Z","docker_version":"20.10",
        "history":[{"created":"2024-05-23T00:00:00Z","created_by":"ADD file in /"},{"empty_layer":true,"created_by":"CMD"}],
        "os":"linux","rootfs":{"type":"layers","diff_ids":[
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

    #[test]
    fn a_config_of_docker_is_read() {
        let config = ImageConfig::parse(DOCKERS.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, Some([String::from("sh")].into()));
        assert_eq!(config.rootfs.diff_ids.len(), 1);
        assert!(config.history[1].empty_layer);
        assert_eq!(ImageConfig::parse(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn a_config_of_an_oci_builder_may_leave_nearly_everything_out() {
        let config =
            ImageConfig::parse(br#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers"}}"#)
                .unwrap();
        assert_eq!(config.config, Config::default());
        assert!(config.rootfs.diff_ids.is_empty());
    }

    #[test]
    fn what_is_too_deep_too_large_or_false_is_refused() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let large = format!("{{\"x\":\"{}\"}}", "a".repeat(SIZE_LIMIT));
        let windows = r#"{"os":"windows"}"#;
        let path = r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#;
        for text in [deep.as_str(), &large, windows, path, "", "[]", "{", "null", r#"{"config":3}"#] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{:.80}", text);
        }
        assert_eq!(depth(br#"{"a\"[[[":[{}]}"#), 3);
    }
}

//! `RUN --mount=key=value,...`

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use super::words;
use crate::{nearest::nearest, units};

/// What is mounted while a `RUN` runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// What kind it is.
    pub kind: MountKind,
    /// A stage or an image; empty for the build context.
    pub from: String,
    /// A path in there; of a secret: its name, as [`Mount::id`].
    pub source: String,
    /// Where to; may be empty.
    pub target: String,
    /// It cannot be written to.
    pub read_only: bool,
    /// Of a tmpfs; 0 for no limit.
    pub size_bytes: i64,
    /// Which cache, secret or agent.
    pub id: String,
    /// What happens when several use a cache.
    pub sharing: Option<Sharing>,
    /// It is a mistake if there is no such secret or agent.
    pub required: bool,
    /// The variable that a secret is put into; empty for one named like it.
    pub env: Option<String>,
    /// Of the file or the directory.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// Kinds of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A part of a stage, an image or the context; what is written to it is thrown away.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A file that the client has and no image.
    Secret,
    /// The socket of an agent.
    Ssh,
}

/// Several builds and one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// They use it at once.
    Shared,
    /// Each has its own.
    Private,
    /// One waits for the other.
    Locked,
}

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];
const SHARINGS: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl MountKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        KINDS[self as usize].0
    }
}

impl Mount {
    /// Reads a flag's value; `expand` is what becomes of each value in it that may have variables.
    ///
    /// # Errors
    /// What is wrong, in BuildKit's words.
    pub fn parse(text: &str, mut expand: impl FnMut(&str) -> Result<String, String>) -> Result<Self, String> {
        let mut mount = Mount::default();
        let mut read_only = None;
        let all = fields(text).map_err(|why| format!("failed to parse csv mounts: {why}"))?;
        for field in all {
            let (key, value) = setting(&field);
            match (&*key, value) {
                ("readonly" | "ro", None) => read_only = Some(true),
                ("readwrite" | "rw", None) => read_only = Some(false),
                ("required", None) => mount.require(true)?,
                (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
                ("from", Some(value)) if has_variable(value) => {
                    return Err(
                        "'from' doesn't support variable expansion, define alias stage instead".into()
                    );
                }
                (key, Some(value)) => {
                    let value = expand(value)?;
                    match key {
                        "readonly" | "ro" => read_only = Some(boolean(key, &value)?),
                        "readwrite" | "rw" => read_only = Some(!boolean(key, &value)?),
                        _ => mount.set(key, value, &field)?,
                    }
                }
            }
        }
        let is_written = matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs);
        mount.read_only = read_only.unwrap_or(!is_written);
        mount.check()?;
        Ok(mount)
    }

    fn set(&mut self, key: &str, value: String, field: &str) -> Result<(), String> {
        let invalid = || format!("invalid value {value} for {key}");
        let id = || value.parse::<u32>().map(Some).map_err(|_| invalid());
        match key {
            "type" => {
                self.kind = choose(&KINDS, &value, || format!("unsupported mount type {value:?}"))?;
            }
            "sharing" => {
                let error = || format!("unsupported sharing value {value:?}");
                self.sharing = Some(choose(&SHARINGS, &value, error)?);
            }
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "id" => self.id = value,
            "env" => self.env = Some(value),
            "mode" => self.mode = Some(u32::from_str_radix(&value, 8).map_err(|_| invalid())?),
            "uid" => self.uid = id()?,
            "gid" => self.gid = id()?,
            "required" => self.require(boolean(key, &value)?)?,
            "size" if self.kind == MountKind::Tmpfs => {
                self.size_bytes =
                    units::size(&value).map_err(|why| format!("invalid value for {key}: {why}"))?;
            }
            "size" => return Err(self.unexpected(key)),
            _ => return Err(suggested(format!("unexpected key '{key}' in '{field}'"), key, KEYS)),
        }
        Ok(())
    }

    fn require(&mut self, required: bool) -> Result<(), String> {
        if !matches!(self.kind, MountKind::Secret | MountKind::Ssh) {
            return Err(self.unexpected("required"));
        }
        self.required = required;
        Ok(())
    }

    fn unexpected(&self, key: &str) -> String {
        format!("unexpected key '{key}' for mount type '{}'", self.kind.name())
    }

    fn check(&self) -> Result<(), String> {
        let kind = self.kind.name();
        if matches!(self.kind, MountKind::Bind | MountKind::Tmpfs) {
            for (name, value) in [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)] {
                if value.is_some() {
                    return Err(format!("{name} not allowed for {kind:?} type mounts"));
                }
            }
        }
        if self.kind == MountKind::Secret {
            let wrong = if !self.from.is_empty() {
                "secret mount should not have a from"
            } else if self.sharing.is_some() {
                "secret mount should not define sharing"
            } else if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                "invalid secret mount. one of source, target required"
            } else if !self.source.is_empty() && !self.id.is_empty() {
                "both source and id can't be set"
            } else {
                return Ok(());
            };
            return Err(wrong.into());
        }
        if self.sharing.is_some() && self.kind != MountKind::Cache {
            return Err(format!("invalid cache sharing set for {kind} mount"));
        }
        Ok(())
    }
}

/// A `$` that is not the last letter.
fn has_variable(value: &str) -> bool {
    value.find('$').is_some_and(|at| at + 1 < value.len())
}

/// A truth as Go's `ParseBool` reads it.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}")),
    }
}

fn choose<T: Copy>(known: &[(&str, T)], name: &str, error: impl Fn() -> String) -> Result<T, String> {
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let names = known.iter().map(|(name, _)| *name);
    found.map(|(_, value)| *value).ok_or_else(|| suggested(error(), &name.to_ascii_lowercase(), names))
}

pub(super) fn suggested<'n>(
    message: String,
    wrong: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> String {
    match nearest(wrong, names) {
        Some(meant) => format!("{message} (did you mean {meant}?)"),
        None => message,
    }
}

/// A field's key in lower case, and its value if it has one.
pub(super) fn setting(field: &str) -> (Cow<'_, str>, Option<&str>) {
    let (key, value) = words::assignment(field).map_or((field, None), |(key, value)| (key, Some(value)));
    let is_lower = !key.bytes().any(|byte| byte.is_ascii_uppercase());
    (if is_lower { Cow::Borrowed(key) } else { Cow::Owned(key.to_ascii_lowercase()) }, value)
}

/// The fields of one line of CSV.
pub fn fields(text: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let field;
        if let Some(inside) = rest.strip_prefix('"') {
            let quoted = quoted_field(inside).ok_or("extraneous or missing \" in quoted-field")?;
            (field, rest) = (Cow::Owned(quoted.0), quoted.1);
        } else {
            let (plain, behind) = rest.split_at(memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len()));
            if memchr::memchr(b'"', plain.as_bytes()).is_some() {
                return Err("bare \" in non-quoted-field".into());
            }
            (field, rest) = (Cow::Borrowed(plain), behind);
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return Ok(fields),
        }
    }
}

/// A field behind its first quote, and what stands behind its last one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, behind) = rest.split_once('"')?;
        field.push_str(part);
        rest = behind;
        match rest.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return (rest.is_empty() || rest.starts_with(',')).then_some((field, rest)),
        }
    }
}
